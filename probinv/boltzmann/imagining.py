"""What a stack imagines: chains in its memory, and one directed pass down from each state."""

import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.gibbs import last_state, random_states
from probinv.boltzmann.labels import one_hot
from probinv.boltzmann.stack import Stack

LOOKS = 30
"""How often the chain of a row that is not recognised is looked at again."""


class Walk(NamedTuple):
    """Chains that imagine.

    Attributes:
        x: E[x | t_1] of each state, (chain, draw, nx).
        free_energy: F of the memory's state, (chain, draw), in nats.
    """

    x: np.ndarray
    free_energy: np.ndarray


def start_states(stack: Stack, key: PRNGKey, labels: np.ndarray | None, count: int) -> np.ndarray:
    """Random states of the memory, (count, n): every unit by itself as its bias has it, and the labels.

    Args:
        stack: with or without labels.
        key: of the states.
        labels: places in 0 .. classes - 1 to clamp, one for each state; None for random ones.
        count: how many.
    """
    units = stack.top.visible
    v = np.array(random_states(units, key, count, theta=stack.top.visible_bias))
    if labels is not None:
        require_places(stack, labels)
        v[:, stack.features :] = one_hot(labels, stack.classes)
    return v


def require_places(stack: Stack, labels: np.ndarray) -> None:
    """An InputError unless the stack has these labels."""
    if not stack.classes:
        raise InputError(
            "a label is given", "the model was trained without labels", "train it with fit(X, y)"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < stack.classes):
        raise InputError("a label is out of range", f"there are {stack.classes}", "give one that was trained")


def known_labels(stack: Stack, labels: np.ndarray | None) -> np.ndarray | None:
    """Which of the memory's entries are clamped."""
    if labels is None:
        return None
    return np.arange(stack.top.visible.size) >= stack.features


