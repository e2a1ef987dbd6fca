"""Levels, resampling and what a product of fractions is worth: arithmetic on the host."""

import math
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """P(wish) from independent replicates.

    Attributes:
        log: log of the mean over the replicates; -inf where all are zero.
        error: standard error of P relative to P, which is that of log P where it is small.
    """

    log: float
    error: float


def next_level(margin: np.ndarray, previous: float, fraction: float) -> float | None:
    """The largest level <= 0 that at least `fraction` of the margins reach, and higher than the previous one.

    Where more than that fraction sits on the previous level (outputs that saturate), the next higher value;
    None where nothing lies higher. NaN counts as outside.
    """
    known = np.where(np.isnan(margin), -np.inf, margin)
    level = np.sort(known)[len(known) - math.ceil(fraction * len(known))]
    if level > previous:
        return float(min(level, 0.0))
    higher = known[known > previous]
    return float(min(higher.min(), 0.0)) if higher.size else None


def family_variance(ancestor: np.ndarray) -> float:
    r"""\sum_a s_a^2 - 1/N, times N / (N - 1): variance of P from one replicate, relative to P^2.

    s_a is the share of the last population that descends from particle a of the first. The particles of the
    first are independent, and the resampling leaves E[s_a] = 1/N, so the spread of the shares is the variance
    of the product of fractions, the correlations that the moves leave included (Lee & Whiteley 2018, arXiv
    1509.00394; here without their term for multinomial resampling).
    """
    count = len(ancestor)
    shares = np.bincount(ancestor, minlength=count) / count
    if count == 1:
        return math.nan
    # not below 0 by rounding, where every family has its one particle
    return max(float((np.sum(shares**2) - 1 / count) * count / (count - 1)), 0.0)


def combined(log_replicates: np.ndarray, variances: np.ndarray) -> Estimate:
    """log mean_r P_r, and the larger of the standard errors between and within the replicates.

    Between: the spread of the P_r, which for a handful of replicates is itself known to a third only.
    Within: sqrt(mean_r V_r (P_r / P)^2 / R) from the families.
    """
    if not np.isfinite(log_replicates).any():
        return Estimate(-math.inf, math.nan)
    top = log_replicates.max()
    ratio = np.exp(log_replicates - top)
    count, mean = len(ratio), float(ratio.mean())
    within = float(np.sqrt(np.sum(np.where(ratio > 0, variances, 0.0) * ratio**2)) / count / mean)
    between = float(ratio.std(ddof=1) / math.sqrt(count) / mean) if count > 1 else 0.0
    return Estimate(float(top + math.log(mean)), max(within, between))
