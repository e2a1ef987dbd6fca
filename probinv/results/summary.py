"""summary: one row of numbers for every entry of x."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from probinv._errors import InputError
from probinv.results._evidence import entries_of
from probinv.results._statistics import chain_statistics, population_statistics

LEVELS = {"q5": 0.05, "q50": 0.50, "q95": 0.95}


def summary(
    tree: xr.DataTree, var_names: str | Sequence[str] | None = None, *, group: str = "posterior"
) -> pd.DataFrame:
    """mean, sd, quantiles, effective sample sizes and R-hat of every entry.

    Args:
        tree: a result of `invert`, or any tree with a group of draws.
        var_names: one variable or several; None is all of them.
        group: the group they are in, for example posterior_predictive for y.

    Returns:
        One row for each entry, such as x[3], with the columns mean, sd, q5, q50, q95 (in the units of the
        entry), ess_bulk, ess_tail, rhat (as in `diagnose`). The last three are NaN where they mean nothing:
        for an entry that is constant or not finite, and R-hat for one chain.

    Raises:
        InputError: the group has no draws, or no variable of that name.
    """
    names = (var_names,) if isinstance(var_names, str) else None if var_names is None else tuple(var_names)
    known = [str(name) for name in tree[group].data_vars] if group in tree.children else []
    missing = [name for name in names or () if name not in known]
    if missing:
        raise InputError(
            f"var_names holds {missing[0]!r}",
            f"{group} has {', '.join(known) or 'no variables'}",
            "name one of them",
        )
    found = entries_of(tree, group, names)
    if found is None or found.draws.size == 0:
        raise InputError(
            f"the tree has no draws in the group {group}",
            f"its groups are {', '.join(tree.children) or 'none'}",
            "for points look at tree['optima']",
        )
    flat = found.draws.reshape(-1, len(found.labels))
    with np.errstate(all="ignore"):
        quantiles = np.quantile(flat, list(LEVELS.values()), axis=0)
        columns = {"mean": flat.mean(axis=0), "sd": flat.std(axis=0, ddof=1) if len(flat) > 1 else np.nan}
    columns |= dict(zip(LEVELS, quantiles, strict=True))
    family = entries_of(tree, "sample_stats", ("ancestor",))
    if family is not None and family.draws.shape[:2] == found.draws.shape[:2]:
        statistics = population_statistics(found.draws, family.draws[..., 0])
    else:
        statistics = chain_statistics(found.draws)
    columns |= {"ess_bulk": statistics.ess_bulk, "ess_tail": statistics.ess_tail, "rhat": statistics.rhat}
    return pd.DataFrame(columns, index=list(found.labels))
