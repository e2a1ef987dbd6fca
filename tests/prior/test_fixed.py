"""Some inputs held at known values."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinv._errors import InputError
from probinv.prior import (
    Fixed,
    FromNumPyro,
    KernelDensity,
    LogNormal,
    MultivariateNormal,
    Named,
    Normal,
    Uniform,
    as_prior,
)
from tests.prior.zoo import COVARIANCE

NAN = np.nan
NAMED = {"zeta": Uniform(0.1, 0.7), "alpha": Normal([0.0, 2.0], 1.5), "rate": dist.Gamma(2.0, 3.0)}


@pytest.mark.parametrize("known", [[0], [2], [0, 1], [2, 0]])
def test_the_conditional_normal_is_the_textbook_one(known: list[int], x64: None) -> None:
    """m_f + S_fk S_kk^-1 (v - m_k) and S_ff - S_fk S_kk^-1 S_kf."""
    loc, value = np.array([1.0, 2.0, 3.0]), np.array([0.3, -1.0, 4.0])
    free = [i for i in range(3) if i not in known]
    prior = Fixed(MultivariateNormal(loc, COVARIANCE), {i: value[i] for i in known})
    gain = COVARIANCE[np.ix_(free, known)] @ np.linalg.inv(COVARIANCE[np.ix_(known, known)])
    assert isinstance(prior.free, MultivariateNormal)
    np.testing.assert_allclose(prior.free.loc, loc[free] + gain @ (value - loc)[known], rtol=1e-12)
    expected = COVARIANCE[np.ix_(free, free)] - gain @ COVARIANCE[np.ix_(known, free)]
    np.testing.assert_allclose(prior.free.covariance, expected, rtol=1e-12, atol=1e-14)


def test_an_ill_conditioned_normal_can_be_conditioned() -> None:
    """A smallest conditional variance of 1e-18 of the others: the difference of covariances would lose it."""
    factor = np.array([[1.0, 0.0, 0.0], [1.0, 1e-9, 0.0], [1.0, 2e-9, 1e-9]])
    prior = Fixed(MultivariateNormal(0.0, cholesky=factor), {0: 0.5})
    expected = np.array([[1e-18, 2e-18], [2e-18, 5e-18]])
    np.testing.assert_allclose(prior.free.covariance, expected, rtol=1e-6)


def test_known_inputs_do_not_move(key: jax.Array, x64: None) -> None:
    prior = Fixed(Uniform(np.zeros((2, 3)), 1.0), [[NAN, 0.25, NAN], [0.1, NAN, NAN]])
    draws = np.asarray(jax.vmap(prior.sample)(jax.random.split(key, 50)))
    np.testing.assert_array_equal(draws[:, 0, 1], 0.25)
    np.testing.assert_array_equal(draws[:, 1, 0], 0.1)
    assert prior.latent_size == 4
    assert len(np.unique(draws.reshape(50, -1)[:, prior.index])) == 200


def test_a_moved_known_input_is_impossible(x64: None) -> None:
    prior = Fixed(Normal(shape=3), {1: 0.5})
    assert np.isfinite(prior.log_prob(jnp.asarray([9.0, 0.5, 9.0])))
    assert prior.log_prob(jnp.asarray([0.0, 0.5 + 1e-15, 0.0])) == -np.inf


def test_the_bounds_of_a_known_input_are_its_value() -> None:
    low, high = Fixed({"a": Uniform(0, 1), "b": Normal()}, {"b": 3.0}).bounds
    np.testing.assert_array_equal(low, [0, 3])
    np.testing.assert_array_equal(high, [1, 3])


def test_names_and_places_say_the_same(x64: None) -> None:
    by_name = Fixed(NAMED, {"alpha": [NAN, 2.5], "rate": 0.4})
    by_place = Fixed(NAMED, {2: 2.5, -1: 0.4})
    by_array = Fixed(NAMED, [NAN, NAN, 2.5, 0.4])
    z = jnp.asarray([0.3, -1.0])
    for prior in (by_name, by_place, by_array):
        assert prior.latent_size == 2
        np.testing.assert_array_equal(prior.transform(z), by_name.transform(z))
    pieces = by_name.split(by_name.transform(z))
    assert list(pieces) == ["zeta", "alpha", "rate"]
    assert pieces["alpha"].shape == (2,)
    assert pieces["rate"] == 0.4


def test_a_whole_name_of_any_kind_can_be_fixed(x64: None) -> None:
    """A part that cannot be conditioned drops out as a whole."""
    parts = {"mix": dist.Dirichlet(np.array([1.0, 2.0, 3.0])), "a": Normal()}
    prior = Fixed(parts, {"mix": [0.2, 0.3, 0.5]})
    assert prior.latent_size == 1
    assert prior.standard
    np.testing.assert_allclose(prior.transform(jnp.asarray([1.5])), [0.2, 0.3, 0.5, 1.5], rtol=1e-15)


def test_independent_inputs_just_drop_out(x64: None) -> None:
    prior = Fixed(LogNormal([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]), {1: 4.0})
    np.testing.assert_allclose(prior.transform(jnp.asarray([0.5, -1.0])), np.exp([0.5, np.log(4.0), -1.0]))


def test_a_known_input_may_lie_on_an_edge(x64: None) -> None:
    prior = Fixed(Uniform([0.0, 0.0], 1.0), {0: 1.0})
    assert prior.transform(jnp.asarray([0.0])).tolist() == [1.0, 0.5]


def test_fixing_more_of_a_fixed_prior(x64: None) -> None:
    first = Fixed(MultivariateNormal([1.0, 2.0, 3.0], COVARIANCE), {0: 0.5})
    both, at_once = Fixed(first, {1: 1.0}), Fixed(first.prior, {0: 0.5, 1: 1.0})
    assert both.latent_size == 1
    np.testing.assert_array_equal(both.transform(jnp.ones(1)), at_once.transform(jnp.ones(1)))
    with pytest.raises(InputError, match=r"0\.6 of x lies outside"):
        Fixed(first, {0: 0.6, 1: 1.0})


def test_another_pattern_of_the_same_size_does_not_recompile(x64: None) -> None:
    traces = 0

    @jax.jit
    def evaluate(prior: Fixed, z: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return prior.transform(z)

    box = Uniform([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    first, second = (
        evaluate(Fixed(box, {0: 0.5}), jnp.zeros(2)),
        evaluate(Fixed(box, {2: 2.25}), jnp.zeros(2)),
    )
    assert traces == 1
    np.testing.assert_allclose(first, [0.5, 1.5, 2.5])
    np.testing.assert_allclose(second, [0.5, 1.5, 2.25])


BOX = Uniform([0.0, 0.0], 1.0)
REFUSED = {
    "outside": (BOX, {0: 1.5}, r"1\.5 of x lies outside.*\[0, 1\]"),
    "outside_named": (NAMED, {"zeta": 0.8}, r"0\.8 of zeta lies outside.*\[0\.1, 0\.7\]"),
    "negative": (LogNormal(shape=2), {0: -1.0}, "lies outside the support"),
    "zero": (LogNormal(shape=2), {0: 0.0}, "lies outside the support"),
    "zero_named": ({"a": LogNormal(), "b": Normal()}, {"a": 0.0}, "value of a lies outside the support"),
    "not_a_simplex": (
        {"mix": dist.Dirichlet(np.ones(3)), "a": Normal()},
        {"mix": [0.2, 0.3, 0.4]},
        "value of mix lies outside",
    ),
    "all": (BOX, {0: 0.5, 1: 0.5}, "fixes every input.*nothing is left"),
    "all_array": (BOX, 0.5, "fixes every input"),
    "none": (BOX, [NAN, NAN], "fixes no input"),
    "empty": (BOX, {}, "fixes no input"),
    "infinite": (Normal(shape=2), [np.inf, NAN], "values holds an infinite number"),
    "nan_by_index": (BOX, {0: NAN}, "value at 0 holds NaN"),
    "shape": (BOX, [0.5, NAN, NAN], r"values has shape \(3,\)"),
    "index": (BOX, {2: 0.5}, r"2 is not an index of x.*shape \(2,\)"),
    "index_of_image": (Normal(shape=(2, 2)), {1: 0.5}, "1 is not an index of x"),
    "index_kind": (BOX, {0.0: 0.5}, r"0\.0 is not an index of x"),
    "name": (NAMED, {"beta": 0.5}, "no input is named 'beta'.*zeta, alpha, rate"),
    "name_shape": (NAMED, {"alpha": [1.0, 2.0, 3.0]}, r"alpha has shape \(3,\)"),
    "kernels": (KernelDensity(np.eye(3)[:, :2]), {0: 0.5}, "of a KernelDensity prior cannot be held fixed"),
    "numpyro": (
        {"mix": dist.Dirichlet(np.ones(3)), "a": Normal()},
        {"mix": [0.2, NAN, NAN]},
        "of a FromNumPyro prior cannot be held fixed",
    ),
}


@pytest.mark.parametrize(("prior", "values", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_fixed_is_refused(prior: Any, values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Fixed(prior, values)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.instead


def test_the_prior_may_be_given_in_any_form() -> None:
    assert isinstance(Fixed(dist.Normal(np.zeros(2), 1.0), {0: 1.0}).prior, Normal)
    assert isinstance(Fixed({"a": Normal(), "g": dist.Gamma(1.0, 1.0)}, {"a": 1.0}).prior, Named)
    assert isinstance(as_prior(dist.Gamma(1.0, 1.0)), FromNumPyro)
