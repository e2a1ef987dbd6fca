"""Y* = y + Gaussian noise: a target with a tolerance."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_positive
from probinv._errors import InputError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractResidualLikelihood, Numbers
from probinv.likelihood._level import within_chi_square
from probinv.likelihood._noise import AbstractNoise, CorrelatedNoise, IndependentNoise, as_covariance
from probinv.likelihood._target import another_target, as_target, check_shape
from probinv.likelihood._validation import noise_of
from probinv.likelihood._words import words

_LOG_2PI = float(np.log(2 * np.pi))


@final
class Gaussian(AbstractResidualLikelihood):
    """log p(Y* | y) = -|r|^2 / 2 - log det(C) / 2 - m log(2 pi) / 2,  r = C^(-1/2) (y - Y*).

    C is diag(scale^2), or a full covariance over the raveled output, with C^(-1/2) the inverse of its
    Cholesky factor. NaN in Y* marks outputs that do not matter: the law is the exact marginal of the m
    others, and r is zero there.

    y counts as reached if |r|^2 is at most the .999 quantile of chi-squared with m degrees of freedom:
    were Y* = y + noise, one Y* in 1000 would be called missed.

    Args:
        y_star: the wish, of the shape of y and in its units; NaN where an output does not matter.
        scale: standard deviation, one number or one for each output (units of y). It says how far from
            Y* an output may be; the error of the network belongs in it too (see `from_residuals`).
        covariance: instead of scale, shape (m, m) with m = y_star.size, symmetric positive definite.
            Costs a Cholesky factor, O(m^3), in every evaluation.

    Raises:
        InputError: infinite or all-NaN y_star, a scale that is not positive, a covariance that is not
            symmetric positive definite, wrong shapes, both or neither of scale and covariance, or a
            traced y_star (build it outside jit and use `at` inside).
    """

    y_star: Float[Array | np.ndarray, "..."]
    noise: AbstractNoise

    def __init__(self, y_star: Any, scale: Any = None, *, covariance: Any = None) -> None:
        self.y_star = as_target("y_star", y_star)
        if (scale is None) == (covariance is None):
            raise InputError(
                "Gaussian needs either scale or covariance",
                "both were given" if scale is not None else "neither was given",
                "for example Gaussian(y_star, 0.1) or Gaussian(y_star, covariance=C)",
            )
        if covariance is None:
            self.noise = IndependentNoise(as_positive("scale", scale, shape=self.y_star.shape))
        else:
            self.noise = CorrelatedNoise(as_covariance("covariance", covariance, self.y_star.size))

    @classmethod
    def from_residuals(
        cls, y_star: Any, residuals: Any, tolerance: Any = 0.0, full: bool = False
    ) -> "Gaussian":
        """C = mean_rows r r^T + tolerance^2 (its diagonal only, unless full): the network's error is in it.

        A posterior that trusts the network blindly is too narrow: f(x) = Y* says little if f is itself
        wrong by more than the tolerance.

        Args:
            y_star: as in `Gaussian`.
            residuals: f(x) - y on rows that the network has not been trained on, shape (rows, *y).
            tolerance: what the wish allows beside that, a standard deviation (scalar or shape of y).
            full: a full covariance; needs more rows than outputs.

        Raises:
            InputError: fewer than 2 rows, for `full` not more rows than outputs, a negative tolerance,
                an output without any error and tolerance, or wrong shapes.
        """
        noise = noise_of(residuals, tolerance, full)
        check_shape("y_star", as_target("y_star", y_star).shape, np.shape(residuals)[1:])
        return cls(y_star, covariance=noise) if full else cls(y_star, noise)

    @property
    def tolerance(self) -> Numbers:
        """Standard deviation of every output, of the shape and in the units of y."""
        return self.noise.deviation(self.y_star.shape)

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("y_star", self.y_star.shape, shape)

    def residual(self, y: Y) -> Float[Array, " m"]:
        """r = C^(-1/2) (y - Y*), one entry for each output, zero where it does not matter."""
        return self.noise.whiten(y - self.y_star, ~jnp.isnan(self.y_star))[0]

    def log_prob(self, y: Y) -> Scalar:
        observed = ~jnp.isnan(self.y_star)
        r, log_scale = self.noise.whiten(y - self.y_star, observed)
        return -0.5 * jnp.sum(r**2) - log_scale - 0.5 * jnp.sum(observed) * _LOG_2PI

    def reached(self, y: Y) -> Flag:
        """|r|^2 <= the .999 quantile of chi-squared with m degrees of freedom."""
        return within_chi_square(jnp.sum(self.residual(y) ** 2), jnp.sum(~jnp.isnan(self.y_star)))

    def simulate(self, key: PRNGKey, y: Y) -> Y:
        """Y* = y + noise; NaN where an output does not matter."""
        return jnp.where(jnp.isnan(self.y_star), jnp.nan, y + self.noise.draw(key, y.shape))

    def at(self, y_star: Any) -> "Gaussian":
        return eqx.tree_at(lambda wish: wish.y_star, self, another_target("y_star", self.y_star, y_star))

    @property
    def target(self) -> Numbers:
        return self.y_star

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.y_star)

    def describe(self, name: str = "y") -> str:
        return f"{name} = {words(self.y_star)} {self.noise.describe()}"
