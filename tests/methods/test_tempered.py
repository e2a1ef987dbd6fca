"""TemperedSMC: evidence in closed form, modes of known weights, walls, exact wishes, bookkeeping.

Replicates are independent; a t-score is their mean, less the exact value, over its standard error: of
Student's law with one degree of freedom less than there are replicates. Limits are set for false alarms of
at most 1e-5 for each score.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinv.forward import Function
from probinv.likelihood import Exactly, Gaussian, Label, Student
from probinv.methods import Draws, TemperedSMC
from probinv.methods.smc._population import log_mean_exp
from probinv.posterior import Path, Posterior
from probinv.prior import Normal, Uniform
from tests.methods.problems import Silent, moments
from tests.methods.surfaces import TOY, curve, on_curve, whitened
from tests.posterior.zoo import tanh_network

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.optimised]
PARTICLES = 256


def run(posterior: Posterior, key: jax.Array, chains: int, **settings: Any) -> Draws:
    method = TemperedSMC(draws=PARTICLES, chains=chains, **settings)
    draws = method.run(Path.of(posterior), key, Silent())
    assert draws.z.shape == (chains, PARTICLES, posterior.size)
    assert np.isfinite(draws.z).all()
    return draws


def score(replicates: np.ndarray, wanted: Any, level: float = 1e-5) -> np.ndarray:
    """|t| of the means of (replicate, ...) numbers, in units of the limit: below 1 they pass."""
    error = replicates.std(axis=0, ddof=1) / np.sqrt(len(replicates))
    return np.abs(replicates.mean(axis=0) - wanted) / error / stats.t.isf(level / 2, len(replicates) - 1)


def evidence(draws: Draws) -> np.ndarray:
    return np.array(draws.notes["log_evidence_replicates"])


def map5(c: Any, x: jax.Array) -> jax.Array:
    """A x + b x^2."""
    return c[0] @ x + c[1] * x**2


def five(matrix: np.ndarray, square: float, loc: np.ndarray, y_star: np.ndarray, sigma: float) -> Posterior:
    network = Function(map5, (matrix, np.array(square)))
    return Posterior(Normal(loc, np.ones(5)), network, Gaussian(y_star, sigma))


def linear(sigma: float = 0.2) -> tuple[Posterior, np.ndarray, np.ndarray, float]:
    """A linear map, its slope and offset in tolerances, and log p(Y*)."""
    rng = np.random.default_rng(1)
    matrix, loc, y_star = rng.standard_normal((5, 5)), rng.standard_normal(5), rng.standard_normal(5)
    law = stats.multivariate_normal(matrix @ loc, matrix @ matrix.T + sigma**2 * np.eye(5))
    slope, offset = matrix / sigma, (y_star - matrix @ loc) / sigma
    return five(matrix, 0.0, loc, y_star, sigma), slope, offset, float(law.logpdf(y_star))


@pytest.mark.slow
def test_evidence_and_law_of_a_linear_map(key: jax.Array) -> None:
    """24 replicates: the mean of p(Y*) estimates, and 20 means and second moments; false alarm 2e-4."""
    posterior, slope, offset, log_evidence = linear()
    draws = run(posterior, key, 24)
    ratio = np.exp(evidence(draws) - log_evidence)
    assert score(ratio, 1.0) < 1
    assert ratio.std() < 0.5  # and known well: a standard error below 0.11
    quantities, wanted = moments(whitened(slope, offset, draws.z))
    assert score(quantities.mean(axis=1), wanted).max() < 1
    wrong, _ = moments(whitened(slope / 1.2, offset / 1.2, draws.z))
    assert score(wrong.mean(axis=1), wanted).max() > 1
    assert np.isclose(draws.notes["log_evidence"], log_mean_exp(evidence(draws)))
    assert np.isclose(draws.notes["log_evidence_error"], evidence(draws).std(ddof=1) / np.sqrt(24))


@pytest.mark.slow
def test_32_modes_of_known_weights(key: jax.Array) -> None:
    """y_i = x_i^2 with priors off the middle: x_i > 0 has a weight of its own, .8 the first; 2^5 modes.

    12 replicates: 5 weights, their 10 products and p(Y*); false alarm 1.6e-4.
    """
    y_star, loc, sigma = np.array([0.5, 0.6, 0.8, 0.5, 0.7]), np.array([0.98, 0.3, -0.2, 0.0, -0.5]), 0.01
    posterior = five(np.zeros((5, 5)), 1.0, loc, y_star, sigma)
    ticks = np.linspace(0.3, 1.3, 100_001)
    noise = np.exp(-0.5 * ((ticks[:, None] ** 2 - y_star) / sigma) ** 2) / sigma
    sides = [
        np.sum(noise * np.exp(-0.5 * (sign * ticks[:, None] - loc) ** 2), axis=0) * 1e-5 / (2 * np.pi)
        for sign in (1, -1)
    ]
    weight, log_evidence = sides[0] / (sides[0] + sides[1]), np.sum(np.log(sides[0] + sides[1]))
    assert abs(weight[0] - 0.8) < 0.01
    draws = run(posterior, key, 12)
    assert np.abs(draws.z + loc)[..., 0].min() > 0.5
    up = (draws.z + loc > 0).astype(float)
    pairs = [up[..., i] * up[..., j] for i in range(5) for j in range(i)]
    wanted = [weight[i] * weight[j] for i in range(5) for j in range(i)]
    assert score(up.mean(axis=1), weight).max() < 1
    assert score(np.stack(pairs, axis=-1).mean(axis=1), wanted).max() < 1
    assert score(np.exp(evidence(draws) - log_evidence), 1.0) < 1
    assert len(np.unique(up.reshape(-1, 5), axis=0)) == 32
    assert np.abs(up.mean(axis=(0, 1)) - weight).max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("wish", ["label", "student"])
def test_wishes_that_are_no_equations(wish: str, key: jax.Array) -> None:
    """Moves shaped by the population; p(Y*) and 5 moments by quadrature, 24 replicates; false alarm 6e-5."""
    network = tanh_network(2, 4, 3)
    likelihood: Any = Label(1) if wish == "label" else Student([0.3, 0.1, -0.2], 0.05, 3.0)
    posterior = Posterior(Normal([0.3, -0.2], [1.0, 2.0]), lambda x: 3 * network(x), likelihood)
    ticks = np.linspace(-6, 6, 601)
    z = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = np.asarray(jax.jit(jax.vmap(posterior.log_likelihood))(jnp.asarray(z)))
    w = np.exp(log_p - 0.5 * (z**2).sum(axis=1)) / (2 * np.pi) * (ticks[1] - ticks[0]) ** 2
    draws = run(posterior, key, 24)
    assert score(np.exp(evidence(draws)) / w.sum(), 1.0) < 1
    wanted = w @ moments(z)[0] / w.sum()
    assert score(moments(draws.z)[0].mean(axis=1), wanted).max() < 1
    prior = moments(np.random.default_rng(0).standard_normal((24, PARTICLES, 2)))[0].mean(axis=1)
    assert score(prior, wanted).max() > 1
    assert draws.stats["acceptance_rate"].mean() > 0.6


def exact(level: float) -> Posterior:
    return Posterior(Normal([0.3, 0.0], [1.0, 1.0]), Function(curve, TOY), Exactly([level]))


@pytest.mark.slow
def test_two_loops_exactly(key: jax.Array) -> None:
    """F = -0.02 in two loops; weight of one, moments and p(Y*) by quadrature, 16 replicates; 6e-5."""
    level = -0.02

    def log_prior(x: np.ndarray) -> np.ndarray:
        return -0.5 * np.sum((x - [0.3, 0.0]) ** 2, axis=-1) - np.log(2 * np.pi)

    def of(x: np.ndarray) -> np.ndarray:
        a, b = x[..., 0], x[..., 1]
        return np.stack([a > 0, a, a**2, b**2, (a > 0) * a], axis=-1).astype(float)

    wanted, mass = on_curve(TOY, level, log_prior, of)
    draws = run(exact(level), key, 16)
    x = draws.z + np.array([0.3, 0.0])
    assert np.abs(x[..., 1] ** 2 + x[..., 0] ** 4 - x[..., 0] ** 2 / 2 - level).max() < 1e-9
    assert score(np.exp(evidence(draws)) / mass, 1.0) < 1
    assert score(of(x).mean(axis=1), wanted).max() < 1
    assert 0.5 < wanted[0] < 0.7
    assert draws.notes["lost_particles"] == [0] * 16
    assert len(np.unique(draws.z[0], axis=0)) > 0.95 * PARTICLES  # the last moves draw copies apart

    # and where no input gives Y*: the nearest, and no evidence
    nearest = run(exact(-0.5), key, 2)
    y = (nearest.z[..., 1]) ** 2 + (nearest.z[..., 0] + 0.3) ** 4 - (nearest.z[..., 0] + 0.3) ** 2 / 2
    assert np.abs(y + 1 / 16).max() < 1e-3
    assert "no input was found" in nearest.notes["not_found"]
    assert nearest.notes["log_evidence"] is None
    assert nearest.notes["log_evidence_replicates"] == [None, None]
    assert nearest.notes["lost_particles"] == [PARTICLES] * 2


@pytest.mark.slow
def test_the_corners_of_a_box(key: jax.Array) -> None:
    """All draws lie near the corners of a square; their weights by quadrature, 16 replicates; 5e-5."""
    c, level, sigma = np.array([1.0, 1.0, 0.0, -0.98, -1.0]), -0.05, 0.02
    posterior = Posterior(Uniform(0.0, 1.0, 2), Function(curve, c), Gaussian([level], sigma))
    ticks = (np.arange(2000) + 0.5) / 2000
    grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    y = grid[:, 0] ** 2 + grid[:, 1] ** 2 - 0.98 * grid[:, 0] - grid[:, 1]
    w = np.exp(-0.5 * ((y - level) / sigma) ** 2) / np.sqrt(2 * np.pi) / sigma / len(grid)

    def of(x: np.ndarray) -> np.ndarray:
        a, b = x[..., 0], x[..., 1]
        return np.stack([a > 0.5, b > 0.5, (a > 0.5) & (b > 0.5), a * b], axis=-1).astype(float)

    draws = run(posterior, key, 16)
    x = np.asarray(jax.jit(jax.vmap(posterior.x))(draws.z.reshape(-1, 2))).reshape(draws.z.shape)
    assert score(of(x).mean(axis=1), w @ of(grid) / w.sum()).max() < 1
    assert score(np.exp(evidence(draws)) / w.sum(), 1.0) < 1
