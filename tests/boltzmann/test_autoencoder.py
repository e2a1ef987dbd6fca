"""Autoencoders: the unrolled stack by hand, the gradient against differences, and training on digits."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from scipy.special import expit, softmax
from sklearn.datasets import load_digits

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.boltzmann import _finetune
from probinv.boltzmann._backpropagation import begin, chain_of, layers_of, loss_of
from probinv.boltzmann._finetune import Finetuned, finetune, schedule, train_autoencoder
from probinv.boltzmann.autoencoder import Autoencoder, new_autoencoder, unroll
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.training._rows import Batches
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax
from probinv.forward import Activation, Affine, Dense, Layered

RNG = np.random.default_rng(0)
ROWS = RNG.uniform(size=(300, 7))


def machine(visible: AbstractUnits, hidden: AbstractUnits, seed: int = 0) -> Machine:
    rng = np.random.default_rng(seed)
    shape = visible.size, hidden.size
    a, b = rng.normal(size=shape[0]), rng.normal(size=shape[1])
    return Machine(visible, hidden, rng.normal(size=shape), a, b)


STACK = [
    machine(Bernoulli(7), Bernoulli(5), 1),
    machine(Bernoulli(5), Softmax(4), 2),
    machine(Softmax(4), Gaussian(2, [0.3, -0.4]), 3),
]

NETWORK = unroll(STACK)


def test_unrolled_is_up_then_down_by_hand() -> None:
    (w1, a1, b1), (w2, a2, b2), (w3, a3, b3) = [
        (np.asarray(m.weight), np.asarray(m.visible_bias), np.asarray(m.hidden_bias)) for m in STACK
    ]
    variance = np.exp([0.6, -0.8])
    code = variance * (softmax(expit(ROWS @ w1 + b1) @ w2 + b2, axis=1) @ w3 + b3)
    back = expit(expit(softmax(code @ w3.T + a3, axis=1) @ w2.T + a2) @ w1.T + a1)
    found = unroll(STACK)
    with double_precision():
        np.testing.assert_allclose(jax.vmap(found.encoder)(jnp.asarray(ROWS)), code, rtol=1e-12)
        np.testing.assert_allclose(jax.vmap(found.decoder)(jnp.asarray(code)), back, rtol=1e-12)
    np.testing.assert_allclose(found.encode(ROWS), code, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.decode(code), back, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.reconstruct(ROWS.reshape(300, 7, 1)), back, rtol=1e-5, atol=1e-5)
    expected = np.sum((back - ROWS) ** 2, axis=1)
    np.testing.assert_allclose(found.squared_error(ROWS), expected, rtol=1e-5, atol=1e-5)


def test_gaussian_data_are_unrolled_with_their_variance() -> None:
    one = machine(Gaussian(3, [0.5, 0.0, -0.5]), Bernoulli(2))
    rows = RNG.normal(size=(4, 3)).astype(np.float32)
    mean = one.hidden.mean(one.up(jnp.asarray(rows)))
    expected = one.visible.mean(one.down(mean))
    np.testing.assert_allclose(unroll([one]).reconstruct(rows), expected, rtol=1e-5, atol=1e-5)


def test_the_halves_are_forward_networks_that_compose() -> None:
    found = unroll(STACK)
    assert isinstance(found.encoder, Layered)
    assert isinstance(found.decoder, Layered)
    assert found.encoder.output_shape == found.decoder.input_shape == (found.code_size,) == (2,)
    assert found.encoder.input_shape == found.decoder.output_shape == (found.width,) == (7,)
    whole = Layered(found.encoder.layers + found.decoder.layers, 7)
    np.testing.assert_allclose(jax.vmap(whole)(ROWS), found.reconstruct(ROWS), rtol=1e-5, atol=1e-6)


ORACLES = {
    "identity": lambda x: x,
    "logistic": expit,
    "softmax": lambda x: softmax(x, axis=1),
    "silu": lambda x: x * expit(x),
    "tanh": np.tanh,
}
TINY = {
    ("squared", "logistic"): new_autoencoder(7, (4, 2), jax.random.key(1), activation="tanh"),
    ("cross_entropy", "logistic"): unroll(STACK),
    ("squared", "identity"): new_autoencoder(7, (4, 2), jax.random.key(2), output="identity"),
}


@pytest.mark.parametrize("case", TINY, ids=" ".join)
def test_the_gradient_is_that_of_the_formula(case: Any) -> None:
    """Against central differences of the loss, written with the plain weights in NumPy's float64."""
    kind, network = case[0], TINY[case]
    layers = network.encoder.layers + network.decoder.layers
    rows = ROWS[:20].astype(np.float32)
    with double_precision():
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), begin(layers, rows))
        weights = (state.weights, state.centres, jnp.asarray(ROWS[:20]))
        chain = chain_of(layers)
        value, slope = jax.jit(jax.value_and_grad(loss_of, 2), static_argnums=0)(kind, chain, *weights)

        def formula(weights: Any) -> float:
            x = ROWS[:20]
            own = iter(zip(weights, state.centres, strict=True))
            for layer in layers:
                if isinstance(layer, Dense):
                    (w, b), c = next(own)
                    x = (x - np.asarray(c)) @ np.asarray(w).T + np.asarray(b)
                else:
                    x = ORACLES[layer.name](x)
            if kind == "squared":
                return float(np.sum((x - ROWS[:20]) ** 2) / 20)
            each = ROWS[:20] * np.log(x) + (1 - ROWS[:20]) * np.log1p(-x)
            return float(-np.sum(each) / 20)

        assert value == pytest.approx(formula(state.weights), rel=1e-12)
        leaves, tree = jax.tree.flatten(state.weights)
        slopes, step, rng = jax.tree.leaves(slope), 1e-5, np.random.default_rng(4)
        direction = [rng.normal(size=leaf.shape) for leaf in leaves]
        for place in range(len(leaves)):
            moved = [
                tree.unflatten([*leaves[:place], leaves[place] + s * direction[place], *leaves[place + 1 :]])
                for s in (step, -step)
            ]
            difference = (formula(moved[0]) - formula(moved[1])) / (2 * step)
            assert np.sum(slopes[place] * direction[place]) == pytest.approx(difference, rel=1e-6, abs=1e-9)


