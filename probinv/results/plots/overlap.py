"""Samples of a machine over the data, in the two directions in which the data vary most."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.spatial import cKDTree

from probinv._checks import as_count
from probinv._errors import InputError
from probinv.results.plots._style import (
    BAD,
    POSTERIOR,
    PRIOR,
    densities,
    grid,
    headline,
    legend,
    share,
    style,
)
from probinv.results.plots._tiles import rows_of
from probinv.results.plots.pair import thinned

BY_CHANCE = 0.032
"""Of two equal laws with as many rows, this share has no other one as near as the fifth neighbour: 2^-5."""
FEW = 0.25
"""Of all rows: with more neighbours than this there is no near and far."""
AXES_ROWS_MOST = 5000
BARS_MOST = 20
CHANCE = 2.0
MARGIN = 0.03
"""A share that is missed is a finding above CHANCE times what equal laws would give, plus MARGIN."""


class _Plane(NamedTuple):
    """Principal axes of the data.

    Attributes:
        data, samples: (row, 2) in the plane of the first two; (row, 1) where there is but one.
        share: of the data's variance along each axis.
        drawn: the variance of the samples along each, as a share of the data's whole variance.
        singles: whether the data vary along one axis only.
    """

    data: np.ndarray
    samples: np.ndarray
    share: np.ndarray
    drawn: np.ndarray
    singles: bool


class Absent(NamedTuple):
    """Points far from all others.

    Attributes:
        flags: which.
        by_chance: the share of them that equal laws would give.
        unknown: too few points or others to tell.
    """

    flags: np.ndarray
    by_chance: float
    unknown: bool

    @property
    def share(self) -> float:
        """How many of the points."""
        return float(self.flags.mean())

    @property
    def many(self) -> bool:
        """Whether they are more than chance has."""
        return not self.unknown and self.share > CHANCE * self.by_chance + MARGIN


def plot_overlap(data: Any, samples: Any, *, points: int = 2000) -> Figure:
    """(u_1 . x, u_2 . x) of data and samples, u_1 and u_2 the first two principal axes of the data.

    A row of the data is missed where no sample lies as near as its k-th neighbour among the data (coverage,
    Naeem et al. 2020, arXiv 2002.09797), a sample is astray where no row of the data lies as near as its
    k-th neighbour among the samples, both in this plane. Of n rows and m samples of one law, a share of
    prod_{j<k} (n - 1 - j) / (n - 1 + m - j) is missed by chance; k is the least that makes it 3.2 %, 5 for
    many rows and as many samples.

    Args:
        data: rows (rows, *x), at least two that differ.
        samples: rows of the same length.
        points: rows of each at most, evenly taken, in the picture and in these shares.

    Returns:
        The clouds at the left, rows that are missed in red where they are more than chance has; at the right
        the variance along each principal axis as a share of the data's.

    Raises:
        InputError: arrays that are not finite or of different lengths of rows, data that do not vary.
    """
    rows, _ = rows_of("data", data)
    others, _ = rows_of("samples", samples)
    if rows.shape[1] != others.shape[1]:
        raise InputError(
            f"samples have {others.shape[1]} entries", f"data have {rows.shape[1]}", "give rows of one kind"
        )
    plane = _plane(rows, others, as_count("points", points, least=2))
    missed, astray = absent(plane.data, plane.samples), absent(plane.samples, plane.data)
    with style():
        figure, axes = grid(1, 2, height=4.4, width_ratios=[2.3, 1])
        if plane.singles:
            _line(axes[0, 0], plane)
        else:
            _clouds(axes[0, 0], plane, missed.flags & missed.many)
        _variances(axes[0, 1], plane)
        headline(
            figure, _finding(plane, missed, astray), _detail(plane, len(rows), len(others), missed, astray)
        )
    return figure


def absent(points: np.ndarray, others: np.ndarray) -> Absent:
    """Which points have none of the others as near as their k-th neighbour, k as few as `BY_CHANCE` needs."""
    n, m = len(points), len(others)
    by_chance = np.cumprod([(n - 1 - j) / (n - 1 + m - j) for j in range(n - 1)])
    near = 1 + int(np.sum(by_chance > BY_CHANCE))
    if near > FEW * n:
        return Absent(np.zeros(n, bool), 1.0, True)
    reach = cKDTree(points).query(points, near + 1)[0][:, -1]
    apart = cKDTree(others).query(points)[0]
    return Absent(apart > reach, float(by_chance[near - 1]), False)


def _plane(rows: np.ndarray, others: np.ndarray, points: int) -> _Plane:
    mean = rows.mean(axis=0)
    few = thinned(rows, AXES_ROWS_MOST) - mean
    whole = float(np.sum(few**2))
    if whole == 0 or not np.isfinite(whole):
        raise InputError("data do not vary", "all rows are the same", "give at least two that differ")
    if few.shape[0] < few.shape[1]:
        axes = np.linalg.svd(few, full_matrices=False)[2]
    else:
        axes = np.linalg.eigh(few.T @ few)[1].T[::-1]
    axes = axes[: max(BARS_MOST, 2)]
    axes *= np.where(axes.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    along = few @ axes.T
    variance = np.sum(along**2, axis=0) / whole
    drawn = (thinned(others, AXES_ROWS_MOST) @ axes.T).var(axis=0) * len(few) / whole
    singles = len(axes) == 1 or bool(variance[1] < 1e-12)
    plane = axes[: 1 if singles else 2].T
    clouds = [(thinned(each, points) - mean) @ plane for each in (rows, others)]
    return _Plane(clouds[0], clouds[1], variance, drawn, singles)


def _clouds(axes: Axes, plane: _Plane, missed: np.ndarray) -> None:
    size = float(np.clip(3000 / max(len(plane.data), len(plane.samples)), 3, 14))
    axes.scatter(*plane.data.T, s=size, color=PRIOR, alpha=0.55, linewidths=0)
    axes.scatter(*plane.samples.T, s=size, color=POSTERIOR, alpha=0.45, linewidths=0)
    axes.scatter(*plane.data[missed].T, s=size + 2, color=BAD, alpha=0.8, linewidths=0)
    axes.set(ylabel=f"second component, {share(float(plane.share[1]))} of the variance")
    axes.set_aspect("equal", adjustable="datalim")
    _named(axes, plane)
    _key(axes, bool(missed.any()))


def _line(axes: Axes, plane: _Plane) -> None:
    densities(axes, plane.data[:, 0], colour=PRIOR, label="data", filled=True)
    densities(axes, plane.samples[:, 0], colour=POSTERIOR, label="samples", filled=False)
    axes.set(yticks=[], ylim=(0, 1.25))
    _named(axes, plane)
    _key(axes, False)


def _named(axes: Axes, plane: _Plane) -> None:
    axes.set_xlabel(f"first principal component of the data, {share(float(plane.share[0]))} of the variance")
    axes.locator_params(nbins=5)


def _key(axes: Axes, missed: bool) -> None:
    words = [("data", PRIOR), ("samples", POSTERIOR)] + ([("data that are missed", BAD)] if missed else [])
    handles = [Line2D([], [], marker="o", linestyle="", color=colour, label=name) for name, colour in words]
    legend(axes, handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.0)


def _variances(axes: Axes, plane: _Plane) -> None:
    at = np.arange(1, len(plane.share) + 1)
    if len(at) == 1:
        axes.set_visible(False)
    axes.bar(at, 100 * plane.share, width=0.8, color=PRIOR, alpha=0.55)
    axes.plot(at, 100 * plane.drawn, color=POSTERIOR, marker=".", linewidth=1.0)
    axes.set(xlabel="principal component", title="variance, % of the data's")
    axes.set_xlim(0.4, len(at) + 0.6)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _finding(plane: _Plane, missed: Absent, astray: Absent) -> str:
    if missed.unknown or astray.unknown:
        return "Too few rows to say whether samples and data cover each other"
    where = "in the one component of the data" if plane.singles else "in the first two components"
    parts = []
    if missed.many:
        parts.append(f"samples miss {share(missed.share)} of the data")
    if astray.many:
        parts.append(f"{share(astray.share)} of the samples lie where no data are")
    if not parts:
        return f"Data and samples overlap {where}: {share(missed.share)} missed, {share(astray.share)} astray"
    text = f"{' and '.join(parts)}, {where}"
    return text[0].upper() + text[1:]


def _detail(plane: _Plane, rows: int, others: int, missed: Absent, astray: Absent) -> str:
    parts = []
    if not (missed.unknown or astray.unknown):
        chance = f"{share(missed.by_chance)} missed and {share(astray.by_chance)} astray"
        parts.append(f"Equal laws would give {chance}.")
    both = share(float(plane.share[:2].sum()))
    if plane.share[:2].sum() < 1 - 1e-9:
        parts.append(
            f"The two components hold {both} of the variance: what overlaps here may differ elsewhere."
        )
    if len(plane.data) < rows or len(plane.samples) < others:
        used = f"{len(plane.data)} of {rows} rows and {len(plane.samples)} of {others} samples"
        parts.append(f"{used} are used.")
    return " ".join(parts)
