"""ParallelTempering: modes of known weights, closed forms, a wish that is no equation, exact wishes, swaps.

Chains are independent, their pilots included, so the spread of their means gives the standard error whatever
the autocorrelation: scores are Student's with one degree of freedom less than there are chains. Limits are
set for false alarms of at most 1e-5 for each score.
"""

from functools import cache
from typing import Any

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv.forward import Function
from probinv.likelihood import Exactly, Gaussian, Label
from probinv.methods import Draws, ParallelTempering
from probinv.methods.smc import _ladder, _mutate
from probinv.posterior import Path, Posterior
from probinv.prior import Normal
from tests.methods.problems import Silent, moments
from tests.methods.surfaces import ELLIPSE, curve, whitened
from tests.methods.test_tempered import evidence, map5, score
from tests.posterior.zoo import tanh_network

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.optimised]
Y_STAR, LOC, SIGMA = np.array([0.5, 0.6]), np.array([0.98, 0.3]), 0.01


def run(posterior: Posterior, chains: int, draws: int, warmup: int, seed: int = 0) -> Draws:
    method = ParallelTempering(draws=draws, warmup=warmup, chains=chains)
    found = method.run(Path.of(posterior), jax.random.key(seed), Silent())
    assert found.z.shape == (chains, draws, posterior.size)
    assert np.isfinite(found.z).all()
    return found


def two(matrix: np.ndarray, square: float, loc: np.ndarray, likelihood: Any) -> Posterior:
    return Posterior(Normal(loc, np.ones(2)), Function(map5, (matrix, np.array(square))), likelihood)


def weights(exact: bool) -> tuple[np.ndarray, float]:
    """P(x_i > 0) and log p(Y*) of y_i = x_i^2: the first mode is far off the middle of the prior."""
    if exact:
        root = np.sqrt(Y_STAR)
        sides = [np.exp(-0.5 * (s * root - LOC) ** 2) / np.sqrt(2 * np.pi) / (2 * root) for s in (1, -1)]
    else:
        ticks = np.linspace(0.3, 1.3, 100_001)[:, None]
        noise = np.exp(-0.5 * ((ticks**2 - Y_STAR) / SIGMA) ** 2) / SIGMA
        sides = [np.sum(noise * np.exp(-0.5 * (s * ticks - LOC) ** 2), axis=0) * 1e-5 for s in (1, -1)]
        sides = [side / (2 * np.pi) for side in sides]
    return sides[0] / (sides[0] + sides[1]), float(np.sum(np.log(sides[0] + sides[1])))


@cache
def four_modes(exact: bool) -> Draws:
    wish = Exactly(Y_STAR) if exact else Gaussian(Y_STAR, SIGMA)
    with double_precision():
        return run(two(np.zeros((2, 2)), 1.0, LOC, wish), 16, 400 if exact else 800, 300)


def sides(draws: Draws) -> tuple[np.ndarray, Any]:
    """Whether x_i > 0, both, of (chain, draw, 3), for a weight w."""
    up = (draws.z + LOC > 0).astype(float)
    return np.concatenate([up, up[..., :1] * up[..., 1:]], axis=-1), lambda w: np.append(w, w[0] * w[1])


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True], ids=["tolerance", "exactly"])
def test_four_modes_of_known_weights(exact: bool) -> None:
    """16 chains: 2 weights, their product and p(Y*); false alarm 4e-5."""
    weight, log_evidence = weights(exact)
    assert abs(weight[0] - 0.8) < 0.01
    draws = four_modes(exact)
    up, wanted = sides(draws)
    assert score(up.mean(axis=1), wanted(weight)).max() < 1
    assert score(np.exp(evidence(draws) - log_evidence), 1.0) < 1
    # and known well, with half as many draws less so by a factor of sqrt(2)
    assert up.mean(axis=1).std(axis=0, ddof=1).max() < (0.17 if exact else 0.12)
    assert np.exp(evidence(draws) - log_evidence).std(ddof=1) < (0.35 if exact else 0.25)
    assert min(az.ess(up[..., i]) for i in range(2)) > (75 if exact else 150)
    if exact:
        assert np.abs((draws.z + LOC) ** 2 - Y_STAR).max() < 1e-9
        assert draws.notes["lost_particles"] == 0


