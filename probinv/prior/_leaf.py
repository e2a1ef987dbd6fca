"""Fields as JAX arrays, in either precision."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array


def leaf(value: Any) -> Array:
    """A field as a JAX array of the precision of now.

    A NumPy array is copied first. JAX (0.12) remembers, for each NumPy array object that a live traced
    function holds as a constant, its value rounded to the precision of that trace: after
    `jax.jit(prior.sample)` in single precision the field itself would be float32 inside
    `double_precision` as well.
    """
    return jnp.asarray(np.array(value) if isinstance(value, np.ndarray) else value)
