"""Training: its gradient against autodiff of the exact likelihood, its updates, its end, its stops."""

from dataclasses import replace
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import xlogy

from probinv import InputError
from probinv._checks import double_precision
from probinv.boltzmann.exact import exact_log_likelihood
from probinv.boltzmann.machine import Machine, new_machine
from probinv.boltzmann.stack import Layer, Stack
from probinv.boltzmann.training import Course, Learning, Trained, Training
from probinv.boltzmann.training import _learning as learning
from probinv.boltzmann.training import _loop as loop
from probinv.boltzmann.training._labels import label_slope
from probinv.boltzmann.training._monitor import look
from probinv.boltzmann.training._step import (
    Gradient,
    averaged,
    climb,
    gradient,
    negative,
    update,
    updates,
)
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Softmax, parameters

PAIRS: dict[str, tuple[AbstractUnits, AbstractUnits]] = {
    "bernoulli": (Bernoulli(4), Bernoulli(3)),
    "labels": (Joined([Bernoulli(2), Softmax(3)]), Bernoulli(3)),
    "gaussian hidden": (Bernoulli(3), Gaussian(2, [0.1, -0.2])),
    "gaussian": (Joined([Gaussian(1, 0.3), Bernoulli(2)]), Bernoulli(3)),
    "gaussian, softmax": (Gaussian(1, -0.4), Softmax(3)),
}
GRID = np.linspace(-25.0, 25.0, 2001)


def machine_of(name: str) -> Machine:
    visible, hidden = PAIRS[name]
    rng = np.random.default_rng(1)
    shape = (visible.size, hidden.size)
    return Machine(
        visible, hidden, 0.5 * rng.normal(size=shape), rng.normal(size=shape[0]), rng.normal(size=shape[1])
    )


def all_rows(units: AbstractUnits) -> tuple[np.ndarray, np.ndarray]:
    """Values of v and quadrature weights: a sum over them is the sum, or the integral, over all v."""
    if isinstance(units, Gaussian):
        return GRID[:, None], np.full(GRID.size, GRID[1] - GRID[0])
    if isinstance(units, Joined) and isinstance(units.parts[0], Gaussian):
        states = units.parts[1].states()
        rows = np.concatenate(
            [np.repeat(GRID[:, None], len(states), axis=0), np.tile(states, (GRID.size, 1))], 1
        )
        return rows, np.full(len(rows), GRID[1] - GRID[0])
    states = units.states()
    return states, np.ones(len(states))


