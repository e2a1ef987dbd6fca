"""Numbers as a reader of the report wants them."""

import numpy as np
from jaxtyping import Array

_SHOWN = 6


def words(values: Array | np.ndarray) -> str:
    """A scalar as 7; a short array as (7, any, 3), with "any" for NaN; a long one by its range and shape."""
    array = np.asarray(values)
    flat = array.ravel()
    known = flat[~np.isnan(flat)]
    if array.ndim == 0:
        return _one(flat[0])
    if array.size <= _SHOWN:
        comma = "," if array.size == 1 else ""
        return f"({', '.join(_one(value) for value in flat)}{comma})"
    if known.size == flat.size and (known == known[0]).all():
        return f"{_one(known[0])} in all {array.size} outputs"
    free = "" if known.size == flat.size else f", {flat.size - known.size} of them any"
    return f"an array of shape {array.shape} with values from {known.min():.6g} to {known.max():.6g}{free}"


def common(values: Array | np.ndarray) -> str:
    """One number if all entries are the same, a short array as it is, a long one by its range."""
    array = np.asarray(values)
    if (array == array.ravel()[0]).all():
        return _one(array.ravel()[0])
    return words(array) if array.size <= _SHOWN else f"{array.min():.6g} to {array.max():.6g}"


def _one(value: float) -> str:
    return "any" if np.isnan(value) else f"{value:.6g}"
