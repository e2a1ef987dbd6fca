"""A network as affine maps and activations of straight pieces, and its wish moved to the last affine map."""

import math
from typing import NamedTuple

import numpy as np

from probinv._errors import InputError
from probinv.forward._backward import on_outputs
from probinv.forward.layered import Layered
from probinv.forward.layers import (
    AbstractInvertible,
    AbstractLayer,
    Activation,
    Affine,
    Dense,
    scalar_inverse,
)
from probinv.forward.layers._box import Box, Range
from probinv.forward.layers._linear import LinearInverse
from probinv.forward.layers._moved import MovedInverse


class Pieces(NamedTuple):
    """h(u) = slopes[p] u + offsets[p] for u between knots[p - 1] and knots[p]."""

    knots: np.ndarray
    slopes: np.ndarray
    offsets: np.ndarray

    def __call__(self, u: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self.knots, u)
        return self.slopes[place] * u + self.offsets[place]


def _pieces(knots: list[float], slopes: list[float], offsets: list[float]) -> Pieces:
    return Pieces(np.array(knots), np.array(slopes), np.array(offsets))


STRAIGHT = _pieces([], [1.0], [0.0])
PIECES = {
    "identity": STRAIGHT,
    "relu": _pieces([0.0], [0.0, 1.0], [0.0, 0.0]),
    "relu6": _pieces([0.0, 6.0], [0.0, 1.0, 0.0], [0.0, 0.0, 6.0]),
    "hard_tanh": _pieces([-1.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]),
}


class Stage(NamedTuple):
    """u = W v + b, and then h of each entry of u."""

    weight: np.ndarray
    bias: np.ndarray
    pieces: Pieces


def stages_of(network: Layered, target: np.ndarray) -> tuple[list[Stage], np.ndarray | None]:
    """f = h_k(W_k ... h_1(W_1 x + b_1) ...), the last h the identity, and the flat wish for it.

    NaN entries of the wish are left out with their outputs. A last activation that is one to one is undone.

    Returns:
        The stages; and Y*, or None where no value of the last activation is Y*.

    Raises:
        InputError: a layer is neither affine nor an activation of straight pieces.
    """
    kept = ~np.isnan(target)
    if not kept.all():
        network, target = on_outputs(network, kept), target[kept]
    layers, wish = _undone(network, target)
    shape, stages = network.input_shape, []
    weight, bias = np.eye(math.prod(shape)), np.zeros(math.prod(shape))
    for number, layer in enumerate(layers):
        if isinstance(layer, Activation):
            pieces = pieces_of(layer)
            if pieces is None:
                raise InputError(
                    f"layers[{number}], the activation {layer.name}, is not of straight pieces",
                    "solutions are counted by the pieces on which a network is linear: relu, leaky_relu,"
                    " relu6, hard_tanh; one more activation may come last, if it is one to one",
                    "use probinv.preimage or a sampler",
                )
            if pieces is not STRAIGHT:
                stages.append(Stage(weight, bias, pieces))
                weight, bias = np.eye(bias.size), np.zeros(bias.size)
        else:
            matrix, shift = _affine(number, layer, shape)
            weight, bias = matrix @ weight, matrix @ bias + shift
        shape = layer.output_shape(shape)
    return [*stages, Stage(weight, bias, STRAIGHT)], None if wish is None else wish.ravel()


def pieces_of(layer: Activation) -> Pieces | None:
    """The straight pieces of an activation; None where it has none."""
    if layer.name != "leaky_relu":
        return PIECES.get(layer.name)
    slope = layer.slope
    assert slope is not None
    return STRAIGHT if slope == 1 else _pieces([0.0], [slope, 1.0], [0.0, 0.0])


def _affine(number: int, layer: AbstractLayer, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """W and b of a layer, for flat inputs and outputs."""
    if isinstance(layer, Dense):
        return np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    if isinstance(layer, Affine):
        parts = (np.asarray(part, np.float64) for part in (layer.scale, layer.shift))
        scale, shift = (np.broadcast_to(part, shape).ravel() for part in parts)
        return np.diag(scale), shift
    eye = np.eye(math.prod(shape))
    inverse = layer.inverse(shape) if isinstance(layer, AbstractInvertible) else None
    if isinstance(inverse, MovedInverse):
        return inverse.forward(eye.reshape(len(eye), *shape)).reshape(eye.shape).T, np.zeros(len(eye))
    if isinstance(inverse, LinearInverse):
        return inverse.factor.apply(eye).T, inverse.bias
    raise InputError(
        f"layers[{number}], a {type(layer).__name__}, is not affine",
        "solutions are counted by the pieces on which a network is linear",
        "use probinv.preimage or a sampler",
    )


def _undone(network: Layered, target: np.ndarray) -> tuple[list[AbstractLayer], np.ndarray | None]:
    """The layers up to the last activation that is not of straight pieces, and the wish before it."""
    layers = list(network.layers)
    curved = [k for k, layer in enumerate(layers) if isinstance(layer, Activation) and not pieces_of(layer)]
    if not curved:
        return layers, target
    shapes = [network.input_shape]
    for layer in layers:
        shapes.append(layer.output_shape(shapes[-1]))
    wish: np.ndarray | None = target
    for place in range(len(layers) - 1, curved[-1] - 1, -1):
        layer, shape = layers[place], shapes[place]
        _require_one_to_one(place, layer, shape)
        assert isinstance(layer, AbstractInvertible)
        if wish is None:
            continue
        with np.errstate(all="ignore"):
            box, missed = layer.inverse(shape).pull(Box.point(wish[None]), Range.everything(shape), None)
        wish = None if missed[0] or not np.isfinite(box.at).all() else box.at[0]
    last, size = layers[curved[-1]], math.prod(shapes[curved[-1]])
    # softmax(u) = softmax(u + c): of all u + c the one of mean 0 is asked for, of outputs made to have it
    centred = [Dense(np.eye(size) - 1 / size)] if "softmax" in getattr(last, "name", "") else []
    return [*layers[: curved[-1]], *centred], wish


def _require_one_to_one(place: int, layer: AbstractLayer, shape: tuple[int, ...]) -> None:
    """InputError unless the layer can be undone in one way."""
    if isinstance(layer, Activation):
        scalar = scalar_inverse(layer.name, layer.slope)
        good = (
            (len(shape) == 1)
            if scalar is None
            else scalar.unique and not (scalar.flat_low or scalar.flat_high)
        )
    elif isinstance(layer, Affine):
        good = bool((np.asarray(layer.scale) != 0).all())
    else:
        good = isinstance(layer, AbstractInvertible) and isinstance(layer.inverse(shape), MovedInverse)
    if not good:
        raise InputError(
            f"layers[{place}], a {type(layer).__name__}, cannot be undone in one way only",
            "it comes with or after an activation that is not of straight pieces",
            "use probinv.preimage or a sampler",
        )
