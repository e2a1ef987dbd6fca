"""NaN in Y*: the law is exactly that of the outputs that matter, for every mask."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv.likelihood import AbstractLikelihood, Bernoulli, Gaussian, Interval, Student

pytestmark = pytest.mark.usefixtures("x64")
SIZE = 4
Y = np.array([0.3, 0.8, 0.6, 0.2])
TARGET = np.array([0.5, 0.9, 0.1, 0.25])
SCALE = np.array([0.2, 0.5, 1.0, 0.1])
ROOT = np.array([[0.3, 0.0, 0.0, 0.0], [0.2, 0.4, 0.0, 0.0], [-0.3, 0.1, 0.5, 0.0], [0.1, 0.1, 0.1, 0.2]])
COVARIANCE = ROOT @ ROOT.T
MASKS = [np.array(mask) for mask in itertools.product([True, False], repeat=SIZE) if any(mask)]

KINDS: dict[str, Any] = {
    "gaussian": lambda t, keep: Gaussian(t, SCALE[keep]),
    "full": lambda t, keep: Gaussian(t, covariance=COVARIANCE[np.ix_(keep, keep)]),
    "student": lambda t, keep: Student(t, SCALE[keep], 4.0),
    "bernoulli": lambda t, keep: Bernoulli(t, 5),
    "logits": lambda t, keep: Bernoulli(t, 5, "logits"),
    "at_least": lambda t, keep: Interval(t, None, SCALE[keep]),
}


@jax.jit
def evaluate(wish: AbstractLikelihood, y: jax.Array) -> tuple[Any, Any, Any]:
    return *jax.value_and_grad(lambda point: wish.log_prob(point))(y), wish.reached(y)


@pytest.mark.parametrize("kind", KINDS)
def test_every_mask_leaves_the_law_of_the_others(kind: str) -> None:
    make = KINDS[kind]
    everything = np.arange(SIZE)
    for mask in MASKS:
        keep = everything[mask]
        masked = make(np.where(mask, TARGET, np.nan), everything)
        value, slope, reached = evaluate(masked, jnp.asarray(Y))
        exact, exact_slope, exact_reached = evaluate(make(TARGET[keep], keep), jnp.asarray(Y[keep]))
        np.testing.assert_allclose(value, exact, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(slope[keep], exact_slope, rtol=1e-11, atol=1e-13)
        assert (slope[~mask] == 0).all()
        assert reached == exact_reached


@pytest.mark.parametrize("kind", ["gaussian", "full"])
def test_residual_is_zero_where_an_output_does_not_matter(kind: str) -> None:
    for mask in MASKS:
        residual = KINDS[kind](np.where(mask, TARGET, np.nan), np.arange(SIZE)).residual(jnp.asarray(Y))
        assert residual.shape == (SIZE,)
        assert (residual[~mask] == 0).all()


@pytest.mark.parametrize("kind", ["gaussian", "full", "student", "bernoulli", "logits"])
def test_simulated_y_star_misses_the_same_outputs(kind: str, key: jax.Array) -> None:
    mask = np.array([True, False, True, False])
    wish = KINDS[kind](np.where(mask, TARGET, np.nan), np.arange(SIZE))
    draw = wish.simulate(key, jnp.asarray(Y))
    assert (np.isnan(draw) == ~mask).all()
    assert jnp.isfinite(wish.at(draw).log_prob(jnp.asarray(Y)))


@pytest.mark.parametrize("kind", ["gaussian", "full", "student", "bernoulli", "logits", "at_least"])
def test_gradient_through_a_network_is_finite(kind: str) -> None:
    """A NaN that a where hides in the value would come back in the gradient with respect to x."""
    wish = KINDS[kind](np.array([0.5, np.nan, np.nan, 0.2]), np.arange(SIZE))
    weights = jnp.asarray(ROOT)
    slope = jax.grad(lambda x: wish.log_prob(jax.nn.sigmoid(weights @ x)))(jnp.ones(SIZE))
    assert jnp.isfinite(slope).all()
    assert (slope != 0).any()
