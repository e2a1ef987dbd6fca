"""Correlated normal inputs."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from probinv._checks import as_array
from probinv._errors import InputError
from probinv._typing import Scalar, X, Z
from probinv.prior._base import AbstractStandardPrior, log_standard_normal
from probinv.prior._condition import condition
from probinv.prior._leaf import leaf
from probinv.prior._shapes import Shape, as_shape


@final
class MultivariateNormal(AbstractStandardPrior):
    """p(x) = N(x; loc, Sigma), with x = loc + L z and Sigma = L L^T.

    Args:
        loc: mean, in the units of x: an array of the shape of x, a vector, or one number.
        covariance: Sigma (n, n), symmetric and positive definite, n the size of x.
        shape: shape of x, of size n, for example (8, 8) for an image; by default the shape of `loc`,
            or (n,) if `loc` is one number. Entries of x are ordered as in x.ravel().
        cholesky: L (n, n), lower triangular with a positive diagonal, in place of `covariance`.

    Raises:
        InputError: Sigma is not symmetric positive definite, or a size does not fit.
    """

    loc: Float[Array | np.ndarray, "*x"]
    cholesky: Float[Array | np.ndarray, "n n"]

    def __init__(
        self, loc: Any, covariance: Any = None, shape: Shape = None, *, cholesky: Any = None
    ) -> None:
        if (covariance is None) == (cholesky is None):
            raise InputError(
                "covariance and cholesky cannot both be given or both be missing",
                "either determines the other",
                "give one of them",
            )
        self.cholesky = _factor(covariance) if cholesky is None else _check_factor(cholesky)
        self.loc = _location(loc, self.cholesky.shape[0], shape)

    @property
    def covariance(self) -> Float[Array | np.ndarray, "n n"]:
        """Sigma = L L^T."""
        return self.cholesky @ self.cholesky.T

    @property
    def shape(self) -> tuple[int, ...]:
        return self.loc.shape

    @property
    def latent_size(self) -> int:
        return self.loc.size

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.full(self.shape, -np.inf), np.full(self.shape, np.inf)

    def transform(self, z: Z) -> X:
        return leaf(self.loc) + (leaf(self.cholesky) @ z).reshape(self.shape)

    def inverse(self, x: X) -> Z:
        return solve_triangular(leaf(self.cholesky), (x - leaf(self.loc)).ravel(), lower=True)

    def log_prob(self, x: X) -> Scalar:
        log_det = jnp.sum(jnp.log(jnp.diagonal(leaf(self.cholesky))))
        return log_standard_normal(self.inverse(x)) - log_det


def _square(name: str, value: Any) -> np.ndarray:
    matrix = as_array(name, value)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise InputError(
            f"{name} must be a square matrix",
            f"its shape is {matrix.shape}",
            "give an (n, n) array, n the size of x",
        )
    return matrix


def _factor(covariance: Any) -> np.ndarray:
    matrix = _square("covariance", covariance)
    scale = np.sqrt(np.abs(np.diagonal(matrix)))
    gap = np.abs(matrix - matrix.T)
    if (gap > 1e-6 * np.outer(scale, scale)).any():
        raise InputError(
            "covariance is not symmetric",
            f"entries across the diagonal differ by up to {gap.max():.3g}",
            "give (S + S.T) / 2",
        )
    try:
        return np.linalg.cholesky((matrix + matrix.T) / 2)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh((matrix + matrix.T) / 2)[0]
        raise InputError(
            "covariance is not positive definite",
            f"its smallest eigenvalue is {least:.3g}",
            "add a small number to its diagonal, or use fit_gaussian, which shrinks",
        ) from None


def _check_factor(cholesky: Any) -> np.ndarray:
    matrix = _square("cholesky", cholesky)
    if np.triu(matrix, 1).any() or not (np.diagonal(matrix) > 0).all():
        raise InputError(
            "cholesky is not a Cholesky factor",
            "it must be lower triangular with a positive diagonal",
            "give np.linalg.cholesky(covariance), or the covariance itself",
        )
    return matrix


def _location(loc: Any, size: int, shape: Shape) -> np.ndarray:
    array = as_array("loc", loc)
    if shape is None:
        shape = array.shape if array.ndim else (size,)
    shape = as_shape(shape)
    if np.prod(shape) != size:
        raise InputError(
            f"x has shape {shape}, {np.prod(shape)} entries",
            f"the covariance is for {size}",
            "give loc and shape of the covariance's size",
        )
    return array.reshape(shape) if array.size == size else as_array("loc", array, shape=shape)


@condition.register(MultivariateNormal)
def _(prior: MultivariateNormal, fixed: np.ndarray, values: np.ndarray) -> MultivariateNormal:
    """x_f | x_k ~ N(m_f + L_fk L_kk^-1 (v - m_k), L_ff L_ff^T), L the factor with the known entries first.

    L comes from a QR decomposition of the permuted factor, (P L0)^T = Q R and L = R^T, so that Sigma
    is never formed and L_ff is a Cholesky factor whatever its condition.
    """
    known = fixed.ravel()
    loc, count = prior.loc.ravel(), int(known.sum())
    order = np.concatenate([np.flatnonzero(known), np.flatnonzero(~known)])
    triangle = np.linalg.qr(prior.cholesky[order].T, mode="r").T
    factor = np.tril(triangle * np.sign(np.diagonal(triangle))[None, :])
    z = np.linalg.solve(factor[:count, :count], values.ravel()[known] - loc[known])
    return MultivariateNormal(loc[~known] + factor[count:, :count] @ z, cholesky=factor[count:, count:])
