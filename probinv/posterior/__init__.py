"""p(x | Y*) = p(Y* | f(x)) p(x) / p(Y*): the posterior and the views of it that methods are handed."""

from probinv.posterior._chain import Chain
from probinv.posterior._constraint import Constraint
from probinv.posterior._path import Path
from probinv.posterior._posterior import Posterior
from probinv.posterior._region import Region
from probinv.posterior._ridge import Ridge, find_ridge
from probinv.posterior._simulate import Evaluation, evaluate, evaluate_inputs, sample_prior, simulate
from probinv.posterior._views import Density, Joint, Residual, Tempered
from probinv.posterior.property import Case, Property
from probinv.posterior.vnnlib import load_property

__all__ = [
    "Case",
    "Chain",
    "Constraint",
    "Density",
    "Evaluation",
    "Joint",
    "Path",
    "Posterior",
    "Property",
    "Region",
    "Residual",
    "Ridge",
    "Tempered",
    "evaluate",
    "evaluate_inputs",
    "find_ridge",
    "load_property",
    "sample_prior",
    "simulate",
]
