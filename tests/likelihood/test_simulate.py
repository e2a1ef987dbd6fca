"""Draws of Y* against the exact laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from probinv.likelihood import Bernoulli, Gaussian, Label, On, Product, Student
from tests.likelihood.zoo import COVARIANCE

pytestmark = pytest.mark.usefixtures("x64")
DRAWS = 20_000
ALARM = 1e-6


def draws(wish: object, y: object, key: jax.Array) -> np.ndarray:
    point = jnp.asarray(y, float)
    return np.asarray(jax.jit(jax.vmap(lambda k: wish.simulate(k, point)))(jax.random.split(key, DRAWS)))


def test_gaussian_moments(key: jax.Array) -> None:
    """Mean and every covariance within 5.5 standard errors: false alarm 9 * 4e-8."""
    wish, y = Gaussian(np.zeros(3), covariance=COVARIANCE), np.array([1.0, 2.0, 3.0])
    noise = draws(wish, y, key) - y
    variance = np.diag(COVARIANCE)
    assert (np.abs(noise.mean(0)) < 5.5 * np.sqrt(variance / DRAWS)).all()
    # var of a product of two Gaussians: c_ii c_jj + c_ij^2
    spread = np.sqrt((np.outer(variance, variance) + COVARIANCE**2) / DRAWS)
    assert (np.abs(noise.T @ noise / DRAWS - COVARIANCE) < 5.5 * spread).all()


def test_independent_gaussian_and_student_are_uniform_in_their_cdf(key: jax.Array) -> None:
    """Kolmogorov-Smirnov, false alarm 1e-6 each; outputs uncorrelated within 5.5 standard errors."""
    y, scale, df = np.array([1.0, -2.0]), np.array([0.5, 3.0]), np.array([1.5, 8.0])
    gaussian = scipy.stats.norm.cdf(draws(Gaussian([0.0, 0.0], scale), y, key), y, scale)
    student = scipy.stats.t.cdf(draws(Student([0.0, 0.0], scale, df), y, key), df, y, scale)
    for uniform in (gaussian, student):
        for i in range(2):
            assert scipy.stats.kstest(uniform[:, i], "uniform").pvalue > ALARM
        assert abs(np.corrcoef(uniform.T)[0, 1]) < 5.5 / np.sqrt(DRAWS)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_classes_come_with_their_probability(outputs: str, key: jax.Array) -> None:
    """Chi-squared test, false alarm 1e-6."""
    p = np.array([0.2, 0.5, 0.3])
    k = draws(Label(0, outputs), np.log(p) + 3 if outputs == "logits" else p, key)
    assert scipy.stats.chisquare(np.bincount(k, minlength=3), p * DRAWS).pvalue > ALARM


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_shares_are_binomial(outputs: str, key: jax.Array) -> None:
    """Chi-squared test, false alarm 1e-6."""
    p, count = 0.3, 4
    share = draws(Bernoulli(0.5, count, outputs), np.log(p / (1 - p)) if outputs == "logits" else p, key)
    seen = np.bincount(np.rint(share * count).astype(int), minlength=count + 1)
    exact = scipy.stats.binom.pmf(np.arange(count + 1), count, p)
    assert scipy.stats.chisquare(seen, exact * DRAWS).pvalue > ALARM


def test_parts_of_a_product_are_independent(key: jax.Array) -> None:
    """Correlation within 5.5 standard errors, false alarm 4e-8."""
    wish = Product([Gaussian(0.0, 1.0), Gaussian(0.0, 1.0)])
    first, second = jax.vmap(lambda k: wish.simulate(k, jnp.asarray(0.0)))(jax.random.split(key, DRAWS))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5.5 / np.sqrt(DRAWS)


def test_on_simulates_its_part(key: jax.Array) -> None:
    y_star = On([2, 0], Gaussian([0.0, 0.0], 1e-9)).simulate(key, jnp.asarray([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(y_star, [3.0, 1.0], atol=1e-7)