def test_centring_changes_nothing_but_coordinates() -> None:
    found = unroll(STACK)
    layers = found.encoder.layers + found.decoder.layers
    state = begin(layers, ROWS.astype(np.float32))
    assert all(np.abs(centre).max() > 0.05 for centre in state.centres)
    back = layers_of(layers, state)
    assert [type(layer) for layer in back] == [type(layer) for layer in layers]
    for own, other in zip(back, layers, strict=True):
        if isinstance(own, Dense):
            assert own.weight.dtype == own.bias.dtype == np.float32
            np.testing.assert_allclose(own.weight, other.weight, rtol=1e-6)
            np.testing.assert_allclose(own.bias, other.bias, rtol=1e-5, atol=1e-6)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1500 to train with and 297 to test with, in [0, 1]."""
    rows = load_digits().data / 16
    return rows[:1500], rows[1500:]


def test_training_beats_principal_components_on_digits() -> None:
    """8 numbers for 64 pixels: PCA leaves 1.41 (test), this 0.95 after 30 epochs."""
    train, test = digits()
    done = trained()
    mean = train.mean(axis=0)
    axes = np.linalg.svd(train - mean, full_matrices=False)[2][:8]
    pca = np.sum((test - mean - (test - mean) @ axes.T @ axes) ** 2, axis=1).mean()
    error = done.autoencoder.squared_error(test).mean()
    assert done.stopped == ""
    assert error < 1.1 < pca
    assert done.history[-1]["error"] == pytest.approx(error, rel=1e-4)
    assert [entry["epoch"] for entry in done.history] == list(range(1, 31))
    assert done.history[-1]["loss"] < 0.3 * done.history[0]["loss"]


@cache
def trained() -> Finetuned:
    train, test = digits()
    how = {"epochs": 30, "batch_size": 50, "rate": 5e-3, "held_out": test, "progress": False}
    return train_autoencoder(train.reshape(-1, 8, 8), (64, 8), **how)


def test_the_codes_are_described() -> None:
    done = trained().autoencoder
    codes = done.encode(digits()[0]).astype(float)
    assert done.codes_ is not None
    np.testing.assert_allclose(done.codes_.mean, codes.mean(axis=0), rtol=1e-10)
    centred = codes - codes.mean(axis=0)
    np.testing.assert_allclose(done.codes_.covariance, centred.T @ centred / 1500, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_finetuning_improves_a_stack(loss: Any) -> None:
    rows = digits()[0]
    stack = [machine(Bernoulli(64), Bernoulli(20), 1), machine(Bernoulli(20), Gaussian(4), 2)]
    first = unroll(
        [Machine(m.visible, m.hidden, 0.1 * m.weight, m.visible_bias, m.hidden_bias) for m in stack]
    )
    done = finetune(first, rows, epochs=20, batch_size=50, rate=2e-2, loss=loss, progress=False)
    assert done.stopped == ""
    variance = np.sum(np.var(rows, axis=0))
    assert first.squared_error(rows).mean() > 1.5 * variance
    assert done.autoencoder.squared_error(rows).mean() < 0.75 * variance
    assert done.autoencoder.encoder.layers[1] == first.encoder.layers[1]


def test_real_data_and_layers_that_do_not_learn() -> None:
    rows = 100 + RNG.normal(size=(400, 2)) @ RNG.normal(size=(2, 6))
    scaler = Affine(1.0, -100 * np.ones(6))
    new = new_autoencoder(6, (2,), jax.random.key(0), output="identity")
    first = Autoencoder(
        Layered([scaler, *new.encoder.layers], 6),
        Layered([*new.decoder.layers, Affine(1.0, 100 * np.ones(6))], 2),
    )
    done = finetune(first, rows, epochs=60, batch_size=20, rate=1e-2, progress=False)
    assert done.autoencoder.squared_error(rows).mean() < 1e-3 * np.sum(np.var(rows, axis=0))
    np.testing.assert_array_equal(done.autoencoder.encoder.layers[0].shift, scaler.shift)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three blocks of updates in an epoch."""
    monkeypatch.setattr(_finetune, "BLOCK", 2)


