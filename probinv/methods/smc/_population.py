"""Weights of a population: how much they are worth, the next temperature, resampling. On the host."""

import numpy as np


def worth(log_weight: np.ndarray) -> float:
    """(sum w)^2 / sum w^2 (Kish 1965), as a fraction of the number of particles."""
    w = np.exp(log_weight - log_weight.max())
    return float(w.sum() ** 2 / np.sum(w**2) / len(w))


def next_power(fit: np.ndarray, now: float, end: float, keep: float) -> float:
    """The largest b <= end for which the weights exp((b - now) fit) are worth `keep` of the particles.

    For equal weights that is the conditional effective sample size of Zhou, Johansen & Aston 2016,
    arXiv 1303.3123. Found by bisection of log(b - now).
    """
    if worth((end - now) * fit) >= keep:
        return end
    low, high = np.log(np.finfo(float).tiny), np.log(end - now)
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if worth(np.exp(middle) * fit) >= keep else (low, middle)
    return float(now + np.exp(low))


def log_mean_exp(log_weight: np.ndarray) -> float:
    """log of the mean weight."""
    most = log_weight.max()
    return float(most + np.log(np.mean(np.exp(log_weight - most))))


def systematic(log_weight: np.ndarray, uniform: float) -> np.ndarray:
    """Indices after systematic resampling (Kitagawa 1996): each particle n w_i times, rounded at random.

    Args:
        log_weight: (particle,), not normalised.
        uniform: one number, uniform on [0, 1).
    """
    w = np.exp(log_weight - log_weight.max())
    ladder = np.cumsum(w) / w.sum()
    places = (np.arange(len(w)) + uniform) / len(w)
    return np.minimum(np.searchsorted(ladder, places, side="right"), len(w) - 1)
