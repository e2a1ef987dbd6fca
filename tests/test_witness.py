"""Witnesses of a property: found where they are, checked in both precisions, and never claimed elsewhere."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError
from probinv._invert import witness
from probinv._invert.climb import STEPS, spread
from probinv._invert.witness import Search, Witness, find_witness, into_box
from probinv._progress import Bar
from probinv.forward import Layered
from probinv.likelihood import LinearRegion
from probinv.posterior import Posterior, Property, Region
from probinv.posterior.vnnlib import parse_property
from probinv.prior import Normal

DECLARED = " ".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1"))
BOX = "(assert (<= 0 X_0 1)) (assert (<= 0 X_1 1))"
NETWORK = Layered.from_arrays([[[1.0, 1.0], [1.0, -1.0]]])
"""y = (x_0 + x_1, x_0 - x_1)."""
COARSE = Layered.from_arrays([np.eye(2), [[1.0, 0.0], [0.0, 1.0]]], [[1e8, 0.0], [-1e8, 0.0]])
"""y = x in float64; in float32 y_0 is a multiple of 8."""


def asked(wish: str, box: str = BOX) -> Property:
    return parse_property(f"{DECLARED} {box} (assert {wish})".encode(), "asked.vnnlib")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many points as a plane needs, so that every search compiles the same few programs."""
    monkeypatch.setattr(witness, "DRAWS", 64)


@pytest.fixture
def no_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness._Hunt, "levels", lambda self: None)


def search(wish: str, box: str = BOX, network: Layered = NETWORK, seed: int = 0) -> Search:
    return find_witness(network, asked(wish, box), seed=seed, progress=False)


def test_an_input_that_is_there_is_found_and_has_the_property(no_levels: None) -> None:
    found = search("(>= Y_0 1.9)")
    one = found.witness
    assert one is not None
    assert asked("(>= Y_0 1.9)").reached(one.x, one.y)
    assert asked("(>= Y_0 1.9)").reached(one.x, one.y_single)
    np.testing.assert_array_equal(one.x, one.x.astype(np.float32))
    np.testing.assert_allclose(one.y, [one.x.sum(), one.x[0] - one.x[1]], rtol=1e-15)
    assert one.y_single.dtype == np.float64
    np.testing.assert_array_equal(one.y_single, one.y_single.astype(np.float32))
    np.testing.assert_allclose(one.margin, 0.1, atol=1e-6)  # the corner is the deepest point
    assert not one.narrow
    assert str(found).startswith("found: an input with the property, checked in float64 and in float32")
    assert (found.evaluations > 64, found.nearest > 0, found.seconds > 0) == (True, True, True)


def test_an_edge_belongs_to_the_wish_and_is_told_to_be_one(no_levels: None) -> None:
    """x = (1, 1) alone has y_0 >= 2; nothing has y_0 > 2."""
    found = search("(>= Y_0 2)")
    assert found.witness is not None
    np.testing.assert_array_equal(found.witness.x, [1.0, 1.0])
    assert found.witness.narrow
    assert "so close to the edge" in str(found)
    assert search("(> Y_0 2)").witness is None


def test_what_float32_does_not_confirm_is_not_claimed(no_levels: None) -> None:
    """In float64 y_0 = x_0, in float32 y_0 = 0: the margin is met and the input is not one for a runtime."""
    found = search("(>= Y_0 0.5)", network=COARSE)
    assert found.nearest > 0
    assert found.witness is None
    assert "met the property in one precision and not in the other" in str(found)
    assert search("(<= Y_0 0.5)", network=COARSE).witness is not None


def test_what_is_not_there_is_not_found_and_not_called_impossible() -> None:
    found = search("(>= Y_0 2.1)")
    assert found.witness is None
    np.testing.assert_allclose(found.nearest, -0.1, atol=1e-6)
    assert str(found).startswith("not found: ")
    assert "missed it by 0.1. This does not show that there is none." in str(found)
    assert "impossible" not in str(found)


def test_every_case_is_searched(no_levels: None) -> None:
    """Only the second box holds an input."""
    box = "(assert (or (and (<= 0 X_0 1) (<= 0 X_1 1)) (and (<= 4 X_0 5) (<= 0 X_1 1))))"
    found = search("(>= Y_1 4.5)", box)
    assert found.witness is not None
    assert found.witness.case == 1


def test_a_single_point_is_looked_at() -> None:
    point = "(assert (= X_0 0.1)) (assert (= X_1 0.25))"
    found = search("(<= Y_0 0.4)", point)
    assert found.witness is not None
    np.testing.assert_array_equal(found.witness.x, [0.1, 0.25])  # no float32 is 0.1
    assert search("(>= Y_0 0.4)", point).witness is None


def test_levels_are_climbed_where_gradients_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness._Hunt, "climb", lambda self: None)
    found = search("(>= Y_0 1.9)")
    assert found.witness is not None
    assert found.evaluations >= 1000 + witness.STARTS * (
        STEPS + 1
    )  # of the levels, and of the climb after them


