"""The posterior: prior, forward and likelihood together, as functions of z."""

from typing import Any, final

import equinox as eqx

from probinv._errors import InputError
from probinv._typing import Flag, Scalar, X, Y, Z
from probinv.forward import as_forward, output_struct
from probinv.forward._base import AbstractForward
from probinv.likelihood._base import AbstractLikelihood
from probinv.prior import as_prior
from probinv.prior._base import AbstractPrior


@final
class Posterior(eqx.Module):
    r"""p(z | Y*) = p(Y* | f(T(z))) p(z) / p(Y*).

    Args:
        prior: p(x): a prior of `probinv`, a NumPyro distribution, or a dictionary of named inputs.
        forward: y = f(x): a network of any supported framework, or a JAX-traceable callable of one example.
        likelihood: p(Y* | y).

    Weights, Y* and the numbers of the prior are leaves: another posterior of the same structure and
    shapes runs the same compiled code.

    Raises:
        InputError: the network does not take an x of the prior's shape, or the wish does not fit its output.
    """

    prior: AbstractPrior
    forward: AbstractForward
    likelihood: AbstractLikelihood

    def __init__(self, prior: Any, forward: Any, likelihood: Any) -> None:
        if not isinstance(likelihood, AbstractLikelihood):
            raise InputError(
                "likelihood is not a likelihood",
                f"got {type(likelihood).__name__}",
                "for a wish Y* within a tolerance use Gaussian(y_star, tolerance)",
            )
        self.prior = as_prior(prior)
        self.forward = as_forward(forward)
        self.likelihood = likelihood
        self.likelihood.check(self.output_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of y = f(x)."""
        return tuple(output_struct(self.forward, self.prior.shape).shape)

    @property
    def size(self) -> int:
        """n, the number of coordinates z."""
        return self.prior.latent_size

    def x(self, z: Z) -> X:
        """x = T(z)."""
        return self.prior.transform(z)

    def y(self, z: Z) -> Y:
        """y = f(T(z))."""
        return self.forward(self.prior.transform(z))

    def log_prior(self, z: Z) -> Scalar:
        """log p(z)."""
        return self.prior.log_latent(z)

    def log_likelihood(self, z: Z) -> Scalar:
        """log p(Y* | f(T(z)))."""
        return self.likelihood.log_prob(self.y(z))

    def reached(self, z: Z) -> Flag:
        """Whether f(T(z)) counts as having reached the wish."""
        return self.likelihood.reached(self.y(z))
