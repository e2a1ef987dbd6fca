"""A network of vectors."""

import math
from typing import Any, final

import equinox as eqx

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._load import as_forward
from probinv.forward._struct import output_struct


@final
class Flat(AbstractForward):
    """y = vec(f(unvec(x))): inputs and outputs of any shape as vectors, the last index running fastest.

    Args:
        forward: f, whatever `as_forward` accepts.
        inputs: the number of inputs.

    Raises:
        InputError: f takes another number of inputs.
    """

    forward: AbstractForward
    inner: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, forward: Any, inputs: int) -> None:
        self.forward = as_forward(forward)
        self.inner = self.forward.input_shape if self.forward.input_shape is not None else (inputs,)
        if math.prod(self.inner) != inputs:
            raise InputError(
                f"the network takes {math.prod(self.inner)} inputs, in shape {self.inner}",
                f"{inputs} are given",
                "take the network and the property that belong together",
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (math.prod(self.inner),)

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return math.prod(output_struct(self.forward, self.inner).shape)

    def __call__(self, x: X) -> Y:
        return self.forward(x.reshape(self.inner)).ravel()
