"""Optima against draws: where they lie, how good they are."""

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from probinv._errors import InputError
from probinv.results.plots._entries import Choice, choose, require
from probinv.results.plots._reading import NORMAL_WIDTH, Reading, as_reading, quantiles
from probinv.results.plots._style import (
    DPI,
    OPTIMUM,
    POSTERIOR,
    PRIOR,
    WIDTH,
    count,
    headline,
    legend,
    number,
    share,
    style,
)

ENTRIES_MOST, ENTRIES_DEFAULT = 40, 10
OPTIMA_MOST = 20


def plot_optima(
    tree: xr.DataTree | Reading, entries: Choice = None, *, draws: xr.DataTree | Reading | None = None
) -> Figure:
    """Log density, residual and weight of every optimum, and its position, against the central 90 % of draws.

    An optimum is not a typical draw: in many dimensions draws have a far lower density than the mode and lie
    elsewhere.

    Args:
        tree: the result of MAP or Ascent.
        entries: entry names such as "x[3]", variable names, or column numbers; at most 40. None: the 10 in
            which an optimum is farthest from the median of the prior.
        draws: the result of a sampler for the same question; None: the draws in the tree itself, if any.

    Returns:
        The best 20 optima above, positions below.

    Raises:
        InputError: the tree has no optima, an entry is not there, or `draws` has other inputs.
    """
    reading = as_reading(tree)
    require(reading.tree, "optima")
    other = _draws(reading, draws)
    points = reading.optima.flat()
    if len(points) == 0:
        raise InputError("there is no optimum", "the method found no finite point", "start from more points")
    picked = choose(reading.optima, entries, "entries", ENTRIES_MOST)
    chosen = _farthest(reading, other) if picked is None else picked
    with style():
        rows, shown = len(chosen), min(len(points), OPTIMA_MOST)
        heights = [0.9 + 0.16 * shown, 0.7 + 0.24 * rows]
        figure = plt.figure(figsize=(WIDTH, 1.0 + sum(heights)), dpi=DPI, layout="constrained")
        axes = figure.subplot_mosaic(
            [["density", "fit", "weight"], ["place", "place", "place"]],
            height_ratios=heights,
        )
        _qualities(axes, reading, other, shown)
        _positions(axes["place"], reading, other, chosen)
        legend(figure, _handles(reading, other), loc="outside lower right", ncols=3)
        headline(figure, _finding(reading), _detail(reading, len(chosen), shown), room=0.6)
    return figure


def _draws(reading: Reading, draws: xr.DataTree | Reading | None) -> Reading | None:
    if draws is None:
        return reading if reading.has("posterior") else None
    other = as_reading(draws)
    if other.draws.names != reading.optima.names:
        raise InputError(
            "draws has other inputs than the optima",
            f"{other.draws.names[:3]} against {reading.optima.names[:3]}",
            "give results for the same prior",
        )
    return other


def _farthest(reading: Reading, other: Reading | None) -> list[int]:
    points = reading.optima.flat()
    around = _prior(reading, other)
    width = around[-1] - around[0]
    away = np.abs(points - around[2]).max(axis=0)
    away = np.divide(away, width, out=np.where(np.isfinite(width), 0.0, away), where=width > 0)
    order = np.argsort(-np.nan_to_num(away, nan=-1.0), kind="stable")[:ENTRIES_DEFAULT]
    return sorted(int(k) for k in order)


def _prior(reading: Reading, other: Reading | None) -> np.ndarray:
    """Quantiles (level, entry) of the prior's draws; NaN where the tree holds none."""
    names = reading.optima.names
    for source in (reading, other):
        if source is not None and source.prior is not None and source.inputs.names == names:
            return source.prior_quantiles
    return np.full((5, len(names)), np.nan)


def _qualities(axes: dict[str, Axes], reading: Reading, other: Reading | None, shown: int) -> None:
    at = np.arange(shown)
    panels = {
        "density": (
            "log density of z",
            _log_density(reading),
            None if other is None else _draws_log_density(other),
        ),
        "fit": _fit(reading, other),
        "weight": _weight(reading),
    }
    for name, (label, values, band) in panels.items():
        ax = axes[name]
        if values is None:
            ax.set_visible(False)
            continue
        if band is not None and np.isfinite(band).any():
            low, high = np.quantile(band[np.isfinite(band)], [0.05, 0.95])
            ax.axvspan(low, high, color=POSTERIOR, alpha=0.25, linewidth=0)
        ax.plot(values[:shown], at, "D", color=OPTIMUM, markeredgecolor="white", markersize=6)
        ax.set_xlabel(label)
        ax.set_ylim(shown - 0.4, -0.6)
        ax.set_yticks(at)
        ax.tick_params(axis="y", left=name == "density", labelleft=name == "density")
        ax.margins(x=0.08)
        ax.locator_params(axis="x", nbins=4)
        ax.grid(axis="y", color="#eeeeee", linewidth=0.8)
    axes["density"].set_ylabel("optimum")


