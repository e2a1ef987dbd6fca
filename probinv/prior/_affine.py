"""Priors whose x is an affine function of z ~ N(0, I)."""

from probinv.prior._base import AbstractPrior
from probinv.prior.fixed import Fixed
from probinv.prior.multivariate_normal import MultivariateNormal
from probinv.prior.named import Named
from probinv.prior.normal import Normal


def is_affine(prior: AbstractPrior) -> bool:
    """Whether x = T(z) = T(0) + L z with z ~ N(0, I)."""
    if isinstance(prior, Fixed):
        return is_affine(prior.free)
    if isinstance(prior, Named):
        return all(is_affine(part) for part in prior.parts)
    return isinstance(prior, Normal | MultivariateNormal)
