"""What the sampler says of its own run: divergences, NaN, cut-off trajectories, energy, precision."""

import math

import numpy as np

from probinv.results._evidence import Evidence, rows_of
from probinv.results._statistics import energy_fraction
from probinv.results.thresholds import (
    BFMI_LEAST,
    DIVERGING_MOST,
    FINITE_PRIOR_LEAST,
    FLOAT32_ROUNDING,
    NAN_DRAWS_MOST,
    PROJECTION_MOST,
    PROJECTION_NAMED,
    ROUNDING_MOST,
    SATURATED_MOST,
    SATURATED_NAMED,
)
from probinv.results.verdict import Findings, Reason, Verdict

NOTHING = Findings((), {}, {})


def check_divergences(e: Evidence) -> Findings:
    """Trajectories whose energy error ran off: a part of the posterior too curved for the step size."""
    diverging = e.stats.get("diverging")
    if diverging is None or diverging.size == 0:
        return NOTHING
    count, share = int(diverging.sum()), float(diverging.mean())
    numbers: dict[str, float | int] = {"divergences": count, "divergence_fraction": share}
    if not count:
        return Findings((), numbers, {})
    reason = Reason(
        "divergences",
        f"{count} of {diverging.size} transitions diverged ({share:.2%}): the draws may avoid a narrow or "
        "strongly curved part of the posterior.",
        "Raise target_accept (0.95, then 0.99); if they stay, widen the tolerance or take LiftedHMC.",
        Verdict.NOT_CONVERGED if share > DIVERGING_MOST else Verdict.OK,
    )
    return Findings((reason,), numbers, {})


def check_nan(e: Evidence) -> Findings:
    """Points at which the network or its gradient is not finite, met on the way or under the prior."""
    reasons: list[Reason] = []
    numbers: dict[str, float | int] = {}
    counts = e.stats.get("nan_count")
    if counts is not None and counts.size:
        share = float((counts > 0).mean())
        numbers |= {"nan_count": int(np.nansum(counts)), "nan_fraction": share}
        if share > 0:
            failed = share > NAN_DRAWS_MOST
            reasons.append(
                Reason(
                    "nan evaluations",
                    f"The network or its gradient was not finite on the way to {share:.2%} of the draws, "
                    "which is counted as a divergence: the sampler treats such inputs as impossible.",
                    "Find them (log of zero, overflow, division by zero) and mend the network, or set the "
                    "bounds of the prior so that they are left out.",
                    Verdict.NUMERICAL_FAILURE if failed else Verdict.UNKNOWN,
                )
            )
    share = _finite_under_prior(e)
    if math.isnan(share):
        return Findings(tuple(reasons), numbers, {})
    numbers["finite_under_prior"] = share
    if share < 1:
        reasons.append(
            Reason(
                "prior not finite",
                f"The network is finite at {share:.1%} of the inputs drawn from the prior; whether the "
                "others would reach Y* is not known.",
                "Mend the network there, or set the bounds of the prior so that they are left out.",
                Verdict.NUMERICAL_FAILURE if share < FINITE_PRIOR_LEAST else Verdict.UNKNOWN,
            )
        )
    return Findings(tuple(reasons), numbers, {})


def _finite_under_prior(e: Evidence) -> float:
    shares = []
    noted = e.notes.get("finite_under_prior")
    if isinstance(noted, int | float):
        shares.append(float(noted))
    if e.prior_y is not None and e.prior_y.size:
        shares.append(float(np.isfinite(rows_of(e.prior_y)).all(axis=2).mean()))
    return min(shares, default=math.nan)


def check_saturation(e: Evidence) -> Findings:
    """Trajectories of NUTS that were cut off at 2^max_tree_depth - 1 steps before they turned."""
    share = _saturated(e)
    if math.isnan(share):
        return NOTHING
    numbers = {"tree_depth_saturated": share}
    if share <= SATURATED_NAMED:
        return Findings((), numbers, {})
    many = share > SATURATED_MOST
    reason = Reason(
        "tree depth",
        f"{share:.0%} of the trajectories were cut off by max_tree_depth before they turned"
        + (": slow directions may not have been explored, and R-hat may not see it." if many else "."),
        "Take LiftedHMC, whose step does not shrink with the tolerance, widen the tolerance, set "
        "dense_mass=True, scale the inputs alike, or raise max_tree_depth.",
        Verdict.UNKNOWN if many else Verdict.OK,
    )
    return Findings((reason,), numbers, {})


def _saturated(e: Evidence) -> float:
    for name in ("reached_max_tree_depth", "reached_max_treedepth"):
        if name in e.stats and e.stats[name].size:
            return float(e.stats[name].mean())
    steps, depth, thin = e.stats.get("n_steps"), e.notes.get("max_tree_depth"), e.notes.get("thin", 1)
    if steps is None or not steps.size or e.notes.get("algorithm") != "NUTS":
        return math.nan
    if not isinstance(depth, int) or not isinstance(thin, int):
        return math.nan
    # with thinning, n_steps is the sum over the transitions of a draw
    return float((steps >= thin * (2**depth - 1)).mean())


