"""Whether Y* is reached, and how improbable it is if not."""

import math

import numpy as np

from probinv.results._evidence import Evidence, rows_of
from probinv.results.thresholds import MAHALANOBIS_OUTPUTS, REACHED_LEAST, REACHED_MOST
from probinv.results.verdict import Findings, Reason, Verdict

SHOWN_OUTPUTS = 6
PER_OUTPUT = 10
RARER = (
    "Not found is not impossible: check the units and the scaling of Y*, widen the prior or the region, or "
    "let SubsetSimulation search longer with a smaller `rarest`."
)
NOT_IMPOSSIBLE = (
    "Not found is not impossible: check the units and the scaling of Y*, widen the prior or the tolerance, "
    "let MAP search from many starts, or TemperedSMC come from the prior to Y* step by step."
)


def check_wish(e: Evidence) -> Findings:
    """The fraction of draws that reach Y*, the best of them, and what the prior predictive makes of Y*."""
    reached = e.stats.get("reached")
    if reached is None or reached.size == 0:
        reason = Reason(
            "no wish",
            "The result does not say which draws reach Y*.",
            "Make it with probinv.invert, which records it.",
            Verdict.UNKNOWN,
        )
        return Findings((reason,), {}, {})
    share = float(reached.mean())
    best, best_numbers = _best(e)
    prior, prior_numbers = improbability(e)
    numbers = {"reached_fraction": share, **best_numbers, **prior_numbers}
    if share >= REACHED_MOST:
        return Findings((), numbers, {})
    failed = not share >= REACHED_LEAST
    what = f"{share:.1%} of the draws reach Y*.{_by_chain(reached)} {best} {prior}"
    advice = (
        (RARER if "margin" in e.stats else NOT_IMPOSSIBLE)
        if failed
        else (
            "Keep the draws with sample_stats.reached, or widen the tolerance; the prior may hold the rest."
        )
    )
    code, verdict = ("not reached", Verdict.NOT_REACHED) if failed else ("partly", Verdict.PARTLY_REACHED)
    return Findings((Reason(code, " ".join(what.split()), advice, verdict),), numbers, {})


def _by_chain(reached: np.ndarray) -> str:
    shares = reached.mean(axis=1)
    never = [str(k) for k in np.flatnonzero(shares < REACHED_LEAST)]
    if not never or len(never) == len(shares) or len(never) > 8:
        return ""
    return f" Chains that do not: {', '.join(never)}."


def _best(e: Evidence) -> tuple[str, dict[str, float]]:
    norm = e.stats.get("residual_norm")
    if norm is not None and np.isfinite(norm).any():
        place = np.unravel_index(int(np.nanargmin(norm)), norm.shape)
        numbers = {"residual_min": float(norm[place])}
        text = f"The best residual is |r| = {norm[place]:.3g} tolerances"
    elif "margin" in e.stats and np.isfinite(e.stats["margin"]).any():
        margin = e.stats["margin"]
        place = np.unravel_index(int(np.nanargmax(margin)), margin.shape)
        numbers = {"margin_max": float(margin[place])}
        side = "inside" if margin[place] >= 0 else "outside"
        text = f"The best draw lies {abs(margin[place]):.3g} of the prior's spread {side} the region"
    elif e.log_likelihood is not None and np.isfinite(e.log_likelihood).any():
        place = np.unravel_index(int(np.nanargmax(e.log_likelihood)), e.log_likelihood.shape)
        numbers = {"log_likelihood_max": float(e.log_likelihood[place])}
        text = f"The best log likelihood is {e.log_likelihood[place]:.4g}"
    elif (away := _away(e)) is not None:
        place = np.unravel_index(int(np.nanargmin(away)), away.shape)
        numbers, text = {}, "The nearest output found is"
    else:
        return "", {}
    if e.y is None:
        return f"{text}.", numbers
    y = np.asarray(e.y[place])  # a scalar output leaves a number and no array
    shown = f" at y = {_words(y)}" if y.size <= SHOWN_OUTPUTS else ""
    if e.y_star is not None and e.y_star.shape == y.shape and np.isfinite(y).all():
        distance = float(np.nanmax(np.abs(y - e.y_star), initial=0.0))
        numbers["distance_min"] = distance
        shown += f", {distance:.3g} from Y* in the worst output"
    return f"{text}{shown}.", numbers


