"""p(x), what inputs are plausible at all: x = T(z), with z ~ N(0, I) wherever that can be had."""

from probinv.prior._affine import is_affine
from probinv.prior._as_prior import as_prior
from probinv.prior._base import AbstractArrayPrior, AbstractPrior, AbstractStandardPrior
from probinv.prior._condition import condition
from probinv.prior.empirical import Empirical
from probinv.prior.fixed import Fixed
from probinv.prior.gaussian_fit import fit_gaussian
from probinv.prior.kernel_density import KernelDensity
from probinv.prior.log_normal import LogNormal
from probinv.prior.multivariate_normal import MultivariateNormal
from probinv.prior.named import Named
from probinv.prior.normal import Normal
from probinv.prior.numpyro import FromNumPyro
from probinv.prior.uniform import Uniform

__all__ = [
    "AbstractArrayPrior",
    "AbstractPrior",
    "AbstractStandardPrior",
    "Empirical",
    "Fixed",
    "FromNumPyro",
    "KernelDensity",
    "LogNormal",
    "MultivariateNormal",
    "Named",
    "Normal",
    "Uniform",
    "as_prior",
    "condition",
    "fit_gaussian",
    "is_affine",
]