@pytest.mark.usefixtures("small_blocks")
def test_sparse_rows_train_as_dense_ones() -> None:
    rows = (RNG.uniform(size=(60, 7)) < 0.3).astype(np.float32)
    first = unroll(STACK)
    how = {"epochs": 2, "batch_size": 10, "progress": False}
    one, other = finetune(first, rows, **how), finetune(first, scipy.sparse.csr_array(rows), **how)
    same(one.state, other.state)


def same(one: Any, other: Any) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


class Stopper:
    """Ctrl-C after some updates."""

    def __init__(self, after: int) -> None:
        self.left = after

    def update(self, steps: int, phase: str) -> None:
        assert phase.startswith("epoch")
        self.left -= steps
        if self.left <= 0:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("after", [4, 6])
def test_an_interrupt_keeps_the_weights_and_goes_on(after: int) -> None:
    """In the middle of an epoch and at the end of one; what follows is the run without an interrupt."""
    first, rows = unroll(STACK), ROWS[:60]
    how = {"epochs": 3, "batch_size": 10, "seed": 5}
    whole = finetune(first, rows, progress=False, **how)
    part = finetune(first, rows, progress=Stopper(after), **how)
    assert part.stopped == "interrupted"
    assert part.state.step == after
    assert len(part.history) == after // 6
    assert not np.allclose(part.autoencoder.encode(rows), first.encode(rows), atol=1e-4)
    rest = finetune(first, rows, progress=False, resume=part.state, **how)
    same(rest.state, whole.state)
    assert [entry["epoch"] for entry in part.history + rest.history] == [1, 2, 3]
    np.testing.assert_array_equal(rest.autoencoder.encode(rows), whole.autoencoder.encode(rows))
    later = finetune(part.autoencoder, rows, progress=False, resume=part.state, **how)
    same(later.state, whole.state)


