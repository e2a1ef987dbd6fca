"""The dense layer."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv.forward._leaves import host_weights
from probinv.forward.layers._base import AbstractInvertible
from probinv.forward.layers._factor import factorise
from probinv.forward.layers._linear import LinearInverse


@final
class Dense(AbstractInvertible):
    """y = W x + b.

    Args:
        weight: W, of shape (out, in).
        bias: b, of shape (out,); zero if None.

    Raises:
        InputError: the shapes do not match, or an entry is not finite.
    """

    weight: Float[Array | np.ndarray, "out in"]
    bias: Float[Array | np.ndarray, " out"]

    def __init__(self, weight: Any, bias: Any = None) -> None:
        self.weight = host_weights("weight", weight, ndim=2)
        size = self.weight.shape[0]
        self.bias = np.zeros(size, self.weight.dtype) if bias is None else host_weights("bias", bias, ndim=1)
        if self.bias.shape != (size,):
            raise InputError(
                f"bias has shape {self.bias.shape}",
                f"a weight of shape {self.weight.shape} needs ({size},)",
                "weights are (out, in): transpose arrays stored as (in, out)",
            )

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        size, wanted = self.weight.shape
        if shape != (wanted,):
            raise InputError(
                f"a dense layer of {wanted} inputs cannot take shape {shape}",
                f"its weight has shape {self.weight.shape}",
                "weights are (out, in): transpose arrays stored as (in, out)",
            )
        return (size,)

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        return jnp.asarray(self.weight, x.dtype) @ x + jnp.asarray(self.bias, x.dtype)

    def inverse(self, shape: tuple[int, ...]) -> LinearInverse:
        factor = factorise(np.asarray(self.weight, np.float64))
        return LinearInverse(factor, np.asarray(self.bias, np.float64), shape, self.output_shape(shape))
