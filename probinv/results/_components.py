"""Whether the components of a mixture prior, those of a machine, were mixed."""

import numpy as np

from probinv.results._evidence import Evidence
from probinv.results._membership import agreement
from probinv.results.thresholds import (
    COMPONENT_LEAST,
    DRAWS_LEAST,
    MODE_ERROR_MOST,
    MODE_RHAT_APART,
    WEIGHT_ESS_LEAST,
)
from probinv.results.verdict import Findings, Reason, Verdict

NOTHING = Findings((), {}, {})
SHOWN_MOST, UNITS_MOST = 8, 6
ADVICE = (
    "Take TemperedSMC or ParallelTempering, which begin with draws of the whole prior (method=None does)."
)
GIBBS = Reason(
    "Gibbs draws of the prior",
    "The run began with Gibbs draws of a prior whose components are too many to be listed: whether these had "
    "mixed is not known, and a component that they missed is missing here.",
    "Raise the prior's sweeps and see that the answer stays, or take a machine of at most 20 hidden units.",
    Verdict.UNKNOWN,
)


def check_components(e: Evidence) -> Findings:
    """What the component of each draw says, and whether the prior that a population began with is known."""
    found = _weights(e)
    if e.ancestors is None or e.facts.get("prior_draws") != "Gibbs":
        return found
    return Findings((*found.reasons, GIBBS), found.numbers, found.where)


def _weights(e: Evidence) -> Findings:
    """The component of each draw is one more quantity: chains must agree on the weight of each.

    A component counts where it has at least 5 % of the draws; all others are one together. Where nearly all
    draws are in one component and the chains did not begin with the whole prior, the others must be known to
    weigh little: from prior draws weighted by their likelihood, if these are worth 25 or more.
    """
    label = e.stats.get("component")
    if label is None or e.draws < DRAWS_LEAST or not np.isfinite(label).all():
        return NOTHING
    found, count = np.unique(label, return_counts=True)
    large = found[count >= COMPONENT_LEAST * label.size]
    large = large[np.argsort([-np.sum(label == one) for one in large], kind="stable")]
    numbers: dict[str, float | int] = {"components": len(found)}
    if len(large) and np.mean(label == large[0]) > 1 - COMPONENT_LEAST:
        return Findings(tuple(_alone(e, label, float(large[0]))), numbers, {})
    names = [component_name(one) for one in large]
    member = [label == one for one in large]
    rest = ~np.isin(label, large)
    if rest.mean() >= COMPONENT_LEAST:
        member, names = [*member, rest], [*names, "the other components"]
    if len(member) < 2:  # every state of the hidden units is rare: there is no weight to be known
        return Findings((), numbers, {})
    rhat, errors = agreement(np.stack(member).astype(float), e.ancestors)
    worst = int(np.argmax(np.where(np.isnan(rhat), np.inf, rhat)))
    numbers |= {"component_rhat_max": float(rhat[worst]), "component_weight_error_max": float(errors.max())}
    where = {"component_rhat_max": names[worst]}
    shares = np.stack([one.mean(axis=1) for one in member])
    # written so that NaN counts as bad: NaN > 1.1 is False
    if e.ancestors is None and not rhat[worst] <= MODE_RHAT_APART:
        return Findings((_apart(e, names[worst], shares[worst]),), numbers, where)
    if not errors.max() <= MODE_ERROR_MOST:
        worst = int(np.argmax(errors))
        return Findings((_unknown(names[worst], shares[worst].mean(), errors[worst]),), numbers, where)
    return Findings((), numbers, where)


def component_name(label: float) -> str:
    """A component by the hidden units that are on, as `components` has numbered it."""
    number = int(label)
    if number < 0:
        return f"component #{-number} of the prior"
    on = [str(unit) for unit in range(number.bit_length()) if number >> unit & 1]
    if not on:
        return "the component of the prior with no hidden unit on"
    shown = ", ".join(on) if len(on) <= UNITS_MOST else ", ".join(on[:UNITS_MOST]) + ", ..."
    return f"the component of the prior with hidden unit{'s' if len(on) > 1 else ''} {shown} on"


def _alone(e: Evidence, label: np.ndarray, component: float) -> list[Reason]:
    """Nearly all draws are in one component: whether others may have been missed."""
    prior, fit = e.prior_component, e.prior_log_likelihood
    if e.ancestors is not None or "restarts" in e.notes or prior is None:
        return []
    elsewhere = ~np.isin(prior, label)
    if elsewhere.mean() < COMPONENT_LEAST:
        return []
    if fit is not None and fit.shape == prior.shape and np.isfinite(fit).any():
        weight = np.nan_to_num(np.exp(fit - fit[np.isfinite(fit)].max()), nan=0.0)
        weight = weight / weight.sum()
        if 1 / np.sum(weight**2) >= WEIGHT_ESS_LEAST:
            share = float(weight[elsewhere].sum())
            return [] if share < COMPONENT_LEAST else [_missed(e, component, share)]
    return [
        Reason(
            "one component",
            f"Nearly all draws of all {e.unit}s are in {component_name(component)}, and "
            f"{elsewhere.mean():.0%} of the prior is in components that none has been in: whether these "
            "reach Y* is not known.",
            ADVICE,
            Verdict.UNKNOWN,
        )
    ]


def _missed(e: Evidence, component: float, share: float) -> Reason:
    return Reason(
        "missed components",
        f"All {e.unit}s are in {component_name(component)}, and components that none has been in have about "
        f"{share:.0%} of the posterior, by prior draws weighted by their likelihood.",
        ADVICE,
        Verdict.NOT_CONVERGED,
    )


def _apart(e: Evidence, name: str, shares: np.ndarray) -> Reason:
    listed = ", ".join(f"{share:.2f}" for share in shares)
    if len(shares) > SHOWN_MOST:
        listed = f"{shares.min():.2f} to {shares.max():.2f}"
    parts = f"halves of the {e.unit} disagree on it" if len(shares) == 1 else f"{e.unit}s disagree on it"
    return Reason(
        "components",
        f"The components of the prior were not mixed: {name} has a share of {listed} of the draws, and the "
        f"{parts}. How much each component weighs is not known.",
        ADVICE,
        Verdict.NOT_CONVERGED,
    )


def _unknown(name: str, share: float, error: float) -> Reason:
    return Reason(
        "component weights",
        f"The weights of the prior's components are not well known: {name} has {share:.2f} +- {error:.2f}.",
        "Take more draws; of TemperedSMC and ParallelTempering the error falls with the square root of their "
        "number.",
        Verdict.NOT_CONVERGED,
    )
