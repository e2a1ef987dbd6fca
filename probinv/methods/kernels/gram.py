"""Algebra with the Gram matrix G = J J^T + S^2 of a constraint r(z) + S eta = 0, J (m, n), S diagonal.

Where there are more rows than columns the smaller K = I + J^T S^-2 J is factorised instead (Woodbury 1950).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from probinv._typing import Scalar

type Rows = Float[Array, " m"]
type Jacobian = Float[Array, "m n"]


class Gram(NamedTuple):
    """J, the diagonal s of S, and a Cholesky factor of G (m <= n) or of K (m > n)."""

    jacobian: Jacobian
    slack: Rows
    factor: Float[Array, "k k"]

    @property
    def wide(self) -> bool:
        """Whether m <= n, so that G itself is factorised."""
        return self.jacobian.shape[0] <= self.jacobian.shape[1]


def gram(jacobian: Jacobian, slack: Rows) -> Gram:
    """The factors; NaN where G is singular."""
    m, n = jacobian.shape
    if m <= n:
        return Gram(jacobian, slack, jnp.linalg.cholesky(jacobian @ jacobian.T + jnp.diag(slack**2)))
    scaled = jacobian / slack[:, None]
    return Gram(jacobian, slack, jnp.linalg.cholesky(jnp.eye(n) + scaled.T @ scaled))


def log_det(g: Gram) -> Scalar:
    """log det(G) / 2."""
    half = jnp.sum(jnp.log(jnp.diagonal(g.factor)))
    return half if g.wide else half + jnp.sum(jnp.log(g.slack))


def solve(g: Gram, c: Rows) -> Rows:
    """G^-1 c."""
    if g.wide:
        return cho_solve((g.factor, True), c)
    scaled = c / g.slack**2
    inner = cho_solve((g.factor, True), g.jacobian.T @ scaled)
    return scaled - g.jacobian @ inner / g.slack**2


def solve_between(here: Jacobian, g: Gram, c: Rows) -> Rows:
    """(J' J^T + S^2)^-1 c, J' = `here`: the Newton matrix at u' for multipliers that act along J at u."""
    m, n = here.shape
    if m == 1:
        return c / (here[0] @ g.jacobian[0] + g.slack**2)
    if m <= n:
        return jnp.linalg.solve(here @ g.jacobian.T + jnp.diag(g.slack**2), c)
    scaled = c / g.slack**2
    matrix = jnp.eye(n) + (g.jacobian / g.slack[:, None] ** 2).T @ here
    return scaled - here @ jnp.linalg.solve(matrix, g.jacobian.T @ scaled) / g.slack**2


def whitened_norm(g: Gram, c: Rows) -> Scalar:
    """|c| in the metric G^-1: to first order the distance of a point with that c from c = 0."""
    if g.wide:
        return jnp.linalg.norm(solve_triangular(g.factor, c, lower=True))
    return jnp.sqrt(jnp.maximum(jnp.sum(c * solve(g, c)), 0.0))
