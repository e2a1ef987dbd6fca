r"""Proposals from anywhere on the manifold, over the tangent plane of one of its points.

With unit normals N at a reference point u*, every u of the manifold near it is t + N v with t in the tangent
plane. A proposal draws t ~ N(0, I) on that plane and solves c(t + N v) = 0 for v by Newton's method. By
change of variables the law of the manifold has, relative to that of the proposals, the density

    w(u) = N(v; 0, I) e^(-h(u) + log det(G)/2) / |det(A A*^T)|,   A = (J, S),  A* that of u*,  G = A A^T,

which is what the proposal is accepted by. It is randomize-then-optimize (Bardsley, Solonen, Haario & Laine
2014, arXiv 1305.3013) on the lifted manifold of Au, Graham & Thiery 2023, where it needs no derivative of the
solution, and no tolerance above zero.
"""

from typing import Any

import jax
import jax.numpy as jnp

from probinv._typing import Count, Flag, PRNGKey, Scalar, Z
from probinv.methods.kernels.gram import Gram, Rows, across, log_det, log_det_between
from probinv.methods.kernels.lifted import (
    JACOBIANS_OF_POINT,
    ON_MANIFOLD,
    Point,
    distance,
    point,
    same_place,
    search,
)


def independent_move(view: Any, reference: Point, at: Point, key: PRNGKey) -> tuple[Point, Scalar, Count]:
    """One proposal over the tangent plane at `reference`, and its acceptance or rejection.

    Returns:
        The point, the probability of acceptance, and the Jacobians evaluated. A point that the search from
        its own t does not lead to cannot have been proposed, and is not left.
    """
    key_draw, key_accept = jax.random.split(key)
    slack, n = reference.gram.slack, at.z.size
    noise = jax.random.normal(key_draw, (n + at.eta.size,))
    z, eta, found, forth = _over(view, reference, noise[:n], noise[n:])
    new = point(view, slack, jnp.where(found, z, at.z), jnp.where(found, eta, at.eta))
    found &= distance(view, new) <= ON_MANIFOLD
    z, eta, returned, back = _over(view, reference, at.z, at.eta)
    found &= returned & same_place(at, z, eta)
    ratio = jnp.exp(jnp.minimum(_log_weight(reference, new) - _log_weight(reference, at), 0.0))
    probability = jnp.where(found & ~jnp.isnan(ratio), ratio, 0.0)
    accepted = jax.random.uniform(key_accept) < probability
    chosen = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), new, at)
    return chosen, probability, forth + back + JACOBIANS_OF_POINT


def _across(gram: Gram, z: Z, eta: Rows) -> tuple[Z, Rows]:
    return across(gram, gram.jacobian @ z + gram.slack * eta)


def _over(view: Any, reference: Point, z: Z, eta: Rows) -> tuple[Z, Rows, Flag, Count]:
    """The u of the manifold over the tangent part of (z, eta), searched from the height of the reference."""
    off_z, off_eta = _across(reference.gram, z - reference.z, eta - reference.eta)
    z, eta = z - off_z, eta - off_eta
    off, found, count = search(view, reference.gram, z, eta)
    return z - off.z, eta - off.eta, found, count


def _log_weight(reference: Point, at: Point) -> Scalar:
    """log w, but for a constant."""
    z, eta = _across(reference.gram, at.z, at.eta)
    volume = log_det(at.gram) - log_det_between(at.gram.jacobian, reference.gram)
    return volume - at.potential - 0.5 * (jnp.sum(z**2) + jnp.sum(eta**2))
