"""Parallel trajectory tempering of the chains of a training: they swap states with earlier machines."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import PRNGKey, Scalar
from probinv.boltzmann._ladder import base_machine, stack, with_top
from probinv.boltzmann._swap import LadderState, temper_step
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.tempering import ladder_state

ACCEPTED_LEAST = 0.3
"""Where the newest machine swaps with the last kept one less often, it is kept too, as by Bereux et al."""
RUNGS_MOST = 20
MEMORY = 0.5


class Trajectory(NamedTuple):
    """Machines kept along a training, and the chains on them.

    Attributes:
        machines: stacked; the first without weights, the last is replaced by the newest.
        walkers: chains on every rung.
        swaps: moving average of the swap probability of the last two rungs.
    """

    machines: Machine
    walkers: LadderState
    swaps: Scalar


def begin_trajectory(machine: Machine, key: PRNGKey, chains: int) -> Trajectory:
    """A ladder of two: the machine without its weights, of which draws are exact, and itself."""
    machines = stack([base_machine(machine), machine])
    return Trajectory(machines, ladder_state(machines, key, chains), jnp.ones(()))


@jax.jit
def exchange(
    trajectory: Trajectory, machine: Machine, chain: Float[Array, "chains nh"], key: PRNGKey
) -> tuple[Trajectory, Float[Array, "chains nh"]]:
    """One round of `temper_step` with the newest machine as last rung: its chains h, given and returned."""
    key_down, key_round, key_up = jax.random.split(key, 3)
    machines = with_top(trajectory.machines, machine)
    v = trajectory.walkers.v.at[-1].set(machine.visible.sample(key_down, machine.down(chain)))
    none = jnp.zeros_like(trajectory.walkers.accepted)
    walkers = trajectory.walkers._replace(v=v, accepted=none, rounds=jnp.zeros((), jnp.int32))
    walkers = temper_step(machines, key_round, walkers)
    chain = machine.hidden.sample(key_up, machine.up(walkers.v[-1]))
    swaps = MEMORY * trajectory.swaps + (1 - MEMORY) * walkers.acceptance[-1]
    return Trajectory(machines, walkers, swaps), chain


def extended(trajectory: Trajectory) -> Trajectory:
    """The ladder with a copy of its newest machine kept below the last rung, where swaps have become rare."""
    rungs = len(trajectory.machines.weight)
    if float(trajectory.swaps) >= ACCEPTED_LEAST or rungs >= RUNGS_MOST:
        return trajectory
    index = np.array([*range(rungs), rungs - 1])
    machines = jax.tree.map(lambda leaf: leaf[index], trajectory.machines)
    walkers = trajectory.walkers
    accepted = jnp.zeros(rungs, walkers.accepted.dtype)
    walkers = walkers._replace(v=walkers.v[index], stage=walkers.stage[index], accepted=accepted)
    return Trajectory(machines, walkers, jnp.ones_like(trajectory.swaps))
