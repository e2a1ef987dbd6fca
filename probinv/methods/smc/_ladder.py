"""A run of ParallelTempering: ladder, warm-up, draws in blocks, interrupt, resume."""

import time
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinv._arrays import restore_state, save_state
from probinv._errors import NumericalError
from probinv._typing import Count, PRNGKey, Scalar, Z
from probinv.methods._base import Cost, Draws, Progress
from probinv.methods.kernels.blocks import Blocks
from probinv.methods.kernels.blocks import Plan as ChainPlan
from probinv.methods.kernels.lifted import STEP_MOST
from probinv.methods.kernels.projected import NOT_FOUND
from probinv.methods.smc import _mutate
from probinv.methods.smc._mutate import (
    Settings,
    lifted_move,
    lifted_point,
    plain_move,
    plain_point,
    shortened,
)
from probinv.methods.smc._population import log_mean_exp
from probinv.methods.smc._tempering import Plan, ladder, on_the_set

MOVES = 2
"""Transitions between two rounds of swaps."""
STEP_FIRST = 0.7
PILOT, RUNGS = 256, 8
LAST_MOVES = 5
"""Transitions of a draw on the set of an exact wish, after it has been projected."""


class State(NamedTuple):
    """Every walker of every chain, coldest last.

    Attributes:
        z: (chain, rung, n).
        origin: (chain, rung), the transition at which the walker was last a fresh draw from the prior.
        log_step: (rung,).
        swapped: (rung - 1,), swaps accepted so far, and `tried`, those proposed.
        evidence: (chain, rung - 1), log of the sum of exp((b' - b) a) over the draws kept.
        i: transitions done.
    """

    z: Float[Array, "c k n"]
    origin: Int[Array, "c k"]
    log_step: Float[Array, " k"]
    swapped: Float[Array, " k1"]
    tried: Float[Array, " k1"]
    evidence: Float[Array, "c k1"]
    i: Count


def run_parallel(
    settings: Settings,
    plan: ChainPlan,
    view: Any,
    key: PRNGKey,
    progress: Progress,
    resume: dict[str, np.ndarray] | None,
) -> Draws:
    """The draws of the coldest walkers."""
    key_ladder, key_first, key_run, key_last = jax.random.split(key, 4)
    began = time.perf_counter()
    if resume is None:
        view, powers, z, gradients = _pilots(settings, view, jax.random.split(key_ladder, plan.chains))
    else:
        view, powers, z, gradients = _resumed(view, resume, plan.chains)
    state = _begin(z, len(powers), key_first)
    if resume is not None:
        state = restore_state(state, resume)
    advancing = partial(advance, settings, view, key_run, jnp.asarray(powers), jnp.asarray(plan.warmup))
    loop = Blocks(advancing, plan, view.size * len(powers), state, progress)
    loop.step(0, 1, keep=resume is not None)
    seconds_compile = time.perf_counter() - began
    began = time.perf_counter()
    interrupted = loop.run()
    drawn = loop.drawn()
    z, lost = drawn.pop("z"), 0
    if view.exact:
        z, lost = _exactly(settings, view, z, key_last)
    cost = Cost(gradients + loop.totals["n_gradients"], seconds_compile, time.perf_counter() - began)
    saved = save_state(loop.state) | {"powers": powers, "unit": np.asarray(view.unit)}
    return Draws(z, drawn, cost, saved, interrupted, _notes(view, powers, loop, drawn, plan, lost))


def _pilots(settings: Settings, view: Any, keys: Array) -> tuple[Any, np.ndarray, np.ndarray, int]:
    """The ladder, and a population for each chain.

    Chains that began in one population would share its errors, and no spread between them would tell.
    """
    plan = Plan(PILOT, 1, 2, 2, 0.5)
    found = [ladder(settings, plan, view, key) for key in keys]
    view, powers, _, _ = found[0]
    return view, refined(powers), np.stack([z for _, _, z, _ in found]), sum(count for *_, count in found)


