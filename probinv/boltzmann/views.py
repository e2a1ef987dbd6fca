"""What a hidden unit stands for: the pictures that people ask of it, each named for what it is.

For a `Machine` and for a `Layered` network of dense layers, each followed by an activation or by none. Layers
are counted among the dense ones, 0 the first and -1 the last; a machine has one, from its visible to its
hidden units. Host only: all give NumPy arrays.

These are pictures of weights, not draws of a posterior: `invert` says which inputs a network takes for a
wish.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from scipy.special import expit

from probinv._checks import as_array, as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann._inverses import of_activation, of_units
from probinv.boltzmann.machine import Machine
from probinv.forward import Activation, Dense, Layered

CANCELLED = 1e-9
IDENTITY = Activation("identity")


def recognised_pattern(
    network: Any,
    unit: int,
    *,
    activation: float = 0.9,
    layer: int = -1,
    divide_by: Literal["sum", "squares"] = "sum",
) -> Float[np.ndarray, " n"]:
    """x_i = s w_i / sum_j w_j, with s = h^-1(activation) - b: the average pattern that a unit recognises.

    Folklore, and only a picture: it has the shape of the weights, and the unit fed with it gives
    h(s sum w^2 / sum w + b), which is the wished activation only where sum w^2 = sum w. Where weights of both
    signs nearly cancel it is large for no other reason, and where their sum is negative it is turned round.

    With `divide_by="squares"`, x = s w / sum_j w_j^2, the unit fed with x gives the activation exactly, and x
    is the shortest of all inputs that do (the least-norm one). It has the same shape; the factor differs.

    Neither says what inputs look like: every input that differs from x at right angles to w gives the same,
    and the other units of the layer are not asked.

    Args:
        network: a `Machine`, or a `Layered` network of dense layers and activations.
        unit: which unit of the layer.
        activation: what the unit shall give; for a machine, the mean of the hidden unit.
        layer: which dense layer. The pattern is one of that layer's inputs; from any but the first,
            `backward_pattern(network, pattern, layer - 1)` carries it to the inputs of the network.
        divide_by: "sum" for the folklore, "squares" for the exact form.

    Returns:
        (n,), n the number of the layer's inputs.

    Raises:
        InputError: the layer has no such unit, the unit never gives that activation or not at one place only,
            or its weights cancel or are all zero.
    """
    seen = _layer(network, layer)
    weights = _weights(seen, unit)
    wished = float(as_array("activation", activation, shape=()))
    if divide_by not in ("sum", "squares"):
        raise InputError(f"divide_by is {divide_by!r}", "", 'use "sum" or "squares"')
    divisor = float(np.sum(weights if divide_by == "sum" else weights**2))
    size = float(np.sum(np.abs(weights)))
    if size == 0 or (divide_by == "sum" and abs(divisor) < CANCELLED * size):
        raise InputError(
            f"the weights of unit {unit} sum to {divisor:g}",
            "they are zero, or cancel, and the pattern is divided by their sum",
            'choose another unit, or divide_by="squares"' if size else "choose another unit",
        )
    return (seen.inverse(unit, wished) - float(seen.bias[unit])) / divisor * weights


def sampled_patterns(
    network: Any,
    unit: int,
    key: PRNGKey,
    count: int,
    *,
    layer: int = -1,
    scale: Literal["sigmoid", "normalised"] = "sigmoid",
) -> Float[np.ndarray, "count n"]:
    """x_i ~ Bernoulli(p_i), p = sigmoid(w) or (w - min w) / (max w - min w): patterns sampled from weights.

    Each entry is drawn by itself. For a machine of Bernoulli units and "sigmoid" this is p(v | h) with this
    unit on and all others off, but without the visible bias; `machine.visible.sample(key, machine.down(h))`
    has it.

    Args:
        network, layer: as in `recognised_pattern`.
        unit: which unit of the layer.
        key: a typed PRNG key.
        count: number of patterns.
        scale: how weights become probabilities.

    Returns:
        (count, n), 0 or 1.

    Raises:
        InputError: the layer has no such unit, or its weights are all the same and cannot be normalised.
    """
    as_count("count", count)
    weights = _weights(_layer(network, layer), unit)
    if scale == "sigmoid":
        probability = expit(weights)
    elif scale == "normalised":
        low, high = float(weights.min()), float(weights.max())
        if low == high:
            raise InputError(
                f"the weights of unit {unit} are all {low:g}",
                "they have no range to divide by",
                'use "sigmoid"',
            )
        probability = (weights - low) / (high - low)
    else:
        raise InputError(f"scale is {scale!r}", "", 'use "sigmoid" or "normalised"')
    uniform = np.asarray(jax.random.uniform(key, (count, weights.size)), np.float64)
    return (uniform < probability[None, :]).astype(np.float64)


def backward_pattern(network: Any, activations: Any, layer: int = -1) -> Float[np.ndarray, "*batch n"]:
    """x = W_1^T W_2^T ... W_l^T a: activations multiplied back through the weights, without nonlinearities.

    The gradient of a . (W_l ... W_1 x), so it shows which inputs would push these activations up if every
    activation function had slope 1. It is not an inverse: the network fed with x does not give a. For a
    machine it is W h, the natural parameters of v given h without their bias.

    Args:
        network: as in `recognised_pattern`.
        activations: a (*batch, m), of the units of the layer; a one-hot row shows one unit.
        layer: which dense layer they belong to.

    Returns:
        (*batch, n), in the space of the network's inputs.

    Raises:
        InputError: the activations are not of that size or not finite.
    """
    layers = _layers(network)
    number = _number(layers, layer)
    pattern = as_array("activations", activations)
    size = layers[number].weight.shape[0]
    if not pattern.ndim or pattern.shape[-1] != size:
        raise InputError(
            f"activations has shape {pattern.shape}", f"layer {number} has {size} units", "give (..., units)"
        )
    for seen in reversed(layers[: number + 1]):
        pattern = pattern @ seen.weight
    return pattern


def filters(network: Any, layer: int = 0) -> Float[np.ndarray, "m n"]:
    """The incoming weights as rows, one for each unit: for a machine W^T (nh, nv), to be drawn as pictures.

    Args:
        network: as in `recognised_pattern`.
        layer: which dense layer.

    Raises:
        InputError: there is no such layer.
    """
    return np.array(_layer(network, layer).weight, order="C")


class _Seen(NamedTuple):
    """A layer as all views see it: y = h(W x + b), W (out, in), and h^-1(y) of one unit."""

    weight: Float[np.ndarray, "out in"]
    bias: Float[np.ndarray, " out"]
    inverse: Callable[[int, float], float]


def _layers(network: Any) -> list[_Seen]:
    """The machine or network as a list of dense layers with their activations."""
    if isinstance(network, Machine):
        inverse = partial(of_units, network.hidden)
        return [_Seen(_double(network.weight).T, _double(network.hidden_bias), inverse)]
    if not isinstance(network, Layered):
        raise InputError(
            f"a {type(network).__name__} has no layers to look at", "", "give a Machine or a Layered network"
        )
    seen: list[_Seen] = []
    before: Any = None
    for number, layer in enumerate(network.layers):
        if isinstance(layer, Dense):
            seen.append(_Seen(_double(layer.weight), _double(layer.bias), partial(of_activation, IDENTITY)))
        elif isinstance(layer, Activation) and isinstance(before, Dense):
            seen[-1] = seen[-1]._replace(inverse=partial(of_activation, layer))
        else:
            after = type(before).__name__ if before else "nothing"
            raise InputError(
                f"layers[{number}] is {type(layer).__name__} after {after}",
                "views are of dense layers, each followed by one activation or none",
                "look at Layered(network.layers[k:], ...) of the layers behind a scaler",
            )
        before = layer
    return seen


def _layer(network: Any, layer: int) -> _Seen:
    layers = _layers(network)
    return layers[_number(layers, layer)]


def _number(layers: list[_Seen], layer: int) -> int:
    count = len(layers)
    if isinstance(layer, bool) or not isinstance(layer, int | np.integer) or not -count <= layer < count:
        raise InputError(
            f"there is no layer {layer!r}",
            f"the network has {count} dense layers",
            "count from 0, or from -1 back",
        )
    return int(layer) % count


def _weights(seen: _Seen, unit: int) -> Float[np.ndarray, " n"]:
    count = len(seen.weight)
    if isinstance(unit, bool) or not isinstance(unit, int | np.integer) or not 0 <= unit < count:
        raise InputError(f"there is no unit {unit!r}", f"the layer has {count}", f"give 0 to {count - 1}")
    return seen.weight[unit]


def _double(array: Any) -> np.ndarray:
    return np.asarray(array, np.float64)
