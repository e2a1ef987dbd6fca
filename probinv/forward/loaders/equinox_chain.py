"""Chains of Equinox layers."""

import inspect
from typing import Any

import equinox as eqx
import jax
import numpy as np

from probinv.forward.layers import AbstractLayer, Dense
from probinv.forward.loaders._chain import activation, refuse
from probinv.forward.loaders.equinox import EquinoxForward


def equinox_layers(forward: EquinoxForward) -> list[AbstractLayer]:
    """The layers of an `eqx.nn.MLP`, `Linear`, or a `Sequential` of these, functions and dropout."""
    if forward.batched:
        refuse(type(forward).__name__, "it takes a batch")
    return _layers(forward.module())


def _layers(module: Any) -> list[AbstractLayer]:
    name = type(module).__name__
    if isinstance(module, eqx.nn.Sequential):
        return [layer for part in module.layers for layer in _layers(part)]
    if isinstance(module, eqx.nn.Linear):
        if "scalar" in (module.in_features, module.out_features):
            refuse(name, "it takes or gives a scalar")
        return [Dense(np.asarray(module.weight), None if module.bias is None else np.asarray(module.bias))]
    if isinstance(module, eqx.nn.MLP):
        layers: list[AbstractLayer] = []
        for number, part in enumerate(module.layers):
            last = number == len(module.layers) - 1
            layers += [
                *_layers(part),
                *_function(name, module.final_activation if last else module.activation),
            ]
        return layers
    if isinstance(module, eqx.nn.Lambda):
        return _function(name, module.fn)
    if isinstance(module, eqx.nn.Dropout | eqx.nn.Identity):
        return []
    return refuse(name, "it is none of the layers of a chain")


def _function(name: str, function: Any) -> list[AbstractLayer]:
    while isinstance(function, eqx.nn.Lambda):
        function = function.fn
    if isinstance(function, jax.tree_util.Partial):
        function = function.func
    found = activation(function)
    if found is None:
        usual = inspect.signature(eqx.nn.MLP.__init__).parameters["final_activation"].default
        if function is usual or isinstance(function, eqx.nn.Identity):
            return []  # x -> x, of which Equinox has no public name
        refuse(name, f"its function {getattr(function, '__name__', type(function).__name__)!r} is not known")
    return found
