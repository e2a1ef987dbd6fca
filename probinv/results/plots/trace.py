"""Traces and ranks of the entries that converged worst."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinv.results.plots._entries import Choice, choose
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import BAD, CHAINS, blank, grid, headline, number, style
from probinv.results.thresholds import DRAWS_LEAST, RHAT_MOST

POINTS_MOST = 500
ENTRIES_MOST = 40


def plot_trace(tree: xr.DataTree | Reading, entries: Choice = None, *, most: int = 4) -> Figure:
    r"""x_i(t) of every chain, and the rank difference F_c(u) - u of every chain c.

    F_c is the distribution function of the ranks that the draws of chain c have among the draws of all chains
    (Säilynoja, Bürkner & Vehtari 2022, arXiv 2103.10522). Chains that agree stay near zero; where they do not
    by ArviZ's multi-chain test, the stretch is marked. A single chain is compared with itself, first half
    against second.

    Args:
        tree: the result of a sampler.
        entries: entry names such as "x[3]", variable names, or column numbers. None: the entries with the
            worst R-hat, those that stand still before all others.
        most: how many entries None may choose.

    Returns:
        One row for every entry, then the log likelihood and the energy. Long chains are thinned to 500 draws.

    Raises:
        InputError: the tree has no posterior, or an entry is not there.
    """
    reading = as_reading(tree)
    picked = choose(reading.draws, entries, "entries", ENTRIES_MOST)
    moving = [k for k in reading.worst if not reading.fixed[k]] or reading.worst
    chosen = moving[:most] if picked is None else picked
    rows = {reading.draws.names[k]: reading.draws.values[..., k] for k in chosen}
    rows |= _sampler_rows(reading)
    with style():
        figure, axes = grid(len(rows), 2, height=0.9 + 1.15 * len(rows), width_ratios=[3, 2])
        step = -(-reading.draws.values.shape[1] // POINTS_MOST)
        for (left, right), (name, values) in zip(axes, rows.items(), strict=True):
            _trace(left, name, values[:, ::step], step, _diverging(reading, step))
            _ranks(right, name, values[:, ::step])
        _tidy(figure, axes)
        headline(figure, _finding(reading), _detail(reading, step))
    return figure


def _sampler_rows(reading: Reading) -> dict[str, np.ndarray]:
    rows: dict[str, np.ndarray] = {}
    if reading.has("log_likelihood"):
        for name, array in reading.tree["log_likelihood"].data_vars.items():
            values = array.transpose("chain", "draw", ...).values
            label = "log likelihood" if not rows else f"log likelihood of {name}"
            rows[label] = values.reshape(*values.shape[:2], -1).sum(axis=-1)
    energy = reading.stat("energy")
    return rows if energy is None else rows | {"energy": energy}


def _diverging(reading: Reading, step: int) -> np.ndarray | None:
    diverging = reading.stat("diverging")
    return None if diverging is None else diverging[:, ::step] > 0


def _trace(axes: Axes, name: str, values: np.ndarray, step: int, diverging: np.ndarray | None) -> None:
    chains, draws = values.shape
    at = np.arange(draws) * step
    for chain in range(chains):
        axes.plot(
            at,
            values[chain],
            color=CHAINS[chain % len(CHAINS)],
            linewidth=0.6,
            alpha=0.7,
            label=f"chain {chain}",
            marker="." if draws < 20 else None,
        )
    if diverging is not None and diverging.any() and diverging.shape == values.shape:
        axes.plot(
            at[np.nonzero(diverging)[1]],
            np.zeros(diverging.sum()),
            "|",
            color=BAD,
            markersize=6,
            transform=axes.get_xaxis_transform(),
            label="divergence",
            clip_on=False,
        )
    axes.set_ylabel(name)
    axes.margins(x=0.01)
    axes.locator_params(axis="y", nbins=4)


def _tidy(figure: Figure, axes: np.ndarray) -> None:
    for row in axes[:-1].flat:
        row.tick_params(labelbottom=False)
    axes[0, 0].set_title("trace")
    axes[0, 1].set_title("rank difference")
    axes[-1, 0].set_xlabel("draw")
    if axes[-1, 1].lines:
        axes[-1, 1].set_xlabel("rank among all draws, as a fraction")
    axes[-1, 0].xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels(axes[:, 0])


def _ranks(axes: Axes, name: str, values: np.ndarray) -> None:
    import arviz_plots as azp  # two seconds that only this plot needs

    chains, draws = values.shape
    if not np.isfinite(values).all():
        return blank(axes, "no ranks: it holds values that are not finite")
    if (values == values[0, 0]).all():
        return blank(axes, f"no ranks: always {number(values[0, 0])}")
    if chains == 1:
        half = draws // 2
        values = values[0, : 2 * half].reshape(2, half)
    if values.shape[1] < DRAWS_LEAST:
        return blank(axes, "no ranks: too few draws")
    dataset = xr.Dataset(
        {name: (("chain", "draw"), values)},
        coords={"chain": range(len(values)), "draw": range(values.shape[1])},
    )
    holder = xr.DataTree.from_dict(
        {
            "/": xr.Dataset({"figure": xr.DataArray(np.array(axes.figure, dtype=object))}),
            "plot": xr.Dataset({name: xr.DataArray(np.array(axes, dtype=object))}),
        }
    )
    collection = azp.PlotCollection(
        dataset,
        viz_dt=holder,
        backend="matplotlib",
        aes={"color": ["chain"], "overlay": ["chain"]},
        color=[CHAINS[k % len(CHAINS)] for k in range(len(values))],
    )
    azp.plot_rank(
        xr.DataTree.from_dict({"posterior": dataset}),
        plot_collection=collection,
        visuals={"title": False, "xlabel": False},
    )
    # ArviZ 1.3 takes no settings for these two
    for text in list(axes.texts):
        text.remove()
    for marks in axes.collections:
        marks.set(color=BAD, sizes=[5.0], label="chains differ")
    axes.axhline(0.0, color="#999999", linewidth=0.8, zorder=0)
    return None


def _finding(reading: Reading) -> str:
    rhat = reading.convergence.rhat
    names, free = reading.draws.names, ~reading.fixed
    chains, draws = reading.draws.values.shape[:2]
    if not free.any():
        return "Every input is fixed: there is nothing to converge"
    if not np.isfinite(reading.draws.flat()).all():
        return "Some draws are not finite: the run failed numerically"
    frozen = (reading.constant | np.isposinf(rhat)) & free
    if frozen.any():
        return f"{frozen.sum()} of {free.sum()} inputs never moved in any chain: these are not draws"
    if chains == 1:
        return "One chain: whether another would agree is not known"
    if draws < DRAWS_LEAST:
        return f"{draws} draws a chain are too few to judge"
    known = free & np.isfinite(rhat)
    top = int(np.flatnonzero(known)[np.argmax(rhat[known])])
    high = int((rhat[known] > RHAT_MOST).sum())
    if high:
        return (
            f"The chains disagree: R-hat is above {RHAT_MOST} for {high} of {known.sum()} inputs "
            f"(worst {rhat[top]:.3f}, {names[top]})"
        )
    return f"The chains agree: the worst R-hat is {rhat[top]:.3f} ({names[top]})"


def _detail(reading: Reading, step: int) -> str:
    chains = reading.draws.values.shape[0]
    right = (
        "the first half of the chain against the second"
        if chains == 1
        else "each chain's ranks against those of all"
    )
    chance = ", as a few of many inputs do by chance" if len(reading.draws.names) > 20 else ""
    thinned = "" if step == 1 else f" One draw in {step} is shown."
    diverging = reading.stat("diverging")
    marks = "" if diverging is None or not diverging.any() else " Red ticks: divergences."
    return (
        f"Left: one colour for each chain.{marks}{thinned} Right: {right}; near zero is good, "
        f"red stretches fail a test at 1 %{chance}."
    )
