"""The picture of `bench layers`: who reaches, how many different answers, in how many seconds."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAYS = ("layers", "layers, polished", "gradient", "NUTS", "lifted")
HEADS = ("layers", "layers,\npolished", "gradient", "NUTS", "lifted")
COLOURS = ("#999933", "#009e73", "#cc79a7", "#0072b2", "#882255")

LOOK = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "font.size": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
}


def layers_picture(figures: dict[str, Any]) -> "Figure":
    """One row for each network: targets reached by each way, CPU seconds a target; free dimensions beside it.

    Args:
        figures: those of `bench_layers`, as they are in its JSON file.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(9.0, 1.6 + 0.3 * len(figures)), dpi=100, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
        _reached(left, figures)
        _seconds(right, figures)
        left.set_yticks(range(len(figures)), [_label(name, found) for name, found in figures.items()])
        left.set_ylim(len(figures) - 0.4, -0.6)
    return figure


def _label(name: str, found: dict[str, Any]) -> str:
    return f"{name}   {found['inputs']} to {found['outputs']}, {found['dimension']:g} free"


def _reached(axes: "Axes", figures: dict[str, Any]) -> None:
    """A bar as long as the share of targets reached; in it the share, and the number of distinct answers."""
    for row, found in enumerate(figures.values()):
        for column, way in enumerate(WAYS):
            one = found["ways"].get(way)
            if one is None:
                text = "no inverse" if way.startswith("layers") else "not run"
                axes.text(column, row, text, ha="center", va="center", color="#999999", fontsize=7)
                continue
            share = one["reached"]
            axes.barh(row, 0.84, left=column - 0.42, height=0.74, color="#eeeeee")
            axes.barh(row, 0.84 * share, left=column - 0.42, height=0.74, color=COLOURS[column], alpha=0.45)
            many = f", {one['distinct']:.0f}" if share else ""
            axes.text(column, row, f"{share:.0%}{many}", ha="center", va="center", fontsize=7)
    axes.set_xticks(range(len(WAYS)), HEADS)
    axes.set_xlim(-0.5, len(WAYS) - 0.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("targets reached, and distinct answers among 32")


def _seconds(axes: "Axes", figures: dict[str, Any]) -> None:
    for way, colour in zip(WAYS, COLOURS, strict=True):
        points = [(f["ways"][way]["seconds"], k) for k, f in enumerate(figures.values()) if way in f["ways"]]
        x, y = zip(*points, strict=True) if points else ((), ())
        axes.plot(x, y, "o", color=colour, markersize=5, markeredgecolor="white", label=way)
    axes.set_xscale("log")
    axes.grid(axis="y", color="#eeeeee")
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.set_xlabel("CPU seconds a target, without compiling")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handletextpad=0.2, columnspacing=0.8)
