"""Whether the chains agree: R-hat, effective sample sizes, trends, and what several modes look like."""

import math
from typing import NamedTuple

import numpy as np

from probinv.results._combination import check_combination
from probinv.results._evidence import Evidence
from probinv.results._statistics import Statistics, chain_statistics, population_statistics, usable
from probinv.results.thresholds import (
    DRAWS_LEAST,
    ESS_LEAST,
    REACHED_MOST,
    RHAT_APART,
    RHAT_MOST,
    TREND_LEAST,
)
from probinv.results.verdict import Findings, Reason, Verdict

ROUNDS_MOST = 50


class _Watched(NamedTuple):
    """All scalars whose mixing is judged: entries of x that vary, the energy, the log likelihood."""

    draws: np.ndarray
    labels: list[str]


def check_mixing(e: Evidence) -> Findings:
    """Every entry of x, the energy and the log likelihood must agree between chains and be well known.

    The draws of a population are no series in time: R-hat compares whole replicates, and the effective
    sample size is that of families of common ancestors.
    """
    if e.x is None or e.draws < DRAWS_LEAST:
        return Findings((), {}, {})
    watched = _watched(e)
    if not watched.labels:
        return Findings((), {}, {})
    statistics = _statistics(e, watched.draws)
    name = "rhat_halves_max" if e.chains == 1 else "rhat_max"
    worst = {
        name: _extreme(statistics.rhat, largest=True),
        "ess_bulk_min": _extreme(statistics.ess_bulk, largest=False),
        "ess_tail_min": _extreme(statistics.ess_tail, largest=False),
    }
    if e.chains == 1 and e.ancestors is not None:  # one replicate has none to be compared with
        del worst[name]
    numbers = {name: value for name, (value, _) in worst.items()}
    where = {name: watched.labels[place] for name, (_, place) in worst.items()}
    advice = remedy(e, numbers.get(name, 1.0), min(numbers["ess_bulk_min"], numbers["ess_tail_min"]))
    reasons = _apart(e, statistics.rhat, watched, advice) if name in worst else []
    combined = Findings((), {}, {}) if reasons else check_combination(e)
    reasons += [*combined.reasons, *_few(numbers, where, advice)]
    if reasons and e.ancestors is None:
        reasons += _trend(watched)
    numbers |= {**combined.numbers, "entries_judged": len(watched.labels)}
    return Findings(tuple(reasons), numbers, where | combined.where)


def _watched(e: Evidence) -> _Watched:
    assert e.x is not None
    scalars = {"energy": e.stats.get("energy"), "log likelihood": e.log_likelihood}
    known = {name: value for name, value in scalars.items() if value is not None}
    draws = np.concatenate([e.x.draws, *(v[:, :, None] for v in known.values())], axis=2)
    labels = [*e.x.labels, *known]
    # what is constant (fixed inputs, too) or not finite is judged by other checks: it has no R-hat and no ESS
    keep = usable(draws)
    return _Watched(draws[:, :, keep], [label for label, take in zip(labels, keep, strict=True) if take])


def _statistics(e: Evidence, draws: np.ndarray) -> Statistics:
    if e.ancestors is not None:
        return population_statistics(draws, e.ancestors)
    statistics = chain_statistics(draws)
    if e.chains > 1:
        return statistics
    return statistics._replace(rhat=chain_statistics(_halves(draws)).rhat)


