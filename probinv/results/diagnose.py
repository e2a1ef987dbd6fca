"""diagnose: can these draws be trusted? A verdict in words, with reasons."""

import numpy as np
import xarray as xr

from probinv._errors import InputError
from probinv.results._components import check_components
from probinv.results._evidence import Evidence, gather
from probinv.results._mixing import check_mixing
from probinv.results._modes import check_modes
from probinv.results._movement import check_bounds, check_finite, check_movement, check_size
from probinv.results._optima import check_optima
from probinv.results._population import check_ancestors, check_evidence
from probinv.results._sampler import (
    check_divergences,
    check_energy,
    check_nan,
    check_precision,
    check_projection,
    check_run,
    check_saturation,
)
from probinv.results._weighted import check_weighted
from probinv.results._wish import check_wish
from probinv.results.verdict import Diagnosis, Findings, Reason, Verdict, conclude

CHECKS = (
    check_size,
    check_finite,
    check_bounds,
    check_movement,
    check_mixing,
    check_modes,
    check_components,
    check_ancestors,
    check_evidence,
    check_divergences,
    check_nan,
    check_saturation,
    check_energy,
    check_projection,
    check_precision,
    check_wish,
    check_weighted,
    check_run,
)


def diagnose(tree: xr.DataTree) -> Diagnosis:
    """max R-hat <= 1.01, min ESS >= 400, E-BFMI >= 0.3, Y* reached by 95 % of the draws, all chains alive.

    The verdict is the worst that any finding calls for, in the order numerical failure, Y* not reached,
    not converged, reaches Y* only partly, unknown, ok. R-hat (rank-normalised, split), bulk and tail ESS
    (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021, arXiv 1903.08008) and E-BFMI (Betancourt 2016,
    arXiv 1604.00695) are those of ArviZ, over every entry of x that is not fixed, the energy and the log
    likelihood; membership in a mode is one more quantity (`modes`). Of a population sampler, whose draws are
    no series in time, R-hat compares replicates, and ESS is that of families of common ancestors (Lee &
    Whiteley 2018, arXiv 1509.00394). ArviZ gives a frozen chain R-hat = NaN and an effective sample size
    equal to the number of draws; here it is a failure. `ok` means that nothing speaks against the draws, not
    that every mode was found.

    Args:
        tree: a result of `invert`, in memory or opened from a file, or any tree with the groups of the ArviZ
            schema. Of a tree that probinv did not make, the best that can be said is `unknown`.

    Returns:
        The verdict with all reasons, what to do about each, and the numbers behind them.

    Raises:
        InputError: not a DataTree.
    """
    if not isinstance(tree, xr.DataTree):
        raise InputError(
            "tree is not a DataTree",
            f"got {type(tree).__name__}",
            "give the result of invert, or open a file with xarray.open_datatree",
        )
    if "posterior" not in tree.children and "optima" in tree.children:
        return conclude(check_optima(tree))
    evidence = gather(tree)
    if evidence.chains * evidence.draws == 0:
        return conclude([_empty(evidence)])
    parts = [check(evidence) for check in CHECKS]
    if all(reason.verdict is Verdict.OK for part in parts for reason in part.reasons):
        parts.append(_agreement(evidence, parts))
    return conclude(parts)


def _empty(e: Evidence) -> Findings:
    what = (
        "It has no group posterior with the dimensions chain and draw" if e.x is None else "There is no draw"
    )
    reason = Reason(
        "no draws", f"{what}, so there is nothing to judge.", "Give the result of a sampler.", Verdict.UNKNOWN
    )
    return Findings((reason,), {"chains": e.chains, "draws": e.draws}, {})


def _agreement(e: Evidence, parts: list[Findings]) -> Findings:
    numbers = {name: value for part in parts for name, value in part.numbers.items()}
    judged = int(numbers.get("entries_judged", 0))
    if not judged or np.isnan(numbers.get("rhat_max", np.nan)):
        reason = Reason(
            "nothing judged", "No quantity could be judged.", "Look at the draws.", Verdict.UNKNOWN
        )
        return Findings((reason,), {}, {})
    reason = Reason(
        "agreement",
        f"{numbers['chains']} {e.unit}s that began apart agree in {judged} quantities. That "
        "is evidence and not proof that all modes were found, and it does not say that the network is right "
        "at these inputs.",
        f"If a missed answer would matter, run again with another seed and more {e.unit}s.",
        Verdict.OK,
    )
    return Findings((reason,), {}, {})
