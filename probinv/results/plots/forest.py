"""Intervals of every entry: prior against posterior."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from probinv.results.plots._entries import Choice, choose
from probinv.results.plots._reading import GAIN_LEAST, Reading, as_reading, quantiles
from probinv.results.plots._style import (
    OPTIMUM,
    POSTERIOR,
    PRIOR,
    count,
    grid,
    headline,
    legend,
    number,
    share,
    style,
)

ROWS_MOST = 40
SCALES_APART = 10.0


def plot_forest(tree: xr.DataTree | Reading, entries: Choice = None) -> Figure:
    r"""The median and the central 50 % and 90 % of p(x_i | Y*), against the central 90 % of p(x_i).

    Up to 40 entries have a line each, with the numbers at the right; more are drawn as bands over the index.
    Entries of very different scales are drawn in units of their prior: 0 is its 5 % quantile, 1 its 95 %.

    Args:
        tree: the result of a sampler; of a method that gives points, the points take the intervals' place.
        entries: entry names such as "x[3]", variable names, or column numbers. None: all.

    Returns:
        The figure.

    Raises:
        InputError: the tree has neither posterior nor optima, or an entry is not there.
    """
    reading = as_reading(tree)
    table = reading.inputs
    picked = choose(table, entries, "entries", len(table.names))
    chosen = np.arange(len(table.names)) if picked is None else np.array(picked)
    drawn = reading.has("posterior")
    marks = np.empty((0, len(chosen))) if drawn else reading.optima.flat()[:, chosen]
    own = reading.quantiles[:, chosen] if drawn else quantiles(marks)
    prior = reading.prior_quantiles[:, chosen]
    names = [table.names[k] for k in chosen]
    with style():
        if len(chosen) > ROWS_MOST:
            figure = _profile(chosen, own, prior, marks, drawn, names)
        else:
            figure = _rows(names, own, prior, marks, drawn)
        headline(figure, _finding(reading, chosen, drawn), _detail(drawn, prior), room=0.5)
    return figure


def _rows(names: list[str], own: np.ndarray, prior: np.ndarray, marks: np.ndarray, drawn: bool) -> Figure:
    figure, axes = grid(1, 1, height=1.5 + 0.27 * len(names))
    ax = axes[0, 0]
    shift, scale = _units(own, prior)
    at = np.arange(len(names))[::-1]
    place, before, points = (own - shift) / scale, (prior - shift) / scale, (marks - shift) / scale
    ax.hlines(at, before[0], before[-1], color=PRIOR, linewidth=9, alpha=0.35, label="prior, 90 %")
    if drawn:
        ax.hlines(at, place[0], place[-1], color=POSTERIOR, linewidth=1.6, label="posterior, 90 %")
        ax.hlines(at, place[1], place[3], color=POSTERIOR, linewidth=5, label="posterior, 50 %")
        ax.plot(place[2], at, "o", color="white", markeredgecolor=POSTERIOR, markersize=5, label="median")
    for row in points[::-1]:
        ax.plot(row, at, "D", color=OPTIMUM, markeredgecolor="white", markersize=5)
    ax.set_yticks(at, names)
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.margins(x=0.02)
    _beside(ax, at, own if drawn else marks[:1], drawn)
    scaled = np.ndim(scale) > 0
    ax.set_xlabel("0: the prior's 5 % quantile, 1: its 95 % quantile" if scaled else "value")
    ax.grid(axis="y", color="#eeeeee", linewidth=0.8)
    ax.set_axisbelow(True)
    legend(figure, _handles(drawn, bool(np.isfinite(prior).any())), loc="outside lower right", ncols=4)
    return figure


def _beside(axes: Axes, at: np.ndarray, values: np.ndarray, drawn: bool) -> None:
    for y, column in zip(at, values.T, strict=True):
        axes.text(
            1.01,
            y,
            _numbers(column) if drawn else number(column[0]),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
            color="#333333",
        )
    head = "median  [90 %]" if drawn else "best"
    axes.text(
        1.01,
        len(at) - 0.25,
        head,
        transform=axes.get_yaxis_transform(),
        va="bottom",
        fontsize=8,
        color="#777777",
    )


def _numbers(column: np.ndarray) -> str:
    if np.isnan(column).any():
        return "not finite"
    if column[0] == column[-1]:
        return f"always {number(column[2])}"
    return f"{number(column[2])}  [{number(column[0])}, {number(column[-1])}]"


def _units(own: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Shift and scale of each entry; 0 and 1 where they can share an axis."""
    width = prior[-1] - prior[0]
    known = width[np.isfinite(width) & (width > 0)]
    if known.size < 2:
        return 0.0, 1.0
    centre = prior[2][np.isfinite(width) & (width > 0)]
    if known.max() <= SCALES_APART * known.min() and np.ptp(centre) <= SCALES_APART * known.max():
        return 0.0, 1.0
    free = np.isfinite(width) & (width > 0)
    alone = np.where(np.isfinite(own[2]), own[2], 0.0) - 0.5
    return np.where(free, prior[0], alone), np.where(free, width, 1.0)


