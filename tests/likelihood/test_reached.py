"""`reached`: its edge, and how often a true y is called missed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from probinv.likelihood import (
    AbstractLikelihood,
    AtLeast,
    Bernoulli,
    Gaussian,
    Interval,
    Label,
    On,
    Product,
    Student,
)
from tests.likelihood.zoo import COVARIANCE

pytestmark = pytest.mark.usefixtures("x64")
NAN = np.nan
DRAWS = 30_000


@pytest.mark.parametrize(
    ("wish", "rate"),
    [
        (Gaussian([1.0, NAN, 0.5], 0.3), 1e-3),
        (Gaussian([1.0, NAN, 0.5], covariance=COVARIANCE), 1e-3),
        (Gaussian([1.0, 2.0, 0.5], covariance=COVARIANCE), 1e-3),
        (Student([1.0, 2.0, NAN], 0.3, [2.0, 9.0, 1.0]), 1 - (1 - 1e-3 / 2) ** 2),
        (Product([Gaussian([1.0, 2.0, 0.5], 0.3), Gaussian([1.0, NAN, 0.5], 0.1)]), 1 - (1 - 1e-3) ** 2),
    ],
    ids=["gaussian", "covariance_nan", "covariance", "student", "product"],
)
def test_a_true_output_is_missed_once_in_a_thousand(
    wish: AbstractLikelihood, rate: float, key: jax.Array
) -> None:
    """Binomial with n = 3e4, exact two-sided test: false alarm 1e-6 each."""
    y = jnp.asarray([0.3, -0.5, 2.0])
    reached = jax.jit(jax.vmap(lambda k: wish.at(wish.simulate(k, y)).reached(y)))
    missed = int(jnp.sum(~reached(jax.random.split(key, DRAWS))))
    assert scipy.stats.binomtest(missed, DRAWS, rate).pvalue > 1e-6


@pytest.mark.parametrize("outputs", [1, 2, 50, 784])
def test_edge_of_the_gaussian_is_the_quantile(outputs: int) -> None:
    wish = Gaussian(np.r_[np.zeros(outputs), NAN], 1.0)
    radius = np.sqrt(scipy.stats.chi2.ppf(0.999, outputs))
    for factor, inside in ((1 - 1e-6, True), (1 + 1e-6, False)):
        assert wish.reached(jnp.zeros(outputs + 1).at[0].set(radius * factor)) == inside


@pytest.mark.parametrize("df", [1.0, 4.0, 100.0])
def test_edge_of_the_student_is_the_quantile(df: float) -> None:
    wish = Student([0.0, 0.0, NAN], 2.0, df)
    edge = 2 * scipy.stats.t.ppf(1 - 1e-3 / 2 / 2, df)
    for factor, inside in ((1 - 1e-6, True), (1 + 1e-6, False)):
        assert wish.reached(jnp.asarray([0.0, -edge * factor, 1e9])) == inside


def test_label_is_the_strictly_largest() -> None:
    wish = Label(1)
    assert wish.reached(jnp.asarray([0.1, 0.11, -3.0]))
    assert not wish.reached(jnp.asarray([0.1, 0.1, -3.0]))
    assert not wish.reached(jnp.zeros(3))


@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
def test_level_of_the_deviance_test_is_near_its_limit(p: float) -> None:
    """Enumerated: the chance that the share of 400 answers is called missed is about .001."""
    count = 400
    yes = np.arange(count + 1)
    wish = Bernoulli(0.5, count)
    reached = jax.vmap(lambda t: wish.at(t).reached(jnp.asarray(p)))(jnp.asarray(yes / count))
    rate = scipy.stats.binom.pmf(yes, count, p)[~np.asarray(reached)].sum()
    assert 5e-4 < rate < 2e-3


def test_count_sharpens_the_bernoulli_wish() -> None:
    """2 n KL(.99 || .5) = 1.27 n, against the .999 quantile 10.8."""
    assert Bernoulli(0.99, 1).reached(jnp.asarray(0.5))
    assert not Bernoulli(0.99, 100).reached(jnp.asarray(0.5))
    assert Bernoulli(0.99, 100).reached(jnp.asarray(0.99))
    assert Bernoulli(0.99, 100, "logits").reached(jnp.asarray(np.log(99.0)))


def test_interval_ends_four_softnesses_outside() -> None:
    wish = Interval([0.0, NAN], [1.0, 1.0], 0.1)
    assert wish.reached(jnp.asarray([-0.399, -1e9]))
    assert not wish.reached(jnp.asarray([-0.401, 0.0]))
    assert not wish.reached(jnp.asarray([0.5, 1.401]))
    assert AtLeast(0.0, 0.1).reached(jnp.asarray(1e9))


def test_product_needs_every_part() -> None:
    wish = Product([Gaussian([0.0, NAN], 1.0), Gaussian([NAN, 0.0], 1.0)])
    assert wish.reached(jnp.asarray([3.2, -3.2]))
    assert not wish.reached(jnp.asarray([3.2, -3.3]))


def test_on_looks_at_its_part_only() -> None:
    wish = On([2, 0], Gaussian([0.0, 5.0], 1.0))
    assert wish.reached(jnp.asarray([5.5, 1e9, 0.5]))
    assert not wish.reached(jnp.asarray([0.5, 0.0, 5.5]))
