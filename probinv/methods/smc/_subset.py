"""A run of SubsetSimulation: a pilot that chooses levels and moves, then replicates that use them."""

import math
import time
from typing import Any, NamedTuple

import numpy as np

from probinv._errors import NumericalError
from probinv._typing import PRNGKey
from probinv.methods._base import Cost, Draws, Progress
from probinv.methods.kernels.crank_nicolson import ANGLE_MOST, Move, Particle
from probinv.methods.smc._levels import combined, family_variance, next_level
from probinv.methods.smc._particles import Mover, Population
from probinv.methods.smc._replicates import load_replicates, save_replicates

PROGRESS = 100
"""Steps that are reported for each population."""
LEVELS_MOST = 300
MOVES_FIRST = 4
ACCEPTANCE = 0.4
GAIN = 2.0
LEFT, LEFT_LAST = 0.8, 0.1
"""How much of the correlation with the beginning of a level may be left at its end."""
LAST_FACTOR = 8


class Settings(NamedTuple):
    """How much to run."""

    particles: int
    replicates: int
    fraction: float
    rarest: float
    moves: int


class Level(NamedTuple):
    """One step of the schedule: the level and its moves, and how many of them."""

    move: Move
    moves: int


class Schedule(NamedTuple):
    """What the pilot has found.

    Attributes:
        levels: rising to 0; short of it where the wish was not reached.
        log_fraction: log of the product of its fractions.
        reached: the last level is 0.
        population: its particles on the last level.
    """

    levels: list[Level]
    log_fraction: float
    reached: bool
    population: Population


class Replicate(NamedTuple):
    """One population taken through the schedule; where no particle reached a level, where it ended."""

    population: Population
    fractions: np.ndarray

    @property
    def log_probability(self) -> float:
        """log of the product of the fractions."""
        return -math.inf if 0.0 in self.fractions else float(np.sum(np.log(self.fractions)))


class Finished(NamedTuple):
    """A replicate, and what the run had counted when it was done."""

    replicate: Replicate
    moves: int
    undefined: int
    undefined_first: int


BLANK = Finished(Replicate(Population(0, Particle._make([0] * 5), np.zeros(0)), np.zeros(0)), 0, 0, 0)


