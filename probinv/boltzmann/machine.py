"""The restricted Boltzmann machine as a mathematical object."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_positive
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.units import AbstractUnits

type Visible = Float[Array, "*batch nv"]
type Hidden = Float[Array, "*batch nh"]
type Values = Float[Array, "*batch"]


@final
class Machine(eqx.Module):
    """p(v, h) = exp(-E(v, h)) / Z, E(v, h) = -log_base(v) - log_base(h) - v . a - h . b - v W h.

    With h summed out, p(v) = exp(-F(v)) / Z with the free energy

        F(v) = -log_base(v) - v . a - A_h(b + v W).

    Any two kinds of units. The last axis is the units, axes before it are a batch; it computes in the dtype
    of its argument. Smolensky 1986; exponential families: Welling, Rosen-Zvi and Hinton 2004.

    Args:
        visible, hidden: the units of either side.
        weight: W (nv, nh).
        visible_bias: a (nv,).
        hidden_bias: b (nh,).

    Raises:
        InputError: shapes that do not fit, or a number that is not finite.
    """

    visible: AbstractUnits
    hidden: AbstractUnits
    weight: Float[Array | np.ndarray, "nv nh"]
    visible_bias: Float[Array | np.ndarray, " nv"]
    hidden_bias: Float[Array | np.ndarray, " nh"]

    def __check_init__(self) -> None:
        shape = (self.visible.size, self.hidden.size)
        wanted = {"weight": shape, "visible_bias": shape[:1], "hidden_bias": shape[1:]}
        for name, own in wanted.items():
            value = getattr(self, name)
            if np.shape(value) != own:
                raise InputError(
                    f"{name} has shape {np.shape(value)}",
                    f"{shape[0]} visible and {shape[1]} hidden units need {own}",
                    "weights are (visible, hidden)",
                )
            if not isinstance(value, jax.core.Tracer) and not np.isfinite(np.asarray(value)).all():
                raise InputError(
                    f"{name} is not finite", "it holds NaN or infinity", "train again, with a smaller rate"
                )

    @property
    def flipped(self) -> "Machine":
        """The same machine with its sides exchanged."""
        return Machine(self.hidden, self.visible, self.weight.T, self.hidden_bias, self.visible_bias)

    def up(self, v: Visible) -> Hidden:
        """Natural parameters of h given v: b + v W."""
        return v @ jnp.asarray(self.weight, v.dtype) + _like(v, self.hidden.size, self.hidden_bias)

    def down(self, h: Hidden) -> Visible:
        """Natural parameters of v given h: a + W h."""
        return h @ jnp.asarray(self.weight, h.dtype).T + _like(h, self.visible.size, self.visible_bias)

    def energy(self, v: Visible, h: Hidden) -> Values:
        """E(v, h)."""
        base = self.visible.log_base(v) + self.hidden.log_base(h)
        linear = v @ jnp.asarray(self.visible_bias, v.dtype)
        return -base - linear - jnp.sum(h * self.up(v), axis=-1)

    def free_energy(self, v: Visible) -> Values:
        """F(v) = -log_base(v) - v . a - A_h(b + v W)."""
        linear = v @ jnp.asarray(self.visible_bias, v.dtype)
        return -self.visible.log_base(v) - linear - self.hidden.log_partition(self.up(v))

    def gibbs(self, key: PRNGKey, v: Visible) -> Visible:
        """v' ~ p(v | h), h ~ p(h | v): one step of a chain that leaves p(v) as it is."""
        key_hidden, key_visible = jax.random.split(key)
        h = self.hidden.sample(key_hidden, self.up(v))
        return self.visible.sample(key_visible, self.down(h))


def new_machine(
    visible: AbstractUnits,
    hidden: AbstractUnits,
    key: PRNGKey,
    *,
    mean: Float[np.ndarray, " nv"] | None = None,
    scale: float = 0.01,
    dtype: Any = np.float32,
) -> Machine:
    """A machine to begin a training with: W ~ N(0, scale^2), b = 0, and a such that E[v] is the data's mean.

    Args:
        visible, hidden: the units.
        key: of the weights.
        mean: of the training data; a = 0 without it.
        scale: standard deviation of the weights.
        dtype: of the arrays.
    """
    as_positive("scale", scale, shape=())
    shape = (visible.size, hidden.size)
    weight = np.asarray(scale * jax.random.normal(key, shape, jnp.float32)).astype(dtype)
    bias = np.zeros(shape[0]) if mean is None else visible.natural(np.asarray(mean, np.float64))
    return Machine(visible, hidden, weight, bias.astype(dtype), np.zeros(shape[1], dtype))


def machine_above(
    below: Machine,
    visible: AbstractUnits,
    hidden: AbstractUnits,
    key: PRNGKey,
    *,
    mean: Float[np.ndarray, " nv"] | None = None,
) -> Machine:
    """A machine to begin the training of the next layer with: it imagines the hidden units of `below`.

    W = (W_below^T, small), b = (a_below, 0), a = b_below: its law of v is that of h below, so that the
    network of both is as good as `below` alone, and can but get better (Hinton, Osindero and Teh 2006). With
    fewer hidden units than `below` has visible ones that cannot be, and the machine is a `new_machine`.

    Args:
        below: the trained machine.
        visible: its hidden units, or these with label units beside them.
        hidden: units of the new side.
        key: of the weights that are new.
        mean: of the rows to come, where the machine is new.
    """
    fresh = new_machine(visible, hidden, key, mean=mean)
    own, rows = below.visible.size, below.hidden.size
    if hidden.size < own or type(hidden) is not type(below.visible):
        return fresh
    weight, bias, base = (np.array(part) for part in (fresh.weight, fresh.hidden_bias, fresh.visible_bias))
    weight[:rows, :own] = np.asarray(below.weight).T
    bias[:own] = below.visible_bias
    base[:rows] = below.hidden_bias
    return Machine(visible, hidden, weight, base, bias)


def _like(s: Float[Array, "*batch _"], size: int, bias: Any) -> Float[Array, "*batch n"]:
    """The bias for every row of the batch (ranks are never promoted silently)."""
    return jnp.broadcast_to(jnp.asarray(bias, s.dtype), (*s.shape[:-1], size))
