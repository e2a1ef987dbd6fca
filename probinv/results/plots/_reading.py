"""A tree read once: the tables that plots share, and numbers about every entry, computed at most once."""

from functools import cached_property
from typing import Any, final

import numpy as np
import xarray as xr

from probinv._errors import InputError
from probinv.results._evidence import facts_of, gather
from probinv.results._membership import Membership
from probinv.results._statistics import Statistics, chain_statistics, population_statistics
from probinv.results.plots._entries import Entries, entries_of, require, table

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
NORMAL_WIDTH = 3.2897  # 95 % quantile minus 5 % quantile of N(0, 1)
GAIN_LEAST = 0.05  # nats; below it an entry is said to hardly change


@final
class Reading:
    """What plots and the report ask of a tree."""

    def __init__(self, tree: xr.DataTree) -> None:
        if not isinstance(tree, xr.DataTree):
            raise InputError(
                "tree is not a DataTree",
                f"got {type(tree).__name__}",
                "give the result of invert, or of load",
            )
        self.tree = tree
        self.facts: dict[str, Any] = facts_of(tree)

    def has(self, group: str, variable: str | None = None) -> bool:
        """Whether the tree holds the group, and the variable in it."""
        return group in self.tree.children and (variable is None or variable in self.tree[group].data_vars)

    def stat(self, name: str) -> np.ndarray | None:
        """A variable of sample_stats, (chain, draw) as float64, or None."""
        if not self.has("sample_stats", name):
            return None
        return self.tree["sample_stats"][name].transpose("chain", "draw", ...).values.astype(np.float64)

    @cached_property
    def draws(self) -> Entries:
        """The posterior draws of every input entry."""
        entries = entries_of(require(self.tree, "posterior"))
        if entries.values.size == 0:
            raise InputError(
                "the posterior holds no draw", "the run was stopped before its first", "run it again"
            )
        return entries

    @cached_property
    def optima(self) -> Entries:
        """The optima, (1, optimum, entry)."""
        group = require(self.tree, "optima")
        names = [str(name) for name in group.data_vars if f"start_{name}" in group.data_vars]
        return table({name: group[name].values[None] for name in names})

    def optimum_stat(self, name: str) -> np.ndarray | None:
        """A number of every optimum as float64, or None."""
        if not self.has("optima", name):
            return None
        values = self.tree["optima"][name].values
        return values.astype(np.float64)

    @cached_property
    def inputs(self) -> Entries:
        """Draws if there are any, else optima."""
        return self.draws if self.has("posterior") or not self.has("optima") else self.optima

    @cached_property
    def prior(self) -> np.ndarray | None:
        """Prior draws (draw, entry), columns as in `inputs`; NaN for a variable that has none."""
        if not self.has("prior"):
            return None
        group = require(self.tree, "prior")
        named = {name: shape for name, shape in self.inputs.shapes.items() if name in group.data_vars}
        if not named:
            return None
        known = entries_of(group, list(named))
        values = np.full((len(known.flat()), len(self.inputs.names)), np.nan)
        place = {name: k for k, name in enumerate(known.names)}
        column = [place.get(name, -1) for name in self.inputs.names]
        here = np.array(column) >= 0
        values[:, here] = known.flat()[:, np.array(column)[here]]
        return values

    @cached_property
    def quantiles(self) -> np.ndarray:
        """(level, entry) of the posterior draws, at `LEVELS`."""
        return quantiles(self.draws.flat())

    @cached_property
    def prior_quantiles(self) -> np.ndarray:
        """(level, entry) of the prior draws; NaN without a prior."""
        if self.prior is None:
            return np.full((len(LEVELS), len(self.inputs.names)), np.nan)
        return quantiles(self.prior)

    @cached_property
    def narrowing(self) -> np.ndarray:
        """Width of the posterior's central 90 % over that of the prior, per entry; NaN where it has none."""
        posterior = self.quantiles[-1] - self.quantiles[0]
        prior = self.prior_quantiles[-1] - self.prior_quantiles[0]
        return np.divide(posterior, prior, out=np.full_like(posterior, np.nan), where=prior > 0)

    @cached_property
    def shift(self) -> np.ndarray:
        """Posterior minus prior median, in standard deviations of a normal law as wide as the prior."""
        prior = self.prior_quantiles
        width = (prior[-1] - prior[0]) / NORMAL_WIDTH
        return np.divide(
            self.quantiles[2] - prior[2], width, out=np.full_like(width, np.nan), where=width > 0
        )

    @cached_property
    def gain(self) -> np.ndarray:
        """KL(posterior, prior) in nats, of normal laws with these medians and widths: what the wish tells.

        NaN where the prior has no width; inf for an entry that stands still in the posterior only.
        """
        with np.errstate(divide="ignore"):
            return 0.5 * (self.narrowing**2 + self.shift**2 - 1.0) - np.log(self.narrowing)

    @cached_property
    def constant(self) -> np.ndarray:
        """Entries with one value in all draws."""
        flat = self.draws.flat()
        return (flat == flat[0]).all(axis=0)

    @cached_property
    def fixed(self) -> np.ndarray:
        """Entries that are constant on purpose: in the prior too, as far as it is known."""
        if self.prior is None:
            return self.constant
        with np.errstate(invalid="ignore"):
            moves = np.ptp(self.prior, axis=0) > 0
        return self.constant & ~moves

    @cached_property
    def convergence(self) -> Statistics:
        """R-hat, bulk and tail ESS of every entry."""
        if self.ancestors is not None:
            return population_statistics(self.draws.values, self.ancestors)
        return chain_statistics(self.draws.values)

    @cached_property
    def ancestors(self) -> np.ndarray | None:
        """(chain, draw) the ancestor of each draw of a population; None for chains."""
        found = self.stat("ancestor")
        return found if found is not None and found.shape == self.draws.values.shape[:2] else None

    @property
    def unit(self) -> str:
        """What one row of the draws is called."""
        return "chain" if self.ancestors is None else "replicate"

    @cached_property
    def modes(self) -> Membership | None:
        """The modes of the draws; None where they are not finite or do not vary."""
        return gather(self.tree).modes

    @cached_property
    def worst(self) -> list[int]:
        """Columns from the least to the best converged: standing still, NaN, R-hat, ESS; fixed ones last."""
        rhat, bulk = self.convergence.rhat, self.convergence.ess_bulk
        unknown = np.isnan(bulk) & ~self.fixed
        order = np.lexsort((np.nan_to_num(bulk), -np.nan_to_num(rhat, posinf=np.inf), ~unknown, self.fixed))
        return [int(k) for k in order]


def as_reading(tree: "xr.DataTree | Reading") -> Reading:
    """The tree, read; what has been read already stays as it is."""
    return tree if isinstance(tree, Reading) else Reading(tree)


def quantiles(flat: np.ndarray) -> np.ndarray:
    """(level, entry) of the finite values of each column, at `LEVELS`; NaN for a column without any."""
    good = np.isfinite(flat).all(axis=0)
    result = np.full((len(LEVELS), flat.shape[1]), np.nan)
    if good.any():
        result[:, good] = np.quantile(flat[:, good], LEVELS, axis=0)
    for k in np.flatnonzero(~good):
        kept = flat[np.isfinite(flat[:, k]), k]
        if kept.size:
            result[:, k] = np.quantile(kept, LEVELS)
    return result
