"""R-hat and effective sample sizes of all entries."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from probinv.results.plots._entries import Choice, choose
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import BAD, POSTERIOR, count, grid, headline, legend, style
from probinv.results.thresholds import DRAWS_LEAST, ESS_LEAST, RHAT_MOST

ROWS_MOST = 30
BINS = 40
EDGE = 2.0  # an R-hat above it is drawn here


def plot_convergence(tree: xr.DataTree | Reading, entries: Choice = None) -> Figure:
    """R-hat, bulk and tail ESS of every entry, against 1.01 and 400 (Vehtari et al. 2021, arXiv 1903.08008).

    Up to 30 entries have a line each, the worst on top; more are counted in a histogram. Entries without a
    number (constant, or not finite) are counted in words. An R-hat above 2 is drawn at 2; it is infinite
    where every chain stands still at its own value.

    Args:
        tree: the result of a sampler.
        entries: entry names such as "x[3]", variable names, or column numbers. None: all.

    Returns:
        Two panels: R-hat at the left, effective sample sizes at the right.

    Raises:
        InputError: the tree has no posterior, or an entry is not there.
    """
    reading = as_reading(tree)
    picked = choose(reading.draws, entries, "entries", len(reading.draws.names))
    wanted = set(range(len(reading.draws.names)) if picked is None else picked)
    chosen = [k for k in reading.worst if k in wanted]
    numbers = reading.convergence
    few = len(chosen) <= ROWS_MOST
    with style():
        figure, axes = grid(1, 2, height=1.5 + 0.2 * len(chosen) if few else 3.2, sharey=few)
        left, right = axes[0]
        rhat, bulk, tail = numbers.rhat[chosen], numbers.ess_bulk[chosen], numbers.ess_tail[chosen]
        why = _why_no_rhat(reading)
        if few:
            _names(left, right, reading, chosen)
            _rows(left, right, rhat, bulk, tail)
        else:
            _counts(left, right, rhat, bulk, tail)
        _limits(left, right, rhat, np.concatenate([bulk, tail]))
        if np.isnan(rhat).all() and why:
            left.text(
                0.5,
                0.5,
                f"no R-hat:\n{why}",
                transform=left.transAxes,
                ha="center",
                va="center",
                color="#666666",
                backgroundcolor="white",
            )
        headline(figure, _finding(reading, chosen, why), _detail(reading, chosen))
    return figure


def _names(left: Axes, right: Axes, reading: Reading, chosen: list[int]) -> None:
    at = np.arange(len(chosen))[::-1]
    left.set_yticks(at, [reading.draws.names[k] for k in chosen])
    left.set_ylim(-0.8, len(chosen) - 0.2)
    right.tick_params(left=False)
    for axes in (left, right):
        axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
        axes.set_axisbelow(True)
    for y, k in zip(at, chosen, strict=True):
        if np.isnan(reading.convergence.ess_bulk[k]):
            words = "fixed" if reading.fixed[k] else "no number"
            right.text(
                0.02,
                y,
                words,
                transform=right.get_yaxis_transform(),
                va="center",
                fontsize=8,
                color="#666666",
            )


def _rows(left: Axes, right: Axes, rhat: np.ndarray, bulk: np.ndarray, tail: np.ndarray) -> None:
    at = np.arange(len(rhat))[::-1]
    shown = np.minimum(rhat, EDGE)
    bad = rhat > RHAT_MOST
    left.plot(shown[~bad], at[~bad], "o", color=POSTERIOR, markersize=5)
    left.plot(shown[bad], at[bad], "o", color=BAD, markersize=5)
    right.plot(bulk, at, "o", color=POSTERIOR, markersize=5)
    right.plot(tail, at, "o", color="white", markeredgecolor=POSTERIOR, markersize=5)
    if np.isfinite(bulk).any():
        legend(
            right,
            [
                Line2D([], [], marker="o", linestyle="", color=POSTERIOR, label="bulk"),
                Line2D(
                    [], [], marker="o", linestyle="", color="white", markeredgecolor=POSTERIOR, label="tail"
                ),
            ],
            loc="best",
        )


def _counts(left: Axes, right: Axes, rhat: np.ndarray, bulk: np.ndarray, tail: np.ndarray) -> None:
    shown = np.fmin(rhat, EDGE)[~np.isnan(rhat)]
    if shown.size:
        edges = np.linspace(min(0.999, shown.min()), max(RHAT_MOST + 0.002, shown.max()), BINS + 1)
        left.hist(shown, edges, color=POSTERIOR)
    left.set_ylabel("inputs")
    sizes = np.concatenate([bulk, tail])
    sizes = sizes[np.isfinite(sizes)]
    if sizes.size:
        edges = np.linspace(0.0, max(ESS_LEAST * 1.1, sizes.max()), BINS + 1)
        right.hist(bulk[np.isfinite(bulk)], edges, color=POSTERIOR, alpha=0.75, label="bulk")
        right.hist(
            tail[np.isfinite(tail)], edges, color="#222222", histtype="step", linewidth=1.2, label="tail"
        )
        right.legend(loc="best")


def _limits(left: Axes, right: Axes, rhat: np.ndarray, sizes: np.ndarray) -> None:
    for axes, limit in ((left, RHAT_MOST), (right, ESS_LEAST)):
        axes.axvline(limit, color="#333333", linestyle="--", linewidth=1.0)
    shown = np.fmin(rhat, EDGE)[~np.isnan(rhat)]
    low, high = min(0.999, shown.min(initial=1.0)), max(RHAT_MOST, shown.max(initial=1.0))
    left.set_xlim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    beyond = "; at the right edge: 2 or more" if shown.max(initial=1.0) >= EDGE else ""
    left.set_xlabel(f"R-hat (dashed: at most {RHAT_MOST}{beyond})")
    left.locator_params(axis="x", nbins=5)
    right.set_xlim(0.0, 1.1 * max(ESS_LEAST, float(np.nan_to_num(sizes).max())))
    right.set_xlabel(f"effective sample size (dashed: at least {ESS_LEAST:.0f})")


def _why_no_rhat(reading: Reading) -> str:
    chains, draws = reading.draws.values.shape[:2]
    if draws < DRAWS_LEAST:
        return f"only {count(draws, 'draw')} a chain"
    return "there is one chain" if chains == 1 else ""


def _finding(reading: Reading, chosen: list[int], why: str) -> str:
    numbers, free = reading.convergence, np.array([k for k in chosen if not reading.fixed[k]], int)
    if not len(free):
        return "Every input is fixed: there is nothing to converge"
    rhat, bulk, tail = numbers.rhat[free], numbers.ess_bulk[free], numbers.ess_tail[free]
    least = np.fmin(bulk, tail)
    if why and np.isnan(least).all():
        return f"Convergence is not known: {why}"
    unknown = np.isnan(least).sum()
    high, low = int((rhat > RHAT_MOST).sum()), int((least < ESS_LEAST).sum())
    if high or low or unknown:
        parts = [f"{high} with R-hat above {RHAT_MOST}"] if high else []
        parts += [f"{low} with fewer than {ESS_LEAST:.0f} effective draws"] if low else []
        parts += [f"{unknown} without a number"] if unknown else []
        whole = f"Not all of {len(free)} inputs have" if len(free) > 1 else "The input has not"
        return f"{whole} converged: {', '.join(parts)}"
    if np.isnan(rhat).all():
        return f"At least {least.min():.0f} effective draws for each input, but no R-hat: {why}"
    whole = f"All {len(free)} inputs pass" if len(free) > 1 else "The input passes"
    return f"{whole}: R-hat at most {rhat.max():.3f}, at least {least.min():.0f} effective draws"


def _detail(reading: Reading, chosen: list[int]) -> str:
    chains, draws = reading.draws.values.shape[:2]
    fixed = int(reading.fixed[chosen].sum())
    lost = int((np.isnan(reading.convergence.ess_bulk) & ~reading.fixed)[chosen].sum())
    parts = [f"{count(chains, 'chain')} of {count(draws, 'draw')}."]
    parts += [f"{count(fixed, 'input')} fixed, without numbers."] if fixed else []
    parts += (
        [f"{count(lost, 'input')} without numbers: standing still, not finite, or too few draws."]
        if lost
        else []
    )
    return " ".join(parts)
