"""Prior draws weighted by their likelihood: an independent look at where the posterior lies.

Chains that all sit in one of several modes agree with one another; weighted prior draws disagree with them.
"""

from typing import NamedTuple

import numpy as np

from probinv.results._evidence import Evidence
from probinv.results._statistics import usable
from probinv.results.thresholds import (
    APART_LEAST,
    ESS_LEAST,
    FAR_LEAST,
    NEAR_LEAST,
    TEMPERED_ESS,
    WEIGHT_ESS_LEAST,
    WEIGHT_Z_MOST,
)
from probinv.results.verdict import Findings, Reason, Verdict

QUANTILES = (0.25, 0.5, 0.75)
KEPT_WEIGHT = 0.99
NOTHING = Findings((), {}, {})


class _Compared(NamedTuple):
    """Draws (row, entry) of the chains and of the prior, and log p(Y* | y) of the latter."""

    draws: np.ndarray
    prior: np.ndarray
    log_likelihood: np.ndarray
    labels: list[str]


def check_weighted(e: Evidence) -> Findings:
    """The chains against prior draws with the weights w_i ~ p(Y* | f(x_i)), x_i ~ p(x)."""
    compared = _compared(e)
    if compared is None:
        return NOTHING
    weight = _weights(compared.log_likelihood, 1.0)
    numbers = {"prior_weight_ess": _worth(weight)}
    where: dict[str, str] = {}
    if numbers["prior_weight_ess"] >= WEIGHT_ESS_LEAST:
        z = disagreement(compared.draws, compared.prior, weight)
        worst = int(np.argmax(z))
        numbers["prior_weight_z"], where["prior_weight_z"] = float(z[worst]), compared.labels[worst]
        if z[worst] > WEIGHT_Z_MOST:
            return Findings((_missed(compared.labels[worst], z[worst]),), numbers, where)
    power = _power(compared.log_likelihood)
    if power == 0:
        return Findings((), numbers, where)
    gap = separation(compared.draws, compared.prior, _weights(compared.log_likelihood, power))
    worst = int(np.argmax(gap))
    numbers["prior_gap"], where["prior_gap"] = float(gap[worst]), compared.labels[worst]
    if gap[worst] <= APART_LEAST:
        return Findings((), numbers, where)
    return Findings((_elsewhere(compared.labels[worst], power),), numbers, where)


def disagreement(draws: np.ndarray, prior: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """max_q |F_w(q) - F(q)| / s for each entry, q the quartiles of the draws.

    F_w(q) = sum_i w_i [x_i <= q], F the same of the draws, and s^2 = F (1 - F) (1 / n_w + 1 / 400) with
    n_w = 1 / sum w^2 (Kish 1965).
    """
    z = np.zeros(draws.shape[1])
    for quantile in QUANTILES:
        at = np.quantile(draws, quantile, axis=0)
        share = (draws <= at).mean(axis=0)
        error = np.sqrt(np.maximum(share * (1 - share), 0.05) * (1 / _worth(weight) + 1 / ESS_LEAST))
        z = np.maximum(z, np.abs(weight @ (prior <= at) - share) / error)
    return z


def separation(draws: np.ndarray, prior: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """max_i (d_{i+1} - d_i) / (d_i + (b - a) / 2) for each entry: the widest gap outside of the chains.

    d_i are the sorted distances of the weighted prior draws from [a, b], the range of the draws; the gap has
    at least 20 % of their weight on its near side and 10 % beyond. Where one region merely narrows as the
    tolerance shrinks there is no gap. Rates of a gap above 2, with independent draws, 1000 prior draws,
    tolerances from 0.1 to 0.001, and a seed that had no part in choosing the limits: at most 0.2 % where
    there is one region (10 laws, 3000 runs each); at least 99 % where the chains visit the heavier or one of
    two equal regions, 88 % where theirs has a quarter of the weight (8 laws, 500 runs each). It sees regions
    that are apart in some entry of x, not those that are apart in a combination of entries only.
    """
    order = np.argsort(-weight)
    order = order[: np.searchsorted(np.cumsum(weight[order]), KEPT_WEIGHT * weight.sum()) + 1]
    low, high, rows = draws.min(axis=0), draws.max(axis=0), prior[order]
    distance = np.maximum(np.maximum(low - rows, rows - high), 0.0)
    sorting = np.argsort(distance, axis=0)
    distance = np.take_along_axis(distance, sorting, axis=0)
    near = np.cumsum(weight[order][sorting], axis=0)[:-1] / weight[order].sum()
    gap = np.diff(distance, axis=0) / (distance[:-1] + (high - low) / 2)
    return np.where((near >= NEAR_LEAST) & (near <= 1 - FAR_LEAST), gap, 0.0).max(axis=0, initial=0.0)


def _compared(e: Evidence) -> _Compared | None:
    if e.x is None or e.prior is None or e.prior_log_likelihood is None or e.draws < 2:
        return None
    rows = e.prior.draws.reshape(-1, len(e.prior.labels))
    known = np.isfinite(e.prior_log_likelihood)
    place = {label: k for k, label in enumerate(e.prior.labels)}
    varies = usable(e.x.draws) & np.array([label in place for label in e.x.labels])
    if len(rows) != len(known) or known.sum() < 2 or not varies.any():
        return None
    labels = [label for label, take in zip(e.x.labels, varies, strict=True) if take]
    rows = rows[known][:, [place[label] for label in labels]]
    if not np.isfinite(rows).all():
        return None
    draws = e.x.draws[:, :, varies].reshape(-1, len(labels))
    return _Compared(draws, rows, e.prior_log_likelihood[known], labels)


def _weights(log_likelihood: np.ndarray, power: float) -> np.ndarray:
    weight = np.exp(power * (log_likelihood - log_likelihood.max()))
    return weight / weight.sum()


def _worth(weight: np.ndarray) -> float:
    return float(1 / np.sum(weight**2))


def _power(log_likelihood: np.ndarray) -> float:
    """The largest t <= 1 for which the weights p(Y* | y)^t are worth `TEMPERED_ESS` draws; 0 if none is."""
    if _worth(_weights(log_likelihood, 1.0)) >= TEMPERED_ESS:
        return 1.0
    low, high = -40.0, 0.0
    if _worth(_weights(log_likelihood, np.exp(low))) < TEMPERED_ESS:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        enough = _worth(_weights(log_likelihood, np.exp(middle))) >= TEMPERED_ESS
        low, high = (middle, high) if enough else (low, middle)
    return float(np.exp(low))


def _missed(label: str, z: float) -> Reason:
    return Reason(
        "missed region",
        f"Draws from the prior, weighted by their likelihood, put {label} elsewhere than the chains do "
        f"({z:.1f} standard errors): the chains have missed a part of the posterior.",
        "Let TemperedSMC find and weigh all regions, run more chains with another seed, or widen the "
        "tolerance so that they can cross.",
        Verdict.NOT_CONVERGED,
    )


def _elsewhere(label: str, power: float) -> Reason:
    return Reason(
        "another region",
        f"Inputs from the prior that come near Y* (as with a tolerance {power**-0.5:.3g} times as wide) lie "
        f"in two separate regions of {label}, and no chain has been in one of them. Whether it reaches Y* is "
        "not known.",
        "Let TemperedSMC find and weigh all regions, run more chains with another seed, or look for other "
        "answers with MAP.",
        Verdict.UNKNOWN,
    )
