"""The layers of a `Layered` network: one file each, and one line here."""

from probinv.forward.layers._base import AbstractInverse, AbstractInvertible, AbstractLayer
from probinv.forward.layers._scalar import scalar_inverse
from probinv.forward.layers.activation import Activation
from probinv.forward.layers.affine import Affine
from probinv.forward.layers.convolution import Convolution
from probinv.forward.layers.coupling import Coupling
from probinv.forward.layers.dense import Dense
from probinv.forward.layers.permutation import Permutation
from probinv.forward.layers.reshape import Reshape

KINDS: dict[str, type[AbstractLayer]] = {
    "dense": Dense,
    "activation": Activation,
    "affine": Affine,
    "reshape": Reshape,
    "permutation": Permutation,
    "convolution": Convolution,
    "coupling": Coupling,
}
"""The name of every layer in a network file."""

__all__ = [
    "KINDS",
    "AbstractInverse",
    "AbstractInvertible",
    "AbstractLayer",
    "Activation",
    "Affine",
    "Convolution",
    "Coupling",
    "Dense",
    "Permutation",
    "Reshape",
    "scalar_inverse",
]
