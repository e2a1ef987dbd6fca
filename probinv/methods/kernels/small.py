"""Linear algebra that is written out for matrices of up to four rows.

A call into LAPACK for each of many tiny matrices costs more than the arithmetic; written out, it becomes
elementwise operations over all chains. Larger matrices go to LAPACK. Nothing is pivoted: where that would be
needed the result is not finite or not accurate, and a Newton step that follows from it is found out.
"""

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from probinv._typing import Scalar

WRITTEN_OUT = 4

type Square = Float[Array, "k k"]
type Vector = Float[Array, " k"]


def cholesky(a: Square) -> Square:
    """Lower triangular L with L L^T = a; NaN where a is not positive definite."""
    size = len(a)
    if size > WRITTEN_OUT:
        return jnp.linalg.cholesky(a)
    zero = jnp.zeros((), a.dtype)
    rows: list[list[Array]] = []
    for i in range(size):
        row: list[Array] = []
        for j in range(i):
            row.append((a[i, j] - _dot(row, rows[j])) / rows[j][j])
        row.append(jnp.sqrt(a[i, i] - _dot(row, row)))
        rows.append(row)
    return jnp.stack([jnp.stack([*row, *[zero] * (size - len(row))]) for row in rows])


def solve_lower(factor: Square, c: Vector) -> Vector:
    """L^-1 c."""
    if len(c) > WRITTEN_OUT:
        return solve_triangular(factor, c, lower=True)
    found: list[Array] = []
    for i in range(len(c)):
        found.append((c[i] - _dot(list(factor[i, :i]), found)) / factor[i, i])
    return jnp.stack(found)


def solve_cholesky(factor: Square, c: Vector) -> Vector:
    """(L L^T)^-1 c."""
    size = len(c)
    if size > WRITTEN_OUT:
        return cho_solve((factor, True), c)
    half = solve_lower(factor, c)
    found: list[Array] = []
    for i in reversed(range(size)):
        found.insert(0, (half[i] - _dot(list(factor[i + 1 :, i]), found)) / factor[i, i])
    return jnp.stack(found)


def solve_general(a: Square, c: Vector) -> Vector:
    """a^-1 c, by elimination without pivoting."""
    size = len(c)
    if size > WRITTEN_OUT:
        return jnp.linalg.solve(a, c)
    rows = _eliminated([[*a[i], c[i]] for i in range(size)])
    found: list[Array] = []
    for i in reversed(range(size)):
        found.insert(0, (rows[i][size] - _dot(rows[i][i + 1 : size], found)) / rows[i][i])
    return jnp.stack(found)


def log_abs_det(a: Square) -> Scalar:
    """log |det a|, by elimination without pivoting."""
    if len(a) > WRITTEN_OUT:
        return jnp.linalg.slogdet(a)[1]
    rows = _eliminated([list(row) for row in a])
    return jnp.stack([jnp.log(jnp.abs(rows[i][i])) for i in range(len(a))]).sum()


def _eliminated(rows: list[list[Array]]) -> list[list[Array]]:
    """Rows of an upper triangle; what is below the diagonal is of no use."""
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            share = rows[j][i] / rows[i][i]
            rows[j] = [right - share * left for right, left in zip(rows[j], rows[i], strict=True)]
    return rows


def _dot(left: list[Array], right: list[Array]) -> Array | float:
    return sum((a * b for a, b in zip(left, right, strict=False)), start=0.0)
