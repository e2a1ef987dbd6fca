"""A matrix, factorised once: W^+, the space that it does not see, its rank and its condition number."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import numpy as np
from jaxtyping import Float
from scipy.linalg import lu_solve, qr, solve_triangular, svd, svdvals
from scipy.linalg.lapack import dgecon, dgetrf, dtrcon
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from probinv._checks import memory_available
from probinv._errors import ResourceError

EXACT_MOST = 400
"""Up to this size all singular values are computed for the condition number, above only the outermost."""

type Rows = Float[np.ndarray, "count _"]
type Product = Callable[[np.ndarray], np.ndarray]


class Factor(ABC):
    """W of shape (m, n).

    Attributes:
        matrix: W, or None where it is not kept as a matrix.
        columns: n.
        rank: number of singular values above max(m, n) eps sigma_max.
        condition: sigma_max / sigma_min over these, in the 2-norm.
    """

    matrix: np.ndarray | None
    columns: int
    rank: int
    condition: float

    @property
    def norm(self) -> float:
        """The root mean square of the singular values that are not zero."""
        assert self.matrix is not None
        return float(np.linalg.norm(self.matrix) / np.sqrt(max(self.rank, 1)))

    def apply(self, x: Rows) -> Rows:
        """W x, for each row."""
        assert self.matrix is not None
        return x @ self.matrix.T

    @abstractmethod
    def solve(self, y: Rows) -> Rows:
        """W^+ y, for each row: the shortest of all x that come nearest to W x = y."""

    @abstractmethod
    def unseen(self, x: Rows) -> Rows:
        """(I - W^+ W) x, for each row: its part in the null space of W."""

    @abstractmethod
    def row_space(self) -> np.ndarray:
        """Q (n, rank) with orthonormal columns that span the rows of W."""

    @property
    def free(self) -> int:
        """n - rank."""
        return self.columns - self.rank

    def null_space(self) -> np.ndarray:
        """N (n, n - rank) with orthonormal columns and W N = 0.

        Raises:
            ResourceError: it would not fit into memory; `unseen` needs no basis.
        """
        n = self.columns
        if self.rank == n:
            return np.zeros((n, 0))
        need, have = 3 * 8 * n * n, memory_available()
        if have is not None and need > have:
            raise ResourceError(
                f"a basis of {n - self.rank} directions in {n} dimensions needs about {need / 1e9:.1f} GB",
                f"{have / 1e9:.1f} GB are free",
                "draw members with sample, which needs no basis",
            )
        return qr(self.row_space(), mode="full")[0][:, self.rank :]


def factorise(matrix: Float[np.ndarray, "m n"]) -> Factor:
    """LU of a square matrix, QR of any other; SVD where it has not full rank (condition above 1 / eps)."""
    matrix = np.ascontiguousarray(matrix, np.float64)
    m, n = matrix.shape
    eps = max(m, n) * np.finfo(np.float64).eps
    if m == n:
        lu = dgetrf(matrix)[:2]  # without the warning of lu_factor where a pivot is zero
        if dgecon(lu[0], np.abs(matrix).sum(axis=0).max())[0] > eps:
            return Square(matrix, lu)
    else:
        q, r = qr(matrix.T if m < n else matrix, mode="economic", check_finite=False)
        if dtrcon(r)[0] > eps:
            return Wide(matrix, q, r) if m < n else Tall(matrix, q, r)
    return Deficient(matrix, eps)


@final
class Square(Factor):
    """P L U = W, non-singular."""

    def __init__(self, matrix: np.ndarray, lu: tuple[np.ndarray, np.ndarray]) -> None:
        self.matrix, self.lu = matrix, lu
        self.rank = self.columns = len(matrix)
        self.condition = _condition(
            matrix, lambda y: lu_solve(lu, y, check_finite=False), lambda y: lu_solve(lu, y, trans=1)
        )

    def solve(self, y: Rows) -> Rows:
        return lu_solve(self.lu, y.T).T

    def unseen(self, x: Rows) -> Rows:
        return np.zeros_like(x)

    def row_space(self) -> np.ndarray:
        return np.eye(self.rank)


@final
class Wide(Factor):
    """Q R = W^T, more inputs than outputs: W^+ = Q R^-T, and the null space is what is orthogonal to Q."""

    def __init__(self, matrix: np.ndarray, q: np.ndarray, r: np.ndarray) -> None:
        self.matrix, self.q, self.r = matrix, q, r
        self.rank, self.columns = matrix.shape
        self.condition = _triangular_condition(r)

    def solve(self, y: Rows) -> Rows:
        return solve_triangular(self.r, y.T, trans=1).T @ self.q.T

    def unseen(self, x: Rows) -> Rows:
        return _without(self.q, x)

    def row_space(self) -> np.ndarray:
        return self.q


@final
class Tall(Factor):
    """Q R = W, more outputs than inputs: W^+ = R^-1 Q^T, least squares."""

    def __init__(self, matrix: np.ndarray, q: np.ndarray, r: np.ndarray) -> None:
        self.matrix, self.q, self.r = matrix, q, r
        self.rank = self.columns = len(r)
        self.condition = _triangular_condition(r)

    def solve(self, y: Rows) -> Rows:
        return solve_triangular(self.r, (y @ self.q).T).T

    def unseen(self, x: Rows) -> Rows:
        return np.zeros_like(x)

    def row_space(self) -> np.ndarray:
        return np.eye(self.rank)


@final
class Deficient(Factor):
    """U S V^T = W with the singular values that are not rounding."""

    def __init__(self, matrix: np.ndarray, eps: float) -> None:
        left, values, right = svd(matrix, full_matrices=False, lapack_driver="gesdd")
        self.matrix, self.columns = matrix, matrix.shape[1]
        self.rank = int(np.sum(values > eps * values.max(initial=0.0)))
        self.left, self.values, self.right = left[:, : self.rank], values[: self.rank], right[: self.rank]
        self.condition = float(self.values[0] / self.values[-1]) if self.rank else 1.0

    def solve(self, y: Rows) -> Rows:
        return ((y @ self.left) / self.values[None]) @ self.right

    def unseen(self, x: Rows) -> Rows:
        return _without(self.right.T, x)

    def row_space(self) -> np.ndarray:
        return self.right.T


def _without(q: np.ndarray, x: Rows) -> Rows:
    """x - Q Q^T x, twice: after once, rounding leaves a part of the size of eps |x| along Q."""
    for _ in range(2):
        x = x - (x @ q) @ q.T
    return x


def _triangular_condition(r: np.ndarray) -> float:
    return _condition(r, lambda y: solve_triangular(r, y), lambda y: solve_triangular(r, y, trans=1))


def _condition(matrix: np.ndarray, solve: Product, solve_transposed: Product) -> float:
    """sigma_max / sigma_min of a non-singular matrix; by Lanczos on W^T W and its inverse if large."""
    n = len(matrix)
    if n > EXACT_MOST:
        try:
            largest = _largest(n, lambda x: matrix.T @ (matrix @ x))
            return float(np.sqrt(largest * _largest(n, lambda x: solve(solve_transposed(x)))))
        except ArpackError:
            pass  # eigenvalues too close together for it
    values = svdvals(matrix)
    return float(values[0] / values[-1])


def _largest(n: int, product: Product) -> float:
    """The largest eigenvalue of a symmetric positive definite operator; the same in every run."""
    begin = np.random.default_rng(0).standard_normal(n)
    operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
    return float(eigsh(operator, k=1, which="LM", v0=begin, ncv=40, tol=1e-8, return_eigenvectors=False)[0])
