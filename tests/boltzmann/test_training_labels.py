"""Learning labels: log p(rest | label), chains that keep their labels, what the label is asked of."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv import InputError
from probinv._checks import double_precision
from probinv.boltzmann.machine import Machine, new_machine
from probinv.boltzmann.rbm import RBM
from probinv.boltzmann.stack import Layer, Stack
from probinv.boltzmann.training import Course, FineTuning, Learning, Training, _step
from probinv.boltzmann.training._labels import label_slope
from probinv.boltzmann.training._step import chain_labels, climb, gradient
from probinv.boltzmann.training._updown import update
from probinv.boltzmann.units import Bernoulli, Joined, Softmax

UNITS = Joined([Bernoulli(2), Softmax(3)])
STATES = np.asarray(UNITS.states(), np.float64)
SETTINGS = Training(epochs=400, batch_size=100, rate=0.3, discriminative=1.0, conditional=True)


def machine() -> Machine:
    rng = np.random.default_rng(1)
    return Machine(UNITS, Bernoulli(4), rng.normal(size=(5, 4)), rng.normal(size=5), rng.normal(size=4))


def given_label(model: Machine) -> np.ndarray:
    """p(rest | label) of each of `STATES`, by enumeration."""
    p = np.exp(-np.asarray(model.free_energy(jnp.asarray(STATES)), np.float64))
    labels = STATES[:, 2:]
    return p / (labels @ (labels.T @ p))


def test_chains_that_keep_labels_climb_log_p_of_the_rest_given_the_label() -> None:
    """With all states as chains, weighed by p(rest | label) and how often the label is in the batch."""
    data = STATES[[0, 1, 4, 4, 9, 10, 10, 10]]
    with double_precision():
        own = jax.tree.map(jnp.asarray, machine())
        share = given_label(own) * (STATES[:, 2:] @ data[:, 2:].mean(axis=0))

        def log_conditional(model: Machine) -> jax.Array:
            energy = -model.free_energy(jnp.asarray(STATES))
            each = jnp.where(STATES[:, 2:].T > 0, energy[None], -jnp.inf)
            norm = jax.nn.logsumexp(each, axis=1)
            return (-model.free_energy(jnp.asarray(data)) - jnp.asarray(data[:, 2:]) @ norm).mean()

        wanted = eqx.filter_grad(log_conditional)(own)
        up = own.up(jnp.concatenate([data, STATES]))
        zero = jnp.zeros(5), jnp.zeros(4)
        found, _ = gradient(own, jnp.asarray(data), jnp.asarray(STATES), jnp.asarray(share), up, zero)
    for name in ("weight", "visible_bias", "hidden_bias"):
        assert np.abs(getattr(wanted, name)).max() > 1e-3
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-12)
    np.testing.assert_allclose(found.visible_bias[2:], 0, atol=1e-12)


def test_a_chain_weighs_what_its_label_weighs_in_the_batch() -> None:
    batch = jnp.eye(3)[jnp.asarray([0, 0, 0, 2])]
    own, share = chain_labels(7, batch)
    assert np.argmax(own, axis=1).tolist() == [0, 1, 2, 0, 1, 2, 0]
    np.testing.assert_allclose(share, [0.25, 0, 0.125, 0.25, 0, 0.125, 0.25])


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("negative", ["pcd", "cd"])
def test_every_chain_keeps_its_label(negative: Any, steps: int) -> None:
    """Those of cd the label of their row; h is then drawn given that label."""
    settings = Training(negative=negative, steps=steps, conditional=True, discriminative=1.0)
    weight = np.zeros((5, 3), np.float32)
    weight[2:] = 60 * np.eye(3)  # h tells the label
    own = Machine(UNITS, Bernoulli(3), weight, np.zeros(5, np.float32), np.full(3, -30, np.float32))
    data, chain = jnp.asarray(STATES[[0, 1, 1, 2, 2]], jnp.float32), jnp.zeros((5, 3))
    centre = jnp.zeros(5), jnp.zeros(3)
    found = climb(settings.static, settings.knobs, own, data, chain, centre, jax.random.key(0))
    labels = chain_labels(5, data[:, 2:])[0] if negative == "pcd" else data[:, 2:]
    np.testing.assert_array_equal(found.model[:, 2:], labels)
    assert found.share.sum() == pytest.approx(1, abs=1e-6)
    if negative == "pcd":
        np.testing.assert_array_equal(found.chain, labels)


def rows_of(p: np.ndarray, count: int) -> np.ndarray:
    return STATES[np.random.default_rng(0).choice(len(STATES), count, p=p)].astype(np.float32)


def test_it_learns_the_law_given_each_label_however_rare() -> None:
    """p(rest | label) and, by the discriminative term, p(label | rest)."""
    rng = np.random.default_rng(3)
    inside = rng.dirichlet(np.full(4, 0.7), size=3)
    frequency = np.array([0.7, 0.25, 0.05])
    kind = np.argmax(STATES[:, 2:], axis=1)
    place = (STATES[:, :2] @ [2, 1]).astype(int)
    p = frequency[kind] * inside[kind, place]
    rows = rows_of(p, 4000)
    begin = new_machine(UNITS, Bernoulli(8), jax.random.key(0), mean=rows.mean(axis=0))
    found = Course(Learning(begin), rows, SETTINGS).run(Nothing())
    assert found.stopped == ""
    seen = (
        np.bincount([int(np.flatnonzero((row == STATES).all(axis=1))[0]) for row in rows], minlength=12)
        / 4000
    )
    share = STATES[:, 2:] @ (STATES[:, 2:].T @ seen)
    off = 0.5 * STATES[:, 2:].T @ np.abs(given_label(found.model) - seen / share)
    assert off.max() < 0.04  # total variation
    joint = np.exp(-np.asarray(found.model.free_energy(jnp.asarray(STATES)), np.float64))
    of_rest = lambda p: np.bincount(place, p, 4)[place]  # noqa: E731
    assert np.abs(joint / of_rest(joint) - seen / of_rest(seen)).max() < 0.05


class Nothing:
    def update(self, steps: int, phase: str = "") -> None:
        """Nobody looks."""


def tuning() -> tuple[Any, Any]:
    """A stack with one layer below its memory, and rows with label 1."""
    rng = np.random.default_rng(4)
    parts = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 2), (2,), (3, 2), (3,))]
    rows = np.concatenate([rng.random((100, 3)), np.eye(3)[np.ones(100, int)]], axis=1).astype(np.float32)
    stack = Stack((Layer(Bernoulli(3), Bernoulli(2), *parts),), machine())
    return Course(FineTuning(stack), rows, replace(SETTINGS, epochs=1, chains=6)).state, rows


def tuned(state: Any, rows: Any, weight: float = 1.0) -> Stack:
    """After one update at the rate 0.1."""
    knobs = SETTINGS.knobs._replace(discriminative=np.float32(weight))
    given = jnp.asarray(rows), jnp.float32(0.1), jax.random.key(0)
    return update(SETTINGS.static, knobs, state, *given).stack


def test_chains_of_labels_that_a_batch_lacks_teach_nothing() -> None:
    """Neither the memory nor, by what they dream, the layers below it."""
    state, rows = tuning()

    def after(*labels: int) -> Stack:
        """From chains in which the hidden units of some labels are on."""
        on = np.isin(np.arange(6) % 3, labels)[:, None]
        return tuned(state._replace(chain=jnp.asarray(np.broadcast_to(on, (6, 4)), jnp.float32)), rows)

    none, absent, there = after(), after(0, 2), after(1)
    jax.tree.map(np.testing.assert_array_equal, none, absent)
    assert (none.layers[0].up_weight != there.layers[0].up_weight).any()
    assert (none.top.weight != there.top.weight).any()


def log_label(stack: Stack, rows: Any) -> float:
    """Mean log p(label | x) as `predict` has it."""
    scores = np.asarray(stack.scores(jnp.asarray(rows[:, :3])))
    return float(((scores - np.logaddexp.reduce(scores, axis=1)[:, None]) * rows[:, 3:]).sum(axis=1).mean())


def test_the_slope_of_the_label_goes_through_all_layers() -> None:
    """Against differences of what `predict` goes by."""
    state, rows = tuning()
    rng = np.random.default_rng(6)
    with double_precision():
        stack = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), state.stack)
        rows = rows.astype(np.float64)
        slope = label_slope(False, 0.0, stack, jnp.asarray(rows), jax.random.key(0))
        for place, part in enumerate(jax.tree.leaves(stack)):
            way = rng.normal(size=part.shape)
            ends = []
            for step in (1e-5, -1e-5):
                parts, kind = jax.tree.flatten(stack)
                parts[place] = part + step * way
                ends.append(log_label(jax.tree.unflatten(kind, parts), rows))
            found = np.sum(jax.tree.leaves(slope)[place] * way)
            assert found == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-9)
    assert np.abs(slope.layers[0].up_weight).max() > 1e-3
    assert not slope.layers[0].down_weight.any()


def test_the_memory_and_the_weights_upwards_learn_from_the_label() -> None:
    """In the up-down algorithm, with its weight; the weights downwards do not."""
    state, rows = tuning()
    wanted = label_slope(False, 0.0, state.stack, jnp.asarray(rows), jax.random.key(0))
    moved = jax.tree.map(lambda a, b: a - b, tuned(state, rows, 2.0), tuned(state, rows, 0.0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, 0.2 * b, atol=1e-6), moved, wanted)
    assert np.abs(moved.top.weight).max() > 0.01
    assert np.abs(moved.layers[0].up_bias).max() > 1e-4


def test_a_machine_alone_learns_the_label_of_what_it_is_shown() -> None:
    """Of draws of gray rows, with a share of them left out if so wished."""
    rows = np.asarray(STATES[[0, 4, 5, 7, 11] * 8], np.float32)
    rows[:, :2] = 0.3 + 0.4 * rows[:, :2]
    begin = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), machine())
    state = Course(Learning(begin), rows, replace(SETTINGS, batch_size=40)).state
    key = jax.random.key(1)

    def after(weight: float, dropout: float = 0.0) -> Machine:
        settings = replace(SETTINGS, dropout=dropout)
        knobs = settings.knobs._replace(discriminative=np.float32(weight))
        return _step.update(settings.static, knobs, state, jnp.asarray(rows), jnp.float32(0.1), key).machine

    shown = state.machine.visible.drawn(jax.random.split(key)[0], jnp.asarray(rows))
    wanted = label_slope(False, 0.0, Stack((), state.machine), shown, key).top
    moved = jax.tree.map(lambda a, b: a - b, after(2.0), after(0.0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, 0.2 * b, atol=1e-6), moved, wanted)
    assert np.abs(moved.weight).max() > 0.01
    assert np.abs(after(2.0, 0.5).weight - after(2.0).weight).max() > 1e-3
    np.testing.assert_array_equal(after(0.0, 0.5).weight, after(0.0).weight)


def wide() -> Stack:
    """A thousand inputs, as many units above them, three labels."""
    rng = np.random.default_rng(7)
    shapes = (1000, 1000), (1000,), (1000, 1000), (1000,)
    parts = [0.03 * rng.normal(size=shape).astype(np.float32) for shape in shapes]
    units = Joined([Bernoulli(1000), Softmax(3)])
    top = [0.03 * rng.normal(size=shape).astype(np.float32) for shape in ((1003, 4), (1003,), (4,))]
    return Stack((Layer(Bernoulli(1000), Bernoulli(1000), *parts),), Machine(units, Bernoulli(4), *top))


def test_what_is_left_out_of_a_row_has_no_part_in_the_slope_of_its_label() -> None:
    """The rest is scaled up, so that what is left of a row's sum is right in the mean."""
    stack, x = wide(), np.full((1, 1000), 0.5, np.float32)
    row = jnp.asarray(np.concatenate([x, [[1, 0, 0]]], axis=1), jnp.float32)
    slope = label_slope(True, 0.3, stack, row, jax.random.key(0))
    out_x = ~np.any(slope.layers[0].up_weight, axis=1)
    out_t = ~np.any(slope.top.weight[:1000], axis=1)
    for out in (out_x, out_t):
        assert abs(out.mean() - 0.3) < 5 * np.sqrt(0.21 / out.size)
    np.testing.assert_array_equal(out_t, ~np.any(slope.layers[0].up_weight, axis=0))
    t = np.asarray(stack.recognise(jnp.asarray(x * ~out_x[None] / 0.7))) * ~out_t[None] / 0.7
    features = jnp.asarray(np.concatenate([t, [[1, 0, 0]]], axis=1), jnp.float32)
    wanted = label_slope(False, 0.0, Stack((), stack.top), features, jax.random.key(0))
    np.testing.assert_allclose(slope.top.weight, wanted.top.weight, atol=1e-5)
    both = label_slope(True, 0.3, stack, jnp.tile(row, (2, 1)), jax.random.key(0))
    in_one = np.any(both.layers[0].up_weight, axis=1).mean()
    assert abs(in_one - 0.91) < 5 * np.sqrt(0.91 * 0.09 / 1000)  # each row leaves out others
    other = label_slope(True, 0.3, stack, row, jax.random.key(1))
    for out in (out_x, ~np.any(other.top.weight[:1000], axis=1)):
        assert abs((out == out_t).mean() - 0.58) < 5 * np.sqrt(0.58 * 0.42 / 1000)  # .3^2 + .7^2


