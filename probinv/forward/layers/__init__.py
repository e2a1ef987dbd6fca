"""The layers of a `Layered` network: one file each, and one line here."""

from probinv.forward.layers._base import AbstractLayer
from probinv.forward.layers.activation import Activation
from probinv.forward.layers.affine import Affine
from probinv.forward.layers.dense import Dense

KINDS: dict[str, type[AbstractLayer]] = {
    "dense": Dense,
    "activation": Activation,
    "affine": Affine,
}
"""The name of every layer in a network file."""

__all__ = ["KINDS", "AbstractLayer", "Activation", "Affine", "Dense"]