@cache
def gradients(name: str) -> tuple[Gradient, Gradient, Gradient, tuple[np.ndarray, np.ndarray]]:
    """Autodiff of the mean log likelihood; `gradient` with all v as its negative phase, plain and centred."""
    machine = machine_of(name)
    v, weight = all_rows(machine.visible)
    rng = np.random.default_rng(2)
    data = v[rng.integers(len(v), size=5)]
    if "gaussian" in name and "hidden" not in name:
        data[:, 0] = rng.normal(size=5)
    centre = rng.normal(size=machine.visible.size), rng.normal(size=machine.hidden.size)

    @jax.jit
    def by_autodiff(machine: Machine, v: Any, log_weight: Any, data: Any) -> Machine:
        learned, rest = eqx.partition(machine, eqx.is_inexact_array)

        def log_likelihood(learned: Any) -> jax.Array:
            own = eqx.combine(learned, rest)
            return -own.free_energy(data).mean() - jax.nn.logsumexp(log_weight - own.free_energy(v))

        return jax.grad(log_likelihood)(learned)

    @jax.jit
    def by_rows(machine: Machine, v: Any, log_weight: Any, data: Any, centre: Any) -> Gradient:
        p = jax.nn.softmax(log_weight - machine.free_energy(v))

        def one(row: Any) -> Gradient:
            up = machine.up(jnp.concatenate([data, row[None]]))
            return gradient(machine, data, row[None], jnp.ones(1), up, centre)[0]

        return jax.tree.map(lambda each: jnp.tensordot(p, each, axes=1), jax.vmap(one)(v))

    with double_precision():
        machine = jax.tree.map(jnp.asarray, machine)
        given = jnp.asarray(v), jnp.log(jnp.asarray(weight)), jnp.asarray(data)
        exact = by_autodiff(machine, *given)
        plain = by_rows(machine, *given, jax.tree.map(jnp.zeros_like, centre))
        centred = by_rows(machine, *given, jax.tree.map(jnp.asarray, centre))
        units = parameters((exact.visible, exact.hidden))
        exact = Gradient(exact.weight, exact.visible_bias, exact.hidden_bias, units)
        return *(jax.tree.map(np.asarray, found) for found in (exact, plain, centred)), centre


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_is_that_of_the_likelihood(name: str) -> None:
    """With an exact negative phase: learned variances too."""
    exact, plain, _, _ = gradients(name)
    assert jax.tree.structure(exact) == jax.tree.structure(plain)
    assert len(jax.tree.leaves(exact)) == 3 + ("gaussian" in name)
    for one, other in zip(jax.tree.leaves(exact), jax.tree.leaves(plain), strict=True):
        assert np.abs(one).max() > 1e-3
        assert np.allclose(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_centring_is_the_transformation_it_is_said_to_be(name: str) -> None:
    """dW' = dW - mu db^T - da lambda^T; da' = da - dW' lambda; db' = db - dW'^T mu."""
    exact, _, centred, (mu, lamb) = gradients(name)
    weight = exact.weight - np.outer(mu, exact.hidden_bias) - np.outer(exact.visible_bias, lamb)
    assert np.allclose(centred.weight, weight)
    assert np.allclose(centred.visible_bias, exact.visible_bias - weight @ lamb)
    assert np.allclose(centred.hidden_bias, exact.hidden_bias - weight.T @ mu)
    assert jax.tree.all(jax.tree.map(np.allclose, centred.units, exact.units))


# A law of four bits with two far modes, 16 states, and machines that can have it.
LAW = np.random.default_rng(0).dirichlet(np.full(16, 0.6))
STATES = Bernoulli(4).states()
ROWS = STATES[np.random.default_rng(1).choice(16, size=2000, p=LAW)].astype(np.float32)
EMPIRICAL = np.array([(state[None] == ROWS).all(axis=1).mean() for state in STATES])
ENTROPY = -float(xlogy(EMPIRICAL, EMPIRICAL).sum())
SETTINGS = Training(epochs=60, batch_size=50, rate=0.5, averaging=0.99, seed=3)
PER_EPOCH = 40


class Silent:
    def update(self, steps: int, phase: str) -> None:
        pass


class Interrupt:
    """Raises at its n-th update, as Ctrl-C does."""

    def __init__(self, at: int) -> None:
        self.left = at

    def update(self, steps: int, phase: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def start() -> Machine:
    return new_machine(Bernoulli(4), Bernoulli(6), jax.random.key(0), mean=ROWS.mean(axis=0))


def course(settings: Training = SETTINGS, rows: Any = ROWS, held_out: Any = None) -> Course:
    return Course(Learning(start()), rows, settings, held_out)


def short(**changes: Any) -> Training:
    return replace(SETTINGS, **({"epochs": 3} | changes))


def trained(settings: Training, rows: Any = ROWS, progress: Any = None, held_out: Any = None) -> Trained:
    return course(settings, rows, held_out).run(progress or Silent())


@cache
def reference() -> Trained:
    """Three epochs, what several tests compare with."""
    return trained(short(snapshots=5))


def same(one: Any, other: Any) -> bool:
    return jax.tree.structure(one) == jax.tree.structure(other) and jax.tree.all(
        jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=True), one, other)
    )


def missing(machine: Machine) -> float:
    """Entropy of the data + mean log likelihood: the divergence of the machine from them, in nats."""
    return -ENTROPY - float(exact_log_likelihood(machine, ROWS).mean())


