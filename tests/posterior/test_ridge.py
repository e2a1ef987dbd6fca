"""Ridge reduction: when it is made, that it is the same network, and the law of what is completed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import probinv
from probinv.forward import Activation, Affine, Dense, Function, Layered
from probinv.likelihood import Exactly, Gaussian
from probinv.methods import MAP, LiftedHMC
from probinv.posterior import Posterior, _ridge, find_ridge
from probinv.prior import Fixed, MultivariateNormal, Normal, Uniform
from probinv.results.tree import provenance
from tests.methods.problems import linear

pytestmark = pytest.mark.usefixtures("x64")
N = 6


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def low_rank(rows: int, rank: int, size: int = N) -> np.ndarray:
    return weights(rows, rank) @ weights(rank, size, seed=1)


def scaled(first: np.ndarray, last: int = 2) -> Layered:
    """Two scalers, a dense layer, tanh, a dense layer."""
    size = first.shape[1]
    layers = [
        Affine(1.0, weights(size)),
        Affine(np.linspace(0.5, 2.0, size), 0.1),
        Dense(first, weights(len(first), seed=2)),
        Activation("tanh"),
        Dense(weights(last, len(first), seed=3)),
    ]
    return Layered(layers, (size,))


def covariance(size: int) -> np.ndarray:
    root = weights(size, size, seed=4)
    return root @ root.T / size + 0.2 * np.eye(size)


def normal(size: int = N) -> Normal:
    return Normal(weights(size, seed=5), np.linspace(0.5, 1.5, size))


WISH = Gaussian([0.3, -0.2], [0.1, 0.2])
LAYERED: dict[str, tuple[Any, Layered, int]] = {
    "scalers": (normal(), scaled(weights(3, N)), 3),
    "rank below the width": (normal(), scaled(low_rank(4, 2)), 2),
    "rank of a wide layer": (normal(), scaled(low_rank(9, 4)), 4),
    "dead inputs": (normal(), scaled(weights(9, N) * np.array([1, 0, 1, 1, 0, 1])), 4),
    "correlated": (MultivariateNormal(weights(N), covariance(N)), scaled(weights(3, N)), 3),
    "fixed": (
        Fixed(MultivariateNormal(weights(N), covariance(N)), {1: 0.3, 4: -1.0}),
        scaled(weights(2, N)),
        2,
    ),
    "named": ({"a": normal(2), "b": normal(4)}, scaled(weights(3, N)), 3),
}


@pytest.mark.parametrize("name", LAYERED)
def test_a_layered_network_is_reduced_to_the_rank_of_its_first_layer(name: str, key: jax.Array) -> None:
    prior, network, rank = LAYERED[name]
    posterior = Posterior(prior, network, WISH)
    ridge = find_ridge(posterior)
    assert ridge is not None
    basis = np.asarray(ridge.basis)
    assert basis.shape == (posterior.size, rank)
    assert ridge.reduced.size == rank
    assert np.allclose(basis.T @ basis, np.eye(rank), atol=1e-13)
    z = jax.random.normal(key, (20, posterior.size))
    y = jax.vmap(posterior.y)(z)
    assert np.allclose(jax.vmap(ridge.reduced.y)(z @ basis), y, rtol=1e-11, atol=1e-12)
    assert ridge.reduced.prior.standard
    assert f"{posterior.size} coordinates through {rank} combinations" in ridge.sentence
    assert f"first dense layer has rank {rank}" in ridge.sentence


def ridge_function(first: np.ndarray, x: jax.Array) -> jax.Array:
    hidden = jnp.tanh(first @ x)
    return jnp.stack([hidden.sum(), hidden[0] * hidden[1]])


def ridge_like(scale: float, size: int = 24) -> Posterior:
    first = low_rank(4, 3, size) / size
    network = Function(lambda w, x: scale * ridge_function(w, x), first)
    return Posterior(Normal(weights(size), 1.0), network, Gaussian([0.3, -0.2], 0.1))


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_any_network_is_reduced_to_the_row_space_of_its_jacobians(scale: float, key: jax.Array) -> None:
    posterior = ridge_like(scale)
    ridge = find_ridge(posterior)
    assert ridge is not None
    basis = np.asarray(ridge.basis)
    assert basis.shape == (24, 3)
    z = 3 * jax.random.normal(key, (20, 24))
    y = jax.vmap(posterior.y)(z)
    assert np.allclose(jax.vmap(ridge.reduced.y)(z @ basis), y, rtol=1e-10, atol=1e-11 * scale)
    assert "Jacobians have rank 3" in ridge.sentence


def kinked(a: Any, x: jax.Array) -> jax.Array:
    """Two combinations of x nearly everywhere, and a third where it is large."""
    return jnp.stack([jnp.tanh(a[0] @ x) + jax.nn.relu(a[1] @ x), jax.nn.relu(a[2] @ x - 2.4)])


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_a_network_that_only_looks_low_rank_is_not_reduced(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Jacobian that is looked at has the third combination: what refuses is the comparison of outputs."""
    rows = np.linalg.qr(weights(24, 3))[0].T
    network = Function(lambda a, x: scale * kinked(a, x), rows)
    posterior = Posterior(Normal(0.0, 1.0, 24), network, Gaussian([0.3, 0.1], 0.1))
    assert find_ridge(posterior) is None
    monkeypatch.setattr(_ridge, "_verified", lambda *_: True)
    blind = find_ridge(posterior)
    assert blind is not None
    assert np.asarray(blind.basis).shape == (24, 2)