@pytest.mark.usefixtures("small_blocks")
def test_an_epoch_is_adam_by_hand() -> None:
    """Kingma and Ba's algorithm 1 in float64, with the rate of each update, over the same six batches."""
    layers = NETWORK.encoder.layers + NETWORK.decoder.layers
    rows, chain = ROWS[:60].astype(np.float32), chain_of(layers)
    done = finetune(NETWORK, rows, epochs=1, batch_size=10, rate=0.05, seed=3, progress=False)
    batches = Batches(rows, 10, 3)(0, 6)
    state = begin(layers, rows)
    slope_of = jax.jit(jax.grad(loss_of, 2), static_argnums=0)
    w, tree = jax.tree.flatten(jax.tree.map(np.asarray, state.weights))
    m, v = [0.0] * len(w), [0.0] * len(w)
    for t, batch in enumerate(batches):
        weights = tree.unflatten([leaf.astype(np.float32) for leaf in w])
        g = jax.tree.leaves(slope_of("squared", chain, weights, state.centres, batch))
        for k, own in enumerate(np.asarray(part, np.float64) for part in g):
            m[k], v[k] = 0.9 * m[k] + 0.1 * own, 0.999 * v[k] + 0.001 * own**2
            step = m[k] / (1 - 0.9 ** (t + 1)) / (np.sqrt(v[k] / (1 - 0.999 ** (t + 1))) + 1e-8)
            w[k] = w[k] - 0.05 * float(schedule(t / 6)) * step
    for own, expected in zip(jax.tree.leaves(done.state.weights), w, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("small_blocks")
def test_the_seed_is_the_order_of_the_rows() -> None:
    how = {"epochs": 1, "batch_size": 10, "progress": False}
    one, again, other = (finetune(unroll(STACK), ROWS[:60], seed=seed, **how).state for seed in (1, 1, 2))
    same(one, again)
    assert not np.array_equal(one.weights[0][0], other.weights[0][0])


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize(("rate", "why"), [(30.0, "has run away"), (1e38, "no longer finite")])
def test_a_divergent_rate_is_a_named_stop_with_good_weights(loss: Any, rate: float, why: str) -> None:
    rows, good = digits()[0], trained().autoencoder
    done = finetune(good, rows, epochs=3, batch_size=50, rate=rate, loss=loss, progress=False)
    assert why in done.stopped
    assert "smaller rate" in done.stopped
    error = done.autoencoder.squared_error(rows).mean()
    assert error <= 1.3 * good.squared_error(rows).mean()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(done.state))


def test_the_rate_rises_and_falls() -> None:
    found = schedule(np.linspace(0, 1, 201))
    assert found[0] == found[-1] == 0
    assert found.argmax() == 10
    assert found[10] == 1
    assert found[5] == pytest.approx(0.5)
    assert found[10 + 95] == pytest.approx(0.5)


