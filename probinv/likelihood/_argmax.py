"""Y* = output k is the largest: named here, computed by a method that is not part of this version."""

from typing import Any, NoReturn, final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Int

from probinv._errors import InputError, ViewError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, Numbers
from probinv.likelihood._label import as_class


@final
class Argmax(AbstractLikelihood):
    """p(k | y) = 1 if y_k > y_j for every j != k, and 0 otherwise.

    It can be built and checked; everything that would be computed raises a ViewError until a method for
    regions with hard edges is built.

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

    def log_prob(self, y: Y) -> Scalar:
        _refuse()

    def reached(self, y: Y) -> Flag:
        _refuse()

    def simulate(self, key: PRNGKey, y: Y) -> Int[Array, ""]:
        _refuse()

    def at(self, y_star: Any) -> "Argmax":
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


def _refuse() -> NoReturn:
    raise ViewError(
        "Argmax needs a method for regions (subset simulation), which is not part of this version",
        "its probability is 0 or 1, which gives no gradient to follow",
        "use Label",
    )
