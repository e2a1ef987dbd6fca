"""Logarithms whose gradient is finite at zero."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import Y

_SMALLEST = 1e-300


def safe_log(p: Y) -> Y:
    """log max(p, floor), with floor 1e-300 in double precision (1.2e-38, the smallest normal, in single).

    Never changes the logarithm of a p above the floor. Below it the value is constant (-690.8, or
    -87.3) and the gradient is zero, so that neither is infinite. NaN stays NaN.
    """
    floor = max(_SMALLEST, float(jnp.finfo(p.dtype).tiny))
    return jnp.log(jnp.where(p < floor, floor, p))


def safe_log1m(p: Y) -> Y:
    """log max(1 - p, floor), with floor the distance from 1 to the number below it.

    That is 1.1e-16 in double precision (6e-8 in single). A p closer to 1 has been rounded to 1: how
    close it was is lost, and log 0 would be an error of the arithmetic. Never changes the value for
    a p below 1. At p >= 1 the gradient is zero. NaN stays NaN.
    """
    below = float(np.asarray(jnp.finfo(p.dtype).epsneg))
    q = 1.0 - p
    return jnp.log(jnp.where(q < below, below, q))


def log_odds(t: Float[Array | np.ndarray, "*y"]) -> np.ndarray:
    """log t / (1 - t), on the host; NaN where it is not finite."""
    array = np.asarray(t, np.float64)
    inner = (array > 0) & (array < 1)
    safe = np.where(inner, array, 0.5)
    return np.where(inner, np.log(safe) - np.log1p(-safe), np.nan)
