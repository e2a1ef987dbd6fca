"""Whatever a person gives as a prior, as a prior; NumPyro's distributions among them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as st

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.prior import (
    AbstractPrior,
    FromNumPyro,
    LogNormal,
    MultivariateNormal,
    Named,
    Normal,
    Uniform,
    as_prior,
)
from tests.prior.zoo import COVARIANCE

constraints, transforms = dist.constraints, dist.transforms

OURS = {
    "normal": (dist.Normal(0.3, 0.7), Normal(np.float32(0.3), np.float32(0.7))),
    "expanded": (dist.Normal(0.0, np.array([1.0, 2.0])).expand([3, 2]), Normal(0.0, [1.0, 2.0], (3, 2))),
    "to_event": (dist.Normal(np.zeros(4), 2.0).to_event(1), Normal(0.0, 2.0, 4)),
    "log_normal": (dist.LogNormal(1.0, np.array([0.5, 0.25])), LogNormal(1.0, [0.5, 0.25])),
    "uniform": (dist.Uniform(-1.0, np.array([1.0, 2.0])).to_event(1), Uniform(-1.0, [1.0, 2.0])),
    "multivariate": (
        dist.MultivariateNormal(np.arange(3.0), covariance_matrix=COVARIANCE),
        MultivariateNormal(np.arange(3.0), COVARIANCE),
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_becomes_ours(name: str) -> None:
    """NumPyro rounds to float32 outside double precision, and so the comparison is of that precision."""
    given, expected = OURS[name]
    prior = as_prior(given)
    assert type(prior) is type(expected)
    assert prior.shape == expected.shape == (*given.batch_shape, *given.event_shape)
    for found, wanted in zip(jax.tree.leaves(prior), jax.tree.leaves(expected), strict=True):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_made_in_double_precision_nothing_is_rounded(x64: None) -> None:
    assert as_prior(dist.Normal(0.1, 0.7)).loc == 0.1
    np.testing.assert_allclose(
        as_prior(dist.MultivariateNormal(np.zeros(3), covariance_matrix=COVARIANCE)).covariance,
        COVARIANCE,
        rtol=1e-14,
    )


def test_the_rest_is_taken_as_it_is() -> None:
    prior = Normal()
    assert as_prior(prior) is prior
    assert isinstance(as_prior({"a": prior}), Named)
    assert isinstance(as_prior(dist.Gamma(2.0, 1.0)), FromNumPyro)


def test_a_batch_of_multivariate_normals(x64: None) -> None:
    loc = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    prior = as_prior(dist.MultivariateNormal(loc, covariance_matrix=COVARIANCE))
    assert prior.shape == (2, 3)
    x = np.array([[0.5, 1.0, 1.5], [2.0, 4.0, 6.0]])
    expected = sum(st.multivariate_normal(m, COVARIANCE).logpdf(row) for m, row in zip(loc, x, strict=True))
    assert prior.log_prob(jnp.asarray(x)) == pytest.approx(expected, rel=1e-12)


def test_an_interval_with_quantiles_is_standard() -> None:
    for distribution in (dist.LogUniform(1.0, 3.0), dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=2.0)):
        assert as_prior(distribution).standard
    for distribution in (dist.Gamma(2.0, 1.0), dist.VonMises(0.0, 1.0), dist.StudentT(3.0)):
        assert not as_prior(distribution).standard


def test_wrapped_entries_keep_their_quantiles(x64: None) -> None:
    inner = dist.TruncatedNormal(0.0, 1.0, low=np.array([-1.0, -2.0]), high=np.array([2.0, 3.0]))
    prior = as_prior(inner.expand([3, 2]).to_event(2))
    assert prior.standard
    x = prior.transform(jnp.linspace(-2, 2, 6))
    expected = st.truncnorm([-1, -2], [2, 3]).ppf(st.norm.cdf(np.linspace(-2, 2, 6).reshape(3, 2)))
    np.testing.assert_allclose(x, expected, rtol=1e-10)
    np.testing.assert_array_equal(prior.bounds[0], [[-1, -2]] * 3)


def test_a_negative_scale_turns_the_support_round(x64: None) -> None:
    """NumPyro takes a traced scale for positive, and then has the interval upside down."""
    turn = transforms.AffineTransform(1.0, -2.0, domain=constraints.unit_interval)
    prior = as_prior(dist.TransformedDistribution(dist.Beta(2.0, 3.0), turn))
    assert prior.bounds == (-1.0, 1.0)
    z = jnp.asarray([[-40.0], [0.4], [40.0]])
    x = np.asarray(jax.jit(jax.vmap(lambda prior, z: prior.transform(z), (None, 0)))(prior, z))
    assert ((x > -1) & (x < 1)).all()
    density = jax.jit(lambda prior, x: prior.log_prob(x))(prior, jnp.asarray(0.2))
    assert density == pytest.approx(st.beta(2, 3).logpdf(0.4) - np.log(2), rel=1e-12)


def test_densities_do_not_depend_on_the_precision_seen_first() -> None:
    """NumPyro keeps derived parameters on the object: computed first in float32, they would stay so."""
    given = dist.TruncatedNormal(0.5, 2.0, low=0.25, high=3.0)
    given.log_prob(1.0)
    prior = as_prior(given)
    prior.log_prob(jnp.asarray(1.0))
    with double_precision():
        expected = st.truncnorm(-0.125, 1.25, 0.5, 2.0).logpdf(1.0)
        assert prior.log_prob(jnp.asarray(1.0)) == pytest.approx(expected, rel=1e-13)


def test_strict_rank_promotion_is_the_users_affair(x64: None) -> None:
    """NumPyro broadcasts inside: no error under jax_numpy_rank_promotion="raise", as in these tests."""
    assert jax.config.jax_numpy_rank_promotion == "raise"
    prior = as_prior(dist.Dirichlet(np.ones((2, 3))))
    assert prior.latent_size == 4
    assert prior.log_prob(jnp.full((2, 3), 1 / 3)) == pytest.approx(2 * np.log(2))
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)


class Own(dist.Distribution):
    """A distribution that a user wrote."""

    arg_constraints = {"scale": constraints.dependent}  # noqa: RUF012, as NumPyro has it
    support = constraints.real

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        super().__init__()

    def log_prob(self, value: jax.Array) -> jax.Array:
        return -(value**2) / self.scale

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        return jax.random.normal(key, sample_shape)


class OwnUnfinished(Own):
    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        raise NotImplementedError("no sampler yet")


def test_a_positive_ordered_vector(x64: None) -> None:
    steps = [transforms.OrderedTransform(), transforms.ExpTransform(constraints.ordered_vector)]
    prior = as_prior(dist.TransformedDistribution(dist.Normal(np.zeros(3), 1.0).to_event(1), steps))
    x = prior.transform(jnp.asarray([-40.0, 0.3, 0.5]))
    assert (np.diff(x) > 0).all()
    assert (np.asarray(x) > prior.bounds[0]).all()


def censored() -> dist.Distribution:
    return dist.RightCensoredDistribution(dist.Normal(0.0, 1.0), 0.0)


def unstated() -> dist.Distribution:
    return dist.TransformedDistribution(dist.Beta(2.0, 3.0), transforms.AffineTransform(1.0, 2.0))


def unknown(value: float) -> dist.Distribution:
    return dist.Gamma(value, 1.0, validate_args=False)


REFUSED = {
    "poisson": (lambda: dist.Poisson(3.0), "Poisson is discrete.*no method here.*invert once for each value"),
    "bernoulli": (lambda: dist.Bernoulli(0.5).expand([3]).to_event(1), "BernoulliProbs is discrete"),
    "categorical": (lambda: dist.Categorical(np.ones(3) / 3), "CategoricalProbs is discrete"),
    "binomial": (lambda: dist.Binomial(10, 0.5), "is discrete"),
    "improper": (lambda: dist.ImproperUniform(constraints.real, (), ()), "ImproperUniform is improper"),
    "improper_inside": (
        lambda: dist.ImproperUniform(constraints.real, (), ()).expand([2]).to_event(1),
        "ImproperUniform is improper",
    ),
    "masked": (lambda: dist.Normal(0.0, 1.0).mask(False), "MaskedDistribution is improper"),
    "delta": (lambda: dist.Delta(1.0), "Delta is a point mass"),
    "censored": (censored, "RightCensoredDistribution is a censored"),
    "unstated_domain": (unstated, r"support of the TransformedDistribution is not known.*domain="),
    "sphere": (lambda: dist.ProjectedNormal(np.array([1.0, 2.0])), "support of ProjectedNormal.*Sphere"),
    "negative": (lambda: unknown(-1.0), "Gamma has an invalid parameter.*concentration"),
    "nan": (lambda: unknown(np.nan), "Gamma has an invalid parameter"),
    "own_nan": (lambda: Own(np.nan), "a parameter of Own is NaN"),
    "own_infinite": (lambda: Own(0.0), "Own cannot be used.*at z = 0 its log density is nan"),
    "own_unfinished": (OwnUnfinished, "OwnUnfinished cannot be used.*no sampler yet"),
    "no_entry": (lambda: dist.Gamma(np.ones(0), 1.0), "Gamma has no entry"),
    "negative_scale": (lambda: dist.Normal(0.0, -1.0, validate_args=False), "scale must be positive"),
    "float": (lambda: 3.0, "a float is not a prior"),
    "class": (lambda: Normal, "is not a prior"),
    "list": (lambda: [Normal()], "a list is not a prior"),
    "scipy": (lambda: st.norm(), "rv_continuous_frozen is not a prior|rv_frozen is not a prior"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_prior_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        as_prior(make())
    assert caught.value.why
    assert caught.value.instead


def test_only_a_distribution_becomes_one_from_numpyro() -> None:
    with pytest.raises(InputError, match="a Normal is not a NumPyro distribution"):
        FromNumPyro(Normal())


def test_every_class_is_a_prior() -> None:
    import probinv.prior as room

    for name in room.__all__:
        assert hasattr(room, name)
    assert issubclass(Named, AbstractPrior)
