"""What NUTS and HMC share: everything but the settings of the kernel."""

from abc import abstractmethod

import equinox as eqx
import numpy as np

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.methods._base import AbstractMethod, Draws, Progress
from probinv.methods.kernels.blocks import Plan
from probinv.methods.kernels.hamiltonian import Settings
from probinv.methods.mcmc._run import memory, run_chains
from probinv.posterior import Density


class AbstractChains(AbstractMethod):
    """Chains on log p(z | Y*), moved by a kernel of NumPyro."""

    draws: eqx.AbstractVar[int]
    warmup: eqx.AbstractVar[int]
    chains: eqx.AbstractVar[int]
    target_accept: eqx.AbstractVar[float]
    thin: eqx.AbstractVar[int]

    @property
    @abstractmethod
    def kernel(self) -> Settings:
        """What the compiled program depends on."""

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
        """Warm-up steps and draws."""
        return self.warmup + self.draws

    @property
    def points(self) -> int:
        """Draws of all chains."""
        return self.draws * self.chains

    def memory(self, size: int) -> int:
        """Bytes at the peak of a run in `size` coordinates."""
        return memory(self.kernel, self.plan, size)

    def run(
        self, view: Density, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Draws:
        """The draws of all chains; see `AbstractMethod.run`."""
        return run_chains(self.kernel, self.plan, view, key, progress, resume)
