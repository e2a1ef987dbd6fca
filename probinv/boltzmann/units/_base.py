"""What the units of a layer are: an exponential family."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import PRNGKey

type Entries = Float[Array, "*batch n"]
type Values = Float[Array, "*batch"]


class AbstractUnits(eqx.Module):
    """p(s | theta) = exp(log_base(s) + s . theta - A(theta)), the units of one side of a machine.

    theta holds the natural parameters. The last axis is the units, axes before it are a batch. A final class
    keeps settings as static fields and what is learned besides the weights (a variance) as arrays; both are
    arguments of its constructor under the same names, and with a line in `units.KINDS` it can be saved. It
    computes in the dtype of its argument.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """n, the number of entries of s."""

    @abstractmethod
    def log_base(self, s: Entries) -> Values:
        """The log of the base measure, summed over the units."""

    @abstractmethod
    def log_partition(self, theta: Entries) -> Values:
        """A(theta) = log of the sum (or integral) of exp(log_base(s) + s . theta) over s."""

    @abstractmethod
    def mean(self, theta: Entries) -> Entries:
        """E[s | theta] = dA / d theta."""

    @abstractmethod
    def sample(self, key: PRNGKey, theta: Entries) -> Entries:
        """One draw of s for every theta."""

    @abstractmethod
    def drawn(self, key: PRNGKey, s: Entries) -> Entries:
        """A draw with the mean s, where data are probabilities; s itself where any value is data."""

    @abstractmethod
    def natural(self, mean: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """A theta with E[s | theta] = mean, kept from infinity: biases to begin a training at. Host only."""

    @abstractmethod
    def check(self, name: str, values: Float[np.ndarray, "rows n"]) -> None:
        """Raises an InputError that names the field if rows lie outside the support. Host only."""

    @abstractmethod
    def states(self) -> Float[np.ndarray, "count n"]:
        """Every value of s, where there are finitely many; an InputError elsewhere. Host only."""


def parameters(tree: Any) -> Any:
    """What of units, or of anything else, is learned: the same pytree, with None for everything else."""
    return eqx.filter(tree, _learned)


def _learned(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