def check_projection(e: Evidence) -> Findings:
    """Steps of lifted HMC that found no way back to the manifold, or none by which they had come."""
    texts = {
        "not_projected": "found no way back to the manifold",
        "not_reversible": "could not be retraced",
    }
    shares = {
        name: float((e.stats[name] > 0).mean()) for name in texts if name in e.stats and e.stats[name].size
    }
    numbers: dict[str, float | int] = {f"{name}_fraction": share for name, share in shares.items()}
    many = {name: share for name, share in shares.items() if share > PROJECTION_NAMED}
    if not many:
        return Findings((), numbers, {})
    most = max(many.values()) > PROJECTION_MOST
    reason = Reason(
        "projection",
        " and ".join(
            f"{share:.0%} of the draws have a step that {texts[name]}" for name, share in many.items()
        )
        + ". Such trajectories are rejected"
        + (": chains may not get to places that they could only reach so." if most else "."),
        "Raise target_accept; if it stays, look for NaN and kinks (ReLU) of the network near the draws.",
        Verdict.UNKNOWN if most else Verdict.OK,
    )
    return Findings((reason,), numbers, {})


def check_energy(e: Evidence) -> Findings:
    """E-BFMI: whether resampling the momentum changes the energy enough to reach the tails."""
    energy = e.stats.get("energy") if e.ancestors is None else None  # particles are no series in time
    if energy is None or energy.shape[1] < 2 or not np.isfinite(energy).all():
        return NOTHING
    fractions = energy_fraction(energy)
    known = np.isfinite(fractions)
    if not known.any():
        return NOTHING
    chain = int(np.argmin(np.where(known, fractions, np.inf)))
    least = float(fractions[chain])
    numbers, where = {"bfmi_min": least}, {"bfmi_min": f"chain {chain}"}
    if least >= BFMI_LEAST:
        return Findings((), numbers, where)
    reason = Reason(
        "energy",
        f"E-BFMI is {least:.2f} in chain {chain}, below {BFMI_LEAST}: the sampler hardly reaches the tails "
        "of the posterior.",
        "Lengthen the warm-up; use priors with lighter tails, or logarithms of inputs that span magnitudes.",
        Verdict.NOT_CONVERGED,
    )
    return Findings((reason,), numbers, where)


def check_precision(e: Evidence) -> Findings:
    """Rounding of a single-precision network, 6e-8 |Y*|, in units of the tolerance of each output."""
    tolerance = e.constants.get("y_tolerance")
    if e.facts.get("network_dtype") != "float32" or tolerance is None or e.y_star is None:
        return NOTHING
    if tolerance.shape != e.y_star.shape:
        return NOTHING
    with np.errstate(all="ignore"):
        rounding = float(np.nanmax(FLOAT32_ROUNDING * np.abs(e.y_star) / tolerance, initial=0.0))
    if not math.isfinite(rounding):
        return NOTHING
    numbers = {"rounding": rounding}
    if rounding <= ROUNDING_MOST:
        return Findings((), numbers, {})
    reason = Reason(
        "single precision",
        f"The network computes in single precision; its rounding alone is about {rounding:.2g} tolerances.",
        "Give the network float64 weights, or widen the tolerance.",
        Verdict.UNKNOWN,
    )
    return Findings((reason,), numbers, {})


def check_run(e: Evidence) -> Findings:
    """What the provenance says of the run: interrupted, approximate, missing, and what was chosen for it."""
    reasons = []
    if not e.facts:
        reasons.append(
            Reason(
                "no provenance",
                "The result does not say how it was made, so its sampler cannot be judged.",
                "Make it with probinv.invert to have everything checked.",
                Verdict.UNKNOWN,
            )
        )
    elif e.facts.get("exact") is not True:
        reasons.append(
            Reason(
                "approximate",
                "The method does not claim that its draws converge to the posterior.",
                "Compare with NUTS on the same posterior.",
                Verdict.UNKNOWN,
            )
        )
    if e.facts.get("interrupted") is True:
        reasons.append(
            Reason(
                "interrupted",
                f"The run was interrupted; {e.draws} draws of each chain are there.",
                "Run it again." if "particles" in e.notes else "Continue it with invert(..., resume=tree).",
                Verdict.OK,
            )
        )
    for name, advice in (
        ("chosen", "Name another method to have that one."),
        ("reduction", "Set reduce=False to sample all coordinates."),
    ):
        sentence = e.notes.get(name)
        if isinstance(sentence, str) and sentence:
            reasons.append(Reason(name, sentence, advice, Verdict.OK))
    return Findings(tuple(reasons), {}, {})
