"""Exact values for machines of which one side can be listed: log Z, likelihood, probabilities, moments."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import logsumexp

from probinv._checks import as_array, double_precision
from probinv._errors import InputError
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Joined, Softmax

CHUNK = 4096


class Moments(NamedTuple):
    """Expectations under p(v, h), in double precision.

    Attributes:
        product: E[v h^T] (nv, nh).
        visible: E[v] (nv,).
        hidden: E[h] (nh,).
    """

    product: Float[np.ndarray, "nv nh"]
    visible: Float[np.ndarray, " nv"]
    hidden: Float[np.ndarray, " nh"]


def exact_log_partition(machine: Machine) -> float:
    """log Z = log sum_s exp(-F(s)), s running over every state of one side, the other summed in closed form.

    At most 2^20 states, in double precision, a few thousand at a time.

    Raises:
        InputError: neither side can be listed.
    """
    states, hidden = _listed(machine)
    return float(logsumexp(-_free_energies(machine, states, hidden)))


def exact_log_likelihood(machine: Machine, rows: Any) -> Float[np.ndarray, " rows"]:
    """log p(v) = -F(v) - log Z for every row.

    Args:
        machine: of which one side can be listed.
        rows: (rows, nv), values of v.

    Raises:
        InputError: rows that v cannot take, or neither side can be listed.
    """
    return -free_energies(machine, rows) - exact_log_partition(machine)


def exact_probabilities(
    machine: Machine,
) -> tuple[Float[np.ndarray, "count nv"], Float[np.ndarray, " count"]]:
    """Every state of the visible side (count, nv), and p(v) = exp(-F(v)) / Z of each.

    Raises:
        InputError: the visible side cannot be listed.
    """
    states = machine.visible.states()
    log_weight = -_free_energies(machine, states, False)
    return states, np.exp(log_weight - logsumexp(log_weight))


def hidden_weights(
    machine: Machine,
) -> tuple[Float[np.ndarray, "count nh"], Float[np.ndarray, " count"]]:
    """Every state of the hidden side (count, nh), and log p(h) + log Z of each.

    Raises:
        InputError: the hidden side cannot be listed.
    """
    states = machine.hidden.states()
    return states, -_free_energies(machine, states, True)


def exact_moments(machine: Machine) -> Moments:
    """E[v h^T], E[v] and E[h]: the derivatives of log Z with respect to W, a and b.

    Raises:
        InputError: neither side can be listed.
    """
    slope = _partition_gradient(machine)
    return Moments(*(np.asarray(part) for part in (slope.weight, slope.visible_bias, slope.hidden_bias)))


def exact_gradient(machine: Machine, rows: Any) -> Machine:
    """d/dmachine of mean_rows log p(v) = -mean F(v) - log Z, what contrastive training estimates.

    The same pytree as the machine in double precision, whatever the units have learned (a variance) included.

    Args:
        machine: of which one side can be listed.
        rows: (rows, nv); probabilities instead of states are allowed, as in training.

    Raises:
        InputError: rows outside the support, or neither side can be listed.
    """
    data = _rows(machine, rows)
    weights = np.full(len(data), 1 / len(data))
    positive = _weighted_gradient(machine, data, weights, False)
    return jax.tree.map(np.subtract, positive, _partition_gradient(machine))


def free_energies(machine: Machine, rows: Any) -> Float[np.ndarray, " rows"]:
    """F(v) of every row (rows, nv) in double precision, a few thousand rows at a time.

    Raises:
        InputError: rows that v cannot take, gray values among them: only states have a probability.
    """
    data = _rows(machine, rows)
    require_states("rows", machine.visible, data)
    return _free_energies(machine, data, False)


def require_states(name: str, units: AbstractUnits, rows: Float[np.ndarray, "rows n"]) -> None:
    """An InputError where units that are 0 or 1 have other values, probabilities for example."""
    own = rows[:, _binary(units)]
    if not ((own == 0) | (own == 1)).all():
        raise InputError(
            f"{name} are no states of the machine",
            "some entries lie between 0 and 1 where the units are 0 or 1, and only states have a probability",
            "binarise them first, at a threshold or by a draw with the gray value as the probability",
        )


def in_precision(machine: Machine, dtype: Any) -> Machine:
    """The machine with every array in the dtype (float64 only inside `double_precision`)."""
    arrays, rest = eqx.partition(machine, eqx.is_inexact_array_like)
    return eqx.combine(jax.tree.map(lambda leaf: jnp.array(np.asarray(leaf, dtype)), arrays), rest)


def _rows(machine: Machine, rows: Any) -> Float[np.ndarray, "rows nv"]:
    size = machine.visible.size
    data = as_array("rows", rows)
    if data.ndim != 2 or data.shape[1] != size or not len(data):
        raise InputError(
            f"rows has shape {data.shape}", f"(rows, {size}) is needed", "give one row an example"
        )
    machine.visible.check("rows", data)
    return data


def _binary(units: AbstractUnits) -> Any:
    """Which entries are 0 or 1."""
    if isinstance(units, Joined):
        return np.concatenate([_binary(part) for part in units.parts])
    return np.full(units.size, isinstance(units, Bernoulli | Softmax))


def _listed(machine: Machine) -> tuple[Float[np.ndarray, "count n"], bool]:
    """The states of the side with fewer units that can be listed, and whether that is the hidden side."""
    sides = [(machine.visible, False), (machine.hidden, True)]
    for units, hidden in sorted(sides, key=lambda side: side[0].size):
        try:
            return units.states(), hidden
        except InputError as found:
            error = found
    raise InputError(
        f"neither side of a machine of {machine.visible.size} visible and {machine.hidden.size} hidden units "
        "can be listed",
        error.why,
        "estimate with probinv.boltzmann.log_partition",
    )


def _free_energies(machine: Machine, states: Float[np.ndarray, "count n"], hidden: bool) -> Any:
    with double_precision():
        own = in_precision(machine, np.float64)
        found = [np.asarray(_free_energy(own, jnp.asarray(chunk), hidden)) for chunk in _chunks(states)]
    return np.concatenate(found)


def _partition_gradient(machine: Machine) -> Machine:
    """d log Z / d machine = sum_s p(s) d(-F(s)) / d machine."""
    states, hidden = _listed(machine)
    log_weight = -_free_energies(machine, states, hidden)
    return _weighted_gradient(machine, states, np.exp(log_weight - logsumexp(log_weight)), hidden)


def _weighted_gradient(machine: Machine, states: Any, weights: Any, hidden: bool) -> Machine:
    with double_precision():
        own = in_precision(machine, np.float64)
        total = jax.tree.map(np.zeros_like, eqx.filter(own, eqx.is_inexact_array))
        for chunk, weight in zip(_chunks(states), _chunks(weights), strict=True):
            slope = _slope(own, jnp.asarray(chunk), jnp.asarray(weight), hidden)
            total = jax.tree.map(lambda sum_, part: sum_ + np.asarray(part), total, slope)
    return total


def _chunks(rows: Float[np.ndarray, "count ..."]) -> Iterator[Float[np.ndarray, "some ..."]]:
    return (rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK))


@eqx.filter_jit
def _free_energy(machine: Machine, states: Float[Array, "count n"], hidden: bool) -> Float[Array, " count"]:
    side = machine.flipped if hidden else machine
    return side.free_energy(states)


@eqx.filter_jit
def _slope(
    machine: Machine, states: Float[Array, "count n"], weights: Float[Array, " count"], hidden: bool
) -> Any:
    def total(machine: Machine) -> Float[Array, ""]:
        side = machine.flipped if hidden else machine
        return -jnp.sum(weights * side.free_energy(states))

    slope: Callable[[Machine], Any] = eqx.filter_grad(total)
    return slope(machine)
