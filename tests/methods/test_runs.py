"""A run of NUTS or HMC as a whole: blocks, interrupts, resume, thinning, seeds, statistics."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv import InputError, NumericalError
from probinv.forward import Activation, Affine, Layered
from probinv.likelihood import AtLeast, Gaussian
from probinv.methods import HMC, METHODS, NUTS, AbstractMethod, Draws
from probinv.methods.kernels import blocks
from probinv.methods.kernels.hamiltonian import advance, initialise
from probinv.methods.mcmc import _run
from probinv.posterior import Chain, Density, Posterior, Region
from probinv.prior import Normal
from tests.compiling import compilations
from tests.methods.problems import Interrupt, Silent, gauss, linear, moments, prefix, scores, square

pytestmark = pytest.mark.usefixtures("x64")
ROOT = Path(__file__).parents[2]
POSTERIOR = gauss(5, 3).posterior
SEED = 7
DRAWS, WARMUP, CHAINS = 40, 60, 3
SHORT = NUTS(draws=DRAWS, warmup=WARMUP, chains=CHAINS)
FEWER = NUTS(draws=15, warmup=WARMUP, chains=CHAINS)


def run(
    method: Any = SHORT, progress: Any = None, resume: Any = None, seed: int = SEED, on: Posterior = POSTERIOR
) -> Draws:
    return method.run(Density.of(on), jax.random.key(seed), progress or Silent(), resume)


@pytest.fixture(scope="module")
def whole() -> Draws:
    """The uninterrupted run that all others are compared with."""
    from probinv._checks import double_precision

    with double_precision():
        return run()


def test_the_result_is_whole(whole: Draws) -> None:
    view = Density.of(POSTERIOR)
    assert whole.z.shape == (CHAINS, DRAWS, 5)
    assert not whole.interrupted
    for name, value in whole.stats.items():
        assert value.shape == (CHAINS, DRAWS), name
        assert np.isfinite(value).all(), name
    lp = jax.jit(jax.vmap(view.log_density))(whole.z.reshape(-1, 5)).reshape(CHAINS, DRAWS)
    assert np.allclose(whole.stats["lp"], lp, rtol=1e-12)
    assert (whole.stats["energy"] > -whole.stats["lp"]).all()
    assert ((whole.stats["acceptance_rate"] > 0) & (whole.stats["acceptance_rate"] <= 1)).all()
    assert (whole.stats["n_steps"] >= 1).all()
    assert (2 ** whole.stats["tree_depth"] - 1 >= whole.stats["n_steps"]).all()
    assert (2 ** (whole.stats["tree_depth"] - 1) - 1 < whole.stats["n_steps"]).all()
    assert (whole.stats["step_size"] == whole.stats["step_size"][:, :1]).all()
    assert len(np.unique(whole.stats["step_size"])) == CHAINS
    assert whole.stats["nan_count"].sum() == 0
    assert whole.cost.gradients > whole.stats["n_steps"].sum()
    # a trajectory may end where it began, but two chains never meet
    assert len(np.unique(whole.z)) > 0.9 * whole.z.size
    assert not set(whole.z[0].ravel()) & set(whole.z[1].ravel())


def test_the_same_seed_gives_the_same_and_another_another(whole: Draws) -> None:
    assert prefix(run(), whole)
    other = run(seed=SEED + 1)
    assert not np.isclose(other.z, whole.z).any()


def test_a_second_target_compiles_nothing(whole: Draws) -> None:
    likelihood = POSTERIOR.likelihood
    second = Posterior(POSTERIOR.prior, POSTERIOR.forward, likelihood.at(likelihood.target + 1.0))
    with compilations() as compiled:
        found = run(on=second)
    assert compiled == []
    assert not np.isclose(found.z, whole.z).any()


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
    assert len(calls) >= (WARMUP + DRAWS) / max(cuts)


def test_no_step_of_any_chain_shares_its_key() -> None:
    """The kernel leaves in its state a key split from that of the step; 3 chains and 60 steps."""
    view, settings, rows = Density(POSTERIOR), SHORT.kernel, _run.rows_of_block(SHORT.plan, 5)
    keys = jax.random.split(jax.random.key(1), CHAINS)
    state, seen = initialise(settings, view, jnp.zeros((CHAINS, 5)), keys), []
    for count in (1,) * 30 + (7, 3):
        state, _ = advance(settings, view, keys, state, jnp.asarray(count), jnp.asarray(1), rows)
        seen += [tuple(key) for key in np.asarray(jax.random.key_data(state.rng_key))]
    assert len(set(seen)) == len(seen) == 32 * CHAINS


@pytest.mark.slow
def test_the_draws_do_not_depend_on_the_buffer(whole: Draws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS_MOST", 7)
    assert prefix(run(), whole)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_an_interrupt_leaves_a_prefix_that_can_be_continued(
    block: int, whole: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks.Blocks, "_count", lambda loop, left, thin: min(left, 9))
    part = run(progress=Interrupt(block, "sampling"))
    assert part.interrupted
    assert part.z.shape == (CHAINS, 9 * block, 5)
    assert prefix(part, whole)
    rest = run(resume=part.state)
    assert not rest.interrupted
    assert rest.z.shape == (CHAINS, DRAWS - 9 * block, 5)
    assert prefix(rest, whole, start=9 * block)
    assert all(np.array_equal(rest.state[name], value) for name, value in whole.state.items())


def test_an_interrupt_inside_a_block_loses_that_block_only(
    whole: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal arrives anywhere: here when the device has moved on and the draws are being fetched."""
    calls, advance = [], _run.advance

    class Signal:
        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise KeyboardInterrupt

    def interrupted(*args: Any) -> Any:
        state, out = advance(*args)
        calls.append(int(args[4]))
        return state, out if sum(calls) < WARMUP + 25 else dict.fromkeys(out, Signal())

    monkeypatch.setattr(blocks.Blocks, "_count", lambda loop, left, thin: min(left, 10))
    monkeypatch.setattr(_run, "advance", interrupted)
    part = run()
    monkeypatch.setattr(_run, "advance", advance)
    assert part.interrupted
    assert part.z.shape[1] == 20
    assert prefix(part, whole)
    assert prefix(run(resume=part.state), whole, start=20)


