"""The stack: its laws on a network small enough to enumerate."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import FileError, InputError
from probinv.boltzmann import (
    Layer,
    Machine,
    Stack,
    load_stack,
    machine_above,
    save_stack,
    variational_bound,
)
from probinv.boltzmann.imagining import completed, imagined, walk
from probinv.boltzmann.labels import label_scores
from probinv.boltzmann.stack import bound_terms, draws_above
from probinv.boltzmann.training._updown import layer_step, sleep
from probinv.boltzmann.units import Bernoulli, Joined, Softmax

NX, NT, NH, CLASSES = 4, 3, 3, 2


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def layer(seed: int = 0) -> Layer:
    own = numbers(seed, NX, NT), numbers(seed + 1, NT), numbers(seed + 2, NX, NT), numbers(seed + 3, NX)
    return Layer(Bernoulli(NX), Bernoulli(NT), *own)


def network(labels: bool = True) -> Stack:
    visible = Joined([Bernoulli(NT), Softmax(CLASSES)]) if labels else Bernoulli(NT)
    n = visible.size
    return Stack(
        (layer(),), Machine(visible, Bernoulli(NH), numbers(5, n, NH), numbers(6, n), numbers(7, NH))
    )


def bits(n: int) -> np.ndarray:
    return np.array(list(product((0.0, 1.0), repeat=n)))


def log_bernoulli(theta: np.ndarray, s: np.ndarray) -> np.ndarray:
    return np.sum(s * theta - np.logaddexp(0, theta), axis=-1)


def joint_with_memory(stack: Stack, x: np.ndarray) -> np.ndarray:
    """log sum over labels and h of p(x | t) exp(-E(t, label, h)) for every t, by explicit sums."""
    own, top, t = stack.layers[0], stack.top, bits(NT)
    down = t @ np.asarray(own.down_weight).T + np.asarray(own.down_bias)
    labels = np.eye(CLASSES) if stack.classes else np.zeros((1, 0))
    total = np.full(len(t), -np.inf)
    for label, h in product(labels, bits(NH)):
        v = np.concatenate([t, np.tile(label, (len(t), 1))], axis=1)
        energy = -(v @ top.visible_bias) - h @ top.hidden_bias - v @ np.asarray(top.weight) @ h
        total = np.logaddexp(total, -energy)
    return log_bernoulli(down, x[None]) + total


@pytest.mark.parametrize("labels", [True, False])
def test_bound_terms_are_log_p_minus_log_q(labels: bool, key: jax.Array, x64: None) -> None:
    stack, x = network(labels), bits(NX)[[0, 5, 11, 15]]
    up = x @ np.asarray(stack.layers[0].up_weight) + np.asarray(stack.layers[0].up_bias)
    found = np.asarray(bound_terms(stack, key, jnp.asarray(x)))
    t = np.asarray(Bernoulli(NT).sample(jax.random.fold_in(key, 0), jnp.asarray(up)))
    for row, state, theta, value in zip(x, t, up, found, strict=True):
        place = int(np.flatnonzero((bits(NT) == state).all(axis=1))[0])
        assert value == pytest.approx(
            joint_with_memory(stack, row)[place] - log_bernoulli(theta, state), abs=1e-10
        )


def test_the_bound_lies_below_the_evidence_and_meets_it_where_recognition_is_exact(
    key: jax.Array, x64: None
) -> None:
    """E_q log(p / q) <= log p, with equality where q(t | x) = p(t | x): no weights below."""
    stack, x = network(), bits(NX)
    exact = np.array([np.logaddexp.reduce(joint_with_memory(stack, row)) for row in x])
    found = variational_bound(stack, key, jnp.asarray(x), draws=200)
    assert found.value < exact.mean() - 0.05
    own = stack.layers[0]
    blind = Layer(own.below, own.above, own.up_weight * 0, own.up_bias, own.down_weight * 0, own.down_bias)
    top = Machine(Bernoulli(NT), Bernoulli(NH), np.zeros((NT, NH)), np.asarray(own.up_bias), numbers(7, NH))
    tight = Stack((blind,), top)
    exact = np.array([np.logaddexp.reduce(joint_with_memory(tight, row)) for row in x])
    assert variational_bound(tight, key, jnp.asarray(x), draws=3).value == pytest.approx(
        exact.mean(), abs=1e-10
    )


def test_label_scores_are_free_energies(x64: None) -> None:
    stack, t = network(), bits(NT)
    scores = np.asarray(label_scores(stack.top, jnp.asarray(t)))
    for k in range(CLASSES):
        v = np.concatenate([t, np.tile(np.eye(CLASSES)[k], (len(t), 1))], axis=1)
        energy = np.asarray(stack.top.free_energy(jnp.asarray(v)))
        linear = t @ np.asarray(stack.top.visible_bias)[:NT]
        np.testing.assert_allclose(scores[:, k], -energy - linear, atol=1e-12)


def test_imagined_rows_follow_the_generating_law(key: jax.Array) -> None:
    """Mean of x given a label by explicit sums; 20,000 chains, z below 5 for 4 entries: false alarms 2e-6."""
    stack, label = network(), 1
    t, h = bits(NT), bits(NH)
    v = np.concatenate([t, np.tile(np.eye(CLASSES)[label], (len(t), 1))], axis=1)
    top = stack.top
    energy = -(v @ top.visible_bias)[:, None] - (h @ top.hidden_bias)[None] - v @ np.asarray(top.weight) @ h.T
    p = np.exp(-energy).sum(axis=1)
    p /= p.sum()
    down = 1 / (1 + np.exp(-(t @ np.asarray(stack.layers[0].down_weight).T + stack.layers[0].down_bias)))
    found = imagined(stack, key, 20_000, 100, np.full(20_000, label))
    mean = p @ down
    spread = np.sqrt((p @ (down - mean) ** 2) / 20_000)
    assert found.shape == (20_000, NX)
    assert (np.abs(found.mean(axis=0) - mean) < 5 * spread).all()


def test_walks_have_chains_and_draws(key: jax.Array) -> None:
    found = walk(network(), key, chains=3, draws=5, every=2, warmup=4, label=0)
    assert found.x.shape == (3, 5, NX)
    assert found.free_energy.shape == (3, 5)
    assert len(np.unique(found.free_energy)) > 3
    again = walk(network(), key, chains=3, draws=5, every=2, warmup=4, label=0)
    np.testing.assert_array_equal(found.x, again.x)


def test_completion_keeps_what_is_known(key: jax.Array) -> None:
    x = bits(NX)[[3, 9]].astype(np.float32)
    known = np.array([True, False, True, False])
    found = completed(network(), key, x, known, 3, 2)
    np.testing.assert_array_equal(found[:, known], x[:, known])
    assert ((found >= 0) & (found <= 1)).all()
    assert not np.isin(found[:, ~known], (0.0, 0.5, 1.0)).all()


def test_directed_layers_climb_their_likelihoods(key: jax.Array, x64: None) -> None:
    """The step is rate times the gradient of mean log p(s | t) (wake) and of mean log q(t | s) (sleep)."""
    own = layer()
    stack = network()
    rows = jnp.asarray(bits(NX)[:8])
    s, t = draws_above(stack.layers, key, rows)
    dreamt, cause = sleep(stack, key, jnp.asarray(bits(NT)))
    share = jax.nn.softmax(jax.random.normal(key, len(dreamt)))
    stepped = layer_step(own, (s, t), (dreamt, cause), share, jnp.asarray(0.5))

    def generation(weight, bias):
        theta = t @ weight.T + bias[None]
        return jnp.mean(jnp.sum(s * theta - jax.nn.softplus(theta), axis=1))

    def recognition(weight, bias):
        theta = dreamt @ weight + bias[None]
        return share @ jnp.sum(cause * theta - jax.nn.softplus(theta), axis=1)

    down = jax.grad(generation, (0, 1))(jnp.asarray(own.down_weight), jnp.asarray(own.down_bias))
    up = jax.grad(recognition, (0, 1))(jnp.asarray(own.up_weight), jnp.asarray(own.up_bias))
    for name, slope in zip(("down_weight", "down_bias", "up_weight", "up_bias"), (*down, *up), strict=True):
        moved = np.asarray(getattr(stepped, name)) - np.asarray(getattr(own, name))
        np.testing.assert_allclose(moved, 0.5 * np.asarray(slope), atol=1e-12)


def test_wake_follows_the_recognition_law_and_sleep_the_generating_one(key: jax.Array) -> None:
    """Means of 20,000 draws, z below 5 for 7 entries: false alarms 4e-6."""
    stack, own = network(), layer()
    x = np.tile(bits(NX)[[6]], (20_000, 1)).astype(np.float32)
    t = np.tile(bits(NT)[[5]], (20_000, 1)).astype(np.float32)
    seen = np.asarray(draws_above(stack.layers, key, jnp.asarray(x))[1]).mean(axis=0)
    dreamt = np.asarray(sleep(stack, key, jnp.asarray(t))[0]).mean(axis=0)
    up = 1 / (1 + np.exp(-(x[0] @ np.asarray(own.up_weight) + own.up_bias)))
    down = 1 / (1 + np.exp(-(t[0] @ np.asarray(own.down_weight).T + own.down_bias)))
    for found, p in ((seen, up), (dreamt, down)):
        assert (np.abs(found - p) < 5 * np.sqrt(p * (1 - p) / 20_000)).all()


def test_a_stack_is_read_back_as_it_was_written(tmp_path) -> None:
    stack = network()
    path = save_stack(stack, tmp_path / "stack.safetensors", classes=["X", "O"])
    found, classes = load_stack(path)
    assert classes == ["X", "O"]
    x = jnp.asarray(bits(NX), jnp.float32)
    np.testing.assert_array_equal(found.scores(x), stack.scores(x))
    assert jax.tree.structure(found) == jax.tree.structure(stack)


@pytest.mark.parametrize("classes", [["X"], ["X", "X"], [1, "O"], [[1], [2]]])
def test_labels_that_do_not_fit_are_refused(classes, tmp_path) -> None:
    with pytest.raises(InputError, match=r"classes|labels"):
        save_stack(network(), tmp_path / "stack.safetensors", classes=np.array(classes, object))


def test_damaged_stacks_are_refused(tmp_path) -> None:
    path = save_stack(network(), tmp_path / "stack.safetensors")
    data = path.read_bytes()
    for place in range(0, len(data), max(len(data) // 37, 1)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(FileError):
            load_stack(path)
        path.write_bytes(data[:place])
        with pytest.raises(FileError):
            load_stack(path)


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="the one above takes"):
        Stack(
            (layer(),),
            Machine(Bernoulli(NT + 1), Bernoulli(NH), np.zeros((NT + 1, NH)), np.zeros(NT + 1), np.zeros(NH)),
        )


def test_a_label_without_label_units_is_refused(key: jax.Array) -> None:
    with pytest.raises(InputError, match="without labels"):
        imagined(network(labels=False), key, 2, 1, np.zeros(2, int))
    with pytest.raises(InputError, match="out of range"):
        imagined(network(), key, 2, 1, np.full(2, CLASSES))


def test_a_machine_above_imagines_what_is_below(x64: None) -> None:
    """Its law of v is that of h below, whatever the number of new units with weights of 0."""
    below = network(labels=False).top
    above = machine_above(below, below.hidden, Bernoulli(NT + 2), jax.random.key(0))
    still = eqx.tree_at(lambda m: m.weight, above, np.where(np.arange(NT + 2) < NT, above.weight, 0.0))
    h = jnp.asarray(bits(NH))
    expected, found = -below.flipped.free_energy(h), -still.free_energy(h)
    np.testing.assert_allclose(np.diff(np.asarray(found)), np.diff(np.asarray(expected)), atol=1e-6)
    small = machine_above(below, below.hidden, Bernoulli(NT - 1), jax.random.key(0))
    assert np.abs(np.asarray(small.weight)).max() < 0.1
