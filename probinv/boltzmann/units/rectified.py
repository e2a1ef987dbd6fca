"""Units that are positive: a normal law cut off at zero."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtri
from jaxtyping import Float

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.units._base import AbstractUnits, Entries, Values

LOG_2PI = float(np.log(2 * np.pi))
FAR = -9.0


@final
class Rectified(AbstractUnits):
    """s >= 0: p(s | theta) = N(s; theta, 1) / Phi(theta), log_base(s) = -s^2 / 2.

    A(theta) = sum theta^2 / 2 + log Phi(theta) + log(2 pi) / 2. The mean, theta + phi(theta) / Phi(theta), is
    a smooth rectifier. These are an exact exponential family, other than the rectified units of Nair and
    Hinton (2010), max(0, theta + noise).

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
        return -0.5 * jnp.sum(s**2, axis=-1)

    def log_partition(self, theta: Entries) -> Values:
        return jnp.sum(0.5 * theta**2 + log_ndtr(theta) + 0.5 * LOG_2PI, axis=-1)

    def mean(self, theta: Entries) -> Entries:
        t = jnp.maximum(-theta, -FAR)
        far = 1 / (t + 2 / (t + 3 / (t + 4 / (t + 5 / t))))  # Laplace's fraction: a difference would cancel
        near = jnp.maximum(theta, FAR)
        near += jnp.exp(-0.5 * near**2 - 0.5 * LOG_2PI - log_ndtr(near))
        return jnp.where(theta > FAR, near, far)

    def sample(self, key: PRNGKey, theta: Entries) -> Entries:
        tiny = jnp.finfo(theta.dtype).tiny
        u = jax.random.uniform(key, theta.shape, theta.dtype, minval=tiny)
        # s = theta - Phi^-1(u Phi(theta)) by symmetry: no digits are lost where theta is very negative
        quantile = jnp.where(theta > FAR, ndtri(jnp.maximum(u * jnp.exp(log_ndtr(theta)), tiny)), 0.0)
        # beyond FAR, with t = -theta: -log u = log Phi(-t) - log Phi(-t - s) = (t + 1 / t) s + s^2 / 2 + ...
        t, level = jnp.maximum(-theta, 1.0), -jnp.log(u)
        slope = t + 1 / t
        tail = 2 * level / (slope + jnp.sqrt(slope**2 + 2 * level))
        return jnp.where(theta > FAR, jnp.maximum(theta - quantile, 0.0), tail)

    def drawn(self, key: PRNGKey, s: Entries) -> Entries:
        return s

    def natural(self, mean: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.asarray(mean - 1.0)

    def check(self, name: str, values: Float[np.ndarray, "rows n"]) -> None:
        if values.size and not values.min() >= 0:
            raise InputError(
                f"{name} has negative entries",
                f"the smallest is {values.min():g}, and rectified units are positive",
                "shift the data, or use Gaussian units",
            )

    def states(self) -> Float[np.ndarray, "count n"]:
        raise InputError(
            "rectified units cannot be enumerated",
            "they take any positive value",
            "enumerate the other side of the machine",
        )
