"""Populations of particles in chunks of one size: memory is bounded, and one program serves all levels."""

import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from probinv._typing import PRNGKey, Y
from probinv.methods.kernels.crank_nicolson import Move, Particle, moved, prior_particle
from probinv.methods.smc._population import systematic

SECONDS_PER_BLOCK = 0.5
CHUNK_MOST = 500
CHUNK_NUMBERS = 20_000_000
UNIT_ROWS = 100


class Population(NamedTuple):
    """The particles of one replicate.

    Attributes:
        number: which replicate; its randomness follows from it.
        at: a Particle of NumPy arrays with a leading axis for the particles.
        ancestor: which particle of the first population each descends from.
    """

    number: int
    at: Any
    ancestor: np.ndarray

    def selected(self, inside: np.ndarray, u: float) -> "Population":
        """The particles inside, as many as before, with their counters at zero."""
        index = systematic(np.where(inside, 0.0, -np.inf), u)
        at = jax.tree.map(lambda leaf: leaf[index], self.at)
        zero = np.zeros(len(index), int)
        return self._replace(at=at._replace(accepted=zero, undefined=zero), ancestor=self.ancestor[index])


class Mover:
    """Begins and moves populations of `count` particles. A call takes about half a second.

    Attributes:
        unit: spread of every output under the prior, the unit of the margins.
        moves: moves of every particle so far, over all populations.
        undefined, undefined_first: evaluations without a margin (NaN): of all, and of prior draws.
        seconds_compile: of the two programs.
    """

    def __init__(self, view: Any, key: PRNGKey, count: int) -> None:
        began = time.perf_counter()
        self.view, self.key, self.count = view, key, count
        posterior = view.posterior
        width = view.size + int(np.prod(posterior.prior.shape)) + int(np.prod(posterior.output_shape))
        chunks = -(-count // int(np.clip(CHUNK_NUMBERS // width, 1, CHUNK_MOST)))
        self.chunk = -(-count // chunks)
        self.moves = self.undefined = self.undefined_first = 0
        self.seconds_per_move = 0.0
        self.unit = jnp.ones(posterior.output_shape)
        first, y = self._first(0, min(count, UNIT_ROWS))
        self.unit = jnp.asarray(spread(y))
        self.prior_spread = first.z.std(axis=0) + np.finfo(float).tiny
        at = jax.tree.map(lambda leaf: np.resize(leaf, (count, *leaf.shape[1:])), first)
        still = self.to_level(0.0, 0.0, np.ones(view.size))
        self._call(Population(0, at, np.arange(count)), still, 0, 0, 0)
        self.seconds_compile = time.perf_counter() - began

    def begin(self, number: int) -> Population:
        """Draws from the prior."""
        population = Population(number, self._first(number, self.count)[0], np.arange(self.count))
        undefined = int(np.isnan(population.at.margin).sum())
        self.undefined_first += undefined
        self.undefined += undefined
        return population

    def move(self, population: Population, move: Move, level: int, first: int, count: int) -> Population:
        """Moves `first` to `first + count - 1` on a level; how they are cut into calls changes nothing."""
        before = int(population.at.undefined.sum())
        done = 0
        while done < count:
            part = min(count - done, self._fitting())
            began = time.perf_counter()
            population = self._call(population, move, level, first + done, part)
            self.seconds_per_move = (time.perf_counter() - began) / part
            done += part
        self.moves += count
        self.undefined += int(population.at.undefined.sum()) - before
        return population

    def to_level(self, level: float, step: float, scale: np.ndarray) -> Move:
        """What the particles of a level share, in the types that the program was compiled for."""
        return Move(jnp.asarray(level, float), jnp.asarray(step, float), jnp.asarray(scale), self.unit)

    def scale(self, population: Population) -> np.ndarray:
        """Spread of every coordinate; that of the prior where all particles agree in it."""
        if self.view.standard:
            return np.ones(self.view.size)
        spread = population.at.z.std(axis=0)
        return np.where(spread > 0, spread, self.prior_spread)

    def uniform(self, population: Population, level: int) -> float:
        """The random number of a resampling; from the key, without a compiled program."""
        words = np.asarray(jax.random.key_data(self.key)).ravel().tolist()
        return float(np.random.default_rng([*words, population.number, level]).uniform())

    def _first(self, number: int, count: int) -> tuple[Any, np.ndarray]:
        """The first `count` prior draws of a replicate, and the outputs of the first 100."""
        parts, outputs = [], []
        for rows in self._rows(count):
            at, y = _begin(self.view, self.unit, self.key, jnp.asarray(number), jnp.asarray(rows))
            parts.append(at)
            outputs += [np.asarray(y)] if rows[0] < UNIT_ROWS else []
        return self._joined(parts, count), np.concatenate(outputs)[: min(count, UNIT_ROWS)]

    def _call(self, population: Population, move: Move, level: int, first: int, count: int) -> Population:
        numbers = jnp.asarray([population.number, level, first, count])

        def part(rows: np.ndarray) -> Particle:
            at = jax.tree.map(lambda leaf: leaf[rows], population.at)
            return _advance(self.view, move, at, self.key, numbers, jnp.asarray(rows))

        parts = [part(rows) for rows in self._rows(self.count)]
        return population._replace(at=self._joined(parts, self.count))

    def _rows(self, count: int) -> list[np.ndarray]:
        """Indices of the particles of every chunk; the last chunk is filled up with the last particle."""
        starts = range(0, count, self.chunk)
        return [np.minimum(np.arange(start, start + self.chunk), self.count - 1) for start in starts]

    def _joined(self, parts: list[Particle], count: int) -> Any:
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)

    def _fitting(self) -> int:
        return 4 if self.seconds_per_move == 0.0 else max(1, int(SECONDS_PER_BLOCK / self.seconds_per_move))


def spread(y: np.ndarray) -> np.ndarray:
    """Half of the range of the middle 68 % of each output, the standard deviation where that is 0, else 1."""
    rows = np.where(np.isfinite(y), y, np.nan).reshape(len(y), -1).astype(np.float64)
    unit = np.ones(rows.shape[1])
    known = ~np.isnan(rows).all(axis=0)
    if not known.any():
        return unit.reshape(y.shape[1:])
    low, high = np.nanquantile(rows[:, known], [0.16, 0.84], axis=0)
    middle, deviation = (high - low) / 2, np.nanstd(rows[:, known], axis=0)
    unit[known] = np.where(middle > 0, middle, np.where(deviation > 0, deviation, 1.0))
    return np.where(np.isfinite(unit), unit, 1.0).reshape(y.shape[1:])


@eqx.filter_jit
def _begin(view: Any, unit: Y, key: PRNGKey, number: Array, rows: Int[Array, " k"]) -> tuple[Particle, Array]:
    """Prior draws of one chunk, and their outputs."""
    key = jax.random.fold_in(jax.random.fold_in(key, number), 0)

    def one(row: Array) -> tuple[Particle, Array]:
        at = prior_particle(view, unit, jax.random.fold_in(key, row))
        return at, view.posterior.y(at.z)

    return jax.vmap(one)(rows)


@eqx.filter_jit
def _advance(
    view: Any, move: Move, at: Particle, key: PRNGKey, numbers: Int[Array, "4"], rows: Int[Array, " k"]
) -> Particle:
    """Moves of one chunk; numbers: replicate, level, first move, how many."""
    number, level, first, count = numbers
    key = jax.random.fold_in(jax.random.fold_in(key, number), level + 1)

    def one(at: Particle, row: Array) -> Particle:
        return moved(view, move, at, jax.random.fold_in(key, row), first, count)

    return jax.vmap(one)(at, rows)
