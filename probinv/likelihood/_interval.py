"""Y* = a range: between, at least, at most; with hard edges, or with soft ones of a stated width."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_array, as_positive
from probinv._errors import InputError, ViewError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, AbstractRegionLikelihood, Numbers
from probinv.likelihood._target import check_shape
from probinv.likelihood._words import common, words

_REACH = 4.0


def Interval(low: Any, high: Any, softness: Any = None) -> "SoftInterval | HardInterval":
    """p = 1 if low_i <= y_i <= high_i for every i, else 0; or with soft edges where a softness is given.

    An infinite, NaN or absent bound is none; an output without either bound does not matter. Without a
    softness (None or 0) the edges are hard and part of the interval: every draw of `SubsetSimulation` lies
    inside. With one,

        log p = sum_i log s((y_i - low_i) / softness_i) + log s((high_i - y_i) / softness_i),

    s(u) = 1 / (1 + exp(-u)), a density that NUTS can follow.

    Args:
        low, high: lower and upper bounds, of the shape of y and in its units (one number is repeated to
            the shape of the other); None, NaN or infinite where there is none; low < high.
        softness: width of the edges, one number or one for each output (units of y); None or 0: hard edges.

    Returns:
        A `HardInterval` without a softness, otherwise a `SoftInterval`.

    Raises:
        InputError: no finite bound, low >= high, softness negative, or zero for some outputs
            only, wrong shapes.
    """
    low, high = _as_bounds(low, high)
    if softness is None:
        return HardInterval(low, high)
    width = as_array("softness", softness)
    if (width == 0).all():
        return HardInterval(low, high)
    if (width == 0).any():
        raise InputError(
            "softness is zero for some outputs and not for others",
            "a wish has hard edges or a density, not both",
            "give every output a softness, or none",
        )
    return SoftInterval(low, high, as_positive("softness", width, shape=low.shape))


def AtLeast(bound: Any, softness: Any = None) -> "SoftInterval | HardInterval":
    """p = 1 if y_i >= bound_i for every i, else 0: an `Interval` without an upper bound."""
    return Interval(bound, None, softness)


def AtMost(bound: Any, softness: Any = None) -> "SoftInterval | HardInterval":
    """p = 1 if y_i <= bound_i for every i, else 0: an `Interval` without a lower bound."""
    return Interval(None, bound, softness)


class AbstractInterval(AbstractLikelihood):
    """What both kinds share: bounds of the shape of y, infinite or NaN where there is none."""

    low: eqx.AbstractVar[Float[Array | np.ndarray, "*y"]]
    high: eqx.AbstractVar[Float[Array | np.ndarray, "*y"]]

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("low and high", self.low.shape, shape)

    def at(self, y_star: Any) -> "AbstractInterval":
        """The same wish with other bounds, y_star = (low, high)."""
        low, high = y_star
        if not any(isinstance(bound, jax.core.Tracer) for bound in (low, high)):
            low, high = _as_bounds(low, high)
        for name, bound in (("low", low), ("high", high)):
            check_shape(name, np.shape(bound), self.low.shape)
        return eqx.tree_at(lambda wish: (wish.low, wish.high), self, (low, high))

    @property
    def target(self) -> Numbers:
        """The midpoint, or the one finite bound; NaN where there is none."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        one = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, np.nan))
        both = np.isfinite(low) & np.isfinite(high)
        return np.where(both, 0.5 * np.where(both, low, 0.0) + 0.5 * np.where(both, high, 0.0), one)

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.target)

    def bounds_in_words(self, name: str) -> str:
        """The bounds as part of a sentence."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        if not np.isfinite(high).any():
            return f"{name} at least {words(_shown(low))}"
        if not np.isfinite(low).any():
            return f"{name} at most {words(_shown(high))}"
        return f"{name} from {words(_shown(low))} to {words(_shown(high))}"


@final
class SoftInterval(AbstractInterval):
    """log p = sum_i log s((y_i - low_i) / softness_i) + log s((high_i - y_i) / softness_i), by `Interval`.

    The chance that a judge whose edges are blurred calls y good: near 1 well inside, 1/2 at an edge,
    falling as exp(-distance / softness) outside. It is not a density of bounds, so nothing can be simulated.

    y counts as reached if every output lies in [low - 4 softness, high + 4 softness]. The edge is soft
    by the user's own word; at 4 softness a factor is 1/56 of its value inside, so y outside this range are
    such that the wish itself all but excludes them. This is stricter than the .999 levels of the laws with
    noise (a drop of 5.4 in log p for one output; here 4.0).
    """

    low: Float[Array | np.ndarray, "*y"]
    high: Float[Array | np.ndarray, "*y"]
    softness: Float[Array | np.ndarray, "*y"]

    def log_prob(self, y: Y) -> Scalar:
        below = _log_sigmoid(y, self.low, self.softness, 1.0)
        above = _log_sigmoid(y, self.high, self.softness, -1.0)
        return jnp.sum(below + above)

    def reached(self, y: Y) -> Flag:
        """low - 4 softness <= y <= high + 4 softness, for every output with a bound."""
        margin = _REACH * jnp.asarray(self.softness)
        enough = ~jnp.isfinite(self.low) | (y >= self.low - margin)
        little = ~jnp.isfinite(self.high) | (y <= self.high + margin)
        return jnp.all(enough & little)

    def simulate(self, key: PRNGKey, y: Y) -> Y:
        raise ViewError(
            "Interval cannot simulate Y*",
            "it says how good y is, not how bounds come about",
            "use Gaussian, Student, Label or Bernoulli where Y* has to be drawn",
        )

    def describe(self, name: str = "y") -> str:
        return f"{self.bounds_in_words(name)}, with edges of softness {common(self.softness)}"


@final
class HardInterval(AbstractInterval, AbstractRegionLikelihood):
    """p = 1 if low_i <= y_i <= high_i for every i, and 0 otherwise, made by `Interval` without a softness.

    margin(y) = min_i min(y_i - low_i, high_i - y_i) / unit_i: the distance to the nearest bound. The bounds
    belong to the interval.
    """

    low: Float[Array | np.ndarray, "*y"]
    high: Float[Array | np.ndarray, "*y"]

    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """min_i min(y_i - low_i, high_i - y_i) / unit_i, over the bounds that there are."""
        least = jnp.minimum(_inside(y, self.low, 1.0), _inside(y, self.high, -1.0))
        return jnp.min(least if unit is None else least / unit)

    def describe(self, name: str = "y") -> str:
        return f"{self.bounds_in_words(name)} (hard edges)"


def _inside(y: Y, bound: Array | np.ndarray, sign: float) -> Y:
    """How far y lies on the good side of a bound; infinite where there is none."""
    exists = jnp.isfinite(bound)
    return jnp.where(exists, sign * (y - jnp.where(exists, bound, 0.0)), jnp.inf)


def _log_sigmoid(y: Y, bound: Array | np.ndarray, softness: Array | np.ndarray, sign: float) -> Y:
    # Masked here, before anything that is not linear: the where below alone would leave NaN in the gradient,
    # because both of its branches are differentiated.
    exists = jnp.isfinite(bound)
    inside = sign * jnp.where(exists, y - bound, 0.0) / softness
    return jnp.where(exists, jax.nn.log_sigmoid(inside), 0.0)


def _as_bounds(low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    lower = as_array("low", -np.inf if low is None else low, allow_nan=True, allow_inf=True)
    upper = as_array("high", np.inf if high is None else high, allow_nan=True, allow_inf=True)
    try:
        shape = np.broadcast_shapes(lower.shape, upper.shape)
    except ValueError:
        raise InputError(
            f"low has shape {lower.shape} and high {upper.shape}",
            "both are of the shape of y",
            "give one number or an array of the shape of y for each",
        ) from None
    lower, upper = np.array(np.broadcast_to(lower, shape)), np.array(np.broadcast_to(upper, shape))
    if (lower == np.inf).any() or (upper == -np.inf).any():
        raise InputError(
            "low is inf or high is -inf", "no output can lie there", "give None for a bound that is absent"
        )
    if not (np.isfinite(lower) | np.isfinite(upper)).any():
        raise InputError(
            "low and high hold no finite bound", "nothing is wished then", "give at least one bound"
        )
    if (lower >= upper).any():
        raise InputError(
            "low must be below high", "an interval needs room inside", "use Gaussian for one value"
        )
    return lower, upper


def _shown(bound: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(bound), bound, np.nan)
