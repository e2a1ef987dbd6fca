"""What the draws give, against what was wished."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from probinv.results.plots._entries import Choice, Entries, choose
from probinv.results.plots._outputs import Outputs, outputs_of
from probinv.results.plots._reading import Reading, as_reading, quantiles
from probinv.results.plots._style import (
    OPTIMUM,
    POSTERIOR,
    PRIOR,
    TARGET,
    densities,
    grid,
    headline,
    legend,
    share,
    style,
    view_of,
)

PANELS_MOST = 6
CLASSES_MOST = 20
MARKS_MOST = 60


def plot_predictive(
    tree: xr.DataTree | Reading, outputs: Choice = None, *, optima: xr.DataTree | Reading | None = None
) -> Figure:
    """p(y | Y*), y = f(x) of the posterior draws, against Y* with its tolerance and y under the prior.

    Up to 6 outputs are densities, more are bands over the index; a wish for a class is drawn as class
    probabilities (mean and central 90 % over the draws).

    Args:
        tree: the result of a sampler, or of a method that gives points.
        outputs: names such as "y[3]", or numbers. None: all; for a class the 20 most probable.
        optima: the result of MAP or Ascent for the same question, drawn on top. None: those of the tree.

    Returns:
        The figure.

    Raises:
        InputError: the tree holds no outputs, or an output is not there.
    """
    reading = as_reading(tree)
    known = outputs_of(reading, optima)
    names = Entries(known.names, np.empty((0, 0, len(known.names))), {})
    picked = choose(names, outputs, "outputs", len(known.names))
    with style():
        if known.wished is not None:
            figure = _classes(known, picked)
        else:
            part = _only(known, np.arange(len(known.names)) if picked is None else np.array(picked))
            figure = _panels(part) if len(part.names) <= PANELS_MOST else _profile(part)
        legend(figure, _handles(known), loc="outside lower right", ncols=5)
        dense = known.wished is None and len(part.names) <= PANELS_MOST
        headline(
            figure, _finding(reading, known), "Densities are scaled to the same height." if dense else ""
        )
    return figure


def _only(known: Outputs, columns: np.ndarray) -> Outputs:
    return known._replace(
        names=[known.names[k] for k in columns],
        draws=known.draws[:, columns],
        prior=known.prior[:, columns],
        optima=known.optima[:, columns],
        target=known.target[columns],
        tolerance=known.tolerance[columns],
    )


def _panels(known: Outputs) -> Figure:
    count = len(known.names)
    columns = min(3, count)
    rows = -(-count // columns)
    figure, axes = grid(rows, columns, height=1.2 + 1.7 * rows + (0.6 if rows == 1 else 0.0))
    for k, ax in enumerate(axes.flat):
        if k < count:
            _density(ax, known, k)
        else:
            ax.set_visible(False)
    return figure


def _density(axes: Axes, known: Outputs, k: int) -> None:
    target, tolerance = known.target[k], np.nan_to_num(known.tolerance[k])
    wish = np.array([target - 2 * tolerance, target + 2 * tolerance])
    own = np.concatenate([known.draws[:, k], known.optima[:, k], wish])
    prior = known.prior[:, k]
    view = view_of(own, prior, near=len(known.draws) > 0)
    if len(prior):
        densities(axes, prior, colour=PRIOR, label="prior", filled=True)
    if len(known.draws):
        densities(axes, known.draws[:, k], colour=POSTERIOR, label="posterior", filled=False)
    if np.isfinite(target):
        axes.axvspan(target - tolerance, target + tolerance, color=TARGET, alpha=0.2, linewidth=0)
        axes.axvline(target, color=TARGET, linewidth=1.8)
    points = known.optima[:, k]
    axes.plot(
        points,
        np.full(len(points), 0.04),
        "D",
        color=OPTIMUM,
        markeredgecolor="white",
        markersize=6,
        zorder=4,
    )
    axes.set(
        xlim=view,
        ylim=(0, 1.08),
        yticks=[],
        xlabel=known.names[k] + ("" if np.isfinite(target) else " (free)"),
    )
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)


def _profile(known: Outputs) -> Figure:
    figure, axes = grid(1, 1, height=3.8)
    ax = axes[0, 0]
    at = np.arange(len(known.names))
    if len(known.prior):
        low, high = quantiles(known.prior)[[0, -1]]
        ax.fill_between(at, low, high, color=PRIOR, alpha=0.3, linewidth=0)
    if len(known.draws):
        level = quantiles(known.draws)
        ax.fill_between(at, level[0], level[-1], color=POSTERIOR, alpha=0.35, linewidth=0)
        ax.plot(at, level[2], color=POSTERIOR, linewidth=1.2)
    for row in known.optima[:3]:
        ax.plot(at, row, color=OPTIMUM, linewidth=0.8, alpha=0.7)
    if len(at) <= MARKS_MOST:
        error = None if np.isnan(known.tolerance).all() else known.tolerance
        ax.errorbar(at, known.target, yerr=error, fmt="o", color=TARGET, markersize=4, linewidth=1.4)
    else:
        ax.plot(at, known.target, color=TARGET, linewidth=1.4)
        ax.fill_between(
            at,
            known.target - known.tolerance,
            known.target + known.tolerance,
            color=TARGET,
            alpha=0.25,
            linewidth=0,
        )
    ax.set(xlabel=f"output, from {known.names[0]} to {known.names[-1]}", ylabel="value")
    ax.set_xlim(-0.5, len(at) - 0.5)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _classes(known: Outputs, picked: list[int] | None) -> Figure:
    assert known.wished is not None
    own = known.draws if len(known.draws) else known.optima
    if picked is None:
        order = np.argsort(-np.nan_to_num((own if len(own) else known.prior).mean(axis=0)), kind="stable")
        picked = sorted({known.wished, *(int(k) for k in order[: CLASSES_MOST - 1])})
    figure, axes = grid(1, 1, height=3.4)
    ax = axes[0, 0]
    at = np.arange(len(picked))
    groups = [(known.prior, PRIOR, -0.2), (known.draws, POSTERIOR, 0.2)]
    for rows, colour, shift in groups:
        if len(rows):
            level = quantiles(rows[:, picked])
            mean = np.nanmean(rows[:, picked], axis=0)
            place = at + (shift if len(known.draws) else 0.0)
            ax.bar(place, mean, width=0.38, color=colour, alpha=0.75)
            ax.vlines(place, level[0], level[-1], color="#333333", linewidth=1.0)
    for row in known.optima:
        ax.plot(at, row[picked], "D", color=OPTIMUM, markeredgecolor="white", markersize=5, zorder=4)
    if known.wished in picked:
        here = picked.index(known.wished)
        ax.axvspan(here - 0.5, here + 0.5, color=TARGET, alpha=0.15, linewidth=0, zorder=0)
    ax.set_xticks(at, [known.names[k] for k in picked])
    ax.set(
        xlabel="class",
        ylabel="probability",
        xlim=(-0.6, len(at) - 0.4),
        ylim=(0, min(1.02, ax.get_ylim()[1])),
    )
    return figure


def _handles(known: Outputs) -> list[Patch | Line2D]:
    classes, bands = known.wished is not None, len(known.names) > PANELS_MOST
    handles: list[Patch | Line2D] = []
    extra = " (bar: mean, line: 90 %)" if classes else ", 90 %" if bands else ""
    if len(known.prior):
        handles.append(
            Patch(color=PRIOR, alpha=0.5, label="prior" + (", 90 %" if bands and not classes else ""))
        )
    if len(known.draws):
        handles.append(Patch(color=POSTERIOR, alpha=0.6, label="posterior" + extra))
    if classes:
        handles.append(Patch(color=TARGET, alpha=0.3, label="wished class"))
    elif np.isfinite(known.target).any():
        known_tolerance = np.isfinite(known.tolerance).any()
        handles.append(
            Line2D(
                [],
                [],
                color=TARGET,
                linewidth=1.8,
                label="Y*, with its tolerance" if known_tolerance else "Y*",
            )
        )
    if len(known.optima):
        best = bands and not classes
        handles.append(
            Line2D(
                [],
                [],
                color=OPTIMUM,
                marker=None if best else "D",
                linestyle="-" if best else "",
                label="optima, best 3" if best else "optima",
            )
        )
    return handles


def _finding(reading: Reading, known: Outputs) -> str:
    reached = reading.stat("reached") if len(known.draws) else reading.optimum_stat("reached")
    wish = f"class {known.wished}" if known.wished is not None else "the wish"
    if reached is None:
        return f"The outputs of the {'draws' if len(known.draws) else 'optima'} against the wish"
    if len(known.draws):
        part = float(reached.mean())
        text = f"{share(part)} of the draws reach {wish}" if part else f"No draw reaches {wish}"
    else:
        how = f"{int(reached.sum())} of {reached.size} optima reach"
        text = f"{how if reached.size > 1 else _alone(bool(reached.all()))} {wish}"
    if reading.has("prior_predictive", "reached"):
        before = float(reading.tree["prior_predictive"]["reached"].values.mean())
        text += f"; of the prior's draws {share(before)} do" if before else "; none of the prior's draws does"
    return text[0].upper() + text[1:]


def _alone(reached: bool) -> str:
    return "The optimum reaches" if reached else "The optimum does not reach"
