"""The exact sampler of the robot arm, against laws that were found in other ways."""

from collections.abc import Callable
from functools import cache

import jax
import numpy as np
import pytest

from probinv import InputError, NumericalError
from probinv.bench.kinematics import HAND, SPREAD, exact_draws, hand

FUNCTIONS = {
    "|x1|": lambda x: np.abs(x[:, 0]),
    "x1 x2": lambda x: x[:, 0] * x[:, 1],
    "x2^2": lambda x: x[:, 1] ** 2,
    "x3^2": lambda x: x[:, 2] ** 2,
    "x4^2": lambda x: x[:, 3] ** 2,
    "x3 x4": lambda x: x[:, 2] * x[:, 3],
    "x4 > 1": lambda x: x[:, 3] > 1.0,
}


def by_hand(x: np.ndarray) -> np.ndarray:
    """The end point of three arms, one after the other."""
    place = np.stack([np.zeros(len(x)), x[:, 0]], axis=1)
    angle = np.zeros(len(x))
    for joint, length in ((1, 0.5), (2, 0.5), (3, 1.0)):
        angle = angle + x[:, joint]
        place = place + length * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return place


def test_the_hand_is_where_the_arms_end(x64: None) -> None:
    x = np.random.default_rng(0).normal(size=(50, 4))
    assert np.allclose(jax.vmap(hand)(x), by_hand(x), atol=1e-14)


@pytest.mark.parametrize("y", [HAND, (0.8, 0.6)])
def test_exact_draws_put_the_hand_there(y: tuple[float, float]) -> None:
    x = exact_draws(y, 2000, proposals=200_000)
    assert np.abs(by_hand(x) - y).max() < 1e-12
    assert len(np.unique(x, axis=0)) > 1900


type Means = dict[str, tuple[float, float]]


def means(x: np.ndarray, weight: np.ndarray) -> Means:
    """Mean of each function under weighted rows, and the standard deviation of that mean."""
    weight = weight / weight.sum()
    found = {}
    for name, function in FUNCTIONS.items():
        value = function(x).astype(float)
        mean = np.sum(weight * value)
        found[name] = mean, np.sqrt(np.sum(weight**2 * (value - mean) ** 2))
    return found


def brute_force(y: tuple[float, float]) -> Means:
    """Draws of the prior, weighted by N(y; hand(x), .02^2)."""
    x = np.random.default_rng(2).normal(size=(1_000_000, 4)) * np.array(SPREAD)
    weight = np.exp(-0.5 * np.sum((by_hand(x) - y) ** 2, axis=1) / 0.02**2)
    return means(x[weight > 1e-12], weight[weight > 1e-12])


def other_coordinates(y: tuple[float, float]) -> Means:
    """(x3, x4) of the prior, x2 from y1, x1 from y2, weighted by N(x1) N(x2) / |dy1/dx2|."""
    x3, x4 = np.random.default_rng(3).normal(scale=0.5, size=(2, 500_000))
    # y1 is the real part of e^(i x2) times this sum, and y2 - x1 the imaginary one
    sums = 0.5 + 0.5 * np.exp(1j * x3) + np.exp(1j * (x3 + x4))
    possible = np.abs(sums) > y[0]
    x3, x4, sums = x3[possible], x4[possible], sums[possible]
    rows, weights = [], []
    for sign in (1, -1):
        x2 = np.mod(sign * np.arccos(y[0] / np.abs(sums)) - np.angle(sums) + np.pi, 2 * np.pi) - np.pi
        place = sums * np.exp(1j * x2)
        x1 = y[1] - place.imag
        rows.append(np.stack([x1, x2, x3, x4], axis=1))
        weights.append(np.exp(-0.5 * (x1 / 0.25) ** 2 - 0.5 * (x2 / 0.5) ** 2) / np.abs(place.imag))
    return means(np.concatenate(rows), np.concatenate(weights))


@cache
def exact(y: tuple[float, float]) -> np.ndarray:
    return exact_draws(y, 20_000, seed=1)


@pytest.mark.parametrize("other", [brute_force, other_coordinates])
@pytest.mark.parametrize("y", [HAND, (0.8, 0.6)])
def test_exact_draws_have_the_law_found_otherwise(
    y: tuple[float, float], other: Callable[[tuple[float, float]], Means]
) -> None:
    """Seven means, each within 4.5 standard deviations of both samples: false alarm 1 in 20,000."""
    x = exact(y)
    for name, (mean, deviation) in other(y).items():
        value = FUNCTIONS[name](x).astype(float)
        assert abs(value.mean() - mean) < 4.5 * np.hypot(deviation, value.std() / np.sqrt(len(x))), name


@pytest.mark.parametrize(
    ("y", "count", "proposals", "error", "words"),
    [
        ((5.0, 0.0), 10, 10_000, NumericalError, "cannot be drawn"),
        (HAND, 10_000, 100, NumericalError, "more than three times"),
        ((1.0, 2.0, 3.0), 10, 100, InputError, "shape"),
        (HAND, 0, 100, InputError, "count"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    y: tuple[float, ...], count: int, proposals: int, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        exact_draws(y, count, proposals=proposals)
