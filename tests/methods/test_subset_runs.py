"""A run of SubsetSimulation as a whole: levels, kernels, interrupts, what cannot be met, errors, verdicts."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from probinv import InputError, Verdict, diagnose, invert
from probinv.forward import Function
from probinv.likelihood import Argmax, AtLeast, On, Ordering
from probinv.methods import Draws, SubsetSimulation
from probinv.methods.kernels.crank_nicolson import Move, Particle, moved
from probinv.methods.kernels.noise import normal_of, uniform_of
from probinv.methods.smc import _particles
from probinv.methods.smc._levels import combined, family_variance, next_level
from probinv.methods.smc._particles import Mover, spread
from probinv.methods.smc._subset import remaining
from probinv.posterior import Posterior, Region
from probinv.prior import Normal, Uniform
from probinv.results.tree import provenance
from tests.compiling import compilations
from tests.methods.problems import Interrupt, Silent, linear

pytestmark = pytest.mark.usefixtures("x64")
MATRIX = np.array([[0.6, -0.8, 0.0], [0.0, 0.0, 1.0]])
POSTERIOR = Posterior(Normal(0.0, 1.0, 3), Function(linear, MATRIX), AtLeast([2.0, 0.5]))
METHOD = SubsetSimulation(draws=60, chains=3)
SEED = 7


def run(
    method: SubsetSimulation = METHOD, progress: Any = None, seed: int = SEED, on: Posterior = POSTERIOR
) -> Draws:
    return method.run(Region.of(on), jax.random.key(seed), progress or Silent())


@pytest.fixture(scope="module")
def whole() -> Draws:
    from probinv._checks import double_precision

    with double_precision():
        return run()


def same(one: Draws, other: Draws, chains: int = 3) -> bool:
    equal = [np.array_equal(one.z, other.z[:chains])]
    equal += [np.array_equal(value, other.stats[name][:chains]) for name, value in one.stats.items()]
    return all(equal)


def test_the_result_is_whole(whole: Draws) -> None:
    assert whole.z.shape == (3, 60, 3)
    assert not whole.interrupted
    for name, value in whole.stats.items():
        assert value.shape == (3, 60), name
        assert np.isfinite(value).all(), name
    inside = jax.vmap(jax.vmap(Region(POSTERIOR).inside))(jnp.asarray(whole.z))
    assert inside.all()
    assert (whole.stats["margin"] >= 0).all()
    np.testing.assert_allclose(whole.stats["lp"], stats.norm.logpdf(whole.z).sum(axis=2), rtol=1e-12)
    assert ((whole.stats["acceptance_rate"] >= 0) & (whole.stats["acceptance_rate"] <= 1)).all()
    assert 0.3 < whole.stats["acceptance_rate"].mean() < 0.5
    ancestor = whole.stats["ancestor"]
    assert ((ancestor >= 0) & (ancestor < 60)).all()
    assert (np.diff(ancestor, axis=1) >= 0).all(), "families stand together"
    notes = whole.notes
    assert (whole.stats["n_steps"] == sum(notes["moves"])).all()
    assert notes["levels"][0][-1] == 0
    assert (np.diff(notes["levels"][0]) > 0).all()
    assert notes["levels"] == [notes["levels"][0]] * 3
    np.testing.assert_allclose(np.log(notes["fractions"]).sum(axis=1), notes["log_evidence_replicates"])
    assert notes["particles"] == 60
    assert notes["evaluations"] > 60 * 4 * 3 * len(notes["levels"][0])
    assert notes["nan_margins"] == 0
    assert notes["finite_under_prior"] == 1
    assert len(np.unique(whole.z[..., 0])) > 0.9 * 180
    assert not set(whole.z[0].ravel()) & set(whole.z[1].ravel())


def test_the_same_seed_gives_the_same_and_another_another(whole: Draws) -> None:
    assert same(run(), whole)
    assert not np.isclose(run(seed=SEED + 1).z, whole.z).any()


def test_another_wish_weight_or_prior_compiles_nothing(whole: Draws) -> None:
    """However many levels it takes."""
    forward = Function(linear, 0.5 * MATRIX)
    with compilations() as compiled:
        found = run(on=Posterior(Normal(0.3, 2.0, 3), forward, AtLeast([4.0, -1.0])))
    assert compiled == []
    assert len(found.notes["levels"][0]) > len(whole.notes["levels"][0])


@pytest.mark.parametrize("block", [1, 3])
def test_the_draws_do_not_depend_on_the_cuts(
    block: int, whole: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mover, "_fitting", lambda mover: block)
    assert same(run(), whole)


@pytest.mark.slow
def test_chunks_change_nothing_but_rounding(whole: Draws, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 particles in chunks of 7: the last chunk is filled up."""
    monkeypatch.setattr(_particles, "CHUNK_MOST", 7)
    np.testing.assert_allclose(run().z, whole.z, rtol=1e-9, atol=1e-9)