@pytest.mark.parametrize("update", [1, 2])
def test_an_interrupt_in_the_warmup_keeps_nothing_and_says_so(
    update: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks.Blocks, "_count", lambda loop, left, thin: min(left, 20))
    with pytest.raises(KeyboardInterrupt, match="during warm-up"):
        run(progress=Interrupt(update, "warm-up"))


def test_a_shorter_run_is_continued(whole: Draws) -> None:
    part = run(FEWER)
    assert part.z.shape[1] == 15
    assert prefix(part, whole)
    assert prefix(run(resume=part.state), whole, start=15)


def test_a_complete_run_continues_with_nothing(whole: Draws) -> None:
    rest = run(resume=whole.state)
    assert rest.z.shape == (CHAINS, 0, 5)
    assert not rest.interrupted
    assert all(value.shape == (CHAINS, 0) for value in rest.stats.values())
    assert all(np.array_equal(rest.state[name], value) for name, value in whole.state.items())


def test_an_interrupt_at_once_after_a_resume_keeps_the_state(
    whole: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = run(FEWER)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(blocks.Blocks, "_count", interrupted)
    nothing = run(resume=part.state)
    monkeypatch.undo()
    assert nothing.interrupted
    assert nothing.z.shape == (CHAINS, 0, 5)
    assert prefix(run(resume=nothing.state), whole, start=15)


@pytest.mark.parametrize("spoil", ["missing", "shape"])
def test_a_state_of_something_else_is_refused(spoil: str, whole: Draws) -> None:
    state = dict(whole.state)
    if spoil == "missing":
        del state["z"]
    else:
        state["z"] = state["z"][:-1]
    with pytest.raises(InputError, match="resume is not a state of this method"):
        run(resume=state)


OTHER_PROCESS = """
import sys
import jax, numpy as np
from probinv._checks import double_precision
from tests.methods import test_runs
with double_precision():
    state = dict(np.load(sys.argv[1]))
    rest = test_runs.run(resume=state)
np.savez(sys.argv[2], z=rest.z, **rest.stats)
"""


@pytest.mark.slow
def test_another_process_continues_bit_for_bit(whole: Draws, tmp_path: Path) -> None:
    np.savez(tmp_path / "state.npz", **run(FEWER).state)
    command = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "state.npz"), str(tmp_path / "rest.npz")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    with np.load(tmp_path / "rest.npz") as rest:
        assert np.array_equal(rest["z"], whole.z[:, 15:])
        assert all(np.array_equal(rest[name], value[:, 15:]) for name, value in whole.stats.items())


