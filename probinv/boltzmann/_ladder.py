"""A ladder: machines of one kind, from an easy one to the one that is meant, stacked on a leading axis."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinv._checks import as_array, as_count
from probinv._errors import InputError
from probinv.boltzmann.gibbs import dtype_of
from probinv.boltzmann.machine import Machine

type Index = int | np.integer | Int[Array | np.ndarray, "*index"]


def base_machine(machine: Machine, mean: Any = None) -> Machine:
    """The machine without weights: W = 0, b = 0, and a of the data's mean; its units are independent.

    Of this law exact draws and log Z = A_v(a) + A_h(b) are known.

    Args:
        machine: whose kinds of units, and dtype, to take.
        mean: of the data (nv,); without it a is the machine's visible bias.
    """
    if mean is None:
        bias = jnp.asarray(machine.visible_bias)
    else:
        own = as_array("mean", mean, shape=(machine.visible.size,))
        bias = jnp.asarray(machine.visible.natural(own), dtype_of(machine))
    weight, hidden_bias = jnp.zeros_like(machine.weight), jnp.zeros_like(machine.hidden_bias)
    return Machine(machine.visible, machine.hidden, weight, bias, hidden_bias)


def stack(machines: Sequence[Machine]) -> Machine:
    """The ladder of these machines, the easiest first: a Machine whose arrays have a leading axis of rungs.

    Raises:
        InputError: fewer than two machines, or machines of different kinds.
    """
    if len(machines) < 2:
        raise InputError(
            f"a ladder of {len(machines)} machines", "at least two are needed", "add a base machine"
        )
    require_same_kind(machines)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *machines)


def interpolated_ladder(base: Machine, machine: Machine, fractions: Any) -> Machine:
    """Rungs (1 - t) base + t machine, every array for itself, t in `fractions`.

    Pure in the two machines: during training it is formed anew from the machine of the moment.

    Args:
        base: the first rung, from `base_machine`.
        machine: the last rung.
        fractions: t, increasing from 0 to 1; or their number, for even distances.

    Raises:
        InputError: fractions that do not increase from 0 to 1, or machines of different kinds.
    """
    require_same_kind([base, machine])
    if isinstance(fractions, int | np.integer):
        t = np.linspace(0.0, 1.0, as_count("fractions", fractions, least=2))
    else:
        t = as_array("fractions", fractions)
    if t.ndim != 1 or len(t) < 2 or t[0] != 0 or t[-1] != 1 or not (np.diff(t) > 0).all():
        raise InputError(
            "fractions do not lead from the base to the machine",
            f"they must increase from 0 to 1, and are {t.tolist()}"[:120],
            "for example fractions=10",
        )

    def between(low: Any, high: Any) -> Array:
        low, high = jnp.asarray(low), jnp.asarray(high)
        share = jnp.asarray(t, high.dtype).reshape(-1, *[1] * high.ndim)
        return (1 - share) * low[None] + share * high[None]

    return jax.tree.map(between, base, machine)


def with_top(ladder: Machine, machine: Machine) -> Machine:
    """The same ladder with this machine as its last rung: what a training does after an update. Pure."""
    return jax.tree.map(lambda leaf, own: leaf.at[-1].set(own), ladder, machine)


def rung(ladder: Machine, index: Index) -> Machine:
    """One machine of the ladder; for an array of indices, the ladder of these rungs."""
    return jax.tree.map(lambda leaf: leaf[index], ladder)


def rungs_of(ladder: Machine) -> int:
    """The number of rungs, or an InputError."""
    if np.ndim(ladder.weight) != 3 or len(ladder.weight) < 2:
        raise InputError(
            f"the ladder's weights have shape {np.shape(ladder.weight)}",
            "a ladder is two or more machines stacked on a leading axis",
            "make it with stack or interpolated_ladder",
        )
    return len(ladder.weight)


def require_same_kind(machines: Sequence[Machine]) -> None:
    """An InputError where machines differ in more than their numbers."""
    first: Any = jax.tree.structure(machines[0])
    for i, machine in enumerate(machines):
        if jax.tree.structure(machine) != first:
            raise InputError(
                f"machine {i} of the ladder has other units than the first",
                "states are swapped between them, so they share one space",
                "use machines of one training",
            )


def base_log_partition(ladder: Machine) -> float:
    """log Z = A_v(a) + A_h(b) of a first rung without weights, to be called in double precision."""
    if np.asarray(ladder.weight[0]).any():
        raise InputError(
            "the first rung has weights",
            "log Z is only known of a machine without them",
            "put base_machine(machine) in front of the ladder",
        )
    base = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf[0], np.float64)), ladder)
    total: Float[Array, ""] = base.visible.log_partition(base.visible_bias)
    return float(total + base.hidden.log_partition(base.hidden_bias))
