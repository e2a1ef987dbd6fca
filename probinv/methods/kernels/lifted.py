r"""Constrained Hamiltonian dynamics on { (z, eta) : r(z) + s eta = 0 }.

    H = h(z) + (|z|^2 + |eta|^2) / 2 + |p|^2 / 2,   h(z) = log det(J J^T + S^2) / 2 - log p(z) - |z|^2 / 2

The quadratic part and the kinetic energy are integrated together, by the exact rotation that they have
without the constraint, so that for a standard normal prior the step does not depend on the number of inputs
(Shahbaba, Lan, Johnson & Neal 2014, arXiv 1106.5941). Multipliers that act along the Jacobian at the
beginning of a step bring its end back to the manifold (RATTLE: Andersen 1983; Leimkuhler & Skeel 1994);
they are found by Newton's method, and a step that does not come back when it is reversed is rejected
(Zappa, Holmes-Cerf & Goodman 2018, arXiv 1702.08446; Lelièvre, Rousset & Stoltz 2019). The lifted manifold is
that of Au, Graham & Thiery 2023, arXiv 2003.03950. All for one chain; vectorised by the caller. What occurs
several times in a transition is compiled in the caller's program all the same; its own `jit` keeps its trace,
of which a network's Jacobian is the longest part.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probinv._typing import Count, Flag, PRNGKey, Scalar, Z
from probinv.methods.kernels.gram import Gram, Rows, across, across_between, gram, log_det, whitened_norm

STEP_MOST = 1.5
"""Below pi / 2, where the multipliers of a rotation lose their hold."""
NEWTON_MOST = 10
"""Where it converges at all Newton's method takes 3 to 6 steps; all chains wait for the last."""
NEWTON_ENOUGH = 1e-7
"""A Newton step this short leaves an error of the order of its square."""
ON_MANIFOLD = 1e-10
RETURNED = 1e-6
JACOBIANS_OF_POINT = 3
"""The Jacobian and the derivative of its determinant."""


class Point(NamedTuple):
    """A point of the manifold, with what the dynamics need there.

    Attributes:
        z, eta: coordinates and slack.
        gram: J, s and a Cholesky factor.
        potential: h(z).
        slope: dh/dz.
    """

    z: Z
    eta: Rows
    gram: Gram
    potential: Scalar
    slope: Z


class Momentum(NamedTuple):
    """p = (p_z, p_eta), with J p_z + s p_eta = 0."""

    z: Z
    eta: Rows


class Step(NamedTuple):
    """What a trajectory meets.

    Attributes:
        not_projected: steps for which Newton's method did not find the manifold.
        not_reversible: steps that, reversed, do not end where they began.
        steps: steps taken.
        jacobians: Jacobians evaluated, that of the determinant's derivative counted twice.
    """

    not_projected: Count
    not_reversible: Count
    steps: Count
    jacobians: Count


@eqx.filter_jit
def jacobian(view: Any, z: Z) -> tuple[Rows, Float[Array, "m n"]]:
    """(r, J) at z, by the smaller number of derivatives."""
    m, n = view.outputs, view.size
    if m <= n:
        r, pull = jax.vjp(view.residual, z)
        return r, jax.vmap(lambda row: pull(row)[0])(jnp.eye(m))
    r, push = jax.linearize(view.residual, z)
    return r, jax.vmap(push, out_axes=1)(jnp.eye(n))


@eqx.filter_jit
def point(view: Any, slack: Rows, z: Z, eta: Rows) -> Point:
    """All that is known at (z, eta), which is taken to lie on the manifold."""

    def potential(z: Z) -> tuple[Scalar, Gram]:
        g = gram(jacobian(view, z)[1], slack, view.mixed)
        h = log_det(g)
        if not view.standard:
            h = h - view.log_prior(z) - 0.5 * jnp.sum(z**2)
        return h, g

    (h, g), slope = jax.value_and_grad(potential, has_aux=True)(z)
    return Point(z, eta, g, h, slope)


def distance(view: Any, at: Point) -> Scalar:
    """From the manifold, to first order. Less than 1e-7 of a tolerance is rounding, and counts as none."""
    c = view.residual(at.z) + at.gram.slack * at.eta
    return whitened_norm(at.gram, jnp.where(jnp.abs(c) <= NEWTON_ENOUGH * at.gram.slack, 0.0, c))


def energy(at: Point, p: Momentum) -> Scalar:
    """H."""
    return minus_log_density(at) + 0.5 * (jnp.sum(p.z**2) + jnp.sum(p.eta**2))


def minus_log_density(at: Point) -> Scalar:
    """-log of the density with respect to the Hausdorff measure, but for a constant."""
    return at.potential + 0.5 * (jnp.sum(at.z**2) + jnp.sum(at.eta**2))


def tangent(at: Point, p: Momentum) -> Momentum:
    """p less its part across the manifold."""
    z, eta = across(at.gram, at.gram.jacobian @ p.z + at.gram.slack * p.eta)
    return Momentum(p.z - z, p.eta - eta)


def draw_momentum(at: Point, key: PRNGKey) -> Momentum:
    """p ~ N(0, I) on the cotangent space."""
    n = at.z.size
    noise = jax.random.normal(key, (n + at.eta.size,))
    return tangent(at, Momentum(noise[:n], noise[n:]))