def test_new_weights_begin_at_the_mean() -> None:
    mean = np.clip(ROWS.mean(axis=0), 0.1, 0.9)
    for activation in ("logistic", "silu"):
        new = new_autoencoder(7, (40, 20, 2), jax.random.key(0), activation=activation, mean=mean)
        assert [layer.name for layer in new.encoder.layers[1::2]] == [activation, activation, "identity"]
        assert [layer.weight.shape[0] for layer in new.decoder.layers[::2]] == [20, 40, 7]
        assert np.abs(new.reconstruct(ROWS) - mean).max() < 0.35
        first, second = new.encoder.layers[0], new.encoder.layers[2]
        np.testing.assert_allclose(first.weight @ mean + first.bias, 0, atol=1e-5)
        middle = np.full(40, 0.5 if activation == "logistic" else 0.0)
        np.testing.assert_allclose(second.weight @ middle + second.bias, 0, atol=1e-5)
        spread = new.encode(ROWS).std(axis=0)
        assert (spread > 0.01).all()


HOW = {"epochs": 1, "progress": False}
NAN = np.where(np.arange(7) == 3, np.nan, ROWS)
BAD: dict[str, tuple[Any, str]] = {
    "nan": (lambda: finetune(NETWORK, NAN, **HOW), "rows contains NaN"),
    "nan to train": (lambda: train_autoencoder(NAN, (2,), **HOW), "rows contains NaN"),
    "nan to encode": (lambda: NETWORK.encode(NAN), "rows contains NaN"),
    "width": (lambda: finetune(NETWORK, ROWS[:, :6], **HOW), "rows has 6 columns"),
    "width to encode": (lambda: NETWORK.reconstruct(ROWS[:, :6]), "rows has 6 columns"),
    "width of codes": (lambda: NETWORK.decode(ROWS), "codes has 7 columns"),
    "width held out": (lambda: finetune(NETWORK, ROWS, held_out=ROWS[:, :2], **HOW), "held_out has 2"),
    "range": (lambda: finetune(NETWORK, 255 * ROWS, **HOW), r"outside \[0, 1\]"),
    "sparse range": (
        lambda: finetune(NETWORK, scipy.sparse.csr_array(-ROWS), **HOW),
        r"outside \[0, 1\]",
    ),
    "one row": (lambda: finetune(NETWORK, ROWS[:1], **HOW), "rows has 1 row"),
    "epochs": (lambda: finetune(NETWORK, ROWS, epochs=0), "epochs must be"),
    "rate": (lambda: finetune(NETWORK, ROWS, rate=-1.0), "rate must be positive"),
    "loss": (lambda: finetune(NETWORK, ROWS, loss="absolute", **HOW), "loss is 'absolute'"),
    "loss of real data": (
        lambda: finetune(TINY["squared", "identity"], ROWS, loss="cross_entropy", **HOW),
        "needs a logistic output",
    ),
    "another state": (
        lambda: finetune(NETWORK, ROWS, resume=trained().state, **HOW),
        "resume is not a state of this autoencoder",
    ),
    "no autoencoder": (lambda: finetune(NETWORK.encoder, ROWS, **HOW), "not an Autoencoder"),
    "halves": (lambda: Autoencoder(NETWORK.encoder, NETWORK.encoder), "does not fit the encoder"),
    "half": (lambda: Autoencoder(NETWORK.encoder, Layered([], (3, 2))), "not a Layered network of vectors"),
    "no machine": (lambda: unroll([]), "machines are not machines"),
    "chain": (lambda: unroll(STACK[::-1]), r"machines\[1\] has 5 visible units"),
    "rectified": (lambda: unroll([machine(Bernoulli(3), Rectified(2))]), "Rectified units cannot be"),
    "joined": (lambda: unroll([machine(Joined([Softmax(3)]), Bernoulli(2))]), "Joined units cannot be"),
    "sizes": (lambda: train_autoencoder(ROWS, (), **HOW), "sizes is empty"),
    "size": (lambda: train_autoencoder(ROWS, (3, 0), **HOW), r"sizes\[1\] must be"),
    "activation": (lambda: train_autoencoder(ROWS, (2,), activation="swoosh", **HOW), "swoosh"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call()


def test_last_names_are_activations() -> None:
    assert chain_of(NETWORK.decoder.layers).output == Activation("logistic")
    assert chain_of((Dense(np.eye(2)),)).output == Activation("identity")
