"""The uniform box."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv._typing import Scalar, X, Z
from probinv.prior._base import AbstractStandardPrior
from probinv.prior._condition import condition
from probinv.prior._edges import inside_only, inward
from probinv.prior._leaf import leaf
from probinv.prior._shapes import Shape, broadcast


@final
class Uniform(AbstractStandardPrior):
    """p(x) = 1 / prod(high - low) on low <= x <= high, with x = low + (high - low) Phi(z).

    Phi is the standard normal distribution function, so z ~ N(0, I). The upper half of the box is
    computed as high - (high - low) Phi(-z), which keeps the digits that Phi(z) near 1 would lose.

    Args:
        low: lower edges, in the units of x.
        high: upper edges, above `low` everywhere.
        shape: shape of x; by default the one that `low` and `high` broadcast to.

    Raises:
        InputError: an edge is not finite, low >= high somewhere, or the shapes differ.
    """

    low: Float[Array | np.ndarray, "*x"]
    high: Float[Array | np.ndarray, "*x"]

    def __init__(self, low: Any, high: Any, shape: Shape = None) -> None:
        self.low, self.high = broadcast({"low": low, "high": high}, shape)
        if not (self.low < self.high).all():
            index = tuple(int(i) for i in np.argwhere(~(self.low < self.high))[0])
            raise InputError(
                "low must be below high",
                f"at index {index} low is {self.low[index]:g} and high is {self.high[index]:g}",
                "swap them, or hold a known input with Fixed",
            )
        with np.errstate(over="ignore"):
            if not np.isfinite(self.high - self.low).all():
                raise InputError(
                    "the box is too wide", "high - low overflows", "give edges of at most 8e307 in size"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.low.shape

    @property
    def latent_size(self) -> int:
        return self.low.size

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.low), np.asarray(self.high)

    def transform(self, z: Z) -> X:
        low, high = self._box()
        z = z.reshape(self.shape)
        lower = z < 0  # not abs(z), whose derivative at 0 is a convention: dx/dz there is phi(0)
        part = (high - low) * ndtr(jnp.where(lower, z, -z))
        x = jnp.where(lower, low + part, high - part)
        return jnp.clip(x, low, high) if x.dtype == jnp.float64 else jnp.clip(x, *inward(low, high, x.dtype))

    def inverse(self, x: X) -> Z:
        low, high = self._box()
        below, above = x - low, high - x
        least = jnp.finfo(below.dtype).tiny
        z = ndtri(jnp.clip(jnp.minimum(below, above) / (high - low), least, 0.5))
        return jnp.where(below < above, z, -z).ravel()

    def log_prob(self, x: X) -> Scalar:
        low, high = self._box()
        return inside_only(jnp.all((x >= low) & (x <= high)), x, -jnp.sum(jnp.log(high - low)))

    def _box(self) -> tuple[X, X]:
        return leaf(self.low), leaf(self.high)


@condition.register(Uniform)
def _(prior: Uniform, fixed: np.ndarray, values: np.ndarray) -> Uniform:
    return Uniform(prior.low[~fixed], prior.high[~fixed])
