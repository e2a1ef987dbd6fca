"""The view of a posterior as the end of a path that begins at the prior."""

import math
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import ViewError
from probinv._typing import Scalar, Z
from probinv.likelihood._base import AbstractConstraintLikelihood, AbstractResidualLikelihood
from probinv.posterior._constraint import Constraint
from probinv.posterior._posterior import Posterior
from probinv.posterior._views import AbstractView, Tempered

EXACT_END = 1e8
"""1 / t of the narrowest tolerance before an exact wish is met exactly: 1e-4 of the output's prior spread."""


@final
class Path(AbstractView):
    r"""p_b(z) = p(z) exp(b a(z)) / Z_b, from the prior, b = 0, to the posterior.

    With a tolerance or any other density, a(z) = log p(Y* | f(T(z))) and the path ends at b = 1. For an exact
    wish a(z) = -|r(z) / u|^2 / 2 with u the spread of r under the prior: Gaussian tolerances u / sqrt(b) that
    shrink until b = 1e8, after which the set { r(z) = 0 } itself is reached by projection.

    Attributes:
        constraint: the wish as an equation, where it is one.
        unit: u, of shape (m,); 1 where there is a tolerance.
    """

    posterior: Posterior
    constraint: Constraint | None
    unit: Float[Array | np.ndarray, " m"]

    @staticmethod
    def of(posterior: Posterior) -> "Path":
        """The view, or a ViewError where the wish has neither a density nor an equation."""
        if _is_exact(posterior):
            likelihood = posterior.likelihood
            if isinstance(likelihood, AbstractConstraintLikelihood) and likelihood.mixed:
                raise ViewError(
                    "some parts of the wish are exact and others have a tolerance",
                    "the path from the prior narrows all tolerances alike",
                    "use LiftedHMC, or a small tolerance in place of Exactly",
                )
            constraint = Constraint.of(posterior)
            return Path(posterior, constraint, np.ones(constraint.outputs))
        Tempered.of(posterior)
        try:
            found = Constraint.of(posterior)
        except ViewError:
            return Path(posterior, None, np.ones(1))
        return Path(posterior, found, np.ones(found.outputs))

    @property
    def exact(self) -> bool:
        """Whether the wish is to hold without a tolerance."""
        return _is_exact(self.posterior)

    @property
    def end(self) -> float:
        """The last b."""
        return EXACT_END if self.exact else 1.0

    def fit(self, z: Z) -> Scalar:
        """a(z)."""
        if not self.exact or self.constraint is None:
            return self.log_likelihood(z)
        return -0.5 * jnp.sum((self.constraint.residual(z) / self.unit) ** 2)

    def log_constant(self, unit: np.ndarray) -> tuple[float, float]:
        """(c, d): log p_b(Y* | z) = b a(z) + c log b + d. Host only."""
        likelihood = self.posterior.likelihood
        if not self.exact or not isinstance(likelihood, AbstractConstraintLikelihood):
            return 0.0, 0.0
        count, matters = likelihood.exact_outputs, unit > 0
        return count / 2, -0.5 * count * math.log(2 * math.pi) - float(np.sum(np.log(unit[matters])))

    def log_density(self, z: Z, power: Scalar) -> Scalar:
        """log p(z) + b a(z)."""
        return self.log_prior(z) + power * self.fit(z)

    def slack(self, power: Scalar) -> Float[Array, " m"]:
        """s of the lifted manifold of p_b: u / sqrt(b)."""
        return jnp.asarray(self.unit) / jnp.sqrt(power)


def _is_exact(posterior: Posterior) -> bool:
    likelihood = posterior.likelihood
    exact = isinstance(likelihood, AbstractConstraintLikelihood)
    return exact and not isinstance(likelihood, AbstractResidualLikelihood)