def test_thinning_keeps_every_kth_transition(whole: Draws) -> None:
    """The same transitions, of which every second one is kept; the steps of both are counted."""
    thinned = run(NUTS(draws=DRAWS // 2, warmup=WARMUP, chains=CHAINS, thin=2))
    assert np.array_equal(thinned.z, whole.z[:, 1::2])
    assert np.array_equal(thinned.stats["lp"], whole.stats["lp"][:, 1::2])
    assert np.array_equal(thinned.stats["n_steps"], whole.stats["n_steps"].reshape(CHAINS, -1, 2).sum(axis=2))
    assert thinned.cost.gradients == whole.cost.gradients
    half = run(NUTS(draws=4, warmup=WARMUP, chains=CHAINS, thin=2))
    rest = run(NUTS(draws=DRAWS // 2, warmup=WARMUP, chains=CHAINS, thin=2), resume=half.state)
    assert prefix(rest, thinned, start=4)


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


@pytest.mark.slow
def test_a_dense_mass_matrix_removes_a_correlation(key: jax.Array) -> None:
    """x_1 + x_2 is known ten times better than x_1 - x_2: exact, in fewer steps than with a diagonal.

    32 chains; |z| <= 5 of Student's law with 31 degrees of freedom: false alarm 5 * 2e-5 = 1e-4.
    """
    matrix = np.array([[1.0, 1.0], [0.1, -0.1]])
    posterior = Posterior(
        Normal(0.0, 1.0, 2), lambda x: linear(jnp.asarray(matrix), x), Gaussian([0.5, 0.2], 0.1)
    )
    slope = matrix / 0.1
    covariance = np.linalg.inv(np.eye(2) + slope.T @ slope)
    mean = covariance @ slope.T @ np.array([5.0, 2.0])
    steps = {}
    for dense in (True, False):
        method = NUTS(draws=200, warmup=400, chains=32, dense_mass=dense)
        draws = method.run(Density.of(posterior), key, Silent())
        w = (draws.z - mean) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
        assert np.abs(scores(*moments(w))).max() <= 5
        steps[dense] = draws.stats["n_steps"].mean()
    assert steps[True] < 0.6 * steps[False]


@pytest.mark.slow
def test_eight_chains_occupy_both_solutions_of_a_square() -> None:
    """x^2 = 4 with tolerance 0.1: chains cannot cross, so both have to be found at the start."""
    posterior = Posterior(Normal(0.0, 2.0, 1), square, Gaussian([4.0], 0.1))
    x = 2 * run(NUTS(draws=50, warmup=100, chains=8), on=posterior).z[..., 0]
    side = np.sign(x)
    assert (side == side[:, :1]).all()
    assert set(side[:, 0]) == {-1.0, 1.0}
    assert (np.abs(np.abs(x) - 2) < 0.2).all()


def root(x: jax.Array) -> jax.Array:
    """NaN for a negative first input."""
    return jnp.sqrt(x[0]) + x[1]


def nowhere(x: jax.Array) -> jax.Array:
    return jnp.log(-jnp.exp(x[0]))


NAN_REGION = Posterior(Normal(0.0, 1.0, 2), root, Gaussian(0.6, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("method", [NUTS, HMC])
def test_a_region_of_nan_is_counted_and_enters_no_draw(method: Any) -> None:
    """HMC's step size falls by seven orders of magnitude here: a trajectory must stay finite."""
    draws = run(method(draws=100, warmup=100, chains=2), on=NAN_REGION)
    assert draws.stats["nan_count"].sum() > 0
    assert (draws.stats["nan_count"][~draws.stats["diverging"]] == 0).all()
    assert (draws.z[..., 0] > 0).all()
    assert np.isfinite(draws.z).all()
    assert all(np.isfinite(value).all() for value in draws.stats.values())
    assert 0.3 < draws.notes["finite_under_prior"] < 0.7
    assert draws.stats["n_steps"].max() <= 1023


@pytest.mark.parametrize("name", METHODS)
def test_a_network_that_is_nan_everywhere_is_refused(name: str) -> None:
    method: AbstractMethod = METHODS[name]()
    wish = AtLeast(0.6) if method.view is Region else Gaussian(0.6, 0.5)
    posterior = Posterior(Normal(0.0, 1.0, 2), nowhere, wish)
    if method.view is Chain:  # layers that overflow for every x
        overflow = Layered([Affine(0.0, 1000.0), Activation("exp"), Activation("exp")], 2)
        posterior = Posterior(Normal(0.0, 1.0, 2), overflow, Gaussian([0.6, 0.6], 0.5))
    with pytest.raises(NumericalError, match="NaN or infinite at all of"):
        method.run(method.view.of(posterior), jax.random.key(0), Silent())


@pytest.mark.parametrize(
    ("method", "settings", "name"),
    [
        (NUTS, {"draws": 0}, "draws"),
        (NUTS, {"chains": 0}, "chains"),
        (NUTS, {"warmup": -1}, "warmup"),
        (NUTS, {"thin": 0}, "thin"),
        (NUTS, {"target_accept": 1.0}, "target_accept"),
        (NUTS, {"target_accept": float("nan")}, "target_accept"),
        (NUTS, {"max_tree_depth": 0}, "max_tree_depth"),
        (HMC, {"draws": 0}, "draws"),
        (HMC, {"trajectory_length": 0.0}, "trajectory_length"),
        (HMC, {"trajectory_length": float("inf")}, "trajectory_length"),
        (HMC, {"max_steps": 0}, "max_steps"),
    ],
)
def test_settings_that_cannot_be_used_are_named(method: Any, settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        method(**settings)
    assert caught.value.instead


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(TypeError, match="drws"):
        NUTS(drws=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("method", [NUTS, HMC])
def test_memory_holds_the_draws_at_least(method: Any) -> None:
    """And grows with draws, chains, inputs and a dense mass matrix."""
    base = method().memory(100)
    assert base >= 8 * 4 * 1000 * 100
    assert method(draws=2000).memory(100) > 1.4 * base
    assert method(chains=8).memory(100) > 1.8 * base
    assert method().memory(1000) > 5 * base
    assert method(dense_mass=True).memory(1000) > method().memory(1000) + 8 * 4 * 1000**2