@pytest.mark.optimised
@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, 0.015),
        ({"negative": "cd", "steps": 3}, 0.02),
        ({"centring": 0.0, "momentum": 0.5, "rate": 0.3}, 0.04),
        ({"steps": 2, "chains": 20}, 0.02),
    ],
    ids=["pcd", "cd", "plain", "fewer chains"],
)
def test_training_reaches_the_entropy(changes: dict[str, Any], most: float) -> None:
    """The best that any model can: the independent one misses 0.2 nats."""
    # batches of a size of their own: programs that were compiled otherwise are not for other tests
    found = trained(replace(SETTINGS, **({"epochs": 200, "rate": 1.0, "batch_size": 80} | changes)))
    assert found.stopped == ""
    assert missing(start()) > 0.15
    assert -1e-3 < missing(found.model) < most
    assert len(found.history) == 200


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_matrix], ids=["csr", "csc"])
def test_sparse_rows_train_as_dense_ones(form: Any) -> None:
    found = trained(short(snapshots=5), form(ROWS).tocsr())
    assert same(found.state, reference().state)
    assert same(found.snapshots, reference().snapshots)


@pytest.mark.parametrize("block", [7, 40])
def test_the_cut_into_blocks_changes_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "BLOCK", block)
    monkeypatch.setattr(loop, "LOOK", 15)
    found = trained(short(snapshots=5))
    assert same(found.state, reference().state)
    assert same(found.snapshots, reference().snapshots)
    assert [epoch | {"seconds": 0} for epoch in found.history] == [
        epoch | {"seconds": 0} for epoch in reference().history
    ] or np.isnan(found.history[0]["gap"])


@pytest.mark.parametrize("decay", [True, False])
def test_the_rate_falls_in_a_straight_line_or_stays(decay: bool) -> None:
    """Three epochs of 40 updates: rate (1 - k / 120) at update k."""
    seen: list[np.ndarray] = []

    class Watched(Learning):
        def updates(self, *given: Any) -> Any:
            rates, count = given[4], given[5]
            seen.append(np.asarray(rates)[: int(count)])
            return super().updates(*given)

    Course(Watched(start()), ROWS, short(decay=decay), None).run(Silent())
    left = 1 - np.arange(3 * PER_EPOCH) / (3 * PER_EPOCH) if decay else np.ones(3 * PER_EPOCH)
    np.testing.assert_allclose(np.concatenate(seen), SETTINGS.rate * left, rtol=1e-6)


def test_the_seed_decides() -> None:
    assert same(trained(short(snapshots=5)).state, reference().state)
    other = trained(short(seed=4))
    assert not np.isclose(other.model.weight, reference().model.weight).all()


def test_history_and_snapshots() -> None:
    found = reference()
    assert [epoch["epoch"] for epoch in found.history] == [1, 2, 3]
    seconds = [epoch["seconds"] for epoch in found.history]
    assert sorted(seconds) == seconds
    assert {"gap", "reconstruction", "pseudo_likelihood", "runaway"} < set(found.history[0])
    marks = sorted(loop.marks(3 * PER_EPOCH, 5))
    assert marks[0] == 10
    assert marks[-1] == 120
    assert len(found.snapshots) == len(marks) == 5
    assert same(found.snapshots[-1], found.state.machine)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves((found.model, found.state)))
    assert loop.marks(3, 5) == {3}
    assert loop.marks(100, 0) == frozenset()


@pytest.mark.parametrize("negative_phase", ["pcd", "cd"])
def test_a_runaway_is_stopped_and_named(negative_phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOOK", 5)
    rng = np.random.default_rng(0)
    rows = (rng.random((200, 30)) < rng.random(30)).astype(np.float32)
    machine = new_machine(Bernoulli(30), Bernoulli(40), jax.random.key(0), mean=rows.mean(axis=0))
    settings = Training(epochs=20, batch_size=20, rate=50.0, negative=negative_phase, decay=False)
    found = Course(Learning(machine), rows, settings).run(Silent())
    assert "run away" in found.stopped or "no longer finite" in found.stopped
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.model))
    assert found.state.step < 200


def test_what_is_not_finite_is_stopped() -> None:
    machine = new_machine(Gaussian(4), Bernoulli(6), jax.random.key(0))
    found = Course(Learning(machine), 1e3 * ROWS, short(rate=10.0)).run(Silent())
    assert found.stopped
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((found.model, found.state)))


