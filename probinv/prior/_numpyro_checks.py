"""What can be known of a NumPyro distribution before it is used as a prior. Host only."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from numpyro import distributions as dist
from numpyro.distributions import Distribution, biject_to, constraints, transforms

from probinv._checks import double_precision
from probinv._errors import InputError

CENSORED = (
    dist.LeftCensoredDistribution,
    dist.RightCensoredDistribution,
    dist.IntervalCensoredDistribution,
)


def broadcasting[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """NumPyro broadcasts parameters of lower rank: allowed inside, whatever the user's configuration."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.numpy_rank_promotion("allow"):
            return function(*args, **kwargs)

    return wrapped


def checked(distribution: Any) -> Distribution:
    """The distribution with float64 parameters, or an InputError if it cannot be a prior of inputs."""
    if not isinstance(distribution, Distribution):
        raise InputError(
            f"a {type(distribution).__name__} is not a NumPyro distribution",
            "FromNumPyro takes one",
            "give for example numpyro.distributions.Gamma(2.0, 1.0)",
        )
    name = type(entrywise(distribution)).__name__
    _refuse_discrete(distribution, name)
    for part in _parts(distribution):
        _refuse_improper(part, name)
        _refuse_unstated_domain(part)
    if 0 in (*distribution.batch_shape, *distribution.event_shape):
        raise InputError(f"{name} has no entry", "its shape holds a zero", "give at least one input")
    try:
        with double_precision():
            distribution.validate_args()
    except ValueError as error:
        raise InputError(f"{name} has an invalid parameter", str(error), "correct that parameter") from None
    distribution = jax.tree.map(_double, distribution)
    if any(np.isnan(leaf).any() for leaf in jax.tree.leaves(distribution)):
        raise InputError(f"a parameter of {name} is NaN", "no density can be computed", "replace the NaN")
    _refuse_unmapped(distribution, name)
    return distribution


def entrywise(distribution: Distribution) -> Distribution:
    """The distribution without the wrappers that only arrange independent entries."""
    while type(distribution) in (dist.Independent, dist.ExpandedDistribution):
        distribution = distribution.base_dist
    return distribution


def support_of(distribution: Distribution) -> constraints.Constraint:
    """The support, with float64 bounds."""
    with double_precision():
        return jax.tree.map(_double, distribution.support)


def _base(support: constraints.Constraint) -> constraints.Constraint:
    """The support of one entry or event."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


@broadcasting
def quantile_works(distribution: Distribution) -> bool:
    """Whether the entries lie in bounded intervals and F(F^-1(u)) = u to 1e-8 on a grid of u."""
    base = entrywise(distribution)
    if base.event_shape or not isinstance(_base(base.support), constraints.interval):
        return False
    levels = np.array([1e-6, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 1 - 1e-3, 1 - 1e-6])
    levels = np.broadcast_to(levels.reshape(-1, *(1 for _ in base.batch_shape)), (9, *base.batch_shape))
    try:
        with double_precision():
            again = jax.jit(jax.vmap(lambda u: base.cdf(base.icdf(u))))(levels)
    except (NotImplementedError, ImportError):  # ImportError: some need tensorflow_probability
        return False
    return bool(np.all(np.abs(np.asarray(again) - levels) < 1e-8))


def edges(support: constraints.Constraint) -> tuple[Any, Any, bool]:
    """Lower and upper bound of the entries of x, and whether x can be kept strictly between them."""
    support = _base(support)
    if isinstance(support, type(constraints.simplex)):
        return 0.0, 1.0, True
    if isinstance(
        support,
        type(constraints.corr_cholesky) | type(constraints.corr_matrix) | type(constraints.l1_ball),
    ):
        return -1.0, 1.0, False
    if isinstance(support, type(constraints.positive_ordered_vector)):
        return 0.0, np.inf, True
    low = getattr(support, "lower_bound", -np.inf)
    high = getattr(support, "upper_bound", np.inf)
    return low, high, hasattr(support, "lower_bound") or hasattr(support, "upper_bound")


def _parts(distribution: Distribution) -> Iterator[Distribution]:
    yield distribution
    for value in vars(distribution).values():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, Distribution):
                yield from _parts(part)


def _refuse_discrete(distribution: Distribution, name: str) -> None:
    if distribution.is_discrete:
        raise InputError(
            f"{name} is discrete",
            "no method here moves discrete inputs",
            "hold such an input at a value with Fixed, and invert once for each value",
        )


def _refuse_improper(part: Distribution, name: str) -> None:
    if isinstance(part, dist.ImproperUniform | dist.Unit | dist.MaskedDistribution):
        raise InputError(
            f"{name} is improper",
            "its density does not integrate to one",
            "give a proper prior, for example a wide Normal or a Uniform box",
        )
    if isinstance(part, dist.Delta):
        raise InputError(
            f"{name} is a point mass", "it has no density", "hold an input at a known value with Fixed"
        )
    if isinstance(part, CENSORED):
        raise InputError(
            f"{name} is a censored distribution",
            "it describes partly seen data, not an input",
            "give the distribution before censoring, or a truncated one",
        )


def _refuse_unstated_domain(part: Distribution) -> None:
    """An AffineTransform takes its input for any real number unless told, and so hides a bounded support."""
    if type(part) is not dist.TransformedDistribution:  # its subclasses state their support themselves
        return
    support = part.base_dist.support
    for transform in part.transforms:
        blind = isinstance(transform, transforms.AffineTransform | transforms.ExpTransform)
        bounded = hasattr(_base(support), "lower_bound") or hasattr(_base(support), "upper_bound")
        if blind and bounded and _base(transform.domain) is constraints.real:
            raise InputError(
                f"the support of the {type(part).__name__} is not known",
                f"its {type(transform).__name__} does not say that its input lies in {_base(support)}",
                "give the transform domain=base_distribution.support",
            )
        support = transform.codomain


def _refuse_unmapped(distribution: Distribution, name: str) -> None:
    try:
        biject_to(distribution.support)
    except (NotImplementedError, KeyError):
        reason = f"NumPyro knows no bijection from R^n to {distribution.support}"
    else:
        if not isinstance(_base(distribution.support), type(constraints.complex)):
            return
        reason = "inputs are real numbers here"
    raise InputError(f"the support of {name} cannot be used", reason, "give another distribution")


def _double(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array if array.dtype.kind in "bc" else array.astype(np.float64)
