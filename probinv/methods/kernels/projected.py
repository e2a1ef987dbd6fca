"""Where chains on a manifold begin: prior draws brought to { r(z) + s eta = 0 } along the shortest way."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from probinv._errors import NumericalError
from probinv._typing import Count, Flag, PRNGKey, Scalar, Z
from probinv.methods.kernels.gram import Rows, across, gram, independent
from probinv.methods.kernels.lifted import ON_MANIFOLD, Point, distance, jacobian, minus_log_density, point

STEPS, STEPS_PULLED = 100, 70
LONGEST = 1.0
SLACK_NATS = 20.0
ON_TARGET = 1e-9
"""In units of the spread of r under the prior."""
RIDGE = 1e-14
NOT_FOUND = "no input was found that gives Y*; these are the nearest"


class Projected(NamedTuple):
    """Candidates, one a row.

    Attributes:
        at: the points, every leaf a NumPy array with a leading axis of candidates.
        away: (candidate,), the largest |r + s eta| in units of the spread of r under the prior.
        log_density: (candidate,), -inf where the manifold was not found.
        finite: fraction of the prior draws at which the residual and its Jacobian are finite.
        jacobians: how many were evaluated for each candidate.
    """

    at: Point
    away: np.ndarray
    log_density: np.ndarray
    finite: float
    jacobians: int


def projected_start(view: Any, key: PRNGKey, candidates: int, nearest: int) -> tuple[Projected, Projected]:
    r"""u_{t+1} = u_t - a_t A^T G^-1 c(u_t),  u = (z, eta),  A = (J, S),  G = A A^T,  u_0 = (z_0 ~ p(z), 0).

    Gauss-Newton steps of least norm, at most one unit long, shortened where |c| does not fall.

    Returns:
        `candidates` points, and `nearest` others that were also pulled along the manifold to where |u| is
        smallest.

    Raises:
        NumericalError: the residual or its Jacobian is not finite at any of the prior draws, or the manifold
            was found where J J^T + s^2 is singular.
    """
    pulled = np.arange(candidates + nearest) >= candidates
    projected = _project(view, jax.random.split(key, candidates + nearest), jnp.asarray(pulled))
    at, before, after, log_density, regular, finite = jax.tree.map(np.asarray, projected)
    if not finite.any():
        raise NumericalError(
            f"the output or its derivative is NaN or infinite at all of {len(finite)} draws from the prior",
            "the network returns no finite value there",
            "check the network on inputs drawn from the prior, and the prior's bounds",
        )
    away = in_units(after, spread_of(before))
    if (~regular & (away <= ON_TARGET)).any():
        raise dependent()

    def part(rows: np.ndarray) -> Projected:
        some = jax.tree.map(lambda leaf: leaf[rows], at)
        return Projected(some, away[rows], log_density[rows], float(finite.mean()), STEPS + 1)

    return part(~pulled), part(pulled)


def spread_of(r: np.ndarray) -> np.ndarray:
    """Standard deviation of each column over its finite entries; 1 where there is none."""
    finite = np.isfinite(r)
    with np.errstate(over="ignore"):
        count = np.maximum(finite.sum(axis=0), 1)
        mean = np.where(finite, r, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(finite, r - mean, 0.0) ** 2).sum(axis=0) / count)
    return np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)


def in_units(c: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """max_i |c_i / unit_i| of each row; inf where it is NaN."""
    largest = np.abs(c / unit).max(axis=1)
    return np.where(np.isnan(largest), np.inf, largest)


def dependent() -> NumericalError:
    """Of a wish that is met where its equations are not independent."""
    return NumericalError(
        "inputs that give Y* exactly were found, but there the Jacobian of the outputs has not full rank",
        "the law of an exact wish has the density p(z) det(J J^T)^(-1/2), which is infinite: an output "
        "depends on the others, or does not change with the input (a dead ReLU)",
        "use Gaussian with a tolerance, or leave that output out with NaN in y_star",
    )


def pick(start: Projected, key: PRNGKey, chains: int) -> Point:
    """`chains` candidates: those within 20 nats of the best in random order, then the next best."""
    log_density = start.log_density
    order = np.argsort(np.asarray(jax.random.uniform(key, log_density.shape)))
    best = log_density.max()
    near = [k for k in order if log_density[k] >= best - SLACK_NATS]
    rest = [k for k in np.argsort(-log_density) if best - SLACK_NATS > log_density[k] > -np.inf]
    picked = np.resize(np.array(near + rest), chains)
    return jax.tree.map(lambda leaf: leaf[picked], start.at)


def references(pulled: Projected, at: Point) -> Point:
    """For each point the nearest of those that were pulled; itself where none of those is on the manifold."""
    known = np.flatnonzero(np.isfinite(pulled.log_density))
    if not len(known):
        return at
    u, of = (np.concatenate([point.z, point.eta], axis=1) for point in (at, pulled.at))
    picked = known[((u[:, None] - of[known]) ** 2).sum(axis=2).argmin(axis=1)]
    return jax.tree.map(lambda leaf: leaf[picked], pulled.at)


@eqx.filter_jit
def _project(view: Any, keys: Array, pulled: Array) -> tuple[Point, Array, Array, Array, Array, Array]:
    def one(key: PRNGKey, pulled: Flag) -> tuple[Point, Array, Array, Array, Array, Array]:
        slack = view.slack
        z = view.sample_prior(key)
        before, j = jacobian(view, z)
        finite = jnp.isfinite(before).all() & jnp.isfinite(j).all()
        z, eta = shortest_way(view, slack, z, jnp.zeros_like(slack), pulled)
        at = point(view, slack, z, eta)
        after = view.residual(z) + slack * eta
        log_density = -minus_log_density(at)
        regular = independent(at.gram)
        good = regular & (distance(view, at) <= ON_MANIFOLD)
        good &= jnp.isfinite(log_density) & jnp.isfinite(at.slope).all()
        return at, before, after, jnp.where(good, log_density, -jnp.inf), regular, finite

    return jax.vmap(one)(keys, pulled)


def shortest_way(view: Any, slack: Rows, z: Z, eta: Rows, pulled: Flag | bool = False) -> tuple[Z, Rows]:
    """Gauss-Newton steps of least norm from (z, eta) to the manifold; where `pulled`, first those of least
    |u|^2 on it, u = (z, eta)."""

    def misfit(z: Z, eta: Rows) -> Scalar:
        size = jnp.linalg.norm(view.residual(z) + slack * eta)
        return jnp.where(jnp.isnan(size), jnp.inf, size)

    def newton(i: Count, carry: tuple[Z, Rows, Scalar, Scalar]) -> tuple[Z, Rows, Scalar, Scalar]:
        z, eta, fraction, before = carry
        along = pulled & (i < STEPS_PULLED)
        r, j = jacobian(view, z)
        # a trace of slack where there is none: the step is the shortest even if an output depends on others
        ridge = jnp.sqrt(RIDGE * jnp.sum(j**2, axis=1))
        trace = jnp.where(slack > 0, slack, ridge)
        # u - A^T G^-1 A u is the part of u along the manifold
        here = jnp.where(along, j @ z + slack * eta, 0.0)
        across_z, across_eta = across(gram(j, trace, view.mixed), r + slack * eta - here)
        across_z, across_eta = across_z + jnp.where(along, z, 0.0), across_eta + jnp.where(along, eta, 0.0)
        across_eta = jnp.where(slack > 0, across_eta, 0.0)
        length = jnp.sqrt(jnp.sum(across_z**2) + jnp.sum(across_eta**2))
        factor = fraction * jnp.minimum(1.0, LONGEST / jnp.maximum(length, 1e-300))
        z_new, eta_new = z - factor * across_z, eta - factor * across_eta
        after = misfit(z_new, eta_new)
        # rounding makes the last steps rise and fall: those are taken as they come
        better = (after < before) | (length < 1e-6) | along
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
