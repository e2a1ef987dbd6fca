"""How every picture looks: one meaning, one colour; a title that states the finding."""

import contextlib
import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito's colours, distinct for colour-blind readers and by lightness.
PRIOR = "#8a8a8a"
POSTERIOR = "#0072b2"
TARGET = "#e07b00"
OPTIMUM = "#000000"
BAD = "#a5123f"
CHAINS = ("#0072b2", "#cc79a7", "#009e73", "#56b4e9", "#882255", "#999933", "#332288", "#44aa99")

WIDTH = 8.0
DPI = 110
BOLD_PER_INCH, SMALL_PER_INCH = 10.2, 15.2  # letters of a headline and of a note on an inch
_RC = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#555555",
    "axes.grid": False,
    "axes.facecolor": "white",
    "axes.prop_cycle": mpl.cycler(color=CHAINS),
    "figure.facecolor": "white",
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    "text.color": "#1a1a1a",
    "text.parse_math": False,  # a name such as price_$ is not a formula
    "axes.labelcolor": "#333333",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The settings of these plots inside the block; matplotlib's own are as before after it."""
    with mpl.rc_context(_RC):
        yield


def grid(
    rows: int,
    columns: int,
    *,
    height: float,
    width: float = WIDTH,
    layout: str = "constrained",
    **shared: Any,
) -> tuple[Figure, Any]:
    """A figure and its axes, an array of shape (rows, columns)."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), dpi=DPI, layout=layout, squeeze=False, **shared
    )
    return figure, axes


def png(figure: Figure) -> bytes:
    """The figure as a PNG file. Its layout is computed once and kept: savefig alone would do it twice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, pil_kwargs={"compress_level": 4})
    return buffer.getvalue()


def headline(figure: Figure, finding: str, detail: str = "", room: float = 1.0) -> None:
    """The finding in bold over the figure, and how to read it in small type below, in `room` of the width."""
    wide = figure.get_figwidth()
    lines = textwrap.wrap(finding, int(wide * BOLD_PER_INCH)) or [""]
    notes = textwrap.wrap(detail, int(room * wide * SMALL_PER_INCH))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11, fontweight="bold")
    if notes:
        figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=8, color="#555555")


def legend(target: Axes | Figure, handles: Sequence[Any], **where: Any) -> None:
    """One legend of the given handles, if there are any."""
    if handles:
        target.legend(handles=list(handles), **where)


def blank(axes: Axes, words: str) -> None:
    """An empty panel that says why it is empty."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(
        0.5,
        0.5,
        "\n".join(textwrap.wrap(words, 32)),
        ha="center",
        va="center",
        color="#666666",
        transform=axes.transAxes,
    )


def view_of(own: np.ndarray, prior: np.ndarray | None, near: bool) -> tuple[float, float]:
    """Limits of an axis: the range of `own`, and all of the prior or (near) that range again at each side."""
    own = own[np.isfinite(own)]
    prior = np.empty(0) if prior is None else prior[np.isfinite(prior)]
    if own.size == 0:
        own = prior if prior.size else np.zeros(1)
    low, high = float(own.min()), float(own.max())
    if prior.size:
        wide = high - low if near else np.inf
        low = min(low, max(low - wide, float(prior.min())))
        high = max(high, min(high + wide, float(prior.max())))
    pad = 0.03 * (high - low) or 0.5 * abs(low) or 0.5
    return low - pad, high + pad


def densities(axes: Axes, values: np.ndarray, *, colour: str, label: str, filled: bool) -> None:
    """A histogram of the finite values over their own range, scaled to a highest bar of 1.

    Over their own range and not over the view: one far draw in a narrow view would make a bar as high as all.
    """
    values = values[np.isfinite(values)]
    if values.size == 0:
        return
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        axes.axvline(low, ymax=1 / 1.08, color=colour, linewidth=3.0 if filled else 1.3, label=label)
        return
    bins = int(np.clip(2 * values.size ** (1 / 3), 5, 40))  # Rice's rule
    heights, edges = np.histogram(values, np.linspace(low, high, bins + 1))
    alpha = 0.55 if filled else 1.0
    axes.stairs(
        heights / heights.max(), edges, color=colour, fill=filled, alpha=alpha, label=label, linewidth=1.3
    )


def number(value: float) -> str:
    """A number as a reader wants it: three digits."""
    if not np.isfinite(value):
        return str(value)
    text = f"{value:.3g}"
    return text if "e" not in text or not 1e3 <= abs(value) < 1e6 else f"{value:,.0f}"


def share(part: float) -> str:
    """A fraction as a percentage that never rounds a part to nothing or to all."""
    if 0.0 < part < 0.005:
        return "under 1\u00a0%"
    if 0.995 < part < 1.0:
        return "over 99\u00a0%"
    return f"{100 * part:.0f}\u00a0%"


def count(many: int, noun: str) -> str:
    """ "1 input", "9 inputs", "6 optima"."""
    plural = {"optimum": "optima"}.get(noun, f"{noun}s")
    return f"{many} {noun if many == 1 else plural}"
