"""Y* = an order of some outputs: this one above that one above a third."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from probinv._checks import as_array
from probinv._errors import InputError
from probinv._typing import Scalar, Y
from probinv.likelihood._base import AbstractRegionLikelihood, Numbers, strict_margin

SHOWN = 8


@final
class Ordering(AbstractRegionLikelihood):
    """p(Y* | y) = 1 if y[order[0]] > y[order[1]] > ... , and 0 otherwise.

    margin(y) = min_i y[order[i]] - y[order[i+1]], in the mean unit of these outputs where units are given.
    Strictly: a tie is outside. Outputs that are not named do not matter.

    Args:
        order: indices of at least two outputs of a vector y, the one wished largest first.

    Raises:
        InputError: fewer than two indices, not whole numbers >= 0, or one named twice; by `check`, y is not a
            vector that has them all.
    """

    order: Int[Array | np.ndarray, " k"]

    def __init__(self, order: Any) -> None:
        self.order = as_order(order)

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 1 or int(self.order.max()) >= shape[0]:
            raise InputError(
                f"order needs a vector of at least {int(self.order.max()) + 1} outputs",
                f"one output of the network has shape {shape}",
                "give indices from 0 to the number of outputs - 1",
            )

    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """min_i (y[order[i]] - y[order[i+1]]) / mean unit; a tie is just below 0."""
        sorted_y = y.at[self.order].get(mode="fill", fill_value=jnp.nan)
        scale = 1.0 if unit is None else jnp.mean(unit[self.order])
        return strict_margin(jnp.min(sorted_y[:-1] - sorted_y[1:]), scale)

    def at(self, y_star: Any) -> "Ordering":
        """Another order of as many outputs."""
        order = y_star if isinstance(y_star, jax.core.Tracer) else as_order(y_star)
        if order.shape != self.order.shape:
            raise InputError(
                f"order has shape {order.shape}",
                f"it takes the place of {self.order.size} indices",
                "make a new Ordering for another number of outputs",
            )
        return eqx.tree_at(lambda wish: wish.order, self, order)

    @property
    def target(self) -> Numbers:
        """The indices, the largest output first."""
        return self.order

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """NaN: no one value is wished."""
        return np.full(shape, np.nan)

    def describe(self, name: str = "y") -> str:
        named = [f"{name}[{int(k)}]" for k in np.asarray(self.order)]
        if len(named) > SHOWN:
            named = [*named[: SHOWN - 1], "...", named[-1]]
        return " > ".join(named)


def as_order(order: Any) -> np.ndarray:
    array = as_array("order", order)
    if array.ndim != 1 or array.size < 2 or (array < 0).any() or (array != np.round(array)).any():
        raise InputError(
            "order must be a list of at least two whole numbers >= 0",
            f"got {order!r}",
            "for example Ordering([2, 0, 1]) for y[2] > y[0] > y[1]",
        )
    if np.unique(array).size < array.size:
        raise InputError("order names an output twice", f"got {order!r}", "name each output once")
    return array.astype(np.int64)
