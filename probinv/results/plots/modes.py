"""The modes of the draws: where they lie, what they weigh."""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.spatial import cKDTree

from probinv.results._combination import formula
from probinv.results._membership import Membership
from probinv.results._statistics import usable
from probinv.results.plots._entries import Choice, choose
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import CHAINS, blank, count, grid, headline, legend, number, share, style
from probinv.results.plots.pair import thinned
from probinv.results.thresholds import MODE_ERROR_MOST

POINTS_MOST = 2000
NAMED_MOST = 20
CANDIDATES = 8
ENTRIES_MOST = 200
NEIGHBOURS = 5
BETTER = 0.02
BINS = 60
COMBINED = "Axes are the combinations of inputs, in standard deviations, that part the modes best."


class _View(NamedTuple):
    """Two axes (or one) of the picture: values of the draws shown, and what the axes are called."""

    values: np.ndarray
    names: tuple[str, ...]


def plot_modes(tree: xr.DataTree | Reading, entries: Choice = None) -> Figure:
    """The draws in two entries, coloured by mode, and the weight of each mode with its standard error.

    Beside the weight of each mode is that of each chain or replicate: where these lie apart by more than
    the error bars, chains disagree. Modes as in `modes`.

    Args:
        tree: a result of a sampler.
        entries: one or two entry names such as "x[3]", or column numbers. None: those two in which the
            neighbours of a draw are of its own mode most often, or two combinations of entries (Fisher's
            discriminants) where these part the modes better.

    Returns:
        At most 2000 draws at the left, weights at the right.

    Raises:
        InputError: the tree has no draws, or an entry is not there.
    """
    reading = as_reading(tree)
    picked = choose(reading.draws, entries, "entries", 2)
    found = reading.modes
    if found is None or not usable(reading.draws.values).any():
        return _nothing()
    rows = thinned(np.arange(found.labels.size)[:, None], POINTS_MOST)[:, 0]
    labels = found.labels.ravel()[rows]
    view = _view(reading, rows, labels, picked)
    colours = _colours(found.count)
    with style():
        height = float(np.clip(1.6 + 0.2 * min(found.count, NAMED_MOST), 3.4, 5.6))
        figure, axes = grid(1, 2, height=height, width_ratios=[3, 2])
        _draws(axes[0, 0], view, labels, colours)
        _weights(axes[0, 1], found, colours, reading.unit)
        headline(figure, _finding(found, reading.unit), _detail(reading, view, found))
    return figure


def _nothing() -> Figure:
    with style():
        figure, axes = grid(1, 1, height=3.0)
        blank(axes[0, 0], "draws that are not finite, all alike, or whole numbers")
        headline(figure, "Nothing can be said about modes")
    return figure


def _view(reading: Reading, rows: np.ndarray, labels: np.ndarray, picked: list[int] | None) -> _View:
    flat, names = reading.draws.flat(), reading.draws.names
    if picked is not None:
        return _View(flat[rows][:, picked], tuple(names[k] for k in picked))
    free = np.flatnonzero(usable(reading.draws.values))
    if len(free) == 1:
        return _View(flat[rows][:, free], (names[int(free[0])],))
    shown = flat[rows][:, free]
    scaled = (shown - shown.mean(axis=0)) / shown.std(axis=0)
    if labels.max() == 0:
        gain = np.nan_to_num(reading.gain[free], nan=-1.0)
        best = np.sort(np.argsort(-gain, kind="stable")[:2])
        return _View(shown[:, best], tuple(names[int(free[k])] for k in best))
    order = np.argsort(-_kept(scaled, labels), kind="stable")
    few = np.sort(order[:CANDIDATES])
    pairs = [(i, j) for a, i in enumerate(few) for j in few[a + 1 :]]
    pure = [_purity(scaled[:, list(pair)], labels) for pair in pairs]
    best = np.array(pairs[int(np.argmax(pure))])
    used = np.sort(order[:ENTRIES_MOST])
    axes = _discriminants(scaled[:, used], labels)
    combined = scaled[:, used] @ axes
    if _purity(combined, labels) <= max(pure) + BETTER:
        return _View(shown[:, best], tuple(names[int(free[k])] for k in best))
    return _View(combined, tuple(formula(axis, [names[int(free[k])] for k in used]) for axis in axes.T))


