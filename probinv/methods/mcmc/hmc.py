"""HMC with trajectories of fixed length."""

import math
from typing import ClassVar, final

import numpy as np

from probinv._checks import as_count
from probinv._typing import PRNGKey
from probinv.methods._base import AbstractMethod, Draws, Progress
from probinv.methods.kernels.hamiltonian import Settings
from probinv.methods.mcmc._checks import check_fraction, check_positive
from probinv.methods.mcmc._run import Plan, memory, run_chains
from probinv.posterior import Density


@final
class HMC(AbstractMethod):
    r"""Draws z from exp(log p(z | Y*)) by Hamiltonian Monte Carlo.

    Every trajectory has the same length, in units of the adapted mass matrix; the step size is adapted. NUTS
    is the better default; HMC has fewer surprises when one gradient is dear and a good length is known
    (Duane et al. 1987; Neal 2011, arXiv 1206.1901).

    Args:
        draws: draws of each chain that are kept.
        warmup: steps of each chain that adapt step size and mass matrix, and are dropped.
        chains: number of chains; at least 4 for a trustworthy R-hat.
        trajectory_length: step size times number of steps. The default, pi / 2, makes draws of a standard
            normal independent.
        max_steps: a trajectory has at most so many steps; where the step size asks for more, it is shorter.
        target_accept: acceptance that the step size is adapted to.
        dense_mass: adapt a full mass matrix (n^2 numbers a chain) and not only its diagonal.
        thin: transitions for each draw that is kept.
    """

    draws: int = 1000
    warmup: int = 500
    chains: int = 4
    trajectory_length: float = math.pi / 2
    max_steps: int = 1023
    target_accept: float = 0.8
    dense_mass: bool = False
    thin: int = 1
    view: ClassVar[type] = Density
    exact: ClassVar[bool] = True

    def __check_init__(self) -> None:
        for name in ("draws", "chains", "max_steps", "thin"):
            as_count(name, getattr(self, name))
        as_count("warmup", self.warmup, least=0)
        check_fraction("target_accept", self.target_accept)
        check_positive("trajectory_length", self.trajectory_length)

    @property
    def steps(self) -> int:
        """Warm-up steps and draws."""
        return self.warmup + self.draws

    @property
    def points(self) -> int:
        """Draws of all chains."""
        return self.draws * self.chains

    def memory(self, size: int) -> int:
        """Bytes at the peak of a run in `size` coordinates."""
        return memory(self._settings, self._plan, size)

    def run(
        self, view: Density, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Draws:
        """The draws of all chains; see `AbstractMethod.run`."""
        return run_chains(self._settings, self._plan, view, key, progress, resume)

    @property
    def _settings(self) -> Settings:
        length = (1, float(self.trajectory_length))
        return Settings("HMC", self.warmup, self.target_accept, *length, self.dense_mass, self.max_steps)

    @property
    def _plan(self) -> Plan:
        return Plan(self.draws, self.warmup, self.chains, self.thin)
