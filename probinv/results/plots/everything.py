"""All plots that suit a tree, as files."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from probinv._errors import FileError, InputError
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import png
from probinv.results.plots.convergence import plot_convergence
from probinv.results.plots.energy import plot_energy
from probinv.results.plots.forest import ROWS_MOST, plot_forest
from probinv.results.plots.images import images_of, plot_images
from probinv.results.plots.modes import plot_modes
from probinv.results.plots.optima import plot_optima
from probinv.results.plots.pair import plot_pair
from probinv.results.plots.predictive import plot_predictive
from probinv.results.plots.trace import plot_trace

type Plot = Callable[[], Figure]


def plot_all(
    tree: xr.DataTree | Reading, folder: str | os.PathLike[str], *, shape: tuple[int, int] | None = None
) -> list[Path]:
    """Every plot that suits the tree, as PNG files in a folder that is made if need be.

    Args:
        tree: the result of a sampler, or of a method that gives points.
        folder: where to write; files of the same names there are replaced.
        shape: (h, w) of an input that is an image, as in `plot_images`.

    Returns:
        The paths of those that suit: predictive.png, forest.png, images.png, pair.png, modes.png, optima.png,
        convergence.png, trace.png, energy.png.

    Raises:
        InputError: the tree holds neither draws nor optima, or shape does not fit.
        FileError: the folder cannot be written to.
    """
    reading = as_reading(tree)
    place = Path(folder)
    paths = []
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, figure in figures(reading, shape):
            path, beside = place / f"{name}.png", place / f".{name}.{os.getpid()}.png"
            beside.write_bytes(png(figure))
            os.replace(beside, path)
            paths.append(path)
    except OSError as error:
        raise FileError(
            f"{place} cannot be written to", str(error), "name a folder that you may write to"
        ) from None
    return paths


def figures(reading: Reading, shape: tuple[int, int] | None = None) -> Iterator[tuple[str, Figure]]:
    """(name, figure) of every plot that suits, the answer before the trust; each is closed after its turn."""
    for name, plot in suitable(reading, shape).items():
        with plt.ioff():
            figure = plot()
        try:
            yield name, figure
        finally:
            plt.close(figure)


def suitable(reading: Reading, shape: tuple[int, int] | None = None) -> dict[str, Plot]:
    """Name -> plot, that the tree has the groups for. Bands over pixels say less than images."""
    drawn, points = reading.has("posterior"), reading.has("optima")
    if not drawn and not points:
        raise InputError(
            "there is nothing to draw",
            "the tree has neither posterior nor optima",
            "use a tree made by invert",
        )
    outputs = any(reading.has(group, "y") for group in ("posterior_predictive", "prior_predictive", "optima"))
    pictured, many = _has_images(reading, shape), len(reading.inputs.names) > ROWS_MOST
    plots: dict[str, tuple[bool, Plot]] = {
        "predictive": (outputs, lambda: plot_predictive(reading)),
        "forest": (drawn and not (pictured and many), lambda: plot_forest(reading)),
        "images": (pictured, lambda: plot_images(reading, shape)),
        "pair": (True, lambda: plot_pair(reading)),
        "modes": (
            drawn and reading.modes is not None and reading.modes.count > 1,
            lambda: plot_modes(reading),
        ),
        "optima": (points, lambda: plot_optima(reading)),
        "convergence": (drawn, lambda: plot_convergence(reading)),
        "trace": (drawn, lambda: plot_trace(reading)),
        "energy": (
            drawn and reading.has("sample_stats", "energy") and reading.ancestors is None,
            lambda: plot_energy(reading),
        ),
    }
    return {name: plot for name, (suits, plot) in plots.items() if suits}


def _has_images(reading: Reading, shape: tuple[int, int] | None) -> bool:
    try:
        images_of(reading, shape, None)
    except InputError:
        if shape is not None:
            raise
        return False
    return True
