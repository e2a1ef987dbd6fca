"""ParallelTempering."""

from typing import ClassVar, final

import numpy as np

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.methods._base import AbstractMethod, Draws, Progress
from probinv.methods.kernels.blocks import Plan, rows_of_block
from probinv.methods.smc._ladder import run_parallel
from probinv.methods.smc._mutate import settings_for
from probinv.posterior import Path

RUNGS_GUESSED = 30


@final
class ParallelTempering(AbstractMethod):
    r"""Chains on p_b(z) = p(z) p(Y* | f(T(z)))^b for a ladder of b from 0 to 1 that exchange their places.

    A second opinion on the weights of modes: it shares the moves of TemperedSMC and none of its resampling.
    The ladder is the sequence of b that a small TemperedSMC takes; at b = 0 every round draws afresh from the
    prior, so that each arrival at b = 1 is a new start ("restarts" in the provenance). Neighbours swap
    in alternating pairs (Syed, Bouchard-Côté, Deligiannidis & Doucet 2022, arXiv 1905.02939). The evidence is
    the stepping-stone estimate along the ladder (Xie, Lewis, Fan, Kuo & Chen 2011). Each chain of the result
    is a whole ladder. An exact wish is met by projecting the draws at the narrowest tolerance.

    Args:
        draws: draws of each chain that are kept.
        warmup: rounds that adapt the step sizes, and are dropped. A walker needs hundreds from one end of a
            ladder of 30 to the other, and until then the draws have the mode weights of a small TemperedSMC.
        chains: independent ladders; at least 4 for a trustworthy R-hat.
        thin: rounds of moves and swaps for each draw that is kept.
        target_accept: acceptance that the step sizes are adapted to.
    """

    draws: int = 1000
    warmup: int = 1000
    chains: int = 4
    thin: int = 3
    target_accept: float = 0.8
    view: ClassVar[type] = Path
    exact: ClassVar[bool] = True

    def __check_init__(self) -> None:
        for name in ("draws", "chains", "thin"):
            as_count(name, getattr(self, name))
        as_count("warmup", self.warmup, least=0)
        if not 0.0 < self.target_accept < 1.0:
            raise InputError(
                "target_accept must lie between 0 and 1",
                f"got {self.target_accept!r}",
                "for example target_accept=0.8",
            )

    @property
    def plan(self) -> Plan:
        """How much to run."""
        return Plan(self.draws, self.warmup, self.chains, self.thin)

    @property
    def steps(self) -> int:
        """Warm-up rounds and draws."""
        return self.warmup + self.draws

    @property
    def points(self) -> int:
        """Draws of all chains."""
        return self.draws * self.chains

    def memory(self, size: int) -> int:
        """Bytes at the peak: the draws, the block's buffer twice, and a ladder of 30 Jacobians a chain."""
        block = 2 * rows_of_block(self.plan, size) * self.chains * size
        walkers = RUNGS_GUESSED * self.chains * size * min(size, 50)
        return 8 * (self.points * (size + 8) + block + 10 * walkers)

    def run(
        self, view: Path, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Draws:
        """The draws of all chains; see `AbstractMethod.run`."""
        settings = settings_for(view, self.target_accept, 256)
        return run_parallel(settings, self.plan, view, key, progress, resume)
