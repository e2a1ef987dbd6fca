"""The questions people came with, as networks trained on data that this file makes.

Every network is a `Layered` of plain dense layers, trained here in seconds: nothing is downloaded.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from probinv._checks import double_precision
from probinv.forward import Layered

Loss = Literal["squared", "cross_entropy", "binary_cross_entropy"]
NUMERALS = ("I", "V", "X", "L", "C", "D")
SIDE = 20

# Strokes of each numeral: end points (column, row) in a unit square with the origin at the upper left.
STROKES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "I": ((0.5, 0.1, 0.5, 0.9), (0.35, 0.1, 0.65, 0.1), (0.35, 0.9, 0.65, 0.9)),
    "V": ((0.2, 0.1, 0.5, 0.9), (0.5, 0.9, 0.8, 0.1)),
    "X": ((0.2, 0.1, 0.8, 0.9), (0.8, 0.1, 0.2, 0.9)),
    "L": ((0.3, 0.1, 0.3, 0.9), (0.3, 0.9, 0.75, 0.9)),
    "C": (
        (0.75, 0.2, 0.5, 0.1), (0.5, 0.1, 0.25, 0.3), (0.25, 0.3, 0.25, 0.7), (0.25, 0.7, 0.5, 0.9),
        (0.5, 0.9, 0.75, 0.8),
    ),
    "D": (
        (0.3, 0.1, 0.3, 0.9), (0.3, 0.1, 0.6, 0.2), (0.6, 0.2, 0.75, 0.5), (0.75, 0.5, 0.6, 0.8),
        (0.6, 0.8, 0.3, 0.9),
    ),
}  # fmt: skip


def difficulty_patterns(
    rows: int, seed: int = 0
) -> tuple[Float[np.ndarray, "rows 10"], Float[np.ndarray, "rows 1"]]:
    r"""Patterns of 10 numbers in [0, 1], and their difficulty from 0 to about 10.

    difficulty = 24 mean (x_{i+1} - x_i)^2 + 2 sin(3 x_1) x_10: jumps, and one interaction between the ends,
    make a pattern hard to remember.
    """
    x = np.random.default_rng(seed).uniform(size=(rows, 10))
    jumps = (np.diff(x, axis=1) ** 2).mean(axis=1)
    return x, (24 * jumps + 2 * np.sin(3 * x[:, 0]) * x[:, 9])[:, None]


def roman_numerals(
    rows: int, seed: int = 0
) -> tuple[Float[np.ndarray, "rows 20 20"], Int[np.ndarray, " rows"]]:
    """Roman numerals I V X L C D, drawn with jittered strokes, as 20 x 20 images in [0, 1], and their class.

    Position, size, slant, thickness and every end point vary; a little noise is added.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(NUMERALS), size=rows)
    images = np.stack([_draw(STROKES[NUMERALS[label]], rng, SIDE) for label in labels])
    return images, labels