def _kept(columns: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each column, how often the next draw in its order is of the same mode."""
    ordered = labels[np.argsort(columns, axis=0)]
    return np.asarray((ordered[1:] == ordered[:-1]).mean(axis=0))


def _purity(points: np.ndarray, labels: np.ndarray) -> float:
    """The part of the neighbours that are of the same mode, averaged over modes."""
    scaled = points / np.maximum(points.std(axis=0), 1e-300)
    near = cKDTree(scaled).query(scaled, min(NEIGHBOURS, len(labels) - 1) + 1)[1][:, 1:]
    same = (labels[near] == labels[:, None]).mean(axis=1)
    return float(np.mean([same[labels == mode].mean() for mode in np.unique(labels)]))


def _discriminants(scaled: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(entry, 2) unit vectors: Fisher's discriminants; for two modes one, and where they spread most."""
    means = np.zeros_like(scaled)
    for mode in np.unique(labels):
        means[labels == mode] = scaled[labels == mode].mean(axis=0)
    inside = scaled - means
    values, vectors = np.linalg.eigh(inside.T @ inside / len(scaled))
    root = vectors / np.sqrt(np.maximum(values, 1e-12))
    first = root @ np.linalg.svd(means @ root, full_matrices=False)[2][: min(2, labels.max())].T
    first /= np.linalg.norm(first, axis=0)
    if first.shape[1] == 2:
        return first
    rest = scaled - scaled @ first @ first.T
    return np.column_stack([first, np.linalg.svd(rest, full_matrices=False)[2][0]])


def _colours(many: int) -> list[str]:
    if many <= len(CHAINS):
        return list(CHAINS[:many])
    # neighbours in weight are far apart in colour
    places = (np.arange(many) * 0.618034) % 1.0
    return [mpl.colors.to_hex(mpl.colormaps["turbo"](0.05 + 0.9 * place)) for place in places]


def _draws(axes: Axes, view: _View, labels: np.ndarray, colours: list[str]) -> None:
    finite = np.isfinite(view.values).all(axis=1)
    values, labels = view.values[finite], labels[finite]
    if not len(values):
        blank(axes, "no finite draw")
        return
    if len(view.names) == 1:
        parts = [values[labels == mode, 0] for mode in range(len(colours))]
        axes.hist(parts, np.histogram_bin_edges(values[:, 0], BINS), stacked=True, color=colours)
        axes.set(xlabel=view.names[0], ylabel="draws")
        return
    axes.scatter(*values.T, s=7, c=[colours[k] for k in labels], alpha=0.6, linewidths=0)
    axes.set(xlabel=view.names[0], ylabel=view.names[1])
    axes.locator_params(nbins=5)


def _weights(axes: Axes, found: Membership, colours: list[str], unit: str) -> None:
    at = np.arange(found.count)[::-1]
    for k, y in enumerate(at):
        axes.plot(found.shares[:, k], np.full(len(found.shares), y), "|", color="#555555", markersize=9)
    error = np.nan_to_num(found.errors)
    axes.hlines(at, found.weights - error, found.weights + error, color=colours, linewidth=2.5)
    axes.scatter(found.weights, at, c=colours, s=36, zorder=3, edgecolors="white", linewidths=0.6)
    few = found.count <= NAMED_MOST
    axes.set_yticks(at if few else [], [f"mode {k}" for k in range(found.count)] if few else [])
    axes.set_ylim(-0.8, found.count - 0.2)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.set_xlabel("weight")
    axes.grid(axis="x", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    handles = [
        Line2D([], [], marker="o", color="#333333", linewidth=2.5, label="all, ± 1 standard error"),
        Line2D([], [], marker="|", linestyle="", color="#555555", markersize=9, label=f"each {unit}"),
    ]
    legend(axes, handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _finding(found: Membership, unit: str) -> str:
    if found.count == 1:
        return "One mode: no valley was found among the draws"
    if found.apart.any():
        return f"{found.count} modes, on whose weights the {unit}s disagree"
    worst = float(found.errors.max())
    if not worst <= MODE_ERROR_MOST:
        return f"{found.count} modes, whose weights are hardly known (± {number(worst)})"
    if found.count <= 4:
        pairs = zip(found.weights.tolist(), found.errors.tolist(), strict=True)
        each = [f"{share(weight)} ± {share(error)}" for weight, error in pairs]
        return f"{found.count} modes with {', '.join(each[:-1])} and {each[-1]} of the draws"
    low, high = share(float(found.weights[-1])), share(float(found.weights[0]))
    return f"{found.count} modes, with {low} to {high} of the draws each, known to {number(worst)}"


def _detail(reading: Reading, view: _View, found: Membership) -> str:
    dots = len(view.values)
    parts = [] if set(view.names) <= set(reading.draws.names) else [COMBINED]
    if dots < found.labels.size:
        parts.append(f"{dots} of {count(found.labels.size, 'draw')} are dots.")
    if not found.settled:
        parts.append(
            f"Sets may be places that a {reading.unit} has not left: successive draws hardly differ."
        )
    return " ".join(parts)
