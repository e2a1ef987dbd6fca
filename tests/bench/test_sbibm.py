"""sbibm's tasks against SciPy, and against the draws that were published with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from probinv import InputError
from probinv.bench.sbibm_likelihoods import Cloud, Crescent
from probinv.bench.sbibm_tasks import OBSERVATIONS, TASKS, load_observation, tasks_folder
from probinv.posterior import Posterior

RNG = np.random.default_rng(0)


def solved(field: Any, start: Any, times: np.ndarray) -> np.ndarray:
    """(state, time) by an adaptive method of order 8."""
    found = integrate.solve_ivp(field, (0, times[-1]), start, "DOP853", times, rtol=1e-11, atol=1e-14)
    return found.y


def two_moons(x: np.ndarray, y: np.ndarray) -> float:
    place = y - np.array([-abs(x[0] + x[1]), x[1] - x[0]]) / np.sqrt(2) - np.array([0.25, 0])
    r = np.hypot(*place)
    return stats.norm(0.1, 0.01).logpdf(r) - np.log(np.pi * r) if place[0] > 0 else -np.inf


def slcp(x: np.ndarray, y: np.ndarray) -> float:
    a, b, r = x[2] ** 2, x[3] ** 2, np.tanh(x[4])
    covariance = np.array([[a * a, r * a * b], [r * a * b, b * b]]) + 1e-6 * np.eye(2)
    return stats.multivariate_normal(x[:2], covariance).logpdf(y.reshape(4, 2)).sum()


def sir(x: np.ndarray, y: np.ndarray) -> float:
    def field(_: float, u: np.ndarray) -> list[float]:
        return [-x[0] * u[0] * u[1], x[0] * u[0] * u[1] - x[1] * u[1], x[1] * u[1]]

    ill = solved(field, [1 - 1e-6, 1e-6, 0.0], np.arange(10) * 17.0)[1]
    return stats.binom(1000, ill).logpmf(y).sum()


def lotka_volterra(x: np.ndarray, y: np.ndarray) -> float:
    def field(_: float, u: np.ndarray) -> list[float]:
        return [x[0] * u[0] - x[1] * u[0] * u[1], x[3] * u[0] * u[1] - x[2] * u[1]]

    sizes = solved(field, [30.0, 1.0], np.linspace(0, 18.9, 10)).ravel()
    # the density of Y* is that of log Y* divided by Y*
    return stats.lognorm(0.1, scale=sizes).logpdf(y).sum() + np.log(y).sum()


def gaussian(x: np.ndarray, y: np.ndarray) -> float:
    return stats.norm(x, np.sqrt(0.1)).logpdf(y).sum()


# task -> log likelihood, law of one parameter each, an observation, parameters that could have given it
CASES: dict[str, tuple[Callable[..., float], Any, np.ndarray, np.ndarray]] = {
    "two_moons": (two_moons, stats.uniform(-1, 2), np.array([-0.15, 0.05]), np.array([0.25, 0.28])),
    "slcp": (slcp, stats.uniform(-3, 6), RNG.normal(size=8) * 3, np.array([0.7, -2.9, -1.0, -0.9, 0.6])),
    "sir": (
        sir,
        stats.lognorm([0.5, 0.2], scale=[0.4, 0.125]),
        np.array([0.0, 2.0, 300.0, 45.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        np.array([0.61, 0.19]),
    ),
    "lotka_volterra": (
        lotka_volterra,
        stats.lognorm(0.5, scale=np.exp([-0.125, -3, -0.125, -3])),
        RNG.uniform(0.5, 30, 20),
        np.array([0.69, 0.11, 0.89, 0.12]),
    ),
    "gaussian_linear": (gaussian, stats.norm(0, np.sqrt(0.1)), RNG.normal(size=10), RNG.normal(size=10) / 3),
    "gaussian_linear_uniform": (
        gaussian,
        stats.uniform(-1, 2),
        RNG.normal(size=10),
        RNG.uniform(-1, 1, 10),
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_likelihood_and_prior_are_those_of_scipy(task: str, x64: None) -> None:
    """At the parameters, and at others nearby; differential equations to 1e-6 in log y."""
    log_likelihood, law, y_star, true = CASES[task]
    posterior = TASKS[task].posterior(y_star)
    value = jax.jit(
        lambda x: (posterior.likelihood.log_prob(posterior.forward(x)), posterior.prior.log_prob(x))
    )
    for factor in (1.0, 1.02, 0.97):
        x = true * factor
        likelihood, prior = value(jnp.asarray(x))
        assert np.isclose(likelihood, log_likelihood(x, y_star), rtol=1e-5, atol=1e-5)
        assert np.isclose(prior, law.logpdf(x).sum())


@pytest.mark.parametrize("task", ["sir", "lotka_volterra"])
def test_equations_are_solved_to_six_digits(task: str, x64: None) -> None:
    """log y within 1e-6 of an adaptive method, at parameters within one deviation of the prior's median."""
    _, law, y_star, _ = CASES[task]
    posterior = TASKS[task].posterior(y_star)
    for level in (0.3, 0.5, 0.7):
        x = law.ppf(level) * np.ones(posterior.size)
        y = np.asarray(jax.jit(posterior.forward)(jnp.asarray(x)))
        if task == "sir":

            def field(_: float, u: np.ndarray, x: np.ndarray = x) -> list[float]:
                return [-x[0] * u[0] * u[1], x[0] * u[0] * u[1] - x[1] * u[1]]

            ill = solved(field, [1 - 1e-6, 1e-6], np.arange(10) * 17.0)[1]
            exact = np.log(ill / (1 - ill))
        else:

            def field(_: float, u: np.ndarray, x: np.ndarray = x) -> list[float]:
                return [x[0] * u[0] - x[1] * u[0] * u[1], x[3] * u[0] * u[1] - x[2] * u[1]]

            exact = np.log(solved(field, [30.0, 1.0], np.linspace(0, 18.9, 10)).ravel())
        assert np.abs(y - exact).max() < 1e-6


