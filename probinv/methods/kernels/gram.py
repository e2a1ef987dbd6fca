"""Algebra with the Gram matrix G = J J^T + S^2 of a constraint r(z) + S eta = 0, J (m, n), S diagonal.

Where there are more rows than columns the smaller K = I + J^T S^-2 J is factorised instead (Woodbury 1950).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from probinv._typing import Flag, Scalar, Z
from probinv.methods.kernels.small import cholesky, log_abs_det, solve_cholesky, solve_general, solve_lower

type Rows = Float[Array, " m"]
type Jacobian = Float[Array, "m n"]
DEPENDENT = 1e-13
"""Squared sine between a row and those before it, below which it is one of their combinations."""


class Gram(NamedTuple):
    """J, the diagonal s of S, and a Cholesky factor of G, (m, m), or of K, (n, n)."""

    jacobian: Jacobian
    slack: Rows
    factor: Float[Array, "k k"]

    @property
    def wide(self) -> bool:
        """Whether G itself is factorised."""
        return self.jacobian.shape[0] == self.factor.shape[0]


def gram(jacobian: Jacobian, slack: Rows, whole: bool = False) -> Gram:
    """The factor of G if m <= n or `whole` (K needs s > 0), else that of K; NaN where it is singular."""
    m, n = jacobian.shape
    if m <= n or whole:
        return Gram(jacobian, slack, cholesky(jacobian @ jacobian.T + jnp.diag(slack**2)))
    scaled = jacobian / slack[:, None]
    return Gram(jacobian, slack, cholesky(jnp.eye(n) + scaled.T @ scaled))


def log_det(g: Gram) -> Scalar:
    """log det(G) / 2."""
    half = jnp.sum(jnp.log(jnp.diagonal(g.factor)))
    return half if g.wide else half + jnp.sum(jnp.log(g.slack))


def independent(g: Gram) -> Flag:
    """Whether no row of J that has no slack is, but for rounding, a combination of those before it."""
    if not g.wide:
        return jnp.asarray(True)
    length = jnp.sum(g.jacobian**2, axis=1)
    return jnp.all((g.slack > 0) | (jnp.diagonal(g.factor) ** 2 > DEPENDENT * length))


def across(g: Gram, c: Rows) -> tuple[Z, Rows]:
    """(J^T, S) G^-1 c: the shortest (dz, deta) with J dz + S deta = c."""
    if g.wide:
        multiplier = solve_cholesky(g.factor, c)
        return g.jacobian.T @ multiplier, g.slack * multiplier
    # J^T G^-1 = K^-1 J^T S^-2; from G^-1 by Woodbury's formula |J / s|^2 digits of it would cancel
    along = solve_cholesky(g.factor, g.jacobian.T @ (c / g.slack**2))
    return along, (c - g.jacobian @ along) / g.slack


def across_between(here: Jacobian, g: Gram, c: Rows) -> tuple[Z, Rows]:
    """(J^T, S) (J' J^T + S^2)^-1 c, J' = `here`: a Newton step at u' along the normals at u."""
    if not g.wide:
        scaled = (g.jacobian / g.slack[:, None] ** 2).T
        along = solve_general(jnp.eye(len(scaled)) + scaled @ here, scaled @ c)
        return along, (c - here @ along) / g.slack
    multiplier = solve_general(here @ g.jacobian.T + jnp.diag(g.slack**2), c)
    return g.jacobian.T @ multiplier, g.slack * multiplier


def log_det_between(here: Jacobian, g: Gram) -> Scalar:
    """log |det(J' J^T + S^2)|, J' = `here`."""
    if not g.wide:
        scaled = (g.jacobian / g.slack[:, None] ** 2).T
        return log_abs_det(jnp.eye(len(scaled)) + scaled @ here) + 2 * jnp.sum(jnp.log(g.slack))
    return log_abs_det(here @ g.jacobian.T + jnp.diag(g.slack**2))


def whitened_norm(g: Gram, c: Rows) -> Scalar:
    """|c| in the metric G^-1: to first order the distance of a point with that c from c = 0."""
    if g.wide:
        return jnp.linalg.norm(solve_lower(g.factor, c))
    return jnp.linalg.norm(jnp.concatenate(across(g, c)))
