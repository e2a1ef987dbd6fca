"""Three simulators whose inverses are compared by re-simulation, and networks of them.

S. Ren, W. Padilla, J. Malof: Benchmarking deep inverse models over time, and the neural-adjoint method,
NeurIPS 2020, arXiv 2009.12919; ballistics by J. Kruse, L. Ardizzone, C. Rother, U. Koethe 2021, arXiv
2101.10763.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpyro.distributions as dist
from jaxtyping import Float, Int

from probinv._checks import double_precision
from probinv.bench.problems import train_network
from probinv.forward import Dense, Layered
from probinv.prior import FromNumPyro, Named, Normal, Uniform
from probinv.prior._base import AbstractPrior

type Rows = Float[np.ndarray, "rows n"]
type Outputs = Float[np.ndarray, "rows m"]
type Labels = Int[np.ndarray, " rows"]

GRAVITY, DRAG, MASS = 9.81, 0.25, 0.2
LENGTHS = (0.5, 0.5, 1.0)
NEWTON_STEPS = 60
HIDDEN = (256, 256, 256)


class Simulator(NamedTuple):
    """x -> y, the law of x, and what inversion takes for that law.

    Attributes:
        run: rows of x -> rows of y; NaN where x is not valid.
        sample: count, seed -> rows of x, those that networks are trained and targets are made from.
        branch: rows of x -> which of the separate kinds of answer each is.
        prior: the same law, as nearly as a prior of continuous inputs can be.
        sizes: of x and y.
    """

    run: Callable[[Rows], Outputs]
    sample: Callable[[int, int], Rows]
    branch: Callable[[Rows], Labels]
    prior: Callable[[], AbstractPrior]
    sizes: tuple[int, int]


def sine(x: Rows) -> Outputs:
    """y = sin(3 pi x1) + cos(3 pi x2) for x in [-1, 1]^2; NaN outside."""
    y = np.sin(3 * np.pi * x[:, 0]) + np.cos(3 * np.pi * x[:, 1])
    return np.where((np.abs(x) <= 1).all(axis=1), y, np.nan)[:, None]


def _sample_sine(count: int, seed: int) -> Rows:
    return np.random.default_rng(seed).uniform(-1, 1, size=(count, 2))


def _cell(x: Rows) -> Labels:
    """The rectangle in which both waves are monotone: y has one arc in each of up to 7 x 6."""
    return (6 * (np.floor(3 * x[:, 0] + 0.5) + 3) + np.floor(3 * x[:, 1]) + 3).astype(int)


def arm(x: Rows) -> Outputs:
    """y = (sum_j l_j cos a_j, x1 + sum_j l_j sin a_j), a = (x2, x3 - x2, x4 - x3 - x2), l = (.5, .5, 1)."""
    angles, lengths = _angles(x), np.array(LENGTHS)
    return np.stack(
        [(lengths * np.cos(angles)).sum(axis=1), x[:, 0] + (lengths * np.sin(angles)).sum(axis=1)], axis=1
    )


def _angles(x: Rows) -> Outputs:
    return np.stack([x[:, 1], x[:, 2] - x[:, 1], x[:, 3] - x[:, 2] - x[:, 1]], axis=1)


def _elbows(x: Rows) -> Labels:
    """Which way each of the two elbows bends."""
    bend = np.sin(np.diff(_angles(x), axis=1)) > 0
    return 2 * bend[:, 0].astype(int) + bend[:, 1].astype(int)


def _sample_arm(count: int, seed: int) -> Rows:
    return np.random.default_rng(seed).normal(size=(count, 4)) * np.array([0.25, 0.5, 0.5, 0.5])


def ballistics(x: Rows) -> Outputs:
    """y: where a ball meets the ground that leaves (x1, x2) at the angle x3 with the speed x4, in air.

    With v = x4 (cos x3, sin x3), g = 9.81, k = .25, m = .2 its place at time t is

        (x1 - v1 m / k E,  x2 - m / k^2 ((g m + v2 k) E + g k t)),  E = exp(-k t / m) - 1.

    The height is concave in t, so Newton's method from a time after the impact falls to it steadily. NaN for
    a start below the ground, or a speed that is not positive.
    """
    x1, x2, angle, speed = x.T
    valid = (x2 >= 0) & (speed > 0)
    v1, v2 = speed * np.cos(angle), np.where(valid, speed, 1.0) * np.sin(angle)
    start, decay = np.where(valid, x2, 0.0), DRAG / MASS
    push = (GRAVITY * MASS + v2 * DRAG) * MASS / DRAG**2
    time = (start + push) * decay / GRAVITY
    for _ in range(NEWTON_STEPS):
        height = start - push * np.expm1(-decay * time) - GRAVITY / decay * time
        time = time - height / (push * decay * np.exp(-decay * time) - GRAVITY / decay)
    return np.where(valid, x1 - v1 / decay * np.expm1(-decay * time), np.nan)[:, None]


def _arc(x: Rows) -> Labels:
    """1 for a flat throw, which a steeper angle takes farther, 0 for a high one."""
    return (ballistics(x + np.array([0, 0, 1e-5, 0])) > ballistics(x))[:, 0].astype(int)


def _sample_ballistics(count: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(count, 2)) * 0.5 + np.array([0.0, 1.5])
    angle, speed = rng.uniform(0.05 * np.pi, 0.45 * np.pi, count), rng.poisson(15, count)
    return np.column_stack([place[:, 0], np.maximum(place[:, 1], 0.0), angle, speed])


def _prior_ballistics() -> AbstractPrior:
    """The height's point mass at 0 (0.1 %) is left out, and Poisson(15) is a normal law of its variance."""
    return Named(
        {
            "place": Normal(0.0, 0.5),
            "height": FromNumPyro(dist.TruncatedNormal(1.5, 0.5, low=0.0, high=4.0)),
            "angle": Uniform(0.05 * np.pi, 0.45 * np.pi),
            "speed": FromNumPyro(dist.TruncatedNormal(15.0, float(np.sqrt(15)), low=1.0, high=35.0)),
        }
    )


