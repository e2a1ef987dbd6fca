"""Plain chains of layers in a graph, as a `Layered` network."""

import dataclasses
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError
from probinv.forward.layered import Layered
from probinv.forward.layers import AbstractLayer, Activation, Affine, Dense
from probinv.forward.loaders.onnx.forward import OnnxForward
from probinv.forward.loaders.onnx.kinds import FLOATS
from probinv.forward.loaders.onnx.operators import Node
from probinv.forward.loaders.onnx.run import compute

RESHAPES = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Dropout", "Cast"}
"""Operators that leave the order of the entries as it is."""

ACTIVATIONS = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "logistic", "Softplus": "softplus", "Softsign": "softsign",
    "Mish": "mish", "Exp": "exp", "Sin": "sin",
}  # fmt: skip


def as_layered(forward: OnnxForward) -> Layered:
    """The same network as a chain of `Dense`, `Affine` and `Activation`, on x as a vector.

    f(x) = as_layered(f)(x.ravel()): a graph of Gemm, MatMul, Add, Sub, Mul, Div by weights, activations,
    and changes of shape that keep the order of the entries. Weights are (out, in).

    Raises:
        InputError: the graph is no such chain; the node that breaks it is named.
    """
    if not isinstance(forward, OnnxForward):
        raise InputError(f"a {type(forward).__name__} is no network read from ONNX", "", "give one")
    shape = forward.input_shape
    if shape is None:
        raise InputError("the shape of x is not known", "a chain needs it", "export with a fixed shape")
    reader = _Reader(forward)
    for node in forward.graph.nodes:
        reader.add(node)
    if reader.name != forward.output_name:
        raise InputError("the graph is no chain", f"{forward.output_name!r} is not at its end", "")
    return Layered(reader.layers, (int(np.prod(shape, dtype=int)),))


@dataclasses.dataclass
class _Reader:
    """The layers so far, the tensor that they end in and its shape, with its batch axis of 1."""

    forward: OnnxForward
    layers: list[AbstractLayer] = dataclasses.field(default_factory=list)
    name: str = ""
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.name = self.forward.input_name
        shape = self.forward.input_shape or ()
        self.shape = (1, *shape) if self.forward.batch_axis else shape

    def add(self, node: Node) -> None:
        """Appends what one node does."""
        kind = node.operator.kind
        if node.inputs.count(self.name) != 1:
            _refuse(node, "it does not take the output of the layer before it, once")
        if kind in RESHAPES:
            if node.inputs[0] != self.name:
                _refuse(node, "the output of the layer before it is its shape")
            if kind == "Cast" and node.attributes["to"] not in FLOATS:
                _refuse(node, "it rounds to whole numbers")
        elif kind in ("Gemm", "MatMul"):
            self._matrix(node)
        elif kind in ("Add", "Sub", "Mul", "Div"):
            self._affine(node)
        else:
            self.layers.append(self._activation(node))
        self.name = node.outputs[0]
        self.shape = _shape_of(node, self.shape, self._array)

    def _array(self, name: str) -> np.ndarray | None:
        found = self.forward.weights.get(name, self.forward.graph.constants.get(name))
        return None if found is None else np.asarray(found)

    def _weight(self, node: Node, number: int) -> np.ndarray:
        array = self._array(node.inputs[number])
        if array is None:
            _refuse(node, f"its input {node.inputs[number]!r} is no weight")
        return np.asarray(array, np.float64 if array.dtype == np.float64 else np.float32)

    def _matrix(self, node: Node) -> None:
        """A x + b, of the one row that x is."""
        if node.inputs[0] != self.name:
            _refuse(node, "the weight stands on the left")
        weight = self._weight(node, 1)
        if weight.ndim != 2 or int(np.prod(self.shape)) != self.shape[-1]:
            _refuse(node, f"a weight of shape {weight.shape} for x of shape {self.shape}")
        if node.operator.kind == "MatMul":
            self.layers.append(Dense(np.ascontiguousarray(weight.T)))
            return
        if node.attributes["transA"] or node.attributes["alpha"] != 1:
            _refuse(node, "transA or alpha is set")
        weight = weight if node.attributes["transB"] else weight.T
        bias = None
        if len(node.inputs) > 2 and node.inputs[2]:
            if node.attributes["beta"] != 1:
                _refuse(node, "beta is set")
            bias = np.broadcast_to(self._weight(node, 2), (1, weight.shape[0]))[0]
        self.layers.append(Dense(np.ascontiguousarray(weight), bias))

    def _affine(self, node: Node) -> None:
        """x + b, x - b, b - x, x a, x / a."""
        first = node.inputs[0] == self.name
        part = self._weight(node, 1 if first else 0)
        try:
            part = np.broadcast_to(part, self.shape).ravel()
        except ValueError:
            _refuse(node, f"a weight of shape {part.shape} for x of shape {self.shape}")
        match node.operator.kind:
            case "Add":
                layer: AbstractLayer = self._shifted(part)
            case "Sub":
                layer = self._shifted(-part) if first else Affine(-1.0, part)
            case "Mul":
                layer = Affine(part)
            case _:
                if not first or not np.all(part):
                    _refuse(node, "it divides by x or by zero")
                layer = Affine(1 / part.astype(np.float64))
        self.layers.append(layer)

    def _shifted(self, shift: np.ndarray) -> AbstractLayer:
        """A shift becomes the bias of a dense layer before it that has none."""
        last = self.layers[-1] if self.layers else None
        if isinstance(last, Dense) and not np.asarray(last.bias).any():
            self.layers.pop()
            return Dense(last.weight, shift)
        return Affine(1.0, shift)

    def _activation(self, node: Node) -> Activation:
        kind, attributes = node.operator.kind, node.attributes
        if kind in ACTIVATIONS:
            return Activation(ACTIVATIONS[kind])
        if kind in ("LeakyRelu", "Elu"):
            return Activation("leaky_relu" if kind == "LeakyRelu" else "elu", attributes["alpha"])
        if kind == "Gelu":
            return Activation("gelu" if attributes["approximate"] == "none" else "gelu_tanh")
        if kind == "Swish" and attributes["alpha"] == 1:
            return Activation("silu")
        if kind in ("Softmax", "LogSoftmax"):
            axis = attributes["axis"] % len(self.shape)
            span = self.shape[axis:] if node.version < 13 else self.shape[axis : axis + 1]
            if int(np.prod(span)) == int(np.prod(self.shape)):
                return Activation("softmax" if kind == "Softmax" else "log_softmax")
        return _refuse(node, "it is none of the layers of a chain")


def _shape_of(
    node: Node, shape: tuple[int, ...], array: Callable[[str], np.ndarray | None]
) -> tuple[int, ...]:
    """The shape of the node's output, found without computing it."""

    def call(x: Any) -> Any:
        inputs = [x if name in seen else array(name) for name in node.inputs]
        return jnp.asarray(compute(node, inputs)[0])

    seen = {name for name in node.inputs if name and array(name) is None}
    return tuple(
        jax.eval_shape(call, jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(np.float64))).shape
    )


def _refuse(node: Node, why: str) -> NoReturn:
    raise InputError(f"the graph is no chain: {node.name}", why, "use the network as it is")
