"""The view of a wish as an equation: c(z, eta) = r(z) + s eta = 0."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import double_precision
from probinv._errors import ViewError
from probinv._typing import Z
from probinv.forward import output_struct
from probinv.likelihood._base import AbstractConstraintLikelihood
from probinv.posterior._posterior import Posterior
from probinv.posterior._views import AbstractView

GRAM_MOST = 500


@final
class Constraint(AbstractView):
    r"""c(z, eta) = r(z) + s eta = 0 with eta ~ N(0, I), and the base density p(z) N(eta; 0, I).

    With a tolerance, r is whitened by it and s = 1: eta is how far the output is from Y*, in tolerances. For
    an exact wish s = 0. The law of (z, eta) given c = 0 has the density p(z) N(eta) det(J J^T + s^2)^(-1/2)
    with respect to the Hausdorff measure on { c = 0 }, J = dr/dz; its marginal in z is p(z | Y*) (Au, Graham
    & Thiery 2023, arXiv 2003.03950).
    """

    posterior: Posterior
    outputs: int = eqx.field(static=True)
    """m, the number of equations."""
    rows: tuple[int, ...] | None = eqx.field(static=True, default=None)
    """Of an exact wish the outputs that matter, where some do not: the others would be 0 = 0 + eta."""
    mixed: bool = eqx.field(static=True, default=False)
    """Whether some equations are to hold exactly and others within a tolerance."""

    @staticmethod
    def of(posterior: Posterior) -> "Constraint":
        """The view, or a ViewError where the wish is not an equation or its Gram matrix is too large."""
        likelihood = posterior.likelihood
        if not isinstance(likelihood, AbstractConstraintLikelihood):
            raise ViewError(
                f"{type(likelihood).__name__} is not an equation for the output",
                "the view Constraint needs a wish of the form r(y) + s eta = 0",
                "use Gaussian or Exactly, or the methods TemperedSMC or NUTS",
            )
        with double_precision():
            z = jax.ShapeDtypeStruct((posterior.size,), jnp.float64)
            eqx.filter_eval_shape(posterior.log_prior, z)
            outputs = eqx.filter_eval_shape(Constraint(posterior, 1).residual, z).size
            rows = _rows(posterior)
        if output_struct(posterior.forward, posterior.prior.shape).dtype != np.float64:
            raise ViewError(
                "the network computes in single precision",
                "its outputs are rounded to 6e-8 of their size; steps along r + s eta = 0 need them to 1e-10",
                "give it weights in double precision, or use NUTS with a tolerance far above the rounding",
            )
        mixed = likelihood.mixed
        view = Constraint(posterior, outputs if rows is None else len(rows), rows, mixed)
        least = view.outputs if mixed else min(view.outputs, view.size)
        if least > GRAM_MOST:
            raise ViewError(
                f"{view.outputs} outputs and {view.size} coordinates are too many for a dense Gram matrix",
                f"every step would factorise a matrix of {least} rows; the limit is {GRAM_MOST}",
                "use NUTS, or wish for fewer outputs with On",
            )
        exact = likelihood.exact_outputs
        if exact > view.size:
            raise ViewError(
                f"{exact} outputs are to be met exactly with {view.size} coordinates",
                "more equations than unknowns have a solution by chance only",
                "use Gaussian with a tolerance, or wish for fewer outputs",
            )
        return view

    @property
    def standard(self) -> bool:
        """Whether p(z) = N(0, I)."""
        return self.posterior.prior.standard

    @property
    def slack(self) -> Float[Array, " m"]:
        """s: 1 where there is a tolerance, 0 where there is none."""
        return self._matters(self._likelihood.constraint(jnp.zeros(self.posterior.output_shape))[1])

    def residual(self, z: Z) -> Float[Array, " m"]:
        """r(z)."""
        return self._matters(self._likelihood.constraint(self.posterior.y(z))[0])

    def _matters(self, entries: Float[Array, " k"]) -> Float[Array, " m"]:
        return entries if self.rows is None else entries[np.array(self.rows)]

    @property
    def _likelihood(self) -> AbstractConstraintLikelihood:
        likelihood = self.posterior.likelihood
        assert isinstance(likelihood, AbstractConstraintLikelihood)
        return likelihood


def _rows(posterior: Posterior) -> tuple[int, ...] | None:
    likelihood = posterior.likelihood
    assert isinstance(likelihood, AbstractConstraintLikelihood)
    slack = np.asarray(likelihood.constraint(jnp.zeros(posterior.output_shape))[1])
    if likelihood.mixed or likelihood.exact_outputs in (0, slack.size):
        return None
    return tuple(int(row) for row in np.flatnonzero(slack == 0))
