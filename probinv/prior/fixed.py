"""Some inputs held at known values."""

from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinv._checks import as_array, double_precision
from probinv._errors import InputError
from probinv._typing import PRNGKey, Scalar, X, Z
from probinv.prior._as_prior import as_prior
from probinv.prior._base import AbstractPrior
from probinv.prior._condition import condition
from probinv.prior._edges import inside_only
from probinv.prior._leaf import leaf


@final
class Fixed(AbstractPrior):
    """p(x) = p(x_free | x_fixed = v), with x_fixed = v in every x and z for the free entries only.

    The conditional is exact: independent inputs simply drop out, of a MultivariateNormal the conditional
    Gaussian is taken. `log_prob` is the conditional density of the free entries, -inf where a fixed entry
    of x is not its value.

    Args:
        prior: p(x), whatever `as_prior` accepts.
        values: an array of the shape of x with NaN where it is free, or a dictionary {index: value},
            an index being a whole number, a tuple of them or (for Named) a name.

    Raises:
        InputError: nothing or everything is fixed, a value lies outside the support, an index or a name
            does not exist, or this kind of prior cannot be conditioned exactly.
    """

    prior: AbstractPrior
    free: AbstractPrior
    index: Int[Array | np.ndarray, " k"]  # places of the free entries in x.ravel()
    values: Float[Array | np.ndarray, "*x"]  # 0 at the free entries: NaN there would spoil gradients

    def __init__(self, prior: Any, values: Any) -> None:
        prior = as_prior(prior)
        known = _as_values(prior, values)
        if isinstance(prior, Fixed):
            known, prior = _merge(prior, known), prior.prior
        fixed = ~np.isnan(known)
        _check_count(fixed)
        _check_bounds(prior, fixed, known)
        self.prior = prior
        self.values = np.where(fixed, known, 0.0)
        self.index = np.flatnonzero(~fixed)
        self.free = condition(prior, fixed, self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def latent_size(self) -> int:
        return self.free.latent_size

    @property
    def standard(self) -> bool:
        return self.free.standard

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = (np.array(self.values).ravel() for _ in range(2))
        free_low, free_high = self.free.bounds
        low[self.index], high[self.index] = free_low.ravel(), free_high.ravel()
        return low.reshape(self.shape), high.reshape(self.shape)

    def transform(self, z: Z) -> X:
        return self._insert(self.free.transform(z))

    def inverse(self, x: X) -> Z:
        return self.free.inverse(x.ravel()[leaf(self.index)])

    def log_latent(self, z: Z) -> Scalar:
        return self.free.log_latent(z)

    def log_prob(self, x: X) -> Scalar:
        part = x.ravel()[leaf(self.index)]
        return inside_only(jnp.all(x == self._insert(part)), x, self.free.log_prob(part))

    def sample_latent(self, key: PRNGKey) -> Z:
        return self.free.sample_latent(key)

    def split(self, x: Float[Array, "..."]) -> dict[str, Float[Array, "..."]]:
        return self.prior.split(x)

    def _insert(self, part: Float[Array, " k"]) -> Float[Array, "..."]:
        values = leaf(self.values).astype(part.dtype).ravel()
        return values.at[leaf(self.index)].set(part).reshape(self.shape)


def _as_values(prior: AbstractPrior, values: Any) -> np.ndarray:
    """x with NaN where it is free, from an array or from {index or name: value}."""
    if not isinstance(values, Mapping):
        return as_array("values", values, shape=prior.shape, allow_nan=True)
    known, names = np.full(prior.shape, np.nan), _places(prior)
    for key, value in values.items():
        if isinstance(key, str):
            if key not in names:
                raise InputError(
                    f"no input is named {key!r}", f"the names are {', '.join(names)}", "give one of these"
                )
            place = names[key]
            np.put(known, place, as_array(key, value, shape=place.shape, allow_nan=True))
        else:
            known[_index(prior.shape, key)] = as_array(f"the value at {key}", value, shape=())
    return known


def _places(prior: AbstractPrior) -> dict[str, np.ndarray]:
    """Name to the places of that input in x.ravel(), found by splitting the array of places."""
    with double_precision():
        places = prior.split(jnp.arange(float(np.prod(prior.shape))).reshape(prior.shape))
    return {name: np.asarray(place).astype(int) for name, place in places.items()}


def _index(shape: tuple[int, ...], key: Any) -> tuple[int, ...]:
    index = key if isinstance(key, tuple) else (key,)
    whole = all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in index)
    fits = whole and len(index) == len(shape) and all(-n <= i < n for i, n in zip(index, shape, strict=True))
    if not fits:
        raise InputError(
            f"{key!r} is not an index of x",
            f"x has shape {shape}",
            "give a whole number for a vector, a tuple for an array, a name for named inputs",
        )
    return index


def _merge(prior: Fixed, known: np.ndarray) -> np.ndarray:
    """The values of a Fixed prior and further ones, which may not contradict them."""
    before = np.array(prior.values)
    np.put(before, prior.index, np.nan)
    clash = ~np.isnan(before) & ~np.isnan(known) & (before != known)
    if clash.any():
        raise _outside(prior, known, clash)
    return np.where(np.isnan(before), known, before)


def _check_count(fixed: np.ndarray) -> None:
    if not fixed.any():
        raise InputError("values fixes no input", "every entry is free", "use the prior itself")
    if fixed.all():
        raise InputError("values fixes every input", "nothing is left to infer", "leave at least one free")


def _check_bounds(prior: AbstractPrior, fixed: np.ndarray, known: np.ndarray) -> None:
    low, high = prior.bounds
    outside = fixed & ~((known >= low) & (known <= high))
    if outside.any():
        raise _outside(prior, known, outside)


def _outside(prior: AbstractPrior, known: np.ndarray, where: np.ndarray) -> InputError:
    first = int(np.flatnonzero(where)[0])
    name = next(name for name, place in _places(prior).items() if first in place)
    low, high = (float(bound.ravel()[first]) for bound in prior.bounds)
    return InputError(
        f"the fixed value {known.ravel()[first]:g} of {name} lies outside the support of its prior",
        f"entry {first} of x must lie in [{low:g}, {high:g}]",
        "give a value that the prior allows, or a wider prior",
    )
