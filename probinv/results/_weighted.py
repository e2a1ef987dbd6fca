"""Prior draws weighted by their likelihood: an independent look at where the posterior lies."""

import numpy as np

from probinv.results._evidence import Evidence
from probinv.results._statistics import usable
from probinv.results.thresholds import ESS_LEAST, WEIGHT_ESS_LEAST, WEIGHT_Z_MOST
from probinv.results.verdict import Findings, Reason, Verdict

QUANTILES = (0.25, 0.5, 0.75)
NOTHING = Findings((), {}, {})


def check_weighted(e: Evidence) -> Findings:
    """F_w(q) = sum_i w_i [x_i <= q], w_i ~ p(Y* | f(x_i)), x_i ~ p(x), against the draws' own F(q).

    Chains that all sit in one of several modes agree with one another; weighted prior draws do not agree with
    them. It works where the wish is not much narrower than the prior: the weights must be worth 25 draws
    (1 / sum w^2, Kish 1965), and one standard error is sqrt(F (1 - F) (1/25 + 1/400)) or less.
    """
    log_weight = e.prior_log_likelihood
    if e.x is None or e.prior is None or log_weight is None or e.draws < 2:
        return NOTHING
    rows = e.prior.draws.reshape(-1, len(e.prior.labels))
    known = np.isfinite(log_weight)
    if len(rows) != len(log_weight) or not known.any():
        return NOTHING
    weight = np.where(known, np.exp(np.where(known, log_weight, 0.0) - log_weight[known].max()), 0.0)
    weight /= weight.sum()
    worth = float(1 / np.sum(weight**2))
    numbers = {"prior_weight_ess": worth}
    place = {label: k for k, label in enumerate(e.prior.labels)}
    free = usable(e.x.draws)
    pairs = [(k, place[label]) for k, label in enumerate(e.x.labels) if free[k] and label in place]
    if worth < WEIGHT_ESS_LEAST or not pairs:
        return Findings((), numbers, {})
    columns, others = (list(part) for part in zip(*pairs, strict=True))
    z = _disagreement(e.x.draws[:, :, columns].reshape(-1, len(columns)), rows[:, others], weight, worth)
    worst = int(np.argmax(z))
    label = e.x.labels[columns[worst]]
    numbers["prior_weight_z"] = float(z[worst])
    where = {"prior_weight_z": label}
    if z[worst] <= WEIGHT_Z_MOST:
        return Findings((), numbers, where)
    reason = Reason(
        "missed region",
        f"Draws from the prior, weighted by their likelihood, put {label} elsewhere than the chains do "
        f"({z[worst]:.1f} standard errors): the chains have missed a part of the posterior.",
        "Run more chains with another seed, widen the tolerance so that they can cross, or look for the "
        "other answers with MAP.",
        Verdict.NOT_CONVERGED,
    )
    return Findings((reason,), numbers, where)


def _disagreement(draws: np.ndarray, rows: np.ndarray, weight: np.ndarray, worth: float) -> np.ndarray:
    """Largest |F_w(q) - F(q)| in standard errors, for each entry."""
    z = np.zeros(draws.shape[1])
    for quantile in QUANTILES:
        at = np.quantile(draws, quantile, axis=0)
        share = (draws <= at).mean(axis=0)
        error = np.sqrt(np.maximum(share * (1 - share), 0.05) * (1 / worth + 1 / ESS_LEAST))
        z = np.maximum(z, np.abs(weight @ (rows <= at) - share) / error)
    return z
