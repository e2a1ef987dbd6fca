"""One of every kind of forward, for the laws that all of them obey."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinv.forward import AbstractForward, Activation, Affine, Dense, Flat, Function, Layered, as_forward
from probinv.forward.layers import Convolution, Coupling, Reshape
from tests.forward.onnx_models import mlp as onnx_mlp

type Entry = tuple[Callable[[], AbstractForward], tuple[int, ...]]


def arrays(*shapes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) / np.sqrt(max(shape[-1:] or (1,))) for shape in shapes]


PARAMS = dict(zip(("w", "b"), arrays((2, 3), (2,)), strict=True))


def affine_tanh(params: dict[str, Any], x: jax.Array) -> jax.Array:
    return jnp.tanh(params["w"] @ x + params["b"])


def scalar(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(x) * x)


def batch(x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ jnp.asarray(PARAMS["w"], x.dtype).T)


def recurrent(params: dict[str, Any], x: jax.Array) -> jax.Array:
    """h_t = tanh(A h_{t-1} + B x_t), y = C h_T, for x of shape (T, d)."""

    def step(h: jax.Array, x_t: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(params["a"] @ h + params["b"] @ x_t), None

    h, _ = jax.lax.scan(step, jnp.zeros(4), x)
    return params["c"] @ h


RECURRENT = dict(zip("abc", arrays((4, 4), (4, 2), (3, 4), seed=1), strict=True))


def layered(activation: str = "tanh", output: str = "softmax", dtype: Any = np.float64) -> Layered:
    weights = [w.astype(dtype) for w in arrays((8, 5), (4, 8), (3, 4))]
    biases = [b.astype(dtype) for b in arrays((8,), (4,), (3,), seed=1)]
    return Layered.from_arrays(weights, biases, activation, output)


def scaled() -> Layered:
    first, second = arrays((4, 3), (1, 4))
    scale, shift = arrays((3,), (3,), seed=1)
    layers = [Affine(scale, shift), Dense(first), Activation("elu", 0.5), Dense(second), Affine(3.0, -1.0)]
    return Layered(layers, 3)


def convolved() -> Layered:
    kernel, inner, outer = arrays((3, 2, 3), (4, 2), (8, 4))
    layers = [
        Reshape([2, -1]),
        Convolution(kernel, np.ones(3), padding="circular"),
        Activation("tanh"),
        Convolution(arrays((2, 3, 1), seed=2)[0]),
        Reshape(),
        Coupling(inner, np.ones(4), outer, np.ones(8)),
    ]
    return Layered(layers, 6)


class Dropped(eqx.Module):
    """A module of a user, whose call needs a key."""

    linear: eqx.nn.Linear
    dropout: eqx.nn.Dropout
    scale: float

    def __call__(self, x: jax.Array, *, key: jax.Array) -> jax.Array:
        first, _ = jax.random.split(key)
        return self.scale * jnp.tanh(self.linear(self.dropout(x, key=first)))


class Recurrent(eqx.Module):
    cell: eqx.nn.GRUCell

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda h, x_t: (self.cell(x_t, h), None), jnp.zeros(4), x)[0]


class Batched(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.vmap(self.linear)(x)


def equinox_mlp() -> eqx.nn.MLP:
    return eqx.nn.MLP(3, 2, 8, 2, activation=jnp.tanh, key=jax.random.key(0))


def equinox_dropout() -> Dropped:
    return Dropped(eqx.nn.Linear(3, 2, key=jax.random.key(1)), eqx.nn.Dropout(0.5), 2.0)


def equinox_recurrent() -> Recurrent:
    return Recurrent(eqx.nn.GRUCell(2, 4, key=jax.random.key(2)))


def equinox_batched() -> AbstractForward:
    return as_forward(Batched(eqx.nn.Linear(3, 2, key=jax.random.key(1))), batched=True)


@cache
def sklearn(kind: str, dtype: Any = np.float64) -> tuple[Any, np.ndarray]:
    """A fitted estimator, and data to try it on."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    # means far larger than the spread, as raw measurements have them
    x = (rng.standard_normal((40, 5)) * [1, 2, 0.1, 5, 1] + [1e4, 0, -3, 10, 0]).astype(dtype)
    u = (x - x.mean(0)) / x.std(0)
    one, two = u[:, 0] * u[:, 1], np.stack([u[:, 0], np.sin(u[:, 1])], 1)
    settings: dict[str, Any] = {"hidden_layer_sizes": (8, 3), "max_iter": 20, "random_state": 0}

    def scaled(estimator: Any) -> Any:
        return make_pipeline(StandardScaler(), estimator)

    estimator, y = {
        "regressor": lambda: (MLPRegressor(activation="tanh", **settings), two),
        "one output": lambda: (scaled(MLPRegressor(**settings)), one),
        "poisson": lambda: (scaled(MLPRegressor(loss="poisson", **settings)), np.exp(u[:, 0])),
        "identity": lambda: (scaled(MLPRegressor(activation="identity", **settings)), two),
        "two classes": lambda: (scaled(MLPClassifier(activation="logistic", **settings)), one > 0),
        "three classes": lambda: (scaled(MLPClassifier(**settings)), np.digitize(u[:, 0], [-0.5, 0.5])),
        "labels": lambda: (scaled(MLPClassifier(activation="tanh", **settings)), (two > 0).astype(int)),
        "no mean": lambda: (
            make_pipeline(StandardScaler(with_mean=False), "passthrough", MLPRegressor(**settings)),
            two,
        ),
        "no std": lambda: (make_pipeline(StandardScaler(with_std=False), MLPRegressor(**settings)), two),
        "target": lambda: (
            TransformedTargetRegressor(scaled(MLPRegressor(**settings)), transformer=StandardScaler()),
            100 + 7 * one,
        ),
    }[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(x, y), x


SKLEARN = (
    "regressor", "one output", "poisson", "identity", "two classes", "three classes", "labels", "no mean",
    "no std", "target",
)  # fmt: skip

ZOO: dict[str, Entry] = {
    "params": (lambda: Function(affine_tanh, PARAMS), (3,)),
    "scalar output": (lambda: Function(scalar), (3,)),
    "scalar input": (lambda: Function(jnp.sin, input_shape=()), ()),
    "batched": (lambda: Function(batch, batched=True), (3,)),
    "recurrent": (lambda: Function(recurrent, RECURRENT, input_shape=(6, 2)), (6, 2)),
    "flat": (lambda: Flat(Function(recurrent, RECURRENT, input_shape=(6, 2)), 12), (12,)),
    "layered": (layered, (5,)),
    "layered float32": (lambda: layered("silu", "identity", np.float32), (5,)),
    "layered scaled": (scaled, (3,)),
    "layered convolved": (convolved, (6,)),
    "equinox mlp": (lambda: as_forward(equinox_mlp()), (3,)),
    "equinox dropout": (lambda: as_forward(equinox_dropout()), (3,)),
    "equinox recurrent": (lambda: as_forward(equinox_recurrent()), (6, 2)),
    "equinox batched": (equinox_batched, (3,)),
    "onnx": (lambda: as_forward(onnx_mlp()), (5,)),
}
