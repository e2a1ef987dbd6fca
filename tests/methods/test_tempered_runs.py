"""A run of TemperedSMC as a whole: bookkeeping of the population, interrupts, bad input."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinv import InputError, NumericalError, ViewError, invert, provenance
from probinv._progress import Bar
from probinv.forward import Function, Layered
from probinv.likelihood import Exactly, Gaussian, Label
from probinv.methods import Draws, TemperedSMC
from probinv.methods.smc import _tempering
from probinv.methods.smc._mutate import Moved, batch_of
from probinv.methods.smc._population import log_mean_exp, next_power, systematic, worth
from probinv.posterior import Path, Posterior
from probinv.prior import Normal
from tests.compiling import compilations
from tests.methods.problems import Interrupt, Silent
from tests.methods.surfaces import TOY, curve

pytestmark = pytest.mark.usefixtures("x64")
PARTICLES, REPLICATES = 32, 3
SHORT = TemperedSMC(draws=PARTICLES, chains=REPLICATES)
PRIOR = Normal(0.0, 1.0, 2)


def toy(level: float = 1.0, sigma: float = 0.2) -> Posterior:
    return Posterior(PRIOR, Function(curve, TOY), Gaussian([level], sigma))


def run(progress: Any = None, on: Any = None, method: TemperedSMC = SHORT, resume: Any = None) -> Draws:
    return method.run(Path.of(on or toy()), jax.random.key(3), progress or Silent(), resume)


@pytest.fixture(scope="module")
def whole() -> Draws:
    from probinv._checks import double_precision

    with double_precision():
        return run()


def test_the_result_is_whole(whole: Draws) -> None:
    assert whole.z.shape == (REPLICATES, PARTICLES, 2)
    assert not whole.interrupted
    for name, value in whole.stats.items():
        assert value.shape == (REPLICATES, PARTICLES), name
        assert np.isfinite(value).all(), name
    assert whole.notes["algorithm"] == "TemperedSMC"
    assert whole.notes["particles"] == PARTICLES
    assert len(whole.notes["log_evidence_replicates"]) == REPLICATES
    assert "not_found" not in whole.notes
    for powers in whole.notes["temperatures"]:
        assert powers[0] == 0.0
        assert powers[-1] == 1.0
        assert (np.diff(powers) > 0).all()
        assert len(powers) > 3
    ancestor = whole.stats["ancestor"]
    assert ((ancestor >= 0) & (ancestor < PARTICLES)).all()
    assert ancestor.dtype.kind == "i"
    # copies have been drawn apart, though some descend from the same particle
    assert all(len(np.unique(z, axis=0)) > 0.9 * PARTICLES for z in whole.z)
    assert all(len(np.unique(one)) < PARTICLES for one in ancestor)
    assert not set(whole.z[0].ravel()) & set(whole.z[1].ravel())
    assert whole.cost.gradients > PARTICLES * REPLICATES * 10


def test_the_same_key_gives_the_same_and_another_target_compiles_nothing(whole: Draws) -> None:
    with compilations() as compiled:
        again, other = run(), run(on=toy(0.5, 0.01))
    assert compiled == []
    assert np.array_equal(again.z, whole.z)
    assert again.notes == whole.notes
    assert not np.isclose(other.z, whole.z).any()


def test_an_interrupt_keeps_the_replicates_that_are_done(whole: Draws) -> None:
    stages = [len(powers) - 1 for powers in whole.notes["temperatures"]]
    part = run(Interrupt(sum(stages[:2]) + 1))
    assert part.interrupted
    assert np.array_equal(part.z, whole.z[:2])
    assert all(np.array_equal(value, whole.stats[name][:2]) for name, value in part.stats.items())
    assert part.notes["log_evidence_replicates"] == whole.notes["log_evidence_replicates"][:2]
    with pytest.raises(KeyboardInterrupt, match="there is no draw to keep"):
        run(Interrupt(stages[0]))


def test_the_last_moves_draw_copies_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the population is not carried to the end, a fifth or more of it are copies before."""
    monkeypatch.setattr(_tempering, "SIZE_MOST", 0)
    assert all(len(np.unique(z, axis=0)) == PARTICLES for z in run().z)


def still(settings: Any, view: Any, power: Any, root: Any, z: Any, key: Any, count: Any, step: Any) -> Moved:
    """Moves that leave every particle where it is."""
    zero = jnp.zeros((), int)
    return Moved(z, step, jnp.asarray(0.8), zero, zero, zero)


