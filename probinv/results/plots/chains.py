"""One chain of a machine over time, beside the free energies of all."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinv._checks import as_count
from probinv._errors import InputError
from probinv.results.plots._imagined import Imagined, imagined_of, meeting, places_of
from probinv.results.plots._reading import Reading
from probinv.results.plots._style import CHAINS, WIDTH, blank, grid, headline, style
from probinv.results.plots._tiles import GAP, add_tile, colours_of, gray_scale, tall

POINTS_MOST = 1000
LINES_MOST = 20
INSIDE = 0.9 * WIDTH
"""Inches between the ends of the strip."""


def plot_chains(
    tree: xr.DataTree | Reading,
    label: Any = None,
    shape: tuple[int, int] | None = None,
    *,
    chain: int | None = None,
    frames: int = 16,
    cmap: str = "gray",
) -> Figure:
    """x_t of one chain as a film strip, and under it the free energy F(t) of all chains with R-hat and ESS.

    Each picture stands over the draw that it shows, marked by a dot.

    Args:
        tree: the result of `imagine`.
        label: whose chains; None for the label whose chains agree least.
        shape: (h, w) of one x; None for the shape that x has, or for a square where its size is one.
        chain: the one of the strip; None for the one whose mean free energy lies farthest from the others.
        frames: pictures in the strip.
        cmap: matplotlib's name of the colours of an image.

    Returns:
        The figure. Long chains are thinned to 1000 draws, and of many chains 20 are drawn.

    Raises:
        InputError: a tree that `imagine` did not make, a label or a chain that it does not hold, or a shape
            that does not fit.
    """
    found = imagined_of(tree, shape)
    place = _worst(found) if label is None else places_of(found, [label])[0]
    energy = found.energy[:, :, place]
    shown = _farthest(energy) if chain is None else _chain(chain, len(energy))
    draws = energy.shape[1]
    # the middle of as many equal stretches, so that a picture stands over its stretch
    at = ((np.arange(min(as_count("frames", frames), draws)) + 0.5) * draws / min(frames, draws)).astype(int)
    size = found.x.shape[3:]
    strip = INSIDE / max(len(at), 5) * tall(size)
    with style():
        figure, axes = grid(2, 1, height=1.2 * strip + 3.2, height_ratios=[1.2 * strip, 2.3])
        _film(axes[0, 0], found.x[shown, at, place], cmap)
        _energies(axes[1, 0], energy, shown, at)
        headline(figure, _finding(found, place), _detail(found, place, shown))
    return figure


def _worst(found: Imagined) -> int:
    """The label with the largest R-hat, then the least ESS; what cannot be judged comes first."""
    rhat, ess = found.found.rhat, found.found.ess_bulk
    return int(np.lexsort((np.nan_to_num(ess), -np.nan_to_num(rhat, nan=np.inf), ~np.isnan(ess)))[0])


def _farthest(energy: np.ndarray) -> int:
    """The chain whose mean is farthest from the median of the chains' means."""
    with np.errstate(all="ignore"):
        means = energy.mean(axis=1)
        return int(np.argmax(np.nan_to_num(np.abs(means - np.median(means)), nan=np.inf)))


def _chain(chain: Any, many: int) -> int:
    whole = isinstance(chain, int | np.integer) and not isinstance(chain, bool)
    if not whole or not 0 <= chain < many:
        raise InputError(
            f"there is no chain {chain!r}", f"there are {many}, counted from 0", "name one of them"
        )
    return int(chain)


def _film(axes: Axes, images: np.ndarray, cmap: str) -> None:
    """The pictures side by side over the whole width, so that x counts stretches of the chain."""
    colours, scale, many = colours_of(cmap), gray_scale(images), max(len(images), 1)
    high = tall(images.shape[1:])
    for k, image in enumerate(images):
        add_tile(axes, image, scale, colours, (k + GAP / 2, k + 1 - GAP / 2, 0.0, high))
    axes.set(xlim=(0, many), ylim=(0, high), xticks=[], yticks=[], frame_on=False)
    axes.set_box_aspect(high / many if many >= 5 else None)
    axes.set_anchor("S")


def _energies(axes: Axes, energy: np.ndarray, shown: int, at: np.ndarray) -> None:
    chains, draws = energy.shape
    if not np.isfinite(energy).any():
        blank(axes, "no free energy that is finite")
        return
    step = -(-draws // POINTS_MOST)
    others = [
        k for k in np.unique(np.linspace(0, chains - 1, min(chains, LINES_MOST)).astype(int)) if k != shown
    ]
    for k in [*others, shown]:
        own = k == shown
        axes.plot(
            np.arange(0, draws, step),
            energy[k, ::step],
            color=CHAINS[k % len(CHAINS)],
            linewidth=1.5 if own else 0.7,
            alpha=1.0 if own else 0.6,
            marker="." if draws < 20 else None,
            label=f"chain {k}" + (", pictured" if own else ""),
        )
    axes.plot(
        at, energy[shown, at], "o", color=CHAINS[shown % len(CHAINS)], markersize=5, markeredgecolor="white"
    )
    axes.set(xlabel="draw", ylabel="free energy, nats", xlim=(-0.5, draws - 0.5))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 1.02), ncols=4) if chains <= 8 else None
    if chains <= 8:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.22 * (high - low))


def _finding(found: Imagined, place: int) -> str:
    whose = f" of label {found.labels[place]}" if found.labels else ""
    return f"The chains{whose} {meeting(found, place)}"


def _detail(found: Imagined, place: int, shown: int) -> str:
    chains = found.energy.shape[0]
    few = f" {min(chains, LINES_MOST)} of {chains} chains are drawn." if chains > LINES_MOST else ""
    return (
        f"Above: chain {shown}, each picture over the stretch of draws from whose middle it is (dots).{few}"
    )
