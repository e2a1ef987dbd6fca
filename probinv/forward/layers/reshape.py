"""The layer that gives its entries another shape."""

import math
from collections.abc import Iterable
from typing import Any, final

import equinox as eqx

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward.layers._base import AbstractInvertible
from probinv.forward.layers._moved import MovedInverse


@final
class Reshape(AbstractInvertible):
    """y = x with the shape (*shape), in row-major order; Reshape([-1]) flattens.

    Args:
        shape: of y; one entry may be -1, which stands for whatever is left.

    Raises:
        InputError: an entry is not a whole number, more than one is -1, or x has another number of entries.
    """

    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: Any = (-1,)) -> None:
        sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
        self.shape = tuple(-1 if size == -1 else as_count("shape", size) for size in sizes)
        if self.shape.count(-1) > 1:
            raise InputError("shape has more than one -1", f"got {self.shape}", "leave one size open at most")

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        size, known = math.prod(shape), math.prod(entry for entry in self.shape if entry != -1)
        if size % known or (-1 not in self.shape and size != known):
            raise InputError(
                f"an input of shape {shape} cannot take the shape {self.shape}",
                f"it has {size} entries",
                "give a shape with as many",
            )
        return tuple(size // known if entry == -1 else entry for entry in self.shape)

    def __call__(self, x: X) -> Y:
        return x.reshape(self.output_shape(x.shape))

    def inverse(self, shape: tuple[int, ...]) -> MovedInverse:
        outputs = self.output_shape(shape)
        return MovedInverse(shape, lambda x: x.reshape(len(x), *outputs), lambda y: y.reshape(len(y), *shape))
