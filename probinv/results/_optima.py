"""What can be said of points: they are answers, not draws."""

import numpy as np
import xarray as xr

from probinv.results._evidence import facts_of, gather
from probinv.results._wish import NOT_IMPOSSIBLE, improbability
from probinv.results.thresholds import GRADIENT_MOST
from probinv.results.verdict import Findings, Reason, Verdict


def check_optima(tree: xr.DataTree) -> list[Findings]:
    """Findings on the group optima, whose variables have one row for each point."""
    stats = {str(name): v.values.astype(float) for name, v in tree["optima"].data_vars.items()
             if v.dtype.kind in "fiub"}  # fmt: skip
    count = len(next((stats[name] for name in ("objective", "log_likelihood", "z") if name in stats), ()))
    if not count:
        reason = Reason(
            "no optimum",
            "The search found no point at which the density is finite.",
            "Check the network on inputs drawn from the prior.",
            Verdict.NUMERICAL_FAILURE,
        )
        return [Findings((reason,), {"optima": 0}, {})]
    return [
        _points(count),
        _reach(tree, stats, count),
        _support(stats, count),
        _values(stats, count),
        _run(tree),
    ]


def _points(count: int) -> Findings:
    reason = Reason(
        "points",
        f"The result holds {count} {'point' if count == 1 else 'points'}, not draws: points say "
        "neither how likely other answers are nor how far each may move.",
        "Sample with NUTS for uncertainty.",
        Verdict.UNKNOWN,
    )
    return Findings((reason,), {"optima": count}, {})


def _reach(tree: xr.DataTree, stats: dict[str, np.ndarray], count: int) -> Findings:
    numbers: dict[str, float | int] = {}
    norm = stats.get("residual_norm")
    best = ""
    if norm is not None and np.isfinite(norm).any():
        numbers["residual_min"] = float(np.nanmin(norm))
        best = f"The best residual is |r| = {numbers['residual_min']:.3g} tolerances."
    reached = stats.get("reached")
    if reached is None:
        return Findings((), numbers, {})
    prior, prior_numbers = improbability(gather(tree))
    numbers |= {"reached_fraction": float(reached.mean()), **prior_numbers}
    if reached.any():
        text, advice, verdict = "", "Use those with reached = True.", Verdict.OK
    else:
        text, advice, verdict = f" {best} {prior}", NOT_IMPOSSIBLE, Verdict.NOT_REACHED
    what = f"{int(reached.sum())} of {count} points reach Y*.{text}"
    code = "reached" if reached.any() else "not reached"
    return Findings((Reason(code, what.strip(), advice, verdict),), numbers, {})


def _support(stats: dict[str, np.ndarray], count: int) -> Findings:
    inside = stats.get("in_support")
    if inside is None or inside.all():
        return Findings((), {}, {})
    outside = int(count - inside.sum())
    reason = Reason(
        "outside the prior",
        f"{outside} of {count} points lie outside the prior's support: the prior gives such inputs no "
        "probability, whatever the network makes of them.",
        "Use those with in_support = True, widen the prior, or sample with NUTS, which stays inside.",
        Verdict.UNKNOWN,
    )
    return Findings((reason,), {"outside_support": outside}, {})


def _values(stats: dict[str, np.ndarray], count: int) -> Findings:
    reasons, numbers = [], {}
    # a point outside of the support has no z, which _support tells
    names = ("y", "objective") if "in_support" in stats else ("z", "y", "objective")
    watched = [stats[name].reshape(count, -1) for name in names if name in stats]
    broken = int((~np.isfinite(np.concatenate(watched, axis=1))).any(axis=1).sum()) if watched else 0
    if broken:
        reasons.append(
            Reason(
                "not finite",
                f"{broken} of {count} points hold NaN or infinities.",
                "Take a smaller learning rate, or check the network on inputs drawn from the prior.",
                Verdict.NUMERICAL_FAILURE if broken == count else Verdict.UNKNOWN,
            )
        )
    slope = stats.get("gradient_norm")
    if slope is not None and np.isfinite(slope).any():
        numbers["gradient_norm_max"] = float(np.nanmax(slope))
        steep = int((~(slope <= GRADIENT_MOST)).sum())
        if steep:
            reasons.append(
                Reason(
                    "not stationary",
                    f"At {steep} of {count} points the objective still rises (gradient norm above "
                    f"{GRADIENT_MOST:g}): the search had not ended.",
                    "Take more iterations.",
                    Verdict.UNKNOWN,
                )
            )
    weights = stats.get("laplace_weight")
    if weights is not None and np.isnan(weights).any():
        reasons.append(
            Reason(
                "no laplace weights",
                "The Laplace weights are NaN: at some optimum the Hessian is not negative definite (a valley "
                "of solutions rather than a point) or there are too many inputs for it.",
                "Do not weigh the optima against each other; sample with NUTS.",
                Verdict.UNKNOWN,
            )
        )
    return Findings(tuple(reasons), numbers, {})


def _run(tree: xr.DataTree) -> Findings:
    if facts_of(tree).get("interrupted") is not True:
        return Findings((), {}, {})
    reason = Reason(
        "interrupted", "The search was interrupted before its end.", "Run it again.", Verdict.UNKNOWN
    )
    return Findings((reason,), {}, {})