def _away(e: Evidence) -> np.ndarray | None:
    """(chain, draw): max |y - Y*| over the outputs that matter; None where that is not known."""
    if e.y is None or e.y_star is None or e.y.shape[2:] != e.y_star.shape:
        return None
    wished = np.isfinite(e.y_star.ravel())
    with np.errstate(invalid="ignore"):
        away = np.abs(rows_of(e.y) - e.y_star.ravel())[:, :, wished].max(axis=2, initial=0.0)
    return away if wished.any() and np.isfinite(away).any() else None


def improbability(e: Evidence) -> tuple[str, dict[str, float]]:
    """How Y* lies to what inputs from the prior give, in words and numbers."""
    texts: list[str] = []
    numbers: dict[str, float] = {}
    reached = e.prior_reached
    if reached is not None and reached.size:
        share = float(reached.mean())
        numbers["prior_reached_fraction"] = share
        bound = f" (with 95 % confidence less than {3 / reached.size:.2g} of the prior)" if share == 0 else ""
        texts.append(f"Of {reached.size} draws from the prior {int(reached.sum())} reach Y*{bound}.")
    below = e.notes.get("log_evidence_below")
    if isinstance(below, int | float):
        texts.append(f"It is rarer than {math.exp(below):.1g} under the prior, if it can be met at all.")
    if e.prior_y is None or e.y_star is None or e.prior_y.shape[2:] != e.y_star.shape:
        return " ".join(texts), numbers
    y = e.prior_y.reshape(-1, max(e.y_star.size, 1))
    y = y[np.isfinite(y).all(axis=1)]
    wished = np.isfinite(e.y_star.ravel())
    if len(y) < 2 or not wished.any():
        return " ".join(texts), numbers
    y, y_star = y[:, wished], e.y_star.ravel()[wished]
    outside = (y_star < y.min(axis=0)) | (y_star > y.max(axis=0))
    numbers["outputs_outside_prior_range"] = int(outside.sum())
    if outside.any():
        k = int(np.argmax(outside))
        texts.append(
            f"{int(outside.sum())} of {len(y_star)} wished outputs lie outside the range of what the prior "
            f"gives: Y*[{np.flatnonzero(wished)[k]}] = {y_star[k]:.4g}, the range is {y[:, k].min():.4g} "
            f"to {y[:, k].max():.4g}."
        )
    distance = mahalanobis(y, y_star)
    if not math.isnan(distance):
        numbers["mahalanobis"] = distance
        texts.append(
            f"Y* is {distance:.3g} standard deviations (Mahalanobis) from the centre of what the prior gives."
        )
    return " ".join(texts), numbers


def mahalanobis(y: np.ndarray, y_star: np.ndarray) -> float:
    """sqrt((Y* - m)^T C^-1 (Y* - m)), m and C of the rows of y; NaN where C is not known well."""
    rows, outputs = y.shape
    if outputs > MAHALANOBIS_OUTPUTS or rows < PER_OUTPUT * outputs:
        return math.nan
    with np.errstate(all="ignore"):
        scale = y.std(axis=0)
        centred = (y - y.mean(axis=0)) / scale
        away = (y_star - y.mean(axis=0)) / scale
        correlation = centred.T @ centred / rows
        if not np.isfinite(correlation).all() or np.linalg.cond(correlation) > 1e10:
            return math.nan
        return float(np.sqrt(away @ np.linalg.solve(correlation, away)))


def _words(y: np.ndarray) -> str:
    flat = [f"{value:.4g}" for value in y.ravel()]
    return flat[0] if y.ndim == 0 else f"({', '.join(flat)})"