@pytest.fixture
def without_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the population carried: what is left is importance sampling from the prior."""
    monkeypatch.setattr(_tempering, "mutate", still)
    monkeypatch.setattr(_tempering, "SIZE_MOST", 0)


def test_an_ancestor_is_the_place_in_the_first_population(without_moves: None) -> None:
    found = run()
    for k, key in enumerate(jax.random.split(jax.random.key(3), REPLICATES)):
        key_first = jax.random.split(key, 4)[0]
        first = jax.vmap(Path.of(toy()).sample_prior)(jax.random.split(key_first, PARTICLES))
        assert np.array_equal(found.z[k], np.asarray(first)[found.stats["ancestor"][k]])


def test_without_moves_the_evidence_is_that_of_importance_sampling(without_moves: None) -> None:
    """In one step (a wide tolerance) exactly; in several at least not far off, with 512 particles."""
    wide, method = toy(1.0, 5.0), TemperedSMC(draws=512, chains=2)
    found = run(on=wide, method=method)
    assert [len(powers) for powers in found.notes["temperatures"]] == [2, 2]
    for k, key in enumerate(jax.random.split(jax.random.key(3), 2)):
        first = jax.random.split(jax.random.split(key, 4)[0], 512)
        z = jax.vmap(Path.of(wide).sample_prior)(first)
        direct = log_mean_exp(np.asarray(jax.vmap(wide.log_likelihood)(z)))
        assert np.isclose(found.notes["log_evidence_replicates"][k], direct, rtol=1e-12)
    narrow = run(on=toy(), method=method)
    assert all(len(powers) > 3 for powers in narrow.notes["temperatures"])
    for k, key in enumerate(jax.random.split(jax.random.key(3), 2)):
        z = jax.vmap(Path.of(wide).sample_prior)(jax.random.split(jax.random.split(key, 4)[0], 512))
        direct = log_mean_exp(np.asarray(jax.vmap(toy().log_likelihood)(z)))
        assert abs(narrow.notes["log_evidence_replicates"][k] - direct) < 0.1


def test_systematic_resampling_is_unbiased_and_regular() -> None:
    """Each particle n w times, rounded down or up; over all offsets n w on average."""
    log_weight = np.log([0.5, 0.0001, 0.3, 0.05, 0.1499])
    counts = np.stack(
        [np.bincount(systematic(log_weight + 700, u), minlength=5) for u in (np.arange(4000) + 0.5) / 4000]
    )
    wanted = 5 * np.exp(log_weight)
    assert (np.abs(counts - wanted) < 1).all()
    assert np.allclose(counts.mean(axis=0), wanted, atol=1e-3)
    weights = np.where([True, False, True], 0.0, -np.inf)
    assert set(systematic(weights, 0.999999)) == {0, 2}


def test_the_next_temperature_keeps_what_was_asked() -> None:
    fit = -0.5 * stats.chi2(3).rvs(1000, random_state=0) * 1e6
    power = next_power(fit, 1e-9, 1.0, 0.7)
    assert np.isclose(worth((power - 1e-9) * fit), 0.7, atol=1e-6)
    assert next_power(fit * 1e-9, 0.5, 1.0, 0.7) == 1.0
    assert worth(np.zeros(7)) == pytest.approx(1.0)
    assert worth(np.array([0.0, -np.inf])) == pytest.approx(0.5)
    assert log_mean_exp(np.array([1000.0, 1000.0 + np.log(3)])) == pytest.approx(1000 + np.log(2))
    few = np.where(np.arange(1000) < 100, -1.0, -np.inf)
    assert 0.0 < next_power(few, 0.0, 1.0, 0.7) < 1e-300  # a tenth is finite: those first


def half(x: jax.Array) -> jax.Array:
    """NaN for half of the prior."""
    return jnp.sqrt(x[:1]) + x[1:]


def test_particles_without_a_value_die_and_the_evidence_counts_them(without_moves: None) -> None:
    """y = sqrt(x0) + x1 = 0.6 within 1: p(Y*) over x0 > 0, by quadrature; standard error of 5 %."""
    posterior = Posterior(PRIOR, half, Gaussian([0.6], 1.0))
    found = run(on=posterior, method=TemperedSMC(draws=512, chains=3))
    assert found.notes["temperatures"][0][1] < 1e-300
    ticks = (np.arange(20_000) + 0.5) / 2000
    law = stats.norm(0.6, np.sqrt(2.0)).pdf(np.sqrt(ticks)) * stats.norm.pdf(ticks)
    assert abs(np.exp(found.notes["log_evidence"]) / (law.sum() / 2000) - 1) < 0.3
    assert (found.z[..., 0] >= 0).all()


def nowhere(x: jax.Array) -> jax.Array:
    return jnp.log(-jnp.exp(x[:1]))


def test_particles_that_all_die_are_an_error() -> None:
    for wish in (Gaussian([0.6], 0.5), Exactly([0.6])):
        with pytest.raises(NumericalError, match="all of 32 draws from the prior") as caught:
            run(on=Posterior(PRIOR, nowhere, wish))
        assert caught.value.instead


def test_resume_goes_on_with_the_replicates_that_are_missing(whole: Draws) -> None:
    stages = [len(powers) - 1 for powers in whole.notes["temperatures"]]
    part = run(Interrupt(sum(stages[:2]) + 1))
    rest = run(resume=part.state)
    assert not rest.interrupted
    assert rest.state == {}
    assert np.array_equal(rest.z, whole.z)
    assert all(np.array_equal(value, whole.stats[name]) for name, value in rest.stats.items())
    assert rest.notes == whole.notes
    assert part.cost.gradients + rest.cost.gradients == whole.cost.gradients


def test_what_cannot_be_resumed_is_refused(whole: Draws) -> None:
    stages = [len(powers) - 1 for powers in whole.notes["temperatures"]]
    state = run(Interrupt(stages[0] + 1)).state
    with pytest.raises(InputError, match="populations of 32 particles"):
        run(method=TemperedSMC(draws=PARTICLES + 1, chains=REPLICATES), resume=state)
    for broken in (
        {},
        {"z": np.zeros(3)},
        {name: value for name, value in state.items() if "step" not in name},
    ):
        with pytest.raises(InputError, match="no finished population"):
            run(resume=broken)


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [3, 30])
def test_a_tree_is_continued_to_the_bit(inputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ridge reduction and without: what is completed does not depend on the cut either."""
    method = TemperedSMC(draws=PARTICLES, chains=REPLICATES, moves=1, last_moves=1)
    slope = np.random.default_rng(0).normal(size=(2, inputs)) / np.sqrt(inputs)
    posterior = Posterior(Normal(0.0, 1.0, inputs), Layered.from_arrays([slope]), Gaussian([0.3, 0.2], 0.1))
    tree = invert(posterior, method, progress=False, verdict=False)
    stages = [len(powers) - 1 for powers in provenance(tree)["notes"]["temperatures"]]
    monkeypatch.setattr(Bar, "update", Interrupt(stages[0] + 1).update)
    part = invert(posterior, method, progress=False, verdict=False)
    monkeypatch.undo()
    assert provenance(part)["interrupted"]
    assert part["posterior"].sizes["chain"] == 1
    for given in (method, None):
        again = invert(posterior, given, progress=False, verdict=False, resume=part)
        for group in ("posterior", "sample_stats", "posterior_predictive"):
            assert again[group].dataset.identical(tree[group].dataset)
        assert provenance(again)["notes"] == provenance(tree)["notes"]


