"""One update of a machine's parameters, and many of them in one compiled program."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import Count, PRNGKey, Scalar
from probinv.boltzmann.labels import require_labels
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.stack import Stack
from probinv.boltzmann.training._labels import label_slope
from probinv.boltzmann.units import parameters

type Rows = Float[Array, "batch nv"]
type Codes = Float[Array, "batch nh"]
type Chains = Float[Array, "chains nh"]
type Dreams = Float[Array, "chains nv"]
type Share = Float[Array, " chains"]
type Both = Float[Array, "rows nh"]


class Static(NamedTuple):
    """What the compiled program depends on."""

    steps: int
    persistent: bool
    momentum: bool
    binarise: bool
    discriminative: bool
    conditional: bool
    dropout: bool


class Knobs(NamedTuple):
    """Numbers that may change without compiling again."""

    centring: float | np.floating
    averaging: float | np.floating
    momentum: float | np.floating
    weight_decay: float | np.floating
    discriminative: float | np.floating
    dropout: float | np.floating


class State(NamedTuple):
    """Everything that a training goes on from.

    Attributes:
        machine: the parameters now.
        average: their exponential moving average: what is used in the end.
        velocity: of the momentum; of shape () where there is none.
        centre_visible, centre_hidden: moving averages of v and h over the data.
        chain: hidden states of the persistent chains.
        step: updates done.
        trajectory: earlier machines with which chains swap states, or None.
    """

    machine: Machine
    average: Machine
    velocity: Any
    centre_visible: Float[Array, " nv"]
    centre_hidden: Float[Array, " nh"]
    chain: Chains
    step: Count
    trajectory: Any = None


class Gradient(NamedTuple):
    """Of the mean log likelihood: uphill."""

    weight: Float[Array, "nv nh"]
    visible_bias: Float[Array, " nv"]
    hidden_bias: Float[Array, " nh"]
    units: Any


def negative(machine: Machine, key: PRNGKey, h: Chains, steps: int, label: Array | None = None) -> Dreams:
    """v after `steps` turns v ~ p(v | h), h ~ p(h | v) that begin with h; its last entries are `label`."""

    def down(key: PRNGKey, h: Chains) -> Dreams:
        v = machine.visible.sample(key, machine.down(h))
        return v if label is None else jnp.concatenate([v[:, : -label.shape[1]], label], axis=1)

    def turn(i: Count, v: Dreams) -> Dreams:
        key_h, key_v = jax.random.split(jax.random.fold_in(key, i))
        return down(key_v, machine.hidden.sample(key_h, machine.up(v)))

    v = down(jax.random.fold_in(key, 0), h)
    return jax.lax.fori_loop(1, steps, turn, v) if steps > 1 else v


def gradient(
    machine: Machine, data: Rows, model: Dreams, share: Share, up: Both, centre: tuple[Array, Array]
) -> tuple[Gradient, Both]:
    """d/dp mean(-F(data)) - mean(-F(model)) with centred statistics.

        dW = <(v - mu)(h - lambda)>_data - <(v - mu)(h - lambda)>_model,
        da = <v>_data - <v>_model - dW lambda,   db = <h>_data - <h>_model - dW^T mu.

    A direction of ascent that does not depend on which value of a unit is called 0 (Montavon and Mueller
    2012; Melchior, Fischer and Wiskott 2016, arXiv 1311.1354); with mu = lambda = 0 the gradient itself.

    Args:
        machine: the parameters.
        data, model: rows of the data and of the chains.
        share: weight of each of the chains in their mean.
        up: natural parameters of h given the data and, below them, given the model's rows.
        centre: (mu, lambda).

    Returns:
        The direction, and E[h | v] in the order of `up`.
    """
    rows = len(data)
    mu, lamb = centre
    h = machine.hidden.mean(up)
    left = jnp.concatenate([(data - mu[None]) / rows, (mu[None] - model) * share[:, None]])
    right = h - lamb[None]
    # dW lambda and dW^T mu through the rows: cheaper than through dW
    visible_bias = data.mean(axis=0) - share @ model - (right @ lamb) @ left
    hidden_bias = h[:rows].mean(axis=0) - share @ h[rows:] - (left @ mu) @ right

    def fit(units: Any) -> Scalar:
        visible, hidden = eqx.combine(units, (machine.visible, machine.hidden))
        value = visible.log_base(jnp.concatenate([data, model])) + hidden.log_partition(up)
        return value[:rows].mean() - share @ value[rows:]

    units = jax.grad(fit)(parameters((machine.visible, machine.hidden)))
    return Gradient(left.T @ right, visible_bias, hidden_bias, units), h


class Climb(NamedTuple):
    """What one batch says of a machine.

    Attributes:
        way: the direction of ascent.
        hidden: E[h | v] of the batch.
        model: v of the chains.
        share: weight of each chain.
        chain: h of the chains, to go on from.
    """

    way: Gradient
    hidden: Codes
    model: Dreams
    share: Share
    chain: Chains


def climb(
    static: Static,
    knobs: Knobs,
    machine: Machine,
    data: Rows,
    chain: Chains,
    centre: tuple[Array, Array],
    key: PRNGKey,
) -> Climb:
    """The direction in which the likelihood of the batch grows, and the chains a little later.

    Args:
        static, knobs: how.
        machine: the parameters.
        data: the batch.
        chain: h of the chains.
        centre: see `gradient`.
        key: of all that is drawn.
    """
    key_model, key_chain = jax.random.split(key)
    rows, n = len(data), len(chain) if static.persistent else len(data)
    label, share = None, jnp.full(n, 1 / n, data.dtype)
    if static.conditional:
        classes = require_labels(machine).classes
        label = data[:, -classes:]
        if static.persistent:
            label, share = chain_labels(n, label)
    if static.persistent:
        model = negative(machine, key_model, chain, static.steps, label)
        up = machine.up(jnp.concatenate([data, model]))
        chain = machine.hidden.sample(key_chain, up[rows:])
    else:
        first = machine.up(data)
        h = machine.hidden.sample(key_chain, first)
        model = negative(machine, key_model, h, static.steps, label)
        chain = h[: len(chain)] if rows >= len(chain) else chain  # for the monitor alone
        up = jnp.concatenate([first, machine.up(model)])
    way, h = gradient(machine, data, model, share, up, centre)
    way = way._replace(weight=way.weight - knobs.weight_decay * machine.weight)
    return Climb(way, h[:rows], model, share, chain)


def chain_labels(chains: int, labels: Rows) -> tuple[Dreams, Share]:
    """The label that each chain keeps, in turns, and what it then weighs: as often as it is in the batch."""
    rows, classes = labels.shape
    own = jax.nn.one_hot(jnp.arange(chains) % classes, classes, dtype=labels.dtype)
    return own, own @ (labels.sum(axis=0) / own.sum(axis=0)) / rows


def with_slope(way: Gradient, weight: Scalar | float | np.floating, slope: Any) -> Gradient:
    """way + weight * slope, where that is one by the parameters of a machine."""
    units = parameters((slope.visible, slope.hidden))
    more = Gradient(slope.weight, slope.visible_bias, slope.hidden_bias, units)
    return jax.tree.map(lambda a, b: a + weight * b, way, more)


def update(static: Static, knobs: Knobs, state: State, rows: Rows, rate: Scalar, key: PRNGKey) -> State:
    """The state after one batch of rows."""
    machine = state.machine
    key_data, key_climb = jax.random.split(key)
    data = machine.visible.drawn(key_data, rows) if static.binarise else rows
    centre = (state.centre_visible, state.centre_hidden)
    found = climb(static, knobs, machine, data, state.chain, centre, key_climb)
    velocity = found.way
    if static.discriminative:
        slope = label_slope(static.dropout, knobs.dropout, Stack((), machine), data, key)
        velocity = with_slope(velocity, knobs.discriminative, slope.top)
    if static.momentum:
        velocity = jax.tree.map(lambda v, g: knobs.momentum * v + g, state.velocity, velocity)
    machine = moved(machine, velocity, rate)
    step = state.step + 1
    return State(
        machine,
        blend(state.average, machine, averaged(knobs, step)),
        velocity if static.momentum else state.velocity,
        toward(centre[0], data.mean(axis=0), knobs.centring),
        toward(centre[1], found.hidden.mean(axis=0), knobs.centring),
        found.chain,
        step,
        state.trajectory,
    )


def averaged(knobs: Knobs, step: Count) -> Scalar:
    """Share of the newest parameters in their moving average; large at first, when the oldest are worst."""
    return 1 - jnp.minimum(knobs.averaging, step / (step + 10.0)).astype(jnp.float32)


def moved(machine: Machine, way: Gradient, rate: Scalar) -> Machine:
    """machine + rate * way."""
    units = (machine.visible, machine.hidden)
    own = parameters(units)
    visible, hidden = eqx.combine(jax.tree.map(lambda p, g: p + rate * g, own, way.units), units)
    return Machine(
        visible,
        hidden,
        machine.weight + rate * way.weight,
        machine.visible_bias + rate * way.visible_bias,
        machine.hidden_bias + rate * way.hidden_bias,
    )


def blend(old: Any, new: Any, share: Scalar) -> Any:
    """(1 - share) old + share new, parameter by parameter."""
    return jax.tree.map(lambda a, b: a + share * (b - a), old, new)


@partial(jax.jit, static_argnames="static")
def updates(
    static: Static,
    knobs: Knobs,
    state: State,
    batches: Float[Array | np.ndarray, "n batch nv"],
    rates: Float[Array | np.ndarray, " n"],
    count: int | Count,
    key: PRNGKey,
) -> State:
    """The state after the first `count` batches.

    The key of an update follows from its number, so it does not matter how updates are cut into calls.
    """

    def body(i: Count, state: State) -> State:
        rows = jax.lax.dynamic_index_in_dim(jnp.asarray(batches), i, keepdims=False)
        return update(static, knobs, state, rows, rates[i], jax.random.fold_in(key, state.step))

    return jax.lax.fori_loop(0, count, body, state)


def toward(old: Array, new: Array, share: Scalar | float | np.floating) -> Array:
    return old + share * (new - old)
