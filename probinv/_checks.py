"""Checks on the host before anything is compiled: user input and memory; and the precision of a run."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from probinv._errors import InputError


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Computes in float64 inside the block; the user's JAX configuration is as before after it.

    Single precision freezes chains below a tolerance of about 1e-4: the rounding error of the
    potential is 6e-8 / sigma.
    """
    with jax.enable_x64(True):
        yield


def fresh(tree: Any) -> Any:
    """The same pytree with every NumPy array copied.

    JAX 0.12 remembers the float32 value of a NumPy array that became a constant of a trace outside of
    `double_precision`, and returns it for that array object inside; a copy is not affected.
    """
    return jax.tree.map(lambda leaf: np.array(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)


def as_array(
    name: str,
    value: Any,
    *,
    shape: tuple[int, ...] | None = None,
    allow_nan: bool = False,
    allow_inf: bool = False,
) -> np.ndarray:
    """A float64 NumPy array of finite numbers, broadcast to `shape`, or an InputError that names the field.

    NumPy and not JAX, because a JAX array made outside `double_precision` would already be rounded.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}")
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} is not an array of real numbers",
            f"got {_short(value)} ({error})",
            "give a number, a list of numbers or an array",
        ) from None
    if not allow_nan and np.isnan(array).any():
        raise InputError(
            f"{name} holds NaN",
            f"{int(np.isnan(array).sum())} of {array.size} entries are NaN",
            "replace or remove them",
        )
    if not allow_inf and np.isinf(array).any():
        raise InputError(
            f"{name} holds an infinite number", "every entry must be finite", "give finite numbers"
        )
    if shape is None:
        return array
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        raise InputError(
            f"{name} has shape {array.shape}",
            f"shape {shape} is needed",
            "give one number for all entries or an array of that shape",
        ) from None


def as_positive(name: str, value: Any, *, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """As `as_array`, and every entry > 0."""
    array = as_array(name, value, shape=shape)
    if not (array > 0).all():
        raise InputError(
            f"{name} must be positive",
            f"its smallest entry is {array.min():g}",
            "give a scale, tolerance or variance above zero",
        )
    return array


def as_count(name: str, value: Any, *, least: int = 1) -> int:
    """A whole number >= least, or an InputError that names the field."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(
            f"{name} must be a whole number of at least {least}",
            f"got {_short(value)}",
            f"for example {name}={max(least, 1)}",
        )
    return int(value)


def memory_available() -> int | None:
    """Bytes that a run may still take on this machine; None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
