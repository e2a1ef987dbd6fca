"""R-hat and effective sample sizes of many entries, from ArviZ, with NaN where they mean nothing."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

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


def population_statistics(draws: np.ndarray, ancestors: np.ndarray) -> Statistics:
    """The same of particles: those of one replicate are no series in time, but families of common ancestors.

    R-hat is rank-normalised, folded too, and not split: it compares whole replicates. ESS is var x / s^2 with
    s from `family_error`, of the ranks, and of the indicators of the tails.
    """
    from arviz_stats.base import array_stats

    columns = usable(draws)
    result = Statistics(*(np.full(draws.shape[2], np.nan) for _ in Statistics._fields))
    if draws.shape[1] < DRAWS_LEAST or not columns.any():
        return result
    moving = draws[:, :, columns]
    scores = _scores(moving)
    if draws.shape[0] > 1:
        folded = _scores(np.abs(moving - np.median(moving, axis=(0, 1))))
        both = [array_stats.rhat(np.moveaxis(s, 2, 0), method="identity") for s in (scores, folded)]
        result.rhat[columns] = np.max(both, axis=0)
    result.ess_bulk[columns] = _family_ess(scores, ancestors)
    at = np.quantile(moving, TAILS, axis=(0, 1))
    result.ess_tail[columns] = np.min(
        [_family_ess((moving <= q).astype(float), ancestors) for q in at], axis=0
    )
    return result


def _scores(draws: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks in all chains together, as in arXiv 1903.08008, equation 14."""
    flat = draws.reshape(-1, draws.shape[2])
    ranks = rankdata(flat, axis=0)
    return ndtri((ranks - 3 / 8) / (len(flat) + 1 / 4)).reshape(draws.shape)


def _family_ess(values: np.ndarray, ancestors: np.ndarray) -> np.ndarray:
    error = family_error(values, ancestors)
    total = float(ancestors.size)
    variance = values.var(axis=(0, 1))
    worth = np.divide(variance, error**2, out=np.full(len(error), np.nan), where=error > 0)
    return np.minimum(worth, total)


def family_error(values: np.ndarray, ancestors: np.ndarray) -> np.ndarray:
    """s^2 = F / (F - 1) sum_a (sum_{i of a} (v_i - mean v))^2 / N^2 for each entry.

    v are values (chain, draw, entry); a runs over the F families, the draws of one replicate with a common
    ancestor; N is the number of all draws. It estimates the variance of a particle approximation by its
    genealogy (Chan & Lai 2013, arXiv 1312.5114; Lee & Whiteley 2018, arXiv 1509.00394): draws of one family
    may depend on each other in any way. Its square root is returned; NaN for a single family.
    """
    flat = values.reshape(-1, values.shape[2])
    place = _family(ancestors).ravel()
    count = int(place.max()) + 1
    sums = np.zeros((count, flat.shape[1]))
    np.add.at(sums, place, flat - flat.mean(axis=0))
    with np.errstate(all="ignore"):
        return np.sqrt(np.float64(count) / (count - 1) * (sums**2).sum(axis=0)) / len(flat)


def family_shares(ancestors: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The part of the chosen draws (chain, draw) that each family has."""
    _, sizes = np.unique(_family(ancestors)[chosen], return_counts=True)
    return sizes / sizes.sum()


def _family(ancestors: np.ndarray) -> np.ndarray:
    """The number of its family for each draw; ancestors of different replicates are different."""
    chains, draws = ancestors.shape
    both = np.stack([np.repeat(np.arange(chains), draws), ancestors.ravel()], axis=1)
    return np.unique(both, axis=0, return_inverse=True)[1].reshape(chains, draws)


def energy_fraction(energy: np.ndarray) -> np.ndarray:
    """E-BFMI = mean (E_t - E_{t-1})^2 / var E, one for each chain (Betancourt 2016, arXiv 1604.00695)."""
    from arviz_stats.base import array_stats

    with np.errstate(all="ignore"):
        return np.asarray(array_stats.bfmi(energy))
