"""What is left of an input after the way up and down a network."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from probinv._checks import as_count
from probinv._errors import InputError
from probinv.results.plots._style import WIDTH, grid, headline, number, share, style
from probinv.results.plots._tiles import (
    draw_tiles,
    gray_scale,
    height_of,
    image_shape,
    pitch,
    row_tops,
    rows_of,
    tall,
)

COLUMNS_MOST = 12
CAPTION = 0.3
"""Room for the error under a pair, in tiles' widths."""


def plot_reconstructions(
    x: Any, again: Any, shape: tuple[int, int] | None = None, *, count: int = 24, cmap: str = "gray"
) -> Figure:
    """Pairs of x, above, and its reconstruction, below, from the least to the largest error |x - again|^2.

    Of many rows, pairs are shown evenly over the ranks of the error, the best and the worst among them. The
    share of the variance is 1 - sum |x - again|^2 / sum |x - mean x|^2: what is gained over one picture for
    all.

    Args:
        x: inputs (rows, *x).
        again: what the network made of them, of the same shape or flat.
        shape: (h, w) of one x; None for the shape that x has, or for a square where its size is one.
        count: pairs at most.
        cmap: matplotlib's name of the colours of an image.

    Returns:
        The figure, with the squared error of a row under each pair.

    Raises:
        InputError: arrays that are not finite or do not fit each other, or a shape that does not fit.
    """
    rows, own = rows_of("x", x)
    made, _ = rows_of("again", again)
    if rows.shape != made.shape:
        raise InputError(
            f"again has {made.shape[0]} rows of {made.shape[1]} entries",
            f"x has {rows.shape[0]} of {rows.shape[1]}",
            "give the reconstructions of x",
        )
    size = image_shape("x", own, shape)
    errors = np.sum((rows - made) ** 2, axis=1)
    order = np.argsort(errors, kind="stable")
    chosen = order[
        np.unique(np.linspace(0, len(order) - 1, min(as_count("count", count), len(order))).astype(int))
    ]
    columns = min(COLUMNS_MOST, len(chosen))
    blocks = [chosen[k : k + columns] for k in range(0, len(chosen), columns)]
    tiles = [list(part[block].reshape(-1, *size)) for block in blocks for part in (rows, made)]
    below = [0.0, CAPTION] * len(blocks)
    with style():
        extra = len(blocks) * CAPTION / pitch(size)
        height = height_of(1, columns, size, 0.93 * WIDTH) * (2 * len(blocks) + extra)
        figure, axes = grid(1, 1, height=height + 0.75)
        draw_tiles(axes[0, 0], tiles, gray_scale(rows[chosen]), cmap, below=below)
        tops = row_tops(len(tiles), size, below)
        for k, block in enumerate(blocks):
            for column, row in enumerate(block):
                under = tops[2 * k + 1] + tall(size) + 0.04
                words = number(errors[row])
                axes[0, 0].text(
                    column + 0.46, under, words, ha="center", va="top", fontsize=7.5, color="#444444"
                )
        middle = tops[:-1] + 0.5 * tall(size)
        axes[0, 0].set_yticks(middle, ["x", "again"] * len(blocks))
        axes[0, 0].tick_params(axis="y", length=0)
        headline(figure, _finding(rows, errors), _detail(errors, len(chosen)))
    return figure


def _finding(rows: np.ndarray, errors: np.ndarray) -> str:
    mean, apart = float(errors.mean()), float(np.sum((rows - rows.mean(axis=0)) ** 2, axis=1).mean())
    told = f"mean squared error {number(mean / rows.shape[1])} for each entry, {number(mean)} for each x"
    if len(rows) == 1 or apart == 0:
        return f"{told[0].upper()}{told[1:]}"
    if mean >= apart:
        return f"Worse than one picture for all, the mean of x: {told}"
    return f"{share(1 - mean / apart)} of the variance of x comes back: {told}"


def _detail(errors: np.ndarray, shown: int) -> str:
    many = len(errors)
    if many == 1:
        return "The error is summed over the entries."
    which = "All pairs" if shown == many else f"{shown} of {many} pairs, evenly over the ranks of their error"
    return (
        f"{which}, the least error first; below each its squared error, summed over the entries: "
        f"median {number(float(np.median(errors)))}, largest {number(float(errors.max()))}."
    )
