"""One transition of HMC on log p_b(z) with a given square root of the covariance, for one particle."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probinv._typing import PRNGKey, Scalar, Z


class At(NamedTuple):
    """A point, U = -log p_b there, and dU/dz."""

    z: Z
    potential: Scalar
    slope: Z


def at_point(view: Any, power: Scalar, z: Z) -> At:
    """U and its gradient at z."""
    potential, slope = jax.value_and_grad(lambda z: -view.log_density(z, power))(z)
    return At(z, potential, slope)


def leap_and_judge(
    view: Any,
    power: Scalar,
    root: Float[Array, "n n"] | Float[Array, " n"],
    at: At,
    key: PRNGKey,
    time: Scalar,
    steps: Int[Array, ""],
) -> tuple[At, Scalar]:
    """z' = z + t R v, v' = v - t R^T dU/dz by the leapfrog rule, R R^T the covariance; accept or reject.

    Returns:
        The point, and the probability with which its proposal was accepted (0 where it is not finite).
    """
    key_velocity, key_accept = jax.random.split(key)
    v = jax.random.normal(key_velocity, at.z.shape)
    begin = at.potential + 0.5 * jnp.sum(v**2)

    def scaled(v: Z) -> Z:
        return root @ v if root.ndim == 2 else root * v

    def pulled(slope: Z) -> Z:
        return root.T @ slope if root.ndim == 2 else root * slope

    def leap(_: Array, carry: tuple[At, Z]) -> tuple[At, Z]:
        here, v = carry
        v = v - 0.5 * time * pulled(here.slope)
        here = at_point(view, power, here.z + time * scaled(v))
        return here, v - 0.5 * time * pulled(here.slope)

    end, v = jax.lax.fori_loop(0, steps, leap, (at, v))
    probability = jnp.exp(jnp.minimum(begin - end.potential - 0.5 * jnp.sum(v**2), 0.0))
    finite = jnp.isfinite(end.potential) & jnp.isfinite(end.slope).all()
    probability = jnp.where(finite & ~jnp.isnan(probability), probability, 0.0)
    accepted = jax.random.uniform(key_accept) < probability
    return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), end, at), probability
