"""Parameters that cannot be used are refused by name, with a reason and a way out."""

from typing import Any

import numpy as np
import pytest

from probinv._errors import InputError
from probinv.prior import LogNormal, MultivariateNormal, Normal, Uniform

EYE = np.eye(2)

REFUSED = {
    "uniform_order": (
        lambda: Uniform([0, 2], 1),
        r"low must be below high.*index \(1,\) low is 2",
    ),
    "uniform_equal": (lambda: Uniform(1, 1), "low must be below high"),
    "uniform_nan": (lambda: Uniform(np.nan, 1), "low holds NaN"),
    "uniform_infinite": (lambda: Uniform(0, np.inf), "high holds an infinite number"),
    "uniform_wide": (lambda: Uniform(-1.7e308, 1.7e308), "the box is too wide"),
    "uniform_shapes": (
        lambda: Uniform([0, 0], [1, 1, 1]),
        r"shapes of low and high differ.*low \(2,\)",
    ),
    "uniform_shape": (lambda: Uniform([0, 0], 1, 3), r"low has shape \(2,\).*shape \(3,\) is needed"),
    "uniform_text": (lambda: Uniform("a", 1), "low is not an array of real numbers"),
    "uniform_complex": (lambda: Uniform(1j, 1), "low is not an array of real numbers"),
    "uniform_empty": (lambda: Uniform([], 1), "hold no number"),
    "shape_zero": (lambda: Normal(shape=0), "shape must be a whole number of at least 1"),
    "shape_float": (lambda: Normal(shape=(2.0,)), "shape must be a whole number"),
    "normal_scale": (lambda: Normal(0, [1, -1]), "scale must be positive.*smallest entry is -1"),
    "normal_zero": (lambda: Normal(0, 0), "scale must be positive"),
    "normal_nan": (lambda: Normal([0, np.nan]), "loc holds NaN"),
    "log_normal_scale": (lambda: LogNormal(0, 0), "scale must be positive"),
    "covariance_indefinite": (
        lambda: MultivariateNormal(0, [[1, 2], [2, 1]]),
        "covariance is not positive definite.*smallest eigenvalue is -1",
    ),
    "covariance_singular": (lambda: MultivariateNormal(0, np.zeros((2, 2))), "not positive definite"),
    "covariance_skew": (lambda: MultivariateNormal(0, [[1, 0.5], [0.4, 1]]), "covariance is not symmetric"),
    "covariance_vector": (lambda: MultivariateNormal(0, [1, 2]), "covariance must be a square matrix"),
    "covariance_tall": (lambda: MultivariateNormal(0, np.ones((3, 2))), "covariance must be a square matrix"),
    "covariance_nan": (lambda: MultivariateNormal(0, [[np.nan]]), "covariance holds NaN"),
    "covariance_missing": (lambda: MultivariateNormal(0), "covariance and cholesky cannot both"),
    "covariance_both": (
        lambda: MultivariateNormal(0, EYE, cholesky=EYE),
        "covariance and cholesky cannot both",
    ),
    "cholesky_upper": (lambda: MultivariateNormal(0, cholesky=[[1, 1], [0, 1]]), "not a Cholesky factor"),
    "cholesky_sign": (lambda: MultivariateNormal(0, cholesky=[[1, 0], [0, -1]]), "not a Cholesky factor"),
    "loc_size": (lambda: MultivariateNormal([1, 2, 3], EYE), r"x has shape \(3,\), 3 entries.*is for 2"),
    "loc_shape": (lambda: MultivariateNormal(0, EYE, (2, 2)), r"x has shape \(2, 2\), 4 entries"),
    "loc_and_shape": (lambda: MultivariateNormal([1, 2, 3], EYE, 2), r"loc has shape \(3,\)"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert caught.value.why
    assert caught.value.instead


def test_shapes_broadcast() -> None:
    assert Uniform(0, 1).shape == ()
    assert Uniform([[0], [1]], [2, 3, 4]).shape == (2, 3)
    assert Normal(shape=4).shape == Normal(shape=[4]).shape == Normal(shape=np.int64(4)).shape == (4,)
    assert MultivariateNormal(0, EYE).shape == (2,)
    assert MultivariateNormal([[1.0, 2.0]], EYE).shape == (1, 2)
    assert MultivariateNormal([1.0, 2.0], EYE, (2, 1)).loc.tolist() == [[1.0], [2.0]]


def test_what_the_user_keeps_is_not_shared() -> None:
    """Changing an array afterwards does not change the prior."""
    low = np.zeros(2)
    prior = Uniform(low, 1.0)
    low[0] = 0.5
    assert prior.low[0] == 0


def test_a_slightly_skew_covariance_is_taken() -> None:
    """As products of matrices are, by rounding."""
    covariance = np.array([[1.0, 0.5], [0.5 + 1e-15, 1.0]])
    np.testing.assert_allclose(MultivariateNormal(0, covariance).covariance, covariance, rtol=1e-14)
