"""The operators: one file per family, and the registry of all of them."""

from probinv.forward.loaders.onnx.operators import (
    activations,
    attention,
    convolution,
    elementwise,
    indexing,
    linear,
    normalisation,
    pooling,
    recurrent,
    reductions,
    resizing,
    shapes,
)
from probinv.forward.loaders.onnx.operators._base import OPERATORS, Call, Node, Operator, Value, to_device

FAMILIES = (
    activations, attention, convolution, elementwise, indexing, linear, normalisation, pooling, recurrent,
    reductions, resizing, shapes,
)  # fmt: skip

__all__ = ["FAMILIES", "OPERATORS", "Call", "Node", "Operator", "Value", "to_device"]