@pytest.mark.slow
def test_the_error_falls_with_more_draws() -> None:
    """Mean squares over 16 chains of three errors, of 100 draws and of 800: 8 apart, were they independent.

    A bias would not fall. The ratio is more than 3 but for a chance of about 1e-4 (F with some 30 degrees of
    freedom: the product depends on the other two).
    """
    up, wanted = sides(four_modes(False))
    error = (up - wanted(weights(False)[0])).reshape(16, 8, 100, 3).mean(axis=2)
    assert np.mean(error**2) / np.mean(error.mean(axis=1) ** 2) > 3


@pytest.mark.slow
def test_no_mode_is_frozen_by_a_step_that_is_right_for_the_others() -> None:
    """From x = -.7 a step of 1.5 turns to the other side: with no shorter one the residual stays what it is.

    One of 8 particles is there, too few to shorten the step of all; nearly all must move in 20 transitions.
    """
    view = Path.of(two(np.zeros((2, 2)), 1.0, LOC, Exactly(Y_STAR)))
    settings = _mutate.settings_for(view, 0.8, 256)
    signs = np.resize([[1, 1]] * 7 + [[-1, 1]], (256, 2))
    z = jnp.asarray(signs * np.sqrt(Y_STAR) - LOC)
    args = jnp.asarray(1e4), jnp.ones(2), z, jax.random.key(1), jnp.asarray(20), jnp.asarray(1.5)
    after = np.asarray(_mutate.mutate(settings, view, *args).z)
    assert np.array_equal(np.sign(after + LOC), signs)
    assert (after != z).all(axis=1)[signs[:, 0] < 0].mean() > 0.9


@pytest.mark.slow
def test_evidence_and_law_of_a_linear_map() -> None:
    """16 chains: p(Y*) and 5 means and second moments in closed form; false alarm 6e-5."""
    rng = np.random.default_rng(1)
    matrix, loc, y_star, sigma = rng.standard_normal((2, 2)), np.array([0.5, -1.0]), np.array([0.4, 0.9]), 0.2
    centre, spread = matrix @ loc, matrix @ matrix.T + sigma**2 * np.eye(2)
    _, log_det = np.linalg.slogdet(2 * np.pi * spread)
    log_evidence = -0.5 * (log_det + (y_star - centre) @ np.linalg.solve(spread, y_star - centre))
    draws = run(two(matrix, 0.0, loc, Gaussian(y_star, sigma)), 16, 500, 100)
    ratio = np.exp(evidence(draws) - log_evidence)
    assert score(ratio, 1.0) < 1
    assert ratio.std(ddof=1) < 0.15
    assert np.isclose(draws.notes["log_evidence"], log_evidence + np.log(ratio.mean()))
    assert np.isclose(draws.notes["log_evidence_error"], evidence(draws).std(ddof=1) / 4)
    slope, offset = matrix / sigma, (y_star - centre) / sigma
    quantities, wanted = moments(whitened(slope, offset, draws.z))
    assert score(quantities.mean(axis=1), wanted).max() < 1
    wrong, _ = moments(whitened(slope / 1.2, offset / 1.2, draws.z))
    assert score(wrong.mean(axis=1), wanted).max() > 1


@pytest.mark.slow
def test_a_wish_that_is_no_equation() -> None:
    """Label: p(Y*) and 5 moments by quadrature, 16 chains; false alarm 6e-5."""
    network = tanh_network(2, 4, 3)
    posterior = Posterior(Normal([0.3, -0.2], [1.0, 2.0]), lambda x: 8 * network(x), Label(1))
    ticks = np.linspace(-6, 6, 601)
    z = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = np.asarray(jax.jit(jax.vmap(posterior.log_likelihood))(jnp.asarray(z)))
    w = np.exp(log_p - 0.5 * (z**2).sum(axis=1)) / (2 * np.pi) * (ticks[1] - ticks[0]) ** 2
    draws = run(posterior, 16, 500, 100)
    assert score(np.exp(evidence(draws)) / w.sum(), 1.0) < 1
    wanted = w @ moments(z)[0] / w.sum()
    assert score(moments(draws.z)[0].mean(axis=1), wanted).max() < 1
    prior = moments(np.random.default_rng(0).standard_normal((16, 500, 2)))[0].mean(axis=1)
    assert score(prior, wanted).max() > 1


