"""Independent normal inputs."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_positive
from probinv._typing import Scalar, X, Z
from probinv.prior._base import AbstractStandardPrior, log_standard_normal
from probinv.prior._condition import condition
from probinv.prior._leaf import leaf
from probinv.prior._shapes import Shape, broadcast


@final
class Normal(AbstractStandardPrior):
    """p(x) = prod N(x; loc, scale^2), with x = loc + scale z.

    Args:
        loc: means, in the units of x.
        scale: standard deviations, in the units of x, above zero.
        shape: shape of x; by default the one that `loc` and `scale` broadcast to.

    Raises:
        InputError: a parameter is not finite, scale <= 0 somewhere, or the shapes differ.
    """

    loc: Float[Array | np.ndarray, "*x"]
    scale: Float[Array | np.ndarray, "*x"]

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0, shape: Shape = None) -> None:
        self.loc, self.scale = broadcast({"loc": loc, "scale": as_positive("scale", scale)}, shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.loc.shape

    @property
    def latent_size(self) -> int:
        return self.loc.size

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.full(self.shape, -np.inf), np.full(self.shape, np.inf)

    def transform(self, z: Z) -> X:
        return leaf(self.loc) + leaf(self.scale) * z.reshape(self.shape)

    def inverse(self, x: X) -> Z:
        return ((x - leaf(self.loc)) / leaf(self.scale)).ravel()

    def log_prob(self, x: X) -> Scalar:
        return log_standard_normal(self.inverse(x)) - jnp.sum(jnp.log(leaf(self.scale)))


@condition.register(Normal)
def _(prior: Normal, fixed: np.ndarray, values: np.ndarray) -> Normal:
    return Normal(prior.loc[~fixed], prior.scale[~fixed])
