"""A run of ParallelTempering as a whole: what it returns, blocks, interrupts, resume, settings, bad input."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv import InputError, NumericalError
from probinv._checks import double_precision
from probinv.forward import Function
from probinv.likelihood import Exactly, Gaussian
from probinv.methods import Draws, ParallelTempering
from probinv.methods.kernels import blocks
from probinv.methods.smc import _ladder
from probinv.posterior import Path, Posterior
from probinv.prior import Normal
from tests.compiling import compilations
from tests.methods.problems import Interrupt, Silent, prefix
from tests.methods.surfaces import TOY, curve

pytestmark = pytest.mark.usefixtures("x64")
DRAWS, WARMUP, CHAINS, THIN = 24, 30, 3, 2
SHORT = ParallelTempering(draws=DRAWS, warmup=WARMUP, chains=CHAINS, thin=THIN)
PRIOR = Normal(0.0, 1.0, 2)


def toy(level: float = 1.0, sigma: float = 0.2) -> Posterior:
    return Posterior(PRIOR, Function(curve, TOY), Gaussian([level], sigma))


def run(progress: Any = None, on: Any = None, method: ParallelTempering = SHORT, resume: Any = None) -> Draws:
    return method.run(Path.of(on or toy()), jax.random.key(7), progress or Silent(), resume)


@pytest.fixture(scope="module")
def whole() -> Draws:
    """The uninterrupted run that all others are compared with."""
    with double_precision():
        return run()


def test_the_result_is_whole(whole: Draws) -> None:
    assert whole.z.shape == (CHAINS, DRAWS, 2)
    assert not whole.interrupted
    for name, value in whole.stats.items():
        assert value.shape == (CHAINS, DRAWS), name
        assert np.isfinite(value).all(), name
    assert ((whole.stats["acceptance_rate"] >= 0) & (whole.stats["acceptance_rate"] <= THIN)).all()
    assert (whole.stats["n_steps"] >= THIN * _ladder.MOVES).all()
    assert not whole.stats["diverging"].any()
    assert whole.cost.gradients > whole.stats["n_gradients"].sum()
    assert not set(whole.z[0].ravel()) & set(whole.z[1].ravel())
    assert not np.isclose(whole.z, whole.z.mean()).any()


def test_the_notes_tell_of_the_ladder(whole: Draws) -> None:
    notes = whole.notes
    (powers,) = notes["temperatures"]
    assert powers[0] == 0.0
    assert powers[-1] == 1.0
    assert (np.diff(powers) > 0).all()
    assert len(notes["swap_rates"]) == len(powers) - 1
    assert all(0.1 < rate < 1.0 for rate in notes["swap_rates"])
    assert notes["algorithm"] == "ParallelTempering"
    assert notes["thin"] == THIN
    assert notes["lost_particles"] == 0
    assert "not_found" not in notes
    assert len(notes["log_evidence_replicates"]) == CHAINS
    assert np.isfinite(notes["log_evidence_replicates"]).all()
    assert notes["log_evidence_error"] > 0


def test_a_ladder_is_refined_to_a_length_that_others_have() -> None:
    powers = np.array([0.0, 1e-3, 0.2, 1.0])
    found = _ladder.refined(powers)
    assert len(found) == 8
    assert np.array_equal(found[[0, 1, 4, 7]], powers)
    assert (np.diff(found) > 0).all()
    assert np.array_equal(_ladder.refined(found), found)
    for two in ([0.0, 1.0], [0.0, 0.5, 1.0]):
        assert _ladder.refined(np.array(two))[[0, -1]].tolist() == [0.0, 1.0]


def test_an_origin_is_the_round_of_the_last_visit_to_the_prior(whole: Draws) -> None:
    """A walker cannot be at the top sooner than it takes to climb; each of its descents gives a new one."""
    origin, rungs = whole.stats["origin"], len(whole.notes["temperatures"][0])
    assert origin.dtype.kind == "i"
    now = WARMUP + THIN * (np.arange(DRAWS) + 1) - 1
    assert ((origin <= now - (rungs - 2)) & (origin >= 0)).all()
    assert whole.notes["restarts"] == [len(np.unique(one)) for one in origin]
    assert min(whole.notes["restarts"]) > 1
    assert origin.max() > WARMUP


def test_the_step_size_stays_after_warm_up(whole: Draws) -> None:
    assert len(np.unique(whole.stats["step_size"])) == 1
    assert np.isclose(whole.stats["step_size"][0, 0], np.exp(whole.state["log_step"][-1]), rtol=1e-12)
    assert len(np.unique(whole.state["log_step"][1:])) > 1
    assert whole.state["i"] == WARMUP + THIN * DRAWS


def test_the_same_key_gives_the_same_and_compiles_nothing(whole: Draws) -> None:
    """Only a ladder of another length is another program."""
    with compilations() as compiled:
        again = run()
        part = run(method=ParallelTempering(draws=1, warmup=WARMUP, chains=CHAINS, thin=THIN))
        other = run(on=toy(0.6, 0.1), resume=part.state)  # another target and tolerance, the same ladder
    assert compiled == []
    assert prefix(again, whole)
    assert again.notes == whole.notes
    assert other.z.shape == (CHAINS, DRAWS - 1, 2)
    assert not np.isclose(other.z, whole.z[:, 1:]).all(axis=-1).any()


@pytest.mark.parametrize("cuts", [(1,), (3, 1, 7), (200,)], ids=str)
def test_the_draws_do_not_depend_on_the_cuts(
    cuts: tuple[int, ...], whole: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(loop: Any, left: int, thin: int) -> int:
        calls.append(min(left, loop.rows, cuts[len(calls) % len(cuts)]))
        return calls[-1]

    monkeypatch.setattr(blocks.Blocks, "_count", count)
    found = run()
    assert prefix(found, whole)
    assert found.notes == whole.notes
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
    # the evidence is that of all draws, those before the interrupt included
    for name in ("log_evidence_replicates", "temperatures", "swap_rates"):
        assert rest.notes[name] == whole.notes[name]


def test_an_interrupt_during_warm_up_leaves_nothing() -> None:
    with pytest.raises(KeyboardInterrupt, match="there is no draw to keep"):
        run(progress=Interrupt(1, "warm-up"))


def test_more_draws_are_a_continuation(whole: Draws) -> None:
    fewer = run(method=ParallelTempering(draws=11, warmup=WARMUP, chains=CHAINS, thin=THIN))
    assert prefix(fewer, whole)
    assert prefix(run(resume=fewer.state), whole, start=11)


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


def test_each_chain_has_a_pilot_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or all chains would share its errors; the ladder and the unit are those of the first."""
    pilots: list[np.ndarray] = []
    begin = _ladder._begin

    def note(z: np.ndarray, rungs: int, key: jax.Array) -> _ladder.State:
        pilots.extend(z)
        return begin(z, rungs, key)

    monkeypatch.setattr(_ladder, "_begin", note)
    run(method=ParallelTempering(draws=1, warmup=0, chains=CHAINS))
    assert len(pilots) == CHAINS
    assert not set(pilots[0].ravel()) & set(pilots[1].ravel())
    z = np.arange(24.0).reshape(3, 4, 2)
    state = begin(z, 5, jax.random.key(0))
    assert all(set(map(tuple, np.asarray(state.z[k]))) <= set(map(tuple, z[k])) for k in range(3))


