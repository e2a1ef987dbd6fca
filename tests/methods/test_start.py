"""Where chains begin: apart from one another, near the wish, in every mode that the prior reaches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv import NumericalError
from probinv.likelihood import Gaussian
from probinv.methods.kernels.start import SMALLEST_TEMPERATURE, overdispersed_start
from probinv.posterior import Density, Posterior
from probinv.prior import Normal
from tests.methods.problems import gauss, square

pytestmark = pytest.mark.usefixtures("x64")
BIMODAL = Posterior(Normal(0.0, 2.0, 1), square, Gaussian([4.0], 0.1))


def test_starts_solve_their_anchored_problem(key: jax.Array) -> None:
    """For a linear network and an eigenvector of the posterior, of variance c and mean m, with l = 1 / c - 1:
    given t the start has mean m t (1 + l) / (1 + t l) and standard deviation 1 / (1 + t l).

    Over the temperatures that is a mixture. Its mean is asked for within 5 standard errors and its spread
    within a third (4.5 standard errors of a standard deviation of 64 numbers is .4), jitter of 0.01 and the
    spread that is estimated from 128 draws included; false alarm below 1e-4.
    """
    known = gauss(5, 3)
    found = overdispersed_start(Density(known.posterior), key, 64)
    values, vectors = np.linalg.eigh(known.covariance)
    t = np.geomspace(1.0, SMALLEST_TEMPERATURE, 128)[:, None]
    mean = (known.mean @ vectors) * t / values / (1 + t * (1 / values - 1))
    deviation = 1 / (1 + t * (1 / values - 1))
    wanted = np.sqrt((deviation**2).mean(axis=0) + mean.var(axis=0) + 0.01**2)
    along = found.z @ vectors
    assert (np.abs(along.mean(axis=0) - mean.mean(axis=0)) < 5 * wanted / 8 + 0.01).all()
    assert (np.abs(np.log(along.std(axis=0) / wanted)) < 0.4).all()
    assert found.finite == 1.0
    assert found.gradients == 128 * 201


def test_starts_are_spread_as_widely_as_the_posterior_allows(key: jax.Array) -> None:
    """All distinct; as wide as the posterior where the wish does not decide, nowhere below half of it."""
    known = gauss(20, 8)
    found = overdispersed_start(Density(known.posterior), key, 64)
    assert len(np.unique(found.z, axis=0)) == 64
    values, vectors = np.linalg.eigh(known.covariance)
    ratio = (found.z @ vectors).std(axis=0) / np.sqrt(values)
    free = values > 0.99
    assert free.sum() == 12
    assert (ratio[free] > 0.6).all()
    assert (ratio > 0.5).all()


@pytest.mark.parametrize("chains", [4, 8])
def test_both_solutions_of_a_square_are_occupied(chains: int, key: jax.Array) -> None:
    """x^2 = 4: every start is near 2 or -2, and both occur (by chance not in 2^-3 or 2^-7 of all keys)."""
    found = overdispersed_start(Density(BIMODAL), key, chains)
    x = 2 * found.z[:, 0]
    assert (np.abs(np.abs(x) - 2) < 0.2).all()
    assert (x > 0).any()
    assert (x < 0).any()
    assert len(np.unique(x)) == chains


def test_the_same_key_gives_the_same(key: jax.Array) -> None:
    first, again = (overdispersed_start(Density(BIMODAL), key, 4) for _ in range(2))
    other = overdispersed_start(Density(BIMODAL), jax.random.fold_in(key, 1), 4)
    assert np.array_equal(first.z, again.z)
    assert not np.isclose(first.z, other.z).any()


def half(x: jax.Array) -> jax.Array:
    return jnp.log(x) ** 2


def test_candidates_without_a_finite_value_are_left_out(key: jax.Array) -> None:
    """(log x)^2 = 1 is NaN for half of the prior draws."""
    posterior = Posterior(Normal(0.0, 1.0, 1), half, Gaussian([1.0], 0.1))
    found = overdispersed_start(Density(posterior), key, 8)
    assert (found.z > 0).all()
    assert np.isfinite(found.z).all()
    assert 0.2 < found.finite < 0.8


def test_a_wish_of_probability_zero_is_refused(key: jax.Array) -> None:
    """1e200 tolerances away the log likelihood is -inf, which no gradient leads out of."""
    posterior = Posterior(Normal(0.0, 1.0, 1), square, Gaussian([1e200], 1e-3))
    with pytest.raises(NumericalError, match="all of 32 draws") as caught:
        overdispersed_start(Density(posterior), key, 4)
    assert caught.value.why
    assert caught.value.instead
