"""Marginal against transition energy."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinv._errors import InputError
from probinv.results._statistics import energy_fraction
from probinv.results.plots._entries import require
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import BAD, CHAINS, POSTERIOR, blank, grid, headline, style
from probinv.results.thresholds import BFMI_LEAST, DRAWS_LEAST

BINS = 50


def plot_energy(tree: xr.DataTree | Reading, chains: list[int] | None = None) -> Figure:
    r"""The law of E_t - mean(E) against that of E_t - E_{t-1}, and their ratio of variances for each chain.

    E is the energy of Hamiltonian Monte Carlo. E-BFMI = mean (E_t - E_{t-1})^2 / var E (Betancourt 2016,
    arXiv 1604.00695): where the transitions are much narrower than the marginal, a chain walks through the
    energies slowly and misses the tails.

    Args:
        tree: the result of NUTS or HMC.
        chains: numbers of the chains. None: all.

    Returns:
        Densities at the left, E-BFMI of each chain at the right.

    Raises:
        InputError: the tree has no sample_stats with an energy, or a chain is not there.
    """
    reading = as_reading(tree)
    require(reading.tree, "sample_stats", "energy")
    energy = reading.stat("energy")
    assert energy is not None
    picked = range(len(energy)) if chains is None else chains
    for chain in picked:
        if chain not in range(len(energy)):
            raise InputError(
                f"chains asks for {chain!r}", f"there are {len(energy)}, counted from 0", "name one of them"
            )
    energy = energy[list(picked)]
    with style():
        figure, axes = grid(1, 2, height=3.0, width_ratios=[3, 1.6])
        usable = (
            energy.shape[1] >= DRAWS_LEAST and bool(np.isfinite(energy).all()) and bool(np.ptp(energy) > 0)
        )
        if not usable:
            blank(axes[0, 0], "too few draws, or energies that are constant or not finite")
            blank(axes[0, 1], "no E-BFMI")
            headline(figure, "Nothing can be said about the energy")
            return figure
        fraction = energy_fraction(energy)
        _laws(axes[0, 0], energy)
        _fractions(axes[0, 1], fraction, list(picked))
        headline(
            figure,
            _finding(fraction),
            f"The two laws should be about as wide. E-BFMI below {BFMI_LEAST}: the chain may miss the tails.",
        )
    return figure


def _laws(axes: Axes, energy: np.ndarray) -> None:
    marginal = (energy - energy.mean(axis=1, keepdims=True)).ravel()
    transition = np.diff(energy, axis=1).ravel()
    both = np.concatenate([marginal, transition])
    edges = np.linspace(both.min(), both.max(), BINS + 1)
    axes.hist(marginal, edges, density=True, color=POSTERIOR, alpha=0.45, label="marginal: E minus its mean")
    axes.hist(
        transition,
        edges,
        density=True,
        color="#222222",
        histtype="step",
        linewidth=1.3,
        label="transition: E minus the E before",
    )
    axes.set(xlabel="energy", ylabel="density")
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])
    axes.legend(loc="upper right")


def _fractions(axes: Axes, fraction: np.ndarray, chains: list[int]) -> None:
    at = np.arange(len(chains))[::-1]
    colours = [
        BAD if not value >= BFMI_LEAST else CHAINS[chain % len(CHAINS)]
        for value, chain in zip(fraction, chains, strict=True)
    ]
    axes.hlines(at, 0.0, np.nan_to_num(fraction), color="#dddddd", linewidth=1.0)
    axes.scatter(fraction, at, c=colours, s=35, zorder=3)
    axes.axvline(BFMI_LEAST, color="#333333", linestyle="--", linewidth=1.0)
    few = len(chains) <= 20
    axes.set_yticks(at if few else [], [f"chain {k}" for k in chains] if few else [])
    axes.set_ylim(-0.7, len(chains) - 0.3)
    axes.set_xlim(0.0, max(1.2, 1.1 * float(np.nanmax(fraction))))
    axes.set_xlabel(f"E-BFMI (dashed: at least {BFMI_LEAST})")


def _finding(fraction: np.ndarray) -> str:
    low = int((~(fraction >= BFMI_LEAST)).sum())
    worst = float(np.nanmin(fraction))
    if low:
        many = f"{low} of {len(fraction)} chains move"
        return f"{many} through the energies too slowly (E-BFMI down to {worst:.2f})"
    return f"The energies are explored well: E-BFMI at least {worst:.2f}"
