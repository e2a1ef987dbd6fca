"""The deep belief network as a mathematical object: directed layers under an associative memory."""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.labels import label_scores, label_units
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits

type Rows = Float[Array, "rows _"]


@final
class Layer(eqx.Module):
    """A directed layer: q(t | s) upwards (recognition) and p(s | t) downwards (generation).

        q(t | s): natural parameters up_bias + s U,     p(s | t): natural parameters down_bias + D t

    A machine is one with U = D = W. After fine-tuning the two differ.

    Args:
        below, above: the units of s and of t.
        up_weight: U (ns, nt).
        up_bias: (nt,).
        down_weight: D (ns, nt).
        down_bias: (ns,).
    """

    below: AbstractUnits
    above: AbstractUnits
    up_weight: Float[Array | np.ndarray, "ns nt"]
    up_bias: Float[Array | np.ndarray, " nt"]
    down_weight: Float[Array | np.ndarray, "ns nt"]
    down_bias: Float[Array | np.ndarray, " ns"]

    @staticmethod
    def of(machine: Machine) -> "Layer":
        """The layer that a trained machine becomes when another is put on top of it."""
        own = machine.weight, machine.hidden_bias, machine.weight, machine.visible_bias
        return Layer(machine.visible, machine.hidden, *own)

    def up(self, s: Rows) -> Rows:
        """Natural parameters of t given s."""
        return s @ jnp.asarray(self.up_weight, s.dtype) + jnp.asarray(self.up_bias, s.dtype)[None]

    def down(self, t: Rows) -> Rows:
        """Natural parameters of s given t."""
        return t @ jnp.asarray(self.down_weight, t.dtype).T + jnp.asarray(self.down_bias, t.dtype)[None]


class Bound(NamedTuple):
    """A lower bound of log p(x), but for the top machine's log Z.

    Attributes:
        value: mean over rows and draws of log p(x, h) + log Z_top - log q(h | x), in nats.
        error: standard error over the rows.
    """

    value: float
    error: float


@final
class Stack(eqx.Module):
    """p(x, t_1, ..., t_L) = p(x | t_1) ... p(t_(L-1) | t_L) p(t_L), the last law that of a machine (Hinton,
    Osindero and Teh 2006).

    Args:
        layers: the directed layers, from x upwards; none for a machine alone.
        top: the associative memory. Its visible side is t_L, or t_L and label units (`Joined`).
    """

    layers: tuple[Layer, ...]
    top: Machine

    def __check_init__(self) -> None:
        sizes = [layer.above.size for layer in self.layers]
        below = [layer.below.size for layer in self.layers[1:]] + [self.features]
        for place, (own, wanted) in enumerate(zip(sizes, below, strict=False)):
            if own != wanted:
                raise InputError(
                    f"layer {place} gives {own} units",
                    f"the one above takes {wanted}",
                    "train the stack in order",
                )

    @property
    def visible(self) -> AbstractUnits:
        """The units of x (with the labels, where the stack is one machine)."""
        return self.layers[0].below if self.layers else self.top.visible

    @property
    def classes(self) -> int:
        """Number of labels, 0 without label units."""
        found = label_units(self.top.visible)
        return 0 if found is None else found.classes

    @property
    def features(self) -> int:
        """Entries of the top machine's visible side that are not labels."""
        return self.top.visible.size - self.classes

    def recognise(self, x: Rows) -> Rows:
        """E[t_L | x], each layer given the means of the one below."""
        return means_above(self.layers, x)

    def generate(self, key: PRNGKey, t: Rows) -> Rows:
        """E[x | t_1] after one directed pass down: t_(L-1) ~ p(. | t_L), ..., t_1 ~ p(. | t_2)."""
        for place, layer in reversed(list(enumerate(self.layers))):
            theta = layer.down(t)
            t = (
                layer.below.mean(theta)
                if place == 0
                else layer.below.sample(jax.random.fold_in(key, place), theta)
            )
        return t

    def scores(self, x: Rows) -> Float[Array, "rows classes"]:
        """-F of the memory for each label with E[t_L | x]: log p(label | t_L) up to a constant."""
        return self.scores_above(self.recognise(x))

    def scores_above(self, t: Rows) -> Float[Array, "rows classes"]:
        """-F of the memory for each label beside t = t_L."""
        return label_scores(self.top, t)


def means_above(layers: Sequence[Layer], x: Rows) -> Rows:
    """E[t_L | x], each layer given the means of the one below."""
    for layer in layers:
        x = layer.above.mean(layer.up(x))
    return x


def draws_above(layers: Sequence[Layer], key: PRNGKey, x: Rows) -> list[Rows]:
    """x and a draw of every layer above it from the recognition law."""
    states = [x]
    for place, layer in enumerate(layers):
        states.append(layer.above.sample(jax.random.fold_in(key, place), layer.up(states[-1])))
    return states


@eqx.filter_jit
def bound_terms(stack: Stack, key: PRNGKey, x: Rows) -> Float[Array, " rows"]:
    """log p(x, h) + log Z_top - log q(h | x) for one draw h ~ q(h | x) of each row."""
    total = jnp.zeros(len(x), x.dtype)
    states = draws_above(stack.layers, key, x)
    for layer, s, t in zip(stack.layers, states, states[1:], strict=False):
        total += log_prob(layer.below, layer.down(t), s) - log_prob(layer.above, layer.up(s), t)
    x = states[-1]
    if stack.classes:
        # the label is summed out: it is no part of x
        return total + jax.nn.logsumexp(label_scores(stack.top, x) + _plain(stack, x)[:, None], axis=1)
    return total - stack.top.free_energy(x)


def variational_bound(stack: Stack, key: PRNGKey, x: Rows, *, draws: int = 10) -> Bound:
    """E_q[log p(x, h) - log q(h | x)] + log Z_top <= log p(x) + log Z_top, over rows x of the data.

    Subtract the top machine's log Z (or its bracket) to bound log p(x). It is the bound of Hinton, Osindero
    and Teh (2006) with q the recognition law, by `draws` draws of h for each row.
    """
    keys = jax.random.split(key, draws)
    each = np.mean([np.asarray(bound_terms(stack, own, x), np.float64) for own in keys], axis=0)
    return Bound(float(each.mean()), float(each.std() / np.sqrt(len(each))))


def log_prob(units: AbstractUnits, theta: Rows, s: Rows) -> Float[Array, " rows"]:
    """log p(s | theta)."""
    return units.log_base(s) + jnp.sum(s * theta, axis=1) - units.log_partition(theta)


def _plain(stack: Stack, t: Rows) -> Float[Array, " rows"]:
    """What of -F(t, label) does not depend on the label and is left out of `label_scores`."""
    units: Any = stack.top.visible
    parts = units.parts[:-1]
    base = units.log_base(jnp.concatenate([t, jnp.zeros((len(t), stack.classes), t.dtype)], axis=1))
    assert parts
    return base + t @ jnp.asarray(stack.top.visible_bias, t.dtype)[: t.shape[1]]
