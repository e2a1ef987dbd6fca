"""The views: of a posterior, only the mathematical object that a method needs.

A view is a pytree that holds the posterior; its functions are bound methods, never closures over Y* or
weights, so that a second target costs no compilation.
"""

from typing import NoReturn, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinv._checks import double_precision
from probinv._errors import ViewError
from probinv._typing import PRNGKey, Scalar, X, Z
from probinv.likelihood._base import AbstractResidualLikelihood, holds_region
from probinv.posterior._posterior import Posterior


class AbstractView(eqx.Module):
    """What every view offers: the number of coordinates, draws of the prior, and x <-> z."""

    posterior: eqx.AbstractVar[Posterior]

    @property
    def size(self) -> int:
        """n, the number of coordinates z."""
        return self.posterior.size

    def sample_prior(self, key: PRNGKey) -> Z:
        """One draw of z from the prior."""
        return self.posterior.prior.sample_latent(key)

    def log_prior(self, z: Z) -> Scalar:
        """log p(z)."""
        return self.posterior.log_prior(z)

    def log_likelihood(self, z: Z) -> Scalar:
        """log p(Y* | f(T(z)))."""
        return self.posterior.log_likelihood(z)

    def x(self, z: Z) -> X:
        """x = T(z)."""
        return self.posterior.x(z)

    def latent(self, x: X) -> Z:
        """A z with T(z) = x."""
        return self.posterior.prior.inverse(x)


@final
class Density(AbstractView):
    """log p(z | Y*) up to a constant = log p(z) + log p(Y* | f(T(z)))."""

    posterior: Posterior

    @staticmethod
    def of(posterior: Posterior) -> "Density":
        """The view, or a ViewError where the wish has no density."""
        _require_density(posterior)
        return Density(posterior)

    def log_density(self, z: Z) -> Scalar:
        """log p(z | Y*) up to a constant."""
        return self.posterior.log_prior(z) + self.posterior.log_likelihood(z)


@final
class Tempered(AbstractView):
    """log p_t(z) = log p(z) + t log p(Y* | f(T(z))), from the prior (t = 0) to the posterior (t = 1)."""

    posterior: Posterior

    @staticmethod
    def of(posterior: Posterior) -> "Tempered":
        """The view, or a ViewError where the wish has no density."""
        _require_density(posterior)
        return Tempered(posterior)

    def log_density(self, z: Z, temperature: Scalar | float = 1.0) -> Scalar:
        """log p(z) + t log p(Y* | f(T(z)))."""
        return self.posterior.log_prior(z) + temperature * self.posterior.log_likelihood(z)


@final
class Residual(AbstractView):
    """log p(Y* | f(T(z))) = const - |r(z)|^2 / 2, with r and its Jacobian products."""

    posterior: Posterior

    @staticmethod
    def of(posterior: Posterior) -> "Residual":
        """The view, or a ViewError where the likelihood is not a sum of squares."""
        _require_density(posterior)
        if not isinstance(posterior.likelihood, AbstractResidualLikelihood):
            raise ViewError(
                f"{type(posterior.likelihood).__name__} has no residual",
                "the view Residual needs a likelihood of the form exp(-|r|^2 / 2)",
                "use a Gaussian likelihood, or a method with the view Density (NUTS, HMC, MAP)",
            )
        return Residual(posterior)

    def residual(self, z: Z) -> Float[Array, " m"]:
        """r(z), whitened by the tolerance."""
        likelihood = self.posterior.likelihood
        assert isinstance(likelihood, AbstractResidualLikelihood)
        return likelihood.residual(self.posterior.y(z))

    def jvp(self, z: Z, direction: Z) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """(r(z), J(z) v)."""
        return jax.jvp(self.residual, (z,), (direction,))

    def vjp(self, z: Z, cotangent: Float[Array, " m"]) -> tuple[Float[Array, " m"], Z]:
        """(r(z), J(z)^T u)."""
        residual, pull = jax.vjp(self.residual, z)
        return residual, pull(cotangent)[0]


@final
class Joint(eqx.Module):
    """Draws of (x, y) pairs."""

    @staticmethod
    def of(posterior: Posterior) -> NoReturn:
        """Raises a ViewError: amortised inverses are not part of this version."""
        raise ViewError(
            "the view Joint cannot be had",
            "amortised inverses are not part of this version",
            "use NUTS, HMC, MAP or Ascent",
        )


def _require_density(posterior: Posterior) -> None:
    """Traces log p(z | Y*) once: a wish or a network that has no density says so before any compiling."""
    if holds_region(posterior.likelihood):
        raise ViewError(
            f"{type(posterior.likelihood).__name__} has hard edges, so it needs SubsetSimulation",
            "log p(Y* | y) is 0 inside and -inf outside, which gives no gradient to follow",
            "use SubsetSimulation, with hard edges in every part of the wish, or soft edges: Label for "
            "Argmax, a softness for Interval",
        )
    with double_precision():
        z = jax.ShapeDtypeStruct((posterior.size,), jnp.float64)
        eqx.filter_eval_shape(posterior.log_prior, z)
        eqx.filter_eval_shape(posterior.log_likelihood, z)
