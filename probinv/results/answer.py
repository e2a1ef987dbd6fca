"""The answer in a few sentences."""

import numpy as np

from probinv.results.plots._reading import GAIN_LEAST, Reading
from probinv.results.plots._style import count, number, share
from probinv.results.verdict import Verdict

NAMED_MOST = 3
SURE = (Verdict.OK, Verdict.UNKNOWN, Verdict.PARTLY_REACHED)


def answer(reading: Reading, verdict: str) -> list[str]:
    """Sentences for a reader who looks at nothing else.

    Args:
        reading: the tree, read.
        verdict: the text of the verdict; where the draws cannot be trusted, the first sentence says so.
    """
    lines = []
    if verdict not in SURE:
        lines.append(
            f"These draws do not answer the question ({verdict}); what follows describes the draws only."
            if reading.has("posterior")
            else f"These points do not answer the question ({verdict})."
        )
    if reading.facts.get("interrupted"):
        lines.append("The run was stopped before its end; this is what there was.")
    if reading.has("posterior"):
        lines += [_reached(reading), _modes(reading), _where(reading), _rest(reading)]
    if reading.has("optima"):
        lines += _optima(reading)
    return [line for line in lines if line]


def _reached(reading: Reading) -> str:
    chains, draws = reading.draws.values.shape[:2]
    reached = reading.stat("reached")
    total = f"{count(chains * draws, 'draw')} from {count(chains, 'chain')}"
    if reached is None:
        return f"There are {total}."
    part = float(reached.mean())
    if part == 0.0:
        return f"None of {total} reaches the wish."
    text = f"Of {total}, {share(part)} reach the wish"
    if reading.has("prior_predictive", "reached"):
        before = float(reading.tree["prior_predictive"]["reached"].values.mean())
        text += f"; of the prior's draws {share(before)} do" if before else "; none of the prior's draws does"
    return text + "."


def _modes(reading: Reading) -> str:
    """That there are separate answers: quantiles of one input then span what lies between them."""
    found = reading.modes
    if found is None or found.count == 1:
        return ""
    if found.apart.any():
        weights = "whose weights are not known"
    else:
        weights = f"the heaviest with {share(float(found.weights[0]))} of the draws"
    return (
        f"The answers form {found.count} separate modes, {weights}; an interval of one input may span "
        "what lies between them."
    )


def _where(reading: Reading) -> str:
    """The entries that the wish says most about, with their intervals."""
    gain = np.nan_to_num(reading.gain, nan=-1.0)
    known = np.flatnonzero(~reading.fixed & np.isfinite(reading.quantiles).all(axis=0))
    if not len(known):
        return "Every input is fixed." if reading.fixed.all() else ""
    best = [int(k) for k in known[np.argsort(-gain[known], kind="stable")][:NAMED_MOST]]
    told = [k for k in best if gain[k] >= GAIN_LEAST]
    if reading.prior is not None and not told:
        return "The wish hardly changes any single input: each stays as its prior has it."
    level, names = reading.quantiles, reading.draws.names
    parts = []
    for k in told or best:
        low, middle, high = (number(level[row, k]) for row in (0, 2, -1))
        part = f"{names[k]} is {middle}, with 90\u00a0% between {low} and {high}"
        if np.isfinite(reading.narrowing[k]):
            part += f" ({share(float(reading.narrowing[k]))} of its width under the prior)"
        parts.append(part)
    return ("The wish says most about these inputs: " if len(known) > 1 else "") + "; ".join(parts) + "."


def _rest(reading: Reading) -> str:
    """How many entries the wish leaves alone, and how many are fixed."""
    gain = reading.gain[~reading.fixed]
    gain = gain[~np.isnan(gain)]
    still = int((gain < GAIN_LEAST).sum())
    fixed = int(reading.fixed.sum())
    parts = []
    if 0 < still < len(gain):
        parts.append(
            f"{still} of {len(gain)} inputs hardly change from their prior: about them the wish says little."
        )
    if 0 < fixed < len(reading.fixed):
        parts.append(f"{count(fixed, 'input')} {'is' if fixed == 1 else 'are'} fixed.")
    return " ".join(parts)


def _optima(reading: Reading) -> list[str]:
    points, names = reading.optima.flat(), reading.optima.names
    many = len(points)
    reached = reading.optimum_stat("reached")
    if reached is None:
        text = f"{count(many, 'point')} found"
    elif many == 1:
        text = f"One point was found; it {'reaches' if reached.all() else 'does not reach'} the wish"
    else:
        text = f"{many} points were found; {int(reached.sum())} of them reach the wish"
    lines = [text + ". A point says nothing about how far an input may vary: sample for that."]
    if many and len(names) <= 2 * NAMED_MOST:
        best = ", ".join(f"{name} = {number(value)}" for name, value in zip(names, points[0], strict=True))
        lines.append(f"The best: {best}.")
    return lines
