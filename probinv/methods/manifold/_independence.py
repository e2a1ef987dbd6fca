r"""Proposals from anywhere on the manifold, over the tangent plane of one of its points.

With unit normals N at a reference point u*, every u of the manifold near it is t + N v with t in the tangent
plane. A proposal draws t ~ N(0, I) on that plane and solves c(t + N v) = 0 for v by Newton's method. By
change of variables the law of the manifold has, relative to that of the proposals, the density

    w(u) = N(v; 0, I) e^(-h(u) + log det(G)/2) / |det(A A*^T)|,   A = (J, S),  A* that of u*,  G = A A^T,

which is what the proposal is accepted by. It is randomize-then-optimize (Bardsley, Solonen, Haario & Laine
2014, arXiv 1305.3013) on the lifted manifold of Au, Graham & Thiery 2023, where it needs no derivative of the
solution, and no tolerance above zero.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from probinv._typing import Count, Flag, PRNGKey, Scalar, Z
from probinv.methods.kernels.gram import Gram, Rows, across, across_between, log_det, log_det_between
from probinv.methods.kernels.lifted import (
    NEWTON_ENOUGH,
    NEWTON_MOST,
    ON_MANIFOLD,
    RETURNED,
    Point,
    distance,
    jacobian,
    point,
)


class Frame(NamedTuple):
    """A reference point u* = (z, eta), and its A*. Searches begin at its height over the plane."""

    gram: Gram
    z: Z
    eta: Rows


def frame(at: Point) -> Frame:
    """The frame at a point of the manifold."""
    return Frame(at.gram, at.z, at.eta)


def independent_move(view: Any, frame: Frame, at: Point, key: PRNGKey) -> tuple[Point, Scalar, Count]:
    """One proposal and its acceptance or rejection.

    Returns:
        The point, the probability of acceptance, and the Jacobians evaluated. A point that the search from
        its own t does not lead to cannot have been proposed, and is not left.
    """
    key_draw, key_accept = jax.random.split(key)
    slack, n = frame.gram.slack, at.z.size
    noise = jax.random.normal(key_draw, (n + at.eta.size,))
    z, eta, found, forth = _search(view, frame, noise[:n], noise[n:])
    new = point(view, slack, jnp.where(found, z, at.z), jnp.where(found, eta, at.eta))
    found &= distance(view, new) <= ON_MANIFOLD
    z, eta, returned, back = _search(view, frame, at.z, at.eta)
    away = jnp.sqrt(jnp.sum((z - at.z) ** 2) + jnp.sum((eta - at.eta) ** 2))
    found &= returned & (away <= RETURNED)
    ratio = jnp.exp(jnp.minimum(_log_weight(frame, new) - _log_weight(frame, at), 0.0))
    probability = jnp.where(found & ~jnp.isnan(ratio), ratio, 0.0)
    accepted = jax.random.uniform(key_accept) < probability
    chosen = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), new, at)
    return chosen, probability, forth + back + 2  # one Jacobian more at the new point, and its derivative


def _across(gram: Gram, z: Z, eta: Rows) -> tuple[Z, Rows]:
    return across(gram, gram.jacobian @ z + gram.slack * eta)


def _search(view: Any, frame: Frame, z: Z, eta: Rows) -> tuple[Z, Rows, Flag, Count]:
    """The u of the manifold over the tangent part of (z, eta), whether it was found, and Newton steps."""
    slack = frame.gram.slack
    off_z, off_eta = _across(frame.gram, z - frame.z, eta - frame.eta)

    def go_on(carry: tuple[Z, Rows, Scalar, Count]) -> Flag:
        _, _, moved, count = carry
        return (moved > NEWTON_ENOUGH) & (moved < 1 / NEWTON_ENOUGH) & (count < NEWTON_MOST)

    def newton(carry: tuple[Z, Rows, Scalar, Count]) -> tuple[Z, Rows, Scalar, Count]:
        z, eta, _, count = carry
        r, here = jacobian(view, z)
        dz, deta = across_between(here, frame.gram, r + slack * eta)
        return z - dz, eta - deta, jnp.sqrt(jnp.sum(dz**2) + jnp.sum(deta**2)), count + 1

    start = (z - off_z, eta - off_eta, jnp.ones(()), jnp.zeros((), int))
    z, eta, moved, count = jax.lax.while_loop(go_on, newton, start)
    return z, eta, moved <= NEWTON_ENOUGH, count


def _log_weight(frame: Frame, at: Point) -> Scalar:
    """log w, but for a constant."""
    z, eta = _across(frame.gram, at.z, at.eta)
    volume = log_det(at.gram) - log_det_between(at.gram.jacobian, frame.gram)
    return volume - at.potential - 0.5 * (jnp.sum(z**2) + jnp.sum(eta**2))
