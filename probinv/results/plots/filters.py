"""What the hidden units of a machine look for: their incoming weights as pictures."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from probinv._checks import as_count
from probinv._errors import InputError
from probinv.results.plots._style import POSTERIOR, PRIOR, WIDTH, count, grid, headline, number, share, style
from probinv.results.plots._tiles import draw_tiles, even_scale, height_of, image_shape, rows_of, tall

COLOURS = "PRGn"
USED_LEAST = 0.1
"""Of the largest norm: a unit with less hardly listens to its inputs."""
COLUMNS_MOST = 30
TILES_WIDTH = 0.6 * WIDTH


def plot_filters(
    filters: Any, shape: tuple[int, int] | None = None, *, count: int = 100, layer: int = 0
) -> Figure:
    """The rows w_j of incoming weights as images of shape (h, w), the largest norm |w_j| first.

    All have one colour scale, symmetric about 0: purple weights forbid, green ones ask for, white ones ignore
    the input. At the right the norms of all units, in the order of the pictures.

    Args:
        filters: weights (units, inputs) such as `boltzmann.views.filters` gives, or what they are to be taken
            from: a `Machine`, an `RBM`, a `DBN` or its stack, a `Layered` network. Weights of label units are
            left out.
        shape: (h, w) with h * w = inputs; None: a square where the number of inputs is one, else a strip.
        count: how many units at most.
        layer: which layer, where there are several, 0 the first.

    Returns:
        The figure.

    Raises:
        InputError: no weights, weights that are not finite, no such layer, or a shape that does not fit.
    """
    most = as_count("count", count)
    weights, own = _weights_of(filters, layer)
    place = image_shape("a row of filters", own, shape)
    norms = np.linalg.norm(weights, axis=1)
    order = np.argsort(-norms, kind="stable")
    chosen = weights[order[:most]].reshape(-1, *place)
    columns = _columns(len(chosen), place)
    rows = [list(chosen[k : k + columns]) for k in range(0, len(chosen), columns)]
    scale = even_scale(chosen)
    with style():
        height = max(height_of(len(rows), columns, place, TILES_WIDTH), 1.6) + 1.0
        figure, axes = grid(1, 2, height=height, width_ratios=[4, 1.15])
        draw_tiles(axes[0, 0], rows, scale, COLOURS)
        bar = ScalarMappable(scale, COLOURS)
        figure.colorbar(
            bar, ax=axes[0, 0], label="weight", location="left", aspect=25, shrink=0.7, panchor=False
        )
        if len(norms) == 1:
            axes[0, 1].set_visible(False)
        else:
            _norms(axes[0, 1], norms[order], len(chosen))
        headline(figure, _finding(norms), _detail(len(chosen), len(norms)))
    return figure


def _weights_of(source: Any, layer: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Weights (units, inputs), and the shape of one row."""
    from probinv.boltzmann import views
    from probinv.boltzmann.labels import label_units
    from probinv.boltzmann.machine import Machine
    from probinv.forward import Layered

    for name in ("machine_", "stack_"):
        source = getattr(source, name, source)
    if hasattr(source, "top") and hasattr(source, "layers"):  # a stack: directed layers under a machine
        as_count("layer", layer, least=0)
        if layer > len(source.layers):
            raise InputError(
                f"there is no layer {layer}", f"the stack has {len(source.layers) + 1}", "count from 0"
            )
        if layer < len(source.layers):
            return rows_of("filters", np.asarray(source.layers[layer].up_weight).T)
        source, layer = source.top, 0
    if isinstance(source, Machine | Layered):
        found = views.filters(source, layer)
        labels = label_units(source.visible) if isinstance(source, Machine) else None
        return rows_of("filters", found[:, : found.shape[1] - (labels.size if labels else 0)])
    return rows_of("filters", source)


def _columns(many: int, shape: tuple[int, int]) -> int:
    """Enough for a grid about as wide as high."""
    return int(np.clip(np.ceil(np.sqrt(1.3 * many * tall(shape))), 1, min(COLUMNS_MOST, many)))


def _norms(axes: Axes, norms: np.ndarray, shown: int) -> None:
    at = np.arange(1, len(norms) + 1)
    mark = "." if len(norms) <= 30 else None
    axes.plot(at, norms, color=PRIOR, marker=mark)
    axes.plot(at[:shown], norms[:shown], color=POSTERIOR, linewidth=2.2, marker=mark)
    axes.axhline(USED_LEAST * norms[0], color="#333333", linestyle="--", linewidth=0.8)
    axes.set(xlabel="unit, by norm", ylabel="norm of its weights")
    axes.set_ylim(0.0, 1.05 * norms[0] or 1.0)
    axes.set_xlim(0.5, len(norms) + 0.5)
    axes.locator_params(nbins=4)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if axes.get_position().height > axes.get_position().width * 3:
        axes.set_box_aspect(1.8)
        axes.set_anchor("N")


def _finding(norms: np.ndarray) -> str:
    many = len(norms)
    largest = float(norms.max())
    if largest == 0:
        return f"All weights of {count(many, 'unit')} are zero"
    if many == 1:
        return f"One unit, whose weights have norm {number(largest)}"
    limit = share(USED_LEAST)
    idle = int((norms < USED_LEAST * largest).sum())
    if idle:
        return f"{idle} of {many} units hardly listen: weights with a norm below {limit} of the largest"
    return (
        f"All {many} units are in use: the weakest has {share(float(norms.min()) / largest)} "
        "of the strongest one's norm"
    )


def _detail(shown: int, many: int) -> str:
    which = "All" if shown == many else f"The {shown} strongest of {many}"
    colours = "Green: asks for the input; purple: forbids it"
    if many == 1:
        return f"{colours}."
    return (
        f"{which} units, the largest norm first. {colours}; one scale. "
        f"Right: blue are those shown, dashed {share(USED_LEAST)} of the largest."
    )
