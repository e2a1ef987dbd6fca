"""What a machine says of rows, with its labels summed out: so many rows at once, in their own precision."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import double_precision
from probinv._typing import PRNGKey
from probinv.boltzmann.labels import label_scores, label_units
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.training._rows import dense

AT_ONCE = 4096

type Rows = Float[Array, "rows n"]
type Found = Float[Array, "rows _"]


@jax.jit
def hidden_means(machine: Machine, x: Rows) -> Found:
    """E[h | x] = sum over labels of p(label | x) E[h | x, label]."""
    if label_units(machine.visible) is None:
        return machine.hidden.mean(machine.up(x))
    n, p = x.shape[1], label_probabilities(machine, x)
    weight = jnp.asarray(machine.weight, x.dtype)
    shared = x @ weight[:n] + jnp.asarray(machine.hidden_bias, x.dtype)[None]
    each = [p[:, k, None] * machine.hidden.mean(shared + weight[n + k][None]) for k in range(p.shape[1])]
    return jnp.sum(jnp.stack(each), axis=0)


@jax.jit
def label_probabilities(machine: Machine, x: Rows) -> Found:
    """p(label | x) = softmax of -F(x, label)."""
    return jax.nn.softmax(label_scores(machine, x), axis=1)


@jax.jit
def reconstructions(machine: Machine, x: Rows) -> Found:
    """E[x | h] with h = E[h | x]."""
    return machine.visible.mean(machine.down(hidden_means(machine, x)))[:, : x.shape[1]]


@jax.jit
def free_energies(machine: Machine, x: Rows) -> Float[Array, " rows"]:
    """F(x) = -log sum over labels of exp(-F(x, label))."""
    if label_units(machine.visible) is None:
        return machine.free_energy(x)
    n, classes = x.shape[1], machine.visible.size - x.shape[1]
    base = machine.visible.log_base(jnp.concatenate([x, jnp.zeros((len(x), classes), x.dtype)], axis=1))
    linear = x @ jnp.asarray(machine.visible_bias, x.dtype)[:n]
    return -base - linear - jax.nn.logsumexp(label_scores(machine, x), axis=1)


@jax.jit
def means_given(machine: Machine, key: PRNGKey, v: Rows) -> Found:
    """E[v' | h], h ~ p(h | v)."""
    return machine.visible.mean(machine.down(machine.hidden.sample(key, machine.up(v))))


@jax.jit
def draws_given(machine: Machine, key: PRNGKey, h: Rows) -> Found:
    """v ~ p(v | h)."""
    return machine.visible.sample(key, machine.down(h))


def by_parts(function: Callable[[Machine, Rows], Array], machine: Machine, rows: Any) -> np.ndarray:
    """function(machine, rows), dense or sparse, a few thousand rows at a time.

    A part is filled up to a power of two with rows of 0, so that few shapes are compiled.
    """
    count = rows.shape[0]
    size = min(1 << (count - 1).bit_length(), AT_ONCE)
    precision = double_precision() if rows.dtype == np.float64 else contextlib.nullcontext()
    found = []
    with precision:
        for first in range(0, count, size):
            part = dense(rows[first : first + size])
            filled = np.zeros((size, part.shape[1]), part.dtype)
            filled[: len(part)] = part
            found.append(np.asarray(function(machine, jnp.asarray(filled)))[: len(part)])
    return np.concatenate(found)
