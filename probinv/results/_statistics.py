"""R-hat and effective sample sizes of many entries, from ArviZ, with NaN where they mean nothing."""

from typing import NamedTuple

import numpy as np

from probinv.results.thresholds import DRAWS_LEAST

TAILS = (0.05, 0.95)


class Statistics(NamedTuple):
    """One number for each entry; NaN for an entry that is constant or not finite.

    Attributes:
        rhat: rank-normalised split R-hat; NaN for one chain.
        ess_bulk: bulk effective sample size.
        ess_tail: the smaller of the effective sample sizes of the 5 and the 95 % quantile.
    """

    rhat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray


def usable(draws: np.ndarray) -> np.ndarray:
    """Which entries of (chain, draw, entry) are finite and not constant.

    ArviZ gives constants an effective sample size equal to the number of draws.
    """
    if draws.shape[0] * draws.shape[1] == 0:
        return np.zeros(draws.shape[2], bool)
    with np.errstate(invalid="ignore"):
        return np.isfinite(draws).all(axis=(0, 1)) & (draws.max(axis=(0, 1)) > draws.min(axis=(0, 1)))


def chain_statistics(draws: np.ndarray) -> Statistics:
    """R-hat, bulk ESS and tail ESS of draws (chain, draw, entry), as in arXiv 1903.08008."""
    from arviz_stats.base import array_stats

    columns = usable(draws)
    result = Statistics(*(np.full(draws.shape[2], np.nan) for _ in Statistics._fields))
    if draws.shape[1] < DRAWS_LEAST or not columns.any():
        return result
    moving = np.ascontiguousarray(np.moveaxis(draws[:, :, columns], 2, 0))
    with np.errstate(all="ignore"):
        if draws.shape[0] > 1:
            result.rhat[columns] = array_stats.rhat(moving)
        result.ess_bulk[columns] = array_stats.ess(moving, method="bulk")
        result.ess_tail[columns] = array_stats.ess(moving, method="tail", prob=TAILS)
    return result


def energy_fraction(energy: np.ndarray) -> np.ndarray:
    """E-BFMI = mean (E_t - E_{t-1})^2 / var E, one for each chain (Betancourt 2016, arXiv 1604.00695)."""
    from arviz_stats.base import array_stats

    with np.errstate(all="ignore"):
        return np.asarray(array_stats.bfmi(energy))
