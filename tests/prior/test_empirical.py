"""Priors fitted to a data set."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits

from probinv._errors import InputError
from probinv.prior import Empirical, KernelDensity, MultivariateNormal, fit_gaussian

RNG = np.random.default_rng(11)
MIXING = RNG.normal(size=(5, 5))
ROWS = RNG.normal(size=(40, 5)) @ MIXING + np.arange(5.0)


def test_without_shrinkage_it_is_the_sample_covariance() -> None:
    prior = fit_gaussian(ROWS, shrinkage=0.0)
    np.testing.assert_allclose(prior.loc, ROWS.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(prior.covariance, np.cov(ROWS.T), rtol=1e-11)


@pytest.mark.parametrize("count", [40, 5, 3])
def test_the_shrinkage_is_that_of_scikit_learn(count: int) -> None:
    """On the standardised columns, for which its target is the identity."""
    rows = ROWS[:count]
    scale = rows.std(axis=0, ddof=1)
    expected, _ = ledoit_wolf((rows - rows.mean(axis=0)) / rows.std(axis=0))
    np.testing.assert_allclose(
        fit_gaussian(rows).covariance, expected * np.outer(scale, scale), rtol=1e-10, atol=1e-12
    )


def test_shrinkage_leaves_the_variances() -> None:
    for rho in (None, 0.3, 1.0):
        covariance = fit_gaussian(ROWS, rho).covariance
        np.testing.assert_allclose(np.diagonal(covariance), ROWS.var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.diag(np.diagonal(covariance)), atol=1e-13)


def test_a_single_column() -> None:
    prior = fit_gaussian(ROWS[:, :1])
    assert prior.covariance[0, 0] == pytest.approx(ROWS[:, 0].var(ddof=1), rel=1e-12)


def test_units_do_not_matter() -> None:
    """Shrinking the covariance itself would swamp a column in nanometres by one in kelvin."""
    units = np.array([1e-9, 1.0, 1e3, 1e6, 1.0])
    expected = fit_gaussian(ROWS).covariance * np.outer(units, units)
    np.testing.assert_allclose(fit_gaussian(ROWS * units).covariance, expected, rtol=1e-8)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_fewer_rows_than_columns(count: int) -> None:
    rows = RNG.normal(size=(count, 20))
    prior = fit_gaussian(rows)
    assert (np.diagonal(prior.cholesky) > 0).all()
    assert np.linalg.eigvalsh(prior.covariance)[0] > 0
    np.testing.assert_allclose(prior.loc, rows.mean(axis=0), rtol=1e-12)


def test_constant_columns_are_nearly_held() -> None:
    rows = np.c_[ROWS, np.full(40, 3.0)]
    prior = fit_gaussian(rows)
    assert prior.loc[-1] == 3.0
    expected = 1e-2 * np.median(ROWS.std(axis=0, ddof=1))
    assert prior.covariance[-1, -1] == pytest.approx(expected**2, rel=1e-12)
    assert not prior.covariance[-1, :-1].any()
    np.testing.assert_allclose(prior.covariance[:-1, :-1], fit_gaussian(ROWS).covariance, rtol=1e-12)


def test_a_rounded_mean_is_not_variation() -> None:
    """The mean of forty times 0.1 is not 0.1, and the standard deviation of that column not 0."""
    prior = fit_gaussian(np.c_[ROWS, np.full(40, 0.1)])
    assert prior.covariance[-1, -1] > 1e-6


@pytest.mark.parametrize("bandwidth", [None, 0.3])
def test_the_kernel_density_is_that_of_scipy(bandwidth: float | None, x64: None) -> None:
    prior, expected = KernelDensity(ROWS, bandwidth), st.gaussian_kde(ROWS.T, bandwidth)
    assert prior.bandwidth == pytest.approx(expected.factor, rel=1e-14)
    points = np.r_[ROWS[:5] + 0.5, ROWS.mean(axis=0, keepdims=True) + 30]
    found = jax.jit(jax.vmap(prior.log_prob))(jnp.asarray(points))
    np.testing.assert_allclose(found, expected.logpdf(points.T), rtol=1e-10)


def test_kernel_draws_have_the_moments_of_the_mixture(key: jax.Array, x64: None) -> None:
    """In whitened coordinates: mean 0 and covariance (1 - 1/rows + h^2) I; |z| <= 5 on each of five means."""
    prior = KernelDensity(ROWS)
    draws = np.asarray(jax.jit(jax.vmap(prior.sample_latent))(jax.random.split(key, 4000)))
    variance = 1 - 1 / 40 + float(prior.bandwidth) ** 2
    assert (abs(draws.mean(axis=0)) < 5 * np.sqrt(variance / 4000)).all()
    np.testing.assert_allclose(np.cov(draws.T), variance * np.eye(5), atol=0.2)


def test_images_keep_their_shape(key: jax.Array, x64: None) -> None:
    """scikit-learn's handwritten digits, three of whose pixels are never lit."""
    images = load_digits().images
    for prior in (fit_gaussian(images), KernelDensity(images[:200])):
        x = prior.sample(key)
        assert x.shape == prior.shape == (8, 8)
        assert np.isfinite(prior.log_prob(x))
        np.testing.assert_allclose(prior.transform(prior.inverse(x)), x, rtol=1e-9, atol=1e-9)


