"""Inputs that are images: draws, mean and standard deviation."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from probinv._checks import as_count
from probinv._errors import InputError
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import BAD, count, grid, headline, number, share, style

COLUMNS, CELL = 6, 1.17


class Images(NamedTuple):
    """Images of one input variable.

    Attributes:
        name: of the variable.
        own: (chain, draw, h, w); optima are one chain.
        prior: (draw, h, w), perhaps none.
        bounds: the prior's bounds over all pixels; NaN where infinite.
        drawn: whether they are draws; else they are optima.
    """

    name: str
    own: np.ndarray
    prior: np.ndarray
    bounds: tuple[float, float]
    drawn: bool


def plot_images(
    tree: xr.DataTree | Reading,
    shape: tuple[int, int] | None = None,
    *,
    variable: str | None = None,
    draws: int = 18,
    cmap: str = "gray",
) -> Figure:
    """x of single draws as images of shape (h, w); above them mean and spread of posterior and prior.

    Draws are taken evenly along each chain, equally many from every chain, no image twice. All images have
    one colour scale (the prior's bounds where it has some), both spreads (standard deviations) have another;
    pixels that are not finite are red.

    Args:
        tree: the result of a sampler, or of a method that gives points: then those are drawn, best first.
        shape: (h, w) with h * w = the size of x; None for an x that has two dimensions longer than 1.
        variable: which input, where there are several; None for the first that fits.
        draws: how many single images.
        cmap: matplotlib's name of the colours of an image.

    Returns:
        The figure.

    Raises:
        InputError: no input is an image, or shape does not fit.
    """
    reading = as_reading(tree)
    images = images_of(reading, shape, variable)
    chosen = distinct(images.own, as_count("draws", draws))
    rows = 1 + -(-len(chosen) // COLUMNS)
    high, wide = images.own.shape[2:]
    with style():
        height = 0.75 + rows * (0.2 + CELL * float(np.clip(high / wide, 0.3, 2.0)))
        figure, axes = grid(rows, COLUMNS, height=height, layout="compressed")
        scale = _scale(images, chosen)
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[], frame_on=False)
        _summary(figure, axes[0], reading, images, scale, cmap)
        for ax, (chain, draw) in zip(axes[1:].flat, chosen, strict=False):
            _show(ax, images.own[chain, draw], scale, cmap, _caption(reading, images, chain, draw))
        figure.colorbar(ScalarMappable(scale, cmap), ax=axes[1:], label="value", aspect=10 * (rows - 1))
        headline(
            figure,
            _finding(images, len(chosen)),
            "Spread: standard deviation. The means have the scale of the single images.",
        )
    return figure


def images_of(reading: Reading, shape: tuple[int, int] | None, variable: str | None) -> Images:
    """The input that is an image; an InputError where there is none."""
    table = reading.inputs
    if variable is not None and variable not in table.shapes:
        raise InputError(
            f"variable {variable!r} is not there", f"there are {', '.join(table.shapes)}", "name one of them"
        )
    first = 0
    for name, own in table.shapes.items():
        size = int(np.prod(own))
        fits = _image_shape(own) if shape is None else (shape if _is_shape(shape, size) else None)
        if fits is not None and variable in (None, name):
            columns = slice(first, first + size)
            prior = np.empty((0, size)) if reading.prior is None else reading.prior[:, columns]
            return Images(
                name,
                table.values[..., columns].reshape(*table.values.shape[:2], *fits),
                prior.reshape(-1, *fits),
                _bounds(reading, name),
                reading.has("posterior"),
            )
        first += size
    shapes = ", ".join(f"{name} has shape {own}" for name, own in table.shapes.items())
    if shape is None:
        raise InputError("no input is an image", shapes, "give shape=(h, w)")
    raise InputError(
        f"shape {shape} does not fit", shapes, "give two whole numbers with h * w = the size of x"
    )


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    long = [length for length in shape if length > 1]
    return (long[0], long[1]) if len(long) == 2 else None


def _is_shape(shape: tuple[int, int], size: int) -> bool:
    whole = len(shape) == 2 and all(isinstance(n, int | np.integer) and n > 0 for n in shape)
    return whole and shape[0] * shape[1] == size


def _bounds(reading: Reading, name: str) -> tuple[float, float]:
    edges = []
    for side, pick in (("lower", np.min), ("upper", np.max)):
        known = reading.has("constant_data", f"{side}_{name}")
        value = float(pick(reading.tree["constant_data"][f"{side}_{name}"].values)) if known else np.nan
        edges.append(value if np.isfinite(value) else np.nan)
    return edges[0], edges[1]


def distinct(own: np.ndarray, most: int) -> list[tuple[int, int]]:
    """(chain, draw) of at most so many different images, as many from every chain, evenly along each."""
    chains, draws = own.shape[:2]
    each = min(-(-most // chains), draws)
    seen: set[bytes] = set()
    found: list[tuple[int, int]] = []
    for place in np.linspace(0, draws - 1, each).astype(int):
        for chain in range(chains):
            draw = int(place)
            while draw < draws and own[chain, draw].tobytes() in seen:
                draw += 1
            if draw < draws and len(found) < most:
                seen.add(own[chain, draw].tobytes())
                found.append((chain, draw))
    return found


def _scale(images: Images, chosen: list[tuple[int, int]]) -> Normalize:
    low, high = images.bounds
    shown = np.stack([images.own[place] for place in chosen]) if chosen else images.prior
    shown = shown[np.isfinite(shown)]
    if np.isnan(low):
        low = float(np.quantile(shown, 0.005)) if shown.size else 0.0
    if np.isnan(high):
        high = float(np.quantile(shown, 0.995)) if shown.size else 1.0
    return Normalize(low, high if high > low else low + 1.0)


def _summary(
    figure: Figure, row: np.ndarray, reading: Reading, images: Images, scale: Normalize, cmap: str
) -> None:
    own = images.own.reshape(-1, *images.own.shape[2:])
    panels = [(own, "posterior")] if images.drawn else []
    panels += [(images.prior, "prior")] if len(images.prior) else []
    widest = max((float(np.nanmax(rows.std(axis=0), initial=0.0)) for rows, _ in panels), default=0.0)
    spread = Normalize(0.0, widest if np.isfinite(widest) and widest > 0 else 1.0)
    for k, (rows, who) in enumerate(panels):
        _show(row[k], rows.mean(axis=0), scale, cmap, f"{who} mean")
        _show(row[len(panels) + k], rows.std(axis=0), spread, "viridis", f"{who} spread")
    figure.colorbar(ScalarMappable(spread, "viridis"), ax=row, label="spread", aspect=10)


def _show(axes: Axes, image: np.ndarray, scale: Normalize, cmap: str, caption: str) -> None:
    from matplotlib import colormaps

    colours = colormaps[cmap].with_extremes(bad=BAD)
    axes.imshow(np.ma.masked_invalid(image), cmap=colours, norm=scale, interpolation="nearest")
    axes.set_title(caption, fontsize=7.5, loc="center", pad=3)


def _caption(reading: Reading, images: Images, chain: int, draw: int) -> str:
    if images.drawn:
        return f"chain {chain}, draw {draw}"
    value = reading.optimum_stat("objective")
    return f"optimum {draw}" if value is None else f"optimum {draw}: {number(value[draw])}"


def _finding(images: Images, shown: int) -> str:
    own = images.own.reshape(-1, *images.own.shape[2:])
    if not images.drawn:
        return f"{count(shown, 'optimum')}, best first, with the log density"
    if not np.isfinite(own).all():
        return "Some draws are not finite: the run failed numerically"
    if shown == 1 or (own == own[0]).all():
        return "Every draw is the same image"
    if (
        len(images.prior)
        and np.isfinite(images.prior).all()
        and (before := images.prior.var(axis=0).mean()) > 0
    ):
        kept = float(np.sqrt(own.var(axis=0).mean() / before))
        return f"{shown} of {len(own)} draws; pixel by pixel they keep {share(kept)} of the prior's spread"
    return f"{shown} of {len(own)} draws"