SIMULATORS = {
    "sine": Simulator(sine, _sample_sine, _cell, lambda: Uniform(-1.0, 1.0, 2), (2, 1)),
    "arm": Simulator(arm, _sample_arm, _elbows, lambda: Normal(0.0, [0.25, 0.5, 0.5, 0.5]), (4, 2)),
    "ballistics": Simulator(ballistics, _sample_ballistics, _arc, _prior_ballistics, (4, 1)),
}


def train_surrogate(
    simulator: Simulator, *, points: int = 10_000, steps: int = 12_000, seed: int = 0
) -> Layered:
    """A network of three layers of 256 GELU units, trained on `points` pairs (x, y).

    Inputs and outputs are scaled to mean 0 and deviation 1 for training; the scaling is then part of the
    first and last layer.
    """
    x = simulator.sample(points, seed)
    y = simulator.run(x)
    centre, spread, middle, range_ = x.mean(0), x.std(0), y.mean(0), y.std(0)
    sizes = (simulator.sizes[0], *HIDDEN, simulator.sizes[1])
    trained = train_network(
        (x - centre) / spread,
        (y - middle) / range_,
        sizes,
        activation="gelu",
        steps=steps,
        batch=256,
        rate=2e-3,
    )
    dense = [layer for layer in trained.layers if isinstance(layer, Dense)]
    weights, biases = [np.asarray(one.weight) for one in dense], [np.asarray(one.bias) for one in dense]
    biases[0] = biases[0] - weights[0] @ (centre / spread)
    weights[0] = weights[0] / spread
    weights[-1], biases[-1] = weights[-1] * range_[:, None], biases[-1] * range_ + middle
    with double_precision():
        return Layered.from_arrays(weights, biases, "gelu")
