"""Parallel tempering and parallel trajectory tempering: chains on a ladder of machines that swap states."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import brentq
from scipy.special import expit, logsumexp

from probinv._checks import as_array, as_count, double_precision
from probinv._errors import InputError, NumericalError
from probinv._typing import PRNGKey
from probinv.boltzmann._ladder import (
    base_log_partition,
    base_machine,
    interpolated_ladder,
    rung,
    rungs_of,
    stack,
    with_top,
)
from probinv.boltzmann._swap import RISING, LadderState, States, Works, temper_step, tempered_round
from probinv.boltzmann.gibbs import Known, as_mask, dtype_of, random_states, require_memory
from probinv.boltzmann.machine import Machine

__all__ = [
    "ChosenRungs",
    "LadderPartition",
    "LadderState",
    "Tempered",
    "base_machine",
    "choose_rungs",
    "interpolated_ladder",
    "ladder_state",
    "log_partition_along",
    "rung",
    "stack",
    "temper",
    "temper_step",
    "with_top",
]


class Tempered(NamedTuple):
    """What a run on a ladder gave.

    Attributes:
        draws: (chains, draws, nv), of the last rung.
        state: to go on from.
        acceptance: (rungs - 1,), how often neighbours swap, in this run. About 1/4 to 1/2 is best.
        round_trips: (chains,), journeys from the first rung to the last and back that were completed in this
            run. Where they are 0, the last rung has seen nothing new.
        up, down: (draws, rungs - 1, chains), the works F_j(v_i) - F_i(v_i) from rung i to j = i + 1, and
            back.
        clamped: whether units were held.
    """

    draws: Float[Array, "chains draws nv"]
    state: LadderState
    acceptance: Float[np.ndarray, " pairs"]
    round_trips: Int[np.ndarray, " chains"]
    up: Float[Array, "draws pairs chains"]
    down: Float[Array, "draws pairs chains"]
    clamped: bool


class LadderPartition(NamedTuple):
    """log Z of a ladder's last rung.

    Attributes:
        log_partition: by Bennett's ratio from rung to rung.
        standard_error: from the spread between the chains.
        forward: by the works up alone: below log Z on average, if the chains are in equilibrium.
        reverse: by the works down alone: above log Z on average.
    """

    log_partition: float
    standard_error: float
    forward: float
    reverse: float


class ChosenRungs(NamedTuple):
    """A ladder picked from many machines.

    Attributes:
        ladder: the kept machines.
        kept: their places among the snapshots; the first and the last are always kept.
        acceptance: how often neighbours swap; a number far below the wish marks a gap between two snapshots.
        state: to begin `temper` with.
    """

    ladder: Machine
    kept: tuple[int, ...]
    acceptance: Float[np.ndarray, " pairs"]
    state: LadderState


def ladder_state(ladder: Machine, key: PRNGKey, chains: int, *, start: Any = None) -> LadderState:
    """A state to begin with: on each rung independent draws of its law without weights, or the given start.

    Args:
        ladder: machines, stacked.
        key: of the draws.
        chains: how many; each has a state on every rung.
        start: (chains, nv) for all rungs, or (rungs, chains, nv). With known units, their values.

    Raises:
        InputError: shapes that do not fit, NaN, values outside of the units' support.
    """
    rungs, count = rungs_of(ladder), as_count("chains", chains)
    shape = (rungs, count, ladder.visible.size)
    dtype = dtype_of(ladder)
    if start is None:
        theta = jnp.broadcast_to(jnp.asarray(ladder.visible_bias)[:, None, :], shape)
        sample = jax.vmap(lambda machine, key, own: machine.visible.sample(key, own))
        v = sample(ladder, jax.random.split(key, rungs), jnp.asarray(theta, dtype))
    else:
        values = as_array("start", start, shape=shape)
        ladder.visible.check("start", values.reshape(-1, shape[-1]))
        v = jnp.asarray(values, dtype)
    return _fresh_state(v)


def temper(
    ladder: Machine,
    key: PRNGKey,
    state: LadderState,
    rounds: int,
    *,
    sweeps_per_swap: int = 1,
    every: int = 1,
    known: Any = None,
) -> Tempered:
    """Draws of the ladder's last rung, by rounds of `temper_step`.

    Each round swaps all neighbours once and sweeps every rung 2 * sweeps_per_swap times. Compiled once for
    every number of draws; other machines of the same kind compile nothing.

    Args:
        ladder: machines, stacked, the one that is meant at the end.
        key: of the run.
        state: from `ladder_state`, or of an earlier run.
        rounds: how many.
        sweeps_per_swap: Gibbs sweeps between swaps.
        every: rounds from one draw to the next; rounds // every draws are kept.
        known: boolean mask of visible entries that stay as in the state: (nv,) or (chains, nv).

    Raises:
        InputError: settings out of range, a state of another shape, known units that hold different values on
            different rungs of a chain, a group of softmax units of which only a part is known.
        ResourceError: draws that do not fit into memory.
    """
    v = np.asarray(state.v)
    shape = (rungs_of(ladder), v.shape[1], ladder.visible.size)
    if v.shape != shape:
        raise InputError(
            f"the state has shape {v.shape}", f"the ladder needs {shape}", "begin with ladder_state"
        )
    mask = None if known is None else as_mask(ladder.visible, known, shape[1])
    if mask is not None and ((v != v[:1]) & mask).any():
        raise InputError(
            "known units differ between the rungs of a chain",
            "states are swapped between rungs, so known values would change",
            "begin with ladder_state(..., start=rows) and rows of shape (chains, nv)",
        )
    count = as_count("rounds", rounds) // as_count("every", every)
    if count == 0:
        raise InputError(
            f"rounds = {rounds} is less than every = {every}", "no draw would be kept", "take more"
        )
    require_memory(count * shape[1] * (shape[2] + 2 * shape[0]) * v.dtype.itemsize)
    state = _forgetful(state)
    sweeps = as_count("sweeps_per_swap", sweeps_per_swap)
    state, (draws, up, down) = _temper(ladder, key, state, sweeps, every, mask, count)
    trips, acceptance = np.asarray(state.round_trips), np.asarray(state.acceptance)
    return Tempered(jnp.swapaxes(draws, 0, 1), state, acceptance, trips, up, down, mask is not None)


def choose_rungs(
    snapshots: Machine,
    key: PRNGKey,
    *,
    acceptance: float = 0.3,
    chains: int = 200,
    rounds: int = 20,
    sweeps_per_swap: int = 1,
) -> ChosenRungs:
    """The fewest snapshots, in their order, of which neighbours swap with probability >= `acceptance`.

    From a kept rung on, each later snapshot is put on a ladder of two with it; the last that still swaps
    often enough is kept next. Chains follow from snapshot to snapshot as they do in training, so they stay
    close to equilibrium; the first is best a `base_machine`, of which draws are exact. It serves for machines
    saved along a training as well as for a fine `interpolated_ladder`. As in parallel trajectory tempering
    (Bereux, Decelle, Furtlehner, Rosset and Seoane, arXiv 2405.15376), where neighbours are kept above 1/4.

    Args:
        snapshots: machines, stacked, in the order of training.
        key: of the chains.
        acceptance: the least swap probability, between 0 and 1.
        chains: how many estimate it.
        rounds: on each pair, as many again before them uncounted.
        sweeps_per_swap: as for `temper`.

    Raises:
        InputError: settings out of range.
    """
    wish = float(as_array("acceptance", acceptance, shape=()))
    if not 0 < wish < 1:
        raise InputError(f"acceptance = {wish:g}", "it is a probability between 0 and 1", "for example 0.3")
    last = rungs_of(snapshots) - 1
    turns, sweeps = as_count("rounds", rounds), as_count("sweeps_per_swap", sweeps_per_swap)
    key_start, key_pairs = jax.random.split(key)
    base = rung(snapshots, 0)
    now = random_states(base.visible, key_start, chains, theta=base.visible_bias, dtype=dtype_of(base))
    kept, states, rates = [0], [now], []
    before, rate_before = now, 0.0
    at, trial = 1, 0
    while at <= last:
        key_own = jax.random.fold_in(key_pairs, trial)
        v = jnp.stack([states[-1], before])
        v, rate = _pair(snapshots, np.array([kept[-1], at]), key_own, v, turns, sweeps)
        trial += 1
        if rate < wish and at > kept[-1] + 1:
            kept.append(at - 1)
            states.append(before)
            rates.append(rate_before)
            continue
        states[-1], before, rate_before = v[0], v[1], float(rate)
        at += 1
    kept, rates = [*kept, last], [*rates, rate_before]
    state = _fresh_state(jnp.stack([*states, before]))
    return ChosenRungs(rung(snapshots, np.array(kept)), tuple(kept), np.array(rates), state)


def log_partition_along(ladder: Machine, tempered: Tempered) -> LadderPartition:
    """log Z = log Z_0 + sum over neighbours i, j of log Z_j / Z_i, on chains of `temper`.

    Each ratio solves Bennett's equation, with D = -log Z_j / Z_i,

        sum 1 / (1 + exp(F_j(v_i) - F_i(v_i) - D)) = sum 1 / (1 + exp(F_i(v_j) - F_j(v_j) + D)),

    which has the least variance of all that use the works up and down (Bennett, J. Comput. Phys. 22, 1976;
    Shirts and Chodera, arXiv 0801.1426). Draws of one chain depend on each other, on all rungs; the chains do
    not, so the standard error is that of a mean of the chains' influences, whole ladders at a time. It knows
    nothing of a mode that no chain has found.

    Args:
        ladder: machines, stacked, the first without weights.
        tempered: draws in equilibrium: run `temper` before and go on from its state.

    Raises:
        InputError: a first rung with weights, a run with known units, a single chain.
        NumericalError: free energies that are not finite.
    """
    up, down = np.asarray(tempered.up, np.float64), np.asarray(tempered.down, np.float64)
    if tempered.clamped:
        raise InputError("the run held known units", "it saw only a part of Z", "run temper without known")
    if up.shape[2] < 2:
        raise InputError(
            "a single chain", "the error is judged from the spread between chains", "run several"
        )
    if not (np.isfinite(up).all() and np.isfinite(down).all()):
        raise NumericalError(
            "free energies are not finite", "a weight may have run away", "look at the snapshots"
        )
    with double_precision():
        total = forward = reverse = base_log_partition(ladder)
    influence = np.zeros(up.shape[2])
    for ahead, back in zip(np.moveaxis(up, 1, 0), np.moveaxis(down, 1, 0), strict=True):
        step, own = _bennett(ahead, back)
        total, influence = total + step, influence + own
        forward += float(logsumexp(-ahead) - np.log(ahead.size))
        reverse -= float(logsumexp(-back) - np.log(back.size))
    error = float(np.std(influence, ddof=1) / np.sqrt(len(influence)))
    return LadderPartition(total, error, forward, reverse)


def _bennett(
    up: Float[np.ndarray, "draws chains"], down: Float[np.ndarray, "draws chains"]
) -> tuple[float, Float[np.ndarray, " chains"]]:
    """log Z_j / Z_i, and what each chain contributes to its error (times the number of chains)."""

    def excess(shift: float) -> Float[np.ndarray, " chains"]:
        return np.mean(expit(shift - up) - expit(-shift - down), axis=0)

    low, high = min(up.min(), -down.max()), max(up.max(), -down.min())
    shift = low if low == high else brentq(lambda shift: float(np.mean(excess(shift))), low, high)
    near, far = expit(shift - up), expit(-shift - down)
    slope = np.mean(near * (1 - near) + far * (1 - far))
    return -float(shift), excess(float(shift)) / slope


def _fresh_state(v: States) -> LadderState:
    stage = jnp.zeros(v.shape[:2], jnp.int32).at[0].set(RISING)
    return _forgetful(LadderState(v, stage, stage[0], jnp.zeros(()), stage[0, 0]))


def _forgetful(state: LadderState) -> LadderState:
    """The same state with its counts at zero."""
    rungs, chains = state.v.shape[:2]
    none = jnp.zeros((), jnp.int32)
    trips, accepted = jnp.zeros(chains, jnp.int32), jnp.zeros(rungs - 1, state.v.dtype)
    return state._replace(round_trips=trips, accepted=accepted, rounds=none)


@partial(jax.jit, static_argnums=6)
def _temper(
    ladder: Machine, key: PRNGKey, state: LadderState, sweeps: Any, every: Any, known: Known, count: int
) -> tuple[LadderState, tuple[Array, Array, Array]]:
    none = jnp.zeros((state.v.shape[0] - 1, state.v.shape[1]), state.v.dtype)

    def draw(state: LadderState, i: Array) -> tuple[LadderState, tuple[Array, Works, Works]]:
        def one(j: Array, carry: tuple[LadderState, Works, Works]) -> tuple[LadderState, Works, Works]:
            return tempered_round(ladder, jax.random.fold_in(key, j), carry[0], sweeps, known)

        state, up, down = jax.lax.fori_loop(i * every, (i + 1) * every, one, (state, none, none))
        return state, (state.v[-1], up, down)

    return jax.lax.scan(draw, state, jnp.arange(count))


@jax.jit
def _pair(
    snapshots: Machine, index: Array, key: PRNGKey, v: States, rounds: Any, sweeps: Any
) -> tuple[States, Array]:
    ladder = rung(snapshots, index)

    def one(j: Array, state: LadderState) -> LadderState:
        return temper_step(ladder, jax.random.fold_in(key, j), state, sweeps_per_swap=sweeps)

    state = jax.lax.fori_loop(0, rounds, one, _fresh_state(v))
    state = jax.lax.fori_loop(rounds, 2 * rounds, one, _forgetful(state))
    return state.v, state.acceptance[0]
