"""The elementwise affine layer, for scalers."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._leaves import host_weights
from probinv.forward.layers._base import AbstractInvertible
from probinv.forward.layers._moved import AffineInverse


@final
class Affine(AbstractInvertible):
    """y_i = scale_i x_i + shift_i.

    To centre and then scale use two of them, Affine(1, -mean) and Affine(1 / std, 0): in one, a mean far
    larger than std would cost digits.

    Args:
        scale: one number, or an array of the shape of x.
        shift: one number, or an array of the shape of x.

    Raises:
        InputError: an entry is not finite.
    """

    scale: Float[Array | np.ndarray, "*x"]
    shift: Float[Array | np.ndarray, "*y"]

    def __init__(self, scale: Any = 1.0, shift: Any = 0.0) -> None:
        self.scale = host_weights("scale", scale)
        self.shift = host_weights("shift", shift)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        for name, array in (("scale", self.scale), ("shift", self.shift)):
            if array.shape not in ((), shape):
                raise InputError(
                    f"the {name} of an affine layer has shape {array.shape}",
                    f"its input has shape {shape}",
                    "give one number or an array of that shape",
                )
        return shape

    def __call__(self, x: X) -> Y:
        scale = jnp.broadcast_to(jnp.asarray(self.scale, x.dtype), x.shape)
        shift = jnp.broadcast_to(jnp.asarray(self.shift, x.dtype), x.shape)
        return scale * x + shift

    def inverse(self, shape: tuple[int, ...]) -> AffineInverse:
        scale, shift = (
            np.array(np.broadcast_to(np.asarray(part, np.float64), shape))
            for part in (self.scale, self.shift)
        )
        return AffineInverse(scale, shift)
