"""HMC with trajectories of fixed length."""

import math
from typing import ClassVar, final

from probinv._checks import as_count, as_positive
from probinv.methods.kernels.hamiltonian import Settings
from probinv.methods.mcmc._chains import AbstractChains
from probinv.posterior import Density


@final
class HMC(AbstractChains):
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
        as_count("max_steps", self.max_steps)
        as_positive("trajectory_length", self.trajectory_length, shape=())

    @property
    def kernel(self) -> Settings:
        """What the compiled program depends on."""
        length = float(self.trajectory_length)
        return Settings(
            "HMC",
            self.warmup,
            self.target_accept,
            self.dense_mass,
            trajectory_length=length,
            max_steps=self.max_steps,
        )
