"""Real units with a learned variance."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_array, as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.units._base import AbstractUnits, Entries, Values

LOG_2PI = float(np.log(2 * np.pi))


@final
class Gaussian(AbstractUnits):
    """s in R: p(s | theta) = N(s; sigma^2 theta, sigma^2), log_base(s) = -s^2 / (2 sigma^2).

    A(theta) = sum sigma^2 theta^2 / 2 + log sigma + log(2 pi) / 2. Weights are in units of 1 / sigma^2, so
    that E = sum s^2 / (2 sigma^2) - s . theta and no weight is divided by a variance that is learned with it
    (compare Cho, Ilin and Raiko 2011).

    Args:
        n: number of units.
        log_sigma: log of the standard deviations: one number, or one for each unit.
    """

    n: int = eqx.field(static=True)
    log_sigma: Float[Array | np.ndarray, " n"]

    def __init__(self, n: int, log_sigma: Any = 0.0) -> None:
        self.n = as_count("n", n)
        traced = isinstance(log_sigma, jax.Array)
        self.log_sigma = log_sigma if traced else as_array("log_sigma", log_sigma, shape=(n,))

    @property
    def size(self) -> int:
        return self.n

    def log_base(self, s: Entries) -> Values:
        return -0.5 * jnp.sum((s * _each(s, jnp.exp(-self._log_sigma(s)))) ** 2, axis=-1)

    def log_partition(self, theta: Entries) -> Values:
        log_sigma = self._log_sigma(theta)
        scaled = theta * _each(theta, jnp.exp(log_sigma))
        return 0.5 * jnp.sum(scaled**2, axis=-1) + jnp.sum(log_sigma) + 0.5 * self.size * LOG_2PI

    def mean(self, theta: Entries) -> Entries:
        return theta * _each(theta, jnp.exp(2 * self._log_sigma(theta)))

    def sample(self, key: PRNGKey, theta: Entries) -> Entries:
        noise = jax.random.normal(key, theta.shape, theta.dtype)
        return self.mean(theta) + noise * _each(theta, jnp.exp(self._log_sigma(theta)))

    def drawn(self, key: PRNGKey, s: Entries) -> Entries:
        return s

    def natural(self, mean: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.asarray(mean * np.exp(-2 * np.asarray(self.log_sigma, np.float64)))

    def check(self, name: str, values: Float[np.ndarray, "rows n"]) -> None:
        """Every real number is allowed."""

    def states(self) -> Float[np.ndarray, "count n"]:
        raise InputError(
            "Gaussian units cannot be enumerated",
            "they take any real value",
            "enumerate the other side of the machine",
        )

    def _log_sigma(self, like: Entries) -> Float[Array, " n"]:
        return jnp.asarray(self.log_sigma, like.dtype)


def _each(s: Entries, value: Float[Array, " n"]) -> Entries:
    """The value of each unit for every row of the batch (ranks are never promoted silently)."""
    return jnp.broadcast_to(value, s.shape)
