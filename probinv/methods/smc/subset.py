"""SubsetSimulation: draws from a region with hard edges, and how rare it is."""

from typing import ClassVar, final

import numpy as np

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.methods._base import AbstractMethod, Draws, Progress
from probinv.methods.smc._subset import PROGRESS, Settings, run_subset
from probinv.posterior import Region


@final
class SubsetSimulation(AbstractMethod):
    r"""P(wish) = \prod_k P(m(z) >= l_k | m(z) >= l_{k-1}), and draws z from p(z) [m(z) >= 0] / P(wish).

    Particles drawn from the prior climb levels l_1 < l_2 < ... < 0 of the wish's margin m: those that reach
    the next level are copied over the others, and all move by steps that leave the prior restricted to the
    level as it is (Au & Beck 2001, doi 10.1016/S0266-8920(01)00019-4; as sequential Monte Carlo: Cerou, Del
    Moral, Furon & Guyader 2012, doi 10.1007/s11222-011-9231-6). No gradient is used, and every draw meets the
    wish. The cost grows with -log P(wish), not with 1 / P(wish).

    A pilot population chooses the levels, the step sizes and the numbers of moves; the replicates, one for
    each chain of the result, are independent and use them unchanged, so that the product of the fractions of
    each is an unbiased estimate of P(wish). The logarithm of their mean, its standard error and the values
    are in the notes of the result as log_evidence, log_evidence_error and log_evidence_replicates.

    Args:
        draws: particles of a replicate, all of which are draws.
        chains: number of replicates; at least 4 for a trustworthy R-hat.
        fraction: share of the particles that reach the next level.
        rarest: where P(margin >= level) falls below this the search ends and the wish counts as not reached.
        moves: a particle makes at most so many moves on a level, and eight times as many on the last.
    """

    draws: int = 1000
    chains: int = 4
    fraction: float = 0.5
    rarest: float = 1e-15
    moves: int = 32
    view: ClassVar[type] = Region
    exact: ClassVar[bool] = True

    def __check_init__(self) -> None:
        as_count("draws", self.draws, least=2)
        as_count("chains", self.chains)
        as_count("moves", self.moves)
        for name, example in (("fraction", "0.5"), ("rarest", "1e-15")):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1.0:
                raise InputError(
                    f"{name} must lie between 0 and 1", f"got {value!r}", f"for example {name}={example}"
                )

    @property
    def steps(self) -> int:
        """A hundred for the pilot and for each replicate."""
        return PROGRESS * (self.chains + 1)

    @property
    def points(self) -> int:
        """Draws of all replicates."""
        return self.draws * self.chains

    def memory(self, size: int) -> int:
        """Bytes at the peak of a run in `size` coordinates: the draws, and one population several times."""
        return 8 * (self.points + 8 * self.draws) * (size + 8)

    def run(
        self, view: Region, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Draws:
        """The particles of all replicates on the last level; where the wish is not met, the nearest found."""
        settings = Settings(
            self.draws, self.chains, float(self.fraction), float(self.rarest), max(self.moves, 1)
        )
        return run_subset(settings, view, key, progress, resume)
