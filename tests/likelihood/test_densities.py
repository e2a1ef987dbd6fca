"""log p(Y* | y) against scipy.stats, and its integral over Y*."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from probinv.likelihood import AtLeast, AtMost, Bernoulli, Gaussian, Interval, Label, Student
from tests.likelihood.zoo import COVARIANCE

pytestmark = pytest.mark.usefixtures("x64")
Y = np.array([1.1, -2.3, 0.1])
TARGET = np.array([1.0, -2.0, 0.5])
SCALE = np.array([0.2, 0.5, 1.0])
DF = np.array([1.0, 4.0, 200.0])


def close(value: jax.Array, exact: float) -> None:
    np.testing.assert_allclose(value, exact, rtol=1e-12, atol=1e-13)


def test_gaussian() -> None:
    close(Gaussian(TARGET, SCALE).log_prob(jnp.asarray(Y)), scipy.stats.norm.logpdf(TARGET, Y, SCALE).sum())
    close(Gaussian(7.0, 0.5).log_prob(jnp.asarray(6.8)), scipy.stats.norm.logpdf(7.0, 6.8, 0.5))
    wish = Gaussian(TARGET.reshape(3, 1), covariance=COVARIANCE)
    exact = scipy.stats.multivariate_normal.logpdf(TARGET, Y, COVARIANCE)
    close(wish.log_prob(jnp.asarray(Y.reshape(3, 1))), exact)


def test_diagonal_covariance_is_a_scale() -> None:
    full, scale = Gaussian(TARGET, covariance=np.diag(SCALE**2)), Gaussian(TARGET, SCALE)
    close(full.log_prob(jnp.asarray(Y)), scale.log_prob(jnp.asarray(Y)))
    np.testing.assert_allclose(full.residual(jnp.asarray(Y)), (Y - TARGET) / SCALE, rtol=1e-12)


def test_student() -> None:
    exact = scipy.stats.t.logpdf(TARGET, DF, Y, SCALE).sum()
    close(Student(TARGET, SCALE, DF).log_prob(jnp.asarray(Y)), exact)


def test_label() -> None:
    close(Label(1).log_prob(jnp.asarray(Y)), scipy.special.log_softmax(Y)[1])
    p = jnp.asarray([0.2, 1e-299, 0.8])
    wish = Label(1, "probabilities")
    close(wish.log_prob(p), np.log(1e-299))
    close(wish.log_prob(p.at[1].set(0.0)), np.log(1e-300))
    assert wish.log_prob(jnp.asarray([0.2, 1e-30, 0.8], jnp.float32)) == pytest.approx(np.log(1e-30))


def test_traced_label_out_of_range_is_nan() -> None:
    outside = jax.jit(
        lambda k: (Label(0).at(k).log_prob(jnp.asarray(Y)), Label(0).at(k).reached(jnp.asarray(Y)))
    )
    value, reached = outside(3)
    assert jnp.isnan(value)
    assert not reached


def test_bernoulli() -> None:
    p = np.array([0.8, 0.3])
    yes = np.array([3, 1])
    exact = scipy.stats.binom.logpmf(yes, 4, p).sum()
    close(Bernoulli(yes / 4, 4).log_prob(jnp.asarray(p)), exact)
    close(Bernoulli(yes / 4, 4, "logits").log_prob(jnp.asarray(scipy.special.logit(p))), exact)
    t = np.array([0.99, 0.01])
    soft = Bernoulli(t)
    slope = jax.grad(soft.log_prob)(jnp.asarray(p))
    np.testing.assert_allclose(slope, t / p - (1 - t) / (1 - p), rtol=1e-12)


def test_saturated_probability_costs_what_rounding_can_tell() -> None:
    wish = Bernoulli(0.0)
    below = np.nextafter(1.0, 0.0)
    close(wish.log_prob(jnp.asarray(below)), np.log(2.0**-53))
    close(wish.log_prob(jnp.asarray(1.0)), np.log(2.0**-53))
    close(Bernoulli(1.0).log_prob(jnp.asarray(1e-299)), np.log(1e-299))
    assert Bernoulli(0.0, outputs="logits").log_prob(jnp.asarray(700.0)) == -700.0


def test_interval() -> None:
    log_sigmoid = scipy.special.log_expit
    exact = log_sigmoid((0.4 - 0.0) / 0.1) + log_sigmoid((1.0 - 0.4) / 0.1)
    close(Interval(0.0, 1.0, 0.1).log_prob(jnp.asarray(0.4)), exact)
    close(AtLeast(0.0, 0.1).log_prob(jnp.asarray(0.4)), log_sigmoid(4.0))
    close(AtMost(1.0, 0.1).log_prob(jnp.asarray(0.4)), log_sigmoid(6.0))
    close(Interval(-np.inf, 1.0, 0.1).log_prob(jnp.asarray(0.4)), log_sigmoid(6.0))
    two = Interval([0.0, np.nan], 1.0, [0.1, 0.2])
    close(two.log_prob(jnp.asarray([0.4, 0.2])), exact + log_sigmoid(4.0))


@pytest.mark.parametrize(
    "wish", [Gaussian(0.0, 0.5), Gaussian(0.0, covariance=[[0.25]]), Student(0.0, 0.5, 3.0)], ids=repr
)
def test_one_output_integrates_to_one(wish: Gaussian | Student) -> None:
    density = jax.jit(lambda y_star: jnp.exp(wish.at(y_star).log_prob(jnp.asarray(0.3))))
    total, error = scipy.integrate.quad(density, -np.inf, np.inf, epsabs=1e-9)
    assert error < 1e-7
    assert total == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("missing", [False, True])
def test_full_covariance_integrates_to_one(missing: bool) -> None:
    """The trapezoidal rule on a Gaussian converges faster than any power of its step."""
    wish, y = Gaussian(TARGET, covariance=COVARIANCE), jnp.asarray(Y)
    axis = np.linspace(-6.0, 6.0, 61)
    points = np.array(
        list(itertools.product(*([axis * np.sqrt(v) for v in np.diag(COVARIANCE)[:2]] + [[0.0]])))
    )
    cell = np.prod(0.2 * np.sqrt(np.diag(COVARIANCE)[:2]))
    if missing:  # the third does not matter: the density of the first two integrates to one
        grid = jnp.asarray(Y + points).at[:, 2].set(jnp.nan)
        exact = 1.0
    else:  # the integral over the first two is the density of the third at its mean
        grid, exact = jnp.asarray(Y + points), scipy.stats.norm.pdf(0.0, 0.0, np.sqrt(COVARIANCE[2, 2]))
    density = jax.jit(jax.vmap(lambda y_star: jnp.exp(wish.at(y_star).log_prob(y))))(grid)
    assert density.sum() * cell == pytest.approx(exact, rel=1e-8)


def test_classes_sum_to_one() -> None:
    ks = jnp.arange(3)
    for wish, y in ((Label(0), Y), (Label(0, "probabilities"), np.array([0.2, 0.5, 0.3]))):
        log_p = jax.vmap(lambda k, wish=wish, y=y: wish.at(k).log_prob(jnp.asarray(y)))(ks)
        assert jnp.exp(log_p).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_shares_sum_to_one(outputs: str) -> None:
    wish = Bernoulli([0.0, 0.0], 3, outputs)
    shares = jnp.asarray(list(itertools.product(np.arange(4) / 3, repeat=2)))
    y = jnp.asarray([0.2, 0.7])
    log_p = jax.vmap(lambda t: wish.at(t).log_prob(y))(shares)
    assert jnp.exp(log_p).sum() == pytest.approx(1.0, abs=1e-12)
