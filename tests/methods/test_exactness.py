"""NUTS and HMC against closed forms and quadrature.

Every z-score is the mean over 64 independent chains, less the exact value, over its exact standard error;
it has Student's law with 63 degrees of freedom, of which |z| > 5 has probability 5e-6.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinv.forward import Function
from probinv.likelihood import Gaussian
from probinv.methods import HMC, NUTS
from probinv.posterior import Density, Posterior
from probinv.prior import Uniform
from tests.methods.problems import Silent, gauss, moments, scores

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.slow]
CHAINS, DRAWS, WARMUP = 64, 100, 150
SIZES = {1: 1, 2: 1, 5: 3, 20: 8}  # n and the number of outputs


def run(method: Any, posterior: Posterior, key: jax.Array) -> np.ndarray:
    draws = method(chains=CHAINS, draws=DRAWS, warmup=WARMUP).run(Density.of(posterior), key, Silent())
    assert draws.z.shape == (CHAINS, DRAWS, posterior.size)
    assert draws.stats["diverging"].mean() < 0.01
    return draws.z


@pytest.mark.parametrize("method", [NUTS, HMC])
def test_linear_gaussian_posteriors(method: Any, key: jax.Array) -> None:
    """Means and covariances in 1, 2, 5 and 20 dimensions, whitened by the closed form: 28 + 229 z-scores.

    False alarm: 257 * 5e-6 = 1.3e-3 for |z| <= 5. The root mean square of the z-scores has a standard
    deviation of 0.045 about 1 for NUTS (as if they were independent), and of 0.09 for HMC (second moments of
    different inputs move together; both measured on 12 keys): 1e-5 and 1e-2 for [.8, 1.25].
    """
    found = []
    for size, outputs in SIZES.items():
        known = gauss(size, outputs)
        z = run(method, known.posterior, jax.random.fold_in(key, size))
        w = known.whiten(z)
        found.append(scores(*moments(w)))
        # draws worth at least a fifth of as many independent ones, for means and for second moments
        worth = 1 / moments(w)[0].mean(axis=1).var(axis=0, ddof=1) / DRAWS
        assert worth[:size].mean() > 0.2
        # the same draws do not fit a tolerance that is wrong by a fifth
        wrong = gauss(size, outputs, 0.3 * 1.2)
        assert np.abs(scores(*moments(wrong.whiten(z)))).max() > 5
    t = np.concatenate(found)
    assert t.size == 28 + 229
    assert np.abs(t).max() <= 5
    assert 0.8 <= np.sqrt(np.mean(t**2)) <= 1.25


def bent(x: jax.Array) -> jax.Array:
    return jnp.tanh(2 * x) + 0.3 * x**2


def product(x: jax.Array) -> jax.Array:
    return x[0] * x[1]


ONE = Function(bent, input_shape=())
ONE_DIMENSIONAL: dict[str, tuple[Any, float, float]] = {
    # the posterior leans on an edge of each support
    "box": (Uniform(-1.0, 0.5), -1.0, 0.5),
    "truncated normal": (dist.TruncatedNormal(0.3, 1.0, low=-0.2, high=2.0), -0.2, 2.0),
    "half normal": (dist.HalfNormal(0.7), 0.0, 8.0),
}


def quadrature(
    posterior: Posterior, x: np.ndarray, weights: np.ndarray, of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """E[of(x) | Y*] with nodes x (k, *x) and their weights, from p(x) and p(Y* | f(x)) alone."""

    def log_density(x: jax.Array) -> jax.Array:
        return posterior.prior.log_prob(x) + posterior.likelihood.log_prob(posterior.forward(x))

    log_p = np.asarray(jax.jit(jax.vmap(log_density))(x))
    p = weights * np.exp(log_p - log_p.max())
    return p @ of(x) / p.sum()


def legendre(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


@pytest.mark.parametrize("name", ONE_DIMENSIONAL)
def test_one_bounded_input(name: str, key: jax.Array) -> None:
    """E[x], E[x^2], E[1/(1+x^2)], E[sin 9x] by 400 nodes; false alarm 2e-5 for each prior."""
    prior, low, high = ONE_DIMENSIONAL[name]
    posterior = Posterior(prior, ONE, Gaussian(0.5, 0.4))

    def of(x: np.ndarray) -> np.ndarray:
        return np.stack([x, x**2, 1 / (1 + x**2), np.sin(9 * x)], axis=-1)

    wanted = quadrature(posterior, *legendre(low, high, 400), of)
    assert np.allclose(wanted, quadrature(posterior, *legendre(low, high, 300), of), atol=1e-9)
    z = run(NUTS, posterior, key)
    x = np.asarray(jax.jit(jax.vmap(posterior.x))(z.reshape(-1, 1))).reshape(CHAINS, DRAWS)
    assert x.min() >= low
    assert x.max() <= high
    assert x.max() > low + 0.7 * (min(high, 1.5) - low)
    assert np.abs(scores(of(x), wanted)).max() <= 5


def test_two_inputs_in_a_box(key: jax.Array) -> None:
    """Moments of x_1 x_2 = 0.5 on a box: a bent ridge that ends at its walls; false alarm 3e-5."""
    low, high = np.array([0.0, 0.2]), np.array([1.0, 2.0])
    posterior = Posterior(Uniform(low, high), product, Gaussian(0.5, 0.1))

    def of(x: np.ndarray) -> np.ndarray:
        return np.stack(
            [x[..., 0], x[..., 1], x[..., 0] ** 2, x[..., 1] ** 2, x[..., 0] * x[..., 1]], axis=-1
        )

    def on_grid(count: int) -> np.ndarray:
        (a, wa), (b, wb) = (legendre(*edges, count) for edges in zip(low, high, strict=True))
        nodes = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
        return quadrature(posterior, nodes, np.outer(wa, wb).ravel(), of)

    wanted = on_grid(120)
    assert np.allclose(wanted, on_grid(90), atol=1e-9)
    z = run(NUTS, posterior, key)
    x = np.asarray(jax.jit(jax.vmap(posterior.x))(z.reshape(-1, 2))).reshape(CHAINS, DRAWS, 2)
    assert (x >= low).all()
    assert (x <= high).all()
    assert np.abs(scores(of(x), wanted)).max() <= 5
