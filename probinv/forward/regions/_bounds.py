"""What a network can do on a box of inputs, where some of its activations are on a known piece."""

from typing import NamedTuple

import numpy as np

from probinv.forward.regions._pieces import Stage

OPEN = -1
"""Of a unit whose piece is not known."""
ROUNDING = 1e-14
TIE = 1e-9
"""Of the norm of a row: a unit that passes its knot by less than this over the box stays on one piece."""


class Problem(NamedTuple):
    """Which x = centre + scale z, z in [-1, 1]^k, give Y* of the stages.

    Attributes:
        stages: f, flat.
        target: Y*, flat.
        low, high: the box of x, flat.
        centre: (n,).
        scale: (n, k): a column for each input that is not fixed.
        noise: per stage and unit, how large a row of d u / d z may be by rounding alone.
        wobble: how far f may be off by rounding.
    """

    stages: list[Stage]
    target: np.ndarray
    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    noise: list[np.ndarray]
    wobble: float


def problem_of(stages: list[Stage], target: np.ndarray, low: np.ndarray, high: np.ndarray) -> Problem:
    """With z for the inputs whose bounds differ."""
    scale = np.diag((high - low) / 2)[:, low < high]
    row, size, noise = np.abs(scale).sum(axis=1), np.maximum(np.abs(low), np.abs(high)), []
    for weight, bias, pieces in stages:
        row, size = np.abs(weight) @ row, np.abs(weight) @ size + np.abs(bias)
        noise.append(ROUNDING * row)
        steep = np.abs(pieces.slopes).max()
        row, size = steep * row, steep * size + np.abs(pieces.offsets).max()
    wobble = 100 * ROUNDING * float(1 + np.abs(target).max(initial=0.0) + size.max(initial=0.0))
    return Problem(stages, target, low, high, (low + high) / 2, scale, noise, wobble)


class Reach(NamedTuple):
    """f on a box of z: u = A z + b exactly for the first stage with open units, f = C z + d +- e.

    Attributes:
        stage: the first stage with open units; the last one where there are none.
        matrix, shift: A and b of that stage.
        spread: (units,), how well the box splits each of its units: 0 for those that are not open.
        pieces: of the stages, with those added that the box decides.
        out, at, off: C, d and e.
    """

    stage: int
    matrix: np.ndarray
    shift: np.ndarray
    spread: np.ndarray
    pieces: list[np.ndarray]
    out: np.ndarray
    at: np.ndarray
    off: np.ndarray


def reach(problem: Problem, pieces: list[np.ndarray], low: np.ndarray, high: np.ndarray) -> Reach:
    """Affine arithmetic: an open unit is a slope and an error of its own (Singh et al. 2018, DeepZ).

    The line through the ends of h over [u_low, u_high], moved into the middle of where h strays from it.
    """
    matrix, shift, errors = problem.scale, problem.centre, np.zeros((problem.centre.size, 0))
    middle, half, known = (low + high) / 2, (high - low) / 2, []
    first: tuple[int, np.ndarray, np.ndarray, np.ndarray] | None = None
    for number, stage in enumerate(problem.stages):
        matrix, shift, errors = (
            stage.weight @ matrix,
            stage.weight @ shift + stage.bias,
            stage.weight @ errors,
        )
        if not stage.pieces.knots.size:
            known.append(np.zeros(shift.size, int))
            continue
        centre, radius = matrix @ middle + shift, np.abs(matrix) @ half + np.abs(errors).sum(axis=1)
        bottom, top = centre - radius, centre + radius
        slack = 0.0
        if first is None:
            slack = TIE * np.linalg.norm(matrix, axis=1) + problem.noise[number]
        given = _decided(stage, pieces[number], bottom + slack, top - slack)
        known.append(given)
        undecided = given == OPEN
        if first is None and undecided.any():
            spread = np.where(undecided, _spread(stage, bottom, top), 0.0)
            first = number, matrix, shift, spread
        slope, offset, error = _lines(stage, given, bottom, top)
        matrix, shift = slope[:, None] * matrix, slope * shift + offset
        errors = np.concatenate([slope[:, None] * errors, np.diag(error)[:, undecided]], axis=1)
    if first is None:
        first = len(problem.stages) - 1, matrix, shift, np.zeros(shift.size)
    stage_number, exact, constant, spread = first
    off = np.abs(errors).sum(axis=1)
    return Reach(stage_number, exact, constant, spread, known, matrix, shift, off)


def _decided(stage: Stage, given: np.ndarray, bottom: np.ndarray, top: np.ndarray) -> np.ndarray:
    """The piece of each unit, where it is given or u lies on one only."""
    least = np.searchsorted(stage.pieces.knots, bottom, "right")
    most = np.searchsorted(stage.pieces.knots, top, "left")
    return np.where(given != OPEN, given, np.where(least >= most, least, OPEN))


def _spread(stage: Stage, bottom: np.ndarray, top: np.ndarray) -> np.ndarray:
    """How far the knot that is most in the middle lies from both ends, in units of half the width."""
    knots = stage.pieces.knots[None]
    near = np.minimum(knots - bottom[:, None], top[:, None] - knots).max(axis=1)
    return np.maximum(near, 0.0) / np.maximum((top - bottom) / 2, 1e-300) + 1e-12


def _lines(
    stage: Stage, given: np.ndarray, bottom: np.ndarray, top: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, offset and error of h over [bottom, top]; its own slope where the piece is known."""
    knots, slopes, offsets = stage.pieces
    place = np.maximum(given, 0)
    low, high = stage.pieces(bottom), stage.pieces(top)
    slope = (high - low) / np.maximum(top - bottom, 1e-300)
    inside = (knots[None] > bottom[:, None]) & (knots[None] < top[:, None])
    line = low[:, None] + slope[:, None] * (knots[None] - bottom[:, None])
    stray = np.where(inside, stage.pieces(knots)[None] - line, 0.0)
    up, down = stray.max(axis=1, initial=0.0), stray.min(axis=1, initial=0.0)
    known = given != OPEN
    offset = low - slope * bottom + (up + down) / 2
    return (
        np.where(known, slopes[place], slope),
        np.where(known, offsets[place], offset),
        np.where(known, 0.0, (up - down) / 2),
    )
