"""Chains of layers in networks of other frameworks, as `Layered`: what the readers have in common."""

from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError
from probinv.forward.layers import AbstractLayer, Activation, Affine, Dense

KNOWN: tuple[tuple[Callable[..., Any], str, float | None], ...] = (
    (jax.nn.relu, "relu", None),
    (jax.nn.relu6, "relu6", None),
    (jax.nn.selu, "selu", None),
    (jax.nn.silu, "silu", None),
    (jax.nn.mish, "mish", None),
    (jax.nn.gelu, "gelu_tanh", None),
    (jax.nn.softplus, "softplus", None),
    (jax.nn.soft_sign, "softsign", None),
    (jnp.tanh, "tanh", None),
    (jax.nn.tanh, "tanh", None),
    (jax.lax.tanh, "tanh", None),
    (jax.nn.hard_tanh, "hard_tanh", None),
    (jax.nn.sigmoid, "logistic", None),
    (jax.nn.leaky_relu, "leaky_relu", 0.01),
    (jax.nn.elu, "elu", 1.0),
    (jax.nn.softmax, "softmax", None),
    (jax.nn.log_softmax, "log_softmax", None),
    (jnp.exp, "exp", None),
    (jnp.sin, "sin", None),
)
"""Functions of JAX, with their usual settings, and the activations that they are."""


def dense(kernel: Any, bias: Any) -> Dense:
    """y = x K + b, of a kernel (in, out)."""
    return Dense(np.ascontiguousarray(np.asarray(kernel).T), None if bias is None else np.asarray(bias))


def normalised(mean: Any, variance: Any, epsilon: float, scale: Any, shift: Any) -> list[AbstractLayer]:
    """y = (x - mean) / sqrt(variance + epsilon) scale + shift; scale and shift may be None."""
    factor = 1 / np.sqrt(np.asarray(variance, np.float64) + epsilon)
    layers: list[AbstractLayer] = [Affine(1.0, -np.asarray(mean, np.float64))]
    factor = factor if scale is None else factor * np.asarray(scale, np.float64)
    return [*layers, Affine(factor, 0.0 if shift is None else np.asarray(shift, np.float64))]


def activation(function: Any) -> list[AbstractLayer] | None:
    """The activation that a function of JAX is; None for a function that is not known."""
    for known, name, slope in KNOWN:
        if function is known:
            return [Activation(name, slope)]
    return None


def refuse(layer: str, why: str) -> NoReturn:
    """The layer that breaks a chain."""
    raise InputError(f"the network is no chain: {layer}", why, "use the network as it is")
