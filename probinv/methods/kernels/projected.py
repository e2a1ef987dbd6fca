"""Where chains on a manifold begin: prior draws brought to { r(z) + s eta = 0 } along the shortest way."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from probinv._errors import NumericalError
from probinv._typing import PRNGKey, Scalar, Z
from probinv.methods.kernels.gram import Rows, gram, solve, whitened_norm
from probinv.methods.kernels.lifted import ON_MANIFOLD, Point, jacobian, minus_log_density, point

STEPS = 100
LONGEST = 1.0
SLACK_NATS = 20.0


class Projected(NamedTuple):
    """Candidates, one a row.

    Attributes:
        at: the points, every leaf with a leading axis of candidates.
        distance: (candidate,), to first order the distance from the manifold; NaN where nothing is finite.
        log_density: (candidate,), -inf where the manifold was not found.
        finite: fraction of the prior draws at which the residual and its Jacobian are finite.
        jacobians: how many were evaluated for each candidate.
    """

    at: Point
    distance: np.ndarray
    log_density: np.ndarray
    finite: float
    jacobians: int


def projected_start(view: Any, key: PRNGKey, candidates: int) -> Projected:
    r"""u_{t+1} = u_t - a_t A^T G^-1 c(u_t),  u = (z, eta),  A = (J, S),  G = A A^T,  u_0 = (z_0 ~ p(z), 0).

    Gauss-Newton steps of least norm, at most one unit long, shortened where |c| does not fall.

    Raises:
        NumericalError: the residual or its Jacobian is not finite at any of the prior draws.
    """
    at, *found = _project(view, jax.random.split(key, candidates))
    distance, log_density, finite = (np.asarray(part) for part in found)
    if not finite.any():
        raise NumericalError(
            f"the output or its derivative is NaN or infinite at all of {candidates} draws from the prior",
            "the network returns no finite value there",
            "check the network on inputs drawn from the prior, and the prior's bounds",
        )
    return Projected(at, distance, log_density, float(finite.mean()), STEPS + 1)


def pick(start: Projected, key: PRNGKey, chains: int) -> Point:
    """`chains` candidates: those within 20 nats of the best in random order, then the next best."""
    log_density = start.log_density
    order = np.argsort(np.asarray(jax.random.uniform(key, log_density.shape)))
    best = log_density.max()
    near = [k for k in order if log_density[k] >= best - SLACK_NATS]
    rest = [k for k in np.argsort(-log_density) if best - SLACK_NATS > log_density[k] > -np.inf]
    picked = np.resize(np.array(near + rest), chains)
    return jax.tree.map(lambda leaf: leaf[picked], start.at)


@eqx.filter_jit
def _project(view: Any, keys: Array) -> tuple[Point, Array, Array, Array]:
    def one(key: PRNGKey) -> tuple[Point, Array, Array, Array]:
        slack = view.slack
        z = view.sample_prior(key)
        r, j = jacobian(view, z)
        finite = jnp.isfinite(r).all() & jnp.isfinite(j).all()
        z, eta = shortest_way(view, slack, z, jnp.zeros_like(slack))
        at = point(view, slack, z, eta)
        distance = whitened_norm(at.gram, view.residual(z) + slack * eta)
        log_density = -minus_log_density(at)
        good = (distance <= ON_MANIFOLD) & jnp.isfinite(log_density) & jnp.isfinite(at.slope).all()
        return at, distance, jnp.where(good, log_density, -jnp.inf), finite

    return jax.vmap(one)(keys)


def shortest_way(view: Any, slack: Rows, z: Z, eta: Rows) -> tuple[Z, Rows]:
    """Gauss-Newton steps of least norm from (z, eta) to the manifold."""

    def misfit(z: Z, eta: Rows) -> Scalar:
        size = jnp.linalg.norm(view.residual(z) + slack * eta)
        return jnp.where(jnp.isnan(size), jnp.inf, size)

    def newton(_: Any, carry: tuple[Z, Rows, Scalar, Scalar]) -> tuple[Z, Rows, Scalar, Scalar]:
        z, eta, fraction, before = carry
        r, j = jacobian(view, z)
        multiplier = solve(gram(j, slack), r + slack * eta)
        across_z, across_eta = j.T @ multiplier, slack * multiplier
        length = jnp.sqrt(jnp.sum(across_z**2) + jnp.sum(across_eta**2))
        factor = fraction * jnp.minimum(1.0, LONGEST / jnp.maximum(length, 1e-300))
        z_new, eta_new = z - factor * across_z, eta - factor * across_eta
        after = misfit(z_new, eta_new)
        # rounding makes the last steps rise and fall: those are taken as they come
        better = (after < before) | (length < 1e-6)
        fraction = jnp.where(better, jnp.minimum(1.0, 2 * fraction), fraction / 4)
        return (
            jnp.where(better, z_new, z),
            jnp.where(better, eta_new, eta),
            jnp.maximum(fraction, 1e-3),
            jnp.where(better, after, before),
        )

    begin = (z, eta, jnp.ones(()), misfit(z, eta))
    z, eta, _, _ = jax.lax.fori_loop(0, STEPS, newton, begin)
    return z, eta
