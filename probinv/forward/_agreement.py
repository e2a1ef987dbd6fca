"""Does a network compute the same however it is called, and is its gradient the gradient?"""

from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_count, double_precision
from probinv._typing import PRNGKey
from probinv.forward._base import AbstractForward
from probinv.forward._struct import output_struct


@final
@dataclass(frozen=True)
class Agreement:
    """Largest differences over random inputs, each as |a - b| / (1 + |b|); NaN never agrees with a number.

    Args:
        jit: compiled against not compiled.
        vmap: in a batch against one by one.
        gradient: derivative along a random direction, forward and reverse, against central differences,
            over the inputs where all of these are finite; NaN if there is none.
        finite: share of the random inputs whose output is finite.
        dtype: of the output, for float64 inputs.
        shape: of the output.
    """

    jit: float
    vmap: float
    gradient: float
    finite: float
    dtype: str
    shape: tuple[int, ...]


def agreement(forward: AbstractForward, shape: tuple[int, ...], key: PRNGKey, *, count: int = 8) -> Agreement:
    """max |jit f - f|, |vmap f - f| and |J v - (f(x + h v) - f(x - h v)) / 2h| over x ~ N(0, I), |v| = 1.

    Meant for looking at a network before it is trusted. In float64 a smooth network gives about 1e-16,
    1e-16 and 1e-9. A large gradient difference can also come from a kink or jump of f right at x.

    Args:
        forward: the network.
        shape: shape of one input.
        key: typed PRNG key.
        count: how many random inputs.

    Raises:
        InputError: the network cannot take such an input.
    """
    count = as_count("count", count)
    struct = output_struct(forward, shape)
    x_key, v_key, u_key = jax.random.split(key, 3)
    with double_precision():
        x = jax.random.normal(x_key, (count, *shape), jnp.float64)
        v = jax.random.normal(v_key, (count, *shape), jnp.float64)
        v = v / jnp.maximum(jnp.sqrt(jnp.sum(v**2, axis=tuple(range(1, v.ndim)), keepdims=True)), 1e-300)
        u = jax.random.normal(u_key, (count, *struct.shape), jnp.float64)
        plain = np.stack([np.asarray(forward(one)) for one in x])
        compiled = eqx.filter_jit(lambda f, one: f(one))
        jitted = np.stack([np.asarray(compiled(forward, one)) for one in x])
        batched = np.asarray(eqx.filter_jit(lambda f, batch: jax.vmap(f)(batch))(forward, x))
        gradient = np.asarray(eqx.filter_jit(_gradient_difference)(forward, x, v, u))
    return Agreement(
        jit=_difference(jitted, plain),
        vmap=_difference(batched, plain),
        gradient=float(np.nanmax(gradient)) if np.isfinite(gradient).any() else float("nan"),
        finite=float(np.mean([np.isfinite(one).all() for one in plain])),
        dtype=struct.dtype.name,
        shape=struct.shape,
    )


def _gradient_difference(
    forward: AbstractForward,
    x: Float[Array, "count *x"],
    v: Float[Array, "count *x"],
    u: Float[Array, "count *y"],
) -> Float[Array, " count"]:
    """Largest relative difference of J v, and of u J v by reverse mode, from central differences."""

    def one(x: Array, v: Array, u: Array) -> Array:
        y, forward_mode = jax.jvp(forward, (x,), (v,))
        reverse_mode = jnp.sum(jax.vjp(forward, x)[1](u.astype(y.dtype))[0] * v)
        # error h^2 |f'''| / 6 + eps |f| / h is smallest near the cube root of eps
        h = float(jnp.finfo(y.dtype).eps) ** (1 / 3)
        central = (forward(x + h * v) - forward(x - h * v)) / (2 * h)
        scale = 1 + jnp.max(jnp.abs(central))
        reverse_scale = 1 + jnp.sum(jnp.abs(u * central))
        return jnp.maximum(
            jnp.max(jnp.abs(forward_mode - central)) / scale,
            jnp.abs(reverse_mode - jnp.sum(u * central)) / reverse_scale,
        )

    return jax.vmap(one)(x, v, u)


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """max |a - b| / (1 + |b|), infinite where only one of them is NaN or they are different infinities."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(found - expected) / (1 + np.abs(expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference)), initial=0.0))
