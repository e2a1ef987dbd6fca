"""The view of a wish with hard edges: how deep inside it a z lies."""

from typing import NoReturn, final

import equinox as eqx
import jax
import jax.numpy as jnp

from probinv._checks import double_precision
from probinv._errors import ViewError
from probinv._typing import Flag, Scalar, Y, Z
from probinv.likelihood._base import AbstractLikelihood, AbstractRegionLikelihood, holds_region
from probinv.posterior._posterior import Posterior
from probinv.posterior._views import AbstractView


@final
class Region(AbstractView):
    """p(z | Y*) = p(z) [m(z) >= 0] / P(m(z) >= 0), with m(z) = margin(f(T(z)))."""

    posterior: Posterior

    @staticmethod
    def of(posterior: Posterior) -> "Region":
        """The view, or a ViewError where the wish is not a region."""
        if not isinstance(posterior.likelihood, AbstractRegionLikelihood):
            _refuse(posterior.likelihood)
        view = Region(posterior)
        with double_precision():
            z = jax.ShapeDtypeStruct((posterior.size,), jnp.float64)
            eqx.filter_eval_shape(posterior.log_prior, z)
            eqx.filter_eval_shape(view.margin, z)
        return view

    @property
    def standard(self) -> bool:
        """Whether p(z) = N(0, I)."""
        return self.posterior.prior.standard

    def margin(self, z: Z, unit: Y | None = None) -> Scalar:
        """m(z): >= 0 exactly where f(T(z)) is inside, larger when deeper; `unit` as in the likelihood."""
        likelihood = self.posterior.likelihood
        assert isinstance(likelihood, AbstractRegionLikelihood)
        return likelihood.margin(self.posterior.y(z), unit)

    def inside(self, z: Z) -> Flag:
        """Whether f(T(z)) meets the wish; NaN does not."""
        return self.margin(z) >= 0


def _refuse(likelihood: AbstractLikelihood) -> NoReturn:
    name = type(likelihood).__name__
    if holds_region(likelihood):
        raise ViewError(
            f"{name} mixes hard edges with a density",
            "the view Region needs a wish that each y meets or does not meet",
            "give every part hard edges (Interval without a softness, Argmax, Ordering), or every part soft "
            "ones (a softness, Label) and use NUTS",
        )
    raise ViewError(
        f"{name} has no hard edges",
        "the view Region needs a wish that each y meets or does not meet",
        "use Argmax, Ordering, Interval without a softness, or AnyOf, On and Product of these; or NUTS",
    )
