"""p(x | Y*) = p(Y* | f(x)) p(x) / p(Y*): the posterior and the views of it that methods are handed."""

from probinv.posterior._posterior import Posterior
from probinv.posterior._simulate import Evaluation, evaluate, sample_prior, simulate
from probinv.posterior._views import Chain, Constraint, Density, Joint, Residual, Tempered

__all__ = [
    "Chain",
    "Constraint",
    "Density",
    "Evaluation",
    "Joint",
    "Posterior",
    "Residual",
    "Tempered",
    "evaluate",
    "sample_prior",
    "simulate",
]
