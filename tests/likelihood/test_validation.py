"""The network's own error, estimated from validation rows."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from probinv._errors import InputError
from probinv.likelihood import Gaussian, estimate_noise

RESIDUALS = np.array([[0.1, 1.0], [-0.3, 1.2], [0.2, 0.8], [0.0, 1.4]])
TRUE = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


def test_mean_square_counts_the_bias() -> None:
    scale = estimate_noise(TRUE + RESIDUALS, TRUE)
    np.testing.assert_allclose(scale, [np.sqrt(0.14 / 4), np.sqrt((1 + 1.44 + 0.64 + 1.96) / 4)], rtol=1e-12)
    full = estimate_noise(TRUE + RESIDUALS, TRUE, full=True)
    np.testing.assert_allclose(full, RESIDUALS.T @ RESIDUALS / 4, rtol=1e-12)
    np.testing.assert_allclose(np.diag(full), scale**2, rtol=1e-12)


def test_shape_of_y_is_kept() -> None:
    assert estimate_noise(RESIDUALS.reshape(4, 2, 1), np.zeros((4, 2, 1))).shape == (2, 1)
    assert estimate_noise(RESIDUALS.reshape(4, 2, 1), np.zeros((4, 2, 1)), full=True).shape == (2, 2)
    assert estimate_noise(RESIDUALS[:, 0], np.zeros(4)).shape == ()


def test_gaussian_from_residuals(x64: None) -> None:
    y, y_star = np.array([1.0, 2.0]), np.array([0.5, 3.0])
    tolerance = np.array([0.1, 0.2])
    second = RESIDUALS.T @ RESIDUALS / 4
    scale = np.sqrt(np.diag(second) + tolerance**2)
    wish = Gaussian.from_residuals(y_star, RESIDUALS, tolerance)
    np.testing.assert_allclose(wish.log_prob(jnp.asarray(y)), scipy.stats.norm.logpdf(y_star, y, scale).sum())
    full = Gaussian.from_residuals(y_star, RESIDUALS, tolerance, full=True)
    exact = scipy.stats.multivariate_normal.logpdf(y_star, y, second + np.diag(tolerance**2))
    np.testing.assert_allclose(full.log_prob(jnp.asarray(y)), exact, rtol=1e-12)


def test_perfect_network_needs_a_tolerance() -> None:
    perfect = np.zeros((5, 2))
    with pytest.raises(InputError, match="zero in every row"):
        Gaussian.from_residuals([1.0, 2.0], perfect)
    wish = Gaussian.from_residuals([1.0, 2.0], perfect, tolerance=0.1)
    assert "within 0.1" in wish.describe()


@pytest.mark.parametrize(
    ("residuals", "tolerance", "full", "message"),
    [
        (RESIDUALS[:1], 0.0, False, "at least 2 validation rows"),
        (3.0, 0.0, False, "at least 2 validation rows"),
        (RESIDUALS[:2], 0.0, True, "2 rows for 2 outputs.*more rows than outputs"),
        (RESIDUALS, -0.1, False, "tolerance is negative"),
        (RESIDUALS, [0.1, 0.1, 0.1], False, "tolerance has shape"),
        (RESIDUALS * np.nan, 0.0, False, "residuals holds NaN"),
        (RESIDUALS[:, :1], 0.0, False, r"y_star has shape \(2,\)"),
    ],
)
def test_refused(residuals: object, tolerance: object, full: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Gaussian.from_residuals([1.0, 2.0], residuals, tolerance, full)


def test_rows_must_be_the_same() -> None:
    with pytest.raises(InputError, match="true_outputs has shape"):
        estimate_noise(TRUE, TRUE[:2])
    with pytest.raises(InputError, match="at least 2"):
        estimate_noise(TRUE[:1] + 0.1, TRUE[:1])