def imagined(
    stack: Stack,
    key: PRNGKey,
    count: int,
    steps: int,
    labels: Int[np.ndarray, " count"] | None = None,
    sure: float = 0.0,
) -> Float[np.ndarray, "count nx"]:
    """E[x | t_1] after `steps` turns of block Gibbs sampling in the memory from random states.

    With labels these are clamped: t_L ~ p(t_L | label) (Hinton, Osindero and Teh 2006). With `sure` the law
    is that of imagined rows in which the network itself recognises the label,

        p(label | t_L = E[t_L | x]) >= sure:

    the chain of a row that is not goes on, and is looked at again every steps / 10 steps, at most 30 times.

    Args:
        stack: the network.
        key: of all that is drawn.
        count: rows, each from a chain of its own.
        steps: Gibbs steps.
        labels: one for each row.
        sure: from 0, which takes every row, to below 1; with labels only.

    Raises:
        InputError: `sure` is out of its range.

    Warns:
        RuntimeWarning: rows in which the network never recognised the label; their last states are returned.
    """
    if not 0 <= sure < 1:
        raise InputError(f"sure is {sure}", "it is a probability below 1", "0 takes every row; 0.9 is strict")
    key_start, key_chain, key_down, key_looks = jax.random.split(key, 4)
    start, known = start_states(stack, key_start, labels, as_count("n", count)), known_labels(stack, labels)
    v = last_state(stack.top, key_chain, start, steps, known=known)
    x = np.array(dream(stack, key_down, v))
    doubtful = np.zeros(count, bool) if labels is None or not sure else _doubtful(stack, x, labels, sure)
    for look in range(LOOKS):
        if not doubtful.any():
            return x
        key_chain, key_down = jax.random.split(jax.random.fold_in(key_looks, look))
        rows = np.flatnonzero(doubtful)
        # in one of a few sizes, each of which compiles
        padded = np.resize(rows, 1 << (len(rows) - 1).bit_length())
        own = last_state(stack.top, key_chain, v[padded], max(1, steps // 10), known=known)[: len(rows)]
        v = v.at[rows].set(own)
        x[rows] = np.asarray(dream(stack, key_down, v))[rows]
        doubtful[rows] = _doubtful(stack, x, labels, sure)[rows]
    if doubtful.any():
        never = f"the network recognises its label in {count - doubtful.sum()} of {count} imagined rows"
        warnings.warn(f"{never}; the others are as they were last", RuntimeWarning, stacklevel=3)
    return x


def _doubtful(stack: Stack, x: np.ndarray, labels: Any, sure: float) -> np.ndarray:
    """Rows in which the network does not recognise the label; a probability of NaN is none."""
    p = np.asarray(_recognised(stack, jnp.asarray(x)))
    return ~(p[np.arange(len(p)), labels] >= sure)


@eqx.filter_jit
def _recognised(stack: Stack, x: Array) -> Array:
    return jax.nn.softmax(stack.scores(x), axis=1)


def walk(
    stack: Stack,
    key: PRNGKey,
    *,
    chains: int,
    draws: int,
    every: int,
    warmup: int,
    label: int | None = None,
) -> Walk:
    """`draws` of each chain, `every` Gibbs steps apart, after `warmup` steps from random states."""
    key_start, key_warm, key_rest = jax.random.split(key, 3)
    labels = None if label is None else np.full(chains, label)
    known = known_labels(stack, labels)
    v: Any = start_states(stack, key_start, labels, chains)
    if warmup:
        v = last_state(stack.top, key_warm, v, warmup, known=known)
    x, energy = [], []
    for draw in range(draws):
        key_chain, key_down = jax.random.split(jax.random.fold_in(key_rest, draw))
        v = last_state(stack.top, key_chain, v, every, known=known)
        x.append(np.asarray(dream(stack, key_down, v)))
        energy.append(np.asarray(_free_energy(stack, v)))
    return Walk(np.stack(x, axis=1), np.stack(energy, axis=1))


@eqx.filter_jit
def dream(stack: Stack, key: PRNGKey, v: Float[Array, "rows n"]) -> Float[Array, "rows nx"]:
    """E[x | t_1] for states v of the memory. A machine alone: E[x | h] with h ~ p(h | v)."""
    if stack.layers:
        return stack.generate(key, v[:, : stack.features])
    h = stack.top.hidden.sample(key, stack.top.up(v))
    return stack.top.visible.mean(stack.top.down(h))[:, : stack.features]


def completed(
    stack: Stack,
    key: PRNGKey,
    x: Float[np.ndarray, "rows nx"],
    known: np.ndarray,
    rounds: int,
    steps: int,
) -> Float[np.ndarray, "rows nx"]:
    """x with its unknown entries imagined: up by the recognition law, some Gibbs steps in the memory, down.

    The known entries are put back after every round. The upward pass is an approximation of p(t | x), so this
    is no Gibbs sampler of p(x_unknown | x_known), which a machine alone has: `gibbs.chains` with `known`.
    """
    mask = jnp.broadcast_to(jnp.asarray(known, bool), x.shape)
    value = jnp.asarray(x, jnp.float32)
    now = jnp.where(mask, value, 0.5)
    for number in range(rounds):
        now = jnp.where(mask, value, _round(stack, jax.random.fold_in(key, number), now, steps))
    return np.asarray(now)


@eqx.filter_jit
def _round(stack: Stack, key: PRNGKey, x: Array, steps: Any) -> Array:
    key_up, key_label, key_memory, key_down = jax.random.split(key, 4)
    for place, layer in enumerate(stack.layers):
        x = layer.above.sample(jax.random.fold_in(key_up, place), layer.up(x))
    if stack.classes:
        chosen = jax.random.categorical(key_label, stack.scores_above(x), axis=1)
        x = jnp.concatenate([x, jax.nn.one_hot(chosen, stack.classes, dtype=x.dtype)], axis=1)
    x = jax.lax.fori_loop(0, steps, lambda i, v: stack.top.gibbs(jax.random.fold_in(key_memory, i), v), x)
    return stack.generate(key_down, x[:, : stack.features])


@eqx.filter_jit
def _free_energy(stack: Stack, v: Array) -> Array:
    return stack.top.free_energy(v)
