"""Weights as host arrays: float64 NumPy leaves, that are not rounded before `double_precision` begins."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError


def is_array(value: Any) -> bool:
    """Whether a pytree leaf is an array (of JAX, with its keys and tracers, or of NumPy)."""
    return isinstance(value, jax.Array | np.ndarray | np.generic)


def host_leaf(name: str, value: Any) -> Any:
    """The array as NumPy: floats as float64, complex numbers as complex128, other kinds as they are.

    Tracers and typed PRNG keys pass unchanged.

    Raises:
        InputError: the leaf is not numeric, or holds NaN (a training that diverged).
    """
    if isinstance(value, jax.core.Tracer) or (is_array(value) and _is_key(value)):
        return value
    array = np.array(value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(np.float64)
    elif jnp.issubdtype(array.dtype, jnp.complexfloating):
        array = array.astype(np.complex128)
    elif array.dtype.kind not in "iub":
        raise InputError(
            f"{name} is a {type(value).__name__}",
            "weights must be arrays of numbers",
            "keep other things in the function itself",
        )
    if array.dtype.kind in "fc" and np.isnan(array).any():
        raise InputError(
            f"{name} holds NaN",
            f"{int(np.isnan(array).sum())} of its {array.size} entries are NaN",
            "train the network again or load an earlier state of it",
        )
    return array


def device_leaf(leaf: Any) -> jax.Array:
    """The leaf as a JAX array in the precision of the run, for use in a computation.

    The dtype is always given: a NumPy array that becomes a constant of a compiled program without one is
    remembered by JAX 0.12 in the precision of that program, for as long as the program lives, and is then
    rounded silently in double precision, or refused as an argument.
    """
    if is_array(leaf) and _is_key(leaf):
        return leaf
    return jnp.asarray(leaf, jax.dtypes.canonicalize_dtype(leaf.dtype))


def host_weights(name: str, value: Any, ndim: int | None = None) -> Any:
    """A weight of a layer as NumPy: finite, float32 where it was float32, otherwise float64.

    float32 is kept because a file then gives back what was saved; layers compute in the precision of x.
    """
    if isinstance(value, jax.core.Tracer):
        return value
    single = is_array(value) and value.dtype == np.float32
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(
            f"{name} is not an array", "its rows differ in length", "give a rectangular array"
        ) from None
    if not (jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "iub"):
        raise InputError(
            f"{name} is not an array of real numbers", f"its dtype is {array.dtype}", "give real numbers"
        )
    array = array.astype(np.float32 if single else np.float64)
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise InputError(
            f"{name} holds NaN or an infinite number",
            f"{count} of its {array.size} entries are not finite",
            "train the network again or load an earlier state of it",
        )
    if array.size == 0 or (ndim is not None and array.ndim != ndim):
        wanted = (
            "at least one entry" if ndim is None else f"{ndim} dimension{'s' * (ndim > 1)} and no empty one"
        )
        raise InputError(
            f"{name} has shape {array.shape}", f"it needs {wanted}", "check how the weights were read"
        )
    return array


def _is_key(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