@eqx.filter_jit
def search(view: Any, g: Gram, z: Z, eta: Rows) -> tuple[Momentum, Flag, Count]:
    """The way back to the manifold along the normals that `g` was made of, by Newton's method.

    Returns:
        What to take from (z, eta) to be on it, whether that was found, and the Jacobians evaluated.
    """

    def go_on(carry: tuple[Momentum, Scalar, Count]) -> Flag:
        _, moved, count = carry
        # NaN compares false and ends the search
        return (moved > NEWTON_ENOUGH) & (moved < 1 / NEWTON_ENOUGH) & (count < NEWTON_MOST)

    def newton(carry: tuple[Momentum, Scalar, Count]) -> tuple[Momentum, Scalar, Count]:
        off, _, count = carry
        r, here = jacobian(view, z - off.z)
        more = Momentum(*across_between(here, g, r + g.slack * (eta - off.eta)))
        moved = jnp.sqrt(jnp.sum(more.z**2) + jnp.sum(more.eta**2))
        return Momentum(off.z + more.z, off.eta + more.eta), moved, count + 1

    start = (Momentum(jnp.zeros_like(z), jnp.zeros_like(eta)), jnp.ones(()), jnp.zeros((), int))
    off, moved, count = jax.lax.while_loop(go_on, newton, start)
    return off, moved <= NEWTON_ENOUGH, count


def _rotate(view: Any, at: Point, p: Momentum, time: Scalar) -> tuple[Z, Rows, Momentum, Flag, Count]:
    """The constrained flow of (|u|^2 + |p|^2) / 2: where it ends, whether that is on the manifold, and the
    number of Newton steps."""
    cos, sin = jnp.cos(time), jnp.sin(time)
    z_free, eta_free = cos * at.z + sin * p.z, cos * at.eta + sin * p.eta
    pushed, found, count = search(view, at.gram, z_free, eta_free)
    z, eta = z_free - pushed.z, eta_free - pushed.eta
    p = Momentum(p.z - pushed.z / sin, p.eta - pushed.eta / sin)
    p = Momentum(cos * p.z - sin * at.z, cos * p.eta - sin * at.eta)
    return z, eta, p, found, count


def same_place(at: Point, z: Z, eta: Rows) -> Flag:
    """Whether (z, eta) is the point, but for rounding."""
    return jnp.sqrt(jnp.sum((z - at.z) ** 2) + jnp.sum((eta - at.eta) ** 2)) <= RETURNED


def step(view: Any, at: Point, p: Momentum, time: Scalar) -> tuple[Point, Momentum, Flag, Flag, Count]:
    """One step: half a kick, rotation on the manifold, half a kick.

    Returns:
        The new point and momentum, whether the manifold was found, whether the step is reversible, and the
        Jacobians evaluated. Where one of both is false the point is of no use.
    """
    slack = at.gram.slack
    p = tangent(at, Momentum(p.z - 0.5 * time * at.slope, p.eta))
    z, eta, p, found, forth = _rotate(view, at, p, time)
    new = point(view, slack, jnp.where(found, z, at.z), jnp.where(found, eta, at.eta))
    found &= distance(view, new) <= ON_MANIFOLD
    p = tangent(new, p)
    z, eta, _, returned, back = _rotate(view, new, Momentum(-p.z, -p.eta), time)
    p = tangent(new, Momentum(p.z - 0.5 * time * new.slope, p.eta))
    return new, p, found, returned & same_place(at, z, eta), forth + back + JACOBIANS_OF_POINT


def move(
    view: Any, at: Point, key: PRNGKey, time: Scalar, steps: Int[Array, ""]
) -> tuple[Point, Scalar, Scalar, Step]:
    """One transition of constrained HMC: `steps` steps, then accept or reject.

    Returns:
        The point, the probability with which its proposal was accepted, the energy that the transition
        began with, and what was met. A trajectory of which any step fails is rejected.
    """
    key_momentum, key_accept = jax.random.split(key)
    p = draw_momentum(at, key_momentum)
    begin = energy(at, p)

    def go_on(carry: tuple[Point, Momentum, Step]) -> Flag:
        met = carry[2]
        return (met.steps < steps) & (met.not_projected + met.not_reversible == 0)

    def leap(carry: tuple[Point, Momentum, Step]) -> tuple[Point, Momentum, Step]:
        here, p, met = carry
        new, p, found, reversible, jacobians = step(view, here, p, time)
        return (
            new,
            p,
            Step(
                met.not_projected + ~found,
                met.not_reversible + (found & ~reversible),
                met.steps + 1,
                met.jacobians + jacobians,
            ),
        )

    zero = jnp.zeros((), int)
    end, p, met = jax.lax.while_loop(go_on, leap, (at, p, Step(zero, zero, zero, zero)))
    alive = met.not_projected + met.not_reversible == 0
    probability = jnp.where(alive, jnp.exp(jnp.minimum(begin - energy(end, p), 0.0)), 0.0)
    probability = jnp.where(jnp.isnan(probability), 0.0, probability)
    accepted = jax.random.uniform(key_accept) < probability
    chosen = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), end, at)
    return chosen, probability, begin, met
