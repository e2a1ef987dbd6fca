"""Y* = a range with soft edges: between, at least, at most."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_array, as_positive
from probinv._errors import InputError, ViewError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, Numbers
from probinv.likelihood._target import check_shape
from probinv.likelihood._words import common, words

_REACH = 4.0


@final
class Interval(AbstractLikelihood):
    """log p = sum_i log s((y_i - low_i) / softness_i) + log s((high_i - y_i) / softness_i).

    s(u) = 1 / (1 + exp(-u)).

    The chance that a judge whose edges are blurred calls y good: near 1 well inside, 1/2 at an edge,
    falling as exp(-distance / softness) outside. An infinite, NaN or absent bound puts no factor; an output
    without either bound does not matter. It is not a density of bounds, so nothing can be simulated.

    y counts as reached if every output lies in [low - 4 softness, high + 4 softness]. The edge is soft
    by the user's own word; at 4 softness a factor is 1/56 of its value inside, so y outside this range are
    such that the wish itself all but excludes them. This is stricter than the .999 levels of the laws with
    noise (a drop of 5.4 in log p for one output; here 4.0).

    Args:
        low, high: lower and upper bounds, of the shape of y and in its units (one number is repeated to
            the shape of the other); None, NaN or infinite where there is none; low < high.
        softness: width of the edges, > 0, one number or one for each output (units of y).

    Raises:
        InputError: no finite bound, low >= high, softness not positive, wrong shapes.
    """

    low: Float[Array | np.ndarray, "*y"]
    high: Float[Array | np.ndarray, "*y"]
    softness: Float[Array | np.ndarray, "*y"]

    def __init__(self, low: Any, high: Any, softness: Any) -> None:
        self.low, self.high = _as_bounds(low, high)
        width = as_array("softness", softness)
        if (width == 0).any():
            raise InputError(
                "softness is zero",
                "hard edges need a method for regions, which is not part of this version",
                "use a softness",
            )
        self.softness = as_positive("softness", width, shape=self.low.shape)

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("low and high", self.low.shape, shape)

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

    def at(self, y_star: Any) -> "Interval":
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

    def describe(self, name: str = "y") -> str:
        edge = f"with edges of softness {common(self.softness)}"
        low, high = np.asarray(self.low), np.asarray(self.high)
        if not np.isfinite(high).any():
            return f"{name} at least {words(_shown(low))}, {edge}"
        if not np.isfinite(low).any():
            return f"{name} at most {words(_shown(high))}, {edge}"
        return f"{name} from {words(_shown(low))} to {words(_shown(high))}, {edge}"


def AtLeast(bound: Any, softness: Any) -> Interval:
    """log p = sum_i log s((y_i - bound_i) / softness_i): an `Interval` without an upper bound."""
    return Interval(bound, None, softness)


def AtMost(bound: Any, softness: Any) -> Interval:
    """log p = sum_i log s((bound_i - y_i) / softness_i): an `Interval` without a lower bound."""
    return Interval(None, bound, softness)


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
