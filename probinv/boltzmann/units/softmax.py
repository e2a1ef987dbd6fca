"""Groups of units of which exactly one is on: labels, and other categories."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.units._base import AbstractUnits, Entries, Values
from probinv.boltzmann.units.bernoulli import require_few

ONE_HOT = 1e-6


@final
class Softmax(AbstractUnits):
    """Groups of k units, one-hot: A(theta) = sum over groups of log sum exp(theta).

    Args:
        classes: k, at least 2.
        groups: number of groups; s has groups * classes entries, one group after the other.
    """

    classes: int = eqx.field(static=True)
    groups: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        as_count("classes", self.classes, least=2)
        as_count("groups", self.groups)

    @property
    def size(self) -> int:
        return self.classes * self.groups

    def log_base(self, s: Entries) -> Values:
        return jnp.zeros(s.shape[:-1], s.dtype)

    def log_partition(self, theta: Entries) -> Values:
        return jnp.sum(jax.nn.logsumexp(self._grouped(theta), axis=-1), axis=-1)

    def mean(self, theta: Entries) -> Entries:
        return jax.nn.softmax(self._grouped(theta), axis=-1).reshape(theta.shape)

    def sample(self, key: PRNGKey, theta: Entries) -> Entries:
        chosen = jax.random.categorical(key, self._grouped(theta), axis=-1)
        return jax.nn.one_hot(chosen, self.classes, dtype=theta.dtype).reshape(theta.shape)

    def drawn(self, key: PRNGKey, s: Entries) -> Entries:
        return self.sample(key, jnp.log(s))

    def natural(self, mean: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.log(np.clip(mean, 1e-6, 1.0))

    def check(self, name: str, values: Float[np.ndarray, "rows n"]) -> None:
        grouped = values.reshape(-1, self.groups, self.classes)
        sums = np.abs(grouped.sum(axis=-1) - 1)
        if values.size and not (values.min() >= 0 and sums.max() <= ONE_HOT):
            raise InputError(
                f"{name} has rows that are no categories",
                f"each group of {self.classes} entries must be one-hot, or probabilities that sum to 1",
                "encode labels as one-hot rows",
            )

    def states(self) -> Float[np.ndarray, "count n"]:
        require_few(int(np.ceil(self.groups * np.log2(self.classes))))
        places = np.stack(np.meshgrid(*[np.arange(self.classes)] * self.groups, indexing="ij"), axis=-1)
        return np.eye(self.classes)[places.reshape(-1, self.groups)].reshape(-1, self.size)

    def _grouped(self, theta: Entries) -> Float[Array, "*batch groups classes"]:
        return theta.reshape(*theta.shape[:-1], self.groups, self.classes)
