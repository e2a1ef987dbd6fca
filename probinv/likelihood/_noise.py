"""Gaussian noise on outputs of which some do not matter: independent, or with a full covariance."""

from abc import abstractmethod
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from probinv._checks import as_array
from probinv._errors import InputError
from probinv._typing import PRNGKey, Scalar, Y
from probinv.likelihood._words import common


class AbstractNoise(eqx.Module):
    """N(0, C) on the outputs, with C^(-1) = W^T W on those that are observed."""

    @abstractmethod
    def whiten(self, difference: Y, observed: Bool[Array, "*y"]) -> tuple[Float[Array, " m"], Scalar]:
        """W d, raveled and zero where an output is not observed; and log det(C) / 2 over the observed.

        d may be NaN where it is not observed: neither the value nor its gradient is.
        """

    @abstractmethod
    def draw(self, key: PRNGKey, shape: tuple[int, ...]) -> Y:
        """One draw for all outputs, of shape y."""

    @abstractmethod
    def deviation(self, shape: tuple[int, ...]) -> Float[Array | np.ndarray, "*y"]:
        """Standard deviation of every output, of shape y."""

    @abstractmethod
    def describe(self) -> str:
        """The noise in words."""


@final
class IndependentNoise(AbstractNoise):
    """C = diag(scale^2); scale has the shape of y and its units."""

    scale: Float[Array | np.ndarray, "*y"]

    def whiten(self, difference: Y, observed: Bool[Array, "*y"]) -> tuple[Float[Array, " m"], Scalar]:
        whitened = jnp.where(observed, difference / self.scale, 0.0).ravel()
        return whitened, jnp.sum(jnp.where(observed, jnp.log(self.scale), 0.0))

    def draw(self, key: PRNGKey, shape: tuple[int, ...]) -> Y:
        return jnp.asarray(self.scale) * jax.random.normal(key, shape)

    def deviation(self, shape: tuple[int, ...]) -> Float[Array | np.ndarray, "*y"]:
        return self.scale

    def describe(self) -> str:
        return f"within {common(self.scale)} (Gaussian standard deviation)"


@final
class CorrelatedNoise(AbstractNoise):
    """C, a full covariance of shape (m, m) over the raveled output.

    Its Cholesky factor is computed anew in each evaluation, O(m^3), because which rows take part
    depends on Y*, which is traced: rows and columns of outputs that do not matter are replaced by
    those of the identity, which leaves the marginal law of the others and its determinant exact.
    """

    covariance: Float[Array | np.ndarray, "m m"]

    def whiten(self, difference: Y, observed: Bool[Array, "*y"]) -> tuple[Float[Array, " m"], Scalar]:
        seen = observed.ravel()
        covariance = jnp.where(seen[:, None] & seen[None, :], self.covariance, jnp.eye(seen.size))
        factor = jnp.linalg.cholesky(covariance)
        known = jnp.where(observed, difference, 0.0).ravel()
        whitened = jax.scipy.linalg.solve_triangular(factor, known, lower=True)
        return whitened, jnp.sum(jnp.log(jnp.diag(factor)))

    def draw(self, key: PRNGKey, shape: tuple[int, ...]) -> Y:
        factor = jnp.linalg.cholesky(jnp.asarray(self.covariance))
        return (factor @ jax.random.normal(key, factor.shape[:1])).reshape(shape)

    def deviation(self, shape: tuple[int, ...]) -> Float[Array | np.ndarray, "*y"]:
        return jnp.sqrt(jnp.diagonal(jnp.asarray(self.covariance))).reshape(shape)

    def describe(self) -> str:
        scale = np.sqrt(np.diag(np.asarray(self.covariance)))
        if scale.size == 1 or scale.min() == scale.max():
            return f"within {scale[0]:.6g} (Gaussian standard deviation, full covariance)"
        return (
            f"within {scale.min():.6g} to {scale.max():.6g} (Gaussian standard deviations, full covariance)"
        )


def as_covariance(name: str, value: object, size: int) -> np.ndarray:
    """A symmetric positive definite matrix of shape (size, size), or an InputError."""
    matrix = as_array(name, value)
    if matrix.shape != (size, size):
        raise InputError(
            f"{name} has shape {matrix.shape}",
            f"y_star has {size} entries, so ({size}, {size}) is needed",
            "give the covariance over the raveled output",
        )
    variance = np.diag(matrix)
    if not (variance > 0).all():
        raise InputError(
            f"{name} has a diagonal entry that is not positive",
            f"the smallest is {variance.min():g}",
            "give a variance above zero for every output",
        )
    scale = np.sqrt(variance)
    correlation = matrix / scale[:, None] / scale[None, :]
    if np.abs(correlation - correlation.T).max() > 1e-8:
        raise InputError(
            f"{name} is not symmetric",
            "a covariance equals its transpose",
            "give (C + C.T) / 2 if the difference is a rounding error",
        )
    if not _is_definite(correlation):
        smallest = np.linalg.eigvalsh(correlation).min()
        raise InputError(
            f"{name} is not positive definite",
            f"its correlation has the eigenvalue {smallest:.3g}",
            "add the variance of a tolerance to its diagonal",
        )
    return (matrix + matrix.T) / 2


def _is_definite(correlation: np.ndarray) -> bool:
    try:
        factor = np.linalg.cholesky((correlation + correlation.T) / 2)
    except np.linalg.LinAlgError:
        return False
    return bool(np.diag(factor).min() ** 2 > 10 * len(factor) * np.finfo(np.float64).eps)
