"""Several wishes of the same y at once."""

from collections.abc import Sequence
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import (
    AbstractConstraintLikelihood,
    AbstractLikelihood,
    AbstractRegionLikelihood,
    AbstractResidualLikelihood,
    Numbers,
    YStar,
)


def Product(likelihoods: Any) -> "ProductLikelihood | ConstraintProduct | ResidualProduct | RegionProduct":
    """log p(Y* | y) = sum_j log p_j(Y*_j | y): every wish at once, as independent observations of y.

    y counts as reached if it reaches every part; with n parts at a level of .001 the whole misses a
    true y up to n times in 1000. Y* is the tuple of the parts' Y*: that is what `simulate` draws and `at`
    takes. Use `On` for a wish that concerns some outputs only.

    Args:
        likelihoods: a list or tuple of at least one; each of the whole output y.

    Returns:
        A `ResidualProduct` if every part has a residual, so that methods for residuals apply; a
        `ConstraintProduct` if some of these are to hold exactly; a
        `RegionProduct`, their intersection, if every part has hard edges; otherwise a `ProductLikelihood`.
        One of hard edges and densities mixed can be named, and no method takes it.

    Raises:
        InputError: no likelihood, or something else than a likelihood.
    """
    if (
        isinstance(likelihoods, AbstractLikelihood)
        or not isinstance(likelihoods, Sequence)
        or not likelihoods
    ):
        raise InputError(
            "likelihoods must be a list of at least one likelihood",
            f"got {type(likelihoods).__name__}",
            "for example Product([Gaussian(y_star, 0.1), AtLeast(0.0, 0.01)])",
        )
    for part in likelihoods:
        if not isinstance(part, AbstractLikelihood):
            raise InputError(
                "likelihoods holds something that is not a likelihood",
                f"got {type(part).__name__}",
                "give objects such as Gaussian(...) or AtLeast(...)",
            )
    residual = [part for part in likelihoods if isinstance(part, AbstractResidualLikelihood)]
    if len(residual) == len(likelihoods):
        return ResidualProduct(tuple(residual))
    equations = [part for part in likelihoods if isinstance(part, AbstractConstraintLikelihood)]
    if len(equations) == len(likelihoods):
        return ConstraintProduct(tuple(equations))
    regions = [part for part in likelihoods if isinstance(part, AbstractRegionLikelihood)]
    if len(regions) == len(likelihoods):
        return RegionProduct(tuple(regions))
    return ProductLikelihood(tuple(likelihoods))


class AbstractProduct(AbstractLikelihood):
    """What all kinds of product share."""

    parts: tuple[AbstractLikelihood, ...]

    def check(self, shape: tuple[int, ...]) -> None:
        for part in self.parts:
            part.check(shape)

    def log_prob(self, y: Y) -> Scalar:
        return jnp.sum(jnp.stack([part.log_prob(y) for part in self.parts]))

    def reached(self, y: Y) -> Flag:
        """Every part is reached."""
        return jnp.all(jnp.stack([part.reached(y) for part in self.parts]))

    def simulate(self, key: PRNGKey, y: Y) -> YStar:
        """The tuple of one draw of each part; a ViewError if one of them cannot."""
        keys = jax.random.split(key, len(self.parts))
        return tuple(part.simulate(keys[i], y) for i, part in enumerate(self.parts))

    @property
    def target(self) -> Numbers:
        """All targets of the parts, raveled and joined in one vector."""
        return joined_targets(self.parts)

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """For each entry the target of the first part that has one."""
        merged = np.full(shape, np.nan)
        for part in self.parts:
            merged = np.where(np.isnan(merged), part.target_for(shape), merged)
        return merged

    def describe(self, name: str = "y") -> str:
        return "; and ".join(part.describe(name) for part in self.parts)


@final
class ProductLikelihood(AbstractProduct):
    """log p(Y* | y) = sum_j log p_j(Y*_j | y), made by `Product`."""

    def at(self, y_star: Any) -> "ProductLikelihood":
        """The same wishes with other Y*, one for each part."""
        return ProductLikelihood(parts_at(self.parts, y_star))


@final
class ResidualProduct(AbstractProduct, AbstractResidualLikelihood):
    """log p(Y* | y) = const - |r|^2 / 2 with r the parts' residuals joined, made by `Product`."""

    parts: tuple[AbstractResidualLikelihood, ...]

    def residual(self, y: Y) -> Float[Array, " m"]:
        return jnp.concatenate([part.residual(y) for part in self.parts])

    def at(self, y_star: Any) -> "ResidualProduct":
        """The same wishes with other Y*, one for each part."""
        return ResidualProduct(parts_at(self.parts, y_star))


@final
class ConstraintProduct(AbstractProduct, AbstractConstraintLikelihood):
    """Equations of which some hold exactly: r_j(y) + s_j eta_j = 0 for every part j, made by `Product`."""

    parts: tuple[AbstractConstraintLikelihood, ...]

    def constraint(self, y: Y) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """The parts' r and s, joined."""
        r, s = zip(*(part.constraint(y) for part in self.parts), strict=True)
        return jnp.concatenate(r), jnp.concatenate(s)

    @property
    def exact_outputs(self) -> int:
        """Those of all parts."""
        return sum(part.exact_outputs for part in self.parts)

    @property
    def mixed(self) -> bool:
        """Whether some part has a tolerance."""
        return any(part.mixed or part.exact_outputs == 0 for part in self.parts)

    def at(self, y_star: Any) -> "ConstraintProduct":
        """The same wishes with other Y*, one for each part."""
        return ConstraintProduct(parts_at(self.parts, y_star))


@final
class RegionProduct(AbstractProduct, AbstractRegionLikelihood):
    """p(Y* | y) = 1 if y is inside every part, with margin(y) = min_j margin_j(y), made by `Product`."""

    parts: tuple[AbstractRegionLikelihood, ...]

    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """min_j margin_j(y)."""
        return jnp.min(jnp.stack([part.margin(y, unit) for part in self.parts]))

    def at(self, y_star: Any) -> "RegionProduct":
        """The same wishes with other Y*, one for each part."""
        return RegionProduct(parts_at(self.parts, y_star))


def joined_targets(parts: tuple[AbstractLikelihood, ...]) -> np.ndarray:
    """All targets, raveled and joined in one vector."""
    return np.concatenate([np.ravel(np.asarray(part.target)) for part in parts])


def parts_at(parts: tuple[Any, ...], y_star: Any) -> tuple[Any, ...]:
    """The parts with other Y*, one for each."""
    if not isinstance(y_star, Sequence) or len(y_star) != len(parts):
        raise InputError(
            "y_star of a product must hold one Y* for each part",
            f"it has {len(parts)} parts",
            "give a tuple in the order of the parts",
        )
    return tuple(part.at(one) for part, one in zip(parts, y_star, strict=True))