@pytest.mark.parametrize("at", [1, 4])
def test_an_interrupt_keeps_good_weights_and_goes_on(at: int) -> None:
    settings = short(snapshots=5)
    found = trained(settings, progress=Interrupt(at))
    assert found.stopped == "interrupted"
    assert 0 < found.state.step < 120
    again = course(settings)
    again.resume(jax.tree.map(jnp.asarray, found.state), found.history, found.snapshots, 1.0)
    end = again.run(Silent())
    assert same(end.state, reference().state)
    assert same(end.snapshots, reference().snapshots)
    assert len(end.history) == 3


def test_an_interrupt_in_the_middle_of_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """History, snapshots and good state never disagree."""
    left = iter([False, True])

    def interrupted(*args: Any) -> Any:
        if next(left, False):
            raise KeyboardInterrupt
        return look(*args)

    monkeypatch.setattr(learning, "look", interrupted)
    found = trained(short(snapshots=5))
    assert found.stopped == "interrupted"
    assert len(found.history) == found.state.step // PER_EPOCH
    assert len(found.snapshots) == sum(mark <= found.state.step for mark in loop.marks(120, 5))


def test_a_state_with_a_past_goes_on() -> None:
    """Chains, averages and the count of updates persist; the keys are new ones."""
    first = reference().state
    found = Course(Learning(start(), first), ROWS, short(epochs=1, decay=False)).run(Silent())
    assert found.state.step == 160
    assert [epoch["epoch"] for epoch in found.history] == [1]
    assert np.abs(found.model.weight - first.average.weight).max() < 0.5


# one update by hand

STATIC, KNOBS = SETTINGS.static, SETTINGS.knobs


def stepped(static: Any, knobs: Any, state: Any, count: int = 1) -> Any:
    rows, key = jnp.asarray(ROWS[:50]), jax.random.key(9)
    for _ in range(count):
        state = update(static, knobs, state, rows, jnp.float32(0.1), key)
    return state


def test_momentum_weight_decay_averaging_and_centres() -> None:
    knobs = KNOBS._replace(momentum=np.float32(0.7), weight_decay=np.float32(0.2))
    settings = replace(SETTINGS, momentum=0.7)
    begun = course(settings).state
    state = begun._replace(machine=eqx.tree_at(lambda m: m.weight, begun.machine, 1 + begun.machine.weight))
    key_data, key_climb = jax.random.split(jax.random.key(9))
    data = state.machine.visible.drawn(key_data, jnp.asarray(ROWS[:50]))
    centre = state.centre_visible, state.centre_hidden
    found = climb(settings.static, knobs, state.machine, data, state.chain, centre, key_climb)
    bare = climb(settings.static, KNOBS, state.machine, data, state.chain, centre, key_climb)
    assert np.allclose(found.way.weight, bare.way.weight - 0.2 * state.machine.weight, atol=1e-6)
    assert np.allclose(found.way.visible_bias, bare.way.visible_bias, atol=1e-6)
    one = stepped(settings.static, knobs, state)
    assert np.allclose(one.machine.weight, state.machine.weight + 0.1 * found.way.weight, atol=1e-6)
    assert np.allclose(one.velocity.weight, found.way.weight, atol=1e-6)
    assert np.allclose(one.centre_visible, 0.99 * centre[0] + 0.01 * data.mean(axis=0), atol=1e-6)
    assert np.allclose(one.centre_hidden, 0.99 * centre[1] + 0.01 * found.hidden.mean(axis=0), atol=1e-6)
    assert np.array_equal(one.chain, found.chain)
    share = float(averaged(knobs, jnp.asarray(1)))
    assert share == pytest.approx(10 / 11)
    mixed = (1 - share) * np.asarray(state.average.weight) + share * np.asarray(one.machine.weight)
    assert np.allclose(one.average.weight, mixed, atol=1e-6)
    then = climb(
        settings.static,
        knobs,
        one.machine,
        data,
        one.chain,
        (one.centre_visible, one.centre_hidden),
        key_climb,
    )
    two = stepped(settings.static, knobs, one)
    moved = one.machine.weight + 0.1 * (0.7 * one.velocity.weight + then.way.weight)
    assert np.allclose(two.machine.weight, moved, atol=1e-6)
    assert (
        float(averaged(knobs, jnp.asarray(10**6))) == pytest.approx(1 - 0.999, rel=1e-3)
        or SETTINGS.averaging == 0.99
    )
    last = stepped(STATIC, KNOBS._replace(averaging=np.float32(0)), course().state, 2)
    assert same(jax.device_get(last.machine), jax.device_get(last.average))


