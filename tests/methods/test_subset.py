"""SubsetSimulation against closed forms and brute force.

Replicates are independent given the pilot, and the particles of each, weighted by its estimate of P, are an
unbiased estimate of the restricted prior. So for any quantity q with mean m inside, P_r (mean_r q - m) has
mean zero whatever the number of particles, and its t over 32 replicates Student's law with 31 degrees of
freedom, up to the skewness of P_r: |t| > 6 has probability 1e-6.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from probinv.forward import Function
from probinv.likelihood import AnyOf, Argmax, AtLeast, AtMost, Interval, On, Ordering, Product
from probinv.methods import Draws, SubsetSimulation
from probinv.methods.smc._levels import family_variance
from probinv.posterior import Posterior, Region, evaluate, sample_prior
from probinv.prior import Normal, Uniform
from tests.methods.problems import Silent, linear
from tests.posterior.zoo import tanh_network

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.optimised]
PARTICLES, REPLICATES, MOST = 500, 32, 6.0
METHOD = SubsetSimulation(draws=PARTICLES, chains=REPLICATES)
MATRIX = np.array([[0.6, -0.8, 0.0, 0.0], [0.8, 0.6, 0.0, 0.0]])
"""Two outputs that are independent and standard normal, of four inputs."""


def run(wish: Any, key: jax.Array, prior: Any = None, forward: Any = None, method: Any = METHOD) -> Draws:
    prior = Normal(0.0, 1.0, 4) if prior is None else prior
    posterior = Posterior(prior, Function(linear, MATRIX) if forward is None else forward, wish)
    return method.run(Region.of(posterior), key, Silent())


def probabilities(draws: Draws) -> np.ndarray:
    return np.exp(np.array(draws.notes["log_evidence_replicates"], float))


def t_of_probability(draws: Draws, wanted: float) -> float:
    """t of the mean of P over the replicates."""
    p = probabilities(draws)
    return float((p.mean() - wanted) / (p.std(ddof=1) / np.sqrt(len(p))))


def t_inside(draws: Draws, quantity: np.ndarray, wanted: Any) -> np.ndarray:
    """t of P_r (mean_r q - m), for q of shape (chain, draw, ...)."""
    p = probabilities(draws)
    part = p.reshape(-1, *[1] * (quantity.ndim - 2)) * (quantity.mean(axis=1) - wanted)
    return part.mean(axis=0) / (part.std(axis=0, ddof=1) / np.sqrt(len(p)))


@pytest.mark.slow
@pytest.mark.parametrize("probability", [1e-2, 1e-6, 1e-9])
def test_a_half_space(probability: float, key: jax.Array) -> None:
    """P = Phi(-b); u = w.z is truncated normal with E u = h(b), E u^2 = 1 + b h(b), h = phi / Phi(-b); what
    is orthogonal stays N(0, 1). 1 + 7 t's: false alarm 8e-6 for each P. The stated error is the right one:
    the square of at least .8 sum (1 - p_k) / (p_k N), of independent particles, and at most 3 times that
    (which the variance between 32 replicates exceeds once in 1e8 times); of the families at most 2 times.
    """
    b = stats.norm.isf(probability)
    found = run(AtLeast([b, -np.inf]), key)
    z = found.z
    assert abs(t_of_probability(found, probability)) <= MOST
    u, v = z @ MATRIX[0], z @ MATRIX[1]
    hazard = stats.norm.pdf(b) / stats.norm.sf(b)
    quantities = np.stack([u, u**2, v, v**2, z[..., 2], z[..., 2] ** 2, u * v], axis=-1)
    t = t_inside(found, quantities, np.array([hazard, 1 + b * hazard, 0, 1, 0, 1, 0]))
    assert np.abs(t).max() <= MOST
    assert (u >= b).all()
    fractions = np.array(found.notes["fractions"])
    ideal = np.mean(np.sum((1 - fractions) / fractions, axis=1)) / PARTICLES
    assert 0.8 * ideal <= REPLICATES * found.notes["log_evidence_error"] ** 2 <= 3 * ideal
    families = np.mean([family_variance(one) for one in found.stats["ancestor"]])
    assert 0.8 * ideal <= families <= 2 * ideal
    # the same draws do not fit an edge that is moved by a tenth of the slab's width, nor a P wrong by a half
    assert np.abs(t_inside(found, u, hazard + 0.1 / b)) > MOST
    assert abs(t_of_probability(found, 1.5 * probability)) > 5


@pytest.mark.slow
def test_the_parts_of_a_union_have_their_weights(key: jax.Array) -> None:
    """y_0 >= b or y_0 <= -c, of probabilities 1e-4 and 3e-5; then y_0 >= b or y_1 >= b, which overlap.

    6 t's: false alarm 6e-6.
    """
    b, c = stats.norm.isf([1e-4, 3e-5])
    found = run(On(0, AnyOf([AtLeast(b), AtMost(-c)])), key)
    u = found.z @ MATRIX[0]
    assert abs(t_of_probability(found, 1.3e-4)) <= MOST
    assert abs(t_inside(found, u > 0, 1 / 1.3)) <= MOST
    assert abs(t_inside(found, u > 0, 0.6)) > MOST
    assert ((u > 0).any(axis=1) & (u < 0).any(axis=1)).all()

    p = 1e-3
    b = stats.norm.isf(p)
    found = run(AnyOf([On(0, AtLeast(b)), On(1, AtLeast(b))]), key)
    first, second = (found.z @ row >= b for row in MATRIX)
    whole = 1 - (1 - p) ** 2
    assert (first | second).all()
    assert abs(t_of_probability(found, whole)) <= MOST
    share = t_inside(
        found, np.stack([first, second, first & second], axis=-1), np.array([p, p, p * p]) / whole
    )
    assert np.abs(share).max() <= MOST


def plain(x: jax.Array) -> jax.Array:
    return x


@pytest.mark.slow
def test_an_order_of_uniform_inputs(key: jax.Array) -> None:
    """x_0 < x_1 < x_2 in a box: P = 1/6, E x_k = (k + 1) / 4, E x_k^2 = (k + 1)(k + 2) / 20; 7 t's: 7e-6."""
    found = run(Ordering([2, 1, 0]), key, Uniform(0.0, 1.0, 3), plain)
    x = stats.norm.cdf(found.z)
    assert (np.diff(x, axis=-1) > 0).all()
    assert abs(t_of_probability(found, 1 / 6)) <= MOST
    k = np.arange(1, 4)
    t = t_inside(found, np.concatenate([x, x**2], axis=-1), np.concatenate([k / 4, k * (k + 1) / 20]))
    assert np.abs(t).max() <= MOST