def test_the_same_seed_finds_the_same(no_levels: None) -> None:
    one, same, other = (search("(<= Y_0 1.5)", seed=seed) for seed in (1, 1, 2))
    assert one.nearest == same.nearest
    assert one.witness is not None
    assert same.witness is not None
    np.testing.assert_array_equal(one.witness.x, same.witness.x)
    assert other.witness is not None


@pytest.mark.usefixtures("x64")
def test_the_parts_of_a_hunt() -> None:
    """The nearest is the nearest of all, and new starts lie around the best in the width of the box."""
    asks = asked("(>= Y_0 210)", "(assert (<= 0 X_0 100)) (assert (<= 0 X_1 100))")
    hunt = witness._Hunt(asks, asks.flat(NETWORK), 0, asks.cases[0], jax.random.key(0), Bar(1, False))
    for end in (100.0, 0.0):
        hunt._sorted(jnp.full((1, 2), end), jnp.zeros(1))
    assert hunt.nearest == -10
    starts = hunt._starts(jnp.full((1, 2), 50.0), jnp.zeros((1, 2)), 1, 64)
    np.testing.assert_allclose(starts[:32].std(), 3.0, rtol=0.4)  # 0.03 of the width; 64 numbers


@pytest.mark.usefixtures("x64")
def test_of_inputs_at_an_edge_the_deepest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = asked("(>= Y_0 1.9)")
    hunt = witness._Hunt(asks, asks.flat(NETWORK), 0, asks.cases[0], jax.random.key(0), Bar(1, False))
    found = [Witness(np.zeros(2), np.ones(2), np.full(2, 1.1), 0, margin) for margin in (0.05, 0.15, 0.1)]
    assert all(one.narrow for one in found)
    monkeypatch.setattr(hunt, "_climbed", lambda start: (start, np.zeros(1)))
    rest = iter(found)
    monkeypatch.setattr(hunt, "_confirmed", lambda x: next(rest))
    assert hunt.climb() is found[1]


@pytest.mark.usefixtures("x64")
def test_the_view_of_a_region() -> None:
    """An edge that belongs to the wish is inside, and units are handed on."""
    view = Region.of(Posterior(Normal(0.0, 1.0, 2), NETWORK, LinearRegion([[1.0, -1.0]], 0.0)))
    assert view.inside(jnp.array([1.0, 0.0]))  # y = (1, 1)
    np.testing.assert_allclose(view.margin(jnp.array([0.0, 1.0]), jnp.array([1.0, 3.0])), -0.5)


def test_an_input_is_narrow_by_its_two_outputs() -> None:
    deep, shallow = (Witness(np.zeros(1), np.ones(1), np.array([1.1]), 0, margin) for margin in (0.25, 0.15))
    assert (deep.narrow, shallow.narrow) == (False, True)


def test_the_text_is_that_of_the_competition() -> None:
    one = Witness(np.array([0.5, -1e-30]), np.array([2.0]), np.array([2.0]), 0, 0.1)
    assert one.text == "((X_0 0.5)\n (X_1 -1e-30)\n (Y_0 2.0))\n"
    pairs = re.findall(r"\(([XY]_\d+) (\S+?)\)", one.text)
    assert [float(value) for _, value in pairs] == [0.5, -1e-30, 2.0]


def test_points_are_rounded_into_the_box() -> None:
    """0.1 and 0.3 are no float32 numbers: the nearest one lies above 0.1, and above 0.3."""
    low, high = np.array([0.1, -0.3, 0.1, 0.0]), np.array([0.3, -0.1, 0.1, 0.0])
    x = np.stack([low, high, (low + high) / 2])
    found = into_box(x, low, high)
    assert ((found >= low) & (found <= high)).all()
    np.testing.assert_array_equal(found[:, [0, 1, 3]], found[:, [0, 1, 3]].astype(np.float32))
    np.testing.assert_array_equal(found[:, 2], 0.1)
    np.testing.assert_allclose(found, x, rtol=1e-6)


def test_units_are_the_spread_of_the_outputs() -> None:
    y = np.array([[0.0, 1.0, np.nan, 0.0], [2.0, 1.0, np.nan, np.inf]])
    np.testing.assert_allclose(spread(jnp.asarray(y)), [1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(spread(jnp.asarray(10 * y[:, :1])), [10.0])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: find_witness(NETWORK, "prop_1.vnnlib"), "property is not a Property"),
        (lambda: find_witness(NETWORK, asked("(<= Y_0 1)"), seed=-1), "seed must be"),
        (lambda: find_witness(Layered.from_arrays([np.ones((2, 3))]), asked("(<= Y_0 1)")), "takes 3 inputs"),
        (
            lambda: find_witness(Layered.from_arrays([np.ones((3, 2))]), asked("(<= Y_0 1)")),
            "gives 3 outputs",
        ),
    ],
)
def test_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
