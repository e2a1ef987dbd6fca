"""A member of a solution set with inequalities, by linear programming."""

import numpy as np
from scipy.optimize import linprog

MOST = 40_000
"""Entries of W up to which a program is solved, of 2 n + m rows and n + 1 columns."""


def nearest_member(
    matrix: np.ndarray,
    between: tuple[np.ndarray, np.ndarray],
    domain: tuple[np.ndarray, np.ndarray],
    near: np.ndarray,
) -> np.ndarray | None:
    """argmin max_i |x_i - near_i| over low <= W x <= high, x in the domain; None where that is empty.

    Rows with low = high are then met to rounding by a least-squares step, as the solver stops at 1e-9.
    """
    n = matrix.shape[1]
    low, high = between
    exact = low == high
    above, below = ~exact & np.isfinite(high), ~exact & np.isfinite(low)
    eye, one = np.eye(n), -np.ones((n, 1))
    rows = [
        np.hstack([eye, one]),
        np.hstack([-eye, one]),
        np.pad(matrix[above], ((0, 0), (0, 1))),
        np.pad(-matrix[below], ((0, 0), (0, 1))),
    ]
    ends = [near, -near, high[above], -low[below]]
    found = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.vstack(rows),
        b_ub=np.concatenate(ends),
        A_eq=np.pad(matrix[exact], ((0, 0), (0, 1))) if exact.any() else None,
        b_eq=low[exact] if exact.any() else None,
        bounds=np.column_stack([np.append(domain[0], 0.0), np.append(domain[1], np.inf)]),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-9},
    )
    if found.x is None or found.status != 0:
        return None
    x = found.x[:n]
    for _ in range(2):
        x = x + np.linalg.lstsq(matrix[exact], low[exact] - matrix[exact] @ x, rcond=1e-13)[0]
    return x
