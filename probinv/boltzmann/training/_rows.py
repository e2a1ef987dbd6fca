"""Training rows in batches: in a new order in every epoch, dense or sparse."""

from typing import Any

import numpy as np
from jaxtyping import Float

from probinv._errors import InputError

COMPLEX = "; Complex data not supported"

type Dense = Float[np.ndarray, "rows nv"]


def as_rows(name: str, value: Any, *, least: int = 1, dtype: Any = np.float32) -> Any:
    """Rows as a float array (rows, nv), examples of any shape raveled, or as a sparse matrix (CSR).

    Raises:
        InputError: not numbers, complex, NaN or infinite, no column, or fewer rows than `least`.
    """
    if hasattr(value, "tocsr"):
        rows = value.tocsr()
        if rows.dtype.kind not in "fiub":
            why = f"dtype {rows.dtype}" + COMPLEX * (rows.dtype.kind == "c")
            raise InputError(f"{name} is not an array of real numbers", why, "give real numbers")
        with np.errstate(over="ignore"):
            rows = rows.astype(dtype)
        numbers = rows.data
    else:
        rows = numbers = _dense(name, value, dtype)
    if not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).sum())
        raise InputError(
            f"{name} contains NaN or infinity",
            f"{bad} entries are not finite",
            "replace or remove these rows",
        )
    if rows.shape[0] < least:
        raise InputError(
            f"{name} has {rows.shape[0]} row{'s' * (rows.shape[0] != 1)}",
            f"At least {least} are needed; found array with {rows.shape[0]} sample(s)",
            "give more examples",
        )
    return rows


def _dense(name: str, value: Any, dtype: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}" + COMPLEX * (array.dtype.kind == "c"))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} is not an array of real numbers", str(error), "give rows of numbers"
        ) from None
    if array.ndim < 2:
        raise InputError(
            f"{name} has shape {array.shape}",
            "rows of examples are needed. Reshape your data: array.reshape(-1, 1) for a single feature, "
            "array.reshape(1, -1) for a single sample",
            "give an array (rows, columns)",
        )
    if 0 in array.shape[1:]:
        raise InputError(
            f"{name} has no column",
            f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required",
            "give data",
        )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array.reshape(len(array), np.prod(array.shape[1:])), dtype)


def dense(rows: Any) -> Dense:
    """The rows as a dense float32 array."""
    return rows.toarray() if hasattr(rows, "toarray") else rows


class Batches:
    """Batches of equal size; a few rows are left out of an epoch, other ones in each.

    Args:
        rows: as `as_rows` gives them.
        size: rows of a batch; no more than there are rows.
        seed: of the order.
    """

    def __init__(self, rows: Any, size: int, seed: int) -> None:
        self.rows, self.size, self.seed = rows, min(size, rows.shape[0]), seed
        self.per_epoch = rows.shape[0] // self.size
        self.order: tuple[int, np.ndarray] = (-1, np.zeros(0, int))

    def __call__(self, first: int, count: int) -> Float[np.ndarray, "count size nv"]:
        """The batches of the updates first, ..., first + count - 1, which lie in one epoch."""
        epoch, place = divmod(first, self.per_epoch)
        if self.order[0] != epoch:
            shuffled = np.random.default_rng([self.seed, epoch]).permutation(self.rows.shape[0])
            self.order = (epoch, shuffled)
        chosen = self.order[1][place * self.size : (place + count) * self.size]
        return dense(self.rows[chosen]).reshape(count, self.size, -1)
