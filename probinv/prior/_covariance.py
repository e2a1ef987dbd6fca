"""Mean and covariance of a data set, with the covariance always invertible."""

from typing import Any

import numpy as np
from jaxtyping import Float

from probinv._checks import as_array
from probinv._errors import InputError

CONSTANT_SCALE = 1e-2  # standard deviation of a constant column, in units of the others' median
LEAST_SHRINKAGE = 1e-6  # Ledoit and Wolf's estimate is 0 for, say, two rows, where R is singular


def as_rows(data: Any) -> np.ndarray:
    """A data set (rows, *x) as float64, with at least two rows that differ.

    Raises:
        InputError: NaN, fewer than two rows, no axis for the rows, or nothing varies.
    """
    array = as_array("data", data)
    if array.ndim < 2 or 0 in array.shape:
        raise InputError(
            f"data has shape {array.shape}",
            "its first axis counts examples and the others are the shape of x",
            "give (rows, inputs); data.reshape(-1, 1) for a single input",
        )
    if len(array) < 2:
        raise InputError("data has one row", "no spread can be estimated from it", "give more examples")
    if not (array != array[0]).any():
        raise InputError("data does not vary", "all rows are equal", "give different examples")
    return array


def ledoit_wolf(standardised: Float[np.ndarray, "rows n"]) -> float:
    """rho = min(b2, d2) / d2, the shrinkage of S = Y^T Y / rows to m I of least expected error.

        m  = tr(S) / n                            (1 for standardised columns)
        d2 = |S - m I|^2 / n                      (|.| is the Frobenius norm)
        b2 = (sum_k |y_k|^4 / rows - |S|^2) / (rows n)

    Source: Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance
    matrices, Journal of Multivariate Analysis 88, 365-411.
    """
    rows, size = standardised.shape
    sample = standardised.T @ standardised / rows
    square = float(np.sum(sample**2))
    distance = (square - np.trace(sample) ** 2 / size) / size
    if distance <= 0:
        return 0.0
    fourth = float(np.mean(np.sum(standardised**2, axis=1) ** 2))
    return min(max(fourth - square, 0.0) / (rows * size), distance) / distance


def mean_and_factor(
    rows: Float[np.ndarray, "rows n"], shrinkage: float | None
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Mean m and lower triangular L of D ((1 - rho) R + rho I) D = L L^T.

    D holds the columns' standard deviations (rows - 1 in the denominator) and R their correlations, so
    that columns may have different units. A constant column is uncorrelated with the others, and gets
    1e-2 of the median standard deviation of those that vary.

    Args:
        rows: examples.
        shrinkage: rho in [0, 1]; None for Ledoit and Wolf's estimate on the standardised columns
            (at least 1e-6).

    Raises:
        InputError: rho is outside [0, 1], or 0 where R is singular.
    """
    count, size = rows.shape
    mean = rows.mean(axis=0)
    varies = (rows != rows[0]).any(axis=0)
    scale = rows.std(axis=0, ddof=1)
    scale[~varies] = CONSTANT_SCALE * np.median(scale[varies])
    standardised = (rows - mean)[:, varies] / (scale[varies] * np.sqrt(1 - 1 / count))
    if shrinkage is None:
        rho = max(ledoit_wolf(standardised), LEAST_SHRINKAGE)
    else:
        rho = _fraction(shrinkage)
    correlation = np.eye(size)
    correlation[np.ix_(varies, varies)] = (1 - rho) * (standardised.T @ standardised) / count
    correlation[np.diag_indices(size)] = 1.0
    least = np.linalg.eigvalsh(correlation)[0]
    if least < 1e-12 * size:
        raise InputError(
            f"the covariance of the data is singular at shrinkage {rho:g}",
            f"{count} rows of {size} columns leave a smallest correlation eigenvalue of {least:.1g}",
            "give a shrinkage above 0, for example 0.05, or None for an estimate",
        )
    return mean, scale[:, None] * np.linalg.cholesky(correlation)


def _fraction(shrinkage: float) -> float:
    value = float(as_array("shrinkage", shrinkage, shape=()))
    if not 0 <= value <= 1:
        raise InputError(
            "shrinkage must lie between 0 and 1", f"got {value:g}", "0 keeps all correlations, 1 none"
        )
    return value
