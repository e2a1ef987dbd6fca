"""Pairs of entries: prior beside posterior."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinv._errors import InputError
from probinv.results.plots._entries import Choice, choose
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import (
    OPTIMUM,
    POSTERIOR,
    PRIOR,
    count,
    densities,
    grid,
    headline,
    legend,
    share,
    style,
    view_of,
)

ENTRIES_MOST = 8
CANDIDATES_MOST = 200
CORRELATION_LEAST = 0.3


def plot_pair(
    tree: xr.DataTree | Reading,
    entries: Choice = None,
    *,
    optima: xr.DataTree | Reading | None = None,
    most: int = 4,
    points: int = 2000,
) -> Figure:
    """(x_i, x_j) of the draws, each pair a panel, and the density of each x_i on the diagonal.

    Prior draws lie behind in grey. A panel shows the posterior's range and as much again on either side; what
    of the prior lies farther off is not shown.

    Args:
        tree: the result of a sampler, or of a method that gives points.
        entries: entry names such as "x[3]", variable names, or column numbers; at most 8. None: the pair with
            the strongest correlation among the 200 entries that the wish says most about, then the first of
            those 200.
        optima: the result of MAP or Ascent for the same question, drawn on top. None: those of the tree.
        most: how many entries None may choose.
        points: at most so many draws are drawn as dots, evenly over all chains.

    Returns:
        The figure; one density for a single entry.

    Raises:
        InputError: the tree has neither posterior nor optima, or an entry is not there.
    """
    reading = as_reading(tree)
    table = reading.inputs
    picked = choose(table, entries, "entries", ENTRIES_MOST)
    chosen = _chosen(reading, most) if picked is None else picked
    names = [table.names[k] for k in chosen]
    marks = _marks(reading, optima, names)
    drawn = reading.has("posterior")
    nothing = np.empty((0, len(chosen)))
    own = table.flat()[:, chosen] if drawn else nothing
    cloud = thinned(own, points)
    prior = nothing if reading.prior is None else thinned(reading.prior[:, chosen], points)
    with style():
        figure = _panels(names, own, [(prior, PRIOR), (cloud, POSTERIOR)], marks)
        headline(figure, _finding(reading, chosen, drawn), _detail(len(cloud), len(own), len(chosen)))
    return figure


def _panels(
    names: list[str], own: np.ndarray, clouds: list[tuple[np.ndarray, str]], marks: np.ndarray
) -> Figure:
    many = len(names)
    size = {1: 3.2, 2: 4.6, 3: 6.2}.get(many, 7.6)
    figure, axes = grid(many, many, height=size, width=max(size, 5.0))
    prior = clouds[0][0]
    views = [
        view_of(np.concatenate([own[:, k], marks[:, k]]), prior[:, k], near=len(own) > 0) for k in range(many)
    ]
    for i, j in np.ndindex(many, many):
        ax = axes[i, j]
        if j > i:
            ax.set_visible(False)
        elif i == j:
            _diagonal(ax, own[:, i], prior[:, i], marks[:, i])
            ax.set_xlim(views[i])
        else:
            _cloud(ax, [(rows[:, [j, i]], colour) for rows, colour in clouds], marks[:, [j, i]])
            ax.set(xlim=views[j], ylim=views[i])
    _name(axes, names)
    _legend(figure, axes, len(own) > 0, len(prior) > 0, len(marks) > 0)
    return figure


def thinned(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, evenly taken, that are finite."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)] if len(rows) else rows


def _chosen(reading: Reading, most: int) -> list[int]:
    total = len(reading.inputs.names)
    if not reading.has("posterior"):
        fixed = (
            np.zeros(total, bool)
            if reading.prior is None
            else (reading.prior == reading.prior[0]).all(axis=0)
        )
        return [int(k) for k in np.argsort(fixed, kind="stable")[:most]]
    free = np.flatnonzero(~reading.constant & np.isfinite(reading.quantiles).all(axis=0))
    if len(free) == 0:
        return [0]
    if len(free) <= most:
        return [int(k) for k in free]
    order = free[np.argsort(-np.nan_to_num(reading.gain[free], nan=-1.0), kind="stable")]
    strongest, value = _correlated(reading, order[:CANDIDATES_MOST])
    pair = strongest if most > 1 and abs(value) >= CORRELATION_LEAST else ()
    rest = [int(k) for k in order if k not in pair]
    return sorted([*pair, *rest[: most - len(pair)]])


def _correlated(reading: Reading, columns: np.ndarray) -> tuple[tuple[int, int], float]:
    """The two columns with the strongest correlation, and its value."""
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.atleast_2d(np.corrcoef(thinned(reading.draws.flat()[:, columns], 20_000), rowvar=False))
    upper = np.nan_to_num(np.triu(matrix, 1))
    i, j = (int(k) for k in np.unravel_index(int(np.argmax(np.abs(upper))), upper.shape))
    if i == j:
        i, j = 0, min(1, len(columns) - 1)
    return (int(columns[i]), int(columns[j])), float(upper[i, j])


def _marks(reading: Reading, optima: xr.DataTree | Reading | None, names: list[str]) -> np.ndarray:
    """(optimum, entry), best first."""
    source = reading if optima is None else as_reading(optima)
    if optima is None and not reading.has("optima"):
        return np.empty((0, len(names)))
    table = source.optima
    missing = [name for name in names if name not in table.names]
    if missing:
        raise InputError(
            f"optima has no entry {missing[0]}",
            f"it has {', '.join(table.names[:3])} and so on",
            "give optima of the same prior",
        )
    columns = [table.names.index(name) for name in names]
    rows = table.flat()[:, columns]
    return rows[np.isfinite(rows).all(axis=1)]


def _diagonal(axes: Axes, draws: np.ndarray, prior: np.ndarray, marks: np.ndarray) -> None:
    densities(axes, prior, colour=PRIOR, label="prior", filled=True)
    densities(axes, draws, colour=POSTERIOR, label="posterior", filled=False)
    for mark in marks:
        axes.axvline(mark, color=OPTIMUM, linewidth=0.8, linestyle=":")
    axes.set(ylim=(0, 1.08), yticks=[])
    axes.spines["left"].set_visible(False)


def _cloud(axes: Axes, clouds: list[tuple[np.ndarray, str]], marks: np.ndarray) -> None:
    for rows, colour in clouds:
        alpha = 0.35 if colour == PRIOR else float(np.clip(200 / max(len(rows), 1), 0.25, 0.8))
        axes.scatter(*rows.T, s=5, color=colour, alpha=alpha, linewidths=0)
    axes.scatter(*marks.T, s=30, marker="D", color=OPTIMUM, edgecolors="white", linewidths=0.8, zorder=3)
    axes.locator_params(nbins=4)


def _name(axes: np.ndarray, names: list[str]) -> None:
    for k, name in enumerate(names):
        axes[-1, k].set_xlabel(name)
        if k:
            axes[k, 0].set_ylabel(name)
        axes[k, k].locator_params(axis="x", nbins=4)
        for row in axes[:-1, k]:
            row.tick_params(labelbottom=False)
        for column in axes[k, 1:]:
            column.tick_params(labelleft=False)
    if len(names) == 1:
        axes[0, 0].set_ylabel("density")


def _legend(figure: Figure, axes: np.ndarray, drawn: bool, prior: bool, marked: bool) -> None:
    from matplotlib.lines import Line2D

    handles = []
    if prior:
        handles.append(Line2D([], [], marker="o", linestyle="", color=PRIOR, label="prior"))
    if drawn:
        handles.append(Line2D([], [], marker="o", linestyle="", color=POSTERIOR, label="posterior"))
    if marked:
        handles.append(Line2D([], [], marker="D", linestyle="", color=OPTIMUM, label="optima"))
    if len(axes) == 1:
        legend(axes[0, 0], handles, loc="best")
    else:
        # outside of the layout: the legend stands in the empty corner and takes no room from the panels
        figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.99, 0.92)).set_in_layout(False)


def _finding(reading: Reading, chosen: list[int], drawn: bool) -> str:
    names = reading.inputs.names
    if not drawn:
        return f"{count(len(reading.optima.flat()), 'optimum')} among the draws of the prior"
    usable = [k for k in chosen if not reading.constant[k]]
    if len(usable) >= 2:
        (i, j), value = _correlated(reading, np.array(usable))
        if abs(value) >= CORRELATION_LEAST:
            how = "rise together" if value > 0 else "trade off"
            return f"{names[i]} and {names[j]} {how}: correlation {value:.2f}"
        return f"These inputs are hardly correlated (at most {value:.2f}, {names[i]} and {names[j]})"
    narrow = reading.narrowing[chosen[0]]
    if np.isfinite(narrow):
        return f"The wish leaves {names[chosen[0]]} {share(float(narrow))} of its spread under the prior"
    return f"Draws of {names[chosen[0]]}"


def _detail(dots: int, total: int, entries: int) -> str:
    few = f" {dots} of {total} draws are dots." if dots < total and entries > 1 else ""
    follows = " The view follows the posterior, not the prior." if total else ""
    return f"Densities are scaled to the same height.{few}{follows}"