NONE: dict[str, Any] = {
    "box": lambda: Posterior(Uniform(np.zeros(N), 1.0), scaled(weights(3, N)), WISH),
    "gamma": lambda: Posterior(dist.Gamma(jnp.full(N, 2.0), 1.0), scaled(weights(3, N)), WISH),
    "one input of another kind": lambda: Posterior(
        {"a": normal(5), "b": Uniform(0.0, 1.0)}, scaled(weights(3, N)), WISH
    ),
    "full rank": lambda: Posterior(normal(), scaled(weights(9, N)), WISH),
    "no dense layer first": lambda: Posterior(
        normal(), Layered([Activation("tanh"), Dense(weights(2, N))], (N,)), WISH
    ),
    "few coordinates": lambda: ridge_like(1.0, 19),
    "all of them matter": lambda: Posterior(
        Normal(0.0, 1.0, 24), lambda x: jnp.stack([jnp.sum(x**2), x[0]]), WISH
    ),
    "not finite": lambda: Posterior(Normal(0.0, 1.0, 24), lambda x: jnp.stack([jnp.log(x[0]), x[1]]), WISH),
}


@pytest.mark.parametrize("name", NONE)
def test_others_are_left_as_they_are(name: str) -> None:
    assert find_ridge(NONE[name]()) is None


PRIORS: dict[str, Any] = {
    "independent": normal(),
    "correlated": MultivariateNormal(weights(N), covariance(N)),
    "fixed": Fixed(MultivariateNormal(weights(N + 1), covariance(N + 1)), {2: 0.5}),
}


