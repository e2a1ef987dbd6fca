"""The layers of a network one by one, from the last to the first."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.forward.layered import Layered
from probinv.forward.layers import (
    AbstractInverse,
    AbstractInvertible,
    AbstractLayer,
    Activation,
    Affine,
    Dense,
)
from probinv.forward.layers._box import Box, Range
from probinv.forward.layers._linear import LinearInverse


class Step(NamedTuple):
    """One layer on the way back: its place and kind, its inverse, and where its inputs may lie."""

    number: int
    kind: str
    inverse: AbstractInverse
    domain: Range


def backward_steps(network: Layered, bounds: Range) -> list[Step]:
    """The inverses of all layers, in the order of the layers; every matrix is factorised here, once.

    Raises:
        InputError: a layer does not know its inverse.
    """
    steps, shape, domain = [], network.input_shape, bounds
    for number, layer in enumerate(centred(network).layers):
        if not isinstance(layer, AbstractInvertible):
            raise InputError(
                f"layers[{number}], a {type(layer).__name__}, has no inverse that is known",
                "it is not an AbstractInvertible",
                "give it the method `inverse`, or sample with NUTS or LiftedHMC, which need none",
            )
        inverse = layer.inverse(shape)
        if isinstance(inverse, LinearInverse):
            inverse = inverse.holding(domain)
        steps.append(Step(number, type(layer).__name__, inverse, domain))
        shape, domain = layer.output_shape(shape), inverse.reach(domain)
    return steps


def centred(network: Layered) -> Layered:
    """The same network with W and b replaced by C W and C b, C = I - 1 1^T / m, before a softmax.

    softmax(u) = softmax(u + c): the common part of u is not determined, and centred it need not be.
    """
    layers = list(network.layers)
    for place in range(1, len(layers)):
        last, before = layers[place], layers[place - 1]
        if isinstance(last, Activation) and "softmax" in last.name and isinstance(before, Dense):
            weight, bias = np.asarray(before.weight, np.float64), np.asarray(before.bias, np.float64)
            layers[place - 1] = Dense(weight - weight.mean(axis=0, keepdims=True), bias - bias.mean())
    return Layered(layers, network.input_shape)


def on_outputs(network: Layered, kept: np.ndarray) -> Layered:
    """The network of some of its outputs only.

    Raises:
        InputError: an output cannot be left out, because no dense layer with activations of single entries
            behind it gives it.
    """
    layers: list[AbstractLayer] = []
    for layer in reversed(network.layers):
        if isinstance(layer, Dense) and kept.ndim == 1:
            rows = Dense(np.asarray(layer.weight)[kept], np.asarray(layer.bias)[kept])
            before = network.layers[: len(network.layers) - len(layers) - 1]
            return Layered([*before, rows, *layers], network.input_shape)
        if isinstance(layer, Affine):
            parts = (np.asarray(part) for part in (layer.scale, layer.shift))
            layers.insert(0, Affine(*(part[kept] if part.ndim else part for part in parts)))
        elif isinstance(layer, Activation) and "softmax" not in layer.name:
            layers.insert(0, layer)
        else:
            break
    raise InputError(
        f"{int((~kept).sum())} outputs of the wish are NaN",
        "outputs can be left out only behind a dense layer with activations of single entries",
        "name a value for each, or use NUTS",
    )


def pull_back(
    steps: list[Step], target: np.ndarray, noise: Callable[[int, tuple[int, ...]], np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """x (count, *x) with f(x) = target (count, *y), and for each layer and row whether it was projected."""
    box, missed = Box.point(target), np.zeros((len(steps), len(target)), bool)
    for place in range(len(steps) - 1, -1, -1):
        step = steps[place]
        drawn = None if noise is None else _of_layer(noise, step.number)
        with np.errstate(all="ignore"):
            box, missed[place] = step.inverse.pull(box, step.domain, drawn)
    return box.at, missed


def _of_layer(
    noise: Callable[[int, tuple[int, ...]], np.ndarray], number: int
) -> Callable[[tuple[int, ...]], np.ndarray]:
    return lambda shape: noise(number, shape)


def normal_noise(key: PRNGKey, first: int, spread: float) -> Callable[[int, tuple[int, ...]], np.ndarray]:
    """spread N(0, I) for a layer and a shape (count, ...); row i is that of member first + i, and 0 for 0.

    Drawn by NumPy on the host, from the numbers of the key: nothing is compiled for each shape of a layer.
    """
    words = [int(word) for word in np.ravel(jax.random.key_data(key))]

    def noise(number: int, shape: tuple[int, ...]) -> np.ndarray:
        rows = np.zeros(shape)
        for row in range(shape[0]):
            if first + row:
                rows[row] = np.random.default_rng([*words, number, first + row]).standard_normal(shape[1:])
        return spread * rows

    return noise


def null_directions(steps: list[Step]) -> np.ndarray:
    """(n, k) orthonormal: x + N w gives the same outputs for every w, of the first linear layer.

    The layers before it must move or scale entries only; where one does more there are none that are known.
    """
    for place, step in enumerate(steps):
        if isinstance(step.inverse, LinearInverse):
            rows = step.inverse.factor.null_space().T
            rows = rows.reshape(len(rows), *step.inverse.inputs)
            for before in reversed(steps[:place]):
                found = before.inverse.directions(rows)
                if found is None:
                    return np.zeros((steps[0].domain.low.size, 0))
                rows = found
            flat = rows.reshape(len(rows), steps[0].domain.low.size).T
            return np.linalg.qr(flat)[0] if place else flat
    return np.zeros((steps[0].domain.low.size if steps else 0, 0))
