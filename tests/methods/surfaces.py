"""Level sets with known laws: plane curves, the robot arm, linear maps at any tolerance."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinv.forward import Function
from probinv.likelihood import Gaussian
from probinv.posterior import Posterior
from probinv.prior import Normal

type Of = Callable[[np.ndarray], np.ndarray]

ELLIPSE = np.array([1 / 1.5**2, 1 / 0.6**2, 0.0, 0.0, 0.0])
TOY = np.array([-0.5, 1.0, 1.0, 0.0, 0.0])
"""x1^2 + x0^2 (x0^2 - 1/2) of Au, Graham & Thiery 2023: one loop at 1, two between -1/16 and 0."""


def curve(c: Any, x: jax.Array) -> jax.Array:
    """c0 x0^2 + c1 x1^2 + c2 x0^4 + c3 x0 + c4 x1, of shape (1,)."""
    a, b = x[0], x[1]
    return jnp.stack([c[0] * a**2 + c[1] * b**2 + c[2] * a**4 + c[3] * a + c[4] * b])


def arm(turn: Any, x: jax.Array) -> jax.Array:
    """Where the hand of a robot arm is (Kruse 2021), less `turn[0]` of it, and a linear map `turn[1]`."""
    angle = jnp.cumsum(x[1:])
    length = jnp.array([0.5, 0.5, 1.0])
    hand = jnp.stack([length @ jnp.cos(angle), x[0] + length @ jnp.sin(angle)])
    return turn[0] * hand + turn[1] @ x


HAND = Posterior(
    Normal(np.zeros(4), [0.25, 0.5, 0.5, 0.5]),
    Function(arm, (np.array(1.0), np.zeros((2, 4)))),
    Gaussian(np.array([1.5, 0.0]), np.ones(2)),
)


def on_curve(
    c: np.ndarray, level: float, log_prior: Of, of: Of, nodes: int = 4000
) -> tuple[np.ndarray, float]:
    """E[of(x)] and the mass under p(x) / |grad F| d(arc length) on { F = level }, by quadrature.

    ds / |grad F| = dx0 / |dF/dx1| = dx0 / (2 c1 |x1|). On each interval of x0 with x1^2 > 0 the substitution
    x0 = middle - half cos t takes the roots at its ends out.
    """
    assert c[4] == 0
    square = np.polynomial.Polynomial([level / c[1], -c[3] / c[1], -c[0] / c[1], 0.0, -c[2] / c[1]])
    ends = np.sort([root.real for root in square.roots() if abs(root.imag) < 1e-9])
    total, mass = 0.0, 0.0
    for low, high in pairwise(ends):
        if square((low + high) / 2) <= 0:
            continue
        t = (np.arange(nodes) + 0.5) * np.pi / nodes
        x0 = (low + high) / 2 - (high - low) / 2 * np.cos(t)
        x1 = np.sqrt(np.maximum(square(x0), 1e-300))
        for sign in (-1.0, 1.0):
            x = np.stack([x0, sign * x1], axis=-1)
            w = np.exp(log_prior(x)) / (2 * c[1] * x1) * (high - low) / 2 * np.sin(t) * np.pi / nodes
            total, mass = total + w @ of(x), mass + w.sum()
    return total / mass, mass


def near_curve(c: np.ndarray, level: float, sigma: float, log_prior: Of, of: Of) -> np.ndarray:
    """E[of(x)] under p(x) N(level; F(x), sigma^2), by quadrature.

    On a grid where the tolerance is wide; else over the levels that the noise reaches, each of them a curve.
    """
    if sigma >= 0.1:
        ticks = np.linspace(-4.5, 4.5, 1801)
        x = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
        y = np.asarray(c[0] * x[:, 0] ** 2 + c[1] * x[:, 1] ** 2 + c[2] * x[:, 0] ** 4)
        w = np.exp(log_prior(x) - 0.5 * ((y + c[3] * x[:, 0] + c[4] * x[:, 1] - level) / sigma) ** 2)
        return w @ of(x) / w.sum()
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    parts = [on_curve(c, level + sigma * node, log_prior, of) for node in nodes]
    mass = weights * np.array([m for _, m in parts])
    return mass @ np.stack([mean for mean, _ in parts]) / mass.sum()


def hands(y: np.ndarray, of: Of, count: int = 4_000_000) -> np.ndarray:
    """E[of(x)] of { hand(x) = y } with the density p(x) det(J J^T)^(-1/2), by weighted draws.

    x1, x2 (counted from 0) from the prior; x3 by the first equation, both signs of its angle and a turn more
    or less; x0 by the second; weight N(x0) N(x3) / |sin| (the determinant of the equations in x0 and x3).
    """
    rng = np.random.default_rng(0)
    x1, x2 = 0.5 * rng.standard_normal((2, count))
    cosine = y[0] - 0.5 * np.cos(x1) - 0.5 * np.cos(x1 + x2)
    inside = np.abs(cosine) < 1
    x1, x2, angle = x1[inside], x2[inside], np.arccos(cosine[inside])
    total, mass = 0.0, 0.0
    for sign in (-1, 1):
        for turn in (-1, 0, 1):
            x3 = sign * angle + 2 * np.pi * turn - x1 - x2
            x0 = y[1] - 0.5 * np.sin(x1) - 0.5 * np.sin(x1 + x2) - np.sin(sign * angle)
            w = np.exp(-0.5 * (x0 / 0.25) ** 2 - 0.5 * (x3 / 0.5) ** 2) / np.sin(angle)
            total = total + w @ of(np.stack([x0, x1, x2, x3], axis=-1))
            mass = mass + w.sum()
    return total / mass


def whitened(slope: np.ndarray, offset: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Independent N(0, 1) numbers, if z ~ N(0, I) given slope z = offset + N(0, I).

    By the singular values of the slope, so that no digits are lost however narrow the tolerance (the slope
    and the offset are in tolerances).
    """
    left, values, right = np.linalg.svd(slope)
    size = slope.shape[1]
    s, mean = np.zeros(size), np.zeros(size)
    s[: len(values)] = values
    mean[: len(values)] = values * (left.T @ offset)[: len(values)] / (1 + values**2)
    return (z @ right.T - mean) * np.sqrt(1 + s**2)