def test_draws_are_moved_on_the_set_after_they_have_been_projected() -> None:
    """Copies of a point next to a circle end along it; one from which no way leads there stays."""
    circle = ELLIPSE * 0 + np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    view = Path.of(Posterior(Normal(0.0, 1.0, 2), Function(curve, circle), Exactly([1.0])))
    settings = _mutate.settings_for(view, 0.8, 256)
    z = np.tile(np.array([1.001, 0.0]), (2, 64, 1))
    z[1, 63] = np.nan
    found, lost = _ladder._exactly(settings, view, z, jax.random.key(2))
    assert lost == 1
    assert np.isnan(found[1, 63]).all()
    found = found.reshape(-1, 2)[:-1]
    assert np.abs((found**2).sum(axis=1) - 1).max() < 1e-9
    assert (np.abs(np.arctan2(found[:, 1], found[:, 0])) > 0.1).mean() > 0.9
    assert 0.2 < (found[:, 0] < 0.5).mean() < 0.8


class Line:
    """A view of which only a(z) = -10 z^2 is asked."""

    def fit(self, z: jax.Array) -> jax.Array:
        return -10 * z[0] ** 2


def test_swaps_leave_the_law_of_all_rungs_unchanged() -> None:
    """z_k ~ N(0, 1 / (1 + 20 b_k)) before and after: 40 000 chains, no moves, both pairings.

    Means of z^2 (1 + 20 b) and of its products between rungs, standard deviations exact: 7 scores, 1e-5 each
    (|score| < 4.42). The share of swaps is P(u < min(1, e^g)) by the same draws, computed apart.
    """
    chains, powers = 40_000, np.array([0.0, 0.1, 0.4, 1.0])
    scale = 1 / np.sqrt(1 + 20 * powers)
    z = np.random.default_rng(3).standard_normal((chains, 4)) * scale
    zeros = jnp.zeros((chains, 4), int)
    empty = jnp.full((chains, 3), -jnp.inf)
    state = _ladder.State(
        jnp.asarray(z[:, :, None]), zeros, jnp.zeros(4), jnp.zeros(3), jnp.zeros(3), empty, jnp.zeros((), int)
    )
    fit = -10 * z**2
    after = state
    for i in range(2):
        key = jax.random.key(10 + i)
        after = _ladder._swap(Line(), key, jnp.asarray(powers), jnp.asarray(0), after)
        square = np.asarray(after.z[:, :, 0]) ** 2 / scale**2
        assert np.abs((square.mean(axis=0) - 1) * np.sqrt(chains / 2)).max() < 4.42
        products = square[:, :-1] * square[:, 1:]
        assert np.abs((products.mean(axis=0) - 1) * np.sqrt(chains / 8)).max() < 4.42
        if i == 0:
            fresh = np.minimum(1.0, np.exp(np.diff(powers) * (fit[:, :-1] - fit[:, 1:]))).mean(axis=0)
            assert np.allclose(after.swapped, [fresh[0], 0.0, fresh[2]])
            moved = (np.asarray(after.z)[:, :, 0] != z).mean(axis=0)
            assert np.abs(moved - fresh[[0, 0, 2, 2]]).max() < 4.42 * 0.5 / np.sqrt(chains)
            # what the stepping stones sum before the swap
            assert np.allclose(after.evidence, np.diff(powers) * fit[:, :-1])
    assert np.array_equal(after.tried, [1.0, 1.0, 1.0])
    assert int(after.i) == 2
