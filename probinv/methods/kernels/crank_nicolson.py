"""Moves inside { margin >= level } that leave the prior as it is there, and need no gradient."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinv._typing import Count, PRNGKey, Scalar, Y, Z
from probinv.methods.kernels.noise import normal_of, uniform_of

SMALL_SHARE = 0.25
SMALLEST = 1 / 30
ANGLE_MOST = 0.5 * math.pi


class Particle(NamedTuple):
    """A point inside, and how it got there.

    Attributes:
        z: (n,).
        margin: m(z).
        log_prior: log p(z).
        accepted: how many moves were accepted.
        undefined: how many proposals had no margin (NaN); they count as outside.
    """

    z: Z
    margin: Scalar
    log_prior: Scalar
    accepted: Count
    undefined: Count


class Move(NamedTuple):
    """What is the same for every particle: all traced, so that no level compiles anything.

    Attributes:
        level: particles stay at margin >= level.
        step: angle h of a move (prior N(0, I)), or its length in units of `scale`.
        scale: (n,), spread of each coordinate; not used where the prior is N(0, I).
        unit: unit of every output, of the shape of y.
    """

    level: Scalar
    step: Scalar
    scale: Float[Array, " n"]
    unit: Y


def prior_particle(view: Any, unit: Y, key: PRNGKey) -> Particle:
    """z ~ p(z), with its margin."""
    z = view.sample_prior(key)
    none = jnp.zeros((), int)
    return Particle(z, margin_of(view, unit, z), view.log_prior(z), none, none)


def margin_of(view: Any, unit: Y, z: Z) -> Scalar:
    """m(z) in double precision, whatever the network computes in."""
    return view.margin(z, unit).astype(z.dtype)


def moved(view: Any, move: Move, at: Particle, key: PRNGKey, first: Count, count: Count) -> Particle:
    r"""`count` moves of one particle by z' = cos(h) z + sin(h) xi, xi ~ N(0, I), kept if m(z') >= level.

    The preconditioned Crank-Nicolson proposal (Neal 1998; Cotter, Roberts, Stuart & White 2013, arXiv
    1202.0709): reversible with respect to N(0, I), hence with the indicator to N(0, I) restricted to the
    level. It needs no gradient, so ReLU networks and networks with jumps are treated like any other. Where
    the prior of z is not N(0, I), z' = z + h scale xi with the Metropolis rule on log p(z). A quarter of the
    moves take a step that is up to 30 times smaller, log-uniformly, so that narrow parts of the region are
    explored next to wide ones. Move i uses `fold_in(key, i)`: cutting a run changes nothing.
    """

    def one(i: Array, at: Particle) -> Particle:
        bits = jax.random.bits(jax.random.fold_in(key, i), (at.z.size + 2,), jnp.uint32)
        xi = normal_of(bits[2:])
        h = move.step * _shrinkage(uniform_of(bits[0]))
        if view.standard:
            h = jnp.minimum(h, ANGLE_MOST)
            z, allowed = jnp.cos(h) * at.z + jnp.sin(h) * xi, jnp.asarray(True)
            log_prior = view.log_prior(z)
        else:
            z = at.z + h * move.scale * xi
            log_prior = view.log_prior(z)
            allowed = jnp.log(uniform_of(bits[1])) < log_prior - at.log_prior
        margin = margin_of(view, move.unit, z)
        kept = allowed & (margin >= move.level)
        undefined = at.undefined + jnp.isnan(margin)
        new = Particle(z, margin, log_prior, at.accepted + 1, undefined)
        stays = at._replace(undefined=undefined)
        return jax.tree.map(lambda a, b: jnp.where(kept, a, b), new, stays)

    return jax.lax.fori_loop(first, first + count, one, at)


def _shrinkage(u: Scalar) -> Scalar:
    # given that the step is a small one, u / share is uniform on [0, 1) again
    return jnp.where(u < SMALL_SHARE, SMALLEST ** (u / SMALL_SHARE), 1.0)
