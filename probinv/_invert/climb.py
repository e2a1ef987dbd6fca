"""Ascent of the margin of a wish inside a box, from many points at once."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv.forward.flat import Flat
from probinv.likelihood import AbstractRegionLikelihood

FIRST, LAST, STEPS = 0.3, 3e-4, 100
"""Of the box's width: the first and the last step, and how many there are."""
MOMENTUM = 0.75
TOGETHER = 64
"""Points that are held in memory with all their layers."""


type _State = tuple[Array, Array, Array, Array]


@eqx.filter_jit
def outputs(flat: Flat, x: Float[Array, "points inputs"]) -> Float[Array, "points outputs"]:
    """y = f(x), row by row."""
    return jax.lax.map(flat, x, batch_size=TOGETHER)


@eqx.filter_jit
def margins(
    region: AbstractRegionLikelihood, y: Float[Array, "points outputs"], unit: Float[Array, " outputs"] | None
) -> Float[Array, " points"]:
    """How deep inside the wish each y lies."""
    return jax.vmap(lambda one: region.margin(one, unit))(y)


def spread(y: Float[Array, "points outputs"]) -> Float[Array, " outputs"]:
    """The standard deviation of each output, 1 where there is none: what counts as one unit of it."""
    values = np.where(np.isfinite(y), y, np.nan)
    with np.errstate(all="ignore"):
        deviation = np.array([np.nanstd(column) if np.isfinite(column).any() else 0.0 for column in values.T])
    return jnp.asarray(np.where(deviation > 0, deviation, 1.0))


def climb(
    flat: Flat,
    region: AbstractRegionLikelihood,
    low: Float[Array, " inputs"],
    high: Float[Array, " inputs"],
    unit: Float[Array, " outputs"],
    start: Float[Array, "points inputs"],
) -> tuple[Float[Array, "points inputs"], Float[Array, " points"], int]:
    """The deepest point on the way up from each start, its margin, and the evaluations of the network.

    With w the width of the box, g the gradient of the margin with respect to x / w and v <- MOMENTUM v +
    g / |g|_1, every second point goes x <- x + rate w sign(v), the others x <- x + rate w v / |v|_inf, both
    clipped into the box; rate falls from FIRST to LAST in a geometric sequence.
    """
    signed = jnp.arange(len(start)) % 2 == 0
    x, margin = _climb(flat, region, low, high, unit, start, signed)
    return x, margin, len(start) * (STEPS + 1)


@eqx.filter_jit
def _climb(
    flat: Flat,
    region: AbstractRegionLikelihood,
    low: Array,
    high: Array,
    unit: Array,
    start: Array,
    signed: Array,
) -> tuple[Array, Array]:
    width = high - low
    tiny = jnp.finfo(width.dtype).tiny

    def depth(x: Array) -> Array:
        return region.margin(flat(x), unit)

    def one(begin: tuple[Array, Array]) -> tuple[Array, Array]:
        x0, by_sign = begin

        def step(carry: _State, rate: Array) -> tuple[_State, None]:
            x, v, best, deepest = carry
            margin, slope = jax.value_and_grad(depth)(x)
            better = margin > deepest
            best, deepest = jnp.where(better, x, best), jnp.where(better, margin, deepest)
            g = jnp.nan_to_num(slope * width)
            v = MOMENTUM * v + g / jnp.maximum(jnp.sum(jnp.abs(g)), tiny)
            way = jnp.where(by_sign, jnp.sign(v), v / jnp.maximum(jnp.max(jnp.abs(v)), tiny))
            return (jnp.clip(x + rate * width * way, low, high), v, best, deepest), None

        rates = jnp.geomspace(FIRST, LAST, STEPS)
        begin_at = (x0, jnp.zeros_like(x0), x0, jnp.asarray(-jnp.inf, x0.dtype))
        (x, _, best, deepest), _ = jax.lax.scan(step, begin_at, rates)
        margin = depth(x)
        better = margin > deepest
        return jnp.where(better, x, best), jnp.where(better, margin, deepest)

    return jax.lax.map(one, (start, signed), batch_size=TOGETHER)
