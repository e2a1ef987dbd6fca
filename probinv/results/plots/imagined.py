"""What a machine imagines: a row of pictures for each label."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinv._checks import as_count
from probinv.results.plots._imagined import Imagined, imagined_of, meeting, places_of
from probinv.results.plots._reading import Reading
from probinv.results.plots._style import BAD, WIDTH, grid, headline, style
from probinv.results.plots._tiles import draw_tiles, gray_scale, height_of, row_tops, tall
from probinv.results.thresholds import IMAGINED_ESS_LEAST, IMAGINED_RHAT_MOST

ROWS_MOST = 20
TILES_WIDTH = 0.74 * WIDTH
"""What is left for the tiles beside the words at both ends of a row."""


class _Row(NamedTuple):
    """A row of pictures: its name, the images, and the label's place."""

    name: str
    images: list[np.ndarray]
    place: int


def plot_imagined(
    tree: xr.DataTree | Reading,
    shape: tuple[int, int] | None = None,
    *,
    labels: Any = None,
    count: int = 12,
    cmap: str = "gray",
) -> Figure:
    """x of late draws of different chains as images of shape (h, w), a row for each label.

    Draws are from the second half of the chains, as many of each, side by side. Without labels a row is a
    chain. At the right, R-hat and ESS of the free energy of that label, red where the chains have not met;
    the title is the tree's own verdict.

    Args:
        tree: the result of `imagine`.
        shape: (h, w) of one x; None for the shape that x has, or for a square where its size is one.
        labels: which, in this order; None for the first 20.
        count: images in a row.
        cmap: matplotlib's name of the colours of an image.

    Returns:
        The figure.

    Raises:
        InputError: a tree that `imagine` did not make, a label that it does not hold, or a shape that does
            not fit.
    """
    found = imagined_of(tree, shape)
    chosen = late(found.x.shape[0], found.x.shape[1], as_count("count", count))
    rows = _rows(found, labels, chosen, count)
    size = found.x.shape[3:]
    shown = [row.images for row in rows]
    with style():
        figure, axes = grid(1, 1, height=height_of(len(rows), len(shown[0]), size, TILES_WIDTH) + 0.95)
        draw_tiles(axes[0, 0], shown, gray_scale(np.stack(shown)), cmap)
        _name(axes[0, 0], rows, found)
        if found.labels:
            _heads(axes[0, 0], [chain for chain, _ in chosen])
        headline(figure, _finding(found), _detail(found, rows))
    return figure


def late(chains: int, draws: int, most: int) -> list[tuple[int, int]]:
    """(chain, draw) of at most so many draws, from the second half, as many of each chain, chain by chain."""
    used = np.unique(np.linspace(0, chains - 1, min(chains, most)).astype(int))
    each = min(most // len(used), draws - draws // 2)
    at = np.linspace(draws - 1, draws // 2, each).astype(int)[::-1]
    return [(int(chain), int(draw)) for chain in used for draw in at]


def _rows(found: Imagined, labels: Any, chosen: list[tuple[int, int]], count: int) -> list[_Row]:
    if labels is not None or found.labels:
        places = list(range(len(found.labels)))[:ROWS_MOST] if labels is None else places_of(found, labels)
        return [
            _Row(found.labels[place], [found.x[chain, draw, place] for chain, draw in chosen], place)
            for place in places
        ]
    chains, draws = found.x.shape[:2]
    used = np.unique(np.linspace(0, chains - 1, min(chains, ROWS_MOST)).astype(int))
    at = [draw for _, draw in late(1, draws, count)]
    return [_Row(f"chain {chain}", [found.x[chain, draw, 0] for draw in at], 0) for chain in used]


def _name(axes: Axes, rows: list[_Row], found: Imagined) -> None:
    """The labels at the left, and how their chains fare at the right."""
    shape = found.x.shape[3:]
    middle = row_tops(len(rows), shape)[:-1] + 0.5 * tall(shape)
    axes.set_yticks(middle, [row.name for row in rows])
    axes.tick_params(axis="y", length=0, labelsize=9 if found.labels else 8)
    if not found.labels:
        return
    for height, row in zip(middle, rows, strict=True):
        axes.text(
            1.01,
            height,
            found.words(row.place),
            color="#444444" if found.agree(row.place) else BAD,
            fontsize=7.5,
            va="center",
            transform=axes.get_yaxis_transform(),
        )


def _heads(axes: Axes, chains: list[int]) -> None:
    """The number of the chain over its columns."""
    for chain in sorted(set(chains)):
        columns = [k for k, own in enumerate(chains) if own == chain]
        words = f"chain {chain}" if len(columns) > 1 or len(chains) <= 8 else str(chain)
        axes.text(
            np.mean(columns) + 0.5, -0.06, words, ha="center", va="bottom", fontsize=7.5, color="#444444"
        )


def _finding(found: Imagined) -> str:
    if not np.isfinite(found.x).all():
        return "Some imagined draws are not finite: the machine failed numerically"
    if found.verdict:
        reason = f" {found.reason[0].upper()}{found.reason[1:]}" if found.reason else ""
        return f"{found.verdict[0].upper()}{found.verdict[1:]}.{reason}"
    many = found.energy.shape[2]
    if many == 1:
        return f"The chains {meeting(found, 0)}"
    apart = sum(not found.agree(place) for place in range(many))
    if apart:
        return f"The chains of {apart} of {many} labels have not met, or hold few independent draws"
    return (
        f"The chains of every label agree: R-hat of the free energy is at most {found.found.rhat.max():.3f}"
    )


def _detail(found: Imagined, rows: list[_Row]) -> str:
    many, draws = len(found.labels), found.x.shape[1]
    if not found.labels:
        what = f"A row is a chain, early to late draws of the second half of {draws}; {found.words(0)}."
        return what if len(rows) == len(found.x) else f"{what} {len(rows)} of {len(found.x)} chains."
    which = "" if len(rows) == many else f" {len(rows)} of {many} labels are shown."
    return (
        f"A row is a label, its draws from the second half of {draws} of each chain.{which} "
        f"Right: R-hat and ESS of the free energy, red above {IMAGINED_RHAT_MOST} or below "
        f"{IMAGINED_ESS_LEAST}. Whether the pictures are recognised as their label is another question."
    )
