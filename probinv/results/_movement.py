"""Whether there are draws at all: enough of them, finite, within their bounds, and of chains that move."""

import numpy as np

from probinv.results._evidence import Entries, Evidence, rows_of
from probinv.results.thresholds import (
    CHAINS_ADVISED,
    DISTINCT_FRACTION,
    DISTINCT_LEAST,
    DRAWS_LEAST,
    LATENT_MOST,
)
from probinv.results.verdict import Findings, Reason, Verdict


def check_size(e: Evidence) -> Findings:
    """Chains and draws: one chain proves nothing, and nothing can be said of fewer than four draws."""
    reasons = []
    if e.draws < DRAWS_LEAST:
        reasons.append(
            Reason(
                "few draws",
                f"Each {e.unit} has {e.draws} draws; R-hat needs at least {DRAWS_LEAST}.",
                "Take more draws, at least some hundred.",
                Verdict.NOT_CONVERGED,
            )
        )
    if e.chains == 1:
        reasons.append(
            Reason(
                "one chain",
                f"There is one {e.unit}, so nothing shows whether another would agree with it.",
                f"Run {CHAINS_ADVISED} chains.",
                Verdict.UNKNOWN,
            )
        )
    elif e.chains < CHAINS_ADVISED:
        reasons.append(
            Reason(
                "few chains",
                f"There are only {e.chains} {e.unit}s: R-hat is less likely to notice a missed region.",
                f"Run {CHAINS_ADVISED} chains.",
                Verdict.OK,
            )
        )
    return Findings(tuple(reasons), {"chains": e.chains, "draws": e.draws}, {})


def check_finite(e: Evidence) -> Findings:
    """NaN and infinities among the draws and what was computed from them; draws that run off to infinity."""
    kinds = {
        "x": None if e.x is None else e.x.draws,
        "z": None if e.z is None else e.z.draws,
        "y": e.y,
        "log likelihood": _log_likelihood(e),
        "energy": e.stats.get("energy"),
        "lp": e.stats.get("lp"),
    }
    bad = {name: _rows_not_finite(array) for name, array in kinds.items() if array is not None}
    bad = {name: count for name, count in bad.items() if count}
    reasons = []
    if bad:
        counts = ", ".join(f"{name} in {count}" for name, count in bad.items())
        reasons.append(
            Reason(
                "not finite",
                f"Of {e.chains * e.draws} draws some are NaN or infinite: {counts}.",
                "Check the network on inputs drawn from the prior: it returns NaN or overflows somewhere.",
                Verdict.NUMERICAL_FAILURE,
            )
        )
    with np.errstate(invalid="ignore"):
        far = 0.0 if e.z is None or e.z.draws.size == 0 else float(np.nanmax(np.abs(e.z.draws), initial=0.0))
    if LATENT_MOST < far < np.inf:
        reasons.append(
            Reason(
                "improper",
                f"A coordinate z went as far as {far:.3g}: nothing seems to hold it, as if the posterior "
                "could not be normalised.",
                "Use a proper prior with a finite scale for every input.",
                Verdict.NOT_CONVERGED,
            )
        )
    return Findings(tuple(reasons), {"draws_not_finite": max(bad.values(), default=0)}, {})


def check_bounds(e: Evidence) -> Findings:
    """No draw may lie outside its prior's bounds."""
    if e.x is None or e.draws == 0:
        return Findings((), {}, {})
    begin, outside = 0, []
    names = [label.split("[")[0] for label in e.x.labels]
    while begin < len(names):
        name = names[begin]
        end = begin + names[begin:].count(name)
        block = e.x.draws[:, :, begin:end]
        low, high = (e.constants.get(f"{side}_{name}") for side in ("lower", "upper"))
        with np.errstate(invalid="ignore"):
            below = low is not None and low.size == end - begin and (block < low.ravel()).any()
            above = high is not None and high.size == end - begin and (block > high.ravel()).any()
        outside += [name] if below or above else []
        begin = end
    if not outside:
        return Findings((), {}, {})
    reason = Reason(
        "out of bounds",
        f"Draws of {', '.join(outside)} lie outside the bounds of the prior.",
        "This is a fault of the program or of the file; make the result anew and report it.",
        Verdict.NUMERICAL_FAILURE,
    )
    return Findings((reason,), {}, {})


def check_movement(e: Evidence) -> Findings:
    """Chains that stand still or repeat each other, and entries of x that never change."""
    if e.x is None or e.draws < 2:
        return Findings((), {}, {})
    watched = e.x if e.z is None else e.z
    fixed = fixed_entries(e)
    distinct = [_distinct(chain) for chain in watched.draws]
    frozen = [k for k in range(e.chains) if _stands(watched, k, distinct[k])]
    reasons = [*_frozen(e, frozen, distinct)] if not fixed.all() else [_all_fixed()]
    moving = [k for k in range(e.chains) if k not in frozen]
    copies = len(moving) - len({watched.draws[k].tobytes() for k in moving})
    if copies:
        reasons.append(
            Reason(
                "copied chains",
                f"{copies} of {e.chains} chains repeat another one draw for draw, so that R-hat "
                "compares a chain with itself.",
                "Give every chain its own random key.",
                Verdict.UNKNOWN,
            )
        )
    if len(frozen) < e.chains:
        reasons += _held(e, fixed)
    numbers: dict[str, float | int] = {
        "chains_frozen": len(frozen),
        "distinct_draws_min": min(distinct),
        "fixed": int(fixed.sum()),
    }
    return Findings(tuple(reasons), numbers, {"distinct_draws_min": f"chain {int(np.argmin(distinct))}"})


