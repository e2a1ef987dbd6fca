"""Gauss-Newton steps on the input: the shortest that lead to a wished output."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv.forward.layered import Layered

DAMPING = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the largest singular value of the Jacobian; 0 is the Gauss-Newton step itself."""
RANK, EXACT, ENOUGH = 1e-12, 1e-12, 0.9999


def polish(
    network: Layered, x: np.ndarray, target: np.ndarray, bounds: tuple[np.ndarray, np.ndarray], steps: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""x <- clip(x - J^+ (f(x) - Y*)), J = df/dx, or a damped step where that comes nearer (Levenberg 1944).

    Of the steps s / (s^2 + (d s_max)^2) in the singular directions of J, d in (0, 1e-3, ..., 10), none longer
    than 1 + |x|, the one with the smallest |f(x) - Y*| is taken; it ends where none comes nearer by
    1e-4 of it, or where |f(x) - Y*| is below 1e-12 (1 + |Y*|). Each step costs a singular value decomposition
    of J, of shape (outputs, inputs), for each x. Call inside `double_precision`.

    Args:
        network: f.
        x: (count, *x), each improved on its own; those that are exact already stay as they are.
        target: Y*, of the shape of y.
        bounds: steps end inside of these; an entry at a bound that would leave it is held (Bertsekas 1982).
        steps: number of steps at most.

    Returns:
        (count, *x), and for each the number of Jacobians that were computed.
    """
    low, high = (jnp.asarray(bound) for bound in bounds)
    rows = [_polished(network, one, jnp.asarray(target), low, high, jnp.asarray(steps)) for one in x]
    return np.stack([np.asarray(point) for point, _ in rows]), np.array([int(count) for _, count in rows])


@eqx.filter_jit
def _polished(
    network: Layered, x: Any, target: Array, low: Array, high: Array, steps: Array
) -> tuple[Float[Array, "..."], Array]:
    def residual(x: Array) -> Array:
        return (network(x) - target).ravel()

    def improve(carry: Any) -> tuple[Any, Any, Array, Array]:
        x, error, count, _ = carry
        wide = target.size <= x.size
        jacobian = (jax.jacrev if wide else jax.jacfwd)(residual)(x).reshape(target.size, x.size)
        off = residual(x)
        uphill = (jacobian.T @ off).reshape(x.shape)
        held = ((x <= low) & (uphill > 0)) | ((x >= high) & (uphill < 0))
        jacobian = jnp.where(held.ravel()[None], 0.0, jacobian)
        left, values, right = jnp.linalg.svd(jacobian, full_matrices=False)
        along, longest = left.T @ off, 1.0 + jnp.linalg.norm(x.ravel())

        def candidate(damping: Array) -> Array:
            scale = values**2 + (damping * values[0]) ** 2
            seen = values > RANK * values[0]
            move = right.T @ (jnp.where(seen, values / jnp.where(seen, scale, 1.0), 0.0) * along)
            move = move * jnp.minimum(1.0, longest / jnp.maximum(jnp.linalg.norm(move), 1e-300))
            return jnp.clip(x - move.reshape(x.shape), low, high)

        tried = jax.vmap(candidate)(jnp.asarray(DAMPING))
        errors = jnp.linalg.norm(jax.vmap(residual)(tried), axis=1)
        best = jnp.argmin(jnp.where(jnp.isnan(errors), jnp.inf, errors))
        better = errors[best] < ENOUGH * error
        return (
            jnp.where(better, tried[best], x),
            jnp.where(better, errors[best], error),
            count + 1,
            better,
        )

    def goes_on(carry: Any) -> Array:
        _, error, count, better = carry
        return better & (count < steps) & (error > EXACT * (1.0 + jnp.linalg.norm(target.ravel())))

    x = jnp.asarray(x)
    begin = (x, jnp.linalg.norm(residual(x)), jnp.asarray(0), jnp.asarray(True))
    x, _, count, _ = jax.lax.while_loop(goes_on, improve, begin)
    return x, count
