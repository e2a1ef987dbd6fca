"""p(x_free | x_fixed): one rule for each prior that can be conditioned exactly."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.prior._base import AbstractPrior


@functools.singledispatch
def condition(
    prior: AbstractPrior, fixed: Bool[np.ndarray, "*x"], values: Float[np.ndarray, "*x"]
) -> AbstractPrior:
    """p(x_free | x_fixed = values[fixed]), a prior of the vector x[~fixed] in the order of x.ravel().

    A prior that can be conditioned registers its rule beside its class:
    `@condition.register(ItsClass)`. Host only.

    Args:
        prior: p(x).
        fixed: which entries of x are known; neither none nor all.
        values: x, of which only values[fixed] is read.

    Raises:
        InputError: this prior has no rule, or a value lies outside the support.
    """
    raise InputError(
        f"some inputs of a {type(prior).__name__} prior cannot be held fixed",
        "its exact conditional distribution is not available",
        "use Fixed with Uniform, Normal, LogNormal, MultivariateNormal or Named inputs",
    )


def check_point(prior: AbstractPrior, value: Float[np.ndarray, "*x"], name: str) -> None:
    """Raises an InputError if `value`, a whole x, lies outside the support of `prior`. Host only."""
    with double_precision():
        density = float(prior.log_prob(jnp.asarray(value)))
    if not density > -np.inf:
        raise InputError(
            f"the fixed value of {name} lies outside the support of its prior",
            f"it is {np.array2string(value, threshold=6)}",
            "give a value that the prior allows, or a wider prior",
        )
