"""The training of one machine, on rows of the data or on draws of trained layers above them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.labels import require_labels
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.stack import Layer, draws_above, means_above
from probinv.boltzmann.training._monitor import look
from probinv.boltzmann.training._rows import Batches, dense
from probinv.boltzmann.training._settings import Training
from probinv.boltzmann.training._step import Gradient, State, updates
from probinv.boltzmann.training._trajectory import begin_trajectory, exchange, extended
from probinv.boltzmann.units import parameters

UP = 3 * 2**29
"""Where the keys of draws of the layers below begin."""


class Learning:
    """The task of a machine.

    Args:
        machine: where it begins.
        state: where it goes on instead, with chains and averages of an earlier training.
        below: layers below it, already trained: it learns draws of their highest units.
    """

    def __init__(self, machine: Machine, state: State | None = None, below: tuple[Layer, ...] = ()) -> None:
        self.machine, self.state, self.below = machine, state, below

    def begin(self, batches: Batches, settings: Training, key: PRNGKey) -> State:
        """Chains at draws of h given rows of the data.

        Raises:
            InputError: chains are to keep their labels, and there are none, or fewer chains than labels.
        """
        chains = settings.chains or batches.size
        require_chains(self.machine, chains if self.state is None else len(self.state.chain), settings)
        if self.state is not None:
            state = jax.tree.map(jnp.asarray, self.state)
            if bool(settings.momentum) != isinstance(state.velocity, Gradient):
                state = state._replace(velocity=zero_like(state.machine, settings))
            return state._replace(trajectory=state.trajectory if settings.swaps else None)
        machine = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self.machine)
        first = np.asarray(self._seen(dense(batches.rows[: max(10 * batches.size, 1000)])))
        key_chain, key_ladder = jax.random.split(jax.random.fold_in(key, 2**31))
        trajectory = begin_trajectory(machine, key_ladder, chains) if settings.swaps else None
        theta = machine.up(jnp.asarray(np.resize(first, (chains, first.shape[1])), jnp.float32))
        return State(
            machine,
            machine,
            zero_like(machine, settings),
            jnp.asarray(first.mean(axis=0), jnp.float32),
            machine.hidden.mean(theta).mean(axis=0),
            machine.hidden.sample(key_chain, theta),
            jnp.zeros((), jnp.int32),
            trajectory,
        )

    def updates(self, *given: Any) -> State:
        """See `_step.updates`; a ladder that grows is kept out of the compiled program."""
        static, knobs, state, rows, *rest = given
        if self.below and static.binarise:
            rows = draws_of_batches(self.below, rows, state.step, rest[-1])
        elif self.below:
            rows = means_of_batches(self.below, rows)
        done = updates(static, knobs, state._replace(trajectory=None), rows, *rest)
        return done._replace(trajectory=state.trajectory)

    def between(self, state: State, settings: Training, key: PRNGKey) -> State:
        """Chains swap states with those of earlier machines; see `_trajectory`."""
        trajectory, chain = exchange(state.trajectory, state.machine, state.chain, key)
        return state._replace(trajectory=extended(trajectory), chain=chain)

    def look(self, state: State, rows: Any, held_out: Any, key: PRNGKey) -> dict[str, float]:
        """See `_monitor.look`."""
        return look(state.machine, self._seen(rows), self._seen(held_out), state.chain, key)

    def model(self, state: State) -> Machine:
        """The machine."""
        return state.machine

    def _seen(self, rows: Any) -> Any:
        return means_of_rows(self.below, rows) if self.below else rows


@eqx.filter_jit
def means_of_rows(below: tuple[Layer, ...], rows: Any) -> Any:
    """Means of the highest units in place of x, for rows (x, label)."""
    split = below[0].below.size
    return jnp.concatenate([means_above(below, jnp.asarray(rows[:, :split])), rows[:, split:]], axis=1)


@eqx.filter_jit
def means_of_batches(below: tuple[Layer, ...], batches: Any) -> Array:
    """`means_of_rows` of each batch."""
    return jax.vmap(lambda rows: means_of_rows(below, rows))(jnp.asarray(batches))


@eqx.filter_jit
def draws_of_batches(below: tuple[Layer, ...], batches: Any, step: Array, key: PRNGKey) -> Array:
    """Draws of the highest units in place of x, for batches of rows (x, label), the first for update `step`.

    x itself is drawn first where it holds probabilities: the units of E[x] vary less than those of x.
    """
    split, units = below[0].below.size, below[0].below

    def one(number: Array, rows: Array) -> Array:
        key_data, key_up = jax.random.split(jax.random.fold_in(key, UP + number))
        states = draws_above(below, key_up, units.drawn(key_data, rows[:, :split]))
        return jnp.concatenate([states[-1], rows[:, split:]], axis=1)

    return jax.vmap(one)(step + jnp.arange(len(batches)), jnp.asarray(batches))


def require_chains(machine: Machine, chains: int, settings: Training) -> None:
    """An InputError where so many chains could not keep a label each, and are to."""
    if settings.conditional and chains < (classes := require_labels(machine).classes):
        raise InputError(
            f"there are {chains} chains for {classes} labels",
            "with conditional each keeps one",
            f"set chains={classes} or more",
        )


def zero_like(machine: Machine, settings: Training) -> Gradient | Array:
    """A velocity of nothing."""
    if not settings.momentum:
        return jnp.zeros(())
    zero = jax.tree.map(jnp.zeros_like, machine)
    units = parameters((zero.visible, zero.hidden))
    return Gradient(zero.weight, zero.visible_bias, zero.hidden_bias, units)