def _log_density(reading: Reading) -> np.ndarray | None:
    prior, fit = reading.optimum_stat("log_prior"), reading.optimum_stat("log_likelihood")
    return reading.optimum_stat("objective") if prior is None or fit is None else prior + fit


def _draws_log_density(other: Reading) -> np.ndarray | None:
    lp = other.stat("lp")
    return None if lp is None else lp.ravel()


type Panel = tuple[str, np.ndarray | None, np.ndarray | None]


def _fit(reading: Reading, other: Reading | None) -> Panel:
    residual = reading.optimum_stat("residual_norm")
    if residual is not None:
        drawn = None if other is None else other.stat("residual_norm")
        return "residual, in tolerances", residual, None if drawn is None else drawn.ravel()
    drawn = None
    if other is not None and other.has("log_likelihood", "y_star"):
        drawn = other.tree["log_likelihood"]["y_star"].values.astype(np.float64).ravel()
    return "log likelihood", reading.optimum_stat("log_likelihood"), drawn


def _weight(reading: Reading) -> Panel:
    weight = reading.optimum_stat("laplace_weight")
    if weight is not None and np.isfinite(weight).all():
        return "Laplace weight", weight, None
    return "distance from its start", reading.optimum_stat("distance_from_start"), None


def _positions(axes: Axes, reading: Reading, other: Reading | None, chosen: list[int]) -> None:
    points, prior = reading.optima.flat()[:, chosen], _prior(reading, other)[:, chosen]
    own = None if other is None else quantiles(other.draws.flat()[:, chosen])
    around = prior if np.isfinite(prior).any() else own
    shift: np.ndarray | float = 0.0
    scale: np.ndarray | float = 1.0
    if around is not None:
        width = (around[-1] - around[0]) / NORMAL_WIDTH
        free = np.isfinite(width) & (width > 0)
        shift, scale = np.where(free, around[2], points[0]), np.where(free, width, 1.0)
    at = np.arange(len(chosen))[::-1]
    axes.hlines(at, *((prior[[0, -1]] - shift) / scale), color=PRIOR, linewidth=9, alpha=0.35)
    if own is not None:
        axes.hlines(at, *((own[[0, -1]] - shift) / scale), color=POSTERIOR, linewidth=3)
    for k in range(len(points) - 1, -1, -1):
        axes.plot(
            (points[k] - shift) / scale,
            at,
            "D",
            color=OPTIMUM,
            markeredgecolor="white",
            markersize=6 if k == 0 else 4,
            alpha=1.0 if k == 0 else 0.6,
        )
    axes.set_yticks(at, [reading.optima.names[k] for k in chosen])
    axes.set_ylim(-0.6, len(chosen) - 0.4)
    who = "prior" if np.isfinite(prior).any() else "draws"
    known = (
        f"distance from the median of the {who}, in standard deviations" if around is not None else "position"
    )
    axes.set_xlabel(known)
    for y, value in zip(at, points[0], strict=True):
        axes.text(1.01, y, number(value), transform=axes.get_yaxis_transform(), va="center", fontsize=8)


def _handles(reading: Reading, other: Reading | None) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = []
    if np.isfinite(_prior(reading, other)).any():
        handles.append(Patch(color=PRIOR, alpha=0.35, label="prior, 90 %"))
    if other is not None:
        handles.append(Patch(color=POSTERIOR, alpha=0.6, label="draws, 90 %"))
    return [*handles, Line2D([], [], color=OPTIMUM, marker="D", linestyle="", label="optima")]


def _finding(reading: Reading) -> str:
    many = len(reading.optima.flat())
    text = f"{many} optima" if many > 1 else "One optimum"
    reached = reading.optimum_stat("reached")
    if reached is not None:
        text += (
            f", {int(reached.sum())} of which reach the wish"
            if many > 1
            else (" that reaches the wish" if reached.all() else " that does not reach the wish")
        )
    weight = reading.optimum_stat("laplace_weight")
    if many > 1 and weight is not None and np.isfinite(weight).all():
        text += f"; the best has {share(float(weight[0]))} of the Laplace weight"
    return text


def _detail(reading: Reading, rows: int, shown: int) -> str:
    total, many = len(reading.optima.names), len(reading.optima.flat())
    parts = ["At the right: where optimum 0 lies, the best."]
    parts += [f"Inputs: {rows} of {total}, those farthest from the prior's median."] if rows < total else []
    parts += [f"Above: the best {shown} of {count(many, 'point')}."] if shown < many else []
    return " ".join(parts)
