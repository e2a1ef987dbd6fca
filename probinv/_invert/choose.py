"""Which method, where the user names none, and which one next, where the first does not converge."""

from typing import NamedTuple

import numpy as np

from probinv._checks import double_precision
from probinv._typing import PRNGKey
from probinv.boltzmann.prior import machines
from probinv.forward import output_struct
from probinv.likelihood import (
    AbstractConstraintLikelihood,
    AbstractRegionLikelihood,
    AbstractResidualLikelihood,
)
from probinv.methods import (
    NUTS,
    AbstractMethod,
    LiftedHMC,
    ParallelTempering,
    SubsetSimulation,
    TemperedSMC,
)
from probinv.posterior import Posterior, evaluate, sample_prior

LIFTED_ALWAYS, LIFTED_MOST = 50, 500
"""Equations (or coordinates, if fewer) up to which LiftedHMC is taken whatever the tolerance, and at all."""
NARROW = 0.01
"""A tolerance below this part of an output's prior spread is too narrow for NUTS (see docs/choosing.md)."""
PILOT = 200


class Choice(NamedTuple):
    """A method and a sentence that says why."""

    method: AbstractMethod
    why: str


def choose(posterior: Posterior, key: PRNGKey) -> list[Choice]:
    """What to try, in this order; the next is tried where the chains of the one before do not agree.

    A wish that is an equation with up to 50 outputs (or coordinates): LiftedHMC. With up to 500: LiftedHMC
    where the tolerance is below 1 % of the spread that 200 prior draws give the outputs, NUTS elsewhere. A
    wish with hard edges: SubsetSimulation, and nothing after it. Any other wish, and a network that computes
    in single precision: NUTS. Chains that disagree are in different modes or have not moved: then
    TemperedSMC, which begins with the whole prior. `posterior` is the reduced one, where there is a
    reduction. A prior that is a machine is a mixture of normal laws, of which chains may never leave one:
    TemperedSMC, then ParallelTempering.
    """
    likelihood, n = posterior.likelihood, posterior.size
    if isinstance(likelihood, AbstractRegionLikelihood):
        kind = type(likelihood).__name__
        why = f"{kind} has hard edges: SubsetSimulation, of which every draw meets the wish."
        return [Choice(SubsetSimulation(), why)]
    mixed = isinstance(likelihood, AbstractConstraintLikelihood) and likelihood.mixed
    if machines(posterior.prior) and not mixed:
        return _for_a_mixture()
    after = Choice(
        TemperedSMC(),
        "The chains of {before} did not agree, as chains in separate modes do: TemperedSMC, which begins "
        "with the whole prior and weighs the modes.",
    )
    if not isinstance(likelihood, AbstractConstraintLikelihood):
        kind = type(likelihood).__name__
        return [Choice(NUTS(), f"{kind} is not an equation for the output, so NUTS on its density."), after]
    exact = not isinstance(likelihood, AbstractResidualLikelihood)
    if not exact and output_struct(posterior.forward, posterior.prior.shape).dtype != np.float64:
        why = "The network computes in single precision, too coarse for LiftedHMC, so NUTS."
        return [Choice(NUTS(), why), after]
    rows = min(int(np.prod(posterior.output_shape)), n)
    lifted = LiftedHMC(draws=500, chains=8, thin=4)
    if exact:
        first = Choice(lifted, "An exact wish is a set without volume: LiftedHMC, which samples it.")
        return [first] if likelihood.mixed else [first, after]
    if rows <= LIFTED_ALWAYS:
        counted = "1 equation" if rows == 1 else f"{rows} equations"
        why = f"The wish is {counted} in {n} coordinates: LiftedHMC, whose step does not depend on the "
        return [Choice(lifted, f"{why}tolerance."), after]
    ratio = narrowest(posterior, key)
    if rows <= LIFTED_MOST and ratio < NARROW:
        why = f"The tolerance is {ratio:.2g} of the output's spread under the prior: LiftedHMC, because NUTS "
        return [Choice(lifted, f"{why}would need steps as small."), after]
    why = f"{rows} equations are many for a dense Gram matrix, and the tolerance is {ratio:.2g} of the "
    return [Choice(NUTS(), f"{why}output's spread under the prior: NUTS."), after]


def _for_a_mixture() -> list[Choice]:
    why = "The prior is a mixture of normal laws, of which chains may never leave one: "
    second = "The replicates of {before} did not agree: ParallelTempering, which begins anew all the time."
    return [
        Choice(TemperedSMC(), f"{why}TemperedSMC, which begins with draws of the whole prior."),
        Choice(ParallelTempering(), second),
    ]


def narrowest(posterior: Posterior, key: PRNGKey) -> float:
    """The smallest tolerance of an output over its spread under the prior: 1 / spread of the residual."""
    with double_precision():
        y = evaluate(posterior, sample_prior(posterior, key, PILOT)).y.reshape(PILOT, -1)
        tolerance = getattr(posterior.likelihood, "tolerance", None)
    if tolerance is None:
        return 1.0
    with np.errstate(all="ignore"):
        ratio = np.asarray(tolerance).ravel() / np.nanstd(y, axis=0)
    return float(np.nanmin(ratio, initial=1.0))
