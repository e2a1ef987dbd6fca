"""The laws that hold for every likelihood."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from probinv._checks import double_precision
from probinv._errors import InputError, ViewError
from probinv.likelihood import (
    AbstractLikelihood,
    AbstractRegionLikelihood,
    AbstractResidualLikelihood,
)
from tests.likelihood.zoo import GENERATIVE, ZOO, Case

TRACES: list[str] = []


@jax.jit
def evaluate(wish: AbstractLikelihood, y: jax.Array) -> tuple[Any, Any, Any]:
    TRACES.append(repr(jax.tree.structure(wish)))
    value, slope = jax.value_and_grad(lambda point: wish.log_prob(point))(y)
    return value, slope, wish.reached(y)


@pytest.fixture(params=ZOO, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return ZOO[request.param]


def test_leaves_are_double_precision_numpy(case: Case) -> None:
    for leaf in jax.tree.leaves(case.wish):
        assert isinstance(leaf, np.ndarray)
        assert leaf.dtype in (np.float64, np.int64)


def test_check_accepts_its_shape_and_refuses_others(case: Case) -> None:
    shape = np.shape(case.y)
    case.wish.check(shape)
    with pytest.raises(InputError):
        case.wish.check((1, 7, *shape))


def test_gradient_is_that_of_finite_differences(case: Case, x64: None) -> None:
    y = jnp.asarray(case.y, float)
    value, slope, _ = evaluate(case.wish, y)
    flat, unflatten = ravel_pytree(y)
    step = 1e-5
    for i in range(flat.size):
        up, down = (evaluate(case.wish, unflatten(flat.at[i].add(d)))[0] for d in (step, -step))
        # Central differences: error step^2 times the third derivative, and rounding / step.
        np.testing.assert_allclose(slope.ravel()[i], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)
    assert value.dtype == jnp.float64


@pytest.mark.parametrize("extreme", [0.0, 1.0, -1e3, 1e3, -1e12, 1e12])
def test_value_and_gradient_are_finite_at_extremes(case: Case, extreme: float, x64: None) -> None:
    value, slope, reached = evaluate(case.wish, jnp.full(np.shape(case.y), extreme, float))
    if isinstance(case.wish, AbstractRegionLikelihood):
        assert value == (0 if reached else -jnp.inf)
    else:
        assert jnp.isfinite(value)
    assert jnp.isfinite(slope).all()


def test_nan_output_is_not_hidden(case: Case, x64: None) -> None:
    value, _, reached = evaluate(case.wish, jnp.full(np.shape(case.y), jnp.nan, float))
    assert jnp.isnan(value)
    assert not reached


def test_single_precision_agrees(case: Case) -> None:
    value, slope, reached = evaluate(case.wish, jnp.asarray(case.y, jnp.float32))
    assert value.dtype == jnp.float32
    with double_precision():
        exact, exact_slope, exact_reached = evaluate(case.wish, jnp.asarray(case.y, float))
    np.testing.assert_allclose(value, exact, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(slope, exact_slope, rtol=1e-3, atol=1e-3)
    assert reached == exact_reached


def test_another_y_star_does_not_retrace(case: Case, x64: None) -> None:
    y = jnp.asarray(case.y, float)
    first, *_ = evaluate(case.wish, y)
    count = len(TRACES)
    second, *_ = evaluate(case.wish.at(case.other), y)
    assert len(TRACES) == count
    assert not jnp.isnan(second)
    assert first != second


@pytest.mark.parametrize("name", ["gaussian_full_nan", "student", "bernoulli", "product_mixed"])
def test_batch_equals_one_by_one(name: str, x64: None) -> None:
    wish, y = ZOO[name].wish, jnp.asarray(ZOO[name].y, float)
    batch, *_ = jax.vmap(evaluate, (None, 0))(wish, jnp.stack([y, y + 0.1]))
    for i, point in enumerate([y, y + 0.1]):
        np.testing.assert_allclose(batch[i], evaluate(wish, point)[0], rtol=1e-12)


def test_residual_gives_log_prob_up_to_a_constant(case: Case, x64: None) -> None:
    wish = case.wish
    if not isinstance(wish, AbstractResidualLikelihood):
        assert not hasattr(wish, "residual")
        return
    here = jnp.asarray(case.y, float)
    there = here + 0.3
    r, s = wish.residual(here), wish.residual(there)
    expected = -(jnp.sum(r**2) - jnp.sum(s**2)) / 2
    assert r.ndim == 1
    np.testing.assert_allclose(wish.log_prob(here) - wish.log_prob(there), expected, rtol=1e-12, atol=1e-14)
    slopes = jax.grad(wish.log_prob)(here)
    _, pull = jax.vjp(wish.residual, here)
    np.testing.assert_allclose(slopes, -pull(r)[0], rtol=1e-12, atol=1e-14)


def test_target_for_has_the_shape_of_y(case: Case) -> None:
    placed = case.wish.target_for(np.shape(case.y))
    assert placed.shape == np.shape(case.y)
    assert not np.isinf(placed).any()
    assert np.asarray(case.wish.target).dtype in (np.float64, np.int64)


def test_description_is_one_plain_line(case: Case) -> None:
    text = case.wish.describe()
    assert text.startswith(("y", "sigmoid(y)"))
    assert "\n" not in text
    assert "array(" not in text
    assert "nan" not in text
    assert "inf" not in text
    assert "score" in case.wish.describe("score")


@pytest.mark.parametrize("name", GENERATIVE)
def test_simulate_has_the_law_of_log_prob(name: str, key: jax.Array, x64: None) -> None:
    """E[p(Y* | y') / p(Y* | y)] = 1 for Y* drawn at y, whatever y': z <= 5, false alarm 6e-7 per y'."""
    wish, y = ZOO[name].wish, jnp.asarray(ZOO[name].y, float)
    draws = 20_000

    def ratios(k: jax.Array) -> jax.Array:
        there = wish.at(wish.simulate(k, y))
        return jnp.stack([there.log_prob(y + d * 0.1) - there.log_prob(y) for d in shifts])

    shifts = [1.0, -1.0, jnp.asarray(np.resize([1.0, -0.7, 0.4], y.shape))]
    ratio = jnp.exp(jax.jit(jax.vmap(ratios))(jax.random.split(key, draws)))
    error = jnp.std(ratio, axis=0) / np.sqrt(draws)
    assert error[2] > 0
    # Three probabilities shifted by the same number have another sum; the laws of the others have sum one.
    sums = jnp.stack(
        [jnp.sum(y + d * 0.1) if name == "label_probabilities" else jnp.ones(()) for d in shifts]
    )
    assert (jnp.abs(ratio.mean(0) - sums) < 5 * error + 1e-12).all()


def test_simulate_of_the_others_is_refused(key: jax.Array) -> None:
    for name in set(ZOO) - set(GENERATIVE):
        with pytest.raises(ViewError, match="cannot simulate"):
            ZOO[name].wish.simulate(key, jnp.asarray(ZOO[name].y, float))