def nowhere(x: jax.Array) -> jax.Array:
    return jnp.log(-jnp.exp(x[:1]))


def test_walkers_that_all_die_are_an_error() -> None:
    for wish in (Gaussian([0.6], 0.5), Exactly([0.6])):
        with pytest.raises(NumericalError, match="draws from the prior") as caught:
            run(on=Posterior(PRIOR, nowhere, wish))
        assert caught.value.instead


@pytest.mark.slow
def test_an_exact_wish_that_cannot_be_met_is_said_so() -> None:
    """F >= -1/16: the nearest inputs, and no evidence."""
    found = run(on=Posterior(PRIOR, Function(curve, TOY), Exactly([-0.5])))
    y = found.z[..., 1] ** 2 + found.z[..., 0] ** 4 - found.z[..., 0] ** 2 / 2
    assert np.abs(y + 1 / 16).max() < 1e-3
    assert "no input was found" in found.notes["not_found"]
    assert found.notes["log_evidence"] is None
    assert found.notes["log_evidence_error"] is None
    assert found.notes["log_evidence_replicates"] == [None] * CHAINS
    assert found.notes["lost_particles"] == CHAINS * DRAWS


def test_a_state_of_something_else_is_refused(whole: Draws) -> None:
    for name in ("z", "log_step"):
        state = {key: value for key, value in whole.state.items() if key != name}
        with pytest.raises(InputError, match="resume is not a state of this method"):
            run(resume=state)


@pytest.mark.parametrize("name", ["powers", "unit"])
def test_a_state_without_a_ladder_is_refused(name: str, whole: Draws) -> None:
    state = {key: value for key, value in whole.state.items() if key != name}
    with pytest.raises(InputError, match="resume is not a state of this method"):
        run(resume=state)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"draws": 0}, "draws"),
        ({"chains": 0}, "chains"),
        ({"warmup": -1}, "warmup"),
        ({"thin": 0}, "thin"),
        ({"target_accept": 1.0}, "target_accept"),
        ({"target_accept": float("nan")}, "target_accept"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        ParallelTempering(**settings)
    assert caught.value.instead


def test_memory_holds_the_draws_at_least() -> None:
    base = ParallelTempering().memory(100)
    assert base >= 8 * 4 * 1000 * 100
    assert ParallelTempering(draws=2000).memory(100) >= base + 8 * 4 * 1000 * 100
    assert ParallelTempering(chains=8).memory(100) > 1.8 * base
    assert ParallelTempering().memory(1000) > 4 * base
