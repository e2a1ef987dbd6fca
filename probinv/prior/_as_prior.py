"""Whatever a person gives as a prior, as a prior."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from probinv._errors import InputError
from probinv.prior._base import AbstractPrior


def as_prior(value: Any) -> AbstractPrior:
    """The prior that `value` stands for.

    A prior is returned as it is, a dictionary becomes `Named`, a NumPyro Normal, Uniform, LogNormal or
    (unbatched) MultivariateNormal becomes the class of that name here, any other NumPyro distribution
    `FromNumPyro`.

    Raises:
        InputError: it is none of these.
    """
    from probinv.prior.named import Named

    if isinstance(value, AbstractPrior):
        return value
    if isinstance(value, Mapping):
        return Named(value)
    from numpyro.distributions import Distribution

    if isinstance(value, Distribution):
        return _from_numpyro(value)
    raise InputError(
        f"a {type(value).__name__} is not a prior",
        "a distribution of the network's inputs is needed",
        "give for example Uniform(0, 1), a NumPyro distribution, or a dictionary of named priors",
    )


def _from_numpyro(value: Any) -> AbstractPrior:
    from numpyro import distributions as dist

    from probinv.prior.log_normal import LogNormal
    from probinv.prior.multivariate_normal import MultivariateNormal
    from probinv.prior.normal import Normal
    from probinv.prior.numpyro import FromNumPyro
    from probinv.prior.uniform import Uniform

    shape, base = (*value.batch_shape, *value.event_shape), value
    while type(base) in (dist.Independent, dist.ExpandedDistribution):
        base = base.base_dist
    # exact types: a subclass may have another density
    if type(base) is dist.Normal:
        return Normal(_double(base.loc), _double(base.scale), shape)
    if type(base) is dist.LogNormal:
        return LogNormal(_double(base.loc), _double(base.scale), shape)
    if type(base) is dist.Uniform:
        return Uniform(_double(base.low), _double(base.high), shape)
    if type(base) is dist.MultivariateNormal and not value.batch_shape:
        return MultivariateNormal(_double(base.loc), cholesky=np.tril(_double(base.scale_tril)), shape=shape)
    return FromNumPyro(value)


def _double(parameter: Any) -> np.ndarray:
    return np.asarray(parameter, np.float64)
