"""Y* = one wish or another: a union of regions."""

from collections.abc import Sequence
from typing import Any, final

import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError
from probinv._typing import Scalar, Y
from probinv.likelihood._base import AbstractRegionLikelihood, Numbers
from probinv.likelihood._product import joined_targets, parts_at


@final
class AnyOf(AbstractRegionLikelihood):
    """p(Y* | y) = 1 if y is inside at least one of the regions, and 0 otherwise.

    margin(y) = max_j margin_j(y). Regions may overlap. On the way to the union a region whose margins are
    slow to rise can be lost although it is likely, if there are few particles: see whether the replicates
    agree. Y* is the tuple of the parts' Y*.

    Args:
        regions: a list or tuple of at least one wish with hard edges (`Argmax`, `Interval` without a
            softness, `Ordering`, `LinearRegion`, `AnyOf`, and `On` or `Product` of these), each of the whole
            output y.

    Raises:
        InputError: no wish, or one that has no hard edges.
    """

    parts: tuple[AbstractRegionLikelihood, ...]

    def __init__(self, regions: Any) -> None:
        if isinstance(regions, AbstractRegionLikelihood) or not isinstance(regions, Sequence) or not regions:
            raise InputError(
                "regions must be a list of at least one region",
                f"got {type(regions).__name__}",
                "for example AnyOf([Argmax(0), Argmax(1)])",
            )
        for part in regions:
            if not isinstance(part, AbstractRegionLikelihood):
                raise InputError(
                    "regions holds a wish without hard edges",
                    f"got {type(part).__name__}, whose probability is not 0 or 1",
                    "give Argmax, Ordering, or Interval without a softness",
                )
        self.parts = tuple(regions)

    def check(self, shape: tuple[int, ...]) -> None:
        for part in self.parts:
            part.check(shape)

    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """max_j margin_j(y)."""
        return jnp.max(jnp.stack([part.margin(y, unit) for part in self.parts]))

    def at(self, y_star: Any) -> "AnyOf":
        """The same regions with other Y*, one for each part."""
        return AnyOf(parts_at(self.parts, y_star))

    @property
    def target(self) -> Numbers:
        """All targets of the parts, raveled and joined in one vector."""
        return joined_targets(self.parts)

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """NaN: no one value is wished."""
        return np.full(shape, np.nan)

    def describe(self, name: str = "y") -> str:
        return ", or ".join(part.describe(name) for part in self.parts)
