"""On the edge of the support, and far out in its tails."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as st

from probinv._checks import double_precision
from probinv.prior import LogNormal, Uniform, as_prior


def test_the_corners_of_a_box_are_reached_and_inverted(x64: None) -> None:
    prior = Uniform([0.1, -3.0, 0.0], [0.7, -1.0, 1e-3])
    for corner in prior.bounds:
        z = prior.inverse(jnp.asarray(corner))
        assert np.isfinite(z).all()
        np.testing.assert_allclose(prior.transform(z), corner, rtol=0, atol=1e-300)
        assert prior.log_prob(jnp.asarray(corner)) == pytest.approx(-np.log(0.6 * 2.0 * 1e-3), rel=1e-14)
    np.testing.assert_array_equal(prior.transform(jnp.full(3, 40.0)), prior.bounds[1])
    np.testing.assert_array_equal(prior.transform(jnp.full(3, -40.0)), prior.bounds[0])


def test_a_step_outside_the_box_is_impossible(x64: None) -> None:
    prior = Uniform([0.0, 0.0], 1.0)
    assert prior.log_prob(jnp.asarray([0.5, np.nextafter(1.0, 2.0)])) == -np.inf
    assert prior.log_prob(jnp.asarray([-1e-300, 0.5])) == -np.inf
    assert prior.log_prob(jnp.asarray([1.0, 0.0])) == 0


@pytest.mark.parametrize("z", [-30.0, -9.0, 9.0, 30.0])
def test_the_tails_of_a_box_keep_their_digits(z: float, x64: None) -> None:
    """Near an edge at 0 the distance to it is Phi(-|z|), which 1 - Phi(z) would round to 0 above z = 8.3."""
    prior = Uniform(-1.0, 0.0) if z > 0 else Uniform(0.0, 1.0)
    x = prior.transform(jnp.asarray([z]))
    assert abs(x) == pytest.approx(st.norm.sf(abs(z)), rel=1e-12, abs=0)
    assert prior.inverse(x)[0] == pytest.approx(z, rel=1e-12)


def test_the_box_has_a_slope_in_its_middle(x64: None) -> None:
    slope = jax.grad(lambda z: Uniform(2.0, 4.0).transform(z))(jnp.zeros(1))
    assert slope[0] == pytest.approx(2 / np.sqrt(2 * np.pi), rel=1e-14)


@pytest.mark.parametrize(
    ("low", "high"), [(0.1, 0.7), (-0.7, -0.1), (1e-9, 3e-9), (1e6, 1e6 + 1), (-1.0, 0.0)]
)
def test_single_precision_stays_in_the_box_of_double_precision(low: float, high: float) -> None:
    """float32(0.7) is above 0.7: rounding the bounds is not enough."""
    prior = Uniform(low, high)
    points = np.array([-40.0, -9.0, -5.0, 0.0, 5.0, 9.0, 40.0], np.float32)
    x = np.asarray(jax.vmap(prior.transform)(jnp.asarray(points)[:, None])).astype(np.float64)
    assert ((x >= low) & (x <= high)).all()
    assert (np.diff(x) >= 0).all()


def test_a_positive_input_is_never_zero_or_infinite(x64: None) -> None:
    prior = LogNormal(0.0, 30.0)
    x = jax.vmap(prior.transform)(jnp.asarray([[-40.0], [40.0]]))
    assert (np.asarray(x) > 0).all()
    assert np.isfinite(x).all()
    assert np.isfinite(prior.inverse(jnp.asarray(0.0))).all()
    assert prior.log_prob(jnp.asarray(0.0)) == prior.log_prob(jnp.asarray(-1.0)) == -np.inf
    assert np.isfinite(jax.grad(prior.log_prob)(jnp.asarray(-1.0)))


@pytest.mark.parametrize(
    ("distribution", "edge"),
    [
        (dist.Gamma(2.0, 1.0), 0.0),
        (dist.Beta(2.0, 3.0), 0.0),
        (dist.Beta(2.0, 3.0), 1.0),
        (dist.LogUniform(1.0, 3.0), 3.0),
        (dist.TruncatedNormal(0.0, 1.0, low=5.1), 5.1),
        (dist.Pareto(5.1, 2.0), 5.1),
        (dist.Dirichlet(np.array([1.0, 2.0, 3.0])), [1.0, 0.0, 0.0]),
        (dist.Dirichlet(np.array([1.0, 2.0, 3.0])), [0.0, 0.0, 1.0]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, dist.Distribution) else str(value),
)
def test_the_inverse_is_finite_on_an_edge(distribution: Any, edge: Any, x64: None) -> None:
    prior = as_prior(distribution)
    z = prior.inverse(jnp.asarray(edge))
    assert np.isfinite(z).all()
    np.testing.assert_allclose(prior.transform(z), edge, rtol=1e-15, atol=1e-15)


def test_outside_the_support_of_a_numpyro_distribution(x64: None) -> None:
    for distribution, x in [
        (dist.Gamma(2.0, 1.0), -1.0),
        (dist.Beta(2.0, 3.0), 1.5),
        (dist.LogUniform(1, 3), 4.0),
    ]:
        prior = as_prior(distribution)
        density, slope = jax.value_and_grad(prior.log_prob)(jnp.asarray(x))
        assert density == -np.inf
        assert np.isfinite(slope)


def test_a_prior_made_in_single_precision_is_as_exact_as_any() -> None:
    outside = Uniform(0.1, 0.7)
    with double_precision():
        assert outside.transform(jnp.asarray([-40.0])) == 0.1
