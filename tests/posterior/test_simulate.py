"""evaluate, sample_prior and simulate against the definitions, row by row."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from probinv.likelihood import AbstractResidualLikelihood, Gaussian, Label
from probinv.posterior import Posterior, evaluate, sample_prior, simulate
from probinv.prior import Normal
from tests.posterior.zoo import WITH_RESIDUAL, arrays, posterior, tanh_network

pytestmark = pytest.mark.usefixtures("x64")
MATRIX = arrays((2, 3))[0]


@eqx.filter_jit
def by_hand(case: Posterior, z: jax.Array) -> tuple[jax.Array, ...]:
    x = case.prior.transform(z)
    y = case.forward(x)
    wish = case.likelihood
    residual = wish.residual(y) if isinstance(wish, AbstractResidualLikelihood) else jnp.nan
    norm = jnp.sqrt(jnp.sum(jnp.asarray(residual) ** 2))
    return x, y, case.prior.log_latent(z), wish.log_prob(y), wish.reached(y), norm


@pytest.mark.parametrize("name", ["linear", "image", "label", "scalar"])
def test_evaluate_is_the_parts_row_by_row(name: str, key: jax.Array) -> None:
    case = posterior(name)
    z = sample_prior(case, key, 6)
    found = evaluate(case, z)
    for k, row in enumerate(jnp.asarray(z)):
        for column, wanted in zip(found, by_hand(case, row), strict=True):
            assert np.allclose(column[k], wanted, rtol=1e-10, equal_nan=True)
    assert found.x.shape == (6, *case.prior.shape)
    assert found.y.shape == (6, *case.output_shape)
    assert found.reached.dtype == bool
    assert np.isfinite(found.residual_norm).all() == (name in WITH_RESIDUAL)


@pytest.mark.parametrize("rows", [1, 499, 500, 501, 1203])
def test_evaluate_loses_no_row_where_batches_end(rows: int) -> None:
    """y = A z for every row: its batches hold 500 rows, the last one is padded."""
    z = np.arange(3.0 * rows).reshape(rows, 3) / rows
    case = Posterior(Normal(0.0, 1.0, 3), posterior("linear").forward, posterior("linear").likelihood)
    found = evaluate(case, z)
    assert found.y.shape == (rows, 2)
    assert np.allclose(found.x, z, rtol=1e-13)
    assert np.allclose(found.y, z @ MATRIX.T, rtol=1e-12, atol=1e-12)


def test_evaluate_of_nothing_is_empty() -> None:
    found = evaluate(posterior("linear"), np.zeros((0, 3)))
    assert found.x.shape == (0, 3)
    assert found.y.shape == (0, 2)
    assert found.reached.shape == (0,)


def test_sample_prior_has_the_law_of_the_prior(key: jax.Array) -> None:
    """z ~ N(0, I) by Kolmogorov and Smirnov on 2 x 1000 numbers; false alarm 1e-4 in all."""
    z = sample_prior(posterior("correlated"), key, 1000)
    assert z.shape == (1000, 3)
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4 / 3
    assert len(np.unique(z)) == z.size


def test_simulate_draws_from_the_joint_law(key: jax.Array) -> None:
    """x = T(z), z ~ N(0, I), (Y* - f(x)) / sigma ~ N(0, I) and independent of z; false alarm 1e-4 in all."""
    sigma = np.array([0.1, 0.5])
    case = posterior("linear")
    z, x, y_star = (np.asarray(part) for part in simulate(case, key, 1000))
    assert (z.shape, x.shape, y_star.shape) == ((1000, 3), (1000, 3), (1000, 2))
    assert np.allclose(x, [0.0, 1.0, -1.0] + z * [1.0, 2.0, 0.5], rtol=1e-13)
    noise = (y_star - x @ MATRIX.T) / sigma
    columns = np.concatenate([z, noise], axis=1)
    for column in columns.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4 / 10
    # sqrt(n) times a correlation of independent normal numbers is N(0, 1) in the limit; 10 pairs
    pairs = np.corrcoef(columns.T)[np.triu_indices(5, 1)] * np.sqrt(1000)
    assert np.abs(pairs).max() < stats.norm.isf(1e-4 / 40)


def test_simulate_draws_classes(key: jax.Array) -> None:
    """The share of class k is the mean of its probability, within 4.9 standard errors (false alarm 1e-6)."""
    case = Posterior(Normal(0.0, 1.0, 3), tanh_network(3, 4, 3), Label(0))
    _, x, k = simulate(case, key, 2000)
    p = np.asarray(jax.vmap(lambda x: jax.nn.softmax(case.forward(x)))(x))
    seen = np.eye(3)[np.asarray(k)]
    error = np.sqrt((p * (1 - p)).sum(axis=0))
    assert (np.abs((seen - p).sum(axis=0)) < 4.9 * error).all()
    assert p.std() > 0.05


def test_simulate_of_a_product_gives_one_target_for_each_wish(key: jax.Array) -> None:
    case = posterior("product")
    z, _, targets = simulate(case, key, 4)
    assert z.shape == (4, 2)
    assert [np.shape(target) for target in targets] == [(4, 2), (4, 2)]
    assert np.isnan(targets[1][:, 0]).all()
    assert np.isfinite(targets[0]).all()


def test_outputs_that_do_not_matter_are_nan_in_what_is_simulated(key: jax.Array) -> None:
    case = Posterior(Normal(0.0, 1.0, 3), tanh_network(3, 4, 2), Gaussian([0.1, np.nan], 0.1))
    targets = np.asarray(simulate(case, key, 4)[2])
    assert np.isnan(targets[:, 1]).all()
    assert np.isfinite(targets[:, 0]).all()


def test_the_same_key_gives_the_same_and_another_another(key: jax.Array) -> None:
    case = posterior("linear")
    first, again = simulate(case, key, 3), simulate(case, key, 3)
    other = simulate(case, jax.random.fold_in(key, 7), 3)
    for one, two, three in zip(first, again, other, strict=True):
        assert np.array_equal(one, two)
        assert not np.isclose(one, three).any()