def _profile(
    chosen: np.ndarray, own: np.ndarray, prior: np.ndarray, marks: np.ndarray, drawn: bool, names: list[str]
) -> Figure:
    figure, axes = (
        grid(2, 1, height=5.2, height_ratios=[3, 1.3], sharex=True) if drawn else grid(1, 1, height=4.0)
    )
    ax = axes[0, 0]
    at = np.arange(len(chosen))
    ax.fill_between(at, prior[0], prior[-1], color=PRIOR, alpha=0.3, linewidth=0)
    if drawn:
        ax.fill_between(at, own[0], own[-1], color=POSTERIOR, alpha=0.3, linewidth=0)
        ax.fill_between(at, own[1], own[3], color=POSTERIOR, alpha=0.5, linewidth=0)
        ax.plot(at, own[2], color=POSTERIOR, linewidth=1.0)
    for row in marks[:3]:
        ax.plot(at, row, color=OPTIMUM, linewidth=0.7, alpha=0.7)
    ax.set_ylabel("value")
    legend(
        figure, _handles(drawn, bool(np.isfinite(prior).any()), line=True), loc="outside lower right", ncols=4
    )
    if drawn:
        _widths(axes[1, 0], at, own, prior)
    axes[-1, 0].set_xlabel(f"entry, from {names[0]} to {names[-1]}")
    ax.set_xlim(-0.5, len(at) - 0.5)
    figure.align_ylabels()
    return figure


def _widths(axes: Axes, at: np.ndarray, own: np.ndarray, prior: np.ndarray) -> None:
    width, before = own[-1] - own[0], prior[-1] - prior[0]
    ratio = np.divide(width, before, out=np.full_like(width, np.nan), where=before > 0)
    if not np.isfinite(ratio).any():
        axes.plot(at, width, ".", color=POSTERIOR, markersize=3)
        axes.set_ylabel("90 % width")
        return
    axes.axhline(1.0, color=PRIOR, linewidth=0.8)
    axes.plot(at, ratio, ".", color=POSTERIOR, markersize=3)
    axes.set(ylabel="width, prior = 1", ylim=(0, 1.1 * max(1.0, float(np.nanmax(ratio)))))


def _handles(drawn: bool, prior: bool, line: bool = False) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = [Patch(color=PRIOR, alpha=0.35, label="prior, 90 %")] if prior else []
    if not drawn:
        marker = {"linewidth": 0.8} if line else {"marker": "D", "linestyle": ""}
        return [
            *handles,
            Line2D([], [], color=OPTIMUM, label="optima, best 3" if line else "optima", **marker),
        ]
    return [
        *handles,
        Patch(color=POSTERIOR, alpha=0.35, label="posterior, 90 %"),
        Patch(color=POSTERIOR, alpha=0.8, label="50 %"),
        Line2D(
            [], [], color=POSTERIOR, marker=None if line else "o", markerfacecolor="white", label="median"
        ),
    ]


def _finding(reading: Reading, chosen: np.ndarray, drawn: bool) -> str:
    if not drawn:
        return f"{count(len(reading.optima.flat()), 'optimum')}: a point is no interval"
    return told_most(reading, chosen) or "Where the inputs lie"


def told_most(reading: Reading, chosen: np.ndarray) -> str:
    """A sentence on which of the entries the wish says most about; empty without a prior."""
    gain = reading.gain[chosen]
    known = ~np.isnan(gain)
    if not known.any():
        return ""
    best = int(chosen[np.nanargmax(gain)])
    if np.nanmax(gain) < GAIN_LEAST:
        return "The wish hardly changes any input: each stays as its prior has it"
    moved = reading.shift[best]
    words = (
        []
        if abs(moved) < 0.1
        else [f"it moves {'up' if moved > 0 else 'down'} by {abs(moved):.1f} prior deviations"]
    )
    words += [f"keeps {share(reading.narrowing[best])} of its width"]
    text = f"The wish says most about {reading.inputs.names[best]}: {' and '.join(words)}"
    still = int((gain[known] < GAIN_LEAST).sum())
    if still:
        text += f"; {still} of {known.sum()} inputs hardly change"
    return text


def _detail(drawn: bool, prior: np.ndarray) -> str:
    if not drawn:
        return "Black: optima. They say nothing about how far an input may vary."
    return "" if np.isfinite(prior).any() else "The tree holds no prior draws to compare with."
