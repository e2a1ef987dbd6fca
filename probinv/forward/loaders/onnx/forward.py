"""A network read from ONNX."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._single import one_input
from probinv.forward.loaders.onnx.run import Graph, run


@final
class OnnxForward(AbstractForward):
    """y = f(x), the part of an ONNX graph that leads from one tensor to another, for one example.

    Args:
        weights: the arrays of floats in it by name, leaves; float64 where the file has float64, else float32.
        graph: everything else, static. Graphs of the same content are equal, so that a file that is loaded
            twice compiles once.
        input_shape: shape of one x, if the file says it.
        batch_axis: whether the graph takes and returns a leading axis, of length 1 here, that x and y lack.

    Floats of every width are computed in float64 inside `double_precision` and in float32 outside;
    rounding to 16 bits is not imitated. Integers keep their types.
    """

    weights: dict[str, Any]
    graph: Graph = eqx.field(static=True)
    _input_shape: tuple[int, ...] | None = eqx.field(static=True)
    batch_axis: bool = eqx.field(static=True)

    def __init__(
        self,
        weights: dict[str, Any],
        graph: Graph,
        input_shape: tuple[int, ...] | None,
        batch_axis: bool,
    ) -> None:
        self.weights = dict(weights)
        self.graph = graph
        self._input_shape = input_shape
        self.batch_axis = batch_axis

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        return self._input_shape

    @property
    def input_name(self) -> str:
        """The name of the tensor that x is."""
        return self.graph.inputs[0]

    @property
    def output_name(self) -> str:
        """The name of the tensor that y is."""
        return self.graph.outputs[0]

    def __call__(self, x: X) -> Y:
        x = one_input(x, self._input_shape)
        weights = {name: jnp.asarray(weight, dtype=float) for name, weight in self.weights.items()}
        (y,) = run(self.graph, {self.input_name: x[None] if self.batch_axis else x, **weights})
        y = jnp.asarray(y)
        if not jnp.issubdtype(y.dtype, jnp.floating):
            raise InputError(
                f"the output {self.output_name!r} is of {y.dtype}",
                "an output must be real numbers, to have a gradient",
                "choose a tensor before it with outputs=",
            )
        y = jnp.asarray(y, dtype=float)
        if not self.batch_axis:
            return y
        if y.ndim == 0 or y.shape[0] != 1:
            raise InputError(
                f"the output {self.output_name!r} has the shape {y.shape} for a batch of one",
                "its first axis is no batch axis",
                "load the network with batch_axis=False; x and y are then as the file has them",
            )
        return y[0]
