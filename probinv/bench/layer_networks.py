"""Small networks, one for each kind of layer, that `bench layers` trains and goes back through."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from probinv._checks import double_precision, fresh
from probinv._typing import PRNGKey, X, Y
from probinv.bench import layer_functions as functions
from probinv.forward import (
    AbstractForward,
    Activation,
    Affine,
    Convolution,
    Dense,
    Function,
    Layered,
    Reshape,
)

STEPS, BATCH, ROWS, RATE = 400, 64, 2000, 1e-2
HIDDEN = 16

type Arrays = dict[str, Any]


class Kind(NamedTuple):
    """A kind of layer, and a small network in which it sits.

    Attributes:
        shape: of one input.
        outputs: how many.
        begin: weights before the training.
        build: the network of such weights.
        noisy: one pass in training, where it differs from `build`'s: (weights, x, key) -> y.
        asked: the network that is asked, where it is not the one that is trained.
    """

    shape: tuple[int, ...]
    outputs: int
    begin: Callable[[np.random.Generator], Arrays]
    build: Callable[[Arrays], AbstractForward]
    noisy: Callable[[Arrays, X, PRNGKey], Y] | None = None
    asked: Callable[[Arrays], AbstractForward] | None = None

    @property
    def size(self) -> int:
        """Inputs."""
        return math.prod(self.shape)


class Trained(NamedTuple):
    """A trained network, its weights, and the share of variance that it has learned."""

    network: AbstractForward
    weights: Arrays
    learned: float


def matrices(*sizes: int) -> Callable[[np.random.Generator], Arrays]:
    """Dense layers: W ~ N(0, 2 / inputs), b = 0."""

    def begin(rng: np.random.Generator) -> Arrays:
        return {f"w{k}": _normal(rng, (n_out, n_in)) for k, (n_in, n_out) in enumerate(pairwise(sizes))} | {
            f"b{k}": np.zeros(n_out) for k, n_out in enumerate(sizes[1:])
        }

    return begin


def kernels(channels: int, outputs: int) -> Callable[[np.random.Generator], Arrays]:
    """A convolution of one channel by 3 x 3, and a dense layer behind it, if any."""

    def begin(rng: np.random.Generator) -> Arrays:
        first = {"kernel": _normal(rng, (channels, 1, 3, 3)), "offset": np.zeros(channels)}
        return first | matrices(outputs, 3)(rng) if outputs else first | {"again": _normal(rng, (1, 1, 3, 3))}

    return begin


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape) * np.sqrt(2 / math.prod(shape[1:]))


def dense(activation: str, last: str, weights: Arrays) -> Layered:
    """Dense layers, as many as there are."""
    count = sum(name.startswith("w") for name in weights)
    w, b = ([weights[f"{letter}{k}"] for k in range(count)] for letter in "wb")
    return Layered.from_arrays(w, b, activation, last)


def square(weights: Arrays) -> Layered:
    """Three square layers with leaky ReLU between them."""
    layers: list[Any] = [Dense(weights["w0"], weights["b0"])]
    for k in (1, 2):
        layers += [Activation("leaky_relu", 0.1), Dense(weights[f"w{k}"], weights[f"b{k}"])]
    return Layered(layers, (10,))


def normalised(weights: Arrays) -> Layered:
    """Batch norm at inference: an affine layer behind each hidden dense layer."""
    layers: list[Any] = []
    for k in (0, 1):
        layers += [
            Dense(weights[f"w{k}"], weights[f"b{k}"]),
            Affine(weights[f"scale{k}"], weights[f"shift{k}"]),
        ]
        layers.append(Activation("relu"))
    return Layered([*layers, Dense(weights["w2"], weights["b2"])], (12,))


def _normalised(rng: np.random.Generator) -> Arrays:
    more = {f"scale{k}": rng.uniform(0.5, 1.5, HIDDEN) for k in (0, 1)}
    return matrices(12, HIDDEN, HIDDEN, 3)(rng) | more | {f"shift{k}": np.zeros(HIDDEN) for k in (0, 1)}


def convolved(pooled: bool, weights: Arrays) -> Layered:
    """A valid convolution, ReLU, averages of 2 x 2 places if `pooled`, and a dense layer."""
    layers = [Convolution(weights["kernel"], weights["offset"]), Activation("relu")]
    if pooled:
        mean = np.einsum("oi,kl->oikl", np.eye(len(weights["offset"])), np.full((2, 2), 0.25))
        layers.append(Convolution(mean, stride=2))
    return Layered([*layers, Reshape([-1]), Dense(weights["w0"], weights["b0"])], (1, 6, 6))


def convolved_square(weights: Arrays) -> Layered:
    """Two circular convolutions with leaky ReLU between them: as many outputs as inputs."""
    first = Convolution(weights["kernel"], weights["offset"], padding="circular")
    second = Convolution(weights["again"], padding="circular")
    return Layered([first, Activation("leaky_relu", 0.1), second, Reshape([-1])], (1, 4, 4))


def function(fn: Callable[[Any, X], Y], shape: tuple[int, ...], weights: Arrays) -> Function:
    """A network that is known as a function only."""
    return Function(fn, weights, input_shape=shape)


def masked(weights: Arrays) -> Function:
    """The mean over `MASKS` masks that are drawn once."""
    masks = np.random.default_rng(0).uniform(size=(functions.MASKS, 2, HIDDEN)) < functions.KEPT
    return Function(functions.averaged, weights | {"masks": masks}, input_shape=(12,))


def _recurrent(gates: int) -> Callable[[np.random.Generator], Arrays]:
    def begin(rng: np.random.Generator) -> Arrays:
        size = functions.STATE
        cell = {"cell": _normal(rng, (gates * size, 2 + size)), "bias": np.zeros(gates * size)}
        return cell | {"out": _normal(rng, (3, size)), "shift": np.zeros(3)}

    return begin


def _attentive(outputs: int) -> Callable[[np.random.Generator], Arrays]:
    def begin(rng: np.random.Generator) -> Arrays:
        width = functions.WIDTH
        weights = {name: _normal(rng, (width, width)) for name in ("query", "key", "value", "mix")}
        weights |= {"up": _normal(rng, (2 * width, width)), "down": _normal(rng, (width, 2 * width))}
        weights |= {"up_bias": np.zeros(2 * width), "down_bias": np.zeros(width)}
        return weights | (
            {"out": _normal(rng, (outputs, width)), "shift": np.zeros(outputs)} if outputs else {}
        )

    return begin


def _function(fn: Callable[[Any, X], Y], shape: tuple[int, ...]) -> Callable[[Arrays], AbstractForward]:
    return partial(function, fn, shape)


TIMES, TOKENS, PLACES = (6, 2), (4, functions.WIDTH), (1, 6, 6)
THREE = (12, HIDDEN, HIDDEN, 3)
relu: Callable[[Arrays], AbstractForward] = partial(dense, "relu", "identity")

KINDS: dict[str, Kind] = {
    "dense, linear": Kind((12,), 3, matrices(12, 3), partial(dense, "identity", "identity")),
    "dense, tanh": Kind((12,), 3, matrices(*THREE), partial(dense, "tanh", "identity")),
    "dense, ReLU": Kind((12,), 3, matrices(*THREE), relu),
    "dense, leaky ReLU, square": Kind((10,), 10, matrices(10, 10, 10, 10), square),
    "convolution": Kind(PLACES, 3, kernels(4, 64), partial(convolved, False)),
    "convolution, square": Kind((1, 4, 4), 16, kernels(1, 0), convolved_square),
    "max pooling": Kind(PLACES, 3, kernels(4, 16), _function(functions.max_pooled, PLACES)),
    "average pooling": Kind(PLACES, 3, kernels(4, 16), partial(convolved, True)),
    "batch norm": Kind((12,), 3, _normalised, normalised),
    "dropout, switched off": Kind((12,), 3, matrices(*THREE), relu, functions.dropped),
    "dropout, mean of masks": Kind((12,), 3, matrices(*THREE), relu, functions.dropped, masked),
    "RNN": Kind(TIMES, 3, _recurrent(1), _function(functions.rnn, TIMES)),
    "LSTM": Kind(TIMES, 3, _recurrent(4), _function(functions.lstm, TIMES)),
    "attention": Kind(TOKENS, 3, _attentive(3), _function(functions.attention, TOKENS)),
    "attention, square": Kind(TOKENS, 16, _attentive(0), _function(functions.attention_square, TOKENS)),
    "transformer block": Kind(TOKENS, 3, _attentive(3), _function(functions.block, TOKENS)),
    "transformer block, square": Kind(TOKENS, 16, _attentive(0), _function(functions.block_square, TOKENS)),
    "softmax head": Kind((12,), 4, matrices(12, HIDDEN, 4), partial(dense, "tanh", "softmax")),
}
"""Every network of the bench, by name."""


def trained(kind: Kind, seed: int = 0, steps: int = STEPS) -> Trained:
    """A network after `steps` of Adam on the squared error to one of its kind with other random weights.

    Inputs are x ~ N(0, I). What it imitates is `build(begin)` of another seed, without dropout.

    Args:
        kind: which one.
        seed: of both sets of weights, the data and the masks.
        steps: minibatches.
    """
    rng = np.random.default_rng(seed)
    begin, other, x = kind.begin(rng), kind.begin(rng), rng.normal(size=(ROWS, *kind.shape))
    rows = rng.integers(ROWS, size=(steps, BATCH))
    with double_precision():
        inputs = jnp.asarray(x)
        y = outputs_of(kind.build(other), inputs)
        key = jax.random.key(seed)
        weights = _fit(kind.build, kind.noisy, begin, inputs, jnp.asarray(y), jnp.asarray(rows), key)
        weights = {name: np.asarray(value) for name, value in weights.items()}
        error = (outputs_of(kind.build(weights), inputs) - y) ** 2
    network = (kind.asked or kind.build)(weights)
    return Trained(network, weights, 1 - float(error.mean() / np.mean((y - y.mean(axis=0)) ** 2)))


@eqx.filter_jit
def _outputs(network: AbstractForward, x: Array) -> Array:
    return jax.vmap(network)(x)


def outputs_of(network: AbstractForward, x: Any) -> np.ndarray:
    """f(x) of every row of x. Call inside `double_precision`."""
    return np.asarray(_outputs(fresh(network), jnp.asarray(x)))


@partial(jax.jit, static_argnums=(0, 1))
def _fit(
    build: Callable[[Arrays], AbstractForward],
    noisy: Callable[[Arrays, X, PRNGKey], Y] | None,
    free: Arrays,
    x: Array,
    y: Array,
    rows: Array,
    key: PRNGKey,
) -> Arrays:
    adam = optax.adam(optax.cosine_decay_schedule(RATE, len(rows), 0.01))

    def objective(free: Arrays, chosen: Array, key: PRNGKey) -> Array:
        if noisy is None:
            said = jax.vmap(build(free))(x[chosen])
        else:
            said = jax.vmap(partial(noisy, free))(x[chosen], jax.random.split(key, len(chosen)))
        return jnp.mean((said - y[chosen]) ** 2)

    def step(carry: tuple[Any, Any], one: tuple[Array, PRNGKey]) -> tuple[tuple[Any, Any], None]:
        free, state = carry
        update, state = adam.update(jax.grad(objective)(free, *one), state, free)
        return (optax.apply_updates(free, update), state), None

    keys = jax.random.split(key, len(rows))
    return jax.lax.scan(step, (free, adam.init(free)), (rows, keys))[0][0]
