"""DecoderPrior: laws, whitening, inverse, bounds, refusals; posteriors against quadrature over the codes."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

from probinv import InputError
from probinv._checks import double_precision
from probinv.boltzmann.decoder_prior import DecoderPrior
from probinv.forward import Function, Layered
from probinv.likelihood import Gaussian
from probinv.methods import HMC, NUTS, LiftedHMC
from probinv.posterior import Posterior
from tests.methods.problems import Silent
from tests.prior import test_laws as laws
from tests.prior.zoo import ZOO, Case

RNG = np.random.default_rng(4)
MEAN, FACTOR = np.array([0.7, -1.2]), np.array([[0.5, 0.0], [1.1, 0.8]])
CODES = MEAN + RNG.normal(size=(400, 2)) @ FACTOR.T  # correlated: a factor that is transposed is another law


@cache
def network(last: str = "logistic", inputs: int = 2, outputs: int = 6) -> Layered:
    rng = np.random.default_rng(8)
    weights = [rng.normal(size=(5, inputs)), rng.normal(size=(outputs, 5)) / 2]
    return Layered.from_arrays(weights, [rng.normal(size=5) / 2, np.zeros(outputs)], "tanh", last)


def shifted(s: float) -> DecoderPrior:
    return DecoderPrior(network(), codes=CODES + s)


def no_density(x: np.ndarray) -> float:
    raise NotImplementedError


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[None]:
    """The decoder is a case of the zoo while this file runs."""
    ZOO["decoder"] = Case(shifted, no_density, square=False)
    yield
    del ZOO["decoder"]


LAWS: list[Callable[..., None]] = [
    laws.test_leaves_are_host_arrays_of_double_precision,
    laws.test_other_parameters_do_not_recompile,
    laws.test_single_precision_leaves_no_trace,
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[..., None], key: jax.Array) -> None:
    if law is laws.test_other_parameters_do_not_recompile:
        with double_precision():
            law("decoder", None)
    else:
        law(*("decoder", key)[: law.__code__.co_argcount])


def test_draws_are_decoded_codes(x64: None) -> None:
    """T(z) = g(w) with w of the mean and covariance of the codes: of z = 0 and unit vectors, and by sampling.

    Whitening the codes gives exactly the identity as their covariance.
    """
    prior = shifted(0.0)
    np.testing.assert_allclose(prior.transform(jnp.zeros(2)), network()(jnp.asarray(CODES.mean(axis=0))))
    identity = DecoderPrior(Function(lambda w: w, input_shape=2), codes=CODES)
    whitened = jax.jit(jax.vmap(identity.inverse))(jnp.asarray(CODES))
    np.testing.assert_allclose(np.mean(whitened, axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.cov(whitened, rowvar=False), np.eye(2), atol=1e-9)
    z = jnp.asarray(RNG.normal(size=(3, 2)))
    np.testing.assert_allclose(jax.vmap(prior.log_latent)(z), st.norm.logpdf(z).sum(axis=1))
    assert prior.standard
    assert prior.shape == (6,)
    assert prior.latent_size == 2


@pytest.mark.parametrize("encoder", [False, True])
def test_the_inverse_finds_the_code(encoder: bool, x64: None) -> None:
    """On the surface to 1e-8, with one encoder that is a little wrong or from the standard starts."""
    guess = Function(lambda x: jnp.asarray(CODES.mean(axis=0)) + 0.1 * x[:2]) if encoder else None
    prior = DecoderPrior(network(), codes=CODES, encoder=guess)
    z = jnp.asarray(RNG.normal(size=(20, 2)))
    x = jax.vmap(prior.transform)(z)
    found = jax.jit(jax.vmap(prior.inverse))(x)
    np.testing.assert_allclose(jax.vmap(prior.transform)(found), x, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found, z, atol=1e-5)


def test_the_inverse_of_an_x_off_the_surface_is_the_nearest(x64: None) -> None:
    prior = shifted(0.0)
    x = prior.transform(jnp.asarray([0.3, -0.5])) + 0.05 * jnp.asarray(RNG.normal(size=6))
    axis = np.linspace(-2, 2, 201)
    grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    error = jnp.sum((jax.vmap(prior.transform)(grid) - x[None]) ** 2, axis=1)
    found = prior.inverse(x)
    assert jnp.sum((prior.transform(found) - x) ** 2) <= error.min()
    np.testing.assert_allclose(found, grid[jnp.argmin(error)], atol=0.05)
    for far in (jnp.ones(6), jnp.zeros(6)):  # on the edge of the logistic function
        assert jnp.isfinite(prior.inverse(far)).all()


@pytest.mark.parametrize(
    ("last", "low", "high"),
    [
        ("logistic", 0, 1),
        ("tanh", -1, 1),
        ("relu", 0, np.inf),
        ("softplus", 0, np.inf),
        ("identity", -np.inf, np.inf),
    ],
)
def test_bounds_are_those_of_the_last_activation(last: str, low: float, high: float) -> None:
    prior = DecoderPrior(network(last))
    lower, upper = prior.bounds
    assert lower.shape == upper.shape == (6,)
    assert (lower == low).all()
    assert (upper == high).all()
    with double_precision():
        x = np.asarray(jax.vmap(prior.transform)(jnp.asarray(40 * RNG.normal(size=(50, 2)))))
    assert ((x >= low) & (x <= high)).all()


def test_a_decoder_that_is_a_function_of_images(x64: None) -> None:
    prior = DecoderPrior(lambda w: jnp.outer(w, w + 1.0), 3)
    assert prior.shape == (3, 3)
    assert prior.latent_size == 3
    assert np.isinf(prior.bounds[0]).all()
    z = jnp.asarray([0.3, 0.5, -0.2])
    assert prior.split(prior.transform(z))["x"].shape == (3, 3)
    np.testing.assert_allclose(
        prior.transform(prior.inverse(prior.transform(z))), prior.transform(z), atol=1e-9
    )
    reshaped = Function(lambda w: w.ravel() ** 2, input_shape=(2, 1))
    assert DecoderPrior(reshaped, codes=CODES[:, :, None]).latent_size == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"decoder": lambda w: w}, "latent_size is not known"),
        ({"decoder": network(), "latent_size": 3}, "latent_size is 3.*shape \\(2,\\)"),
        ({"decoder": network(), "latent_size": 0}, "latent_size must be"),
        ({"decoder": network(), "codes": RNG.normal(size=(9, 3))}, "one code has 2 entries"),
        ({"decoder": network(), "codes": RNG.normal(size=(2, 2))}, "do not span"),
        ({"decoder": network(), "codes": np.ones((9, 2))}, "do not span"),
        ({"decoder": network(), "codes": np.arange(9.0)[:, None] * np.ones(2)}, "do not span"),
        ({"decoder": network(), "codes": np.full((9, 2), np.nan)}, "codes holds NaN"),
        ({"decoder": network(), "encoder": network("tanh", 6, 3)}, "encoder gives codes of shape \\(3,\\)"),
        ({"decoder": network(), "encoder": network("tanh", 4, 2)}, "cannot take|takes inputs"),
        ({"decoder": lambda w: w.astype(jnp.float32), "latent_size": 2}, "single precision"),
        ({"decoder": "decoder.npz", "latent_size": 2}, "is a path"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        DecoderPrior(**arguments)


def test_there_is_no_density_of_x() -> None:
    with pytest.raises(InputError, match=r"surface of 2 dimensions among 6.*log_latent"):
        shifted(0.0).log_prob(jnp.zeros(6))


def wish(x: jax.Array) -> jax.Array:
    return jnp.stack([x[0] - x[1] * x[2], jnp.sum(x)])


@cache
def posterior(inputs: int) -> Posterior:
    codes = CODES[:, :inputs]
    prior = DecoderPrior(network(inputs=inputs), codes=codes)
    with double_precision():
        y = np.asarray(wish(prior.transform(jnp.full(inputs, 0.8))))
    return Posterior(prior, Function(wish, input_shape=6), Gaussian(y, [0.1, 0.3]))


def quantities(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, x[..., :3] ** 2], axis=-1)


@cache
def by_quadrature(inputs: int, transposed: bool = False) -> np.ndarray:
    """E[x | Y*] over codes w ~ N(m, S), m and S those of the codes, by a grid in w, which knows no z."""
    codes, target = CODES[:, :inputs], posterior(inputs).likelihood.target
    mean, covariance = codes.mean(axis=0), np.atleast_2d(np.cov(codes, rowvar=False))
    factor = np.linalg.cholesky(covariance)
    law = st.multivariate_normal(mean, factor.T @ factor if transposed else covariance)
    spread = 7 * np.sqrt(np.diagonal(law.cov_object.covariance))
    axes = [
        np.linspace(m - s, m + s, 4001 if inputs == 1 else 401) for m, s in zip(mean, spread, strict=True)
    ]
    w = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, inputs)
    with double_precision():
        x = np.asarray(jax.jit(jax.vmap(network(inputs=inputs)))(jnp.asarray(w)))
        y = np.asarray(jax.vmap(wish)(jnp.asarray(x)))
    log_p = law.logpdf(w) - 0.5 * np.sum(((y - target) / [0.1, 0.3]) ** 2, axis=1)
    p = np.exp(log_p - log_p.max())
    return p @ quantities(x) / p.sum()


@pytest.mark.slow
@pytest.mark.parametrize("method", [NUTS, LiftedHMC, HMC], ids=lambda m: m.__name__)
@pytest.mark.parametrize("inputs", [1, 2])
def test_posteriors_against_quadrature(inputs: int, method: Any, key: jax.Array, x64: None) -> None:
    """24 independent chains: 9 scores of Student's law with 23 degrees, |t| < 6: 4e-6 each, 2e-4 for all."""
    if method is HMC and inputs == 1:
        pytest.skip("one more method in two dimensions is enough")
    run = method(chains=24, draws=200, warmup=200)
    z = run.run(method.view.of(posterior(inputs)), key, Silent()).z
    x = np.asarray(jax.jit(jax.vmap(posterior(inputs).x))(z.reshape(-1, inputs)))
    means = quantities(x).reshape(24, 200, -1).mean(axis=1)
    error = means.std(axis=0, ddof=1) / np.sqrt(24)
    assert np.abs((means.mean(axis=0) - by_quadrature(inputs)) / error).max() < 6
    if inputs == 2:
        assert np.abs((means.mean(axis=0) - by_quadrature(inputs, True)) / error).max() > 6
