"""What a population of particles says of itself: its ancestors, and the evidence of its replicates."""

import math

import numpy as np

from probinv.results._evidence import Evidence
from probinv.results._statistics import family_shares
from probinv.results.thresholds import ANCESTORS_LEAST, LOG_EVIDENCE_SPREAD_MOST
from probinv.results.verdict import Findings, Reason, Verdict

NOTHING = Findings((), {}, {})


def check_ancestors(e: Evidence) -> Findings:
    """1 / sum p_a^2 for each replicate, p_a the part of its draws that descends from ancestor a.

    Ancestors die out from one temperature to the next even where moves mix well: of N particles about
    N / (1 + K v / 2) are left after K resamplings with offspring of variance v. So only a handful is held
    against the run; what a small number does to the means and to the weights of modes, `family_error` tells.
    """
    if e.ancestors is None or not np.isfinite(e.ancestors).all():
        return NOTHING
    shares = [family_shares(row[None], np.ones((1, row.size), bool)) for row in e.ancestors]
    effective, distinct = [1 / float((one**2).sum()) for one in shares], [len(one) for one in shares]
    worst = int(np.argmin(effective))
    numbers: dict[str, float | int] = {
        "ancestors_min": min(distinct),
        "ancestors_effective_min": effective[worst],
    }
    where = {"ancestors_effective_min": f"replicate {worst}"}
    if effective[worst] >= ANCESTORS_LEAST:
        return Findings((), numbers, where)
    reason = Reason(
        "few ancestors",
        f"The {e.draws} draws of replicate {worst} descend from {distinct[worst]} of its first particles, in "
        f"effect from {effective[worst]:.1f}: what those missed is missing, and errors are not well known.",
        "Take more particles, smaller steps of the temperature, or more moves at each.",
        Verdict.UNKNOWN,
    )
    return Findings((reason,), numbers, where)


def check_evidence(e: Evidence) -> Findings:
    """log p(Y*) of the replicates: each counts alike in the draws, so they should have found as much."""
    numbers: dict[str, float | int] = {
        name: float(value)
        for name in ("log_evidence", "log_evidence_error")
        if isinstance(value := e.notes.get(name), int | float) and not isinstance(value, bool)
    }
    found = _replicates(e)
    if found is None:
        return Findings((), numbers, {})
    if not np.isfinite(found).all():
        reason = Reason(
            "lost replicates",
            f"{int((~np.isfinite(found)).sum())} of {len(found)} replicates have no finite evidence: their "
            "particles died on the way.",
            "Take more particles, or widen the tolerance.",
            Verdict.NOT_CONVERGED,
        )
        return Findings((reason,), numbers, {})
    spread = float(found.std(ddof=1)) if len(found) > 1 else math.nan
    numbers["log_evidence_spread"] = spread
    if not spread > LOG_EVIDENCE_SPREAD_MOST:
        return Findings((), numbers, {})
    reason = Reason(
        "evidence",
        f"The replicates found different evidence: log p(Y*) from {found.min():.4g} to {found.max():.4g}, "
        f"with a standard deviation of {spread:.2g}, yet each has the same weight in the draws.",
        "Take more particles, or more moves at each temperature.",
        Verdict.NOT_CONVERGED,
    )
    return Findings((reason,), numbers, {})


def _replicates(e: Evidence) -> np.ndarray | None:
    noted = e.notes.get("log_evidence_replicates")
    if not isinstance(noted, list) or not noted:
        return None
    # infinities and NaN come back from some files as null
    return np.array([float(v) if isinstance(v, int | float) else math.nan for v in noted])