def xs_and_os(
    rows: int, seed: int = 0
) -> tuple[Float[np.ndarray, "rows 32 32"], Float[np.ndarray, "rows 2"]]:
    """Xs and Os as 32 x 32 images in [0, 1], with targets (1, 0) for an X and (0, 1) for an O."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 13)
    ring = np.stack([0.5 + 0.32 * np.cos(angles), 0.5 + 0.38 * np.sin(angles)], axis=1)
    circle = tuple((*ring[k], *ring[k + 1]) for k in range(12))
    labels = rng.integers(2, size=rows)
    images = np.stack([_draw(circle if label else STROKES["X"], rng, 32) for label in labels])
    return images, np.eye(2)[labels]


def _draw(strokes: Sequence[tuple[float, ...]], rng: np.random.Generator, side: int) -> np.ndarray:
    ends = np.array(strokes).reshape(-1, 2, 2) + rng.normal(scale=0.012, size=(len(strokes), 2, 2))
    scale, slant = rng.uniform(0.8, 1.05, size=2), rng.normal(scale=0.08)
    ends = (ends - 0.5) * scale
    ends[..., 0] += slant * ends[..., 1]
    ends += 0.5 + rng.normal(scale=0.03, size=2)
    grid = (np.arange(side) + 0.5) / side
    points = np.stack(np.meshgrid(grid, grid), axis=-1)[:, :, None, :]
    first, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    place = np.clip(((points - first) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    distance = np.linalg.norm(points - first - place[..., None] * along, axis=-1).min(axis=-1)
    width = rng.uniform(0.035, 0.06)
    ink = 1 / (1 + np.exp((distance - width) / 0.012))
    return np.clip(ink + rng.normal(scale=0.02, size=ink.shape), 0, 1)


def train_network(
    x: np.ndarray,
    y: np.ndarray,
    sizes: Sequence[int],
    *,
    activation: str = "tanh",
    output_activation: str = "identity",
    loss: Loss = "squared",
    steps: int = 2000,
    batch: int = 128,
    rate: float = 3e-3,
    decay: float = 0.0,
    seed: int = 0,
) -> Layered:
    """A `Layered` network of dense layers trained by Adam with a cosine rate.

    Args:
        x: inputs, one a row; flattened.
        y: outputs, one a row, or class numbers for the cross-entropy loss.
        sizes: units of every layer, input and output included.
        activation: of the hidden layers.
        output_activation: of the returned network; with the cross-entropy losses the training sees logits.
        loss: "squared", "cross_entropy" (softmax) or "binary_cross_entropy" (sigmoid).
        steps: number of minibatches.
        batch: rows in each.
        rate: first learning rate.
        decay: weight decay of AdamW.
        seed: of the initial weights and the minibatches.
    """
    x = np.asarray(x, np.float32).reshape(len(x), -1)
    y = np.asarray(y)
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(sizes))
    weights = [rng.normal(size=(n_out, n_in)) / np.sqrt(n_in) for n_in, n_out in pairs]
    parameters = [(jnp.asarray(w, jnp.float32), jnp.zeros(len(w), jnp.float32)) for w in weights]
    order = jnp.asarray(rng.integers(len(x), size=(steps, batch)))
    trained = _fit(parameters, jnp.asarray(x), jnp.asarray(y), order, activation, loss, rate, decay)
    arrays = [(np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in trained]
    with double_precision():
        return Layered.from_arrays(
            [w for w, _ in arrays], [b for _, b in arrays], activation, output_activation
        )


def random_network(sizes: Sequence[int], seed: int = 0) -> Layered:
    """tanh layers with W ~ N(0, 1.5^2 / inputs) and b ~ N(0, .5^2), linear at the end; nothing is trained.

    Strongly curved: of such a network 10-32-32-1 NUTS takes about 50 leapfrogs a draw at a tolerance of
    .1, and ten times as many at .01.

    Args:
        sizes: units of every layer, input and output included.
        seed: of the weights.
    """
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(n_out, n_in)) * 1.5 / np.sqrt(n_in) for n_in, n_out in pairwise(sizes)]
    biases = [0.5 * rng.normal(size=len(w)) for w in weights]
    with double_precision():
        return Layered.from_arrays(weights, biases, "tanh")


def reachable(network: Layered, seed: int = 0) -> np.ndarray:
    """f(x) of one x ~ N(0, I): a wish that the network can meet."""
    x = np.random.default_rng(seed + 1000).normal(size=network.input_shape)
    with double_precision():
        return np.asarray(network(jnp.asarray(x)))


@partial(jax.jit, static_argnames=("activation", "loss", "rate", "decay"))
def _fit(
    parameters: list[tuple[Array, Array]],
    x: Array,
    y: Array,
    order: Array,
    activation: str,
    loss: Loss,
    rate: float,
    decay: float,
) -> list[tuple[Array, Array]]:
    adam = optax.adamw(optax.cosine_decay_schedule(rate, len(order), 0.01), weight_decay=decay)

    def objective(parameters: list[tuple[Array, Array]], rows: Array) -> Array:
        network = Layered.from_arrays(
            [w for w, _ in parameters], [b for _, b in parameters], activation, "identity"
        )
        return _losses(loss, jax.vmap(network)(x[rows]), y[rows]).mean()

    def step(carry: tuple[Any, Any], rows: Array) -> tuple[tuple[Any, Any], None]:
        parameters, state = carry
        update, state = adam.update(jax.grad(objective)(parameters, rows), state, parameters)
        return (optax.apply_updates(parameters, update), state), None

    return jax.lax.scan(step, (parameters, adam.init(parameters)), order)[0][0]


def _losses(loss: Loss, output: Array, y: Array) -> Array:
    if loss == "cross_entropy":
        return optax.softmax_cross_entropy_with_integer_labels(output, y)
    if loss == "binary_cross_entropy":
        return optax.sigmoid_binary_cross_entropy(output, y).sum(axis=1)
    return ((output - y) ** 2).sum(axis=1)
