"""LiftedHMC against closed forms, quadrature and an exact sampler, at tolerances from 1 to none.

32 chains; every t-score is the mean over the chains, less the exact value, over its standard error: of
Student's law with 31 degrees of freedom, of which |t| > 6 has probability 1.2e-6.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinv.forward import Function
from probinv.likelihood import Exactly, Gaussian, On, Product
from probinv.methods import Draws, LiftedHMC
from probinv.posterior import Constraint, Posterior
from probinv.prior import Normal, Uniform
from tests.methods.problems import Silent, linear, moments, scores
from tests.methods.surfaces import (
    ELLIPSE,
    HAND,
    TOY,
    arm,
    curve,
    hands,
    near_curve,
    on_curve,
    whitened,
)

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.slow]
CHAINS, DRAWS = 32, 100
METHOD = LiftedHMC(draws=DRAWS, warmup=200, chains=CHAINS, thin=4)
MOST = 6.0


def run(posterior: Posterior, key: jax.Array) -> Draws:
    draws = METHOD.run(Constraint.of(posterior), key, Silent())
    assert draws.z.shape == (CHAINS, DRAWS, posterior.size)
    assert np.isfinite(draws.z).all()
    return draws


def x_of(posterior: Posterior, draws: Draws) -> np.ndarray:
    flat = jax.jit(jax.vmap(posterior.x))(draws.z.reshape(-1, posterior.size))
    return np.asarray(flat).reshape(CHAINS, DRAWS, -1)


def independent(t: np.ndarray, quantities: np.ndarray) -> None:
    """Right means, from draws worth at least a fifth of as many independent ones."""
    assert np.abs(t).max() <= MOST, t
    within = quantities.std(axis=(0, 1))
    worth = (within / quantities.mean(axis=1).std(axis=0, ddof=1)) ** 2 / DRAWS
    assert np.median(worth) > 0.2, worth


def line(sigma: float, y_star: Any = (0.3, -0.7)) -> tuple[Posterior, np.ndarray, np.ndarray]:
    """A linear map R^4 -> R^2 with a tolerance or without, and its whitened slope and offset."""
    rng = np.random.default_rng(3)
    loc, scale, matrix = rng.standard_normal(4), np.linspace(0.5, 1.5, 4), rng.standard_normal((2, 4))
    y_star, noise = np.asarray(y_star, float), (sigma or 1e-12) * np.array([1.0, 2.0])
    wish: Any = Gaussian(y_star, noise) if sigma else Exactly(y_star)
    network = Function(arm, (np.array(0.0), matrix))
    slope, offset = matrix * scale / noise[:, None], (y_star - matrix @ loc) / noise
    matters = ~np.isnan(y_star)
    return Posterior(Normal(loc, scale), network, wish), slope[matters], offset[matters]


@pytest.mark.parametrize("sigma", [0.3, 1e-2, 1e-4, 1e-8])
def test_a_linear_map(sigma: float, key: jax.Array) -> None:
    """Means and covariances by the closed form: 14 t-scores, false alarm 2e-5."""
    posterior, slope, offset = line(sigma)
    w = whitened(slope, offset, run(posterior, key).z)
    quantities, wanted = moments(w)
    independent(scores(quantities, wanted), quantities)
    wrong, *_ = moments(whitened(slope / 1.3, offset / 1.3, run(posterior, key).z))
    assert np.abs(scores(wrong, wanted)).max() > MOST  # a tolerance that is wrong by a third is seen


def test_a_linear_map_exactly(key: jax.Array) -> None:
    """Two coordinates are given, the two across are N(0, I): 5 t-scores, false alarm 6e-6."""
    posterior, slope, offset = line(0.0)
    draws = run(posterior, key)
    given = draws.z @ slope.T - offset
    assert np.abs(given * 1e-12).max() < 1e-9
    quantities, wanted = moments(draws.z @ np.linalg.svd(slope)[2][2:].T)
    independent(scores(quantities, wanted), quantities)
    y = jax.vmap(posterior.y)(draws.z.reshape(-1, 4))
    assert np.asarray(jax.vmap(posterior.likelihood.reached)(y)).all()


def test_an_output_that_does_not_matter(key: jax.Array) -> None:
    """The law given the other output alone; 14 t-scores, false alarm 2e-5."""
    posterior, slope, offset = line(1e-3, (np.nan, -0.7))
    quantities, wanted = moments(whitened(slope, offset, run(posterior, key).z))
    independent(scores(quantities, wanted), quantities)


@pytest.mark.parametrize("sigma", [0.3, 1e-4, 1e-7])
def test_more_outputs_than_coordinates(sigma: float, key: jax.Array) -> None:
    """Five outputs of two inputs: five t-scores, false alarm 6e-6."""
    rng = np.random.default_rng(5)
    matrix, noise = rng.standard_normal((5, 2)), sigma * np.linspace(1.0, 2.0, 5)
    y_star = matrix @ [0.4, -0.9] + noise * rng.standard_normal(5)
    posterior = Posterior(Normal(0.0, 1.0, 2), Function(linear, matrix), Gaussian(y_star, noise))
    draws = run(posterior, key)
    quantities, wanted = moments(whitened(matrix / noise[:, None], y_star / noise, draws.z))
    independent(scores(quantities, wanted), quantities)
    assert draws.stats["not_projected"].sum() + draws.stats["not_reversible"].sum() == 0


def test_exact_outputs_beside_others_with_a_tolerance(key: jax.Array) -> None:
    """One of four outputs of two inputs exactly, three within 0.1; 2 t-scores, false alarm 2e-6."""
    rng = np.random.default_rng(6)
    matrix, y_star = rng.standard_normal((4, 2)), rng.standard_normal(4)
    wish = Product([On([0], Exactly(y_star[:1])), On([1, 2, 3], Gaussian(y_star[1:], 0.1))])
    z = run(Posterior(Normal(0.0, 1.0, 2), Function(linear, matrix), wish), key).z
    assert np.abs(z @ matrix[0] - y_star[0]).max() < 1e-9
    along = np.array([-matrix[0, 1], matrix[0, 0]]) / np.linalg.norm(matrix[0])
    origin = matrix[0] * y_star[0] / (matrix[0] @ matrix[0])
    slope = (matrix[1:] @ along / 0.1)[:, None]
    quantities, wanted = moments(
        whitened(slope, (y_star[1:] - matrix[1:] @ origin) / 0.1, (z @ along)[..., None])
    )
    independent(scores(quantities, wanted), quantities)


def plane(c: np.ndarray, level: float, sigma: float) -> Posterior:
    wish: Any = Gaussian([level], sigma) if sigma else Exactly([level])
    return Posterior(Normal(0.0, 1.0, 2), Function(curve, c), wish)


def standard(x: np.ndarray) -> np.ndarray:
    return -0.5 * np.sum(x**2, axis=-1)


def shape(x: np.ndarray) -> np.ndarray:
    """What the law of a point in the plane is judged by."""
    a, b = x[..., 0], x[..., 1]
    parts = [a, b, a**2, b**2, a * b, np.abs(b), np.sin(3 * a), np.cos(2 * b), (a > 0.5) & (b > 0)]
    return np.stack(parts, axis=-1).astype(float)


def test_the_law_on_an_ellipse(key: jax.Array) -> None:
    """p(x) det(J J^T)^(-1/2) with respect to arc length; false alarm 1.1e-5."""
    z = run(plane(ELLIPSE, 1.0, 0.0), key).z
    assert np.abs(ELLIPSE[0] * z[..., 0] ** 2 + ELLIPSE[1] * z[..., 1] ** 2 - 1).max() < 1e-9
    wanted, _ = on_curve(ELLIPSE, 1.0, standard, shape)
    independent(scores(shape(z), wanted), shape(z))

    # without the determinant: p(x) with respect to arc length
    def dropped(x: np.ndarray) -> np.ndarray:
        return standard(x) + np.log(np.linalg.norm(2 * ELLIPSE[:2] * x, axis=-1))

    assert np.abs(scores(shape(z), on_curve(ELLIPSE, 1.0, dropped, shape)[0])).max() > MOST


@pytest.mark.parametrize("sigma", [1.0, 0.1, 1e-2, 1e-3, 1e-4, 0.0])
def test_the_toy_of_the_paper(sigma: float, key: jax.Array) -> None:
    """x1^2 + x0^2 (x0^2 - 1/2) = 1 with every tolerance; false alarm 1.1e-5 each."""
    z = run(plane(TOY, 1.0, sigma), key).z
    if sigma:
        wanted = near_curve(TOY, 1.0, sigma, standard, shape)
    else:
        wanted, _ = on_curve(TOY, 1.0, standard, shape)
    independent(scores(shape(z), wanted), shape(z))


def test_quadrature_agrees_with_itself() -> None:
    """On a grid and along curves; the sum over a circle; more nodes."""
    wide = near_curve(TOY, 1.0, 0.1, standard, shape)
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    parts = [on_curve(TOY, 1.0 + 0.1 * node, standard, shape) for node in nodes]
    mass = weights * np.array([m for _, m in parts])
    assert np.allclose(mass @ np.stack([mean for mean, _ in parts]) / mass.sum(), wide, atol=2e-3)
    circle = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    mean, mass_of_circle = on_curve(circle, 4.0, standard, shape)
    assert np.isclose(mass_of_circle, 2 * np.pi * 2 * np.exp(-2) / 4)  # length x density / |gradient|
    assert np.allclose(mean[:5], [0, 0, 2, 2, 0], atol=1e-9)
    finer, _ = on_curve(TOY, 1.0, standard, shape, 16_000)
    assert np.allclose(on_curve(TOY, 1.0, standard, shape)[0], finer, atol=1e-3)


def test_inverse_kinematics(key: jax.Array) -> None:
    """Every position of the arm that puts the hand at (1.5, 0) exactly; 14 t-scores, false alarm 2e-5."""
    posterior = Posterior(HAND.prior, HAND.forward, Exactly([1.5, 0.0]))

    def of(x: np.ndarray) -> np.ndarray:
        return moments(x)[0]

    quantities = of(x_of(posterior, run(posterior, key)))
    independent(scores(quantities, hands(np.array([1.5, 0.0]), of)), quantities)


def test_a_box_with_density_at_its_walls(key: jax.Array) -> None:
    """0.3 x0^2 + 0.5 x0 + x1 = 0.9 on [0, 1] x [0, 1.5]: the level set ends at two walls; false
    alarm 1e-5."""
    low, high = np.zeros(2), np.array([1.0, 1.5])
    c = np.array([0.3, 0.0, 0.0, 0.5, 1.0])
    posterior = Posterior(Uniform(low, high), Function(curve, c), Gaussian([0.9], 0.05))

    def of(x: np.ndarray) -> np.ndarray:
        near = [x[..., 0] < 0.03, x[..., 0] > 0.97, x[..., 1] < 0.1]
        return np.stack([x[..., 0], x[..., 1], x[..., 0] ** 2, x[..., 0] * x[..., 1], *near], axis=-1)

    ticks = [low[k] + (high[k] - low[k]) * (np.arange(2000) + 0.5) / 2000 for k in (0, 1)]
    grid = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    y = 0.3 * grid[:, 0] ** 2 + 0.5 * grid[:, 0] + grid[:, 1]
    w = np.exp(-0.5 * ((y - 0.9) / 0.05) ** 2)
    x = x_of(posterior, run(posterior, key))
    assert ((x >= low) & (x <= high)).all()
    independent(scores(of(x), w @ of(grid) / w.sum()), of(x))


def test_a_prior_that_is_not_normal_in_z(key: jax.Array) -> None:
    """Shares of three that add up to one, Dirichlet(2, 1, 3): p(z) is in the potential; false alarm 1e-5."""
    alpha, c = np.array([2.0, 1.0, 3.0]), np.array([1.0, -2.0, 0.0, 0.5, 1.0])
    posterior = Posterior(dist.Dirichlet(jnp.asarray(alpha)), Function(curve, c), Gaussian([0.35], 0.02))
    assert not posterior.prior.standard
    ticks = (np.arange(3000) + 0.5) / 3000
    a, b = (part.ravel() for part in np.meshgrid(ticks, ticks, indexing="ij"))
    a, b = a[a + b < 1], b[a + b < 1]
    y = a**2 - 2 * b**2 + 0.5 * a + b
    w = a * (1 - a - b) ** 2 * np.exp(-0.5 * ((y - 0.35) / 0.02) ** 2)

    def of(x: np.ndarray) -> np.ndarray:
        a, b = x[..., 0], x[..., 1]
        return np.stack([a, b, a**2, b**2, a * b, a > 0.4], axis=-1).astype(float)

    x = x_of(posterior, run(posterior, key))
    independent(scores(of(x), w @ of(np.stack([a, b], axis=-1)) / w.sum()), of(x))
