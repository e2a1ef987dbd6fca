"""The two likelihoods of sbibm that are no likelihood of a fixed width around the output."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, Numbers
from probinv.likelihood._level import within_chi_square
from probinv.likelihood._target import another_target, as_target, check_shape
from probinv.likelihood._words import words

_LOG_2PI = float(np.log(2 * np.pi))
CENTRE, RADIUS, WIDTH = 0.25, 0.1, 0.01


@final
class Crescent(AbstractLikelihood):
    """p(Y* | y) = N(r; .1, .01^2) / (pi r) for u > 0, (u, v) = Y* - y - (.25, 0), r = |(u, v)|; else 0.

    That is Y* = y + (.25 + R cos A, R sin A) with A uniform between -pi/2 and pi/2 and R ~ N(.1, .01^2).

    y counts as reached if u > 0 and r lies within the .999 interval of its normal law.

    Args:
        y_star: two numbers.
    """

    y_star: Float[Array | np.ndarray, "2"]

    def __init__(self, y_star: Any) -> None:
        self.y_star = as_target("y_star", y_star)
        check_shape("y_star", self.y_star.shape, (2,))

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("y_star", self.y_star.shape, shape)

    def log_prob(self, y: Y) -> Scalar:
        u, r = self._polar(y)
        inside = 0.5 * ((r - RADIUS) / WIDTH) ** 2 + 0.5 * _LOG_2PI + np.log(WIDTH) + jnp.log(jnp.pi * r)
        return jnp.where(u > 0, -inside, -jnp.inf)

    def reached(self, y: Y) -> Flag:
        u, r = self._polar(y)
        return (u > 0) & within_chi_square(((r - RADIUS) / WIDTH) ** 2, jnp.asarray(1))

    def simulate(self, key: PRNGKey, y: Y) -> Y:
        key_angle, key_radius = jax.random.split(key)
        angle = jax.random.uniform(key_angle, minval=-jnp.pi / 2, maxval=jnp.pi / 2)
        radius = RADIUS + WIDTH * jax.random.normal(key_radius)
        return y + jnp.stack([CENTRE + radius * jnp.cos(angle), radius * jnp.sin(angle)])

    def at(self, y_star: Any) -> "Crescent":
        return eqx.tree_at(lambda wish: wish.y_star, self, another_target("y_star", self.y_star, y_star))

    @property
    def target(self) -> Numbers:
        return self.y_star

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.y_star)

    def describe(self, name: str = "y") -> str:
        return f"{words(self.y_star)} on a crescent of radius {RADIUS} around {name}"

    def _polar(self, y: Y) -> tuple[Scalar, Scalar]:
        u, v = self.y_star[0] - y[0] - CENTRE, self.y_star[1] - y[1]
        square = u**2 + v**2
        # the root has no derivative at 0, where the density is e^-50
        return u, jnp.sqrt(jnp.where(square > 0, square, 1e-300))


@final
class Cloud(AbstractLikelihood):
    """log p(Y* | y) = sum_i log N(Y*_i; m, L L^T),  m = (y_1, y_2),  L = [[y_3, 0], [y_4, y_5]].

    Independent points of one normal law in the plane, whose mean and Cholesky factor are the output.

    y counts as reached if sum_i |L^-1 (Y*_i - m)|^2 is at most the .999 quantile of chi-squared with as many
    degrees of freedom as Y* has numbers.

    Args:
        y_star: the points, (points, 2).
    """

    y_star: Float[Array | np.ndarray, "points 2"]

    def __init__(self, y_star: Any) -> None:
        self.y_star = as_target("y_star", y_star)
        check_shape("y_star", self.y_star.shape, (*self.y_star.shape[:1], 2))

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("mean and Cholesky factor", (5,), shape)

    def log_prob(self, y: Y) -> Scalar:
        log_det = len(self.y_star) * (jnp.log(y[2]) + jnp.log(y[4]))
        return -0.5 * self._square(y) - log_det - 0.5 * self.y_star.size * _LOG_2PI

    def reached(self, y: Y) -> Flag:
        return within_chi_square(self._square(y), jnp.asarray(self.y_star.size))

    def simulate(self, key: PRNGKey, y: Y) -> Float[Array, "points 2"]:
        a, b = jax.random.normal(key, (2, len(self.y_star)))
        return jnp.stack([y[0] + y[2] * a, y[1] + y[3] * a + y[4] * b], axis=1)

    def at(self, y_star: Any) -> "Cloud":
        return eqx.tree_at(lambda wish: wish.y_star, self, another_target("y_star", self.y_star, y_star))

    @property
    def target(self) -> Numbers:
        return self.y_star

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, np.nan)  # points say nothing of one output alone

    def describe(self, name: str = "y") -> str:
        return f"{words(self.y_star)} from the normal law whose mean and Cholesky factor are {name}"

    def _square(self, y: Y) -> Scalar:
        a = (self.y_star[:, 0] - y[0]) / y[2]
        b = (self.y_star[:, 1] - y[1] - y[3] * a) / y[4]
        return jnp.sum(a**2 + b**2)
