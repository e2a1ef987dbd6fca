"""Simulation-based calibration: it passes what is right, and finds what is wrong."""

from functools import cache
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinv import InputError, ViewError
from probinv.bench.calibration import MISTAKES, OTHERS, PROBLEMS, SAMPLER, Calibration, Mistaken, calibrate
from probinv.likelihood import AtLeast, Label
from probinv.methods import HMC, MAP, NUTS, AbstractMethod, Cost, Draws, LiftedHMC
from probinv.posterior import Constraint, Density, Posterior
from probinv.prior import Normal
from tests.posterior.zoo import tanh_network

pytestmark = pytest.mark.optimised
LEVEL = 1e-3  # of all quantities of one calibration together: its false-alarm rate


@cache
def found(problem: str, mistake: str | None) -> Calibration:
    """200 replications of NUTS, one chain for each target, all in one program; the key is fixed."""
    planted = None if mistake is None else MISTAKES[mistake]
    return calibrate(PROBLEMS[problem](), SAMPLER, jax.random.key(2), mistake=planted, at_once=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "mistake"), [*((name, None) for name in PROBLEMS), ("tanh 3-8-2", "none")]
)
def test_nuts_is_calibrated(problem: str, mistake: str | None) -> None:
    """z, log p(z), log p(Y* | y) and every residual have uniform ranks; false alarm 1e-3."""
    calibration = found(problem, mistake)
    outputs = {"linear 3-3": 3, "tanh 3-8-2": 2}[problem]
    names = [f"z[{i}]" for i in range(3)] + ["log_prior", "log_likelihood"]
    assert set(calibration.ranks) == {*names, *(f"r[{j}]" for j in range(outputs))}
    assert all(len(ranks) == 200 for ranks in calibration.ranks.values())
    assert calibration.p_value > LEVEL, calibration.p_values()


@final
class Wider(AbstractMethod):
    """Another method, run with twice the tolerances; `view` and `points` are those of LiftedHMC."""

    method: AbstractMethod
    chains: int = 1
    view: ClassVar[type] = Constraint
    exact: ClassVar[bool] = False

    @property
    def steps(self) -> int:
        return self.method.steps

    @property
    def points(self) -> int:
        return self.method.points

    def memory(self, size: int) -> int:
        return 0

    def run(self, view: Any, key: jax.Array, progress: Any, resume: Any = None) -> Draws:
        scale = view.posterior.likelihood.noise.scale
        wider = eqx.tree_at(lambda v: v.posterior.likelihood.noise.scale, view, 2 * scale)
        found = self.method.run(wider, key, progress)
        assert isinstance(found, Draws)
        return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "method"),
    list(zip(PROBLEMS, OTHERS[::-1], strict=True)),
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_other_samplers_are_calibrated(problem: str, method: AbstractMethod) -> None:
    """As they run, target by target, from their own beginnings; false alarm 1e-3. Twice the tolerance is seen
    in log p(Y* | y) and the residuals."""
    calibration = calibrate(PROBLEMS[problem](), method, jax.random.key(2))
    assert calibration.p_value > LEVEL, calibration.p_values()
    if isinstance(method, LiftedHMC):
        wider = calibrate(PROBLEMS[problem](), Wider(method), jax.random.key(2), replications=100)
        assert wider.p_value < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("mistake", [name for name in MISTAKES if name != "none"])
def test_every_planted_mistake_is_found(mistake: str) -> None:
    """Far below the level: chance has no part in it."""
    assert found("tanh 3-8-2", mistake).p_value < 1e-10


@pytest.mark.slow
def test_quantities_that_ignore_the_target_do_not_find_that_the_target_is_ignored() -> None:
    """Draws of the prior pass in z and log p(z): the data-dependent quantities are needed."""
    values = found("tanh 3-8-2", "likelihood ignored").p_values()
    blind = [value for name, value in values.items() if name == "log_prior" or name.startswith("z")]
    assert len(blind) == 4
    assert min(blind) * len(blind) > LEVEL
    assert values["log_likelihood"] < 1e-10


@final
class ClosedForm(AbstractMethod):
    """Independent draws of a linear-Gaussian posterior, their deviations scaled by a factor."""

    factor: float = 1.0
    chains: int = 1
    view: ClassVar[type] = Density
    exact: ClassVar[bool] = True

    @property
    def steps(self) -> int:
        return 1

    @property
    def points(self) -> int:
        return 63

    def memory(self, size: int) -> int:
        return 0

    def run(self, view: Any, key: jax.Array, progress: Any, resume: Any = None) -> Draws:
        z = _closed_form(view, key, self.factor)
        return Draws(np.asarray(z)[None], {}, Cost(0, 0.0, 0.0), {}, False, {})