@pytest.mark.slow
def test_a_prior_that_is_not_normal(key: jax.Array) -> None:
    """x_0 >= .99 in a flat simplex: x_0 ~ Beta(1, 2), P = 1e-4, E (1 - x_0) = 2/3 of a hundredth, and x_1 has
    half of what x_0 leaves: t <= 6 of 4, false alarm 4e-6.
    """
    prior = dist.Dirichlet(jnp.ones(3))
    found = run(On(0, AtLeast(0.99)), key, prior, plain)
    posterior = Posterior(prior, plain, On(0, AtLeast(0.99)))
    x = evaluate(posterior, found.z.reshape(-1, 2)).x.reshape(REPLICATES, PARTICLES, 3)
    rest = 1 - x[..., 0]
    assert (rest <= 0.01 + 1e-12).all()
    assert abs(t_of_probability(found, 1e-4)) <= MOST
    quantities = np.stack([rest, rest**2, x[..., 1] / rest], axis=-1)
    t = t_inside(found, quantities, np.array([2 / 3 * 0.01, 0.5 * 0.01**2, 0.5]))
    assert np.abs(t).max() <= MOST


def kinked(x: jax.Array) -> jax.Array:
    """Jumps and kinks: no gradient leads into the region."""
    y = jnp.maximum(tanh_network(2, 8, 3, seed=3)(2 * x), 0.0)
    return jnp.stack([y[0] - y[1], jnp.round(4 * x[0]) / 4 + y[2]])


BRUTE = 400_000
SMALL = {
    "smooth": (tanh_network(2, 8, 3, seed=1), Product([Argmax(2), On(0, Interval(0.45, 0.55))])),
    "kinks and jumps": (kinked, AnyOf([On(0, AtLeast(0.7)), On(1, AtMost(-2.6))])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_small_network_against_brute_force(name: str, key: jax.Array) -> None:
    """P and means of x, x^2 and sin 3x inside, from 400,000 prior draws; 7 z's with both errors: 7e-6."""
    forward, wish = SMALL[name]
    posterior = Posterior(Normal([0.3, -0.2], 1.0), forward, wish)
    found = METHOD.run(Region.of(posterior), key, Silent())
    brute = evaluate(posterior, sample_prior(posterior, jax.random.fold_in(key, 1), BRUTE))
    inside = brute.reached
    share = inside.mean()
    assert 1e-4 < share < 3e-2
    p = probabilities(found)
    error = math.hypot(p.std(ddof=1) / math.sqrt(len(p)), math.sqrt(share / BRUTE))
    assert abs(p.mean() - share) <= MOST * error

    def of(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, x**2, np.sin(3 * x)], axis=-1)

    truth = of(brute.x[inside])
    q = of(evaluate(posterior, found.z.reshape(-1, 2)).x).reshape(*found.z.shape[:2], -1)
    part = p[:, None] / p.mean() * (q.mean(axis=1) - truth.mean(axis=0))
    variance = part.var(axis=0, ddof=1) / len(p) + truth.var(axis=0) / len(truth)
    assert np.abs(part.mean(axis=0) / np.sqrt(variance)).max() <= MOST


def root(x: jax.Array) -> jax.Array:
    """NaN for a negative first input."""
    return jnp.sqrt(x[0]) + 0.0 * x[1]


@pytest.mark.slow
def test_nan_is_outside_and_counted(key: jax.Array) -> None:
    """sqrt(x_0) >= 1.5: P = Phi(-2.25), of which a network that is NaN on half of the prior knows nothing."""
    found = run(AtLeast(1.5), key, Normal(0.0, 1.0, 2), root)
    assert (found.z[..., 0] >= 2.25).all()
    assert abs(t_of_probability(found, stats.norm.sf(2.25))) <= MOST
    assert abs(found.notes["finite_under_prior"] - 0.5) < 0.02
    first = PARTICLES * (REPLICATES + 1)
    assert 0.48 * first < found.notes["nan_margins"] < found.notes["evaluations"]


@pytest.mark.slow
def test_outputs_in_other_units_are_as_likely(key: jax.Array) -> None:
    """y_1 in thousandths: without units its part of the union would be lost at the first level."""
    b = stats.norm.isf(1e-3)
    scale = np.array([[1.0], [1000.0]])
    wish = AnyOf([On(0, AtLeast(b)), On(1, AtLeast(1000 * b))])
    found = run(wish, key, forward=Function(linear, scale * MATRIX))
    second = (found.z @ MATRIX[1] >= b).mean(axis=1)
    assert (second > 0.2).all()
    assert abs(t_of_probability(found, 1 - (1 - 1e-3) ** 2)) <= MOST
