"""The two answers of the demo side by side, with real images and with the opinions of others."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from probinv.cli._digits import Lesson, probabilities

JUDGED = 1000
SHOWN = 9
SPREAD_MOST = 0.5
INK = "gray_r"
NOTE = "Spread: standard deviation, pixel by pixel. White is no ink, black full ink"


def gather(digit: int, draws: dict[str, np.ndarray], lesson: Lesson) -> dict[str, np.ndarray]:
    """Column -> images (count, h, w): the draws of each prior, and the real test images of the digit.

    Args:
        digit: which.
        draws: name of a prior -> (chain, draw, h, w), of which at most 1000 are taken evenly.
        lesson: for the real images.
    """
    columns = {}
    for name, own in draws.items():
        flat = own.reshape(-1, *own.shape[2:])
        columns[f"{name} prior"] = flat[np.linspace(0, len(flat) - 1, min(JUDGED, len(flat))).astype(int)]
    return columns | {"real test images": lesson.test[lesson.test_labels == digit]}


def table(digit: int, columns: dict[str, np.ndarray], lesson: Lesson, verdicts: list[str]) -> str:
    """What the classifier and others say of the images.

    Images are clipped to [0, 1] before anybody but the classifier itself sees them: no scanner gives less
    than no ink, and the learned prior, a Gaussian, does not know that.
    """
    clipped = {name: np.clip(own, 0.0, 1.0) for name, own in columns.items()}
    flat = [own.reshape(len(own), -1) for own in clipped.values()]
    before, after = ([probabilities(lesson, own) for own in images.values()] for images in (columns, clipped))
    rows = [("", *columns), ("verdict on the draws", *verdicts), (f"taken for {digit} by",)]
    rows.append(("  the classifier itself", *(f"{np.mean(p.argmax(1) == digit):.1%}" for p in before)))
    rows.append(
        ("  the classifier, ink clipped to [0, 1]", *(f"{np.mean(p.argmax(1) == digit):.1%}" for p in after))
    )
    for name, judge in lesson.judges.items():
        rows.append((f"  {name}", *(f"{np.mean(judge(one) == digit):.1%}" for one in flat)))
    rows.append((f"the classifier's p({digit}), median", *(f"{np.median(p[:, digit]):.3f}" for p in before)))
    rows.append(
        ("distance to the nearest training image", *(f"{far:.2f}" for far in distances(columns, lesson)))
    )
    rows.append(("pixels below no ink or above full ink", *(f"{part:.1%}" for part in beyond(columns))))
    return _aligned(rows)


def beyond(columns: dict[str, np.ndarray]) -> list[float]:
    """Share of the pixels of each column that lie outside [0, 1]."""
    return [float(np.mean((own < 0) | (own > 1))) for own in columns.values()]


def distances(columns: dict[str, np.ndarray], lesson: Lesson) -> list[float]:
    """Median of |x - nearest training image| over the clipped images of each column, full ink being 1."""
    clipped = (np.clip(own, 0.0, 1.0).reshape(len(own), -1) for own in columns.values())
    return [float(np.median(lesson.distance(flat))) for flat in clipped]


def draw(path: Path, digit: int, columns: dict[str, np.ndarray], lesson: Lesson) -> None:
    """Real images and draws of each prior in a row each, with their mean and their spread."""
    figure, axes = _panels(len(columns), SHOWN + 2)
    far = dict(zip(columns, distances(columns, lesson), strict=True))
    for line, name in zip(axes, reversed(columns), strict=True):
        _name(line[0], f"{name}\n(distance {far[name]:.1f})")
        _singles(line[:SHOWN], columns[name])
        _moments(line[-2], line[-1], columns[name])
    for place, title in ((SHOWN // 2, "single images"), (-2, "mean"), (-1, "spread")):
        axes[0, place].set_title(title, fontsize=9)
    note = f"Distance: median to the nearest training image. {NOTE}; what lies beyond both is clipped."
    _finish(figure, axes, f"What the classifier takes for the digit {digit}", note, path)


def draw_grid(path: Path, title: str, posterior: np.ndarray, prior: np.ndarray) -> None:
    """Draws (chain, draw, h, w) of one posterior in a grid; beside it mean and spread, before and after."""
    flat = posterior.reshape(-1, *posterior.shape[2:])
    figure, axes = _panels(3, SHOWN + 3)
    _singles(axes[:, :SHOWN].ravel(), flat)
    for line, name, own in ((axes[0], "posterior", flat), (axes[1], "prior", prior)):
        _name(line[-2], name)
        _moments(line[-2], line[-1], own)
    for ax in (*axes[:, -3], *axes[2, -2:]):
        ax.set_visible(False)
    for place, text in ((SHOWN // 2, "single draws"), (-2, "mean"), (-1, "spread")):
        axes[0, place].set_title(text, fontsize=9)
    clipped = float(np.mean((flat < 0) | (flat > 1)))
    note = (
        f"{NOTE}; {clipped:.0%} of the pixels lie beyond both and are shown clipped."
        if clipped
        else f"{NOTE}."
    )
    _finish(figure, axes, title, note, path)


def _panels(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(11.5, 1.06 * rows + 0.95), dpi=120, layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.ravel():
        ax.set_xticks([])
        ax.set_yticks([])
    return figure, axes


def _name(ax: Axes, text: str) -> None:
    ax.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)


def _singles(places: np.ndarray, own: np.ndarray) -> None:
    """Images of `own` evenly from first to last."""
    for ax, k in zip(places, np.linspace(0, len(own) - 1, len(places)).astype(int), strict=True):
        ax.imshow(own[k], cmap=INK, vmin=0.0, vmax=1.0)


def _moments(mean: Axes, spread: Axes, own: np.ndarray) -> None:
    mean.imshow(own.mean(axis=0), cmap=INK, vmin=0.0, vmax=1.0)
    spread.imshow(own.std(axis=0), cmap="viridis", vmin=0.0, vmax=SPREAD_MOST)


def _finish(figure: Figure, axes: np.ndarray, title: str, note: str, path: Path) -> None:
    scale = ScalarMappable(Normalize(0.0, SPREAD_MOST), "viridis")
    figure.colorbar(scale, ax=list(axes[:, -1]), aspect=30)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8, color="#555555")
    figure.savefig(path)


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Cells as text: the first column to the left, the others to the right."""
    width = max(len(row[0]) for row in rows)
    heads = rows[0][1:]
    lines = []
    for row in rows:
        cells = (cell.rjust(len(head)) for cell, head in zip(row[1:], heads, strict=False))
        lines.append("  ".join([row[0].ljust(width), *cells]).rstrip())
    return "\n".join(lines)
