"""Networks that are no chains of layers, as functions of weights and one input: pooling, gates, attention."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinv._typing import PRNGKey, X, Y

KEPT, MASKS = 0.8, 16
"""Of dropout: the share of hidden units that stay, and how many masks a mean is taken over."""
STATE, WIDTH = 8, 4
"""Units of a recurrent state; entries of a token."""


def max_pooled(weights: Any, x: X) -> Y:
    """A valid convolution by 3 x 3, ReLU, the largest of 2 x 2 places, and a dense layer."""
    y = jax.lax.conv_general_dilated(x[None], weights["kernel"], (1, 1), "VALID")[0]
    y = jax.nn.relu(y + weights["offset"][:, None, None])
    channels, height, width = y.shape
    y = y.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))
    return weights["w0"] @ y.ravel() + weights["b0"]


def masked(weights: Any, x: X, masks: Array) -> Y:
    """A ReLU network whose hidden units are multiplied by masks (layer, unit) / KEPT: inverted dropout."""
    for k, mask in enumerate(masks):
        x = jax.nn.relu(weights[f"w{k}"] @ x + weights[f"b{k}"]) * mask / KEPT
    return weights[f"w{len(masks)}"] @ x + weights[f"b{len(masks)}"]


def dropped(weights: Any, x: X, key: PRNGKey) -> Y:
    """`masked` by new masks: one pass through dropout that is switched on."""
    return masked(weights, x, jax.random.bernoulli(key, KEPT, (2, len(weights["b0"]))))


def averaged(weights: Any, x: X) -> Y:
    """The mean of `masked` over masks that are kept: an estimate of E[f(x, mask)] that is a function of x."""
    return jax.vmap(lambda masks: masked(weights, x, masks))(weights["masks"]).mean(axis=0)


def rnn(weights: Any, x: X) -> Y:
    """h_t = tanh(W [x_t, h_{t-1}] + b); y = V h_T + c."""

    def step(h: Array, now: Array) -> tuple[Array, None]:
        return jnp.tanh(weights["cell"] @ jnp.concatenate([now, h]) + weights["bias"]), None

    h, _ = jax.lax.scan(step, jnp.zeros(STATE, x.dtype), x)
    return weights["out"] @ h + weights["shift"]


def lstm(weights: Any, x: X) -> Y:
    """Gates i, f, g, o = W [x_t, h_{t-1}] + b; c <- s(f + 1) c + s(i) tanh(g); h <- s(o) tanh(c)."""

    def step(carry: tuple[Array, Array], now: Array) -> tuple[tuple[Array, Array], None]:
        h, c = carry
        gates = weights["cell"] @ jnp.concatenate([now, h]) + weights["bias"]
        i, f, g, o = jnp.split(gates, 4)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros(STATE, x.dtype)
    (h, _), _ = jax.lax.scan(step, (zero, zero), x)
    return weights["out"] @ h + weights["shift"]


def attend(weights: Any, x: Float[Array, "tokens width"]) -> Float[Array, "tokens width"]:
    """softmax(Q K^T / sqrt(d)) V W: one head."""
    query, key, value = (x @ weights[name].T for name in ("query", "key", "value"))
    return jax.nn.softmax(query @ key.T / jnp.sqrt(1.0 * WIDTH), axis=-1) @ value @ weights["mix"].T


def attention_square(weights: Any, x: X) -> Y:
    """All tokens after attention."""
    return attend(weights, x).ravel()


def attention(weights: Any, x: X) -> Y:
    """The mean token after attention, through a dense layer."""
    return weights["out"] @ attend(weights, x).mean(axis=0) + weights["shift"]


def _block(weights: Any, x: Float[Array, "tokens width"]) -> Float[Array, "tokens width"]:
    """x + attention(norm(x)), then the same with a perceptron: the pre-norm block of a transformer."""
    x = x + attend(weights, _norm(x))
    hidden = jax.nn.gelu(_norm(x) @ weights["up"].T + weights["up_bias"][None], approximate=False)
    return x + hidden @ weights["down"].T + weights["down_bias"][None]


def _norm(x: Float[Array, "tokens width"]) -> Float[Array, "tokens width"]:
    """Layer norm of each token, its scale and shift taken into the weights behind it."""
    return jax.nn.standardize(x, axis=-1, epsilon=1e-5)


def block_square(weights: Any, x: X) -> Y:
    """All tokens after a transformer block."""
    return _block(weights, x).ravel()


def block(weights: Any, x: X) -> Y:
    """The mean token after a transformer block, through a dense layer."""
    return weights["out"] @ _block(weights, x).mean(axis=0) + weights["shift"]