@jax.jit
def _closed_form(view: Any, key: jax.Array, factor: float) -> jax.Array:
    """Mean and covariance from the value and the derivatives of r and of nothing else of the view."""
    posterior = view.posterior
    zero = jnp.zeros(posterior.size)

    def residual(z: jax.Array) -> jax.Array:
        return posterior.likelihood.residual(posterior.y(z))

    slope = jax.jacfwd(residual)(zero)
    precision = jnp.eye(posterior.size) + slope.T @ slope
    mean = -jnp.linalg.solve(precision, slope.T @ residual(zero))
    noise = jax.random.normal(key, (63, posterior.size))
    return mean[None] + factor * noise @ jnp.linalg.inv(jnp.linalg.cholesky(precision))


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.4, False), (0.7, False)])
def test_an_exact_sampler_passes_and_one_of_wrong_spread_does_not(
    factor: float, right: bool, key: jax.Array
) -> None:
    """By way of `method.run`, target by target; false alarm 1e-3."""
    calibration = calibrate(PROBLEMS["linear 3-3"](), ClosedForm(factor), key)
    assert (calibration.p_value > LEVEL) is right
    if not right:
        assert calibration.p_value < 1e-6


@pytest.mark.slow
def test_nuts_as_invert_runs_it_is_calibrated(key: jax.Array) -> None:
    """With its own starting points, blocks and chains, 100 targets; false alarm 1e-3."""
    method = NUTS(draws=16, warmup=100, chains=4, thin=5)
    assert calibrate(PROBLEMS["tanh 3-8-2"](), method, key, replications=100).p_value > LEVEL


def test_the_p_value_of_uniform_ranks_is_uniform() -> None:
    """2000 calibrations of 3 quantities: below .1 and .01 as often as they say (4.5 standard errors)."""
    rng = np.random.default_rng(0)
    p = []
    for ranks in rng.integers(0, 64, (2000, 3, 200)):
        p.append(Calibration(dict(zip("abc", ranks, strict=True)), 63).p_value)
    for level in (0.1, 0.01):
        wanted = 1 - (1 - level / 3) ** 3  # Bonferroni of three independent p-values
        assert abs(np.mean(np.array(p) < level) - wanted) < 4.5 * np.sqrt(wanted / 2000)


def test_p_values_are_those_of_the_chi_squared_test() -> None:
    """200 ranks of 0 ... 63 in 8 bins of 8."""
    ranks = np.random.default_rng(1).integers(0, 50, 200)
    counts = [int(((ranks >= 8 * k) & (ranks < 8 * k + 8)).sum()) for k in range(8)]
    wanted = stats.chi2.sf(sum((n - 25) ** 2 / 25 for n in counts), 7)
    calibration = Calibration({"a": ranks, "b": np.arange(200) % 64}, 63)
    assert np.isclose(calibration.p_values()["a"], wanted)
    assert np.isclose(calibration.p_value, 2 * wanted)


def test_planted_mistakes_are_what_they_say(x64: None, key: jax.Array) -> None:
    """Their densities are those of a posterior in which that mistake was made, but for a constant."""
    posterior = PROBLEMS["linear 3-3"]()
    z, other = jax.random.normal(key, (2, 3))

    def difference(view: Any) -> float:
        return float(view.log_density(z) - view.log_density(other))

    def mistaken(name: str) -> float:
        return difference(Mistaken.of(posterior, MISTAKES[name]))

    def prior(z: jax.Array) -> jax.Array:
        return posterior.log_prior(z)

    r, r_other = (posterior.likelihood.residual(posterior.y(point)) for point in (z, other))  # type: ignore[attr-defined]
    only_prior, squares = float(prior(z) - prior(other)), np.asarray(r**2 - r_other**2)
    assert np.isclose(mistaken("none"), difference(Density.of(posterior)))
    assert np.isclose(mistaken("likelihood ignored"), only_prior)
    assert np.isclose(mistaken("one output ignored"), only_prior - 0.5 * squares[1:].sum())
    assert np.isclose(mistaken("sigma x 2"), only_prior - 0.125 * squares.sum())
    assert np.isclose(mistaken("prior dropped"), -0.5 * squares.sum())


def test_a_mistake_needs_a_residual(key: jax.Array) -> None:
    posterior = Posterior(Normal(0.0, 1.0, 3), tanh_network(3, 4, 3), Label(0))
    with pytest.raises(ViewError, match="residual"):
        calibrate(posterior, SAMPLER, key, mistake=MISTAKES["none"], at_once=True)


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        (MAP(), {}, "MAP does not draw"),
        (NUTS(draws=10, chains=4), {}, "draws=63 is more than the method gives"),
        (ClosedForm(), {"at_once": True}, "at_once is for NUTS and HMC"),
        (OTHERS[0], {"mistake": MISTAKES["none"]}, "works on the view Constraint"),
        (HMC(), {"replications": 0}, "replications"),
        (HMC(), {"draws": 0}, "draws"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    method: Any, settings: dict[str, Any], words: str, key: jax.Array
) -> None:
    with pytest.raises(InputError, match=words):
        calibrate(PROBLEMS["linear 3-3"](), method, key, **settings)


def test_a_wish_that_cannot_be_simulated_is_refused(key: jax.Array) -> None:
    posterior = Posterior(Normal(0.0, 1.0, 3), tanh_network(3, 4, 2), AtLeast([0.0, 0.0], 0.1))
    with pytest.raises(ViewError, match="cannot simulate"):
        calibrate(posterior, NUTS(), key)