@pytest.mark.parametrize("task", TASKS)
def test_log_density_has_a_finite_gradient_under_the_prior(task: str, x64: None, key: jax.Array) -> None:
    posterior = TASKS[task].posterior(CASES[task][2])
    keys = jax.random.split(key, 200)

    @jax.jit
    def both(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        z = jax.vmap(posterior.prior.sample_latent)(keys)
        return jax.vmap(jax.value_and_grad(posterior.log_likelihood))(z)

    value, gradient = both(keys)
    assert np.isfinite(gradient).all()
    assert np.isfinite(value).all() or task == "two_moons"  # which is zero on one side of a line


def test_a_crescent_is_what_it_simulates(x64: None, key: jax.Array) -> None:
    """Its density is that of its draws: mean 1 / density over draws in a box is the area of the box."""
    wish, y = Crescent([0.0, 0.0]), jnp.array([0.3, -0.2])
    draws = np.asarray(jax.vmap(lambda k: wish.simulate(k, y))(jax.random.split(key, 20_000)))
    log_density = np.asarray(jax.vmap(lambda one: wish.at(one).log_prob(y))(draws))
    assert np.isfinite(log_density).all()
    low, high = np.array([0.6, -0.24]), np.array([0.66, -0.16])  # around the middle of the crescent
    inside = ((draws > low) & (draws < high)).all(axis=1) & (log_density > -2)
    weight = np.where(inside, np.exp(-np.where(inside, log_density, 0)), 0)
    grid = np.stack(np.meshgrid(*(np.linspace(a, b, 401) for a, b in zip(low, high, strict=True))), -1)
    above = jax.vmap(lambda one: wish.at(one).log_prob(y))(jnp.asarray(grid.reshape(-1, 2))) > -2
    area = np.prod(high - low) * np.mean(above)
    assert abs(weight.mean() - area) < 4.5 * weight.std() / np.sqrt(len(weight))
    reached = jax.vmap(lambda one: wish.at(one).reached(y))(draws)
    assert 0.998 < reached.mean() < 0.9999


def test_a_cloud_is_what_it_simulates(x64: None, key: jax.Array) -> None:
    """Mean and covariance of 20,000 points, and the share that counts as reached."""
    wish, y = Cloud(np.zeros((4, 2))), jnp.array([1.0, -2.0, 0.5, 0.3, 0.2])
    draws = jax.vmap(lambda k: wish.simulate(k, y))(jax.random.split(key, 5000))
    points = np.asarray(draws).reshape(-1, 2)
    covariance = np.array([[0.25, 0.15], [0.15, 0.13]])
    assert np.abs(points.mean(0) - [1, -2]).max() < 4.5 * 0.5 / np.sqrt(20_000)
    assert np.abs(np.cov(points.T) - covariance).max() < 4.5 * 0.25 * np.sqrt(2 / 20_000)
    assert 0.997 < jax.vmap(lambda one: wish.at(one).reached(y))(draws).mean() <= 1.0


@pytest.mark.parametrize(
    ("wish", "output"), [(Crescent([0.1, 0.2]), 2), (Cloud(np.arange(8.0).reshape(4, 2)), 5)]
)
def test_the_two_likelihoods_keep_the_contract(wish: Any, output: int) -> None:
    wish.check((output,))
    with pytest.raises(InputError, match="shape"):
        wish.check((output + 1,))
    assert wish.target_for((output,)).shape == (output,)
    assert "0.1" in wish.describe("y") or "normal law" in wish.describe("y")
    assert np.array_equal(wish.at(wish.target + 1).target, wish.target + 1)
    with pytest.raises(InputError, match="shape"):
        type(wish)(np.zeros(3))


def test_missing_data_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PROBINV_DATA", raising=False)
    with pytest.raises(InputError, match="PROBINV_DATA is not set"):
        tasks_folder()
    monkeypatch.setenv("PROBINV_DATA", str(tmp_path))
    with pytest.raises(InputError, match="has no folder two_moons"):
        tasks_folder()
    for task in TASKS:
        (tmp_path / task / "num_observation_1").mkdir(parents=True)
    with pytest.raises(InputError, match=r"observation\.csv cannot be read"):
        load_observation("sir", 1, tmp_path)
    (tmp_path / "sir/num_observation_1/observation.csv").write_text("a,b\n1,x\n")
    with pytest.raises(InputError, match=r"observation\.csv cannot be read"):
        load_observation("sir", 1, tmp_path)


@pytest.fixture(scope="module")
def published() -> Path:
    """sbibm's files, where PROBINV_DATA says that they are."""
    try:
        return tasks_folder()
    except InputError as error:
        pytest.skip(str(error))


@jax.jit
def _scores(posterior: Posterior, x: Any) -> tuple[jax.Array, jax.Array]:
    """z and d/dz log p(z | Y*) of rows of x."""
    z = jax.vmap(posterior.prior.inverse)(x)
    return z, jax.vmap(jax.grad(lambda z: posterior.log_prior(z) + posterior.log_likelihood(z)))(z)


@pytest.mark.slow
@pytest.mark.parametrize("task", [task for task in TASKS if task != "two_moons"])
def test_published_draws_are_draws_of_our_posterior(task: str, published: Path, x64: None) -> None:
    """E[s_i] = 0 and E[z_i s_i] = -1, s = d/dz log p(z | Y*) (Stein), over 2000 published draws.

    Five observations, at most 20 means each, 5 standard deviations: a false alarm in 17,000 runs.
    """
    for number in OBSERVATIONS:
        observation = load_observation(task, number, published)
        posterior = TASKS[task].posterior(observation.y_star)
        z, slope = (np.asarray(one) for one in _scores(posterior, observation.reference[::5]))
        for value, wanted in ((slope, 0.0), (z * slope, -1.0)):
            error = value.std(axis=0) / np.sqrt(len(value))
            assert (np.abs(value.mean(axis=0) - wanted) < 5 * error).all(), (number, wanted)


def moons(y_star: np.ndarray, count: int) -> np.ndarray:
    """Exact draws: x1 + x2 and x2 - x1 from simulated crescents, either sign, those inside the box."""
    rng = np.random.default_rng(1)
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, count), rng.normal(0.1, 0.01, count)
    y = y_star - np.stack([0.25 + radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    total, difference = np.sqrt(2) * y[:, 0] * rng.choice([-1, 1], count), np.sqrt(2) * y[:, 1]
    x = np.stack([total - difference, total + difference], axis=1) / 2
    return x[(y[:, 0] < 0) & (np.abs(x) < 1).all(axis=1)]


@pytest.mark.parametrize("number", OBSERVATIONS)
def test_published_moons_are_simulated_crescents(number: int, published: Path) -> None:
    """Kolmogorov-Smirnov tests of x1, x2, their sum and their difference; false alarm 1e-4 each."""
    observation = load_observation("two_moons", number, published)
    exact = moons(observation.y_star, 100_000)
    for row in ([1, 0], [0, 1], [1, 1], [-1, 1]):
        assert stats.ks_2samp(observation.reference @ row, exact @ row).pvalue > 1e-4
