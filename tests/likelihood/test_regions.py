"""Wishes with hard edges: the margin against the definition of the region, and its laws."""

from collections.abc import Callable
from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv.likelihood import (
    AbstractRegionLikelihood,
    AnyOf,
    Argmax,
    AtLeast,
    AtMost,
    Gaussian,
    Interval,
    LinearRegion,
    On,
    Ordering,
    Product,
)
from probinv.likelihood._base import holds_region
from tests.likelihood.zoo import REGIONS, ZOO

pytestmark = pytest.mark.usefixtures("x64")
NAN = np.nan
GRID = np.array(list(product([-1.0, 0.0, 0.5, 1.0], repeat=3)))
"""With ties, and with values on every bound that is used below."""

BY_HAND: dict[str, tuple[AbstractRegionLikelihood, Callable[[Any], bool]]] = {
    "argmax": (Argmax(1), lambda y: y[1] > y[0] and y[1] > y[2]),
    "ordering": (Ordering([2, 0, 1]), lambda y: y[2] > y[0] > y[1]),
    "part of an order": (Ordering([2, 0]), lambda y: y[2] > y[0]),
    "interval": (
        Interval([0.0, NAN, -1.0], [1.0, 0.5, np.inf]),
        lambda y: 0 <= y[0] <= 1 and y[1] <= 0.5 and y[2] >= -1,
    ),
    "on": (On([2, 0], AtLeast([0.5, 0.0])), lambda y: y[2] >= 0.5 and y[0] >= 0),
    "union": (AnyOf([Argmax(0), On(2, AtMost(-1.0))]), lambda y: (y[0] > max(y[1], y[2])) or y[2] <= -1),
    "intersection": (
        Product([Ordering([0, 1]), On(2, AtLeast(0.5))]),
        lambda y: y[0] > y[1] and y[2] >= 0.5,
    ),
    "linear": (
        LinearRegion([[0.0, 1.0, -1.0], [2.0, 1.0, 0.0], [0.0, 0.0, -1.0]], [0.0, 1.5, 0.5]),
        lambda y: y[1] <= y[2] and 2 * y[0] + y[1] <= 1.5 and y[2] >= -0.5,
    ),
    "strictly linear": (
        LinearRegion([[0.0, 1.0, -1.0], [2.0, 1.0, 0.0]], [0.0, 1.5], strict=[True, False]),
        lambda y: y[1] < y[2] and 2 * y[0] + y[1] <= 1.5,
    ),
    "union of linear": (
        LinearRegion(
            [[[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]], [[0.0, 0.0, -4.0]] * 2], [[0.0, 0.5], [-4.0, np.inf]]
        ),
        lambda y: (y[0] <= y[1] and y[2] <= 0.5) or y[2] >= 1,
    ),
    "nested": (
        AnyOf([Product([Argmax(0), On(1, AtLeast(0.0))]), On(slice(1, 3), Ordering([1, 0]))]),
        lambda y: (y[0] > max(y[1], y[2]) and y[1] >= 0) or y[2] > y[1],
    ),
}


@eqx.filter_jit
def values(wish: AbstractRegionLikelihood, y: jax.Array, unit: Any = None) -> tuple[jax.Array, ...]:
    return jax.vmap(lambda y: (wish.margin(y, unit), wish.log_prob(y), wish.reached(y)))(y)


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("unit", [None, [1.0, 1e-3, 1e5]], ids=["own units", "units"])
def test_margin_is_at_least_zero_exactly_inside(name: str, unit: Any) -> None:
    """On a grid with all ties: y = -0.0 too. Both kinds of point occur."""
    wish, inside = BY_HAND[name]
    y = jnp.concatenate([jnp.asarray(GRID), -0.0 * jnp.asarray(GRID[:1])])
    wanted = np.array([inside(row) for row in np.asarray(y)])
    margin, log_prob, reached = values(wish, y, None if unit is None else jnp.asarray(unit))
    np.testing.assert_array_equal(margin >= 0, wanted)
    np.testing.assert_array_equal(reached, wanted)
    np.testing.assert_array_equal(log_prob, np.where(wanted, 0.0, -np.inf))
    assert 0 < wanted.sum() < len(wanted)


