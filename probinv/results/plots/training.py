"""How a training went: its cheap figures over the epochs, stage by stage."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinv._checks import as_array
from probinv._errors import InputError
from probinv.results.plots._style import POSTERIOR, WIDTH, blank, count, grid, headline, number, style

FIGURES = {
    "reconstruction": "squared error\nof reconstruction",
    "gap": "free-energy gap,\nnats",
    "pseudo_likelihood": "pseudo-likelihood,\nnats",
    "runaway": "chains minus data,\nnats a unit",
    "wrong": "share of labels\nwrong",
}
NOT_DRAWN = ("epoch", "seconds")
ZERO = ("gap", "runaway")
LIKELIHOOD = "log likelihood,\nnats"
GAP_MOST = 1.0
"""Nats by which training rows may be better known than held-out ones without a word in the title."""

TOLD_MOST = 3

type Stage = dict[str, np.ndarray]
"""Figure -> its values over the epochs, NaN where it is not known."""


def plot_training(history: Any, likelihood: Any = None) -> Figure:
    """The figures of a training against the epoch: a column for each stage, a row for each figure.

    Reconstruction: squared error over a row. Gap: mean F of held-out rows minus that of training rows; it
    grows when training is too long. Pseudo-likelihood: n log p(v_i | all others). Chains minus data: mean F
    of the chains minus that of the data, for each visible unit; near 0 where the chains follow. What is NaN
    throughout is left out. None of these is the likelihood, which comes as brackets.

    Args:
        history: a list of dictionaries, one for each epoch, as a training leaves it; a list of such lists,
            one for each stage; or a trained network that has a `history_`.
        likelihood: rows (epoch, low, high), in nats, of the last stage.

    Returns:
        The figure.

    Raises:
        InputError: no history, dictionaries without an epoch, values that are no numbers, or brackets with
            low > high.
    """
    stopped = str(getattr(history, "stopped_", "") or "")
    stages = _stages(getattr(history, "history_", history))
    brackets = None if likelihood is None else _brackets(likelihood)
    names = _names(stages)
    if not names and brackets is None:
        raise InputError(
            "history holds no figure", "all of its numbers are NaN", "give the history of a training"
        )
    rows = len(names) + (brackets is not None)
    with style():
        width = max(WIDTH, 0.8 + 2.2 * len(stages))
        figure, axes = grid(rows, len(stages), height=1.15 + 1.3 * rows, width=width)
        for column, stage in enumerate(stages):
            for ax, name in zip(axes[:, column], names, strict=False):
                _figure(ax, stage["epoch"], _curve(stage, name), zero=name in ZERO)
        if brackets is not None:
            axes[-1, 0] = _bracket(figure, axes[-1], brackets)
        _name(figure, axes, names + [LIKELIHOOD] * (brackets is not None))
        headline(figure, _finding(stages, brackets, stopped), _detail(stages, names, brackets))
    return figure


def _stages(history: Any) -> list[Stage]:
    """The stages of a history, however it was given."""
    given = list(history) if isinstance(history, list | tuple) else []
    stages = [given] if given and isinstance(given[0], Mapping) else given
    kept = [stage for stage in stages if not isinstance(stage, list | tuple) or len(stage)]
    if not kept or not all(isinstance(stage, list | tuple) for stage in kept):
        raise InputError(
            "history is no history of a training",
            f"got {type(history).__name__}" + (f" of {len(given)} entries" if given else ""),
            "give a list of dictionaries, one for each epoch, a list of such lists, or a trained network",
        )
    return [_columns(list(stage)) for stage in kept]


def _columns(stage: list[Any]) -> Stage:
    for epoch in stage:
        if not isinstance(epoch, Mapping) or "epoch" not in epoch:
            raise InputError(
                "an entry of history has no epoch",
                f"got {epoch!r}"[:80],
                "give one dictionary for each epoch",
            )
    names = dict.fromkeys(str(name) for epoch in stage for name in epoch)
    found = {}
    for name in names:
        values = [epoch.get(name, np.nan) for epoch in stage]
        column = as_array(f"{name} in history", values, allow_nan=name != "epoch", allow_inf=name != "epoch")
        if column.ndim != 1:
            raise InputError(
                f"{name} in history is no number", f"got {values[0]!r}"[:80], "give one an epoch"
            )
        found[name] = np.where(np.isfinite(column), column, np.nan)
    return found


def _brackets(likelihood: Any) -> np.ndarray:
    found = np.atleast_2d(as_array("likelihood", likelihood))
    if found.ndim != 2 or found.shape[1] != 3 or not len(found):
        raise InputError(
            f"likelihood has shape {found.shape}", "each row is (epoch, low, high)", "give (brackets, 3)"
        )
    if not (found[:, 1] <= found[:, 2]).all():
        raise InputError("a bracket of likelihood has low above high", "", "give (epoch, low, high)")
    return found[np.argsort(found[:, 0], kind="stable")]


def _curve(stage: Stage, name: str) -> np.ndarray:
    """Values of one figure over the epochs."""
    return stage.get(name, np.full(len(stage["epoch"]), np.nan))


def _names(stages: list[Stage]) -> list[str]:
    """Figures with a number in some stage, those that are known first."""
    seen = {name for stage in stages for name in stage if np.isfinite(stage[name]).any()} - set(NOT_DRAWN)
    return [name for name in FIGURES if name in seen] + sorted(seen - set(FIGURES))


def _figure(axes: Axes, epochs: np.ndarray, values: np.ndarray, *, zero: bool) -> None:
    if not np.isfinite(values).any():
        blank(axes, "")
        return
    axes.plot(epochs, values, color=POSTERIOR, marker="." if len(epochs) <= 30 else None)
    axes.margins(x=0.03)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.locator_params(axis="y", nbins=4)
    if zero:
        axes.axhline(0.0, color="#999999", linewidth=0.8, zorder=0)


def _bracket(figure: Figure, row: np.ndarray, brackets: np.ndarray) -> Axes:
    """The brackets over the whole width of the row."""
    place = row[0].get_gridspec()[-1, :]
    for ax in row:
        ax.remove()
    axes = figure.add_subplot(place)
    epochs, low, high = brackets.T
    axes.vlines(epochs, low, high, color=POSTERIOR, linewidth=3.0)
    axes.plot(epochs, 0.5 * (low + high), color=POSTERIOR, linewidth=0.9, marker="_", markersize=7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.locator_params(axis="y", nbins=4)
    axes.margins(x=0.04)
    return axes


def _name(figure: Figure, axes: np.ndarray, names: list[str]) -> None:
    stages = axes.shape[1]
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(FIGURES.get(name, name))
    likelihood = names[-1] == LIKELIHOOD
    for column in axes[: len(axes) - likelihood].T:
        drawn = [ax for ax in column if ax.lines]
        if drawn:
            drawn[-1].set_xlabel("epoch")
    if likelihood:
        axes[-1, 0].set_xlabel("epoch" if stages == 1 else f"epoch of stage {stages}")
        if stages == 1 and len(axes) > 1:
            both = [ax.get_xlim() for ax in axes[-2:, 0]]
            for ax in axes[:, 0]:
                ax.set_xlim(min(low for low, _ in both), max(high for _, high in both))
    if stages > 1 and names[0] != LIKELIHOOD:
        for place, ax in enumerate(axes[0], 1):
            ax.set_title(f"stage {place}")
    figure.align_ylabels(axes[:, 0])


def _finding(stages: list[Stage], brackets: np.ndarray | None, stopped: str) -> str:
    if stopped:
        return f"The training ended early: {stopped}"
    if brackets is not None:
        return _likelihood(brackets)
    gap = _curve(stages[-1], "gap")
    if np.isfinite(gap[-1]) and gap[-1] > GAP_MOST:
        return (
            f"Training rows are better known than held-out ones, by {number(float(gap[-1]))} nats at the end"
        )
    ends = [_ends(_curve(stage, "reconstruction")) for stage in stages]
    known = [(place, pair) for place, pair in enumerate(ends, 1) if pair is not None]
    if not known:
        epochs = sum(len(stage["epoch"]) for stage in stages)
        return f"{count(epochs, 'epoch')} of training, without a figure of reconstruction"
    rose = [str(place) for place, (first, last) in known if last > first]
    if len(stages) == 1:
        first, last = known[0][1]
        if len(stages[0]["epoch"]) == 1:
            return f"After one epoch a row comes back with a squared error of {number(last)}"
        way = "stayed" if last == first else "rose" if rose else "fell"
        to = f"at {number(last)}" if last == first else f"from {number(first)} to {number(last)}"
        return f"The error of reconstruction {way} {to} in {len(stages[0]['epoch'])} epochs"
    if rose:
        which = f"stage {rose[0]}" if len(rose) == 1 else f"stages {', '.join(rose)}"
        return f"The error of reconstruction rose in {which} of {len(stages)}"
    if len(known) > TOLD_MOST:
        return f"The error of reconstruction did not rise in any of {len(known)} stages"
    ways = [f"from {number(first)} to {number(last)}" for _, (first, last) in known]
    return f"The error of reconstruction went {', then '.join(ways)}"


def _likelihood(brackets: np.ndarray) -> str:
    epoch, low, high = brackets[-1]
    text = f"After {count(int(epoch), 'epoch')} the log likelihood lies between {low:.2f} and {high:.2f} nats"
    better = brackets[brackets[:, 1] > high]
    if len(better):
        best = better[np.argmax(better[:, 1])]
        text += f"; it was higher after {count(int(best[0]), 'epoch')}"
    return text


def _ends(values: np.ndarray) -> tuple[float, float] | None:
    """The first and the last finite value."""
    kept = values[np.isfinite(values)]
    return (float(kept[0]), float(kept[-1])) if kept.size else None


def _detail(stages: list[Stage], names: list[str], brackets: np.ndarray | None) -> str:
    parts = []
    seconds = [float(_curve(stage, "seconds")[-1]) for stage in stages]
    if np.isfinite(seconds).all():
        total = f"{sum(seconds):.0f}" if sum(seconds) >= 10 else number(sum(seconds))
        parts.append(f"{total} seconds of training.")
    if "gap" in names:
        parts.append("Gap: held-out minus training rows; it grows when training is too long.")
    if "runaway" in names:
        parts.append("Chains minus data: near 0 where the chains follow.")
    if brackets is None:
        parts.append("None of these is the likelihood.")
    else:
        parts.append("Bars: brackets of the log likelihood.")
    return " ".join(parts)
