"""Fine-tuning of a stack: the up-down algorithm."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import Count, PRNGKey, Scalar
from probinv.boltzmann.stack import Layer, Stack, draws_above, means_above
from probinv.boltzmann.training._labels import label_slope
from probinv.boltzmann.training._learning import require_chains
from probinv.boltzmann.training._rows import Batches, dense
from probinv.boltzmann.training._settings import Training
from probinv.boltzmann.training._step import (
    Knobs,
    Static,
    averaged,
    blend,
    climb,
    moved,
    toward,
    with_slope,
)

type Rows = Float[Array, "_ _"]


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


def sleep(stack: Stack, key: PRNGKey, t: Rows) -> list[Rows]:
    """A draw of every layer below t, and t, from the generating law: from x upwards."""
    states = [t]
    for place, layer in reversed(list(enumerate(stack.layers))):
        states.append(layer.below.sample(jax.random.fold_in(key, place), layer.down(states[-1])))
    return states[::-1]


def layer_step(
    layer: Layer, awake: tuple[Rows, Rows], asleep: tuple[Rows, Rows], share: Array, rate: Scalar
) -> Layer:
    """Down weights learn to give back what was seen awake, up weights what was dreamt:

    dD = <(s - E[s | t]) t^T>_wake,     dU = <s (t - E[t | s])^T>_sleep,

    the second a mean in which each dream has its share.
    """
    s, t = awake
    missed = (s - layer.below.mean(layer.down(t))) / len(s)
    dreamt, cause = asleep
    unseen = (cause - layer.above.mean(layer.up(dreamt))) * share[:, None]
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
    awake = draws_above(stack.layers, key_wake, x)
    features = awake[-1]
    # means make the memory imagine what is more typical, and less diverse
    if stack.layers and not static.binarise:
        features = means_above(stack.layers[-1:], awake[-2])
    data = jnp.concatenate([features, label], axis=1)
    centre = (state.centre_visible, state.centre_hidden)
    found = climb(static, knobs, stack.top, data, state.chain, centre, key_climb)
    asleep = sleep(stack, key_sleep, found.model[:, : stack.features])
    layers = tuple(
        layer_step(layer, (awake[i], awake[i + 1]), (asleep[i], asleep[i + 1]), found.share, rate)
        for i, layer in enumerate(stack.layers)
    )
    way = found.way
    if static.discriminative:
        slope = label_slope(static.dropout, knobs.dropout, stack, rows, key)
        way = with_slope(way, knobs.discriminative, slope.top)
        layers = eqx.apply_updates(
            layers, jax.tree.map(lambda part: rate * knobs.discriminative * part, slope.layers)
        )
    stack = Stack(layers, moved(stack.top, way, rate))
    step = state.step + 1
    return Tuning(
        stack,
        blend(state.average, stack, averaged(knobs, step)),
        toward(centre[0], data.mean(axis=0), knobs.centring),
        toward(centre[1], found.hidden.mean(axis=0), knobs.centring),
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


class FineTuning:
    """The task of a stack.

    Args:
        stack: greedily trained.
    """

    below: tuple[Layer, ...] = ()

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def begin(self, batches: Batches, settings: Training, key: PRNGKey) -> Tuning:
        """Chains of the memory at random states of its hidden units.

        Raises:
            InputError: see `require_chains`.
        """
        chains = settings.chains or batches.size
        require_chains(self.stack.top, chains, settings)
        stack = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self.stack)
        first = jnp.asarray(dense(batches.rows[: max(10 * batches.size, 1000)]))
        split = first.shape[1] - stack.classes
        seen = jnp.concatenate([stack.recognise(first[:, :split]), first[:, split:]], axis=1)
        top = stack.top
        theta = jnp.broadcast_to(top.hidden_bias, (chains, top.hidden.size))
        return Tuning(
            stack,
            stack,
            seen.mean(axis=0),
            top.hidden.mean(top.up(seen)).mean(axis=0),
            top.hidden.sample(jax.random.fold_in(key, 2**31), theta),
            jnp.zeros((), jnp.int32),
        )

    def updates(self, *given: Any) -> Tuning:
        """See `updates`."""
        return updates(*given)

    def between(self, state: Tuning, settings: Training, key: PRNGKey) -> Tuning:
        """Nothing: the up-down algorithm keeps no ladder."""
        return state

    def look(self, state: Tuning, rows: Any, held_out: Any, key: PRNGKey) -> dict[str, float]:
        """Figures of the stack now; see `look`."""
        found = _figures(state.stack, state.chain, jnp.asarray(rows), jnp.asarray(held_out), key)
        return {name: float(value) for name, value in found.items()}

    def model(self, state: Tuning) -> Stack:
        """The stack."""
        return state.stack


@jax.jit
def _figures(stack: Stack, chain: Rows, rows: Rows, held_out: Rows, key: PRNGKey) -> dict[str, Scalar]:
    """reconstruction: squared error over a row of a pass up and one down; wrong: share of held-out labels
    that are not given back (NaN where there are none); runaway: see `_monitor.look`."""
    key_down, key_chain = jax.random.split(key)
    classes, split = stack.classes, rows.shape[1] - stack.classes
    t = stack.recognise(rows[:, :split])
    again = stack.generate(key_down, t)
    wrong = jnp.asarray(jnp.nan)
    if classes and len(held_out):
        found = jnp.argmax(stack.scores(held_out[:, :split]), axis=1)
        wrong = jnp.mean(found != jnp.argmax(held_out[:, split:], axis=1))
    free = stack.top.free_energy(jnp.concatenate([t, rows[:, split:]], axis=1)).mean()
    dreamt = stack.top.visible.sample(key_chain, stack.top.down(chain))
    return {
        "reconstruction": jnp.sum((again - rows[:, :split]) ** 2, axis=1).mean(),
        "wrong": wrong,
        "runaway": (stack.top.free_energy(dreamt).mean() - free) / stack.top.visible.size,
    }
