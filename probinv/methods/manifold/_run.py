"""A run of LiftedHMC: start, warm-up, draws in blocks, interrupt, resume."""

import time
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from probinv._arrays import restore_state, save_state
from probinv._typing import Count, PRNGKey, Scalar
from probinv.methods._base import Cost, Draws, Progress
from probinv.methods.kernels.adapt import StepSize, adapted, first_step
from probinv.methods.kernels.blocks import Blocks, Plan
from probinv.methods.kernels.lifted import STEP_MOST, Point, Step, minus_log_density, move, point
from probinv.methods.kernels.projected import NOT_FOUND, Projected, pick, projected_start, references
from probinv.methods.manifold._independence import independent_move

CANDIDATES, NEAREST = 32, 8
STEP_FIRST = 0.5
ACCEPTED_FIRST, ACCEPTED_LEAST, MEMORY = 0.5, 0.05, 0.02
"""Of independent proposals: less than the least and they are left out after the warm-up."""


class Settings(NamedTuple):
    """What the compiled program depends on besides the shapes."""

    target_accept: float
    trajectory_length: float
    max_steps: int


class State(NamedTuple):
    """All chains, and what they share.

    Attributes:
        at: where they are.
        references: over whose tangent planes independent proposals lie, one for each chain.
        accepted: recent mean acceptance of those in the warm-up.
        step_size: of the dynamics.
        i: transitions done.
    """

    at: Point
    references: Point
    accepted: Scalar
    step_size: StepSize
    i: Count


def run_lifted(
    settings: Settings,
    plan: Plan,
    view: Any,
    key: PRNGKey,
    progress: Progress,
    resume: dict[str, np.ndarray] | None,
) -> Draws:
    """Draws of every chain after warm-up, from prior draws that are projected to the manifold."""
    key_start, key_pick, key_run = jax.random.split(key, 3)
    began = time.perf_counter()
    notes: dict[str, Any] = {"algorithm": "LiftedHMC", "thin": plan.thin}
    gradients = 0
    if resume is None:
        candidates = max(CANDIDATES, 2 * plan.chains)
        start, pulled = projected_start(view, key_start, candidates, NEAREST)
        notes["finite_under_prior"] = start.finite
        gradients = start.jacobians * (candidates + NEAREST) * min(view.outputs, view.size)
        if not np.isfinite(start.log_density).any():
            return _nearest(start, plan, Cost(gradients, time.perf_counter() - began, 0.0), notes)
        at = pick(start, key_pick, plan.chains)
        near = references(pulled, at)
    else:
        at = near = _blank(view, plan.chains)
    accepted = jnp.full((), ACCEPTED_FIRST, float)
    at, near = jax.tree.map(jnp.asarray, (at, near))
    state = State(at, near, accepted, first_step(STEP_FIRST), jnp.zeros((), int))
    if resume is not None:
        state = restore_state(state, resume)
    loop = Blocks(
        partial(advance, settings, view, key_run, jnp.asarray(plan.warmup)), plan, view.size, state, progress
    )
    loop.step(0, 1, keep=resume is not None)
    seconds_compile = time.perf_counter() - began

    began = time.perf_counter()
    interrupted = loop.run()
    drawn = loop.drawn()
    notes["independent_accepted"] = float(loop.state.accepted)
    cost = Cost(gradients + loop.totals["n_gradients"], seconds_compile, time.perf_counter() - began)
    return Draws(drawn.pop("z"), drawn, cost, save_state(loop.state), interrupted, notes)


