"""Every likelihood that can be computed, in a few shapes, to be put through every law."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from probinv.likelihood import (
    AbstractLikelihood,
    AbstractRegionLikelihood,
    AnyOf,
    Argmax,
    AtLeast,
    AtMost,
    Bernoulli,
    Gaussian,
    Interval,
    Label,
    LinearRegion,
    On,
    Ordering,
    Product,
    Student,
)

COVARIANCE = np.array([[0.5, 0.2, 0.0], [0.2, 0.3, -0.1], [0.0, -0.1, 0.2]])
NAN = np.nan


@dataclass(frozen=True)
class Case:
    """One wish, an output y near it, another Y* of the same shape, and whether Y* can be simulated."""

    wish: AbstractLikelihood
    y: Any
    other: Any
    generative: bool = True


ZOO: dict[str, Case] = {
    "gaussian_scalar": Case(Gaussian(7.0, 0.5), 6.8, 7.5),
    "gaussian": Case(Gaussian([1.0, -2.0, 0.5], [0.2, 0.5, 1.0]), [1.1, -2.3, 0.1], [2.0, NAN, 0.0]),
    "gaussian_nan": Case(Gaussian([1.0, NAN, 0.5], 0.3), [1.1, 4.0, 0.1], [1.0, 2.0, 0.5]),
    "gaussian_matrix": Case(
        Gaussian([[1.0, 2.0], [NAN, 0.5]], 0.3), [[1.1, 2.2], [0.0, 0.4]], np.ones((2, 2))
    ),
    "gaussian_full": Case(
        Gaussian([1.0, -2.0, 0.5], covariance=COVARIANCE), [1.1, -2.3, 0.1], [2.0, NAN, 0.0]
    ),
    "gaussian_full_nan": Case(
        Gaussian([1.0, NAN, 0.5], covariance=COVARIANCE), [1.1, -2.3, 0.1], [2.0, 1.0, 0.0]
    ),
    "student": Case(Student([1.0, NAN, 0.5], 0.3, [4.0, 1.0, 30.0]), [1.1, -2.3, 0.1], [NAN, 1.0, 0.0]),
    "label_logits": Case(Label(2), [0.3, -0.5, 0.9], 0),
    "label_probabilities": Case(Label(1, outputs="probabilities"), [0.2, 0.5, 0.3], 0),
    "bernoulli": Case(Bernoulli([0.99, 0.01, NAN], count=4), [0.8, 0.3, 0.5], [0.2, NAN, 1.0]),
    "bernoulli_logits": Case(Bernoulli([1.0, 0.25, NAN], 4, "logits"), [0.8, -0.3, 0.5], [0.2, NAN, 1.0]),
    "interval": Case(
        Interval([0.0, NAN, -np.inf, NAN], [1.0, 2.0, 3.0, NAN], 0.1),
        [0.4, 2.1, 5.0, 0.1],
        ([0.1, 0.1, 0.1, 0.1], [NAN, 2.0, 1.0, 3.0]),
        generative=False,
    ),
    "at_least": Case(AtLeast(2.0, 0.5), 2.3, (3.0, None), generative=False),
    "at_most": Case(AtMost([2.0, 1.0], 0.5), [2.3, 0.3], (None, [3.0, 1.0]), generative=False),
    "product_residual": Case(
        Product([Gaussian([1.0, NAN], 0.3), Gaussian([1.2, 2.0], 0.5)]),
        [1.1, 2.2],
        ([2.0, 1.0], [NAN, 1.0]),
    ),
    "product_mixed": Case(
        Product([On(0, Gaussian(1.0, 0.3)), On([1, 2], Student([1.2, 2.0], 0.5, 4.0))]),
        [1.1, 1.0, 2.2],
        (2.0, [NAN, 1.0]),
    ),
    "product_interval": Case(
        Product([On(0, Gaussian(1.0, 0.3)), On(slice(1, 3), Interval([0.0, NAN], [1.0, 1.0], 0.1))]),
        [1.1, 0.9, 0.2],
        (2.0, ([0.5, NAN], [1.0, 2.0])),
        generative=False,
    ),
    "argmax": Case(Argmax(2), [0.3, -0.5, 0.9], 0, generative=False),
    "hard_interval": Case(
        Interval([0.0, NAN, -np.inf, NAN], [1.0, 2.0, 3.0, NAN]),
        [0.4, 1.1, -5.0, 0.1],
        ([0.5, 0.1, 0.1, 0.1], [NAN, 2.0, 1.0, 3.0]),
        generative=False,
    ),
    "hard_scalar": Case(AtLeast(2.0), 2.3, (3.0, None), generative=False),
    "hard_at_most": Case(AtMost([2.0, 1.0]), [1.3, 0.3], (None, [3.0, 0.1]), generative=False),
    "ordering": Case(Ordering([2, 0, 1]), [0.3, -0.5, 0.9, 4.0], [2, 3, 0], generative=False),
    "linear_region": Case(
        LinearRegion([[1.0, -1.0, 0.0], [0.0, 2.0, 1.0]], [0.0, 1.5]),
        [0.3, 0.4, 0.5],
        [-1.0, 1.5],
        generative=False,
    ),
    "linear_region_union": Case(
        LinearRegion(
            [[[1.0, 0.0, -2.0], [0.0, 0.5, 0.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]],
            [[0.5, 1.0], [-3.0, NAN]],
            [[True, False], [False, False]],
        ),
        [0.3, -0.5, 0.9],
        [[-2.0, 1.0], [-3.0, NAN]],
        generative=False,
    ),
    "any_of": Case(
        AnyOf([Argmax(0), On(2, AtLeast(0.5))]), [0.3, -0.5, 0.9], (1, (1.0, None)), generative=False
    ),
    "product_region": Case(
        Product([Ordering([0, 1]), On([0, 2], AtMost([0.5, NAN]))]),
        [0.3, -0.5, 0.9],
        ([1, 0], (None, [0.5, NAN])),
        generative=False,
    ),
    "on_region": Case(On((0, [1, 0]), Argmax(0)), [[1.1, 2.2], [0.0, 0.4]], 1, generative=False),
    "on": Case(On((0, [1, 0]), Gaussian([1.0, 2.0], 0.3)), [[2.2, 1.1], [0.0, 0.4]], [0.0, 0.0]),
    "on_label": Case(On(slice(1, None), Label(1)), [3.0, 0.2, 0.4], 0),
}

GENERATIVE = [name for name, case in ZOO.items() if case.generative]
REGIONS = [name for name, case in ZOO.items() if isinstance(case.wish, AbstractRegionLikelihood)]
