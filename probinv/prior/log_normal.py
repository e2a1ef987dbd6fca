"""Independent positive inputs whose logarithm is normal."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_positive
from probinv._errors import InputError
from probinv._typing import Scalar, X, Z
from probinv.prior._base import AbstractStandardPrior, log_standard_normal
from probinv.prior._condition import condition
from probinv.prior._edges import inside_only
from probinv.prior._leaf import leaf
from probinv.prior._shapes import Shape, broadcast


@final
class LogNormal(AbstractStandardPrior):
    """p(x) = prod N(log x; loc, scale^2) / x on x > 0, with x = exp(loc + scale z).

    x stays between the smallest normal and the largest finite number of its dtype, so it is never 0 or inf.

    Args:
        loc: means of log x; exp(loc) is the median of x, in its units.
        scale: standard deviations of log x (no units), above zero.
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
        return np.zeros(self.shape), np.full(self.shape, np.inf)

    def transform(self, z: Z) -> X:
        log_x = leaf(self.loc) + leaf(self.scale) * z.reshape(self.shape)
        finfo = jnp.finfo(log_x.dtype)
        return jnp.clip(jnp.exp(jnp.minimum(log_x, jnp.log(finfo.max))), finfo.tiny, finfo.max)

    def inverse(self, x: X) -> Z:
        finfo = jnp.finfo(x.dtype)
        log_x = jnp.log(jnp.clip(x, finfo.tiny, finfo.max))
        return ((log_x - leaf(self.loc)) / leaf(self.scale)).ravel()

    def log_prob(self, x: X) -> Scalar:
        inside = jnp.all(x > 0)
        safe = jnp.where(x > 0, x, 1.0)  # the unused branch must have a finite gradient too
        log_det = jnp.sum(jnp.log(leaf(self.scale))) + jnp.sum(jnp.log(safe))
        return inside_only(inside, x, log_standard_normal(self.inverse(safe)) - log_det)


@condition.register(LogNormal)
def _(prior: LogNormal, fixed: np.ndarray, values: np.ndarray) -> LogNormal:
    if not (values[fixed] > 0).all():
        raise InputError(
            "a fixed value lies outside the support",
            f"{values[fixed].min():g} is not above zero",
            "give a positive value for an input with a LogNormal prior",
        )
    return LogNormal(prior.loc[~fixed], prior.scale[~fixed])
