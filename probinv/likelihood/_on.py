"""A wish that concerns some outputs only."""

from types import EllipsisType
from typing import Any, final

import equinox as eqx
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

# One entry for each axis; a list of positions is kept as a tuple, because a static field has to be hashable.
type Index = tuple[int | slice | EllipsisType | tuple[int, ...], ...]


def On(index: Any, likelihood: Any) -> "OnLikelihood | ConstraintOn | ResidualOn | RegionOn":
    """log p(Y* | y) = log p(Y* | y[index]): the wish concerns these outputs, the others do not matter.

    y counts as reached if y[index] does. Y* is that of the inner wish.

    Args:
        index: an int, a slice, a list of ints, or a tuple of them with one for each axis, as in NumPy
            (On(0, ...), On(slice(2, 5), ...), On([0, 3], ...), On((0, slice(None)), ...)).
        likelihood: the wish for y[index].

    Returns:
        A `ResidualOn` if the inner wish has a residual, a `ConstraintOn` if it is to hold exactly, a
        `RegionOn` if it has hard edges, otherwise an `OnLikelihood`.

    Raises:
        InputError: an index of another kind; by `check`, an index that is out of range, empty or holds an
            output twice.
    """
    if not isinstance(likelihood, AbstractLikelihood):
        raise InputError(
            "On needs a likelihood",
            f"got {type(likelihood).__name__}",
            "for example On(0, Gaussian(7.0, 0.1))",
        )
    axes = tuple(_as_axis(entry) for entry in (index if isinstance(index, tuple) else (index,)))
    if isinstance(likelihood, AbstractResidualLikelihood):
        return ResidualOn(likelihood, axes)
    if isinstance(likelihood, AbstractConstraintLikelihood):
        return ConstraintOn(likelihood, axes)
    if isinstance(likelihood, AbstractRegionLikelihood):
        return RegionOn(likelihood, axes)
    return OnLikelihood(likelihood, axes)


class AbstractOn(AbstractLikelihood):
    """What all kinds share."""

    likelihood: AbstractLikelihood
    index: Index = eqx.field(static=True)

    def check(self, shape: tuple[int, ...]) -> None:
        position = np.arange(int(np.prod(shape))).reshape(shape)
        try:
            part = np.asarray(position[_numpy_index(self.index)])
        except IndexError as error:
            raise InputError(
                f"index {_index_words(self.index)} does not fit an output of shape {shape}",
                str(error),
                "give an index inside that shape",
            ) from None
        if part.size == 0 or np.unique(part).size < part.size:
            raise InputError(
                f"index {_index_words(self.index)} is empty or holds an output twice",
                f"one output of the network has shape {shape}",
                "name each output once",
            )
        self.likelihood.check(part.shape)

    def log_prob(self, y: Y) -> Scalar:
        return self.likelihood.log_prob(self._part(y))

    def reached(self, y: Y) -> Flag:
        """The inner wish is reached by y[index]."""
        return self.likelihood.reached(self._part(y))

    def simulate(self, key: PRNGKey, y: Y) -> YStar:
        """What the inner wish draws, given y[index]."""
        return self.likelihood.simulate(key, self._part(y))

    @property
    def target(self) -> Numbers:
        """That of the inner wish, of the shape of y[index]."""
        return self.likelihood.target

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """That of the inner wish at its place, NaN elsewhere."""
        placed = np.full(shape, np.nan)
        place = _numpy_index(self.index)
        placed[place] = self.likelihood.target_for(placed[place].shape)
        return placed

    def describe(self, name: str = "y") -> str:
        return self.likelihood.describe(f"{name}{_index_words(self.index)}")

    def _part(self, y: Y) -> Float[Array, "..."]:
        return y[_numpy_index(self.index)]


@final
class OnLikelihood(AbstractOn):
    """log p(Y* | y[index]), made by `On`."""

    def at(self, y_star: Any) -> "OnLikelihood":
        """The same wish with another Y* of the inner likelihood."""
        return OnLikelihood(self.likelihood.at(y_star), self.index)


@final
class ResidualOn(AbstractOn, AbstractResidualLikelihood):
    """log p(Y* | y[index]) = const - |r(y[index])|^2 / 2, made by `On`."""

    likelihood: AbstractResidualLikelihood

    def residual(self, y: Y) -> Float[Array, " m"]:
        return self.likelihood.residual(self._part(y))

    def at(self, y_star: Any) -> "ResidualOn":
        """The same wish with another Y* of the inner likelihood."""
        inner: Any = self.likelihood.at(y_star)
        return ResidualOn(inner, self.index)


@final
class ConstraintOn(AbstractOn, AbstractConstraintLikelihood):
    """r(y[index]) + s eta = 0, made by `On` of an exact wish."""

    likelihood: AbstractConstraintLikelihood

    def constraint(self, y: Y) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """That of the inner wish, of y[index]."""
        return self.likelihood.constraint(self._part(y))

    @property
    def exact_outputs(self) -> int:
        """Those of the inner wish."""
        return self.likelihood.exact_outputs

    @property
    def mixed(self) -> bool:
        """As the inner wish."""
        return self.likelihood.mixed

    def at(self, y_star: Any) -> "ConstraintOn":
        """The same wish with another Y* of the inner likelihood."""
        inner: Any = self.likelihood.at(y_star)
        return ConstraintOn(inner, self.index)


@final
class RegionOn(AbstractOn, AbstractRegionLikelihood):
    """p(Y* | y) = 1 if y[index] is inside the inner region, made by `On`."""

    likelihood: AbstractRegionLikelihood

    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """That of the inner region, of y[index]."""
        return self.likelihood.margin(self._part(y), None if unit is None else self._part(unit))

    def at(self, y_star: Any) -> "RegionOn":
        """The same wish with another Y* of the inner region."""
        inner: Any = self.likelihood.at(y_star)
        return RegionOn(inner, self.index)


def _as_axis(entry: Any) -> int | slice | EllipsisType | tuple[int, ...]:
    if isinstance(entry, slice) or entry is Ellipsis:
        return entry
    if _is_int(entry):
        return int(entry)
    if isinstance(entry, list | np.ndarray) and np.ndim(entry) == 1 and all(_is_int(one) for one in entry):
        return tuple(int(one) for one in entry)
    raise InputError(
        f"index {entry!r} is not known",
        "outputs are named by an int, a slice or a list of ints",
        "for example On(0, ...), On(slice(2, 5), ...) or On([0, 3], ...)",
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _numpy_index(index: Index) -> tuple[Any, ...]:
    return tuple(np.array(entry, int) if isinstance(entry, tuple) else entry for entry in index)


def _index_words(index: Index) -> str:
    return f"[{', '.join(_entry_words(entry) for entry in index)}]"


def _entry_words(entry: int | slice | EllipsisType | tuple[int, ...]) -> str:
    if isinstance(entry, slice):
        start, stop, step = (
            "" if part is None else str(part) for part in (entry.start, entry.stop, entry.step)
        )
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if isinstance(entry, tuple):
        return str(list(entry))
    return "..." if entry is Ellipsis else str(entry)
