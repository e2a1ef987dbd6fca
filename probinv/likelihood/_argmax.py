"""Y* = output k is the largest, however narrowly."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from probinv._errors import InputError
from probinv._typing import Scalar, Y
from probinv.likelihood._base import AbstractRegionLikelihood, Numbers, strict_margin
from probinv.likelihood._label import as_class


@final
class Argmax(AbstractRegionLikelihood):
    """p(k | y) = 1 if y_k > y_j for every j != k, and 0 otherwise.

    margin(y) = y_k - max_{j != k} y_j: for logits the lead over the second class; in the mean unit of the
    outputs where units are given. Strictly the largest: a tie is outside, as in `Label`, whose draws follow
    the probability of the class, while those of `Argmax` are all inputs that the network would classify as k,
    weighed by the prior alone.

    Args:
        k: index of the output in a vector y, counted from 0.

    Raises:
        InputError: k is not a whole number >= 0; by `check`, y is not a vector with an entry k.
    """

    k: Int[Array | np.ndarray, ""]

    def __init__(self, k: Any) -> None:
        self.k = as_class(k)

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 1 or shape[0] < 2 or int(self.k) >= shape[0]:
            raise InputError(
                f"Argmax({int(self.k)}) needs a vector of at least {max(int(self.k) + 1, 2)} outputs",
                f"one output of the network has shape {shape}",
                "give k from 0 to the number of outputs - 1",
            )

    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """(y_k - max_{j != k} y_j) / mean unit; a tie is just below 0."""
        others = jnp.where(jnp.arange(y.size) == self.k, -jnp.inf, y)
        # NaN for a traced k that is out of range, where JAX would take the last output.
        first = y.at[self.k].get(mode="fill", fill_value=jnp.nan)
        return strict_margin(first - jnp.max(others), 1.0 if unit is None else jnp.mean(unit))

    def at(self, y_star: Any) -> "Argmax":
        """The same wish for the output with index `y_star`."""
        k = y_star if isinstance(y_star, jax.core.Tracer) else as_class(y_star)
        return eqx.tree_at(lambda wish: wish.k, self, k)

    @property
    def target(self) -> Numbers:
        """The index k, of shape ()."""
        return self.k

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """NaN: no one value is wished."""
        return np.full(shape, np.nan)

    def describe(self, name: str = "y") -> str:
        return f"{name}[{int(self.k)}] is the largest entry of {name}"
