"""A run of LiftedHMC as a whole: what it returns, blocks, interrupts, resume, thinning, settings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv import InputError
from probinv.forward import Function
from probinv.likelihood import Exactly, Gaussian, On, Product
from probinv.methods import Draws, LiftedHMC
from probinv.methods.kernels import blocks
from probinv.posterior import Constraint, Posterior
from probinv.prior import Normal
from tests.compiling import compilations
from tests.methods.problems import Interrupt, Silent, prefix
from tests.methods.surfaces import TOY, curve

pytestmark = pytest.mark.usefixtures("x64")
DRAWS, WARMUP, CHAINS = 30, 40, 3
SHORT = LiftedHMC(draws=DRAWS, warmup=WARMUP, chains=CHAINS, thin=1)
PRIOR = Normal(0.0, 1.0, 2)


def toy(level: float = 1.0, sigma: float = 0.05) -> Posterior:
    return Posterior(PRIOR, Function(curve, TOY), Gaussian([level], sigma))


def run(method: LiftedHMC = SHORT, progress: Any = None, resume: Any = None, on: Any = None) -> Draws:
    return method.run(Constraint.of(on or toy()), jax.random.key(7), progress or Silent(), resume)


@pytest.fixture(scope="module")
def whole() -> Draws:
    """The uninterrupted run that all others are compared with."""
    from probinv._checks import double_precision

    with double_precision():
        return run()


def test_the_result_is_whole(whole: Draws) -> None:
    """lp = log p(z) + log N(eta) - log det(J J^T + 1) / 2 but for a constant, with eta = -r."""
    assert whole.z.shape == (CHAINS, DRAWS, 2)
    for name, value in whole.stats.items():
        assert value.shape == (CHAINS, DRAWS), name
        assert np.isfinite(value).all(), name
    a, b = whole.z[..., 0], whole.z[..., 1]
    eta = (1.0 - (b**2 + a**4 - a**2 / 2)) / 0.05
    slope = np.stack([4 * a**3 - a, 2 * b]) / 0.05
    lp = -0.5 * (a**2 + b**2 + eta**2) - 0.5 * np.log(1 + (slope**2).sum(axis=0))
    assert np.allclose(whole.stats["lp"], lp, rtol=1e-9)
    assert ((whole.stats["acceptance_rate"] >= 0) & (whole.stats["acceptance_rate"] <= 1)).all()
    assert (whole.stats["n_steps"] >= 1).all()
    assert whole.stats["n_steps"].max() > 1
    assert whole.cost.gradients > whole.stats["n_gradients"].sum()
    assert whole.stats["diverging"].sum() == 0
    failed = whole.stats["not_projected"] + whole.stats["not_reversible"]
    assert failed.max() <= 1  # the first failure ends a trajectory
    assert (whole.stats["acceptance_rate"][failed > 0] == 0).all()
    accepted = whole.notes["independent_accepted"]
    assert 0.1 < accepted < 0.9
    rest = {"algorithm": "LiftedHMC", "thin": 1, "finite_under_prior": 1.0}
    assert whole.notes == rest | {"independent_accepted": accepted}
    assert not set(whole.z[0].ravel()) & set(whole.z[1].ravel())


def test_the_step_size_is_one_and_stays_after_warm_up(whole: Draws) -> None:
    """What the draws use is the weighted mean that the warm-up ended with."""
    assert len(np.unique(whole.stats["step_size"])) == 1
    state = whole.state
    assert np.isclose(whole.stats["step_size"][0, 0], np.exp(state["step_size_log_mean"]), rtol=1e-12)
    assert state["step_size_tries"] == WARMUP
    assert state["i"] == WARMUP + DRAWS
    assert whole.stats["step_size"][0, 0] != 0.5


def test_a_second_target_or_tolerance_compiles_nothing(whole: Draws) -> None:
    with compilations() as compiled:
        found = run(on=toy(0.6, 1e-3))
        run(LiftedHMC(draws=DRAWS, warmup=WARMUP + 9, chains=CHAINS, thin=2))
    assert compiled == []
    assert not np.isclose(found.z, whole.z).all(axis=-1).any()


@pytest.mark.parametrize("cuts", [(1,), (3, 1, 7), (200,)], ids=str)
def test_the_draws_do_not_depend_on_the_cuts(
    cuts: tuple[int, ...], whole: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(loop: Any, left: int, thin: int) -> int:
        calls.append(min(left, loop.rows, cuts[len(calls) % len(cuts)]))
        return calls[-1]

    monkeypatch.setattr(blocks.Blocks, "_count", count)
    assert prefix(run(), whole)
    assert sum(calls) == WARMUP + DRAWS


@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupt_keeps_a_prefix_and_resume_goes_on(
    at: int, whole: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks.Blocks, "_count", lambda loop, left, thin: min(left, 7))
    part = run(progress=Interrupt(at, "sampling"))
    assert part.interrupted
    assert part.z.shape[1] == 7 * at
    assert prefix(part, whole)
    rest = run(resume=part.state)
    assert not rest.interrupted
    assert prefix(rest, whole, start=7 * at)
    assert all(np.array_equal(rest.state[name], value) for name, value in whole.state.items())


def test_an_interrupt_during_warm_up_leaves_nothing() -> None:
    with pytest.raises(KeyboardInterrupt, match="there is no draw to keep"):
        run(progress=Interrupt(1, "warm-up"))


def test_more_draws_are_a_continuation(whole: Draws) -> None:
    fewer = run(LiftedHMC(draws=11, warmup=WARMUP, chains=CHAINS, thin=1))
    assert prefix(fewer, whole)
    assert prefix(run(resume=fewer.state), whole, start=11)


def test_thinning_keeps_every_kth_transition(whole: Draws) -> None:
    """The same transitions, of which every second one is kept; what was met on the way is summed."""
    thinned = run(LiftedHMC(draws=DRAWS // 2, warmup=WARMUP, chains=CHAINS, thin=2))
    assert np.array_equal(thinned.z, whole.z[:, 1::2])
    assert np.array_equal(thinned.stats["lp"], whole.stats["lp"][:, 1::2])
    for name in ("n_steps", "n_gradients", "not_projected", "not_reversible"):
        pairs = whole.stats[name].reshape(CHAINS, -1, 2)
        assert np.array_equal(thinned.stats[name], pairs.sum(axis=2)), name
    assert thinned.cost.gradients == whole.cost.gradients


def test_progress_is_told_of_every_step() -> None:
    class Count:
        def __init__(self) -> None:
            self.steps = {"warm-up": 0, "sampling": 0}

        def update(self, steps: int, phase: str) -> None:
            self.steps[phase] += steps

    progress = Count()
    run(progress=progress)
    assert progress.steps == {"warm-up": WARMUP, "sampling": DRAWS}
    assert sum(progress.steps.values()) == SHORT.steps


def test_a_state_of_something_else_is_refused(whole: Draws) -> None:
    state = {name: value for name, value in whole.state.items() if name != "at_z"}
    with pytest.raises(InputError, match="resume is not a state of this method"):
        run(resume=state)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"draws": 0}, "draws"),
        ({"chains": 0}, "chains"),
        ({"warmup": -1}, "warmup"),
        ({"thin": 0}, "thin"),
        ({"max_steps": 0}, "max_steps"),
        ({"target_accept": 1.0}, "target_accept"),
        ({"target_accept": float("nan")}, "target_accept"),
        ({"trajectory_length": 0.0}, "trajectory_length"),
        ({"trajectory_length": float("inf")}, "trajectory_length"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        LiftedHMC(**settings)
    assert caught.value.instead


def test_memory_holds_the_draws_at_least() -> None:
    base = LiftedHMC().memory(100)
    assert base >= 8 * 4 * 1000 * 100
    assert LiftedHMC(draws=2000).memory(100) > 1.4 * base
    assert LiftedHMC(chains=8).memory(100) > 1.8 * base
    assert LiftedHMC().memory(1000) > 5 * base


def test_outputs_that_do_not_matter_are_no_equations() -> None:
    """Three outputs of which one is to be met exactly: the view is that of this output alone."""

    def three(x: jax.Array) -> jax.Array:
        return jnp.stack([x[0], x[1] ** 2 + x[0], x[0] - x[1]])

    view = Constraint.of(Posterior(PRIOR, three, Exactly([np.nan, 0.5, np.nan])))
    z = jnp.array([0.3, -0.7])
    assert view.outputs == 1
    assert np.allclose(view.residual(z), [0.49 + 0.3 - 0.5])
    assert np.array_equal(view.slack, [0.0])
    all_three = Constraint.of(
        Posterior(Normal(0.0, 1.0, 3), lambda x: three(x[:2]) + x[2], Exactly(np.ones(3)))
    )
    assert all_three.outputs == 3
    soft = Constraint.of(Posterior(PRIOR, three, Gaussian([np.nan, 0.5, np.nan], 0.1)))
    assert np.array_equal(soft.slack, np.ones(3))


def test_parts_with_a_tolerance_are_equations_however_deep() -> None:
    def three(x: jax.Array) -> jax.Array:
        return jnp.stack([x[0], x[1], x[0] - x[1]])

    inner = Product([On([0], Exactly([0.1])), On([1], Gaussian([0.2], 0.5))])
    view = Constraint.of(Posterior(PRIOR, three, Product([inner, On([2], Exactly([0.3]))])))
    assert view.mixed
    assert view.outputs == 3
    assert np.array_equal(view.slack, [0.0, 1.0, 0.0])
    assert np.allclose(view.residual(jnp.array([0.1, 0.7])), [0.0, 1.0, -0.9])
