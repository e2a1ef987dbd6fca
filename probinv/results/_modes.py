"""Whether the draws fall into several modes, and whether the weights of these are known."""

import numpy as np

from probinv.results._evidence import Evidence
from probinv.results._membership import Membership
from probinv.results._mixing import remedy
from probinv.results.thresholds import ANCESTORS_LEAST, ESS_LEAST, MODE_ERROR_MOST, RHAT_MOST
from probinv.results.verdict import Findings, Reason, Verdict

SHOWN_MOST = 8
UNSETTLED = (
    " They may be places that the {unit}s have not left rather than modes: successive draws hardly differ."
)
ELSE = (
    "Let TemperedSMC find and weigh the modes, or take them as separate answers (probinv.modes says which "
    "draw is in which); more {unit}s may find more of them."
)


def check_modes(e: Evidence) -> Findings:
    """Membership in a mode is one more quantity: chains must agree on it, and its mean must be well known."""
    modes = e.modes
    if modes is None:
        return Findings((), {}, {})
    numbers: dict[str, float | int] = {"modes": modes.count}
    if modes.count == 1:
        return Findings((), numbers, {})
    worst = _worst(modes.rhat)
    numbers |= {
        "mode_weight_error_max": float(modes.errors.max()),
        "mode_rhat_max": float(modes.rhat[worst]),
        "mode_ess_min": float(modes.ess.min()),
    }
    where = {
        "mode_weight_error_max": f"mode {int(modes.errors.argmax())}",
        "mode_rhat_max": f"mode {worst}",
        "mode_ess_min": f"mode {int(modes.ess.argmin())}",
    }
    if e.ancestors is None:
        numbers["mode_crossings"] = modes.crossings
    return Findings((_weighed(e, modes), *_descent(e, modes)), numbers, where)


def _worst(rhat: np.ndarray) -> int:
    """NaN is worse than any number."""
    return int(np.argmax(np.where(np.isnan(rhat), np.inf, rhat)))


def _weighed(e: Evidence, modes: Membership) -> Reason:
    hedge = "" if modes.settled else UNSETTLED.format(unit=e.unit)
    if modes.apart.any():
        return Reason(
            "separate modes",
            f"The draws form {modes.count} modes and the {_parts(e)} disagree on their weights: "
            f"{_shares(modes, _worst(modes.rhat))}. How much each mode weighs is not "
            f"known, be the residuals as good as they may.{hedge}",
            _advice(e),
            Verdict.NOT_CONVERGED,
        )
    # written so that NaN counts as bad: NaN > 1.01 is False
    known = modes.ess.min() >= ESS_LEAST and modes.rhat[_worst(modes.rhat)] <= RHAT_MOST
    few = e.ancestors is None and not known
    if few or not modes.errors.max() <= MODE_ERROR_MOST:
        why = _worth(modes) if few else f"{_shares(modes, int(modes.errors.argmax())).capitalize()}."
        return Reason(
            "mode weights",
            f"The draws form {modes.count} modes whose weights are not well known: {_weights(modes)}. "
            f"{why}{hedge}",
            remedy(e, float(modes.rhat[_worst(modes.rhat)]), float(modes.ess.min())) if few else _advice(e),
            Verdict.NOT_CONVERGED,
        )
    crossed = (
        f"; the {e.unit}s went from one to another {modes.crossings} times" if e.ancestors is None else ""
    )
    return Reason(
        "modes",
        f"The draws form {modes.count} modes, with weights {_weights(modes)}{crossed}.",
        "probinv.modes(tree) says which draw is in which, probinv.plot_modes(tree) draws them.",
        Verdict.OK,
    )


def _advice(e: Evidence) -> str:
    if e.ancestors is not None:
        return (
            "Take more particles (the error of a weight falls with the square root of their number), or more "
            "moves at each temperature."
        )
    return ELSE.format(unit=e.unit)


def _parts(e: Evidence) -> str:
    return f"halves of the {e.unit}" if e.chains == 1 else f"{e.unit}s"


def _worth(modes: Membership) -> str:
    rhat, worth = modes.rhat[_worst(modes.rhat)], modes.ess.min()
    return (
        f"Their membership has R-hat up to {rhat:.3f} and an effective sample size down to {worth:.0f}; at "
        f"most {RHAT_MOST} and at least {ESS_LEAST:.0f} are needed."
    )


def _shares(modes: Membership, mode: int) -> str:
    shares = modes.shares[:, mode]
    if len(shares) == 1:
        return f"R-hat of the membership in mode {mode} is {modes.rhat[mode]:.3f}"
    listed = (
        ", ".join(f"{share:.2f}" for share in shares)
        if len(shares) <= SHOWN_MOST
        else f"{shares.min():.2f} to {shares.max():.2f}"
    )
    return f"mode {mode} has a share of {listed} in them"


def _weights(modes: Membership) -> str:
    pairs = [f"{w:.2g} +- {s:.1g}" for w, s in zip(modes.weights, modes.errors, strict=True)]
    if len(pairs) > SHOWN_MOST:
        return f"from {pairs[-1]} to {pairs[0]}"
    return f"{', '.join(pairs[:-1])} and {pairs[-1]}"


def _descent(e: Evidence, modes: Membership) -> list[Reason]:
    """Modes that descend from a few ancestors: had one of these been drawn elsewhere, they would be lost."""
    few = np.flatnonzero(modes.families < ANCESTORS_LEAST)
    if not len(few):
        return []
    worst = int(few[np.argmin(modes.families[few])])
    return [
        Reason(
            "ancestors of a mode",
            f"{len(few)} of {modes.count} modes descend from a few ancestors, mode {worst} (weight "
            f"{modes.weights[worst]:.2g}) in effect from {modes.families[worst]:.1f}: how much they weigh is "
            "hardly known.",
            "Take more particles.",
            Verdict.UNKNOWN,
        )
    ]
