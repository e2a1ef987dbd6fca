"""A run of NUTS or HMC: start, warm-up, draws in blocks, interrupt, resume."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.methods._base import Cost, Draws, Progress
from probinv.methods.kernels.hamiltonian import Settings, advance, count_not_finite, initialise
from probinv.methods.kernels.start import overdispersed_start

SECONDS_PER_BLOCK = 0.5
ROWS_MOST = 200
BLOCK_BYTES = 100_000_000
PROBES_MOST = 200


class Plan(NamedTuple):
    """How much to run."""

    draws: int
    warmup: int
    chains: int
    thin: int


def rows_of_block(plan: Plan, size: int) -> int:
    """Rows of the buffer in which one compiled call leaves its draws."""
    return int(np.clip(BLOCK_BYTES // (8 * plan.chains * size), 1, ROWS_MOST))


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
        state = _restore(state, resume)
    loop = _Loop(settings, plan, view, keys, state, progress)
    loop.step(0, 1, keep=resume is not None)
    seconds_compile = time.perf_counter() - began

    began = time.perf_counter()
    interrupted = loop.run()
    blocks = loop.kept[1]
    if not blocks:
        raise KeyboardInterrupt("interrupted during warm-up: there is no draw to keep")
    drawn = {name: np.concatenate([block[name] for block in blocks]).swapaxes(0, 1) for name in blocks[0]}
    z_draws = drawn.pop("z")
    stats = {name: drawn[name] for name in drawn} | {
        "tree_depth": np.ceil(np.log2(drawn["n_steps"] / plan.thin + 1)).astype(int),
        "nan_count": _nan_counts(view, key_probe, z_draws, drawn, loop.state, plan),
    }
    cost = Cost(gradients + loop.gradients, seconds_compile, time.perf_counter() - began)
    notes |= {"max_tree_depth": settings.max_tree_depth, "algorithm": settings.algorithm, "thin": plan.thin}
    return Draws(z_draws, stats, cost, _save(loop.state), interrupted, notes)


class _Loop:
    """The blocks of a run. Every block takes about half a second, so that an interrupt is soon heard."""

    def __init__(
        self, settings: Settings, plan: Plan, view: Any, keys: Any, state: Any, progress: Progress
    ) -> None:
        self.settings, self.plan, self.view, self.keys = settings, plan, view, keys
        self.progress = progress
        self.rows = rows_of_block(plan, view.size)
        # state and draws change in one assignment, so that an interrupt never finds one without the other
        self.kept: tuple[Any, list[dict[str, np.ndarray]]] = (state, [])
        self.gradients = 0
        self.seconds_per_transition = 0.0

    @property
    def state(self) -> Any:
        """The state after the last draw that is kept."""
        return self.kept[0]

    def step(self, count: int, thin: int, keep: bool) -> None:
        """`count` draws, each after `thin` transitions; the state moves on only when they are all there."""
        began = time.perf_counter()
        state, out = advance(
            self.settings, self.view, self.keys, self.state, jnp.asarray(count), jnp.asarray(thin), self.rows
        )
        block = {name: np.asarray(value)[:count] for name, value in out.items()}
        self.kept = (state, [*self.kept[1], block] if keep else self.kept[1])
        self.gradients += int(block["n_steps"].sum())
        if count:
            self.seconds_per_transition = (time.perf_counter() - began) / (count * thin)

    def run(self) -> bool:
        """Warm-up and draws; True if interrupted."""
        plan = self.plan
        try:
            while (done := int(self.state.i)) < plan.warmup:
                count = self._count(plan.warmup - done, 1)
                self.step(count, 1, keep=False)
                self.progress.update(count, "warm-up")
            while (done := (int(self.state.i) - plan.warmup) // plan.thin) < plan.draws:
                count = self._count(plan.draws - done, plan.thin)
                self.step(count, plan.thin, keep=True)
                self.progress.update(count, "sampling")
        except KeyboardInterrupt:
            return True
        return False

    def _count(self, left: int, thin: int) -> int:
        if self.seconds_per_transition == 0.0:
            return min(left, self.rows, 10)
        fitting = SECONDS_PER_BLOCK / (self.seconds_per_transition * thin)
        return int(min(left, self.rows, max(1, fitting)))


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


def _save(state: Any) -> dict[str, np.ndarray]:
    """The state's arrays by name. Keys are left out: they follow from the seed and the step."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {
        _name(path): np.asarray(leaf)
        for path, leaf in leaves
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    }


def _restore(state: Any, saved: dict[str, np.ndarray]) -> Any:
    def pick(path: Any, leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        value = saved.get(_name(path))
        if value is None or value.shape != leaf.shape:
            raise InputError(
                "resume is not a state of this method",
                f"the entry {_name(path)} is missing or has another shape",
                "resume with the method, chains and posterior of the interrupted run",
            )
        return jnp.asarray(value, leaf.dtype)

    return jax.tree_util.tree_map_with_path(pick, state)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="_")