def fixed_entries(e: Evidence) -> np.ndarray:
    """Which entries of x are inputs that the prior fixes: one value in every prior draw and in every draw."""
    assert e.x is not None
    fixed = np.zeros(len(e.x.labels), bool)
    if e.prior is None or e.prior.draws.shape[1] < 2 or e.draws == 0:
        return fixed
    place = {label: k for k, label in enumerate(e.prior.labels)}
    first = e.prior.draws[0, 0]
    same = (e.prior.draws == first).all(axis=(0, 1))
    constant = (e.x.draws == e.x.draws[:1, :1]).all(axis=(0, 1))
    for k in np.flatnonzero(constant):
        there = place.get(e.x.labels[k])
        near = there is not None and np.isclose(e.x.draws[0, 0, k], first[there], rtol=1e-6, atol=0.0)
        fixed[k] = there is not None and bool(same[there]) and bool(near)
    return fixed


def _log_likelihood(e: Evidence) -> np.ndarray | None:
    """That of a wish with hard edges (it has a margin) is -inf outside of them, which is no fault."""
    if e.log_likelihood is None or "margin" not in e.stats:
        return e.log_likelihood
    return np.where(e.stats["margin"] < 0, 0.0, e.log_likelihood)


def _rows_not_finite(array: np.ndarray) -> int:
    return int((~np.isfinite(rows_of(array))).any(axis=2).sum())


def _distinct(chain: np.ndarray) -> int:
    rows = np.ascontiguousarray(chain)
    if rows.shape[1] == 0:
        return 1
    return len(np.unique(rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))))


def _stands(watched: Entries, chain: int, distinct: int) -> bool:
    """Whether a chain has a handful of places only, or moves by no more than rounding."""
    draws = watched.draws[chain]
    if not np.isfinite(draws).all():
        return False
    if distinct == 1:
        return True
    if (draws == np.round(draws)).all():
        return False
    least = max(DISTINCT_LEAST, DISTINCT_FRACTION * len(draws))
    if distinct < min(len(draws), least):
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((draws.std(axis=0) <= 16 * watched.rounding * np.abs(draws.mean(axis=0))).all())


def _frozen(e: Evidence, frozen: list[int], distinct: list[int]) -> list[Reason]:
    if not frozen:
        return []
    who = "All chains" if len(frozen) == e.chains else f"Of {e.chains} chains {_listed(frozen)}"
    most = max(distinct[k] for k in frozen)
    return [
        Reason(
            "frozen",
            f"{who} did not move: at most {most} different places in {e.draws} draws. R-hat is NaN or "
            "meaningless then, and ESS reads as the number of draws.",
            "Widen the tolerance, check that the gradient of the network is finite, give it weights in "
            "double precision, or lengthen the warm-up.",
            Verdict.NUMERICAL_FAILURE,
        )
    ]


def _held(e: Evidence, fixed: np.ndarray) -> list[Reason]:
    """Entries with one value in all draws although the prior does not fix them."""
    assert e.x is not None
    constant = (e.x.draws == e.x.draws[:1, :1]).all(axis=(0, 1)) & ~fixed
    if not constant.any():
        return []
    label, count = e.x.labels[int(np.argmax(constant))], int(constant.sum())
    in_prior = e.prior is not None and label in e.prior.labels
    if in_prior:
        return [
            Reason(
                "held entries",
                f"{count} entries of x never change ({label} is the first), although the prior lets "
                "them vary.",
                "Look whether they sit at a bound of the prior; widen the bounds or the tolerance.",
                Verdict.NOT_CONVERGED,
            )
        ]
    return [
        Reason(
            "constant entries",
            f"{count} entries of the posterior never change ({label} is the first), and no prior "
            "draws tell whether they are fixed on purpose.",
            "Compare with what was asked.",
            Verdict.UNKNOWN,
        )
    ]


def _all_fixed() -> Reason:
    return Reason(
        "nothing free",
        "Every input is fixed by the prior, so there is nothing to find.",
        "Free at least one input.",
        Verdict.UNKNOWN,
    )


def _listed(chains: list[int]) -> str:
    if len(chains) == 1:
        return f"chain {chains[0]}"
    return (
        f"chains {', '.join(map(str, chains[:-1]))} and {chains[-1]}"
        if len(chains) <= 8
        else f"{len(chains)}"
    )
