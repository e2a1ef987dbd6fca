"""Ordinary differential equations with fixed steps, whose gradient is that of the steps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def runge_kutta(
    field: Callable[[Any, Float[Array, " n"]], Float[Array, " n"]],
    parameters: Any,
    start: Float[Array, " n"],
    *,
    step: float,
    inner: int,
    saves: int,
) -> Float[Array, "times n"]:
    """u(0), u(h k), ..., u(h k s) of du/dt = field(parameters, u), u(0) = start, by the classical method.

    k1 = F(u), k2 = F(u + h k1 / 2), k3 = F(u + h k2 / 2), k4 = F(u + h k3),
    u <- u + h (k1 + 2 k2 + 2 k3 + k4) / 6, with an error of order h^4.

    Args:
        field: F, which does not depend on time.
        parameters: any pytree; the result is differentiable in it.
        start: u(0).
        step: h.
        inner: k, steps between two saved values.
        saves: s, saved values after the first.
    """

    def one(u: Array, _: None) -> tuple[Array, None]:
        k1 = field(parameters, u)
        k2 = field(parameters, u + 0.5 * step * k1)
        k3 = field(parameters, u + 0.5 * step * k2)
        k4 = field(parameters, u + step * k3)
        return u + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    def save(u: Array, _: None) -> tuple[Array, Array]:
        u = jax.lax.scan(one, u, length=inner)[0]
        return u, u

    later = jax.lax.scan(save, start, length=saves)[1]
    return jnp.concatenate([start[None], later])
