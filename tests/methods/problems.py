"""Posteriors with known answers, and what the tests of methods share."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np

from probinv.forward import Function
from probinv.likelihood import Gaussian
from probinv.methods import Draws
from probinv.posterior import Posterior
from probinv.prior import Normal


class Silent:
    """A progress that says nothing."""

    def update(self, steps: int, phase: str) -> None:
        pass


class Interrupt:
    """A progress that interrupts at its n-th update, or at the n-th of one phase."""

    def __init__(self, at: int, phase: str | None = None) -> None:
        self.left, self.phase = at, phase

    def update(self, steps: int, phase: str) -> None:
        if self.phase in (None, phase):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def prefix(draws: Draws, of: Draws, *, start: int = 0) -> bool:
    """Whether z and every statistic are, bit for bit, those of a part of another run."""
    rows = slice(start, start + draws.z.shape[1])
    same = [np.array_equal(draws.z, of.z[:, rows])]
    same += [np.array_equal(value, of.stats[name][:, rows]) for name, value in draws.stats.items()]
    return all(same)


def linear(matrix: Any, x: jax.Array) -> jax.Array:
    return matrix @ x


def square(x: jax.Array) -> jax.Array:
    return x**2


@dataclass(frozen=True)
class Gauss:
    """x ~ N(m0, S0), Y* = A x + noise: the posterior of z, x = m0 + s0 z, and log p(Y*) in closed form."""

    posterior: Posterior
    mean: np.ndarray
    covariance: np.ndarray
    log_evidence: float

    def whiten(self, z: np.ndarray) -> np.ndarray:
        """w = L^-1 (z - mean), covariance = L L^T: independent standard normal numbers, if z is right."""
        return (z - self.mean) @ np.linalg.inv(np.linalg.cholesky(self.covariance)).T


@cache
def gauss(size: int, outputs: int, sigma: float = 0.3) -> Gauss:
    """A linear network with a Gaussian prior and wish, of which every number is another one."""
    rng = np.random.default_rng(size + 40)
    matrix = rng.standard_normal((outputs, size)) / np.sqrt(size)
    loc, scale = rng.standard_normal(size), np.linspace(0.5, 1.5, size)
    noise, y_star = sigma * np.linspace(1.0, 2.0, outputs), rng.standard_normal(outputs)
    slope, offset = matrix * scale, y_star - matrix @ loc
    precision = np.eye(size) + (slope.T / noise**2) @ slope
    covariance = np.linalg.inv(precision)
    spread = (slope @ slope.T) + np.diag(noise**2)
    _, log_det = np.linalg.slogdet(2 * np.pi * spread)
    return Gauss(
        Posterior(Normal(loc, scale), Function(linear, matrix), Gaussian(y_star, noise)),
        covariance @ (slope.T @ (offset / noise**2)),
        covariance,
        float(-0.5 * log_det - 0.5 * offset @ np.linalg.solve(spread, offset)),
    )


def scores(quantities: np.ndarray, wanted: Any) -> np.ndarray:
    """z of the mean over chains of (chain, draw, k) numbers: of Student's law with chains - 1 degrees.

    Chains are independent, so the spread of their means gives the exact standard error, whatever the
    autocorrelation within a chain.
    """
    means = quantities.mean(axis=1)
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    return (means.mean(axis=0) - wanted) / error


def moments(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w_i and w_i w_j for i <= j, of (chain, draw, n) numbers, and their means for w ~ N(0, I)."""
    rows, columns = np.triu_indices(w.shape[-1])
    products = w[..., rows] * w[..., columns]
    return np.concatenate([w, products], axis=-1), np.concatenate(
        [np.zeros(w.shape[-1]), (rows == columns).astype(float)]
    )