def test_batches_divide_a_population_where_that_does_not_make_them_tiny() -> None:
    for particles, batch in ((1000, 25), (4096, 32), (24, 24), (1009, 32), (3, 3)):
        assert batch_of(10, particles) == batch
    assert batch_of(1_000_000, 1000) == 1


def test_views_that_there_are_not() -> None:
    with pytest.raises(ViewError, match="more equations than unknowns"):
        Path.of(Posterior(PRIOR, lambda x: jnp.stack([x[0], x[1], x[0] + x[1]]), Exactly([0.0, 1.0, 1.0])))
    label = Path.of(Posterior(Normal(0.0, 1.0, 2), lambda x: x, Label(0)))
    assert label.constraint is None
    assert label.end == 1.0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"draws": 0}, "draws"),
        ({"chains": 0}, "chains"),
        ({"moves": 0}, "moves"),
        ({"last_moves": 0}, "last_moves"),
        ({"keep": 1.0}, "keep"),
        ({"keep": float("nan")}, "keep"),
        ({"target_accept": 0.0}, "target_accept"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        TemperedSMC(**settings)
    assert caught.value.instead


def test_memory_holds_the_draws_at_least() -> None:
    base = TemperedSMC().memory(100)
    assert base >= 8 * 4 * 1000 * 100
    assert TemperedSMC(draws=2000).memory(100) > 1.3 * base
    assert TemperedSMC(chains=8).memory(100) > 1.2 * base
    assert TemperedSMC().memory(1000) > 4 * base
