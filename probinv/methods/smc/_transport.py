"""A population carried from one tolerance to another along the normals of the level sets of r."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probinv._typing import Scalar, Z
from probinv.methods.kernels.lifted import jacobian
from probinv.posterior import Path

NEWTON = 6
ENOUGH = 1e-9
SIZE_MOST = 50
"""Coordinates up to which the determinant of the map, n Jacobian products each, is worth its price."""


@eqx.filter_jit
def transport(
    view: Path, z: Float[Array, "p n"], now: Scalar, then: Scalar, batch: int
) -> tuple[Float[Array, "p n"], Float[Array, " p"]]:
    r"""z' = z + J(z)^T l with r(z') = sqrt(b / b') r(z), and log p_b'(z') - log p_b(z) + log |det dz'/dz|.

    The residual in units of the tolerance stays what it is, so the likelihood drops out of the weight and
    what is left is the change of p(z) and the curvature of the level sets: once the tolerance is narrow
    against that, a population can go to any narrower one in one step (SMC with transformations: Everitt,
    Culliford, Medina-Aguayo & Wilson 2020, arXiv 1612.06468). The weight is -inf where Newton's method does
    not find z' or the map turns space over.
    """
    constraint = view.constraint
    assert constraint is not None
    ratio = jnp.sqrt(now / then)

    def one(z: Z) -> tuple[Z, Scalar]:
        r, here = jacobian(constraint, z)

        def place(z: Z, multiplier: Array) -> Z:
            _, pull = jax.vjp(constraint.residual, z)
            return z + pull(multiplier)[0]

        def newton(_: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            multiplier, _ = carry
            value, there = jacobian(constraint, z + here.T @ multiplier)
            change = jnp.linalg.solve(there @ here.T, ratio * r - value)
            return multiplier + change, jnp.linalg.norm(here.T @ change)

        start = (jnp.zeros_like(r), jnp.asarray(jnp.inf))
        multiplier, moved = jax.lax.fori_loop(0, NEWTON, newton, start)
        new = place(z, multiplier)
        there = jacobian(constraint, new)[1]
        stretch = jax.jacfwd(place)(z, multiplier)
        turn = jnp.linalg.solve(there @ here.T, ratio * here - there @ stretch)
        sign, log_volume = jnp.linalg.slogdet(stretch + here.T @ turn)
        gain = view.log_density(new, then) - view.log_density(z, now) + log_volume
        good = (moved <= ENOUGH) & (sign > 0) & jnp.isfinite(gain)
        return jnp.where(good, new, z), jnp.where(good, gain, -jnp.inf)

    return jax.lax.map(one, z, batch_size=batch)
