"""How much each mode weighs, how well that is known, and whether chains agree on it."""

from dataclasses import dataclass
from typing import final

import numpy as np

from probinv.results._clusters import clusters
from probinv.results._statistics import family_error, family_shares, usable
from probinv.results.thresholds import MODE_RHAT_APART, MOVEMENT_LEAST


@final
@dataclass(frozen=True)
class Membership:
    """The modes of the draws; mode 0 is the heaviest.

    Attributes:
        labels: (chain, draw) the mode of each draw.
        shares: (chain, mode) the part of each chain's draws.
        errors: (mode,) standard errors of the weights.
        rhat: (mode,) R-hat of I_k = [the draw is in mode k]: split, or between whole replicates; inf where
            each chain is in one mode only, NaN for one replicate.
        ess: (mode,) w (1 - w) / error^2, at most the number of draws.
        families: (mode,) 1 / sum p_a^2 with p_a the part of a mode that descends from ancestor a; NaN
            without ancestors.
        crossings: how often a chain goes from one mode to another; no meaning for a population.
        movement: min over entries of E (x_t - x_{t-1})^2 / (2 var x) within modes: 1 for independent draws;
            where it is small, a set may be a place that a chain has not left, and not a mode.
    """

    labels: np.ndarray
    shares: np.ndarray
    errors: np.ndarray
    rhat: np.ndarray
    ess: np.ndarray
    families: np.ndarray
    crossings: int
    movement: float

    @property
    def weights(self) -> np.ndarray:
        """(mode,) the part of all draws."""
        return self.shares.mean(axis=0)

    @property
    def count(self) -> int:
        """Number of modes."""
        return self.shares.shape[1]

    @property
    def apart(self) -> np.ndarray:
        """(mode,) whether chains sit apart. Replicates are independent: their difference is an error only."""
        # written so that NaN counts as bad: NaN > 1.1 is False
        return ~(self.rhat <= MODE_RHAT_APART) & np.isnan(self.families)

    @property
    def settled(self) -> bool:
        """Whether draws move within the modes, so that these are more than places of single chains."""
        return not self.movement < MOVEMENT_LEAST


def membership(
    draws: np.ndarray, *, scaled: bool = False, ancestors: np.ndarray | None = None
) -> Membership | None:
    """The modes of draws (chain, draw, n), or None where draws are not finite or do not vary.

    The error of a weight is sqrt(w (1 - w) / ESS) with the effective sample size of I_k over all chains
    (arXiv 1903.08008), which knows the variance between chains. Draws of a population are no series in time:
    there it is the larger of the standard deviation between replicates over sqrt(replicates) and of the
    error by families of common ancestors (`family_error`).

    Args:
        draws: unconstrained, in the units of their prior.
        scaled: divide each entry by its standard deviation first.
        ancestors: (chain, draw) the particle of the first population that a draw descends from.
    """
    if draws.size == 0 or not np.isfinite(draws).all():
        return None
    keep = usable(draws) & ~_discrete(draws)
    if not keep.any():
        return None
    draws = draws[:, :, keep]
    labels = clusters(draws / draws.std(axis=(0, 1)) if scaled else draws)
    member = np.moveaxis(labels[:, :, None] == np.arange(labels.max() + 1), 2, 0).astype(float)
    shares = member.mean(axis=2).T
    rhat, errors = agreement(member, ancestors)
    variance = shares.mean(axis=0) * (1 - shares.mean(axis=0))
    worth = np.divide(variance, errors**2, out=np.full(len(errors), np.inf), where=errors > 0)
    return Membership(
        labels=labels,
        shares=shares,
        errors=errors,
        rhat=rhat,
        ess=np.minimum(worth, labels.size),
        families=_families(member, ancestors),
        crossings=int((labels[:, 1:] != labels[:, :-1]).sum()),
        movement=_movement(draws, labels),
    )


def _discrete(draws: np.ndarray) -> np.ndarray:
    """Which entries have far fewer values than there are draws, or whole numbers only: all gaps are empty."""
    flat = draws.reshape(-1, draws.shape[2])
    some = flat[np.linspace(0, len(flat) - 1, min(len(flat), 500)).astype(int)]
    values = 1 + (np.diff(np.sort(some, axis=0), axis=0) > 0).sum(axis=0)
    rows = len(np.unique(some, axis=0))
    return (2 * values < rows) | (some == np.round(some)).all(axis=0)


def agreement(member: np.ndarray, ancestors: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """R-hat and the standard error of the mean of indicators (mode, chain, draw)."""
    if len(member) == 1:
        return np.ones(1), np.zeros(1)
    with np.errstate(all="ignore"):
        return _of_chains(member) if ancestors is None else _of_replicates(member, ancestors)


def _of_chains(member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from arviz_stats.base import array_stats

    _, chains, draws = member.shape
    # one chain: its halves are compared, as for the entries of x
    parts = member if chains > 1 else np.moveaxis(_halves(member[:, 0]), 0, 1)
    weight = member.mean(axis=(1, 2))
    worth = np.minimum(np.asarray(array_stats.ess(member, method="mean")), chains * draws)
    return np.asarray(array_stats.rhat(parts, method="split")), np.sqrt(weight * (1 - weight) / worth)


def _halves(series: np.ndarray) -> np.ndarray:
    half = series.shape[1] // 2
    return np.stack([series[:, :half], series[:, -half:]])


def _of_replicates(member: np.ndarray, ancestors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from arviz_stats.base import array_stats

    error, chains = family_error(np.moveaxis(member, 0, 2), ancestors), member.shape[1]
    if chains == 1:
        return np.full(len(member), np.nan), error
    between = member.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(chains)
    return np.asarray(array_stats.rhat(member, method="identity")), np.maximum(between, error)


def _families(member: np.ndarray, ancestors: np.ndarray | None) -> np.ndarray:
    """The effective number of ancestors of each mode, those of different replicates being different."""
    if ancestors is None:
        return np.full(len(member), np.nan)
    return np.array([1 / (family_shares(ancestors, one > 0) ** 2).sum() for one in member])


def _movement(draws: np.ndarray, labels: np.ndarray) -> float:
    """min over entries of E (x_t - x_{t-1})^2 / (2 var x), both within modes."""
    if draws.shape[1] < 2:
        return 1.0
    stays = labels[:, 1:] == labels[:, :-1]
    spread = np.zeros(draws.shape[2])
    for mode in range(labels.max() + 1):
        here = draws[labels == mode]
        spread += here.var(axis=0) * len(here) / labels.size
    steps = (np.diff(draws, axis=1)[stays] ** 2).mean(axis=0) if stays.any() else spread
    with np.errstate(all="ignore"):
        return float(np.nanmin(steps / (2 * spread), initial=1.0))
