"""Y* = a class: the network is to say "this is a k"."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, Numbers
from probinv.likelihood._mode import Outputs, as_outputs
from probinv.likelihood._safe import safe_log


@final
class Label(AbstractLikelihood):
    """log p(k | y) = y_k - log sum_j exp(y_j)  for logits,  log y_k  for probabilities.

    y has shape (classes,). Probabilities are taken as the network gives them (they are not made to sum
    to one); the logarithm has a floor at 1e-300 (1.2e-38 in single precision) below which value and
    gradient are constant and zero, and is never changed above it. Logits have no such flat region:
    prefer them.

    y counts as reached if class k has the largest output, and no other class the same: an input that the
    network would classify as k, however narrowly.

    Args:
        k: index of the class, counted from 0.
        outputs: what y is, "logits" (before the softmax) or "probabilities" (after it).

    Raises:
        InputError: k is not a whole number >= 0, or outputs is another word; by `check`, y is not a
            vector of at least two classes, or k is not one of them.
    """

    k: Int[Array | np.ndarray, ""]
    outputs: Outputs = eqx.field(static=True)

    def __init__(self, k: Any, outputs: str = "logits") -> None:
        self.k = as_class(k)
        self.outputs = as_outputs(outputs)

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 1 or shape[0] < 2:
            raise InputError(
                "Label needs a vector of at least two classes",
                f"one output of the network has shape {shape}",
                "use On(index, Label(k)) for a part of it, or Bernoulli for sigmoid outputs",
            )
        if int(self.k) >= shape[0]:
            raise InputError(
                f"k={int(self.k)} is not a class of this network",
                f"it has {shape[0]} classes, counted from 0",
                f"give k from 0 to {shape[0] - 1}",
            )

    def log_prob(self, y: Y) -> Scalar:
        # NaN for a traced k that is out of range, where JAX would take the last class.
        return self._log_probabilities(y).at[self.k].get(mode="fill", fill_value=jnp.nan)

    def reached(self, y: Y) -> Flag:
        """y_k > y_j for every other class j."""
        others = jnp.where(jnp.arange(y.size) == self.k, -jnp.inf, y)
        return y.at[self.k].get(mode="fill", fill_value=jnp.nan) > jnp.max(others)

    def simulate(self, key: PRNGKey, y: Y) -> Int[Array, ""]:
        """The index of a class, drawn with its probability."""
        return jax.random.categorical(key, self._log_probabilities(y))

    def at(self, y_star: Any) -> "Label":
        """The same wish for the class with index `y_star`."""
        k = y_star if isinstance(y_star, jax.core.Tracer) else as_class(y_star)
        return eqx.tree_at(lambda wish: wish.k, self, k)

    @property
    def target(self) -> Numbers:
        """The index k, of shape ()."""
        return self.k

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """One-hot for probabilities; NaN for logits, of which no one value is wished."""
        if self.outputs == "logits":
            return np.full(shape, np.nan)
        return np.where(np.arange(shape[0]) == int(self.k), 1.0, 0.0)

    def describe(self, name: str = "y") -> str:
        return f"{name} says class {int(self.k)} ({self.outputs})"

    def _log_probabilities(self, y: Y) -> Y:
        return jax.nn.log_softmax(y) if self.outputs == "logits" else safe_log(y)


def as_class(k: Any) -> np.ndarray:
    if isinstance(k, np.ndarray | jax.Array) and k.ndim == 0 and k.dtype.kind in "iu":
        k = int(k)
    return np.asarray(as_count("k", k, least=0), np.int64)
