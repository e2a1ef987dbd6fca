"""Whether the chains agree along combinations of the inputs, and not only in each of them."""

import numpy as np

from probinv.results._directions import between, whitening
from probinv.results._evidence import Entries, Evidence
from probinv.results._statistics import chain_statistics, population_statistics, usable
from probinv.results.thresholds import COMBINATION_RHAT_MOST, DRAWS_LEAST
from probinv.results.verdict import Findings, Reason, Verdict

NOTHING = Findings((), {}, {})
BLOCKS = 20
ROWS_MOST = 4000
WHITE_MOST = 2000
TERMS, TERM_LEAST = 3, 0.05


def check_combination(e: Evidence) -> Findings:
    """R-hat of u.z, u the direction in which the means of the chains differ most, as against the draws.

    u maximises u^T B u / u^T W u, B the covariance of the means and W that of the draws (Brooks & Gelman
    1998): chains on both sides of a thin sheet across several inputs agree in each of them. Every other of
    20 blocks of each chain chooses u, and R-hat is that of the other blocks, so that in many dimensions noise
    is not taken for a difference. Where there are as many entries as draws, W is taken to be diagonal.
    """
    entries = e.x if e.z is None else e.z
    if entries is None or e.chains < 2 or e.draws < 2 * BLOCKS or not np.isfinite(entries.draws).all():
        return NOTHING
    keep = np.flatnonzero(usable(entries.draws))
    if len(keep) < 2:
        return NOTHING
    train = np.arange(e.draws) * BLOCKS // e.draws % 2 == 0
    draws = entries.draws[:, :, keep]
    axis = _axis(draws[:, train])
    if axis is None:
        return NOTHING
    held = (draws[:, ~train] @ axis)[:, :, None]
    if held.shape[1] < DRAWS_LEAST or not usable(held).all():
        return NOTHING
    statistics = (
        chain_statistics(held) if e.ancestors is None else population_statistics(held, e.ancestors[:, ~train])
    )
    rhat = float(statistics.rhat[0])
    numbers, where = {"rhat_combination": rhat}, {"rhat_combination": _named(entries, keep, axis)}
    told = e.modes is not None and bool(e.modes.apart.any())  # `check_modes` says more
    if rhat <= COMBINATION_RHAT_MOST or told:
        return Findings((), numbers, where)
    reason = Reason(
        "combination",
        f"The {e.unit}s disagree along a combination of inputs: R-hat of {where['rhat_combination']} is "
        f"{rhat:.3f}.",
        "Take more draws; if they stay apart, let TemperedSMC find and weigh the places.",
        Verdict.NOT_CONVERGED,
    )
    return Findings((reason,), numbers, where)


def _axis(draws: np.ndarray) -> np.ndarray | None:
    """The direction u of draws (chain, draw, n), for u.z; None where none of the entries moves."""
    chains, count, n = draws.shape
    step = -(-chains * count // ROWS_MOST)
    rows, groups = draws.reshape(-1, n)[::step], np.repeat(np.arange(chains), count)[::step]
    scale = rows.std(axis=0)
    if not (scale > 0).all():
        return None
    scaled = (rows - rows.mean(axis=0)) / scale
    if 2 * n > len(rows) or n > WHITE_MOST:
        return between(scaled, groups)[:, 0] / scale
    w = whitening(scaled)
    return w @ between(scaled @ w, groups)[:, 0] / scale


def _named(entries: Entries, keep: np.ndarray, axis: np.ndarray) -> str:
    weight = axis * entries.draws[:, :, keep].std(axis=(0, 1))
    return formula(weight / np.linalg.norm(weight), [entries.labels[k] for k in keep])


def formula(weights: np.ndarray, labels: list[str]) -> str:
    """A combination of standardised entries in words: its largest terms."""
    largest = [int(k) for k in np.argsort(-np.abs(weights))[:TERMS] if abs(weights[k]) >= TERM_LEAST]
    text = " ".join(f"{'-' if weights[k] < 0 else '+'} {abs(weights[k]):.2f} {labels[k]}" for k in largest)
    return text.removeprefix("+ ") + (" ..." if len(labels) > len(largest) else "")
