"""Many small images on one pair of axes, all on one colour scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage

from probinv._checks import as_array
from probinv._errors import InputError
from probinv.results.plots._style import BAD

GAP = 0.07
LARGEST = 1.3
"""Inches of the longer side of a tile that stands alone."""
TAILS = (0.005, 0.995)


def rows_of(name: str, value: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """Rows (row, entry) of finite numbers, at least one of each, and the shape of one before it was flat."""
    array = as_array(name, value)
    if array.ndim < 2 or array.size == 0:
        raise InputError(
            f"{name} has shape {array.shape}", "a row for each example is needed", "give (rows, ...)"
        )
    return array.reshape(len(array), -1), array.shape[1:]


def image_shape(name: str, own: tuple[int, ...], shape: tuple[int, int] | None) -> tuple[int, int]:
    """(h, w) of one x: as asked for; else its own; else a square; else a strip (1, n).

    Args:
        name: of x, for the message.
        own: the shape of one x in the data.
        shape: as the user gave it.
    """
    size = int(np.prod(own))
    if shape is not None:
        whole = isinstance(shape, tuple | list) and len(shape) == 2 and all(map(_is_length, shape))
        if not whole or shape[0] * shape[1] != size:
            raise InputError(
                f"shape {shape!r} does not fit",
                f"{name} has {size} entries",
                "give two whole numbers (h, w) with h * w of them",
            )
        return int(shape[0]), int(shape[1])
    long = [length for length in own if length > 1]
    if len(long) == 2:
        return long[0], long[1]
    side = round(size**0.5)
    return (side, side) if side > 1 and side * side == size else (1, size)


def _is_length(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value > 0)


def tall(shape: tuple[int, int]) -> float:
    """Height of a tile of width 1: that of square pixels, but never a thread."""
    return float(np.clip(shape[0] / shape[1], 0.3, 2.0))


def pitch(shape: tuple[int, int]) -> float:
    """From one row of tiles to the next, in tiles' widths."""
    return tall(shape) + GAP


def height_of(rows: int, columns: int, shape: tuple[int, int], width: float) -> float:
    """Inches that so many tiles take in height, where they have this width."""
    return rows * pitch(shape) * min(width / columns, LARGEST / min(tall(shape), 1.0))


def gray_scale(values: np.ndarray) -> Normalize:
    """0 to 1 for values that lie there, else all but the outermost 1 % of them."""
    kept = values[np.isfinite(values)]
    if not kept.size or (kept.min() >= 0 and kept.max() <= 1):
        return Normalize(0.0, 1.0)
    low, high = np.quantile(kept, TAILS)
    return Normalize(float(low), float(high) if high > low else float(low) + 1.0)


def even_scale(values: np.ndarray) -> Normalize:
    """As far below 0 as above: all but the largest 0.5 % of |values|."""
    most = float(np.quantile(np.abs(values), TAILS[1])) or float(np.abs(values).max()) or 1.0
    return Normalize(-most, most)


def colours_of(cmap: str) -> Any:
    """matplotlib's colours of that name, with trouble in red; an InputError for a name that it has not."""
    if cmap not in colormaps:
        raise InputError(f"cmap is {cmap!r}", "matplotlib has no colours of that name", 'for example "gray"')
    return colormaps[cmap].with_extremes(bad=BAD)


def draw_tiles(
    axes: Axes,
    images: Sequence[Sequence[np.ndarray]],
    scale: Normalize,
    cmap: str,
    *,
    below: Sequence[float] = (),
) -> None:
    """Rows of images (h, w) as a grid; pixels that are not finite are red.

    Args:
        axes: where. Its x axis counts columns; its ticks are taken away.
        images: rows of the grid, the upper first; the longest says how wide it is.
        scale: colours of all of them.
        cmap: their name.
        below: room under each row, in tiles' widths; none if empty.
    """
    colours = colours_of(cmap)
    shape = images[0][0].shape
    columns = max(len(row) for row in images)
    tops = row_tops(len(images), shape, below)
    for top, row in zip(tops, images, strict=False):
        for column, image in enumerate(row):
            place = (float(column), column + 1 - GAP, float(top) + tall(shape), float(top))
            add_tile(axes, image, scale, colours, place)
    axes.set(xlim=(0, columns - GAP), ylim=(tops[-1] - GAP, 0), xticks=[], yticks=[], frame_on=False)
    axes.set_aspect("equal", anchor="NW")


def add_tile(
    axes: Axes, image: np.ndarray, scale: Normalize, colours: Any, place: tuple[float, float, float, float]
) -> None:
    """An image at (left, right, bottom, top). Not by imshow: it would set the axes' limits for every one."""
    tile = AxesImage(axes, cmap=colours, norm=scale, interpolation="nearest", extent=place)
    tile.set_data(np.ma.masked_invalid(image))
    tile.set_in_layout(False)
    axes.add_image(tile)


def row_tops(rows: int, shape: tuple[int, int], below: Sequence[float] = ()) -> np.ndarray:
    """Where each row of tiles begins, and where the last ends: (rows + 1,)."""
    return np.cumsum([0.0, *(pitch(shape) + (below[k] if below else 0.0) for k in range(rows))])