def run_subset(
    settings: Settings,
    view: Any,
    key: PRNGKey,
    progress: Progress,
    resume: dict[str, np.ndarray] | None,
) -> Draws:
    """The particles of every replicate at the end, and P(wish). A run that goes on finds the levels again."""
    kept: list[Finished] = load_replicates(BLANK, resume, settings.particles)
    mover = Mover(view, key, settings.particles)
    began = time.perf_counter()
    try:
        schedule = pilot(settings, mover, progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted before the levels were found: no draw to keep") from None
    if not schedule.reached:
        return _nearest(settings, mover, schedule, time.perf_counter() - began)
    interrupted = False
    if kept:
        mover.moves, mover.undefined, mover.undefined_first = kept[-1][1:]
    try:
        for number in range(len(kept) + 1, settings.replicates + 1):
            found = replicate(schedule.levels, mover, number, progress)
            kept.append(Finished(found, mover.moves, mover.undefined, mover.undefined_first))
    except KeyboardInterrupt:
        if not kept:
            raise KeyboardInterrupt("interrupted in the first replicate: no draw to keep") from None
        interrupted = True
    cost = Cost(0, mover.seconds_compile, time.perf_counter() - began)
    done = [one.replicate for one in kept]
    z, stats = _gathered([one.population for one in done], schedule.levels)
    state = save_replicates(kept) if interrupted else {}
    return Draws(z, stats, cost, state, interrupted, _notes(settings, mover, schedule, done), whole=True)


def pilot(settings: Settings, mover: Mover, progress: Progress) -> Schedule:
    """Levels that a fraction of the particles reach, each with a step and a number of moves that fit it."""
    population = mover.begin(0)
    if not (population.at.margin > -np.inf).any():
        raise NumericalError(
            f"the margin of Y* is NaN or infinite at all of {settings.particles} draws from the prior",
            "the network returns no finite value there",
            "check the network on inputs drawn from the prior, and the prior's bounds",
        )
    levels: list[Level] = []
    step = ANGLE_MOST if mover.view.standard else 2.4 / math.sqrt(mover.view.size)
    log_fraction, shown = 0.0, 0
    while True:
        margin, previous = population.at.margin, float(levels[-1].move.level) if levels else -math.inf
        value = next_level(margin, previous, settings.fraction)
        if value is None or len(levels) == LEVELS_MOST:
            return Schedule(levels, log_fraction, False, population)
        log_fraction += math.log((margin >= value).mean())
        if value < 0 and log_fraction < math.log(settings.rarest):
            return Schedule(levels, log_fraction, False, population)
        population = population.selected(margin >= value, mover.uniform(population, len(levels)))
        population, level = _tuned(settings, mover, population, len(levels), value, step)
        levels.append(level)
        step = float(level.move.step)
        last = value == 0
        part = 1.0 if last else min(log_fraction / math.log(settings.rarest), 1.0)
        progress.update(
            int(PROGRESS * part) - shown, f"level {len(levels)}, P = {math.exp(log_fraction):.0e}"
        )
        shown = int(PROGRESS * part)
        if last:
            return Schedule(levels, log_fraction, True, population)


def _tuned(
    settings: Settings, mover: Mover, population: Population, number: int, value: float, step: float
) -> tuple[Population, Level]:
    """4, 8, 16, ... moves in all on one level, until little of its beginning is left or moves are many."""
    last = value == 0
    most, wanted = (LAST_FACTOR * settings.moves, LEFT_LAST) if last else (settings.moves, LEFT)
    start, scale = population.at.z, mover.scale(population)
    done, count, accepted = 0, min(MOVES_FIRST, most), 0.0
    while True:
        population = mover.move(population, mover.to_level(value, step, scale), number, done, count)
        done += count
        total = float(population.at.accepted.mean())
        step *= math.exp(GAIN * ((total - accepted) / count - ACCEPTANCE))
        step = min(step, ANGLE_MOST) if mover.view.standard else step
        accepted = total
        left = remaining(start / scale, population.at.z / scale)
        if left <= wanted or done >= most:
            # r falls as exp(-moves / time): as many as bring it just to what is wanted
            share = math.log(wanted) / math.log(max(left, 1e-3)) if left < wanted else 1.0
            needed = min(max(math.ceil(done * share), MOVES_FIRST), done)
            return population, Level(mover.to_level(value, step, scale), needed)
        count = min(done, most - done)


def remaining(start: np.ndarray, now: np.ndarray) -> float:
    """r = 1 - mean |z - z_start|^2 / (2 V), V the variance of the population, summed over coordinates.

    The correlation with the start, for a population whose law does not change. Particles in separate parts of
    a region keep the correlation that their parts have, so that such a population moves as often as it may.
    """
    variance = float(np.sum(np.var(now, axis=0)))
    distance = float(np.mean(np.sum((now - start) ** 2, axis=1)))
    return 1 - distance / (2 * variance) if variance > 0 else 1.0


def replicate(levels: list[Level], mover: Mover, number: int, progress: Progress) -> Replicate:
    """A new population through levels and moves fixed before: its product of fractions is unbiased."""
    population, fractions, shown = mover.begin(number), [], 0
    for k, level in enumerate(levels):
        inside = population.at.margin >= float(level.move.level)
        fractions.append(float(inside.mean()))
        if not inside.any():
            progress.update(PROGRESS - shown, f"replicate {number}")
            return Replicate(population, np.array(fractions))
        population = population.selected(inside, mover.uniform(population, k))
        population = mover.move(population, level.move, k, 0, level.moves)
        part = PROGRESS * (k + 1) // len(levels)
        progress.update(part - shown, f"replicate {number}")
        shown = part
    assert (population.at.margin >= 0).all(), "a move has left the region"
    return Replicate(population, np.array(fractions))


def _gathered(populations: list[Population], levels: list[Level]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """z of shape (chain, draw, n) and statistics of shape (chain, draw)."""
    z, margin, lp, accepted = (
        np.stack(column) for column in zip(*(one.at[:4] for one in populations), strict=True)
    )
    total = sum(level.moves for level in levels)
    stats = {
        "lp": lp,
        "margin": margin,
        "ancestor": np.stack([one.ancestor for one in populations]),
        "acceptance_rate": accepted / levels[-1].moves if levels else np.zeros(lp.shape),
        "n_steps": np.full(lp.shape, total),
    }
    return z, stats


def _notes(settings: Settings, mover: Mover, schedule: Schedule, done: list[Replicate]) -> dict[str, Any]:
    logs = np.array([one.log_probability for one in done])
    variances = np.array([family_variance(one.population.ancestor) for one in done])
    found = combined(logs, variances)
    levels = [float(level.move.level) for level in schedule.levels]
    return {
        **_common(settings, mover, len(done)),
        "log_evidence": _json(found.log),
        "log_evidence_error": _json(found.error),
        "log_evidence_replicates": [_json(value) for value in logs],
        "levels": [levels for _ in done],
        "fractions": [one.fractions.tolist() for one in done],
        "moves": [level.moves for level in schedule.levels],
        "step_sizes": [float(level.move.step) for level in schedule.levels],
        "replicates_lost": int(np.sum(~np.isfinite(logs))),
    }


def _nearest(settings: Settings, mover: Mover, schedule: Schedule, seconds: float) -> Draws:
    """Where the wish was not met: the pilot's particles, so that the verdict can say how near they come."""
    z, stats = _gathered([schedule.population], schedule.levels)
    levels = [float(level.move.level) for level in schedule.levels]
    notes = {
        **_common(settings, mover, 0),
        "log_evidence": None,
        "log_evidence_error": None,
        "log_evidence_replicates": [],
        "log_evidence_below": schedule.log_fraction,
        "levels": [levels],
        "not_found": "no input was found that meets the wish; these are the nearest",
    }
    return Draws(z, stats, Cost(0, mover.seconds_compile, seconds), {}, False, notes)


def _common(settings: Settings, mover: Mover, replicates: int) -> dict[str, Any]:
    first = settings.particles * (replicates + 1)
    return {
        "algorithm": "subset simulation",
        "particles": settings.particles,
        "evaluations": settings.particles * mover.moves + first,
        "nan_margins": mover.undefined,
        "finite_under_prior": 1 - mover.undefined_first / first,
    }


def _json(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
