"""The kernel of tempering: Gibbs sweeps on every rung, and swaps of states between neighbours."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from probinv._typing import PRNGKey
from probinv.boltzmann.gibbs import Known, held
from probinv.boltzmann.machine import Machine

type States = Float[Array, "rungs chains nv"]
type Fields = Float[Array, "rungs chains nh"]
type Numbers = Float[Array, "rungs chains"]
type Works = Float[Array, "pairs chains"]

NEW, RISING, FALLING = 0, 1, 2


class LadderState(NamedTuple):
    """Where the chains are; each chain has one state on every rung, and chains never meet.

    Attributes:
        v: (rungs, chains, nv).
        stage: of each state: not yet seen on the first rung, on its way up, or on its way down.
        round_trips: (chains,), journeys from the first rung to the last and back that were completed.
        accepted: (rungs - 1,), swap probability of neighbours, mean over the chains, summed over the rounds.
        rounds: how many rounds these are.
    """

    v: States
    stage: Int[Array, "rungs chains"]
    round_trips: Int[Array, " chains"]
    accepted: Float[Array, " pairs"]
    rounds: Int[Array, ""]

    @property
    def acceptance(self) -> Float[Array, " pairs"]:
        """(rungs - 1,), how often neighbours swap."""
        return self.accepted / self.rounds


def temper_step(
    ladder: Machine, key: PRNGKey, state: LadderState, *, sweeps_per_swap: Any = 1, known: Known = None
) -> LadderState:
    """One round: swaps of rungs (0, 1), (2, 3), ..., sweeps, swaps of (1, 2), (3, 4), ..., sweeps.

    Neighbours i, j swap with probability

        min(1, exp(F_i(v_i) + F_j(v_j) - F_i(v_j) - F_j(v_i))),

    in which no Z appears, so rungs may be any machines of one kind: a machine between two others (parallel
    tempering) or as it was earlier in its training (parallel trajectory tempering: Bereux, Decelle,
    Furtlehner, Rosset and Seoane, arXiv 2405.15376, 2607.27077). Every step leaves prod_i p_i(v_i) as it
    is, hence p(v) on the last rung. Where the first rung has W = 0, a sweep of it is an exact and independent
    draw. With known units the same holds of p_i(v_unknown | v_known). Even and odd pairs in turn, not at
    random: Syed, Bouchard-Cote, Deligiannidis and Doucet, arXiv 1905.02939.

    Pure, and independent of any state but `state`, so a training may call it after every update of the last
    rung. With s sweeps a swap, a round costs 4 s + 3 products with each rung's weights, and 2 s plain sweeps
    cost 4 s.

    Args:
        ladder: machines, stacked.
        key: of this round.
        state: from `ladder_state` or the last round.
        sweeps_per_swap: Gibbs sweeps of every rung after each of the two kinds of swaps; may be traced.
        known: (nv,) or (chains, nv), entries that stay as they are; every rung must hold the same there.
    """
    return tempered_round(ladder, key, state, sweeps_per_swap, known)[0]


def tempered_round(
    ladder: Machine, key: PRNGKey, state: LadderState, sweeps_per_swap: Any, known: Known
) -> tuple[LadderState, Works, Works]:
    """One round, with the works F_j(v_i) - F_i(v_i) up (j = i + 1) and down for every pair of neighbours."""
    rungs = state.v.shape[0]
    halves = jnp.asarray(np.stack([partners(rungs, odd) for odd in (0, 1)]))

    def half(carry: tuple[LadderState, Fields], own: Any) -> tuple[tuple[LadderState, Fields], Numbers]:
        partner, own_key = own
        key_swap, key_sweeps = jax.random.split(own_key)
        state, fields, work = swapped(ladder, key_swap, *carry, partner)
        v, fields = _swept(ladder, key_sweeps, state.v, fields, sweeps_per_swap, known)
        return (state._replace(v=v), fields), work

    (state, _), works = jax.lax.scan(
        half, (state, fields_of(ladder, state.v)), (halves, jax.random.split(key))
    )
    lower = np.arange(rungs - 1)
    up, down = works[lower % 2, lower], works[lower % 2, lower + 1]
    probability = jnp.mean(jnp.exp(jnp.minimum(0.0, -(up + down))), axis=1)
    return state._replace(accepted=state.accepted + probability, rounds=state.rounds + 1), up, down


def partners(rungs: int, odd: int) -> Int[np.ndarray, " rungs"]:
    """Whom each rung swaps with: (0, 1), (2, 3), ... or, if odd, (1, 2), (3, 4), ...; else itself."""
    index = np.arange(rungs)
    partner = np.where((index - odd) % 2 == 0, index + 1, index - 1)
    return np.where((partner >= 0) & (partner < rungs), partner, index)


def swapped(
    ladder: Machine, key: PRNGKey, state: LadderState, fields: Fields, partner: Int[Array, " rungs"]
) -> tuple[LadderState, Fields, Numbers]:
    """The state after the swaps, its fields, and the work F_partner(v) - F(v) of each state before them."""
    rungs = state.v.shape[0]
    other = state.v[partner]
    other_fields = fields_of(ladder, other)
    energy = jax.vmap(_free_energy)
    work = energy(ladder, other, other_fields)[partner] - energy(ladder, state.v, fields)
    u = jax.random.uniform(key, work.shape, work.dtype)[jnp.minimum(partner, jnp.arange(rungs))]
    swap = jnp.log(u) < -(work + work[partner])  # NaN is never swapped
    stage = jnp.where(swap, state.stage[partner], state.stage)
    round_trips = state.round_trips + (stage[0] == FALLING)
    stage = stage.at[0].set(RISING)
    stage = stage.at[-1].set(jnp.where(stage[-1] == RISING, FALLING, stage[-1]))
    moved = state._replace(v=_chosen(swap, other, state.v), stage=stage, round_trips=round_trips)
    return moved, _chosen(swap, other_fields, fields), work


def fields_of(ladder: Machine, v: States) -> Fields:
    """b + v W on every rung."""
    return jax.vmap(Machine.up)(ladder, v)


def _swept(
    ladder: Machine, key: PRNGKey, v: States, fields: Fields, sweeps_per_swap: Any, known: Known
) -> tuple[States, Fields]:
    """Gibbs sweeps of every rung, and the fields after them, which the next swaps need too."""

    def one(machine: Machine, key: PRNGKey, v: Array, field: Array) -> tuple[Array, Array]:
        key_hidden, key_visible = jax.random.split(key)
        h = machine.hidden.sample(key_hidden, field)
        v = held(known, v, machine.visible.sample(key_visible, machine.down(h)))
        return v, machine.up(v)

    def sweep(i: Array, carry: tuple[States, Fields]) -> tuple[States, Fields]:
        keys = jax.random.split(jax.random.fold_in(key, i), v.shape[0])
        return jax.vmap(one)(ladder, keys, *carry)

    return jax.lax.fori_loop(0, sweeps_per_swap, sweep, (v, fields))


def _free_energy(machine: Machine, v: Float[Array, "chains nv"], field: Float[Array, "chains nh"]) -> Array:
    """F(v) = -log_base(v) - v . a - A_h(field), field = b + v W, which is `machine.free_energy`."""
    linear = v @ jnp.asarray(machine.visible_bias, v.dtype)
    return -machine.visible.log_base(v) - linear - machine.hidden.log_partition(field)


def _chosen(swap: Bool[Array, "rungs chains"], new: Array, old: Array) -> Array:
    return jnp.where(jnp.broadcast_to(swap[..., None], old.shape), new, old)