def test_the_chains_of_cd_begin_at_the_data_and_those_of_pcd_go_on() -> None:
    """The negative phase of an untrained machine forgets: so the start is seen in a machine that copies."""
    copy = 40 * np.eye(4, dtype=np.float32)
    off = np.full(4, -20, np.float32)
    machine = Machine(Bernoulli(4), Bernoulli(4), copy, off, off)
    data, chain = jnp.asarray(ROWS[:50]), jnp.asarray(ROWS[50:100])
    zero = (jnp.zeros(4), jnp.zeros(4))
    for persistent, wanted in ((True, chain), (False, data)):
        static = STATIC._replace(persistent=persistent, steps=3)
        found = climb(static, KNOBS, machine, data, chain, zero, jax.random.key(0))
        assert np.array_equal(found.model, wanted)
        assert np.array_equal(found.chain, wanted)
    blank = Machine(Bernoulli(4), Bernoulli(4), 0 * copy, 0 * off, 0 * off)
    moved = climb(STATIC, KNOBS, blank, data, chain, zero, jax.random.key(0)).chain
    assert 0.3 < (moved == chain).mean() < 0.7


def test_every_turn_of_the_negative_phase_has_keys_of_its_own() -> None:
    """Without weights the draws of turns are independent: equal ones would show one key used twice."""
    zero = np.zeros
    machine = Machine(
        Bernoulli(300), Bernoulli(300), zero((300, 300), np.float32), *[zero(300, np.float32)] * 2
    )
    h, key = jnp.zeros((2, 300)), jax.random.key(4)
    draws = [np.asarray(negative(machine, key, h, steps)) for steps in (1, 2, 3)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert 0.35 < (draws[one] == draws[other]).mean() < 0.65
    assert 0.35 < (draws[0][0] == draws[0][1]).mean() < 0.65


def test_the_discriminative_term_is_the_gradient_of_log_p_of_the_label() -> None:
    """Against differences of p(label | x), which is free energies and nothing else."""
    units = Joined([Bernoulli(2), Softmax(3)])
    machine = machine_of("labels")
    rows = np.asarray(units.states()[[0, 5, 7, 10]])

    def log_label(machine: Machine) -> float:
        labels = np.eye(3)
        each = np.stack([np.concatenate([rows[:, :2], labels[[k] * 4]], axis=1) for k in range(3)])
        score = -np.asarray(machine.free_energy(jnp.asarray(each)))
        score -= np.logaddexp.reduce(score, axis=0)
        return float((score.T * rows[:, 2:]).sum(axis=1).mean())

    with double_precision():
        here = jax.tree.map(jnp.asarray, machine)
        found = label_slope(False, 0.0, Stack((), here), jnp.asarray(rows), jax.random.key(0)).top
        for name in ("weight", "visible_bias", "hidden_bias"):
            way = np.random.default_rng(1).normal(size=np.shape(getattr(machine, name)))
            ends = [
                log_label(
                    eqx.tree_at(lambda m, n=name: getattr(m, n), here, getattr(here, name) + step * way)
                )
                for step in (1e-5, -1e-5)
            ]
            assert np.sum(getattr(found, name) * way) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_the_monitor_against_numpy() -> None:
    machine = reference().state.machine
    rows, others = ROWS[:400], ROWS[400:900]
    found = look(machine, rows, others, jnp.asarray(reference().state.chain), jax.random.key(0))
    free = lambda v: np.asarray(machine.free_energy(jnp.asarray(v, jnp.float32)), np.float64)  # noqa: E731
    assert found["gap"] == pytest.approx(free(others).mean() - free(rows).mean(), abs=1e-4)
    h = 1 / (1 + np.exp(-(machine.hidden_bias + rows @ machine.weight)))
    again = 1 / (1 + np.exp(-(machine.visible_bias + h @ machine.weight.T)))
    assert found["reconstruction"] == pytest.approx(((again - rows) ** 2).sum(axis=1).mean(), rel=1e-4)
    # the pseudo-likelihood by all units in turn; 400 random ones scatter about it
    terms = []
    for unit in range(4):
        flipped = rows.copy()
        flipped[:, unit] = 1 - flipped[:, unit]
        terms.append(-np.logaddexp(0, free(rows) - free(flipped)))
    each = 4 * np.stack(terms)
    assert abs(found["pseudo_likelihood"] - each.mean()) < 5 * each.std() / np.sqrt(400)
    assert abs(found["runaway"]) < 1
    none = look(machine, rows, rows[:0], jnp.asarray(reference().state.chain), jax.random.key(0))
    assert np.isnan(none["gap"])


BAD: dict[str, Any] = {
    "epochs": 0,
    "batch_size": -2,
    "steps": 0,
    "chains": 0,
    "rate": -1.0,
    "averaging": 1.0,
    "centring": -0.1,
    "momentum": np.nan,
    "weight_decay": 1.0,
    "snapshots": -1,
    "seed": -1,
    "discriminative": -1.0,
}


@pytest.mark.parametrize("name", BAD)
def test_a_setting_out_of_range_is_named(name: str) -> None:
    with pytest.raises(InputError, match=name):
        Training(**{name: BAD[name]})


def test_swaps_need_persistent_chains() -> None:
    with pytest.raises(InputError, match="persistent"):
        Training(negative="cd", swaps=10)


def copies() -> tuple[Layer, ...]:
    """A layer of two units that are both 1 where the one unit below is, but for one time in e^20."""
    weight, bias = np.full((1, 2), 40.0, np.float32), np.full(2, -20.0, np.float32)
    return (Layer(Bernoulli(1), Bernoulli(2), weight, bias, weight, np.zeros(1, np.float32)),)


def test_a_machine_above_learns_what_goes_up_from_draws_of_gray_rows() -> None:
    """The mean of a gray row would make both units gray and independent of each other."""
    batches = np.full((4, 1000, 3), 0.5, np.float32)
    batches[..., 1:] = np.arange(2)  # labels
    key = jax.random.key(0)
    found = np.asarray(learning.draws_of_batches(copies(), batches, jnp.asarray(5), key))
    assert found.shape == (4, 1000, 4)
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    np.testing.assert_array_equal(found[..., 2:], batches[..., 1:])
    assert abs(found[..., 0].mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)
    later = learning.draws_of_batches(copies(), batches[2:], jnp.asarray(7), key)
    np.testing.assert_array_equal(later, found[2:])
    assert (found[0] != found[1]).any()
    means = learning.means_of_batches(copies(), batches)
    np.testing.assert_allclose(means[..., :2], 0.5)
    np.testing.assert_array_equal(means[..., 2:], batches[..., 1:])
    np.testing.assert_allclose(learning.means_of_rows(copies(), batches[0]), means[0])


@pytest.mark.parametrize(
    "changes", [{}, {"binarise": False}, {"discriminative": 2.0}, {"discriminative": 2.0, "binarise": False}]
)
def test_the_updates_of_a_machine_above_are_those_of_its_draws(changes: dict[str, Any]) -> None:
    """The label is asked of them, too."""
    machine = new_machine(Joined([Bernoulli(2), Softmax(2)]), Bernoulli(2), jax.random.key(1))
    rows = np.concatenate([np.full((100, 1), 0.5), np.eye(2)[np.arange(100) % 2]], axis=1).astype(np.float32)
    settings = Training(epochs=1, batch_size=10, **changes)
    course = Course(Learning(machine, below=copies()), rows, settings)
    given = settings.static, settings.knobs, course.state
    batches, rates = rows.reshape(10, 10, 3), np.full(10, 0.1, np.float32)
    found = course.task.updates(*given, batches, rates, 10, course.key)
    means = learning.means_of_batches(copies(), batches)
    drawn = learning.draws_of_batches(copies(), batches, course.state.step, course.key)
    wanted = updates(*given, drawn if settings.binarise else means, rates, 10, course.key)
    np.testing.assert_array_equal(found.machine.weight, wanted.machine.weight)
    assert (found.machine.weight != course.state.machine.weight).all()
