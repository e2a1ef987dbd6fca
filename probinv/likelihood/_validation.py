"""How wrong the network itself is, from rows that it has not been trained on."""

from typing import Any

import numpy as np

from probinv._checks import as_array
from probinv._errors import InputError


def estimate_noise(forward_outputs: Any, true_outputs: Any, full: bool = False) -> np.ndarray:
    """s_i = sqrt(mean_rows (f(x)_i - y_i)^2), or C = mean_rows (f(x) - y)(f(x) - y)^T.

    The mean square about zero, not about the mean: a bias of the network counts as error. With n
    independent rows and Gaussian errors s_i is uncertain by about 1 part in sqrt(2 n).

    Args:
        forward_outputs: outputs of the network for validation inputs, shape (rows, *y).
        true_outputs: what they should have been, same shape and units.
        full: a covariance over the raveled outputs instead of a standard deviation for each.

    Returns:
        Standard deviations of shape y (units of y), for `Gaussian(y_star, scale)`; or a covariance of
        shape (m, m), for `Gaussian(y_star, covariance=...)`.

    Raises:
        InputError: shapes differ, fewer than 2 rows, for `full` not more rows than outputs (no
            shrinkage is applied), or an output with no error at all.
    """
    forward = as_array("forward_outputs", forward_outputs)
    true = as_array("true_outputs", true_outputs)
    if forward.shape != true.shape:
        raise InputError(
            f"true_outputs has shape {true.shape}",
            f"forward_outputs has shape {forward.shape}",
            "give both for the same rows, in shape (rows, *y)",
        )
    return noise_of(forward - true, 0.0, full)


def noise_of(residuals: Any, tolerance: Any, full: bool) -> np.ndarray:
    """sqrt(mean r^2 + tolerance^2) of shape y, or mean r r^T + diag(tolerance^2) of shape (m, m)."""
    errors = as_array("residuals", residuals)
    if errors.ndim == 0 or len(errors) < 2:
        raise InputError(
            f"residuals has shape {errors.shape}",
            "an error is estimated from at least 2 validation rows",
            "give residuals in shape (rows, *y)",
        )
    rows, shape = len(errors), errors.shape[1:]
    flat = errors.reshape(rows, -1)
    wished = as_array("tolerance", tolerance, shape=shape).ravel()
    if (wished < 0).any():
        raise InputError(
            "tolerance is negative",
            f"its smallest entry is {wished.min():g}",
            "give the standard deviation that the wish allows, 0 for none",
        )
    if full and rows <= flat.shape[1]:
        raise InputError(
            f"residuals has {rows} rows for {flat.shape[1]} outputs",
            "a full covariance needs more rows than outputs and is not shrunk here",
            "give more validation rows, or use full=False",
        )
    variance = np.mean(flat**2, axis=0) + wished**2
    if not (variance > 0).all():
        raise InputError(
            "residuals are zero in every row for some output",
            "a standard deviation of zero is not a density",
            "give a tolerance above zero",
        )
    if full:
        return flat.T @ flat / rows + np.diag(wished**2)
    return np.sqrt(variance).reshape(shape)