def _nearest(start: Projected, plan: Plan, cost: Cost, notes: dict[str, Any]) -> Draws:
    """Where no point of the manifold was found: the candidates as they are, so that the verdict can say how
    near to Y* they come."""
    order = np.argsort(start.away)
    rows = max(len(order) // plan.chains, 1)
    place = np.resize(order, rows * plan.chains).reshape(rows, plan.chains).T
    zeros = np.zeros(place.shape)
    stats = {"lp": zeros, "energy": zeros, "acceptance_rate": zeros, "diverging": zeros.astype(bool)}
    notes = notes | {"not_found": NOT_FOUND}
    return Draws(np.asarray(start.at.z)[place], stats, cost, {}, False, notes)


def _blank(view: Any, chains: int) -> Point:
    """Points of the right shapes, to be filled from a saved state."""
    z, eta = (jax.ShapeDtypeStruct((chains, size), float) for size in (view.size, view.outputs))
    shapes = eqx.filter_eval_shape(jax.vmap(partial(point, view, view.slack)), z, eta)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


@eqx.filter_jit
def advance(
    settings: Settings,
    view: Any,
    key: PRNGKey,
    warmup: Array,
    state: State,
    count: Array,
    thin: Array,
    rows: int,
) -> tuple[State, dict[str, Array]]:
    """`count` <= `rows` more draws of every chain, each after `thin` transitions.

    Transition i uses `fold_in(key, i)`: the draws do not depend on how a run is cut into calls. The number of
    steps is random, uniform up to twice its mean so that no period of the dynamics is met, and the same for
    all chains, so that none waits for another.
    """
    chains = len(state.at.z)

    def transition(state: State) -> tuple[State, dict[str, Array]]:
        key_length, key_chains, key_free = jax.random.split(jax.random.fold_in(key, state.i), 3)
        adapting = state.i < warmup
        size = state.step_size
        time = jnp.exp(jnp.where(adapting, size.log_step, size.log_mean))
        length = 2 * settings.trajectory_length * jax.random.uniform(key_length)
        steps = jnp.clip(jnp.round(length / time), 1, settings.max_steps).astype(int)
        at, probability, energy, met = jax.vmap(partial(move, view), in_axes=(0, 0, None, None))(
            state.at, jax.random.split(key_chains, chains), time, steps
        )
        new = adapted(size, probability.mean(), settings.target_accept, STEP_FIRST, STEP_MOST)
        size = jax.tree.map(lambda a, b: jnp.where(adapting, a, b), new, size)
        free, none = jax.random.split(key_free, chains), (jnp.zeros(chains), jnp.zeros(chains, int))
        at, independent, jacobians = jax.lax.cond(
            adapting | (state.accepted > ACCEPTED_LEAST),
            lambda: jax.vmap(partial(independent_move, view))(state.references, at, free),
            lambda: (at, *none),
        )
        accepted = state.accepted + jnp.where(adapting, MEMORY, 0.0) * (independent.mean() - state.accepted)
        out = _record(view, at, probability, energy, met, time)
        out["n_gradients"] += jacobians * min(view.outputs, view.size)
        return State(at, state.references, accepted, size, state.i + 1), out

    def inner(pair: tuple[State, dict[str, Array]]) -> tuple[State, dict[str, Array]]:
        state, before = pair
        state, new = transition(state)
        return state, new | {name: before[name] + new[name] for name in SUMMED}

    def draw(row: Array, carry: tuple[State, dict[str, Array]]) -> tuple[State, dict[str, Array]]:
        state, out = carry
        begin = (state, {name: jnp.zeros_like(out[name][0]) for name in out})
        state, new = jax.lax.fori_loop(0, thin, lambda _, pair: inner(pair), begin)
        return state, {name: out[name].at[row].set(new[name]) for name in out}

    out = _empty(rows, state.at.z)
    return jax.lax.fori_loop(0, count, draw, (state, out))


SUMMED = ("n_steps", "n_gradients", "not_projected", "not_reversible")
"""Of the transitions between two draws that are kept."""


def _empty(rows: int, z: Array) -> dict[str, Array]:
    """Room for `rows` records. Written out: to ask JAX for the shapes would trace a transition twice."""
    chains = len(z)
    out = dict.fromkeys(("lp", "energy", "acceptance_rate", "step_size"), jnp.zeros((rows, chains)))
    out |= dict.fromkeys(SUMMED, jnp.zeros((rows, chains), int))
    return out | {"z": jnp.zeros((rows, *z.shape)), "diverging": jnp.zeros((rows, chains), bool)}


def _record(
    view: Any, at: Point, probability: Array, energy: Array, met: Step, time: Scalar
) -> dict[str, Array]:
    rows = min(view.outputs, view.size)
    return {
        "z": at.z,
        "lp": -jax.vmap(minus_log_density)(at),
        "energy": energy,
        "acceptance_rate": probability,
        "diverging": jnp.isnan(energy),
        "step_size": jnp.full_like(energy, time),
        "n_steps": met.steps,
        "n_gradients": met.jacobians * rows,
        "not_projected": met.not_projected,
        "not_reversible": met.not_reversible,
    }
