"""A classifier of MNIST's digits that knows nothing of any machine, to judge what is imagined."""

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from probinv.bench.mnist import LABELS, SIDE, Digits

CHANNELS, HIDDEN = (16, 32), 128
EPOCHS, BATCH, RATE = 4, 100, 1e-3
AT_ONCE = 1000


@final
class Judge:
    """A convolutional network, 784 pixels in [0, 1] to 10 labels.

    Args:
        weights: as `train_judge` makes them.
    """

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights = weights

    def __call__(self, rows: Float[np.ndarray, "rows 784"]) -> np.ndarray:
        """The label of each row."""
        parts = [rows[k : k + AT_ONCE] for k in range(0, len(rows), AT_ONCE)]
        return np.concatenate([np.asarray(_label(self.weights, jnp.asarray(part))) for part in parts])


def train_judge(digits: Digits, *, epochs: int = EPOCHS, seed: int = 0) -> Judge:
    """Two convolutions of 5 x 5 with pooling, one hidden layer; cross-entropy by Adam, rate falling to 0."""
    rows, labels = pixels(digits.train), digits.train_labels.astype(np.int32)
    count = len(rows) // BATCH
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, epochs * count))
    weights = _weights(jax.random.key(seed))
    state = optimiser.init(weights)

    @jax.jit
    def step(weights: Any, state: Any, x: Array, y: Array) -> tuple[Any, Any]:
        def loss(weights: Any) -> Array:
            return optax.softmax_cross_entropy_with_integer_labels(_logits(weights, x), y).mean()

        change, state = optimiser.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, change), state

    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(rows))
        for place in range(count):
            chosen = order[place * BATCH : (place + 1) * BATCH]
            weights, state = step(weights, state, rows[chosen], labels[chosen])
    return Judge(weights)


def pixels(images: np.ndarray) -> Float[np.ndarray, "rows 784"]:
    """Images of bytes as rows in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def _weights(key: Array) -> dict[str, Array]:
    sizes = {
        "first": (5, 5, 1, CHANNELS[0]),
        "second": (5, 5, *CHANNELS),
        "third": ((SIDE // 4) ** 2 * CHANNELS[1], HIDDEN),
        "last": (HIDDEN, LABELS),
    }
    keys = dict(zip(sizes, jax.random.split(key, len(sizes)), strict=True))
    found = {}
    for name, shape in sizes.items():
        found[name] = jax.random.normal(keys[name], shape) * float(np.sqrt(2 / np.prod(shape[:-1])))
        found[f"{name}_bias"] = jnp.zeros(shape[-1])
    return found


def _logits(weights: dict[str, Array], rows: Array) -> Array:
    x = rows.reshape(-1, SIDE, SIDE, 1)
    for name in ("first", "second"):
        kinds = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, weights[name], (1, 1), "SAME", dimension_numbers=kinds)
        x = jax.nn.relu(x + weights[f"{name}_bias"][None, None, None])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(x.reshape(len(x), -1) @ weights["third"] + weights["third_bias"][None])
    return x @ weights["last"] + weights["last_bias"][None]


@jax.jit
def _label(weights: dict[str, Array], rows: Array) -> Array:
    return jnp.argmax(_logits(weights, rows), axis=1)
