"""Small linear programs over a box, by the dual simplex method."""

import numpy as np
from scipy.optimize import linprog

INSIDE = 1e-9
PIVOT = 1e-10
STEPS = 200


def highest(
    c: np.ndarray,
    rows: np.ndarray,
    ends: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    inside: float = INSIDE,
) -> np.ndarray | None:
    """argmax c z over rows z <= ends and low <= z <= high; None where there is no such z.

    Dual simplex (Lemke 1954) from the best corner of the box: while a row is violated by more than
    `inside`, the most violated one enters n active rows, and the one leaves that keeps c a sum of active
    rows with weights >= 0. Every step solves afresh with the n active rows. Where 200 steps do not end it,
    HiGHS does.

    Args:
        c: (n,).
        rows: (m, n), each of norm 1.
        ends: (m,).
        low, high: (n,), finite, of size about 1.
        inside: how far outside of a row z may lie.
    """
    n = c.size
    eye = np.eye(n)
    every, bound = np.concatenate([eye, -eye, rows]), np.concatenate([high, -low, ends])
    active = np.where(c >= 0, np.arange(n), n + np.arange(n))
    for _ in range(STEPS):
        try:
            z = np.linalg.solve(every[active], bound[active])
            over = every @ z - bound
            over[active] = 0.0
            enters = int(np.argmax(over))
            if over[enters] <= inside:
                return z
            weights, part = np.linalg.solve(every[active].T, np.stack([c, every[enters]], axis=1)).T
        except np.linalg.LinAlgError:
            break
        usable = part > PIVOT
        if not usable.any():
            return None  # a point inside the active rows is outside of the entering one
        ratio = np.where(usable, np.maximum(weights, 0.0) / np.where(usable, part, 1.0), np.inf)
        ties = ratio <= ratio.min() + 1e-12
        active[int(np.argmax(np.where(ties, part, -np.inf)))] = enters
    return _by_highs(c, rows, ends, low, high)


def _by_highs(
    c: np.ndarray, rows: np.ndarray, ends: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray | None:
    found = linprog(
        -c,
        A_ub=rows,
        b_ub=ends + INSIDE,
        bounds=np.column_stack([low, high]),
        method="highs",
        options={"primal_feasibility_tolerance": INSIDE},
    )
    if found.status not in (0, 2):
        raise RuntimeError(f"a linear program of {c.size} unknowns was not solved: {found.message}")
    return None if found.x is None else np.asarray(found.x)
