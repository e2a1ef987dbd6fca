"""Y* = linear comparisons of outputs: all of them, or all of one group or of another."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinv._checks import as_array
from probinv._errors import InputError
from probinv._typing import Scalar, Y
from probinv.likelihood._base import AbstractRegionLikelihood, Numbers
from probinv.likelihood._target import check_shape

SHOWN = 6


@final
class LinearRegion(AbstractRegionLikelihood):
    r"""p(Y* | y) = 1 if A_g y <= b_g, in every row, for some g, and 0 otherwise: a union of polyhedra.

        margin(y) = max_g min_i (b_gi - a_gi . y) / sum_j |a_gij| unit_j,

    for a row the step, in units, that all outputs can take at once without leaving it. A strict row is
    a_gi . y < b_gi. Otherwise equality is inside, in which this wish differs from `Argmax` and `Ordering`:
    networks give equal outputs with positive probability. Outputs whose columns are zero do not matter. A
    row of several terms is computed with the rounding of a sum.

    Args:
        A: rows of coefficients, of shape (rows, outputs), or (groups, rows, outputs) for a union; a group
            with fewer rows is filled up with rows whose b is infinite.
        b: right-hand sides (units of A y), of the shape of A without its last axis; NaN or infinite: the row
            wishes nothing.
        strict: whether equality is outside, one for all rows or one for each.

    Raises:
        InputError: shapes do not fit, an entry of A is not finite, a row that wishes something is zero, a b
            is -inf, or a group wishes nothing; by `check`, y is not a vector of that many outputs.
    """

    A: Float[Array | np.ndarray, "groups rows outputs"]
    b: Float[Array | np.ndarray, "groups rows"]
    strict: Int[Array | np.ndarray, "groups rows"]

    def __init__(self, A: Any, b: Any, strict: Any = False) -> None:
        rows = as_array("A", A)
        if rows.ndim not in (2, 3) or not rows.size:
            raise InputError(
                f"A has shape {rows.shape}",
                "it has an axis of rows and one of outputs, before them one of groups if there are several",
                "for example LinearRegion([[1.0, -1.0]], 0.0) for y[0] <= y[1]",
            )
        groups = rows.reshape(-1, *rows.shape[-2:])
        self.A = groups
        self.b = _as_sides(_fitted("b", b, rows.shape[:-1]).reshape(groups.shape[:-1]), groups)
        self.strict = (_fitted("strict", strict, rows.shape[:-1]) != 0).astype(int).reshape(self.b.shape)

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("a row of A", self.A.shape[-1:], shape)

    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """max_g min_i (b_gi - a_gi . y) / sum_j |a_gij| unit_j; equality in a strict row is just below 0."""
        A, b = jnp.asarray(self.A, y.dtype), jnp.asarray(self.b, y.dtype)
        wished = jnp.isfinite(b)
        # Masked before the sum: an output that does not matter may be infinite or NaN.
        terms = jnp.where((A != 0) & wished[..., None], A * y[None, None], 0.0)
        left = jnp.where(wished, b, 0.0) - jnp.sum(terms, axis=-1)
        size = jnp.abs(A) @ (jnp.ones_like(y) if unit is None else unit)
        scaled = left / jnp.where(wished, size, 1.0)
        least = jnp.finfo(y.dtype).tiny
        # A quotient that vanished would let a row in that is not met.
        scaled = jnp.where(
            (left < 0) | ((left == 0) & (self.strict != 0)), jnp.minimum(scaled, -least), scaled
        )
        return jnp.max(jnp.min(jnp.where(wished, scaled, jnp.inf), axis=1))

    def at(self, y_star: Any) -> "LinearRegion":
        """The same rows with other right-hand sides."""
        if isinstance(y_star, jax.core.Tracer):
            check_shape("b", y_star.shape, self.b.shape)
            return eqx.tree_at(lambda wish: wish.b, self, y_star)
        b = _as_sides(_fitted("b", y_star, self.b.shape), np.asarray(self.A))
        return eqx.tree_at(lambda wish: wish.b, self, b)

    @property
    def target(self) -> Numbers:
        """b, of shape (groups, rows); NaN where a row wishes nothing."""
        b = np.asarray(self.b)
        return np.where(np.isfinite(b), b, np.nan)

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """NaN: no one value is wished."""
        return np.full(shape, np.nan)

    def describe(self, name: str = "y") -> str:
        groups = [self._group_in_words(g, name) for g in range(min(len(self.b), SHOWN))]
        if len(self.b) > SHOWN:
            groups.append(f"{name} in one of {len(self.b) - SHOWN} other groups of comparisons")
        text = ", or ".join(groups)
        return text if text.startswith(name) else f"{name} with {text}"

    def _group_in_words(self, group: int, name: str) -> str:
        kept = np.flatnonzero(np.isfinite(np.asarray(self.b[group])))
        rows = [
            _row_in_words(self.A[group, i], float(self.b[group, i]), bool(self.strict[group, i]), name)
            for i in kept
        ]
        more = [f"{len(rows) - SHOWN} other comparisons"] if len(rows) > SHOWN else []
        return " and ".join(rows[:SHOWN] + more)


def _fitted(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    return as_array(name, value, shape=shape, allow_nan=name == "b", allow_inf=name == "b")


def _as_sides(b: np.ndarray, A: np.ndarray) -> np.ndarray:
    """b with inf where a row wishes nothing."""
    if (b == -np.inf).any():
        raise InputError("b holds -inf", "no output can lie there", "give inf for a row that wishes nothing")
    b = np.where(np.isnan(b), np.inf, b)
    wished = np.isfinite(b)
    if not wished.any(axis=-1).all():
        raise InputError(
            "a group of rows wishes nothing", "each of its b is infinite or NaN", "leave the group out"
        )
    if (wished & ~(A != 0).any(axis=-1)).any():
        raise InputError(
            "a row of A is zero", "it compares no output", "leave it out, or make its b infinite"
        )
    return b


def _row_in_words(a: Any, b: float, strict: bool, name: str) -> str:
    """y[1] <= y[0], y[2] >= 4, or 2 y[0] - y[1] <= 3."""
    signs = ("<", ">") if strict else ("<=", ">=")
    places = np.flatnonzero(a)
    if len(places) == 1:
        bound = b / a[places[0]] + 0.0
        return f"{name}[{places[0]}] {signs[int(a[places[0]] < 0)]} {bound:.6g}"
    if len(places) == 2 and b == 0 and sorted(a[places]) == [-1.0, 1.0]:
        low, high = np.argmax(a), np.argmin(a)
        return f"{name}[{low}] {signs[0]} {name}[{high}]"
    shown = [f"{a[j]:+.6g} {name}[{j}]" for j in places[:SHOWN]] + ["+ ..."] * (len(places) > SHOWN)
    text = " ".join(shown).replace("+1 ", "+ ").replace("-1 ", "- ")
    return f"{text.removeprefix('+').lstrip()} {signs[0]} {b:.6g}"
