"""The edges of a support in floating point."""

import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Bool, DTypeLike, Float

from probinv._typing import Scalar


def inward(
    low: Float[Array | np.ndarray, "*x"], high: Float[Array | np.ndarray, "*x"], dtype: DTypeLike
) -> tuple[Float[Array, "*x"], Float[Array, "*x"]]:
    """The outermost numbers of a dtype strictly inside (low, high), also where rounding has moved a bound.

    A float64 bound becomes the nearest float32 outside double precision, which may lie outside the
    interval by half a spacing; one step inward undoes that. Zero is left by the smallest normal
    number, because subnormal numbers are flushed to zero.
    """
    low, high = (stop_gradient(jnp.asarray(bound, dtype)) for bound in (low, high))
    tiny = jnp.finfo(dtype).tiny
    lowest = jnp.where(jnp.abs(low) < tiny, tiny, jnp.nextafter(low, jnp.full_like(low, jnp.inf)))
    highest = jnp.where(jnp.abs(high) < tiny, -tiny, jnp.nextafter(high, jnp.full_like(high, -jnp.inf)))
    return lowest, highest


def inside_only(inside: Bool[Array, ""], x: Float[Array, "*x"], log_density: Float[Array, ""]) -> Scalar:
    """log p inside the support, -inf outside it, and NaN where x is NaN (a failure is not an excluded x)."""
    outside = jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, -jnp.inf)
    return jnp.where(inside, log_density, outside)