def test_the_front_chooses() -> None:
    assert isinstance(Empirical(ROWS), MultivariateNormal)
    np.testing.assert_array_equal(
        Empirical(ROWS, shrinkage=0.2).covariance, fit_gaussian(ROWS, 0.2).covariance
    )
    kernels = Empirical(ROWS[:4], "kde", bandwidth=0.4)
    assert isinstance(kernels, KernelDensity)
    assert kernels.bandwidth == 0.4
    np.testing.assert_array_equal(kernels.cholesky, fit_gaussian(ROWS[:4]).cholesky)


def with_nan() -> np.ndarray:
    rows = ROWS.copy()
    rows[3, 2] = np.nan
    return rows


REFUSED = {
    "nan": (lambda: fit_gaussian(with_nan()), "data holds NaN"),
    "infinite": (lambda: fit_gaussian([[np.inf, 1.0], [0.0, 1.0]]), "data holds an infinite number"),
    "text": (lambda: fit_gaussian([["a"], ["b"]]), "data is not an array of real numbers"),
    "vector": (lambda: fit_gaussian(ROWS[:, 0]), r"data has shape \(40,\)"),
    "number": (lambda: fit_gaussian(3.0), r"data has shape \(\)"),
    "one_row": (lambda: fit_gaussian(ROWS[:1]), "data has one row"),
    "no_row": (lambda: fit_gaussian(ROWS[:0]), r"data has shape \(0, 5\)"),
    "constant": (lambda: fit_gaussian(np.ones((4, 3))), "data does not vary"),
    "singular": (lambda: fit_gaussian(ROWS[:3], 0.0), "covariance of the data is singular.*3 rows of 5"),
    "duplicate": (lambda: KernelDensity(np.c_[ROWS, ROWS]), "singular at shrinkage 0"),
    "shrinkage": (lambda: fit_gaussian(ROWS, 1.5), "shrinkage must lie between 0 and 1"),
    "bandwidth": (lambda: KernelDensity(ROWS, 0.0), "bandwidth must be positive"),
    "bandwidths": (lambda: KernelDensity(ROWS, [0.1, 0.2]), "bandwidth has shape"),
    "kind": (lambda: inspect.unwrap(Empirical)(ROWS, "flow"), "kind is 'flow'"),
    "kind_bandwidth": (lambda: Empirical(ROWS, bandwidth=0.1), "bandwidth is given for a Gaussian"),
    "rows_only": (lambda: KernelDensity(ROWS[:1]), "data has one row"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_data_that_cannot_be_fitted_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert caught.value.why
    assert caught.value.instead