def _halves(draws: np.ndarray) -> np.ndarray:
    """The halves of one chain as two chains."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _extreme(values: np.ndarray, *, largest: bool) -> tuple[float, int]:
    """The worst value and its place; NaN is worse than any number."""
    if np.isnan(values).any():
        return math.nan, int(np.argmax(np.isnan(values)))
    place = int(np.argmax(values) if largest else np.argmin(values))
    return float(values[place]), place


def _apart(e: Evidence, rhat: np.ndarray, watched: _Watched, advice: str) -> list[Reason]:
    # written so that NaN counts as bad: NaN > 1.01 is False
    bad = ~(rhat <= RHAT_MOST)
    if not bad.any():
        return []
    worst, place = _extreme(rhat, largest=True)
    value = "NaN" if math.isnan(worst) else f"{worst:.3f}"
    who = "halves of the chain" if e.chains == 1 else f"{e.unit}s"
    reasons = [
        Reason(
            "rhat",
            f"The {who} disagree: R-hat exceeds {RHAT_MOST} for {int(bad.sum())} of {len(bad)} quantities "
            f"and is {value} for {watched.labels[place]}.",
            advice,
            Verdict.NOT_CONVERGED,
        )
    ]
    reached = e.stats.get("reached")
    certain = reached is not None and bool(reached.mean() >= REACHED_MOST)
    parted = e.modes is not None and e.modes.count > 1  # `check_modes` then says more
    if e.chains > 1 and worst > RHAT_APART and certain and not parted:
        reasons.append(
            Reason(
                "separate modes",
                f"The {e.unit}s sit in different places or have not moved: residuals look perfect but do not "
                "certify mixing. How much each place weighs is not known.",
                "Let TemperedSMC find and weigh the places, take them as separate answers (see MAP), or "
                "widen the tolerance so that chains can cross.",
                Verdict.NOT_CONVERGED,
            )
        )
    return reasons


def _few(numbers: dict[str, float], where: dict[str, str], advice: str) -> list[Reason]:
    texts = [
        f"{kind} {'that cannot be computed' if math.isnan(numbers[name]) else f'{numbers[name]:.0f}'} for "
        f"{where[name]}"
        for name, kind in (("ess_bulk_min", "bulk"), ("ess_tail_min", "tail"))
        if not numbers[name] >= ESS_LEAST
    ]
    if not texts:
        return []
    what = f"The effective sample size is too small: {' and '.join(texts)}; {ESS_LEAST:.0f} are needed."
    return [Reason("ess", what, advice, Verdict.NOT_CONVERGED)]


def remedy(e: Evidence, rhat: float, ess: float) -> str:
    """How many draws are needed, by the effective sample size that there is, or that draws are no remedy."""
    rounds = max(1.25 * ESS_LEAST / ess, 2.0) if ess > 0 else math.inf
    hopeless = rounds > ROUNDS_MOST or not rhat <= RHAT_APART
    if e.ancestors is not None:
        if hopeless:
            return "More particles alone will not mend this: take more moves at each temperature, too."
        return f"Take more particles: draws={_round_up(rounds * e.draws)}, or more moves at each temperature."
    if hopeless:
        return f"Longer chains alone will not mend this: {_other(e)}."
    thin = "" if rounds < 4 else f", or thin={math.ceil(rounds)} to keep the memory as it is"
    return f"Run longer: draws={_round_up(rounds * e.draws)} and a warm-up to match{thin}; else {_other(e)}."


def _other(e: Evidence) -> str:
    """What may mix better than this method does."""
    if e.facts.get("method") == "LiftedHMC":
        return "let TemperedSMC bring particles from the prior to Y*, or scale the inputs alike"
    return (
        "take LiftedHMC, whose step does not shrink with the tolerance, TemperedSMC for several modes, widen "
        "the tolerance, set dense_mass=True, or scale the inputs alike"
    )


def _round_up(number: float) -> int:
    """To two significant digits, upwards."""
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit) * unit


def _trend(watched: _Watched) -> list[Reason]:
    """Quarters of the chains whose means go one way, by far more than they spread."""
    chains, draws, _ = watched.draws.shape
    if draws < 4 * DRAWS_LEAST:
        return []
    with np.errstate(all="ignore"):
        quarters = watched.draws[:, : draws // 4 * 4].reshape(chains, 4, draws // 4, -1)
        steps = np.diff(quarters.mean(axis=2), axis=1)
        spread = quarters.std(axis=2).mean(axis=1)
        one_way = (steps > 0).all(axis=1) | (steps < 0).all(axis=1)
        drifting = one_way & (np.abs(steps.sum(axis=1)) > TREND_LEAST * spread)
    share = drifting.mean(axis=0)
    if not (share >= 0.5).any():
        return []
    label = watched.labels[int(np.argmax(share))]
    return [
        Reason(
            "drift",
            f"{label} drifts one way through the whole run: the chains have not arrived, or nothing holds "
            "them because the posterior cannot be normalised.",
            "Lengthen the warm-up; if the drift stays, use a proper prior for every input.",
            Verdict.NOT_CONVERGED,
        )
    ]
