"""f: x -> y, the trained network as it is, from any framework.

load(source)             a network in a file (ONNX, or of save_network), or in memory, as a forward
as_forward(obj)          any network or callable as a forward
Function, Layered        a JAX-traceable callable; a chain of layers
preimage                 which x give f(x) = y, through the inverses of the layers
solution_regions         all of them, of a small network of straight pieces: a polytope for each linear region
Flat                     a network of inputs and outputs of any shape, as one of vectors
output_struct            shape and dtype of f(x), without computing it
agreement, fingerprint   does it compute, differentiate and vectorise; a hash of the network
save_network, load_network
as_layered               a network that is a chain of layers, of any framework, as `Layered`
check_source             a network read from ONNX against another interpreter
"""

from probinv.forward._agreement import Agreement, agreement
from probinv.forward._base import AbstractForward
from probinv.forward._door import load
from probinv.forward._fingerprint import fingerprint
from probinv.forward._load import as_forward
from probinv.forward._preimage import Members, Preimage, joined, preimage
from probinv.forward._struct import output_struct
from probinv.forward.flat import Flat
from probinv.forward.function import Function
from probinv.forward.layered import Layered
from probinv.forward.layers import (
    AbstractInvertible,
    AbstractLayer,
    Activation,
    Affine,
    Convolution,
    Coupling,
    Dense,
    Permutation,
    Reshape,
)
from probinv.forward.loaders.chain import as_layered
from probinv.forward.loaders.layered_file import load_network, save_network
from probinv.forward.loaders.onnx import OnnxForward, SourceCheck, check_source
from probinv.forward.regions import Region, Regions, solution_regions

__all__ = [
    "AbstractForward",
    "AbstractInvertible",
    "AbstractLayer",
    "Activation",
    "Affine",
    "Agreement",
    "Convolution",
    "Coupling",
    "Dense",
    "Flat",
    "Function",
    "Layered",
    "Members",
    "OnnxForward",
    "Permutation",
    "Preimage",
    "Region",
    "Regions",
    "Reshape",
    "SourceCheck",
    "agreement",
    "as_forward",
    "as_layered",
    "check_source",
    "fingerprint",
    "joined",
    "load",
    "load_network",
    "output_struct",
    "preimage",
    "save_network",
    "solution_regions",
]
