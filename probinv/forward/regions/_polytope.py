"""The solutions on one pattern: a polytope, its dimension, a point well inside, directions and bounds."""

from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from probinv.forward.regions._bounds import Problem
from probinv.forward.regions._simplex import INSIDE, highest

RANK = 1e-12
EXACT = 1e-11
"""A point that lies farther outside of its pattern than this is no solution."""
FLAT = 1e-8
"""Of half the box: a polytope into which no ball of this radius fits has a dimension less."""


@final
@dataclass(frozen=True)
class Region:
    """{ x : A x = b, C x <= d }: the solutions of f(x) = Y* on one pattern of the activations.

    Each input reaches from low to high over it, two arrays of the shape of x.

    Attributes:
        dimension: of the set; 0 for a single point.
        point: of the shape of x, in the middle: of the largest ball inside the set.
        basis: (n, dimension), orthonormal: the set lies in point + the span of it.
        pattern: per activation layer, the number of the straight piece of every unit, from the left
            (relu: 0 off, 1 on); last activations that were undone are left out.
        matrix, target: A (m, n) and b: f is A x + const on this pattern; n = inputs in row-major order.
        rows, ends: C (k, n) and d: the box, and what keeps every unit on its piece.
        on_edge: it lies wholly on the edge of its pattern, some unit being on a knot all over it.
        error: max |f(point) - Y*|, the forward error.
        frame: (n, dimension), directions in which the set is of like extent (for `walk`).
    """

    dimension: int
    point: np.ndarray
    basis: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pattern: tuple[np.ndarray, ...]
    matrix: np.ndarray
    target: np.ndarray
    rows: np.ndarray
    ends: np.ndarray
    on_edge: bool
    error: float
    frame: np.ndarray


class Hull(NamedTuple):
    """z = origin + N t, one t well inside, and the inequalities that hold as equations."""

    origin: np.ndarray
    null: np.ndarray
    t: np.ndarray
    tight: np.ndarray


def region_of(problem: Problem, pattern: list[np.ndarray]) -> Region | None:
    """The solutions on that pattern; None where there are none."""
    matrix, shift, rows, ends, size = _on_pattern(problem, pattern)
    target = problem.target - shift
    inner, rest = rows @ problem.scale, ends - rows @ problem.centre
    norm = np.linalg.norm(inner, axis=1)
    sloped = norm > size
    if (rest[~sloped] < -problem.wobble).any():
        return None
    unit, room = inner[sloped] / norm[sloped, None], rest[sloped] / norm[sloped]
    least = float(problem.noise[-1].max(initial=0.0))
    found = _hull(matrix @ problem.scale, target - matrix @ problem.centre, unit, room, least, problem.wobble)
    if found is None:
        return None
    edge = found.tight[: np.count_nonzero(sloped[: len(rows) - 2 * problem.centre.size])].any()
    z = found.origin + found.null @ found.t
    low, high = _bounds(found, unit, room)
    frame = problem.scale @ found.null
    x = problem.centre + problem.scale @ z
    reached = problem.scale.any(axis=1)
    ends_of = [np.where(reached, problem.centre + problem.scale @ end, problem.low) for end in (low, high)]
    return Region(
        dimension=found.null.shape[1],
        point=np.clip(x, problem.low, problem.high),
        basis=np.linalg.qr(frame)[0],
        low=np.clip(ends_of[0], problem.low, problem.high),
        high=np.clip(ends_of[1], problem.low, problem.high),
        pattern=tuple(
            part for part, stage in zip(pattern, problem.stages, strict=True) if stage.pieces.knots.size
        ),
        matrix=matrix,
        target=target,
        rows=rows,
        ends=ends,
        on_edge=bool(edge),
        error=np.nan,
        frame=frame,
    )


