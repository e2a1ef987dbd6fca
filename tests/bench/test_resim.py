"""The simulators of re-simulation, and proposals whose errors are known."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from probinv._checks import double_precision
from probinv.bench import resim
from probinv.bench.resim import Proposals, branches, errors, held, propose
from probinv.bench.simulators import SIMULATORS, arm, ballistics, sine, train_surrogate
from probinv.forward import Function


def impact(x1: float, x2: float, angle: float, speed: float) -> float:
    """Where the ball lands: dv/dt = (0, -g) - k/m v in closed form, its landing bracketed."""
    rate = 0.25 / 0.2

    def height(t: float) -> float:
        fall = 9.81 / rate
        return x2 + (speed * np.sin(angle) + fall) / rate * (1 - np.exp(-rate * t)) - fall * t

    t = optimize.brentq(height, 1e-9, 100.0, xtol=1e-14)
    return x1 + speed * np.cos(angle) / rate * (1 - np.exp(-rate * t))


def test_balls_land_where_a_bracket_finds_them() -> None:
    x = SIMULATORS["ballistics"].sample(50, 0)
    x[:, 1] = np.maximum(x[:, 1], 1e-3)
    assert np.allclose(ballistics(x)[:, 0], [impact(*row) for row in x], atol=1e-10)


def test_a_ball_in_air_follows_its_equation() -> None:
    """Euler's method with a million small steps, to its own error."""
    x1, x2, angle, speed = 0.1, 1.2, 0.7, 14.0
    place, velocity, step = np.array([x1, x2]), speed * np.array([np.cos(angle), np.sin(angle)]), 1e-5
    while place[1] > 0:
        place = place + step * velocity
        velocity = velocity + step * (np.array([0, -9.81]) - 0.25 / 0.2 * velocity)
    assert abs(ballistics(np.array([[x1, x2, angle, speed]]))[0, 0] - place[0]) < 1e-3


def test_the_arm_and_the_sine_are_their_formulas() -> None:
    x = np.array([[0.1, 0.2, 0.7, -0.4]])
    angles = [0.2, 0.7 - 0.2, -0.4 - 0.7 - 0.2]
    ends = sum(length * np.exp(1j * a) for length, a in zip((0.5, 0.5, 1.0), angles, strict=True))
    assert np.allclose(arm(x), [[ends.real, 0.1 + ends.imag]])
    assert np.allclose(sine(np.array([[0.25, -0.5]])), np.sin(0.75 * np.pi) + np.cos(1.5 * np.pi))


@pytest.mark.parametrize(
    ("name", "x"),
    [("sine", [1.01, 0.0]), ("ballistics", [0.0, -0.1, 0.7, 15.0]), ("ballistics", [0.0, 1.0, 0.7, 0.0])],
)
def test_what_is_not_valid_has_no_output(name: str, x: list[float]) -> None:
    assert np.isnan(SIMULATORS[name].run(np.array([x]))).all()


@pytest.mark.parametrize("name", SIMULATORS)
def test_priors_are_the_laws_of_the_samples(name: str, x64: None, key: jax.Array) -> None:
    """Means and deviations of 20,000 draws of each; a height of 0 and whole speeds are told nowhere."""
    simulator = SIMULATORS[name]
    drawn = np.asarray(jax.vmap(simulator.prior().sample)(jax.random.split(key, 20_000)))
    sampled = simulator.sample(20_000, 1)
    spread = sampled.std(axis=0)
    assert (np.abs(drawn.mean(0) - sampled.mean(0)) < 6 * spread / np.sqrt(20_000)).all()
    assert np.allclose(drawn.std(0), spread, rtol=0.03)


def test_branches_are_counted(x64: None) -> None:
    sines = SIMULATORS["sine"].branch(np.random.default_rng(0).uniform(-1, 1, (20_000, 2)))
    assert len(np.unique(sines)) == 42  # 7 x 6 rectangles
    flat, high = np.array([[0.0, 1.5, 0.3, 15.0]]), np.array([[0.0, 1.5, 1.2, 15.0]])
    assert SIMULATORS["ballistics"].branch(flat) == 1
    assert SIMULATORS["ballistics"].branch(high) == 0
    bends = np.array([[0.0, 0.0, 0.5, 1.5], [0.0, 0.0, -0.5, -1.5], [0.0, 0.0, 0.5, 0.5]])
    assert SIMULATORS["arm"].branch(bends).tolist() == [3, 0, 2]


def test_a_surrogate_is_trained_in_the_units_of_the_simulator() -> None:
    """A short training already explains 90 % of the variance; scaled wrongly it would explain nothing."""
    simulator = SIMULATORS["ballistics"]
    network = train_surrogate(simulator, points=500, steps=100)
    x = simulator.sample(500, 5)
    with double_precision():
        error = np.asarray(jax.jit(jax.vmap(network))(x)) - simulator.run(x)
    assert [len(layer.bias) for layer in network.layers if hasattr(layer, "bias")] == [256, 256, 256, 1]
    assert error.var() < 0.1 * simulator.run(x).var()


def wave(x: jax.Array) -> jax.Array:
    return (jnp.sin(3 * jnp.pi * x[0]) + jnp.cos(3 * jnp.pi * x[1]))[None]


@pytest.fixture(scope="module")
def proposed() -> tuple[Proposals, np.ndarray, np.ndarray]:
    """Proposals for 20 targets where the network is the simulator itself; the targets; what gave them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(resim, "POOL", 50_000)
    patch.setattr(resim, "PROPOSALS", 200)
    true = SIMULATORS["sine"].sample(20, 3)
    targets = sine(true)
    found = propose(Function(wave), SIMULATORS["sine"], targets, jax.random.key(0))
    patch.undo()
    return found, targets, true


def test_proposals_through_the_simulator_itself_are_exact(proposed: Any) -> None:
    found, targets, _ = proposed
    error = errors(found, SIMULATORS["sine"], targets)
    assert found.x.shape == (20, 200, 2)
    assert error[:, :190].max() < 1e-18  # those that did not arrive are last
    assert (np.diff(found.misfit > 1e-8, axis=1) >= 0).all()


def test_proposals_are_draws_of_all_branches(proposed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many branches, and their weights as far off, as those of exact answers; true inputs are held."""
    found, targets, true = proposed
    monkeypatch.setattr(resim, "EXACT_POOL", 200_000)
    told = branches(found, SIMULATORS["sine"], targets, 7)
    assert abs(told.hit - told.hit_by_exact) < 0.03
    assert abs(told.weight_error - told.weight_error_of_exact) < 0.05
    assert held(found, true) > 0.75  # 40 numbers of 90 %, 3 deviations
    narrow = found._replace(x=np.where(found.x > 0, found.x, found.x + 2 / 3))  # those below 0 are moved away
    assert branches(narrow, SIMULATORS["sine"], targets, 7).hit < 0.9 * told.hit


def test_an_invalid_proposal_counts_as_infinite() -> None:
    x = np.array([[[0.5, 0.5], [1.5, 0.0]]])
    error = errors(Proposals(x, np.zeros((1, 2)), 1.0), SIMULATORS["sine"], sine(x[0, :1]))
    assert error[0, 0] == 0
    assert np.isinf(error[0, 1])
