"""Directions along which draws may fall apart, and whether they do."""

from typing import NamedTuple

import numpy as np
from scipy.stats import binom

RANK = 1e-13
WINDOW = 0.02
FOURTH_MOST = 45
GROUP_AXES = 5
VALLEY_SEEN, VALLEY_RATIO, VALLEY_CHANCE = 0.05, 0.1, 0.01


class Valleys(NamedTuple):
    """The widest gap of each column, for columns sorted on their own.

    Attributes:
        score: width of the window with 2 % of the rows there, over that of the lower of the narrowest such
            windows on both sides.
        low, high: the ends of that window.
        at: the middle of the widest gap in it.
        left, right: the middles of the narrowest windows on both sides.
    """

    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at: np.ndarray
    left: np.ndarray
    right: np.ndarray


def directions(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Columns u with unit variance of u.x: entries, principal, of fourth moments, and between groups.

    With C the covariance of the rows and W W^T = C^-1: the unit vectors; the columns of W (principal
    components, those of the least variance among them: a wish holds some combination of the inputs tight);
    W times the eigenvectors of E |W^T x|^2 (W^T x)(W^T x)^T (Cardoso 1989), which know a two-sided law from a
    normal one of the same variance, up to 45 entries; W times the principal axes of the means of the groups
    (Fisher's discriminant), which know chains that are apart.

    Args:
        rows: (row, n), none of the columns constant.
        groups: (row,) the part of the chain that a row is from.

    Returns:
        (n, directions).
    """
    n = rows.shape[1]
    scale = rows.std(axis=0)
    scaled = (rows - rows.mean(axis=0)) / scale
    w = whitening(scaled)
    white = scaled @ w
    found = [np.eye(n), w]
    if 1 < n <= FOURTH_MOST:
        fourth = (white * (white**2).sum(axis=1, keepdims=True)).T @ white / len(white)
        found.append(w @ np.linalg.eigh(fourth)[1])
    found.append(w @ between(white, groups))
    if 2 * n > len(rows):  # the discriminant then fits noise; entry by entry it does not
        apart = between(scaled, groups)
        found.append(apart / (scaled @ apart).std(axis=0))
    return np.concatenate(found, axis=1) / scale[:, None]


def whitening(scaled: np.ndarray) -> np.ndarray:
    """W (n, rank) with W^T C W = I."""
    count, n = scaled.shape
    if n <= count:
        values, vectors = np.linalg.eigh(scaled.T @ scaled / count)
        keep = values > RANK * values[-1]
        return vectors[:, keep] / np.sqrt(values[keep])
    values, vectors = np.linalg.eigh(scaled @ scaled.T / count)
    keep = values > RANK * values[-1]
    return scaled.T @ vectors[:, keep] / (values[keep] * np.sqrt(count))


def between(white: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The principal axes of the means of the groups."""
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), white.shape[1]))
    np.add.at(sums, place, white)
    means = sums / np.sqrt(sizes)[:, None]
    return np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][:GROUP_AXES].T


def discriminant(rows: np.ndarray, side: np.ndarray) -> np.ndarray:
    """u = C^-1 (m_1 - m_0), C the covariance of the rows about the mean of their own side (Fisher 1936)."""
    scale = rows.std(axis=0)
    scaled = rows / np.where(scale > 0, scale, 1.0)
    means = np.stack([scaled[~side].mean(axis=0), scaled[side].mean(axis=0)])
    w = whitening(scaled - means[side.astype(int)])
    return w @ (w.T @ (means[1] - means[0])) / np.where(scale > 0, scale, 1.0)


def valleys(columns: np.ndarray) -> Valleys:
    """The widest gap of each column (row, column) that has rows on both sides."""
    ordered = np.sort(columns, axis=0)
    count, many = ordered.shape
    step = max(5, int(WINDOW * count))
    width = ordered[step:] - ordered[:-step]
    left = np.minimum.accumulate(width, axis=0)[: -2 * step]
    right = np.minimum.accumulate(width[::-1], axis=0)[::-1][2 * step :]
    with np.errstate(over="ignore"):  # next to rows that are all alike a gap is infinitely wide
        ratio = width[step:-step] / np.maximum(np.maximum(left, right), 1e-300)
    place, column = ratio.argmax(axis=0), np.arange(many)
    inside = ordered[step + place + np.arange(step + 1)[:, None], column]
    gap = np.diff(inside, axis=0).argmax(axis=0)
    before = np.arange(len(width))[:, None] <= place
    after = np.arange(len(width))[:, None] >= place + 2 * step
    return Valleys(
        ratio.max(axis=0),
        inside[0],
        inside[-1],
        (inside[gap, column] + inside[gap + 1, column]) / 2,
        _middle(ordered, width, before, step),
        _middle(ordered, width, after, step),
    )


def _middle(ordered: np.ndarray, width: np.ndarray, allowed: np.ndarray, step: int) -> np.ndarray:
    """The middle of the narrowest of the windows that are allowed."""
    place, column = np.where(allowed, width, np.inf).argmin(axis=0), np.arange(ordered.shape[1])
    return (ordered[place, column] + ordered[place + step, column]) / 2


def is_empty(values: np.ndarray, at: float, left: float, right: float) -> bool:
    """c <= m / 20, and P(c | the valley has 1/10 of the lower peak) < 0.01, for values that chose nothing.

    c counts the values in [at - h, at + h], h = (right - left) / 8, and m those in the lower of the windows
    of the same width at the peaks. Along any direction a connected law (a ring, a curve, a sheet) is
    connected, and what lies between its densest places is not empty.
    """
    half = (right - left) / 8
    valley, *peaks = (int((np.abs(values - place) <= half).sum()) for place in (at, left, right))
    if valley > VALLEY_SEEN * min(peaks):
        return False
    chance = binom.cdf(valley, valley + min(peaks), VALLEY_RATIO / (1 + VALLEY_RATIO))
    return bool(chance < VALLEY_CHANCE)
