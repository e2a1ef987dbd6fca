"""The laws of a prior: x = T(z), its densities, its bounds, in both precisions."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

from probinv._checks import double_precision
from probinv.prior import AbstractPrior, Fixed
from tests.prior.zoo import ZOO, free_entries, prior_of

EXTREMES = (-40.0, -12.0, -6.0, 6.0, 12.0, 40.0)
STEP = 1e-5
NEAR = 6
ALARM = 1e-6  # of each Kolmogorov-Smirnov test; about 40 of them, so 4e-5 for all


@pytest.fixture(params=ZOO)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@jax.jit
def everything(prior: AbstractPrior, points: jax.Array) -> dict[str, jax.Array]:
    """All that the laws speak of, at several z."""

    def at(z: jax.Array) -> dict[str, jax.Array]:
        x = prior.transform(z)
        steps = STEP * jnp.eye(z.size, dtype=z.dtype)
        log_latent = jax.vmap(prior.log_latent)
        return {
            "x": x,
            "inverse": prior.inverse(x),
            "x_again": prior.transform(prior.inverse(x)),
            "log_latent": prior.log_latent(z),
            "log_prob": prior.log_prob(x),
            "jacobian": jax.jacfwd(prior.transform)(z),
            "gradient": jax.grad(prior.log_latent)(z),
            "slope": (log_latent(z[None, :] + steps) - log_latent(z[None, :] - steps)) / (2 * STEP),
        }

    return jax.vmap(at)(points)


@cache
def laws(name: str, double: bool = True) -> dict[str, np.ndarray]:
    """Everything at six z from N(0, I), then at the extremes, then at NaN: one program for each precision."""
    prior = prior_of(name)
    near = np.random.default_rng(3).normal(size=(NEAR, prior.latent_size))
    far = np.array([[value] * prior.latent_size for value in (*EXTREMES, np.nan)])
    with jax.enable_x64(double):
        z = jnp.asarray(np.concatenate([near, far]))
        found = {key: np.asarray(value) for key, value in everything(prior, z).items()} | {"z": np.asarray(z)}
    assert all(value.dtype == (np.float64 if double else np.float32) for value in found.values())
    return found


def ordinary(name: str) -> dict[str, np.ndarray]:
    return {key: value[:NEAR] for key, value in laws(name).items()}


def extreme(name: str, double: bool) -> dict[str, np.ndarray]:
    return {key: value[NEAR:-1] for key, value in laws(name, double).items()}


def test_shapes(name: str) -> None:
    prior, found = prior_of(name), ordinary(name)
    low, high = prior.bounds
    assert found["x"].shape[1:] == prior.shape == low.shape == high.shape
    assert found["inverse"].shape[1:] == (prior.latent_size,)
    assert low.dtype == high.dtype == np.float64


def test_the_inverse_inverts(name: str) -> None:
    found = ordinary(name)
    np.testing.assert_allclose(found["x_again"], found["x"], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found["inverse"], found["z"], rtol=1e-8, atol=1e-9)


def test_the_latent_density_is_the_pushforward(name: str) -> None:
    """log p(z) = log p(T(z)) + log |det dT/dz|."""
    if not ZOO[name].square and not isinstance(prior_of(name), Fixed):
        pytest.skip("x has more entries than coordinates: the reference measure is that of some of them")
    prior, found = prior_of(name), ordinary(name)
    jacobian = found["jacobian"].reshape(NEAR, -1, prior.latent_size)
    if isinstance(prior, Fixed):
        assert not np.delete(jacobian, prior.index, axis=1).any()
        jacobian = jacobian[:, prior.index]
    log_det = np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(found["log_latent"], found["log_prob"] + log_det, rtol=1e-10, atol=1e-8)


def test_the_density_is_that_of_scipy(name: str) -> None:
    prior, found = prior_of(name), ordinary(name)
    whole = name == "fixed_multivariate"
    expected = [ZOO[name].log_prob(x if whole else free_entries(prior, x)) for x in found["x"]]
    np.testing.assert_allclose(found["log_prob"], expected, rtol=1e-10, atol=1e-9)


def test_standard_means_standard_normal(name: str) -> None:
    found = ordinary(name)
    expected = st.norm.logpdf(found["z"]).sum(axis=1)
    assert prior_of(name).standard == np.allclose(found["log_latent"], expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_is_the_slope(name: str) -> None:
    found = ordinary(name)
    assert np.isfinite(found["jacobian"]).all()
    np.testing.assert_allclose(found["gradient"], found["slope"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
def test_no_z_leaves_the_bounds(name: str, double: bool) -> None:
    prior, found = prior_of(name), extreme(name, double)
    low, high = (bound.copy() for bound in prior.bounds)
    if isinstance(prior, Fixed) and not double:  # a value of float64 is rounded, as everything is then
        held = low == high
        low[held] = high[held] = low[held].astype(np.float32)
    x = found["x"].astype(np.float64)
    assert np.isfinite(x).all()
    assert ((x >= low) & (x <= high)).all()
    assert np.isfinite(found["jacobian"]).all()
    assert np.isfinite(found["gradient"]).all()
    if ZOO[name].open:
        assert np.isfinite(found["log_latent"]).all()
        assert np.isfinite(found["log_prob"]).all()
        assert np.isfinite(found["inverse"]).all()
    else:
        assert not np.isnan(found["log_latent"]).any()
        assert not np.isnan(found["log_prob"]).any()


def test_the_latent_density_is_normalised(name: str, x64: None) -> None:
    """Trapezoidal rule on [-45, 45]^n, which converges exponentially for these densities."""
    prior = prior_of(name)
    if prior.latent_size > 2 or prior.standard or name == "numpyro_student":
        pytest.skip("N(0, I) is known, three dimensions are too many, and Student's tails reach further")
    points = np.linspace(-45, 45, 9001 if prior.latent_size == 1 else 451)
    grid = np.stack(np.meshgrid(*[points] * prior.latent_size), axis=-1).reshape(-1, prior.latent_size)
    density = np.exp(jax.jit(jax.vmap(prior.log_latent))(jnp.asarray(grid)))
    assert np.sum(density) * (points[1] - points[0]) ** prior.latent_size == pytest.approx(1, abs=1e-7)


def test_draws_follow_the_distribution(name: str, key: jax.Array, x64: None) -> None:
    """Kolmogorov-Smirnov, each entry, 2000 draws: false alarms 1e-6 each, and the key is fixed."""
    case, prior = ZOO[name], prior_of(name)
    if not case.marginals:
        pytest.skip("no marginal distribution is known in closed form")
    draws = np.asarray(jax.jit(jax.vmap(prior.sample))(jax.random.split(key, 2000)))
    entries = np.stack([free_entries(prior, x).ravel() for x in draws], axis=1)
    for marginal, column in zip(case.marginals, entries, strict=True):
        assert st.kstest(column, marginal.cdf).pvalue > ALARM


def test_other_parameters_do_not_recompile(name: str, x64: None) -> None:
    traces = 0

    @jax.jit
    def evaluate(prior: AbstractPrior, z: jax.Array) -> Any:
        nonlocal traces
        traces += 1
        return prior.transform(z), prior.log_latent(z)

    prior, other = prior_of(name), ZOO[name].make(0.125)
    z = jnp.linspace(0.1, 0.4, prior.latent_size)
    first, second = evaluate(prior, z), evaluate(other, z)
    assert traces == 1
    assert not eqx.tree_equal(first, second)


def test_leaves_are_host_arrays_of_double_precision(name: str) -> None:
    leaves = jax.tree.leaves(prior_of(name))
    assert leaves
    for leaf in leaves:
        assert isinstance(leaf, np.ndarray)
        assert leaf.dtype in (np.float64, np.int64)


def test_single_precision_leaves_no_trace(name: str, key: jax.Array) -> None:
    """JAX remembers constants of living traces: what was float32 there is float64 in `double_precision`."""
    prior = ZOO[name].make(0.0)
    living = jax.jit(
        lambda key: prior.sample(key)
    )  # the prior is a constant of this trace, which stays alive
    z = jnp.linspace(0.1, 0.4, prior.latent_size)
    closed = jax.jit(lambda z: (prior.transform(z), prior.log_latent(z)))
    assert living(key).dtype == np.float32
    closed(z)
    with double_precision():
        z = jnp.linspace(0.1, 0.4, prior.latent_size)
        expected = _transform_and_density(prior_of(name), z)
        found = closed(z)
        again = _transform_and_density(prior, z)
    for a, b, c in zip(expected, found, again, strict=True):
        assert a.dtype == b.dtype == c.dtype == np.float64
        np.testing.assert_allclose(b, a, rtol=1e-13, atol=1e-13)
        np.testing.assert_array_equal(c, a)


@jax.jit
def _transform_and_density(prior: AbstractPrior, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return prior.transform(z), prior.log_latent(z)


def test_split_names_every_entry_once(name: str) -> None:
    prior, found = prior_of(name), ordinary(name)
    with double_precision():
        pieces = prior.split(jnp.asarray(found["x"][0]))
    entries = np.concatenate([np.ravel(piece) for piece in pieces.values()])
    np.testing.assert_array_equal(entries, found["x"][0].ravel())
    if "x" in pieces:
        assert pieces["x"].shape == prior.shape


def test_nan_is_not_taken_for_an_excluded_input(name: str) -> None:
    for double in (True, False):
        assert np.isnan(laws(name, double)["log_latent"][-1])
        assert np.isnan(laws(name, double)["log_prob"][-1])
