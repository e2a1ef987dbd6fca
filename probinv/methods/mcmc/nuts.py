"""NUTS."""

from typing import ClassVar, final

from probinv._checks import as_count
from probinv.methods.kernels.hamiltonian import Settings
from probinv.methods.mcmc._chains import AbstractChains
from probinv.posterior import Density


@final
class NUTS(AbstractChains):
    r"""Draws z from exp(log p(z | Y*)) by the No-U-Turn sampler (Hoffman & Gelman 2014, arXiv 1111.4246).

    The multinomial variant with a biased progressive choice (Betancourt 2017, arXiv 1701.02434), as NumPyro
    implements it; chains are vectorised and begin at optimised points that lie apart. Its step size shrinks
    with the tolerance: below a tolerance of about 1e-2 of the output's spread it is slow, below 1e-3 often
    wrong; the verdict says when.

    Args:
        draws: draws of each chain that are kept.
        warmup: steps of each chain that adapt step size and mass matrix, and are dropped.
        chains: number of chains; at least 4 for a trustworthy R-hat.
        target_accept: acceptance that the step size is adapted to.
        max_tree_depth: a trajectory has at most 2^max_tree_depth - 1 steps.
        dense_mass: adapt a full mass matrix (n^2 numbers a chain) and not only its diagonal.
        thin: transitions for each draw that is kept.
    """

    draws: int = 1000
    warmup: int = 500
    chains: int = 4
    target_accept: float = 0.8
    max_tree_depth: int = 10
    dense_mass: bool = False
    thin: int = 1
    view: ClassVar[type] = Density
    exact: ClassVar[bool] = True

    def __check_init__(self) -> None:
        as_count("max_tree_depth", self.max_tree_depth)

    @property
    def kernel(self) -> Settings:
        """What the compiled program depends on."""
        return Settings(
            "NUTS", self.warmup, self.target_accept, self.dense_mass, max_tree_depth=self.max_tree_depth
        )