def refined(powers: np.ndarray) -> np.ndarray:
    """As many rungs as the next multiple of 8, by interpolation of log b: few lengths, so few programs."""
    rungs = -(-len(powers) // RUNGS) * RUNGS
    place = np.linspace(0, len(powers) - 2, rungs - 1)
    inner = np.exp(np.interp(place, np.arange(len(powers) - 1), np.log(powers[1:])))
    inner[[0, -1]] = powers[[1, -1]]
    return np.concatenate([[0.0], inner])


def _resumed(
    view: Any, resume: dict[str, np.ndarray], chains: int
) -> tuple[Any, np.ndarray, np.ndarray, int]:
    """The ladder of the run that is continued; the populations are only shapes."""
    known = {"powers": np.zeros(len(resume.get("powers", ()))), "unit": view.unit}
    known = {name: np.asarray(value) for name, value in restore_state(known, resume).items()}
    view = eqx.tree_at(lambda path: path.unit, view, known["unit"])
    return view, known["powers"], np.zeros((chains, PILOT, view.size)), 0


def _begin(z: np.ndarray, rungs: int, key: PRNGKey) -> State:
    """Every walker somewhere in the (chain, particle, n) populations of the pilots."""
    chains = len(z)
    place = np.asarray(jax.random.randint(key, (chains, rungs), 0, z.shape[1]))
    zero = jnp.zeros((chains, rungs), int)
    return State(
        jnp.asarray(np.take_along_axis(z, place[:, :, None], axis=1)),
        zero,
        jnp.full(rungs, np.log(STEP_FIRST), float),
        jnp.zeros(rungs - 1),
        jnp.zeros(rungs - 1),
        jnp.full((chains, rungs - 1), -jnp.inf, float),
        jnp.zeros((), int),
    )


@eqx.filter_jit
def advance(
    settings: Settings,
    view: Any,
    key: PRNGKey,
    powers: Float[Array, " k"],
    warmup: Array,
    state: State,
    count: Array,
    thin: Array,
    rows: int,
) -> tuple[State, dict[str, Array]]:
    """`count` <= `rows` more draws of every chain, each after `thin` rounds of moves and swaps."""
    chains, _, size = state.z.shape

    def draw(row: Array, carry: tuple[State, dict[str, Array]]) -> tuple[State, dict[str, Array]]:
        state, out = carry

        def once(_: Array, pair: tuple[State, Array, Array]) -> tuple[State, Array, Array]:
            state, acceptance, counts = _round(settings, view, key, powers, warmup, pair[0])
            return state, acceptance, pair[2] + counts

        start = (state, jnp.zeros(chains), jnp.zeros((chains, 3), int))
        state, acceptance, counts = jax.lax.fori_loop(0, thin, once, start)
        new = {
            "z": state.z[:, -1],
            "origin": state.origin[:, -1],
            "acceptance_rate": acceptance,
            "step_size": jnp.full(chains, jnp.exp(state.log_step[-1])),
            "n_steps": counts[:, 0],
            "n_gradients": counts[:, 1],
            "diverging": jnp.zeros(chains, bool),
        }
        return state, {name: out[name].at[row].set(new[name]) for name in out}

    whole = {name: jnp.zeros((rows, chains), int) for name in ("origin", "n_steps", "n_gradients")}
    real = {name: jnp.zeros((rows, chains)) for name in ("acceptance_rate", "step_size")}
    out = whole | real | {"z": jnp.zeros((rows, chains, size)), "diverging": jnp.zeros((rows, chains), bool)}
    return jax.lax.fori_loop(0, count, draw, (state, out))


def _round(
    settings: Settings, view: Any, key: PRNGKey, powers: Array, warmup: Array, state: State
) -> tuple[State, Array, Array]:
    """Fresh prior draws at b = 0, moves at every other b, then swaps of every second pair of neighbours."""
    key_prior, key_length, key_move, key_swap = jax.random.split(jax.random.fold_in(key, state.i), 4)
    chains, rungs, size = state.z.shape
    fresh = jax.vmap(view.sample_prior)(jax.random.split(key_prior, chains))
    z = state.z.at[:, 0].set(fresh)
    origin = state.origin.at[:, 0].set(state.i)
    begin, transition = (lifted_point, lifted_move) if settings.lifted else (plain_point, plain_move)
    length = 2 * _mutate.TRAJECTORY * jax.random.uniform(key_length)
    step = jnp.exp(state.log_step)

    def walk(z: Z, power: Scalar, step: Scalar, key: PRNGKey) -> tuple[Z, Scalar, Array]:
        steps = jnp.clip(jnp.round(length / step), 1, _mutate.STEPS_MOST).astype(int)

        def once(j: Array, carry: tuple[Any, Scalar, Array]) -> tuple[Any, Scalar, Array]:
            at, total, counts = carry
            key_one, short = shortened(step, jax.random.fold_in(key, j))
            at, probability, more = transition(view, power, jnp.ones(size), at, key_one, short, steps)
            return at, total + probability / MOVES, counts + more

        begun = (begin(view, power, z), jnp.zeros(()), jnp.zeros(3, int))
        at, total, counts = jax.lax.fori_loop(0, MOVES, once, begun)
        return at.z, total, counts

    keys = jax.random.split(key_move, (chains, rungs - 1))
    over_rungs = jax.vmap(walk, in_axes=(0, 0, 0, 0))
    moved, acceptance, counts = jax.vmap(over_rungs, in_axes=(0, None, None, 0))(
        z[:, 1:], powers[1:], step[1:], keys
    )
    z = z.at[:, 1:].set(moved)
    gain = jnp.where(state.i < warmup, 1.0 / jnp.sqrt(1.0 + state.i), 0.0)
    change = gain * (acceptance.mean(axis=0) - settings.target_accept)
    log_step = jnp.clip(state.log_step.at[1:].add(change), np.log(_mutate.STEP_LEAST), np.log(STEP_MOST))
    state = state._replace(z=z, origin=origin, log_step=log_step)
    return _swap(view, key_swap, powers, warmup, state), acceptance[:, -1], counts.sum(axis=1)


def _swap(view: Any, key: PRNGKey, powers: Array, warmup: Array, state: State) -> State:
    """Neighbours b < b' change places with probability min(1, exp((b' - b) (a - a')))."""
    chains, rungs, _ = state.z.shape
    a = jax.vmap(jax.vmap(view.fit))(state.z)
    a = jnp.where(jnp.isnan(a), -jnp.inf, a)
    gap = jnp.diff(powers)[None]
    gain = gap * (a[:, :-1] - a[:, 1:])
    turn = (jnp.arange(rungs - 1) % 2 == state.i % 2)[None]
    probability = jnp.where(jnp.isnan(gain), 0.0, jnp.exp(jnp.minimum(gain, 0.0)))
    accepted = turn & (jax.random.uniform(key, gain.shape) < probability)
    up = jnp.concatenate([accepted, jnp.zeros((chains, 1), bool)], axis=1)
    down = jnp.concatenate([jnp.zeros((chains, 1), bool), accepted], axis=1)
    source = jnp.arange(rungs)[None] + up - down
    sampling = state.i >= warmup
    evidence = jnp.where(sampling, jnp.logaddexp(state.evidence, gap * a[:, :-1]), state.evidence)
    counted = jnp.where(sampling, 1.0, 0.0)
    return state._replace(
        z=jnp.take_along_axis(state.z, source[:, :, None], axis=1),
        origin=jnp.take_along_axis(state.origin, source, axis=1),
        swapped=state.swapped + counted * (probability * turn).mean(axis=0),
        tried=state.tried + counted * turn[0],
        evidence=evidence,
        i=state.i + 1,
    )


def _exactly(settings: Settings, view: Any, z: np.ndarray, key: PRNGKey) -> tuple[np.ndarray, int]:
    """Draws at the narrowest tolerance brought to the set itself; those that are lost stay where they are."""
    flat = z.reshape(-1, z.shape[-1])
    there, found = on_the_set(view, flat, settings.batch)
    if not found.any():
        return z, len(flat)
    count, step = jnp.asarray(LAST_MOVES), jnp.full((), STEP_FIRST, float)
    root = jnp.ones(z.shape[-1])
    moved = _mutate.mutate(settings, view, jnp.asarray(jnp.inf), root, jnp.asarray(there), key, count, step)
    return np.where(found[:, None], np.asarray(moved.z), flat).reshape(z.shape), int(np.sum(~found))


def _notes(
    view: Any, powers: np.ndarray, loop: Blocks, drawn: dict[str, np.ndarray], plan: ChainPlan, lost: int
) -> dict[str, Any]:
    state: State = loop.state
    rounds = int(state.i) - plan.warmup
    c, d = view.log_constant(np.asarray(view.unit))
    total = np.sum(np.asarray(state.evidence) - np.log(max(rounds, 1)), axis=1) + d + c * np.log(powers[-1])
    if not np.isfinite(total).all():
        raise NumericalError(
            "the evidence is not finite", "the log likelihood is NaN or infinite along the ladder", "use NUTS"
        )
    share = np.asarray(state.swapped) / np.maximum(np.asarray(state.tried), 1.0)
    error = float(total.std(ddof=1) / np.sqrt(len(total))) if len(total) > 1 else None
    size = drawn["origin"].size
    notes = {
        "algorithm": "ParallelTempering",
        "thin": plan.thin,
        "log_evidence": log_mean_exp(total) if lost < size else None,
        "log_evidence_error": error if lost < size else None,
        "log_evidence_replicates": total.tolist() if lost < size else [None] * len(total),
        "temperatures": [powers.tolist()],
        "swap_rates": share.tolist(),
        "restarts": [len(np.unique(origin)) for origin in drawn["origin"]],
        "lost_particles": lost,
    }
    return notes | ({} if lost < size else {"not_found": NOT_FOUND})
