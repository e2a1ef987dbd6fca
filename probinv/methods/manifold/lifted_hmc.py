"""LiftedHMC."""

from typing import ClassVar, final

import numpy as np

from probinv._checks import as_count, as_positive
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.methods._base import AbstractMethod, Draws, Progress
from probinv.methods.kernels.blocks import Plan, rows_of_block
from probinv.methods.manifold._run import Settings, run_lifted
from probinv.posterior import Constraint


@final
class LiftedHMC(AbstractMethod):
    r"""Draws (z, eta) from p(z) N(eta) det(J J^T + s^2)^(-1/2) on { r(z) + s eta = 0 } by constrained HMC.

    The step size does not depend on the tolerance, nor, for Gaussian and box priors, on the number of
    inputs; a tolerance of zero (`Exactly`) is the same code. All chains are advanced together and share one
    step size. Each step solves for its end by Newton's method with the Jacobian of all m outputs, so it
    costs some 10 m gradients: use it for up to a few hundred outputs (or coordinates, whichever is less). It
    does not cross from one separate mode to another: TemperedSMC finds and weighs modes.

    Each trajectory is followed by one proposal that does not depend on where the chain is (randomize-then-
    optimize: Bardsley, Solonen, Haario & Laine 2014, arXiv 1305.3013); where fewer than 5 % of those are
    accepted in the warm-up they are left out.

    Au, Graham & Thiery 2023 (JRSS-B 85(3), arXiv 2003.03950) for the lifted manifold; here with the
    exact rotation of the Gaussian part, full Newton steps, independent proposals, and chains vectorised,
    which no other library has.

    Args:
        draws: draws of each chain that are kept.
        warmup: transitions of each chain that adapt the step size, and are dropped.
        chains: number of chains; at least 4 for a trustworthy R-hat.
        thin: transitions for each draw that is kept. The default makes draws nearly independent, so that few
            have to be stored.
        trajectory_length: mean time of a trajectory; pi / 2 is a quarter of a period of the prior alone.
        max_steps: a trajectory has at most so many steps.
        target_accept: acceptance that the step size is adapted to.
    """

    draws: int = 1000
    warmup: int = 300
    chains: int = 4
    thin: int = 2
    trajectory_length: float = 1.1
    max_steps: int = 200
    target_accept: float = 0.8
    view: ClassVar[type] = Constraint
    exact: ClassVar[bool] = True

    def __check_init__(self) -> None:
        for name in ("draws", "chains", "thin", "max_steps"):
            as_count(name, getattr(self, name))
        as_count("warmup", self.warmup, least=0)
        as_positive("trajectory_length", self.trajectory_length, shape=())
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
        """Warm-up transitions and draws."""
        return self.warmup + self.draws

    @property
    def points(self) -> int:
        """Draws of all chains."""
        return self.draws * self.chains

    def memory(self, size: int) -> int:
        """Bytes at the peak: the draws, the block's buffer twice, and some Jacobians of up to 50 outputs."""
        draws = self.draws * self.chains * (size + 10)
        block = 2 * rows_of_block(self.plan, size) * self.chains * (size + 10)
        return 8 * (draws + block + 10 * self.chains * size * min(size, 50))

    def run(
        self, view: Constraint, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Draws:
        """The draws of all chains; see `AbstractMethod.run`."""
        settings = Settings(float(self.target_accept), float(self.trajectory_length), self.max_steps)
        return run_lifted(settings, self.plan, view, key, progress, resume)
