"""How a training is going: cheap figures, looked at once an epoch and never inside an update."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinv._typing import PRNGKey, Scalar
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import Bernoulli

ROWS_MOST = 500


def look(
    machine: Machine, rows: Any, held_out: Any, chain: Float[Array, "chains nh"], key: PRNGKey
) -> dict[str, float]:
    """Figures of a machine in training.

    Returns:
        gap: mean F of held-out rows - mean F of training rows, in nats: it grows when training is too long
            (Hinton 2012). NaN where nothing is held out.
        reconstruction: squared error of E[v | E[h | v]] over a row.
        pseudo_likelihood: of training rows, n log p(v_i | all others) at one random unit i, in nats; of
            Bernoulli units, NaN elsewhere.
        runaway: mean F of the chains - mean F of training rows, in nats for each visible unit: near 0 where
            the chains follow.
    """
    found = _figures(machine, jnp.asarray(rows), jnp.asarray(held_out), chain, key)
    return {name: float(value) for name, value in found.items()}


@jax.jit
def _figures(
    machine: Machine,
    rows: Float[Array, "rows nv"],
    held_out: Float[Array, "others nv"],
    chain: Float[Array, "chains nh"],
    key: PRNGKey,
) -> dict[str, Scalar]:
    key_data, key_other, key_chain, key_flip = jax.random.split(key, 4)
    again = machine.visible.mean(machine.down(machine.hidden.mean(machine.up(rows))))
    data = machine.visible.drawn(key_data, rows)
    free = machine.free_energy(data)
    others = (
        machine.free_energy(machine.visible.drawn(key_other, held_out)).mean() if len(held_out) else jnp.nan
    )
    chains = machine.free_energy(machine.visible.sample(key_chain, machine.down(chain)))
    pseudo = jnp.asarray(jnp.nan)
    if isinstance(machine.visible, Bernoulli):
        place = jax.random.randint(key_flip, (len(data), 1), 0, machine.visible.size)
        here = jnp.arange(machine.visible.size)[None] == place
        flipped = machine.free_energy(jnp.where(here, 1 - data, data))
        pseudo = machine.visible.size * jax.nn.log_sigmoid(flipped - free).mean()
    return {
        "gap": others - free.mean(),
        "reconstruction": jnp.sum((again - rows) ** 2, axis=1).mean(),
        "pseudo_likelihood": pseudo,
        "runaway": (chains.mean() - free.mean()) / machine.visible.size,
    }