def of_linear(posterior: Posterior) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of z given Y*, for a network that is linear."""
    wish: Any = posterior.likelihood
    slope = np.asarray(jax.jacfwd(posterior.y)(jnp.zeros(posterior.size))) / wish.tolerance[:, None]
    offset = (wish.y_star - np.asarray(posterior.y(jnp.zeros(posterior.size)))) / wish.tolerance
    law = np.linalg.inv(np.eye(posterior.size) + slope.T @ slope)
    return law @ slope.T @ offset, law


@pytest.mark.parametrize("name", PRIORS)
def test_the_law_of_what_is_completed(name: str, key: jax.Array) -> None:
    """40,000 exact draws of w completed: mean and covariance of z in closed form.

    27 z-scores of independent draws; |z| > 5.5 in 4e-8 of keys each.
    """
    prior = PRIORS[name]
    first = low_rank(3, 2, 7 if name == "fixed" else N)
    network = Layered([Affine(1.0, 0.2), Dense(first, weights(3)), Dense(weights(2, 3))], (first.shape[1],))
    posterior = Posterior(prior, network, Gaussian([1.3, -0.4], [0.1, 0.3]))
    ridge = find_ridge(posterior)
    assert ridge is not None
    assert ridge.reduced.size == 2
    mean, law = of_linear(ridge.reduced)
    key_w, key_rest = jax.random.split(key)
    noise = np.asarray(jax.random.normal(key_w, (2, 20_000, 2)))
    z = ridge.complete(mean + noise @ np.linalg.cholesky(law).T, key_rest).reshape(-1, N)
    mean, law = of_linear(posterior)
    w = (z - mean) @ np.linalg.inv(np.linalg.cholesky(law)).T
    rows, columns = np.triu_indices(N)
    products = w[:, rows] * w[:, columns] - (rows == columns)
    deviation = np.concatenate([np.ones(N), np.sqrt(1.0 + (rows == columns))])
    scores = np.concatenate([w, products], axis=1).mean(axis=0) / deviation * np.sqrt(len(w))
    assert np.abs(scores).max() < 5.5


def test_what_is_completed_does_not_depend_on_the_cuts(
    key: jax.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    ridge = find_ridge(Posterior(normal(), scaled(weights(3, N)), WISH))
    assert ridge is not None
    w = np.asarray(jax.random.normal(jax.random.fold_in(key, 1), (2, 11, 3)))
    whole = ridge.complete(w, key)
    assert np.allclose(whole @ ridge.basis, w, atol=1e-13)
    later = ridge.complete(w[:, 4:], key, first=4)
    assert np.array_equal(np.concatenate([ridge.complete(w[:, :4], key), later], axis=1), whole)
    assert len(np.unique(whole)) == whole.size
    assert ridge.complete(w[:, :0], key).shape == (2, 0, N)
    monkeypatch.setattr(_ridge, "BLOCK_NUMBERS", 4 * N)
    blocks = ridge.complete(w, key)
    assert np.allclose(blocks, whole, rtol=0, atol=1e-14)
    parts = [ridge.complete(w[:, a:b], key, first=a) for a, b in ((0, 3), (3, 9), (9, 11))]
    assert np.array_equal(np.concatenate(parts, axis=1), blocks)


METHOD = LiftedHMC(draws=12, warmup=10, chains=2)
QUIET: dict[str, Any] = {"progress": False, "verdict": False}


@pytest.mark.slow
def test_invert_reduces_says_so_and_goes_on_bit_for_bit() -> None:
    posterior = Posterior(normal(), scaled(weights(3, N)), WISH)
    whole = probinv.invert(posterior, METHOD, **QUIET)
    note = provenance(whole)["notes"]["reduction"]
    assert "6 coordinates through 3 combinations" in note
    assert any(note in reason["what"] for reason in provenance(whole)["verdict"]["reasons"])
    assert whole["unconstrained_posterior"]["z"].shape == (2, 12, N)
    assert whole["posterior"]["x"].shape == (2, 12, N)
    assert whole["sampler_state"]["at_z"].shape == (2, 3)
    # the draws are of the posterior that was asked: y and the likelihood are computed from all of z
    stats = whole["sample_stats"]
    assert (stats["residual_norm"].values ** 2 < 30).all()

    fewer = LiftedHMC(draws=5, warmup=10, chains=2)
    rest = probinv.invert(posterior, METHOD, resume=probinv.invert(posterior, fewer, **QUIET), **QUIET)
    for group in ("posterior", "unconstrained_posterior", "posterior_predictive", "sample_stats"):
        for name, value in whole[group].data_vars.items():
            assert np.array_equal(rest[group][name].values, value.values), (group, name)
    assert provenance(rest)["notes"]["reduction"] == note

    other = probinv.invert(posterior, METHOD, reduce=False, **QUIET)
    assert "reduction" not in provenance(other)["notes"]
    assert other["sampler_state"]["at_z"].shape == (2, N)
    with pytest.raises(probinv.InputError, match="resume is not a state"):
        probinv.invert(posterior, METHOD, resume=whole, reduce=False, **QUIET)


def test_points_are_not_completed() -> None:
    """MAP gives optima, whose other coordinates are 0 and not random."""
    posterior = Posterior(normal(), scaled(weights(3, N)), WISH)
    tree = probinv.invert(posterior, MAP(starts=2), **QUIET)
    assert "reduction" not in provenance(tree)["notes"]
    ridge = find_ridge(posterior)
    assert ridge is not None
    z = tree["optima"]["z"].values[0]
    assert np.abs(z - ridge.basis @ (ridge.basis.T @ z)).max() < 1e-3


def test_an_exact_wish_is_reduced_too(key: jax.Array) -> None:
    posterior = Posterior(normal(), scaled(weights(3, N)), Exactly([0.3, -0.2]))
    ridge = find_ridge(posterior)
    assert ridge is not None
    z = jax.random.normal(key, (N,))
    assert ridge.reduced.reached(z @ ridge.basis) == posterior.reached(z)
    assert isinstance(ridge.reduced.likelihood, Exactly)


def test_a_linear_function_is_reduced_to_its_outputs() -> None:
    matrix = weights(2, 30)
    ridge = find_ridge(Posterior(Normal(0.0, 1.0, 30), Function(linear, matrix), WISH))
    assert ridge is not None
    span = np.linalg.qr(matrix.T)[0]
    assert np.allclose(ridge.basis @ ridge.basis.T, span @ span.T, atol=1e-12)
