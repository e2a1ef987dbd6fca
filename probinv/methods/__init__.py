"""Methods: a view of the posterior in, draws or points out. The registry has one line for each."""

from probinv.methods._base import AbstractMethod, Cost, Draws, Optima, Progress
from probinv.methods.layerwise.layer_inverse import LayerInverse
from probinv.methods.manifold.lifted_hmc import LiftedHMC
from probinv.methods.mcmc.hmc import HMC
from probinv.methods.mcmc.nuts import NUTS
from probinv.methods.optimise.ascent import Ascent
from probinv.methods.optimise.map import MAP
from probinv.methods.smc.parallel import ParallelTempering
from probinv.methods.smc.subset import SubsetSimulation
from probinv.methods.smc.tempered import TemperedSMC

METHODS: dict[str, type[AbstractMethod]] = {
    "nuts": NUTS,
    "hmc": HMC,
    "lifted": LiftedHMC,
    "smc": TemperedSMC,
    "subset": SubsetSimulation,
    "parallel": ParallelTempering,
    "map": MAP,
    "ascent": Ascent,
    "layerwise": LayerInverse,
}

__all__ = [
    "HMC",
    "MAP",
    "METHODS",
    "NUTS",
    "AbstractMethod",
    "Ascent",
    "Cost",
    "Draws",
    "LayerInverse",
    "LiftedHMC",
    "Optima",
    "ParallelTempering",
    "Progress",
    "SubsetSimulation",
    "TemperedSMC",
]