def test_progress_adds_up(whole: Draws) -> None:
    class Count(Silent):
        steps = 0

        def update(self, steps: int, phase: str) -> None:
            self.steps += steps

    count = Count()
    run(progress=count)
    assert count.steps == METHOD.steps


@pytest.mark.parametrize(("at", "chains"), [(("replicate 2"), 1), (("replicate 3"), 2)])
def test_an_interrupt_keeps_the_replicates_that_are_complete(at: str, chains: int, whole: Draws) -> None:
    part = run(progress=Interrupt(1, at))
    assert part.interrupted
    assert part.z.shape[0] == chains
    assert same(part, whole, chains)
    assert len(part.notes["log_evidence_replicates"]) == chains


@pytest.mark.parametrize(
    ("progress", "words"),
    [(Interrupt(1), "before the levels were found"), (Interrupt(1, "replicate 1"), "in the first replicate")],
)
def test_an_interrupt_before_that_keeps_nothing_and_says_so(progress: Any, words: str) -> None:
    with pytest.raises(KeyboardInterrupt, match=words):
        run(progress=progress)


def flat(x: jax.Array) -> jax.Array:
    return 0.0 * x


def bounded(x: jax.Array) -> jax.Array:
    return jnp.tanh(x)


@pytest.mark.parametrize("forward", [flat, bounded])
def test_a_wish_that_cannot_be_met_ends_and_gives_the_nearest(forward: Any) -> None:
    """On a plateau at once, and on a slope once the level is rarer than `rarest`."""
    posterior = Posterior(Normal(0.0, 1.0, 3), forward, On(0, AtLeast(2.0)))
    found = run(SubsetSimulation(draws=60, chains=3, rarest=1e-4), on=posterior)
    assert found.z.shape == (1, 60, 3)
    assert (found.stats["margin"] < 0).all()
    assert found.notes["log_evidence"] is None
    assert found.notes["log_evidence_replicates"] == []
    assert np.exp(found.notes["log_evidence_below"]) < (1.01 if forward is flat else 1e-4)
    assert "not_found" in found.notes
    if forward is bounded:
        assert found.z[..., 0].mean() > 2.5


@pytest.mark.slow
def test_the_verdict_says_that_a_wish_cannot_be_met() -> None:
    posterior = Posterior(Normal(0.0, 1.0, 3), bounded, On(0, AtLeast(2.0)))
    tree = invert(posterior, SubsetSimulation(draws=60, rarest=1e-4), progress=False, verdict=False)
    verdict = diagnose(tree)
    assert verdict.verdict is Verdict.NOT_REACHED
    assert "outside the region" in verdict.reasons[0].what
    assert "rarer than" in verdict.reasons[0].what
    assert "rarest" in verdict.reasons[0].advice
    assert not tree.sample_stats["reached"].values.any()


