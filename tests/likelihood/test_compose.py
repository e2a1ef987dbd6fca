"""Product and On."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError
from probinv.likelihood import (
    AbstractResidualLikelihood,
    AtLeast,
    Gaussian,
    Label,
    On,
    Product,
    Student,
)

pytestmark = pytest.mark.usefixtures("x64")
NAN = np.nan


def test_product_sums_and_keeps_the_residual() -> None:
    a, b = Gaussian([1.0, 2.0], 0.1), On(1, Gaussian(3.0, 0.5))
    y = jnp.asarray([1.1, 2.5])
    both = Product([a, b])
    assert isinstance(both, AbstractResidualLikelihood)
    np.testing.assert_allclose(both.log_prob(y), a.log_prob(y) + b.log_prob(y), rtol=1e-14)
    np.testing.assert_allclose(both.residual(y), [1.0, 5.0, -1.0], rtol=1e-12)
    assert not isinstance(Product([a, AtLeast([0.0, 0.0], 0.1)]), AbstractResidualLikelihood)


def test_on_equals_nan_elsewhere() -> None:
    y = jnp.asarray([[1.1, 2.5, 0.3], [0.0, 0.2, 0.4]])
    part = On((slice(None), [0, 2]), Gaussian([[1.0, 0.5], [0.1, 0.2]], 0.3))
    whole = Gaussian([[1.0, NAN, 0.5], [0.1, NAN, 0.2]], 0.3)
    np.testing.assert_allclose(part.log_prob(y), whole.log_prob(y), rtol=1e-14)
    np.testing.assert_array_equal(part.target_for((2, 3)), whole.target)


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (-1, ()),
        (slice(1, None), (2,)),
        (slice(None, None, 2), (2,)),
        ([2, 0], (2,)),
        (np.int64(0), ()),
        (..., (3,)),
    ],
)
def test_index_is_that_of_numpy(index: object, shape: tuple[int, ...]) -> None:
    y = np.array([1.0, 2.0, 3.0])
    wish = On(index, Gaussian(np.zeros(shape), 1.0))
    wish.check((3,))
    np.testing.assert_array_equal(wish.residual(jnp.asarray(y)), np.ravel(y[index]))


def test_another_output_compiles_nothing() -> None:
    traced = []

    @jax.jit
    def residual(wish: Any, y: jax.Array) -> jax.Array:
        traced.append(y)
        return wish.residual(y)

    y = jnp.array([1.0, 2.0, 3.0])
    found = [float(residual(On(k, Gaussian(0.0, 1.0)), y)[0]) for k in (0, 2, -2)]
    assert found == [1.0, 3.0, 2.0]
    assert len(traced) == 1
    np.testing.assert_array_equal(residual(On([2, 0], Gaussian([0.0, 0.0], 1.0)), y), [3.0, 1.0])
    np.testing.assert_array_equal(residual(On([0, 1], Gaussian([0.0, 0.0], 1.0)), y), [1.0, 2.0])
    assert len(traced) == 2


@pytest.mark.parametrize("index", [3, -4, [0, 3], slice(5, 9), [1, 1], [0, -3], (0, 0)])
def test_index_outside_or_twice_is_refused(index: object) -> None:
    inner = Gaussian(0.0, 1.0) if isinstance(index, int | tuple) else Gaussian([0.0, 0.0], 1.0)
    with pytest.raises(InputError, match="index"):
        On(index, inner).check((3,))


@pytest.mark.parametrize("index", ["thickness", 1.0, True, [True, False], None, [[0]]])
def test_other_index_is_refused(index: object) -> None:
    with pytest.raises(InputError, match="is not known"):
        On(index, Gaussian(0.0, 1.0))


def test_inner_shape_is_checked() -> None:
    with pytest.raises(InputError, match=r"y_star has shape \(2,\)"):
        On(0, Gaussian([0.0, 1.0], 1.0)).check((3,))
    with pytest.raises(InputError, match="y_star has shape"):
        Product([Gaussian([0.0, 1.0], 1.0), On(0, Gaussian(1.0, 1.0))]).check((3,))


def test_nested_wishes() -> None:
    wish = On(slice(1, 4), Product([On(0, Gaussian(1.0, 0.1)), On(slice(1, 3), Label(0))]))
    wish.check((5,))
    y = jnp.asarray([9.0, 1.0, 0.3, 0.1, 9.0])
    exact = Gaussian(1.0, 0.1).log_prob(y[1]) + Label(0).log_prob(y[2:4])
    np.testing.assert_allclose(wish.log_prob(y), exact, rtol=1e-14)
    assert "y[1:4][0] = 1" in wish.describe()
    np.testing.assert_array_equal(wish.target_for((5,)), [NAN, 1.0, NAN, NAN, NAN])


def test_targets_of_a_product() -> None:
    wish = Product([On(1, Gaussian(5.0, 0.1)), Student([1.0, 2.0, NAN], 0.1, 4.0)])
    np.testing.assert_array_equal(wish.target, [5.0, 1.0, 2.0, NAN])
    np.testing.assert_array_equal(wish.target_for((3,)), [1.0, 5.0, NAN])


@pytest.mark.parametrize("parts", [[], (), Gaussian(0.0, 1.0), None, 3])
def test_product_needs_a_list(parts: object) -> None:
    with pytest.raises(InputError, match="at least one likelihood"):
        Product(parts)


def test_product_and_on_need_likelihoods() -> None:
    with pytest.raises(InputError, match="not a likelihood"):
        Product([Gaussian(0.0, 1.0), 3.0])
    with pytest.raises(InputError, match="On needs a likelihood"):
        On(0, 3.0)


def test_y_star_of_a_product_is_one_for_each_part() -> None:
    wish = Product([Gaussian(0.0, 1.0), Gaussian(1.0, 1.0)])
    with pytest.raises(InputError, match="one Y\\* for each part"):
        wish.at((1.0,))
    np.testing.assert_array_equal(wish.at((3.0, 4.0)).target, [3.0, 4.0])
