"""A run of TemperedSMC: replicates one after the other, each from the prior to the posterior."""

import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import NumericalError
from probinv._typing import PRNGKey
from probinv.methods._base import Cost, Draws, Progress
from probinv.methods.kernels.projected import NOT_FOUND, ON_TARGET, dependent, in_units, spread_of
from probinv.methods.smc._mutate import Settings, fit, mutate, prior_draws, projected, residuals
from probinv.methods.smc._population import log_mean_exp, next_power, systematic, worth
from probinv.methods.smc._replicates import load_replicates, save_replicates
from probinv.methods.smc._transport import SIZE_MOST, transport
from probinv.posterior import Path

STAGES_MOST = 300
STEP_FIRST = 1.0
DENSE_MOST = 200
"""Coordinates up to which the population's full covariance shapes the moves."""
JITTER = 1e-12


class Plan(NamedTuple):
    """How much to run."""

    particles: int
    replicates: int
    moves: int
    last_moves: int
    keep: float


class Replicate(NamedTuple):
    """One population at the end of its path."""

    z: np.ndarray
    ancestor: np.ndarray
    log_evidence: float
    powers: np.ndarray
    acceptance: float
    step: float
    totals: np.ndarray
    arrived: bool
    lost: int


BLANK = Replicate._make([0] * len(Replicate._fields))


def run_tempered(
    settings: Settings,
    plan: Plan,
    view: Path,
    key: PRNGKey,
    progress: Progress,
    resume: dict[str, np.ndarray] | None,
) -> Draws:
    """Equally weighted draws of every replicate."""
    began, compiled = time.perf_counter(), 0.0
    done: list[Replicate] = load_replicates(BLANK, resume, plan.particles)
    before = len(done)
    interrupted = False
    try:
        for number, key_one in enumerate(jax.random.split(key, plan.replicates)):
            if number < before:
                continue
            run = _Run(settings, plan, view, key_one, progress)
            if number == before:
                compiled = run.compile()
            done.append(run.run())
    except KeyboardInterrupt:
        if not done:
            raise KeyboardInterrupt("interrupted in the first replicate: there is no draw to keep") from None
        interrupted = True
    gradients = int(sum(one.totals[1] for one in done[before:]))
    cost = Cost(gradients, compiled, time.perf_counter() - began - compiled)
    z, state = np.stack([one.z for one in done]), save_replicates(done) if interrupted else {}
    return Draws(z, _stats(done), cost, state, interrupted, _notes(plan, done), whole=True)


def _stats(done: list[Replicate]) -> dict[str, np.ndarray]:
    shape = (len(done), len(done[0].z))

    def spread(values: list[float]) -> np.ndarray:
        return np.broadcast_to(np.asarray(values)[:, None], shape).copy()

    return {
        "ancestor": np.stack([one.ancestor for one in done]),
        "acceptance_rate": spread([one.acceptance for one in done]),
        "step_size": spread([one.step for one in done]),
        "n_steps": spread([one.totals[0] / shape[1] for one in done]),
        "diverging": np.zeros(shape, bool),
    }


def _notes(plan: Plan, done: list[Replicate]) -> dict[str, Any]:
    evidence = np.array([one.log_evidence if one.arrived else -np.inf for one in done])
    known = np.isfinite(evidence)
    error = float(evidence.std(ddof=1) / np.sqrt(len(done))) if len(done) > 1 and known.all() else None
    notes = {
        "algorithm": "TemperedSMC",
        "particles": plan.particles,
        # the mean of unbiased estimates is unbiased; that of their logarithms is not
        "log_evidence": log_mean_exp(evidence) if known.any() else None,
        "log_evidence_error": error,
        "log_evidence_replicates": [float(one) if np.isfinite(one) else None for one in evidence],
        "temperatures": [one.powers.tolist() for one in done],
        "lost_particles": [one.lost for one in done],
        "failed_trajectories": [int(one.totals[2]) for one in done],
    }
    if not all(one.arrived for one in done):
        notes["not_found"] = NOT_FOUND
    return notes


def ladder(
    settings: Settings, plan: Plan, view: Path, key: PRNGKey
) -> tuple[Path, np.ndarray, np.ndarray, int]:
    """The path with its unit, the b of one small run without transport, its population, and gradients."""
    run = _Run(settings, plan, view, key, _Silent())
    run.carried = False
    done = run.run(arrive=False)
    return run.view, done.powers, done.z, int(done.totals[1])


