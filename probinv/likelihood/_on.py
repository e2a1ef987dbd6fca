"""A wish that concerns some outputs only."""

from types import EllipsisType
from typing import Any, final

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

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

# One entry for each axis; None stands for positions, which are kept apart: at other ones nothing recompiles.
type Pattern = tuple[slice | EllipsisType | None, ...]
type Positions = tuple[Int[Array | np.ndarray, "..."], ...]


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
    axes = [_as_axis(entry) for entry in (index if isinstance(index, tuple) else (index,))]
    where = (
        tuple(None if isinstance(entry, np.ndarray) else entry for entry in axes),
        tuple(entry for entry in axes if isinstance(entry, np.ndarray)),
    )
    if isinstance(likelihood, AbstractResidualLikelihood):
        return ResidualOn(likelihood, *where)
    if isinstance(likelihood, AbstractConstraintLikelihood):
        return ConstraintOn(likelihood, *where)
    if isinstance(likelihood, AbstractRegionLikelihood):
        return RegionOn(likelihood, *where)
    return OnLikelihood(likelihood, *where)


class AbstractOn(AbstractLikelihood):
    """What all kinds share."""

    likelihood: AbstractLikelihood
    pattern: Pattern = eqx.field(static=True)
    positions: Positions

    @property
    def index(self) -> tuple[Any, ...]:
        """What y is indexed by."""
        left = iter(self.positions)
        return tuple(next(left) if entry is None else entry for entry in self.pattern)

    def check(self, shape: tuple[int, ...]) -> None:
        position = np.arange(int(np.prod(shape))).reshape(shape)
        try:
            part = np.asarray(position[self.index])
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
        place = self.index
        placed[place] = self.likelihood.target_for(placed[place].shape)
        return placed

    def describe(self, name: str = "y") -> str:
        return self.likelihood.describe(f"{name}{_index_words(self.index)}")

    def _part(self, y: Y) -> Float[Array, "..."]:
        return y[self.index]


@final
class OnLikelihood(AbstractOn):
    """log p(Y* | y[index]), made by `On`."""

    def at(self, y_star: Any) -> "OnLikelihood":
        """The same wish with another Y* of the inner likelihood."""
        return OnLikelihood(self.likelihood.at(y_star), self.pattern, self.positions)


@final
class ResidualOn(AbstractOn, AbstractResidualLikelihood):
    """log p(Y* | y[index]) = const - |r(y[index])|^2 / 2, made by `On`."""

    likelihood: AbstractResidualLikelihood

    def residual(self, y: Y) -> Float[Array, " m"]:
        return self.likelihood.residual(self._part(y))

    def at(self, y_star: Any) -> "ResidualOn":
        """The same wish with another Y* of the inner likelihood."""
        inner: Any = self.likelihood.at(y_star)
        return ResidualOn(inner, self.pattern, self.positions)


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
        return ConstraintOn(inner, self.pattern, self.positions)


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
        return RegionOn(inner, self.pattern, self.positions)


def _as_axis(entry: Any) -> slice | EllipsisType | np.ndarray:
    if isinstance(entry, slice) or entry is Ellipsis:
        return entry
    if _is_int(entry):
        return np.asarray(int(entry))
    if isinstance(entry, list | np.ndarray) and np.ndim(entry) == 1 and all(_is_int(one) for one in entry):
        return np.array(entry, int)
    raise InputError(
        f"index {entry!r} is not known",
        "outputs are named by an int, a slice or a list of ints",
        "for example On(0, ...), On(slice(2, 5), ...) or On([0, 3], ...)",
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _index_words(index: tuple[Any, ...]) -> str:
    return f"[{', '.join(_entry_words(entry) for entry in index)}]"


def _entry_words(entry: Any) -> str:
    if isinstance(entry, slice):
        start, stop, step = (
            "" if part is None else str(part) for part in (entry.start, entry.stop, entry.step)
        )
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return "..." if entry is Ellipsis else str(np.asarray(entry).tolist())
