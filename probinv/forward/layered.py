"""A chain of layers."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, final

import equinox as eqx

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._single import one_input
from probinv.forward.function import as_shape
from probinv.forward.layers import AbstractLayer, Activation, Dense


@final
class Layered(AbstractForward):
    """f = l_m o ... o l_2 o l_1.

    Args:
        layers: the layers in the order in which x passes them.
        input_shape: shape of one x; a whole number stands for a vector of that length.

    Raises:
        InputError: something is not a layer, or a layer cannot take what the one before it gives.
    """

    layers: tuple[AbstractLayer, ...]
    _input_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, layers: Iterable[Any], input_shape: Any) -> None:
        self.layers = tuple(layers)
        shape = as_shape("input_shape", input_shape)
        if shape is None:
            raise InputError(
                "input_shape is None", "a chain of layers needs it", "give the shape of one input"
            )
        self._input_shape = shape
        for number, layer in enumerate(self.layers):
            shape = _next_shape(number, layer, shape)

    @classmethod
    def from_arrays(
        cls,
        weights: Sequence[Any],
        biases: Sequence[Any] | None = None,
        activation: str = "relu",
        output_activation: str = "identity",
    ) -> "Layered":
        """f(x) = g(W_m h(... h(W_1 x + b_1) ...) + b_m), h = activation, g = output_activation.

        Args:
            weights: W_i of shape (out_i, in_i), with in_{i+1} = out_i.
            biases: b_i of shape (out_i,); zero where not given.
            activation: a name, see `Activation`.
            output_activation: a name, see `Activation`.

        Raises:
            InputError: shapes do not chain (the layer is named), or an activation is unknown.
        """
        if not len(weights):
            raise InputError(
                "weights is empty", "a network needs a layer", "give one weight matrix per layer"
            )
        if biases is not None and len(biases) != len(weights):
            raise InputError(
                f"biases has {len(biases)} entries",
                f"there are {len(weights)} weights",
                "give one bias per weight, or None for no biases",
            )
        dense = [_dense(i, weight, None if biases is None else biases[i]) for i, weight in enumerate(weights)]
        for i, (before, after) in enumerate(pairwise(dense), start=1):
            _check_chain(i, before, after)
        layers: list[AbstractLayer] = []
        for layer in dense[:-1]:
            layers += [layer, Activation(activation)]
        return cls([*layers, dense[-1], Activation(output_activation)], (dense[0].weight.shape[1],))

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one output."""
        shape = self._input_shape
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    @property
    def logits(self) -> "Layered":
        """The same network without its last softmax, log-softmax or sigmoid.

        Raises:
            InputError: the last layer is none of these.
        """
        last = self.layers[-1] if self.layers else None
        if not (isinstance(last, Activation) and last.name in ("softmax", "log_softmax", "logistic")):
            found = last.name if isinstance(last, Activation) else type(last).__name__ if last else "nothing"
            raise InputError(
                "the network has no logits",
                f"its last layer is {found}, not softmax or sigmoid",
                "use the network itself if its outputs are logits already",
            )
        return Layered(self.layers[:-1], self._input_shape)

    def __call__(self, x: X) -> Y:
        y = one_input(x, self._input_shape)
        for layer in self.layers:
            y = layer(y)
        return y


def _next_shape(number: int, layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(layer, AbstractLayer):
        raise InputError(
            f"layers[{number}] is not a layer",
            f"got {type(layer).__name__}",
            "use Dense, Activation or Affine",
        )
    try:
        return layer.output_shape(shape)
    except InputError as error:
        raise InputError(f"layers[{number}]: {error.what}", error.why, error.instead) from None


def _dense(number: int, weight: Any, bias: Any) -> Dense:
    try:
        return Dense(weight, bias)
    except InputError as error:
        raise InputError(
            f"weights[{number}] or biases[{number}]: {error.what}", error.why, error.instead
        ) from None


def _check_chain(number: int, before: Dense, after: Dense) -> None:
    given, taken = before.weight.shape[0], after.weight.shape[1]
    if given == taken:
        return
    hint = "weights are (out, in): transpose arrays stored as (in, out)"
    raise InputError(
        f"weights[{number}] has shape {after.weight.shape}", f"layer {number - 1} gives {given} numbers", hint
    )
