"""Fine-tuning of a stack: the up-down algorithm."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import Count, PRNGKey, Scalar
from probinv.boltzmann.stack import Layer, Stack
from probinv.boltzmann.training._step import Knobs, Static, averaged, blend, climb, moved

type Rows = Float[Array, "batch _"]


class Tuning(NamedTuple):
    """What a fine-tuning goes on from.

    Attributes:
        stack: the parameters now.
        average: their moving average.
        centre_visible, centre_hidden: moving averages in the memory.
        chain: hidden states of the memory's persistent chains.
        step: updates done.
    """

    stack: Stack
    average: Stack
    centre_visible: Float[Array, " nv"]
    centre_hidden: Float[Array, " nh"]
    chain: Float[Array, "chains nh"]
    step: Count


def wake(stack: Stack, key: PRNGKey, x: Rows) -> list[Rows]:
    """x and a draw of every layer above it from the recognition law."""
    states = [x]
    for place, layer in enumerate(stack.layers):
        states.append(layer.above.sample(jax.random.fold_in(key, place), layer.up(states[-1])))
    return states


def sleep(stack: Stack, key: PRNGKey, t: Rows) -> list[Rows]:
    """A draw of every layer below t, and t, from the generating law: from x upwards."""
    states = [t]
    for place, layer in reversed(list(enumerate(stack.layers))):
        states.append(layer.below.sample(jax.random.fold_in(key, place), layer.down(states[-1])))
    return states[::-1]


def layer_step(layer: Layer, awake: tuple[Rows, Rows], asleep: tuple[Rows, Rows], rate: Scalar) -> Layer:
    """Down weights learn to give back what was seen awake, up weights what was dreamt:

    dD = <(s - E[s | t]) t^T>_wake,     dU = <s (t - E[t | s])^T>_sleep.
    """
    s, t = awake
    missed = (s - layer.below.mean(layer.down(t))) / len(s)
    dreamt, cause = asleep
    unseen = (cause - layer.above.mean(layer.up(dreamt))) / len(dreamt)
    return Layer(
        layer.below,
        layer.above,
        layer.up_weight + rate * dreamt.T @ unseen,
        layer.up_bias + rate * unseen.sum(axis=0),
        layer.down_weight + rate * missed.T @ t,
        layer.down_bias + rate * missed.sum(axis=0),
    )


def update(static: Static, knobs: Knobs, state: Tuning, rows: Rows, rate: Scalar, key: PRNGKey) -> Tuning:
    """The state after one batch of rows (x, label): awake, in the memory, asleep."""
    stack, classes = state.stack, state.stack.classes
    key_data, key_wake, key_climb, key_sleep = jax.random.split(key, 4)
    x, label = rows[:, : rows.shape[1] - classes], rows[:, rows.shape[1] - classes :]
    x = stack.visible.drawn(key_data, x) if static.binarise else x
    awake = wake(stack, key_wake, x)
    data = jnp.concatenate([awake[-1], label], axis=1)
    centre = (state.centre_visible, state.centre_hidden)
    found = climb(static, knobs, stack.top, data, state.chain, centre, key_climb)
    asleep = sleep(stack, key_sleep, found.model[:, : stack.features])
    layers = tuple(
        layer_step(layer, (awake[i], awake[i + 1]), (asleep[i], asleep[i + 1]), rate)
        for i, layer in enumerate(stack.layers)
    )
    stack = Stack(layers, moved(stack.top, found.way, rate))
    step = state.step + 1
    return Tuning(
        stack,
        blend(state.average, stack, averaged(knobs, step)),
        centre[0] + knobs.centring * (data.mean(axis=0) - centre[0]),
        centre[1] + knobs.centring * (found.hidden.mean(axis=0) - centre[1]),
        found.chain,
        step,
    )


@partial(jax.jit, static_argnames="static")
def updates(
    static: Static,
    knobs: Knobs,
    state: Tuning,
    batches: Float[Array | np.ndarray, "n batch nv"],
    rates: Float[Array | np.ndarray, " n"],
    count: int | Count,
    key: PRNGKey,
) -> Tuning:
    """The state after the first `count` batches; see `_step.updates`."""

    def body(i: Count, state: Tuning) -> Tuning:
        rows = jax.lax.dynamic_index_in_dim(jnp.asarray(batches), i, keepdims=False)
        return update(static, knobs, state, rows, jnp.asarray(rates)[i], jax.random.fold_in(key, state.step))

    return jax.lax.fori_loop(0, count, body, state)
