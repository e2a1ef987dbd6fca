"""Networks that are chains of layers, whatever their framework, as `Layered`."""

import math
from typing import Any

from probinv._errors import InputError
from probinv.forward._base import AbstractForward
from probinv.forward._load import as_forward
from probinv.forward.layered import Layered
from probinv.forward.loaders.equinox import EquinoxForward
from probinv.forward.loaders.equinox_chain import equinox_layers
from probinv.forward.loaders.flax import FlaxForward
from probinv.forward.loaders.flax_chain import linen_layers, nnx_layers
from probinv.forward.loaders.keras import KerasForward
from probinv.forward.loaders.keras.chain import keras_layers
from probinv.forward.loaders.linen import LinenForward
from probinv.forward.loaders.onnx import OnnxForward
from probinv.forward.loaders.onnx.chain import as_layered as onnx_layered


def as_layered(network: Any) -> Layered:
    """The same network as a chain of `Dense`, `Affine` and `Activation`, on x as a vector.

    f(x) = as_layered(f)(x.ravel()). What is read: of ONNX a graph of Gemm, MatMul, Add, Sub, Mul, Div by
    weights, activations, and changes of shape that keep the order of the entries; a Keras `Sequential` or
    other chain of Dense, activations, BatchNormalization, Normalization, Rescaling and changes of shape;
    `nnx.Sequential` and `linen.Sequential`; `equinox.nn.MLP` and `Sequential`. Weights are (out, in).

    Args:
        network: a forward, or what `as_forward` makes one of.

    Raises:
        InputError: it is no such chain; the layer that breaks it is named.
    """
    forward = as_forward(network)
    match forward:
        case Layered():
            return forward
        case OnnxForward():
            return onnx_layered(forward)
        case KerasForward():
            layers = keras_layers(forward)
        case FlaxForward():
            layers = nnx_layers(forward)
        case LinenForward():
            layers = linen_layers(forward)
        case EquinoxForward():
            layers = equinox_layers(forward)
        case _:
            raise InputError(
                f"a {type(forward).__name__} is no chain of layers that is known",
                "only networks of ONNX, Keras, Flax and Equinox can be read layer by layer",
                "give its weights: Layered.from_arrays",
            )
    return Layered(layers, _size(forward, layers))


def _size(forward: AbstractForward, layers: list[Any]) -> int:
    """The number of inputs: of the network, else of its first layer with a weight."""
    shape = forward.input_shape
    if shape is not None:
        return math.prod(shape)
    for layer in layers:
        if hasattr(layer, "weight"):
            return int(layer.weight.shape[1])
        for array in (getattr(layer, "scale", None), getattr(layer, "shift", None)):
            if array is not None and array.ndim == 1:
                return int(array.shape[0])
    raise InputError(
        "the number of inputs is not known", "no layer of the chain says it", "use the network as it is"
    )