def test_dropout_changes_an_update_and_nothing_where_it_is_0() -> None:
    state, rows = tuning()
    plain = tuned(state, rows)
    static, knobs = replace(SETTINGS, dropout=0.5).static, SETTINGS.knobs
    given = jnp.asarray(rows), jnp.float32(0.1), jax.random.key(0)
    none = update(static, knobs._replace(dropout=np.float32(0)), state, *given).stack
    half = update(static, knobs._replace(dropout=np.float32(0.5)), state, *given).stack
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), none, plain)
    assert np.abs(half.layers[0].up_weight - plain.layers[0].up_weight).max() > 1e-4
    np.testing.assert_array_equal(half.layers[0].down_weight, plain.layers[0].down_weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"discriminative": 0.0}, "conditional is set without discriminative"),
        ({"discriminative": 0.0, "conditional": False, "dropout": 0.2}, "dropout is set without"),
        ({"dropout": 1.0}, "dropout must lie between 0 and 1"),
        ({"swaps": 10}, "swaps do not keep a label"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Training(**({"conditional": True, "discriminative": 1.0} | changes))


def test_labels_that_no_chain_could_keep_are_refused() -> None:
    x, y = np.eye(3)[[0, 1, 2] * 4], np.array([0, 1, 2] * 4)
    with pytest.raises(InputError, match="2 chains for 3 labels"):
        RBM(2, epochs=1, chains=2, conditional=True, discriminative=1.0).fit(x, y)
    with pytest.raises(InputError, match="no label units"):
        RBM(2, epochs=1, conditional=True, discriminative=1.0).fit(x)
    top = machine()
    with pytest.raises(InputError, match="2 chains for 3 labels"):
        Course(
            FineTuning(Stack((), top)), STATES, Training(batch_size=2, conditional=True, discriminative=1.0)
        )


def test_a_few_more_rows_are_learned_by_the_chains_that_are_there() -> None:
    """And chains that are too few to keep labels are refused then too."""
    x, y = np.eye(3)[[0, 1, 2] * 4], np.array([0, 1, 2] * 4)
    machine = RBM(2, conditional=True, discriminative=1.0).partial_fit(x, y)
    assert np.isfinite(machine.partial_fit(x[:2], y[:2]).machine_.weight).all()
    few = RBM(2, chains=2).partial_fit(x, y)
    with pytest.raises(InputError, match="2 chains for 3 labels"):
        few.set_params(chains=5, conditional=True, discriminative=1.0).partial_fit(x, y)