def on_the_set(view: Path, z: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Particles brought to { r(z) = 0 }, and which of them are there.

    Raises:
        NumericalError: some are there, but J J^T cannot be inverted.
    """
    there, found = (np.asarray(part) for part in projected(view, jnp.asarray(z), batch))
    r = np.asarray(residuals(view, jnp.asarray(there), batch))
    if (~found & (in_units(r, np.asarray(view.unit)) <= ON_TARGET)).any():
        raise dependent()
    return there, found


class _Silent:
    def update(self, steps: int, phase: str) -> None:
        """Nothing is shown of a pilot."""


class _Run:
    """One replicate."""

    def __init__(self, settings: Settings, plan: Plan, view: Path, key: PRNGKey, progress: Progress) -> None:
        self.settings, self.plan, self.view, self.progress = settings, plan, view, progress
        self.key_first, self.key_resample, self.key_move, self.key_last = jax.random.split(key, 4)
        self.step = jnp.full((), STEP_FIRST, float)  # strongly typed, as what a compiled call returns
        self.acceptance = 0.0
        self.totals = np.zeros(3, int)
        self.carried = settings.lifted and view.size <= SIZE_MOST and _regular(view)

    def compile(self) -> float:
        """Seconds until all programs of a run are there."""
        began = time.perf_counter()
        z = self._first()
        _require_finite(np.asarray(fit(self.view, z, self.settings.batch)))  # before the rest is compiled
        self._mutate(np.asarray(z), 1.0, self.key_move, 0)
        if self.carried:
            transport(self.view, z, jnp.asarray(1.0), jnp.asarray(1.0), self.settings.batch)
        if self.view.exact:
            projected(self.view, z, self.settings.batch)
        return time.perf_counter() - began

    def run(self, arrive: bool = True) -> Replicate:
        """From the prior to the posterior, for an exact wish on to the set itself unless not `arrive`."""
        plan, batch = self.plan, self.settings.batch
        z = np.asarray(self._first())
        if self.view.exact:
            self.view = _with_unit(self.view, z, batch)
        c, d = self.view.log_constant(np.asarray(self.view.unit))
        ancestor, power, log_evidence, powers = np.arange(len(z)), 0.0, d, [0.0]
        for stage in range(STAGES_MOST):
            now, (power, there, log_weight) = power, self._next(z, power)
            log_evidence += log_mean_exp(log_weight)
            log_evidence += c * (np.log(power) - (np.log(now) if now else 0.0))
            chosen = systematic(log_weight, float(_uniform(self.key_resample, stage)))
            z, ancestor = there[chosen], ancestor[chosen]
            last = power >= self.view.end
            count = plan.last_moves if last and not self.view.exact else plan.moves
            z = self._mutate(z, power, jax.random.fold_in(self.key_move, stage), count)
            powers.append(power)
            self.progress.update(1, f"temperature {_words(power, self.view.end)}")
            if last:
                break
        arrived, lost = power >= self.view.end, 0
        if self.view.exact and arrived and arrive:
            z, ancestor, lost = self._arrive(z, ancestor)
            arrived = lost < len(z)
        end = np.array(powers), self.acceptance, float(self.step), self.totals, arrived, lost
        return Replicate(z, ancestor, log_evidence, *end)

    def _next(self, z: np.ndarray, power: float) -> tuple[float, np.ndarray, np.ndarray]:
        """The next b, where the particles are then, and their log weights.

        Straight to the end where the population can be carried there, else as far as weights alone reach.
        """
        batch, keep, end = self.settings.batch, self.plan.keep, self.view.end
        if self.carried and power > 0:
            ends = jnp.asarray(power), jnp.asarray(end)
            there, gain = (np.asarray(part) for part in transport(self.view, jnp.asarray(z), *ends, batch))
            # a particle that cannot be carried would take the weight of its mode along
            if np.isfinite(gain).all() and worth(gain) >= keep:
                return end, there, gain
        a = np.asarray(fit(self.view, jnp.asarray(z), batch))
        _require_finite(a)
        then = next_power(a, power, end, keep)
        return then, z, (then - power) * a

    def _arrive(self, z: np.ndarray, ancestor: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """From the narrowest tolerance to none; particles that lose their way are replaced by others."""
        there, found = on_the_set(self.view, z, self.settings.batch)
        lost = int(np.sum(~found))
        if lost == len(z):
            return z, ancestor, lost
        log_weight = np.where(found, 0.0, -np.inf)
        chosen = systematic(log_weight, float(_uniform(self.key_resample, STAGES_MOST)))
        return (
            self._mutate(there[chosen], np.inf, self.key_last, self.plan.last_moves),
            ancestor[chosen],
            lost,
        )

    def _first(self) -> Any:
        keys = jax.random.split(self.key_first, self.plan.particles)
        return prior_draws(self.view, keys, self.settings.batch)

    def _mutate(self, z: np.ndarray, power: float, key: PRNGKey, count: int) -> np.ndarray:
        moved = mutate(
            self.settings,
            self.view,
            jnp.asarray(power),
            jnp.asarray(_root(z)),
            jnp.asarray(z),
            key,
            jnp.asarray(count),
            self.step,
        )
        if count:
            self.step, self.acceptance = moved.step, float(moved.acceptance)
            self.totals += np.array([int(moved.steps), int(moved.gradients), int(moved.failed)])
        return np.asarray(moved.z)


def _regular(view: Path) -> bool:
    """Whether J J^T can have full rank: no more equations than coordinates, and all of them matter."""
    constraint = view.constraint
    if constraint is None or constraint.outputs > constraint.size:
        return False
    return not np.isnan(np.asarray(view.posterior.likelihood.target, float)).any()


def _root(z: np.ndarray) -> np.ndarray:
    """A square root of the population's covariance: its Cholesky factor, or standard deviations."""
    n = z.shape[1]
    deviation = z.std(axis=0) + JITTER
    if n > DENSE_MOST or len(z) < 2 * n + 2:
        return deviation
    covariance = np.atleast_2d(np.cov(z, rowvar=False))
    return np.linalg.cholesky(covariance + np.diag((1e-3 * deviation) ** 2))


def _with_unit(view: Path, z: np.ndarray, batch: int) -> Path:
    """The path whose tolerances are measured by the spread of each output under the prior."""
    unit = spread_of(np.asarray(residuals(view, jnp.asarray(z), batch)))
    return eqx.tree_at(lambda path: path.unit, view, unit)


def _uniform(key: PRNGKey, stage: int) -> Any:
    return jax.random.uniform(jax.random.fold_in(key, stage))


def _words(power: float, end: float) -> str:
    return f"{power:.3g}" if end == 1.0 else f"{power**-0.5:.2g} of the spread"


def _require_finite(fit: np.ndarray) -> None:
    if not np.isfinite(fit).any():
        raise NumericalError(
            f"the log likelihood is NaN or infinite at all of {len(fit)} draws from the prior",
            "the network returns no finite value there, or the wish has probability zero",
            "check the network on inputs drawn from the prior, and the prior's bounds",
        )
