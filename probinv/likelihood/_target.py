"""Y* on its way in: checked on the host where its values are known, by its shape where they are traced."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from probinv._checks import as_array
from probinv._errors import InputError


def as_target(name: str, value: Any) -> np.ndarray:
    """Y* as float64; NaN marks outputs that do not matter, and at least one has to matter."""
    array = as_array(name, value, allow_nan=True)
    if array.size == 0:
        raise InputError(f"{name} is empty", "there is no output to wish for", "give at least one number")
    if np.isnan(array).all():
        raise InputError(
            f"{name} holds only NaN",
            "NaN means that an output does not matter, so nothing is wished",
            "give a number for at least one output",
        )
    return array


def another_target(name: str, old: Array | np.ndarray, new: Any) -> Array | np.ndarray:
    """`new` in place of the Y* `old`: of the same shape, and checked if its values are known."""
    array = new if isinstance(new, jax.core.Tracer) else as_target(name, new)
    check_shape(name, array.shape, old.shape)
    return array


def check_shape(name: str, have: tuple[int, ...], want: tuple[int, ...]) -> None:
    """Raises an InputError if a wish of shape `have` is made of an output of shape `want`."""
    if have != want:
        raise InputError(
            f"{name} has shape {have}",
            f"one output of the network has shape {want}",
            f"give {name} in shape {want}, with NaN for outputs that do not matter",
        )
