"""A run of NUTS or HMC: start, warm-up, draws in blocks, interrupt, resume."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinv._arrays import restore_state, save_state
from probinv._typing import PRNGKey
from probinv.methods._base import Cost, Draws, Progress
from probinv.methods.kernels.blocks import Blocks, Plan, rows_of_block
from probinv.methods.kernels.hamiltonian import Settings, advance, count_not_finite, initialise
from probinv.methods.kernels.start import overdispersed_start

PROBES_MOST = 200


def memory(settings: Settings, plan: Plan, size: int) -> int:
    """Bytes at the peak: the draws on the host, the block's buffer twice, states and mass matrices."""
    draws = plan.draws * plan.chains * (size + 8)
    block = 2 * rows_of_block(plan, size) * plan.chains * (size + 8)
    matrices = plan.chains * (6 * size**2 if settings.dense_mass else 8 * size)
    tree = 2 * plan.chains * settings.max_tree_depth * size
    return 8 * (draws + block + matrices + tree)


def run_chains(
    settings: Settings,
    plan: Plan,
    view: Any,
    key: PRNGKey,
    progress: Progress,
    resume: dict[str, np.ndarray] | None,
) -> Draws:
    """Draws of every chain after warm-up, from optimised points that lie apart."""
    key_start, key_init, key_chains, key_probe = jax.random.split(key, 4)
    keys = jax.random.split(key_chains, plan.chains)
    began = time.perf_counter()
    notes: dict[str, Any] = {}
    gradients = 0
    if resume is None:
        start = overdispersed_start(view, key_start, plan.chains)
        z, gradients, notes["finite_under_prior"] = start.z, start.gradients, start.finite
    else:
        z = np.zeros((plan.chains, view.size))
    state = initialise(settings, view, jnp.asarray(z), jax.random.split(key_init, plan.chains))
    if resume is not None:
        state = restore_state(state, resume)
    loop = Blocks(partial(advance, settings, view, keys), plan, view.size, state, progress)
    loop.step(0, 1, keep=resume is not None)
    seconds_compile = time.perf_counter() - began

    began = time.perf_counter()
    interrupted = loop.run()
    drawn = loop.drawn()
    z_draws = drawn.pop("z")
    stats = {name: drawn[name] for name in drawn} | {
        "tree_depth": np.ceil(np.log2(drawn["n_steps"] / plan.thin + 1)).astype(int),
        "nan_count": _nan_counts(view, key_probe, z_draws, drawn, loop.state, plan),
    }
    cost = Cost(gradients + loop.totals["n_steps"], seconds_compile, time.perf_counter() - began)
    notes |= {"max_tree_depth": settings.max_tree_depth, "algorithm": settings.algorithm, "thin": plan.thin}
    return Draws(z_draws, stats, cost, save_state(loop.state), interrupted, notes)


def _nan_counts(
    view: Any, key: PRNGKey, z: np.ndarray, drawn: dict[str, np.ndarray], state: Any, plan: Plan
) -> np.ndarray:
    """Per draw: of a trajectory from the draw before a divergence, how many points had no finite value.

    At most 200 divergences are looked at; the others count 0.
    """
    counts = np.zeros(drawn["diverging"].shape, int)
    places = np.argwhere(drawn["diverging"])[:PROBES_MOST]
    for chain, draw in places:
        origin = jnp.asarray(z[chain, max(draw - 1, 0)])
        root = state.adapt_state.mass_matrix_sqrt[chain]
        noise = jax.random.normal(jax.random.fold_in(key, int(chain) * plan.draws + int(draw)), origin.shape)
        momentum = root @ noise if root.ndim == 2 else root * noise
        inverse_mass = state.adapt_state.inverse_mass_matrix[chain]
        steps = jnp.asarray(drawn["n_steps"][chain, draw])
        step_size = jnp.asarray(drawn["step_size"][chain, draw])
        counts[chain, draw] = int(count_not_finite(view, origin, momentum, step_size, inverse_mass, steps))
    return counts
