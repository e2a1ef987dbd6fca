"""The layer that puts entries in another order."""

import math
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._leaves import host_weights
from probinv.forward.layers._base import AbstractInvertible
from probinv.forward.layers._moved import MovedInverse


@final
class Permutation(AbstractInvertible):
    """y_i = x_{order_i}, over the flat entries; the shape stays.

    Args:
        order: each of 0 to n - 1 once, n the number of entries of x.

    Raises:
        InputError: it is no permutation, or not of as many entries as x has.
    """

    order: Num[Array | np.ndarray, " n"]

    def __init__(self, order: Any) -> None:
        # kept as numbers of a network file, which are floating; they are whole up to 2^53
        self.order = host_weights("order", order, ndim=1)
        if not np.array_equal(np.sort(self.order), np.arange(self.order.size)):
            raise InputError(
                "order is not a permutation",
                f"it has {self.order.size} entries",
                f"name each of 0 to {self.order.size - 1} once",
            )

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if math.prod(shape) != self.order.size:
            raise InputError(
                f"an input of shape {shape} cannot be permuted",
                f"the order has {self.order.size} entries",
                "give an order of as many entries",
            )
        return shape

    def __call__(self, x: X) -> Y:
        return x.ravel()[jnp.asarray(self.order, int)].reshape(x.shape)

    def inverse(self, shape: tuple[int, ...]) -> MovedInverse:
        order = np.asarray(self.order).astype(int)
        back = np.argsort(order)

        def moved(x: np.ndarray, places: np.ndarray) -> np.ndarray:
            return x.reshape(len(x), -1)[:, places].reshape(x.shape)

        return MovedInverse(shape, lambda x: moved(x, order), lambda y: moved(y, back))
