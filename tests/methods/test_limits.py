"""What a user may ask of LiftedHMC and TemperedSMC and cannot have: a typed error or a verdict, each."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import probinv
from probinv import NumericalError, ViewError
from probinv._invert.choose import choose
from probinv.likelihood import Exactly, Gaussian, Label, On, Product
from probinv.methods import HMC, MAP, NUTS, Ascent, LiftedHMC, TemperedSMC
from probinv.posterior import Constraint, Path, Posterior
from probinv.prior import Normal
from probinv.results.tree import provenance
from tests.methods.problems import Silent, scores

pytestmark = pytest.mark.usefixtures("x64")
PRIOR = Normal(0.0, 1.0, 2)
LIFTED, SMC = LiftedHMC(draws=20, warmup=20, chains=4), TemperedSMC(draws=64, chains=2)
QUIET: dict[str, Any] = {"progress": False, "verdict": False}


def run(method: Any, posterior: Posterior) -> Any:
    return method.run(method.view.of(posterior), jax.random.key(0), Silent())


def total(x: jax.Array) -> jax.Array:
    return jnp.tanh(x).sum(keepdims=True)


@pytest.mark.parametrize("method", [NUTS, HMC, MAP, Ascent])
def test_an_exact_wish_has_no_density(method: Any) -> None:
    with pytest.raises(ViewError, match="LiftedHMC or TemperedSMC") as caught:
        probinv.invert(Posterior(PRIOR, total, Exactly([0.5])), method(), **QUIET)
    assert "fill no volume" in caught.value.why


@pytest.mark.parametrize("view", [Constraint, Path])
def test_more_exact_outputs_than_coordinates(view: Any) -> None:
    def three(x: jax.Array) -> jax.Array:
        return jnp.stack([x[0], x[1], x[0] * x[1]])

    with pytest.raises(ViewError, match="3 outputs are to be met exactly with 2 coordinates"):
        view.of(Posterior(PRIOR, three, Exactly(np.zeros(3))))
    assert view.of(Posterior(PRIOR, three, Exactly([0.0, np.nan, 0.0]))).size == 2


def test_a_wish_that_is_no_equation() -> None:
    with pytest.raises(ViewError, match="Label is not an equation"):
        Constraint.of(Posterior(PRIOR, lambda x: x, Label(0)))
    with pytest.raises(ViewError, match="some parts of the wish are exact and others have a tolerance"):
        Path.of(
            Posterior(PRIOR, lambda x: x, Product([On([0], Exactly([0.5])), On([1], Gaussian([0.5], 0.1))]))
        )


def test_too_many_outputs_for_a_dense_gram() -> None:
    wide = Posterior(Normal(0.0, 1.0, 600), lambda x: x, Gaussian(np.zeros(600), 0.1))
    with pytest.raises(ViewError, match="600 outputs and 600 coordinates are too many") as caught:
        Constraint.of(wide)
    assert "NUTS" in caught.value.instead
    assert Path.of(wide).constraint is None


def single(x: jax.Array) -> jax.Array:
    return total(x.astype(jnp.float32))


def test_a_network_in_single_precision(key: jax.Array) -> None:
    """No step could end on the manifold. TemperedSMC moves without it, and method=None takes NUTS."""
    posterior = Posterior(PRIOR, single, Gaussian([0.5], 0.01))
    with pytest.raises(ViewError, match="single precision") as caught:
        Constraint.of(posterior)
    assert "double precision" in caught.value.instead
    assert Path.of(posterior).constraint is None
    assert [type(choice.method) for choice in choose(posterior, key)] == [NUTS, TemperedSMC]
    for view in (Constraint, Path):
        with pytest.raises(ViewError, match="single precision"):
            view.of(Posterior(PRIOR, single, Exactly([0.5])))


DEPENDENT: dict[str, Any] = {
    "one output twice": (lambda x: jnp.stack([x.sum(), 2 * x.sum()]), [0.5, 1.0]),
    "dead ReLUs": (lambda x: jax.nn.relu(x).sum(keepdims=True), [0.0]),
    "dead for some": (lambda x: jax.nn.relu(x[:1]) * x[1:], [0.0]),
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_outputs_that_depend_on_one_another(name: str) -> None:
    """There p(z) det(J J^T)^(-1/2) is infinite, and the limit of narrow tolerances is another law."""
    network, y_star = DEPENDENT[name]
    with pytest.raises(NumericalError, match="has not full rank") as caught:
        run(LIFTED, Posterior(PRIOR, network, Exactly(y_star)))
    assert "Gaussian with a tolerance" in caught.value.instead


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one output twice", "dead for some"])
def test_a_population_finds_that_outputs_depend_on_one_another(name: str) -> None:
    network, y_star = DEPENDENT[name]
    with pytest.raises(NumericalError, match="has not full rank"):
        run(SMC, Posterior(PRIOR, network, Exactly(y_star)))


UNREACHABLE: dict[str, Any] = {
    "above": (total, [2.5], 2.0),
    "below": (lambda x: jnp.sum(x**2, keepdims=True), [-1.0], 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNREACHABLE)
@pytest.mark.parametrize("method", [LIFTED, SMC], ids=["lifted", "smc"])
def test_a_wish_out_of_reach_ends_in_a_verdict(name: str, method: Any) -> None:
    """With the nearest output that was found, and how far that is."""
    network, y_star, nearest = UNREACHABLE[name]
    tree = probinv.invert(Posterior(PRIOR, network, Exactly(y_star)), method, **QUIET)
    facts = provenance(tree)
    assert facts["verdict"]["verdict"] == "Y* not reached"
    distance = abs(nearest - y_star[0])
    assert facts["verdict"]["numbers"]["distance_min"] == pytest.approx(distance, abs=1e-4)
    what = facts["verdict"]["reasons"][0]["what"]
    assert "The nearest output found is at y = " in what
    assert f"{distance:.3g} from Y* in the worst output" in what
    assert "no input was found" in facts["notes"]["not_found"]
    assert not facts["interrupted"]
    y = tree["posterior_predictive"]["y"].values
    assert np.abs(y - nearest).max() < 0.1


@pytest.mark.slow
def test_a_wish_far_out_with_a_tolerance_ends_in_a_verdict() -> None:
    tree = probinv.invert(Posterior(PRIOR, total, Gaussian([2.5], 1e-3)), LIFTED, **QUIET)
    assert provenance(tree)["verdict"]["verdict"] == "Y* not reached"
    assert tree["posterior_predictive"]["y"].values.max() > 1.9


def root(x: jax.Array) -> jax.Array:
    """NaN for half of the prior."""
    return jnp.sqrt(x[:1]) + x[1:]


@pytest.mark.slow
def test_a_region_of_nan_is_not_entered(key: jax.Array) -> None:
    """The law of x0 given sqrt(x0) + x1 = 0.6 within 0.1 by quadrature; 3 t-scores, false alarm 3e-6."""
    posterior = Posterior(PRIOR, root, Gaussian([0.6], 0.1))
    method = LiftedHMC(draws=100, warmup=200, chains=32)
    draws = method.run(Constraint.of(posterior), key, Silent())
    assert 0.2 < draws.notes["finite_under_prior"] < 0.8
    assert np.isfinite(draws.z).all()
    assert (draws.z[..., 0] > 0).all()
    ticks = (np.arange(60_000) + 0.5) / 10_000
    law = stats.norm(0.6, np.sqrt(1.01)).pdf(np.sqrt(ticks)) * stats.norm.pdf(ticks)

    def of(x: np.ndarray) -> np.ndarray:
        return np.stack([x, x**2, x < 0.1], axis=-1).astype(float)

    assert np.abs(scores(of(draws.z[..., 0]), law @ of(ticks) / law.sum())).max() < 6


def kinked(x: jax.Array) -> jax.Array:
    return (jax.nn.relu(x).sum() + 0.5 * x[0])[None]


@pytest.mark.slow
def test_kinks_of_a_network_are_crossed(key: jax.Array) -> None:
    """relu(x0) + relu(x1) + x0 / 2 = 1/2 exactly: x1 = (1 - x0) / 2 - relu(x0) above, x0 = 1/3 below.

    dx0 / |dF/dx1| = dx0 on the first part, dx1 / |dF/dx0| = dx1 / 1.5 on the second; 5 t-scores, 6e-6.
    """
    posterior = Posterior(PRIOR, kinked, Exactly([0.5]))
    method = LiftedHMC(draws=100, warmup=200, chains=32)
    z = method.run(Constraint.of(posterior), key, Silent()).z
    ticks = (np.arange(160_000) + 0.5) / 10_000 - 8.0
    above = ticks[ticks < 1 / 3]
    below = ticks[ticks < 0]
    first = np.stack([above, 0.5 - 0.5 * above - np.maximum(above, 0)], axis=-1)
    second = np.stack([np.full_like(below, 1 / 3), below], axis=-1)
    points = np.concatenate([first, second])
    w = np.exp(-0.5 * (points**2).sum(axis=1)) / np.where(np.arange(len(points)) < len(first), 1.0, 1.5)

    def of(x: np.ndarray) -> np.ndarray:
        a, b = x[..., 0], x[..., 1]
        return np.stack([a, b, a**2, b**2, b < 0], axis=-1).astype(float)

    assert np.abs(scores(of(z), w @ of(points) / w.sum())).max() < 6
    assert np.abs(np.maximum(z, 0).sum(axis=-1) + 0.5 * z[..., 0] - 0.5).max() < 1e-9
