"""Parameters of a prior, checked and broadcast to the shape of x on the host."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probinv._checks import as_array, as_count
from probinv._errors import InputError

type Shape = Any
"""A whole number, a list or tuple of them, or None; `as_shape` checks it."""


def as_shape(shape: Shape) -> tuple[int, ...]:
    """A whole number, or a list or tuple of them, as a shape; none of them zero.

    Raises:
        InputError: an entry is not a whole number of at least 1.
    """
    entries = shape if isinstance(shape, Sequence) and not isinstance(shape, str) else (shape,)
    return tuple(as_count("shape", entry) for entry in entries)


def broadcast(values: Mapping[str, Any], shape: Shape) -> list[np.ndarray]:
    """The named values as float64 arrays of one shape: the given one, or the one they broadcast to.

    Raises:
        InputError: a value is not finite numbers, or the shapes do not fit together.
    """
    arrays = {name: as_array(name, value) for name, value in values.items()}
    if shape is None:
        try:
            common = np.broadcast_shapes(*(array.shape for array in arrays.values()))
        except ValueError:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise InputError(
                f"the shapes of {' and '.join(arrays)} differ",
                f"they are {shapes}",
                "give numbers or arrays of one shape",
            ) from None
    else:
        common = as_shape(shape)
    if 0 in common:
        raise InputError(
            f"{' and '.join(arrays)} hold no number", f"their shape is {common}", "give at least one input"
        )
    return [as_array(name, array, shape=common) for name, array in arrays.items()]
