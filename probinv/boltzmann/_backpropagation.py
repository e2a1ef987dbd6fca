"""The gradient of an autoencoder's loss, in centred weights, and Adam's updates along it."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from probinv.forward import AbstractLayer, Activation, Dense

type Batch = Float[Array, "batch _"]

ADAM = optax.scale_by_adam()
ERROR_BLOCK = 500


class State(NamedTuple):
    """Where a fine-tuning is: with it the same run goes on bit for bit.

    Attributes:
        weights: (W, b') of each dense layer, y = W (x - c) + b'.
        centres: c of each dense layer.
        adam: the moments of the gradient.
        step: updates so far.
    """

    weights: tuple[tuple[Array, Array], ...]
    centres: tuple[Array, ...]
    adam: Any
    step: Int[Array, ""]


class Chain(NamedTuple):
    """A network of which only the dense layers learn.

    Attributes:
        layers: all but the last activation; None for a dense layer.
        output: the last activation.
    """

    layers: tuple[AbstractLayer | None, ...]
    output: Activation


def chain_of(layers: tuple[AbstractLayer, ...]) -> Chain:
    """The chain without its weights."""
    last = layers[-1]
    inner, output = (layers[:-1], last) if isinstance(last, Activation) else (layers, Activation("identity"))
    return Chain(tuple(None if isinstance(layer, Dense) else layer for layer in inner), output)


def begin(layers: tuple[AbstractLayer, ...], rows: Float[np.ndarray, "rows _"]) -> State:
    """The state of given weights, centred at the mean inputs that the rows cause in each layer.

    y = W x + b = W (x - c) + b', b' = b + W c: the function is the same, and the gradient of W does not carry
    the gradient of b' along. Hidden logistic units are near 1/2 and not near 0: without centring the same
    training takes far longer (Montavon and Müller 2012).
    """
    x, weights, centres = jnp.asarray(rows, jnp.float32), [], []
    for layer in layers:
        if isinstance(layer, Dense):
            weight = jnp.asarray(layer.weight, jnp.float32)
            centre = jnp.mean(x, axis=0)
            weights.append((weight, jnp.asarray(layer.bias, jnp.float32) + weight @ centre))
            centres.append(centre)
            x = _dense(weights[-1], centre, x)
        else:
            x = jax.vmap(layer)(x)
    return State(tuple(weights), tuple(centres), ADAM.init(tuple(weights)), jnp.zeros((), jnp.int32))


def layers_of(layers: tuple[AbstractLayer, ...], state: State) -> list[AbstractLayer]:
    """The layers with the weights of a state, not centred."""
    own = zip(state.weights, state.centres, strict=True)
    found: list[AbstractLayer] = []
    for layer in layers:
        if isinstance(layer, Dense):
            (weight, bias), centre = jax.tree.map(np.asarray, next(own))
            plain = bias.astype(np.float64) - weight.astype(np.float64) @ centre.astype(np.float64)
            found.append(Dense(weight, plain.astype(np.float32)))
        else:
            found.append(layer)
    return found


def loss_of(kind: str, chain: Chain, weights: Any, centres: Any, x: Batch) -> Float[Array, ""]:
    """The mean over the rows of one of

    squared        sum_i (x'_i - x_i)^2
    cross_entropy  -sum_i x_i log x'_i + (1 - x_i) log(1 - x'_i),  x' = logistic(theta)
    """
    theta = _theta(chain, weights, centres, x)
    if kind == "cross_entropy":
        each = jax.nn.softplus(theta) - x * theta
    else:
        each = (jax.vmap(chain.output)(theta) - x) ** 2
    return jnp.mean(jnp.sum(each, axis=1))


@partial(jax.jit, static_argnums=0)
def updates(
    kind: str,
    chain: Chain,
    state: State,
    rows: Float[Array, "block batch n"],
    rates: Float[Array, " block"],
    count: Int[Array, ""] | int,
) -> tuple[State, Float[Array, ""]]:
    """The state after the first `count` batches, and the sum of their losses."""

    def update(i: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, total = carry
        value, slope = jax.value_and_grad(loss_of, 2)(kind, chain, state.weights, state.centres, rows[i])
        step, adam = ADAM.update(slope, state.adam)
        weights = jax.tree.map(lambda w, s: w - rates[i] * s, state.weights, step)
        return State(weights, state.centres, adam, state.step + 1), total + value

    return jax.lax.fori_loop(0, count, update, (state, jnp.zeros((), jnp.float32)))


@partial(jax.jit, static_argnums=0)
def mean_loss(kind: str, chain: Chain, state: State, rows: Batch) -> Float[Array, ""]:
    """The loss over all rows."""

    def one(x: Float[Array, " n"]) -> Float[Array, ""]:
        return loss_of(kind, chain, state.weights, state.centres, x[None])

    return jnp.mean(jax.lax.map(one, rows, batch_size=ERROR_BLOCK))


@jax.jit
def finite(state: State) -> Array:
    """Whether every weight is."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.weights)]).all()


def _theta(chain: Chain, weights: Any, centres: Any, x: Batch) -> Batch:
    own = zip(weights, centres, strict=True)
    for layer in chain.layers:
        x = _dense(*next(own), x) if layer is None else jax.vmap(layer)(x)
    return x


def _dense(weights: tuple[Array, Array], centre: Array, x: Batch) -> Batch:
    weight, bias = weights
    return (x - centre[None]) @ weight.T + bias[None]
