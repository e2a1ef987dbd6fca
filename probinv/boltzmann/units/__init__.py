"""The units of a machine: one exponential family a file, and one line here."""

from probinv.boltzmann.units._base import AbstractUnits, parameters
from probinv.boltzmann.units.bernoulli import Bernoulli
from probinv.boltzmann.units.gaussian import Gaussian
from probinv.boltzmann.units.joined import Joined
from probinv.boltzmann.units.rectified import Rectified
from probinv.boltzmann.units.softmax import Softmax

KINDS: dict[str, type[AbstractUnits]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "softmax": Softmax,
    "rectified": Rectified,
    "joined": Joined,
}
"""The name of every kind of units in a file."""

__all__ = ["KINDS", "AbstractUnits", "Bernoulli", "Gaussian", "Joined", "Rectified", "Softmax", "parameters"]