@pytest.mark.parametrize("name", BY_HAND)
def test_margin_is_continuous_and_moves_no_faster_than_twice_the_output(name: str, key: jax.Array) -> None:
    """|m(y + d) - m(y)| <= 2 max |d|: a difference of two outputs changes by at most that."""
    wish, _ = BY_HAND[name]
    y = jax.random.normal(key, (500, 3))
    step = 1e-6 * jax.random.normal(jax.random.fold_in(key, 1), y.shape)
    change = np.abs(values(wish, y + step)[0] - values(wish, y)[0])
    assert (change <= 2 * np.abs(step).max(axis=1) + 1e-12).all()
    assert (change > 0).any()


def test_deeper_is_larger() -> None:
    np.testing.assert_allclose(Argmax(0).margin(jnp.array([2.0, 0.5, 1.5])), 0.5)
    np.testing.assert_allclose(Ordering([0, 2, 1]).margin(jnp.array([2.0, 0.5, 1.7])), 0.3)
    np.testing.assert_allclose(Interval(0.0, 1.0).margin(jnp.asarray(0.7)), 0.3)
    np.testing.assert_allclose(AtLeast(2.0).margin(jnp.asarray(-1.0)), -3.0)
    np.testing.assert_allclose(AnyOf([AtLeast(2.0), AtMost(-2.0)]).margin(jnp.asarray(-1.5)), -0.5)
    np.testing.assert_allclose(Product([AtLeast(0.0), AtMost(1.0)]).margin(jnp.asarray(0.2)), 0.2)


def test_units_make_outputs_comparable() -> None:
    """The second output is in thousandths; only with units does the union see that it is the nearer one."""
    wish = AnyOf([On(0, AtLeast(1.0)), On(1, AtLeast(1000.0))])
    y, unit = jnp.array([0.0, 900.0]), jnp.array([1.0, 1000.0])
    np.testing.assert_allclose(wish.margin(y), -1.0)
    np.testing.assert_allclose(wish.margin(y, unit), -0.1)
    np.testing.assert_allclose(Argmax(0).margin(jnp.array([3.0, 1.0]), jnp.array([3.0, 5.0])), 0.5)
    np.testing.assert_allclose(
        Ordering([2, 0]).margin(jnp.array([1.0, 0.0, 3.0]), jnp.array([1.0, 9, 3])), 1.0
    )


def test_the_margin_of_linear_comparisons() -> None:
    """The step in units that all outputs can take at once; one that does not matter may be infinite."""
    wish, y = LinearRegion([[2.0, 0.0, -1.0]], 3.0), jnp.array([1.0, jnp.inf, 0.5])
    np.testing.assert_allclose(wish.margin(y), 0.5)
    np.testing.assert_allclose(wish.margin(y, jnp.array([1.0, 7.0, 4.0])), 0.25)


@pytest.mark.parametrize("name", REGIONS)
def test_a_tiny_unit_moves_no_edge(name: str) -> None:
    """Underflow of difference / unit must not carry a point over the edge."""
    case = ZOO[name]
    y = jnp.asarray(case.y, float)
    for factor in (1e-300, 1e300):
        margin = case.wish.margin(y, jnp.full(y.shape, factor))
        assert (margin >= 0) == case.wish.reached(y)


@pytest.mark.parametrize("name", REGIONS)
def test_nan_is_outside_and_not_hidden(name: str) -> None:
    case = ZOO[name]
    y = jnp.full(np.shape(case.y), jnp.nan)
    assert jnp.isnan(case.wish.margin(y))
    assert not case.wish.reached(y)


def test_infinite_outputs() -> None:
    assert AtLeast(1.0).reached(jnp.asarray(jnp.inf))
    assert not Interval(0.0, 1.0).reached(jnp.asarray(jnp.inf))
    assert Argmax(0).reached(jnp.array([jnp.inf, 1.0]))
    assert not Argmax(0).reached(jnp.array([jnp.inf, jnp.inf]))
    assert not Argmax(0).reached(jnp.array([-jnp.inf, 1.0]))


def test_regions_are_known_wherever_they_hide() -> None:
    for name, case in ZOO.items():
        assert holds_region(case.wish) == (name in REGIONS), name
    mixed = Product([On(0, Gaussian(1.0, 0.1)), On(1, Product([AtLeast(0.0), AtMost(1.0)]))])
    assert not isinstance(mixed, AbstractRegionLikelihood)
    assert holds_region(mixed)
    assert mixed.reached(jnp.array([1.0, 0.5]))
    assert mixed.log_prob(jnp.array([1.0, 2.0])) == -jnp.inf
    assert isinstance(AtLeast(0.0, 0.0), AbstractRegionLikelihood)
    assert not isinstance(AtLeast(0.0, 0.1), AbstractRegionLikelihood)