def _on_pattern(problem: Problem, pattern: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """f = A x + c; the rows that hold units on their pieces and then the box; the rounding of each row."""
    n = problem.centre.size
    matrix, shift = np.eye(n), np.zeros(n)
    rows, ends, size = [], [], []
    for stage, noise, pieces in zip(problem.stages, problem.noise, pattern, strict=True):
        matrix, shift = stage.weight @ matrix, stage.weight @ shift + stage.bias
        knots, slopes, offsets = stage.pieces
        if not knots.size:
            continue
        below, above = pieces < knots.size, pieces > 0
        rows += [matrix[below], -matrix[above]]
        ends += [knots[pieces[below]] - shift[below], shift[above] - knots[pieces[above] - 1]]
        size += [noise[below], noise[above]]
        slope, offset = slopes[pieces], offsets[pieces]
        matrix, shift = slope[:, None] * matrix, slope * shift + offset
    rows += [np.eye(n), -np.eye(n)]
    ends += [problem.high, -problem.low]
    size += [np.zeros(2 * n)]
    return matrix, shift, np.concatenate(rows), np.concatenate(ends), np.concatenate(size)


def _hull(
    matrix: np.ndarray, target: np.ndarray, unit: np.ndarray, room: np.ndarray, least: float, wobble: float
) -> Hull | None:
    """The set matrix z = target, unit z <= room, in coordinates of its own dimension.

    A set without inner points lies in some of its inequalities as in equations: those that cannot be left
    take directions away until what remains has inner points. The wish itself is met exactly all along.
    """
    tight = np.zeros(len(unit), bool)
    solved = _null(matrix, target, least, wobble)
    while solved is not None:
        origin, null = solved
        if np.linalg.norm(origin) > np.sqrt(origin.size) + 1:
            return None
        inside, rest = unit @ null, room - unit @ origin
        norm = np.linalg.norm(inside, axis=1)
        sloped = (norm > FLAT) & ~tight
        if (rest[~sloped] < -(FLAT if tight.any() else EXACT)).any():
            return None
        tight |= ~sloped & (rest < FLAT)
        if not null.shape[1]:
            return Hull(origin, null, np.zeros(0), tight)
        rows, ends = inside[sloped] / norm[sloped, None], rest[sloped] / norm[sloped]
        ball = _ball(rows, ends, _far(null))
        if ball is None:
            return None
        if ball[1] > FLAT:
            return Hull(origin, null, ball[0], tight)
        fixed = _implicit(rows, ends, ball[0], _far(null))
        tight[np.flatnonzero(sloped)[fixed]] = True
        flat = _null(rows[fixed], ends[fixed], 10 * FLAT, 10 * FLAT)
        solved = None if flat is None else (origin + null @ flat[0], null @ flat[1])
    return None


def _far(null: np.ndarray) -> float:
    """No |t| is larger."""
    return 4.0 * float(np.sqrt(len(null))) + 10.0


def _null(
    matrix: np.ndarray, target: np.ndarray, least: float, wobble: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The solution of least norm and the null space of the equations; None where they contradict."""
    left, values, right = np.linalg.svd(matrix, full_matrices=True)
    rank = int((values > max(RANK * values.max(initial=0.0), least)).sum())
    back = (right[:rank].T / values[:rank]) @ left[:, :rank].T
    origin = back @ target
    for _ in range(2):
        origin = origin + back @ (target - matrix @ origin)
    if np.abs(matrix @ origin - target).max(initial=0.0) > wobble:
        return None
    return origin, right[rank:].T


def _ball(rows: np.ndarray, ends: np.ndarray, far: float) -> tuple[np.ndarray, float] | None:
    """The centre and radius of the largest ball in rows t <= ends (Chebyshev); None where that is empty."""
    size = rows.shape[1]
    lifted = np.column_stack([rows, np.ones(len(rows))]) / np.sqrt(2.0)
    c = np.append(np.zeros(size), 1.0)
    box = np.full(size + 1, -far), np.full(size + 1, far)
    best = highest(c, lifted, ends / np.sqrt(2.0), *box, inside=EXACT / 100)
    return None if best is None or best[-1] < -EXACT else (best[:-1], float(best[-1]))


def _implicit(rows: np.ndarray, ends: np.ndarray, t: np.ndarray, far: float) -> np.ndarray:
    """The numbers of the rows that cannot be left: max over the set of ends - row t is 0; at least one."""
    near = np.flatnonzero(ends - rows @ t < 10 * FLAT)
    box = np.full(t.size, -far), np.full(t.size, far)
    most = np.zeros(near.size)
    for place, number in enumerate(near):
        best = highest(-rows[number], rows, ends + FLAT, *box)
        most[place] = 0.0 if best is None else ends[number] - rows[number] @ best
    return near[(most <= 3 * FLAT) | (most <= most.min())]


def _bounds(found: Hull, unit: np.ndarray, room: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest z."""
    low, high = found.origin + found.null @ found.t, found.origin + found.null @ found.t
    inside, rest = unit @ found.null, room - unit @ found.origin
    norm = np.linalg.norm(inside, axis=1)
    kept = ~found.tight & (norm > FLAT)
    rows, ends = inside[kept] / norm[kept, None], rest[kept] / norm[kept]
    far = np.full(found.t.size, _far(found.null))
    for place, along in enumerate(found.null):
        if np.linalg.norm(along) < INSIDE:
            continue
        for sign, end in ((1.0, high), (-1.0, low)):
            best = highest(sign * along, rows, ends, -far, far)
            if best is not None:
                end[place] = found.origin[place] + along @ best
    return low, high