@pytest.mark.slow
def test_a_wish_that_is_met_is_trusted_and_its_probability_told(key: jax.Array) -> None:
    """And chosen for by itself. log P within 6 of its stated errors: false alarm 1e-4 (few replicates)."""
    posterior = Posterior(Uniform(0.0, 1.0, 3), flat_sum, Ordering([2, 1, 0]))
    tree = invert(posterior, seed=3, progress=False, verdict=False)
    facts = provenance(tree)
    assert facts["method"] == "SubsetSimulation"
    verdict = diagnose(tree)
    assert verdict.verdict is Verdict.OK
    error = verdict.numbers["log_evidence"] - np.log(1 / 6)
    assert abs(error) <= 6 * verdict.numbers["log_evidence_error"]
    assert tree.sample_stats["reached"].values.all()
    assert (np.diff(tree.posterior["x"].values, axis=-1) > 0).all()
    assert (np.diff(tree.posterior_predictive["y"].values, axis=-1) > 0).all()


def flat_sum(x: jax.Array) -> jax.Array:
    return x + 0.0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"draws": 1}, "draws"),
        ({"chains": 0}, "chains"),
        ({"moves": 0}, "moves"),
        ({"fraction": 0.0}, "fraction"),
        ({"fraction": 1.0}, "fraction"),
        ({"fraction": float("nan")}, "fraction"),
        ({"rarest": 0.0}, "rarest"),
        ({"rarest": float("inf")}, "rarest"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        SubsetSimulation(**settings)
    assert caught.value.instead


@pytest.mark.parametrize("at", ["replicate 2", "replicate 3"])
def test_resume_goes_on_with_the_replicates_that_are_missing(at: str, whole: Draws) -> None:
    part = run(progress=Interrupt(1, at))
    rest = METHOD.run(Region.of(POSTERIOR), jax.random.key(SEED), Silent(), part.state)
    assert not rest.interrupted
    assert same(rest, whole)
    assert rest.notes == whole.notes


def test_what_cannot_be_resumed_is_refused() -> None:
    state = run(progress=Interrupt(1, "replicate 2")).state
    for draws, broken, words in ((61, state, "populations of 60"), (60, {"z": np.zeros(3)}, "no finished")):
        with pytest.raises(InputError, match=words):
            SubsetSimulation(draws=draws).run(Region.of(POSTERIOR), jax.random.key(0), Silent(), broken)


def test_memory_holds_the_draws_at_least() -> None:
    base = SubsetSimulation().memory(100)
    assert base >= 8 * 4 * 1000 * 100
    assert SubsetSimulation(draws=2000).memory(100) > 1.9 * base
    assert SubsetSimulation(chains=8).memory(100) > 1.2 * base


def test_the_next_level() -> None:
    margin = np.array([-4.0, -3.0, -2.0, -1.0])
    assert next_level(margin, -np.inf, 0.5) == -2.0
    assert next_level(margin, -np.inf, 0.25) == -1.0
    assert next_level(margin, -np.inf, 0.3) == -2.0
    assert next_level(margin + 2, -np.inf, 0.5) == 0.0
    assert next_level(margin + 9, -np.inf, 0.5) == 0.0
    # a plateau on the previous level: what lies above it, however few
    assert next_level(np.array([-2.0, -2.0, -2.0, -1.0]), -2.0, 0.5) == -1.0
    assert next_level(np.array([-2.0, -2.0, -2.0, 3.0]), -2.0, 0.5) == 0.0
    assert next_level(np.full(4, -2.0), -2.0, 0.5) is None
    # NaN is outside
    assert next_level(np.array([np.nan, np.nan, np.nan, -1.0]), -np.inf, 0.5) == -1.0
    assert next_level(np.array([np.nan, np.nan, -3.0, -1.0]), -np.inf, 0.5) == -3.0
    assert next_level(np.full(4, np.nan), -np.inf, 0.5) is None
    # a tie is a hair below 0
    tie = -np.finfo(float).tiny
    assert next_level(np.array([-1.0, tie, tie, tie]), -1.0, 0.5) == tie
    assert next_level(np.array([tie, tie, tie, 0.5]), tie, 0.5) == 0.0


def test_family_variance() -> None:
    """One level that a fraction p of independent particles reach: exactly p (1 - p) / N over p^2, times
    N / (N - 1); and one family in all is a relative error of 1.
    """
    for p in (0.5, 0.25):
        survivors = np.repeat(np.arange(int(100 * p)), int(1 / p))
        assert family_variance(survivors) == pytest.approx((1 - p) / p / 99)
    assert family_variance(np.arange(100)) == pytest.approx(0)
    assert family_variance(np.zeros(100, int)) == pytest.approx(1)


def test_a_wish_that_every_input_meets() -> None:
    found = run(on=Posterior(POSTERIOR.prior, POSTERIOR.forward, AtLeast([-99.0, -99.0])))
    assert found.notes["levels"][0] == [0.0]
    assert found.notes["log_evidence"] == 0
    assert found.notes["log_evidence_error"] == 0


def test_combined_estimate() -> None:
    """The mean of P and not of its logarithm, and the larger of both errors."""
    found = combined(np.log([1e-9, 3e-9]), np.array([0.01, 0.01]))
    assert found.log == pytest.approx(np.log(2e-9))
    assert found.error == pytest.approx(0.5)  # sd 1.414e-9 / sqrt 2 over 2e-9
    found = combined(np.log([1e-9, 1e-9]), np.array([0.04, 0.04]))
    assert found.error == pytest.approx(0.2 / np.sqrt(2))
    found = combined(np.array([-np.inf, np.log(2e-9)]), np.array([np.nan, 0.0]))
    assert found.log == pytest.approx(np.log(1e-9))
    assert found.error == pytest.approx(1.0)
    found = combined(np.array([-np.inf]), np.array([np.nan]))
    assert found.log == -np.inf
    assert np.isnan(found.error)


def test_what_remains_of_the_start(key: jax.Array) -> None:
    """The correlation, for a law that does not change."""
    one, two = np.asarray(jax.random.normal(key, (2, 20_000, 3)))
    assert remaining(one, one) == 1
    assert remaining(one, two) == pytest.approx(0, abs=0.03)
    assert remaining(one, 0.8 * one + 0.6 * two) == pytest.approx(0.8, abs=0.03)
    assert remaining(np.zeros((5, 2)), np.zeros((5, 2))) == 1


def test_spread_of_outputs() -> None:
    rows = np.stack([np.linspace(0, 100, 101), np.zeros(101), np.full(101, np.nan), np.zeros(101)], axis=1)
    rows[0, 3] = 101.0  # rarely on: no range, but a deviation
    rows[5, 0] = np.inf
    found = spread(rows)
    assert found[0] == pytest.approx(34, abs=1)
    assert found[1] == 1
    assert found[2] == 1
    assert 9 < found[3] < 11
    assert spread(np.full((4, 2, 2), np.nan)).tolist() == [[1, 1], [1, 1]]


def test_noise_is_normal() -> None:
    """Against SciPy at 200,000 of its 2^32 values; mean square 1 by stratified values."""
    rng = np.random.default_rng(0)
    bits = np.concatenate([np.arange(2**12), rng.integers(0, 2**32, 200_000)]).astype(np.uint32)
    found = np.asarray(normal_of(jnp.asarray(bits)))
    exact = np.where(bits & 1, -1, 1) * stats.norm.ppf(((bits >> 1) + 0.5) * 2.0**-32)
    assert np.abs(found - exact)[np.abs(exact) < 5].max() < 2e-6
    assert np.abs(found - exact).max() < 5e-3
    strata = (np.arange(0, 2**32, 2**14, dtype=np.uint64) + 2**13).astype(np.uint32)
    assert np.mean(np.asarray(normal_of(jnp.asarray(strata))) ** 2) == pytest.approx(1, abs=1e-4)
    assert 0 < uniform_of(jnp.zeros((), jnp.uint32)) < 1e-9
    assert 1 - 1e-9 < uniform_of(jnp.asarray(2**32 - 1, jnp.uint32)) < 1


@eqx.filter_jit
def take(view: Region, move: Move, z: jax.Array, keys: jax.Array, first: int, count: int) -> Particle:
    def one(z: jax.Array, key: jax.Array) -> Particle:
        none = jnp.zeros((), int)
        at = Particle(z, view.margin(z, move.unit), view.log_prior(z), none, none)
        return moved(view, move, at, key, jnp.asarray(first), jnp.asarray(count))

    return jax.vmap(one)(z, keys)


@pytest.mark.parametrize("level", [-1.0, 0.0])
def test_moves_leave_the_restricted_prior_as_it_is(level: float, key: jax.Array) -> None:
    """From exact draws of N(0, 1) beyond 2 + level, 100,000 particles and 3 moves: the distribution function
    at its quartiles and its .99 quantile within 5 standard errors, 4e-6; and they did move.
    """
    count, edge = 100_000, 2.0 + level
    u = np.random.default_rng(1).permutation((np.arange(count) + 0.5) / count)
    z = stats.norm.isf(u * stats.norm.sf(edge))
    view = Region(Posterior(Normal(0.0, 1.0, 1), flat_sum, AtLeast([2.0])))
    move = Move(jnp.asarray(level), jnp.asarray(0.7), jnp.ones(1), jnp.ones(1))
    at = take(view, move, jnp.asarray(z[:, None]), jax.random.split(key, count), 0, 3)
    now = np.asarray(at.z)[:, 0]
    assert (now >= edge).all()
    assert 0.2 < np.mean(np.asarray(at.accepted)) / 3 < 0.8
    assert abs(np.corrcoef(z, now)[0, 1]) < 0.7
    for p in (0.25, 0.5, 0.75, 0.99):
        share = np.mean(now > stats.norm.isf((1 - p) * stats.norm.sf(edge)))
        assert abs(share - (1 - p)) < 5 * np.sqrt(p * (1 - p) / count)


def test_moves_leave_a_prior_that_is_not_normal_as_it_is(key: jax.Array) -> None:
    """Beta(1, 2) beyond .5 in its logit: as above."""
    count = 100_000
    u = np.random.default_rng(1).permutation((np.arange(count) + 0.5) / count)
    x = 1 - np.sqrt(u * 0.25)
    posterior = Posterior(dist.Dirichlet(jnp.ones(3)), flat_sum, On(0, AtLeast(0.5)))
    second = np.random.default_rng(2).uniform(size=count) * (1 - x)
    z = jax.vmap(posterior.prior.inverse)(jnp.asarray(np.stack([x, second, 1 - x - second], axis=1)))
    move = Move(jnp.asarray(0.0), jnp.asarray(0.8), jnp.std(z, axis=0), jnp.ones(3))
    at = take(Region(posterior), move, z, jax.random.split(key, count), 0, 3)
    now = np.asarray(jax.vmap(posterior.prior.transform)(at.z))
    assert (now[:, 0] >= 0.5).all()
    assert 0.2 < np.mean(np.asarray(at.accepted)) / 3 < 0.8
    for p in (0.25, 0.5, 0.75, 0.99):
        error = 5 * np.sqrt(p * (1 - p) / count)
        assert abs(np.mean(now[:, 0] > 1 - np.sqrt((1 - p) * 0.25)) - (1 - p)) < error
        assert abs(np.mean(now[:, 1] / (1 - now[:, 0]) > p) - (1 - p)) < error


def test_moves_do_not_depend_on_where_a_run_is_cut(key: jax.Array) -> None:
    view, keys = Region(POSTERIOR), jax.random.split(key, 4)
    move = Move(jnp.asarray(-9.0), jnp.asarray(0.7), jnp.ones(3), jnp.ones(2))
    z = jax.random.normal(key, (4, 3))
    whole = take(view, move, z, keys, 0, 7)
    half = take(view, move, take(view, move, z, keys, 0, 3).z, keys, 3, 4)
    np.testing.assert_array_equal(whole.z, half.z)


def test_two_identical_outputs_are_a_plateau() -> None:
    """Strictly the largest never happens where two outputs are one: not met, and no hang."""
    posterior = Posterior(Normal(0.0, 1.0, 3), partial(jnp.take, indices=jnp.array([0, 0])), Argmax(1))
    found = run(on=posterior)
    assert found.notes["log_evidence"] is None
    assert (found.stats["margin"] < 0).all()
