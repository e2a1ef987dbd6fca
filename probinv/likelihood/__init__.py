"""p(Y* | y): what counts as reaching the wish.

Gaussian     within a tolerance, independent or with a covariance; NaN: an output that does not matter
Student      within a tolerance, forgiving outliers
Label        class k of logits or probabilities
Bernoulli    sigmoid outputs with soft targets
Interval     between, AtLeast, AtMost: bounds with hard edges, or with a stated softness
Argmax       output k is the largest
Ordering     some outputs in a stated order
LinearRegion linear comparisons of outputs, all of them or one group or another
AnyOf        one region or another: Argmax, Ordering, LinearRegion, Interval with hard edges
Product, On  several wishes at once, or of some outputs only
Exactly      with no tolerance
"""

from probinv.likelihood._any_of import AnyOf
from probinv.likelihood._argmax import Argmax
from probinv.likelihood._base import (
    AbstractConstraintLikelihood,
    AbstractLikelihood,
    AbstractRegionLikelihood,
    AbstractResidualLikelihood,
)
from probinv.likelihood._bernoulli import Bernoulli
from probinv.likelihood._exactly import Exactly
from probinv.likelihood._gaussian import Gaussian
from probinv.likelihood._interval import AtLeast, AtMost, Interval
from probinv.likelihood._label import Label
from probinv.likelihood._linear_region import LinearRegion
from probinv.likelihood._on import On
from probinv.likelihood._ordering import Ordering
from probinv.likelihood._product import Product
from probinv.likelihood._student import Student
from probinv.likelihood._validation import estimate_noise

__all__ = [
    "AbstractConstraintLikelihood",
    "AbstractLikelihood",
    "AbstractRegionLikelihood",
    "AbstractResidualLikelihood",
    "AnyOf",
    "Argmax",
    "AtLeast",
    "AtMost",
    "Bernoulli",
    "Exactly",
    "Gaussian",
    "Interval",
    "Label",
    "LinearRegion",
    "On",
    "Ordering",
    "Product",
    "Student",
    "estimate_noise",
]
