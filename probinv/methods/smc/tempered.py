"""TemperedSMC."""

from typing import ClassVar, final

import numpy as np

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.methods._base import AbstractMethod, Draws, Progress
from probinv.methods.smc._mutate import batch_of, settings_for
from probinv.methods.smc._tempering import Plan, run_tempered
from probinv.posterior import Path


@final
class TemperedSMC(AbstractMethod):
    r"""Draws z from p(z) p(Y* | f(T(z)))^b, b = 0 -> 1, by sequential Monte Carlo; and p(Y*), the evidence.

    A population of prior draws is weighted, resampled and moved at every b; the next b is the one at which
    the weights are worth a fraction `keep` of the particles (Del Moral, Doucet & Jasra 2006; Zhou, Johansen
    & Aston 2016, arXiv 1303.3123). As the population begins spread over the whole prior it finds separate
    modes and weighs them, which chains cannot. The moves are those of LiftedHMC where the wish is an equation
    for up to 50 outputs, at any tolerance, and HMC shaped by the population's covariance elsewhere. An exact
    wish is approached by shrinking tolerances and then met by projection.

    Each replicate is an independent run and one chain of the result, so that R-hat and the spread of the
    evidences say how well the weights of the modes are known. The estimate of p(Y*) of each replicate is
    unbiased for a fixed sequence of b; adapting it adds a bias of order 1 / draws (Beskos, Jasra, Kantas &
    Thiery 2016, arXiv 1306.6462).

    Args:
        draws: particles of each replicate; all are kept.
        chains: independent replicates; at least 4 for a trustworthy R-hat.
        moves: transitions of each particle at every b.
        last_moves: transitions at the end, which draw apart the copies that resampling made.
        keep: effective fraction of the particles at every b; nearer to 1 is slower and more exact.
        target_accept: acceptance that the step size is adapted to.
    """

    draws: int = 1000
    chains: int = 4
    moves: int = 3
    last_moves: int = 10
    keep: float = 0.7
    target_accept: float = 0.8
    view: ClassVar[type] = Path
    exact: ClassVar[bool] = True

    def __check_init__(self) -> None:
        for name in ("draws", "chains", "moves", "last_moves"):
            as_count(name, getattr(self, name))
        for name in ("keep", "target_accept"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InputError(
                    f"{name} must lie between 0 and 1",
                    f"got {getattr(self, name)!r}",
                    f"for example {name}={TemperedSMC.__dataclass_fields__[name].default}",
                )

    @property
    def steps(self) -> int:
        """Temperatures, of which the number is not known beforehand: a guess."""
        return 20 * self.chains

    @property
    def points(self) -> int:
        """Draws of all replicates."""
        return self.draws * self.chains

    def memory(self, size: int) -> int:
        """Bytes at the peak: all draws, the population three times, and the Jacobians of one batch."""
        batch = batch_of(size, self.draws)
        return 8 * (self.points * (size + 8) + 3 * self.draws * size + 10 * batch * size * min(size, 50))

    def run(
        self, view: Path, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Draws:
        """The draws of all replicates; an interrupted run goes on with those that are not finished."""
        settings = settings_for(view, self.target_accept, self.draws)
        plan = Plan(self.draws, self.chains, self.moves, self.last_moves, float(self.keep))
        return run_tempered(settings, plan, view, key, progress, resume)
