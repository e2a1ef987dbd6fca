"""Units that are 0 or 1."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32
from jaxtyping import Array, Float, UInt32

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.units._base import AbstractUnits, Entries, Values

STATES_MOST = 20


@final
class Bernoulli(AbstractUnits):
    """s in {0, 1}: p(s | theta) = exp(s theta - A), A(theta) = sum log(1 + e^theta).

    Training data may be probabilities between 0 and 1.

    Args:
        n: number of units.
    """

    n: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        as_count("n", self.n)

    @property
    def size(self) -> int:
        return self.n

    def log_base(self, s: Entries) -> Values:
        return jnp.zeros(s.shape[:-1], s.dtype)

    def log_partition(self, theta: Entries) -> Values:
        return jnp.sum(jax.nn.softplus(theta), axis=-1)

    def mean(self, theta: Entries) -> Entries:
        return jax.nn.sigmoid(theta)

    def sample(self, key: PRNGKey, theta: Entries) -> Entries:
        return bernoulli(key, jax.nn.sigmoid(theta))

    def drawn(self, key: PRNGKey, s: Entries) -> Entries:
        return bernoulli(key, s)

    def natural(self, mean: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        inside = np.clip(mean, 1e-3, 1 - 1e-3)
        return np.log(inside) - np.log1p(-inside)

    def check(self, name: str, values: Float[np.ndarray, "rows n"]) -> None:
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise InputError(
                f"{name} has entries outside [0, 1]",
                f"they lie between {values.min():g} and {values.max():g}, and Bernoulli units are 0 or 1",
                "scale the data to [0, 1], or use Gaussian units",
            )

    def states(self) -> Float[np.ndarray, "count n"]:
        require_few(self.size)
        return (np.arange(2**self.size)[:, None] >> np.arange(self.size) & 1).astype(np.float64)


def bernoulli(key: PRNGKey, probability: Entries) -> Entries:
    """1 with the probability, else 0, in its dtype.

    Sixteen random bits for each entry, and no bit drawn in vain: jax.random.bernoulli draws 64 and uses 23.
    Random bits are what a Gibbs step spends most time on beside the matrix products. A probability is
    rounded to a multiple of 2^-16.
    """
    size = probability.size
    words = _words(key, -(-size // 2))
    halves = jnp.concatenate([words & 0xFFFF, words >> 16])[:size].reshape(probability.shape)
    return (halves.astype(probability.dtype) + 0.5 < 65536.0 * probability).astype(probability.dtype)


def _words(key: PRNGKey, count: int) -> UInt32[Array, " count"]:
    """Random words of 32 bits."""
    if str(jax.random.key_impl(key)) != "threefry2x32":
        return jax.random.bits(key, (count,), jnp.uint32)
    return threefry_2x32(jax.random.key_data(key), jax.lax.iota(jnp.uint32, count))


def require_few(units: int) -> None:
    """An InputError where 2^units states are too many to list."""
    if units > STATES_MOST:
        raise InputError(
            f"{units} units have 2^{units} states",
            f"they are listed up to {STATES_MOST} units",
            "estimate with probinv.boltzmann.log_likelihood instead of enumerating",
        )
