"""modes: which draw is in which mode, what each mode weighs, and how well that is known."""

from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
import xarray as xr

from probinv._errors import InputError
from probinv.results._evidence import Evidence, gather
from probinv.results._membership import Membership
from probinv.results.tree import SAMPLED


@final
@dataclass(frozen=True)
class Modes:
    """The modes of the draws of a result, the heaviest first.

    Attributes:
        table: one row for each mode: weight, its standard error, R-hat and effective sample size of the
            membership, and the number of chains that visit it.
        labels: (chain, draw) the mode of each draw.
        shares: (chain, mode) the part of each chain's draws that is in each mode.
        centres: one row for each mode, one column for each entry of x: that draw of the mode which is
            nearest to its mean.
    """

    table: pd.DataFrame
    labels: xr.DataArray
    shares: xr.DataArray
    centres: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    def __str__(self) -> str:
        return self.table.to_string(float_format=lambda value: f"{value:.3g}")


def modes(tree: xr.DataTree) -> Modes:
    """w_k = mean_i [draw i is in mode k], with a standard error from all chains or replicates.

    A mode is a set of draws that a valley parts from the others: along some direction hardly any draw lies
    between them (less than a tenth of what the lower of both has), or every path through the draws leads
    through places with less than a fourth of the density of both peaks. A thin curve, a ring or a heavy tail
    is one mode. The draws are looked at in unconstrained z, or in standardised x where the tree has no z;
    entries with few values are left out.

    FIGURES

    The weights mean something only where chains agree on them: see `diagnose`.

    Args:
        tree: a result of a sampler.

    Returns:
        A table of the modes, the mode of each draw, and a draw in the middle of each mode. One mode where
        no valley was found.

    Raises:
        InputError: the tree has no draws, or none that are finite and vary.
    """
    if not isinstance(tree, xr.DataTree):
        raise InputError(
            "tree is not a DataTree",
            f"got {type(tree).__name__}",
            "give the result of invert, or open a file with probinv.load",
        )
    evidence = gather(tree)
    if evidence.x is None or evidence.x.draws.size == 0:
        raise InputError(
            "the tree has no draws",
            f"its groups are {', '.join(tree.children) or 'none'}",
            "give the result of a sampler; for points look at tree['optima']",
        )
    found = evidence.modes
    if found is None:
        raise InputError(
            "the draws have no modes",
            "they are not finite, all alike, or whole numbers",
            "look at probinv.diagnose(tree)",
        )
    return _described(evidence, found)


def _described(evidence: Evidence, found: Membership) -> Modes:
    assert evidence.x is not None
    table = pd.DataFrame(
        {
            "weight": found.weights,
            "error": found.errors,
            "rhat": found.rhat,
            "ess": found.ess,
            "chains": (found.shares > 0).sum(axis=0),
        },
        index=pd.RangeIndex(found.count, name="mode"),
    )
    flat = evidence.x.draws.reshape(-1, len(evidence.x.labels))
    rows = [flat[found.labels.ravel() == mode] for mode in range(found.count)]
    centres = pd.DataFrame([_centre(one) for one in rows], index=table.index, columns=list(evidence.x.labels))
    labels = xr.DataArray(found.labels, dims=SAMPLED, name="mode")
    return Modes(table, labels, xr.DataArray(found.shares, dims=("chain", "mode"), name="share"), centres)


def _centre(rows: np.ndarray) -> np.ndarray:
    """The row nearest to the mean, in standard deviations: the mean itself may be no answer."""
    scale = rows.std(axis=0)
    away = (rows - rows.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    return rows[int(np.argmin((away**2).sum(axis=1)))]
