"""Independent inputs with names."""

from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv._typing import PRNGKey, Scalar, X, Z
from probinv.prior._as_prior import as_prior
from probinv.prior._base import AbstractPrior
from probinv.prior._condition import check_point, condition

RESERVED = ("x", "y", "z", "chain", "draw")


@final
class Named(AbstractPrior):
    """p(x) = prod_i p_i(x_i), with x = (x_1.ravel(), x_2.ravel(), ...) in the order given.

    Args:
        parts: name to prior, for example {"thickness": Uniform(1, 2), "angle": Normal(0, 0.1)}; whatever
            `as_prior` accepts. The network's input is the vector x; the result has one variable for
            each name, of that prior's shape.

    Raises:
        InputError: no part, a name that is not an identifier or is reserved, or nested names.
    """

    # a tuple and not a dict: JAX sorts the keys of a dict, which would reorder the inputs
    names: tuple[str, ...] = eqx.field(static=True)
    parts: tuple[AbstractPrior, ...]

    def __init__(self, parts: Any) -> None:
        if not isinstance(parts, Mapping) or not parts:
            raise InputError(
                "no input is named", "a dictionary that is not empty is needed", 'give {"name": prior, ...}'
            )
        for name in parts:
            _check_name(name)
        self.names = tuple(parts)
        self.parts = tuple(_as_part(name, part) for name, part in parts.items())

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(_sizes(self)),)

    @property
    def latent_size(self) -> int:
        return sum(part.latent_size for part in self.parts)

    @property
    def standard(self) -> bool:
        return all(part.standard for part in self.parts)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [part.bounds for part in self.parts]
        return (
            np.concatenate([low.ravel() for low, _ in pairs]),
            np.concatenate([high.ravel() for _, high in pairs]),
        )

    def transform(self, z: Z) -> X:
        pieces = zip(self.parts, self._cut_latent(z), strict=True)
        return jnp.concatenate([part.transform(piece).ravel() for part, piece in pieces])

    def inverse(self, x: X) -> Z:
        return jnp.concatenate([part.inverse(piece) for part, piece in self._cut(x)])

    def log_latent(self, z: Z) -> Scalar:
        pieces = zip(self.parts, self._cut_latent(z), strict=True)
        return _total([part.log_latent(piece) for part, piece in pieces])

    def log_prob(self, x: X) -> Scalar:
        return _total([part.log_prob(piece) for part, piece in self._cut(x)])

    def sample_latent(self, key: PRNGKey) -> Z:
        keys = jax.random.split(key, len(self.parts))
        return jnp.concatenate([part.sample_latent(k) for part, k in zip(self.parts, keys, strict=True)])

    def split(self, x: Float[Array, " n"]) -> dict[str, Float[Array, "..."]]:
        return {name: piece for name, (_, piece) in zip(self.names, self._cut(x), strict=True)}

    def _cut(self, x: Float[Array, " n"]) -> list[tuple[AbstractPrior, Float[Array, "..."]]]:
        pieces = jnp.split(x, np.cumsum(_sizes(self))[:-1])
        return [(part, piece.reshape(part.shape)) for part, piece in zip(self.parts, pieces, strict=True)]

    def _cut_latent(self, z: Float[Array, " n"]) -> list[Float[Array, " _"]]:
        return jnp.split(z, np.cumsum([part.latent_size for part in self.parts])[:-1])


def _sizes(prior: Named) -> list[int]:
    return [int(np.prod(part.shape)) for part in prior.parts]


def _total(terms: list[Scalar]) -> Scalar:
    return jnp.sum(jnp.stack(terms))


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError(
            f"the name {name!r} cannot be used",
            "names become variables of the result",
            "use letters, digits and underscores, not beginning with a digit",
        )
    if name in RESERVED:
        raise InputError(
            f"the name {name!r} is reserved",
            f"the result uses {', '.join(RESERVED)} itself",
            "give the input another name",
        )


def _as_part(name: str, part: Any) -> AbstractPrior:
    prior = as_prior(part)
    if list(prior.split(jnp.zeros(prior.shape))) != ["x"]:
        raise InputError(
            f"{name} is itself a set of named inputs",
            "the result has one level of names",
            "put all names into one dictionary, and Fixed around it",
        )
    return prior


@condition.register(Named)
def _(prior: Named, fixed: np.ndarray, values: np.ndarray) -> Named:
    """Parts that are wholly known drop out; the others are conditioned one by one."""
    cuts = np.cumsum(_sizes(prior))[:-1]
    free: dict[str, AbstractPrior] = {}
    pieces = zip(prior.names, prior.parts, np.split(fixed, cuts), np.split(values, cuts), strict=True)
    for name, part, known, value in pieces:
        known, value = known.reshape(part.shape), value.reshape(part.shape)
        if known.all():
            check_point(part, value, name)
        else:
            free[name] = condition(part, known, value) if known.any() else part
    return Named(free)
