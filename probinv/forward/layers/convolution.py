"""The convolution."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_count, double_precision, memory_available
from probinv._errors import InputError, ResourceError
from probinv._typing import X, Y
from probinv.forward._leaves import host_weights
from probinv.forward.layers._base import AbstractInvertible
from probinv.forward.layers._factor import Factor, factorise
from probinv.forward.layers._linear import LinearInverse
from probinv.forward.layers._structured import Circular, Pixelwise

PADDINGS = ("valid", "same", "circular")


@final
class Convolution(AbstractInvertible):
    """y_o(p) = sum_i sum_k w_oi(k) x_i(stride p + k - offset) + b_o, for x of shape (channels, *places).

    The kernel is not turned round, as in all networks. `padding` says what lies outside of x: "valid" nothing
    (offset 0, fewer places), "same" zeros, "circular" x again, the offset being (size - 1) // 2 for both.

    With a kernel of one place, or circular without a stride, it is inverted exactly place by place or
    frequency by frequency; any other through its matrix, of (outputs, inputs) numbers.

    Args:
        weight: w, of shape (out, in, *kernel), one to three kernel dimensions.
        bias: b, of shape (out,); zero if None.
        stride: one whole number for all dimensions.
        padding: "valid", "same" or "circular".

    Raises:
        InputError: the shapes do not match, or the padding is unknown.
    """

    weight: Float[Array | np.ndarray, "out in *kernel"]
    bias: Float[Array | np.ndarray, " out"]
    stride: int = eqx.field(static=True)
    padding: str = eqx.field(static=True)

    def __init__(self, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = "valid") -> None:
        self.weight = host_weights("weight", weight)
        if not 3 <= self.weight.ndim <= 5:
            raise InputError(
                f"weight has shape {self.weight.shape}",
                "a convolution needs (out, in, *kernel)",
                "one to three kernel dimensions",
            )
        size = self.weight.shape[0]
        self.bias = np.zeros(size, self.weight.dtype) if bias is None else host_weights("bias", bias, ndim=1)
        if self.bias.shape != (size,):
            raise InputError(f"bias has shape {self.bias.shape}", f"({size},) is needed", "one per channel")
        self.stride = as_count("stride", stride)
        if padding not in PADDINGS:
            raise InputError(f"padding {padding!r} is unknown", "", f"use one of {', '.join(PADDINGS)}")
        self.padding = padding

    @property
    def _kernel(self) -> tuple[int, ...]:
        return tuple(self.weight.shape[2:])

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        kernel, channels = self._kernel, self.weight.shape[1]
        fits = len(shape) == len(kernel) + 1 and shape[0] == channels
        if not fits or any(size < width for size, width in zip(shape[1:], kernel, strict=True)):
            raise InputError(
                f"a convolution of {channels} channels with a kernel {kernel} cannot take shape {shape}",
                "one input is (channels, *places), with at least as many places as the kernel",
                "move the channels to the front, or add them with Reshape",
            )
        lost = [width - 1 if self.padding == "valid" else 0 for width in kernel]
        places = ((n - gone - 1) // self.stride + 1 for n, gone in zip(shape[1:], lost, strict=True))
        return (self.weight.shape[0], *places)

    def __call__(self, x: X) -> Y:
        kernel = self._kernel
        if self.padding != "valid":
            mode = "wrap" if self.padding == "circular" else "constant"
            around = [((width - 1) // 2, width // 2) for width in kernel]
            x = jnp.pad(x, [(0, 0), *around], mode=mode)
        y = jax.lax.conv_general_dilated(
            x[None], jnp.asarray(self.weight, x.dtype), (self.stride,) * len(kernel), "VALID"
        )[0]
        return y + jnp.asarray(self.bias, x.dtype).reshape(-1, *(1,) * len(kernel))

    def inverse(self, shape: tuple[int, ...]) -> LinearInverse:
        outputs = self.output_shape(shape)
        bias = np.repeat(np.asarray(self.bias, np.float64), math.prod(outputs[1:]))
        return LinearInverse(self._factor(shape, outputs), bias, shape, outputs)

    def _factor(self, shape: tuple[int, ...], outputs: tuple[int, ...]) -> Factor:
        weight, kernel = np.asarray(self.weight, np.float64), self._kernel
        if self.stride == 1 and math.prod(kernel) == 1:
            return Pixelwise(factorise(weight.reshape(weight.shape[:2])), math.prod(shape[1:]))
        if self.stride == 1 and self.padding == "circular":
            pulse = np.zeros((*weight.shape[:2], *shape[1:]))
            for place in np.ndindex(*kernel):
                back = tuple(
                    ((width - 1) // 2 - k) % n for k, width, n in zip(place, kernel, shape[1:], strict=True)
                )
                pulse[(slice(None), slice(None), *back)] += weight[(slice(None), slice(None), *place)]
            return Circular(pulse)
        need, have = 4 * 8 * math.prod(shape) * math.prod(outputs), memory_available()
        if have is not None and need > have:
            raise ResourceError(
                f"the matrix of a convolution of {shape} needs about {need / 1e9:.1f} GB",
                f"{have / 1e9:.1f} GB are free",
                "use a circular one, or a method that needs no inverse",
            )
        with double_precision():
            zero = jnp.zeros(shape)
            columns = jax.lax.map(
                lambda row: (self(row.reshape(shape)) - self(zero)).ravel(), jnp.eye(zero.size)
            )
            return factorise(np.asarray(columns).T)
