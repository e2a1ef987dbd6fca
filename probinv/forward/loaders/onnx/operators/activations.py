"""Activation functions."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from probinv.forward.loaders.onnx.operators._base import Call, Value, operator

PLAIN: dict[str, tuple[tuple[int, ...], Callable[[Value], Value]]] = {
    "Erf": ((9, 13), lambda x: jax.scipy.special.erf(x)),
    "HardSwish": ((14, 22), lambda x: x * jnp.clip(x / 6 + 0.5, 0, 1)),
    "Mish": ((18, 22), lambda x: x * jnp.tanh(jax.nn.softplus(x))),
    "Relu": ((6, 13, 14), lambda x: jax.nn.relu(x)),
    "Sigmoid": ((6, 13), lambda x: jax.nn.sigmoid(x)),
    "Softplus": ((1, 22), lambda x: jax.nn.softplus(x)),
    "Softsign": ((1, 22), lambda x: x / (1 + jnp.abs(x))),
}


def _register(kind: str) -> None:
    versions, function = PLAIN[kind]

    @operator(kind, *versions)
    def compute(op: Call, x: Value) -> Value:
        return function(x)


for _kind in PLAIN:
    _register(_kind)


def exp_below(x: Value) -> Value:
    """e^x - 1 for x < 0, and 0 above, where e^x may overflow and spoil the gradient."""
    return jnp.expm1(jnp.minimum(x, 0))


@operator("Celu", 12, 28, attributes="alpha")
def celu(op: Call, x: Value) -> Value:
    """max(0, x) + min(0, alpha (e^(x / alpha) - 1))."""
    return jnp.where(x > 0, x, op["alpha"] * exp_below(x / op["alpha"]))


@operator("Elu", 6, 22, attributes="alpha")
def elu(op: Call, x: Value) -> Value:
    """x, alpha (e^x - 1) for x < 0."""
    return jnp.where(x > 0, x, op["alpha"] * exp_below(x))


@operator("Selu", 6, 22, attributes="alpha gamma")
def selu(op: Call, x: Value) -> Value:
    """gamma x, gamma alpha (e^x - 1) for x < 0."""
    return op["gamma"] * jnp.where(x > 0, x, op["alpha"] * exp_below(x))


@operator("Gelu", 20, attributes="approximate")
def gelu(op: Call, x: Value) -> Value:
    """x Phi(x), or its approximation by tanh where the file says so."""
    op.require(op["approximate"] in ("none", "tanh"), f"approximate={op['approximate']!r}")
    if op["approximate"] == "tanh":
        return jax.nn.gelu(x, approximate=True)
    return 0.5 * x * (1 + jax.scipy.special.erf(x / math.sqrt(2)))


@operator("HardSigmoid", 6, 22, attributes="alpha beta")
def hard_sigmoid(op: Call, x: Value) -> Value:
    """alpha x + beta, kept between 0 and 1."""
    return jnp.clip(op["alpha"] * x + op["beta"], 0, 1)


@operator("LeakyRelu", 6, 16, attributes="alpha")
def leaky_relu(op: Call, x: Value) -> Value:
    """x, alpha x for x < 0."""
    return jnp.where(x >= 0, x, op["alpha"] * x)


@operator("PRelu", 6, 7, 9, 16)
def prelu(op: Call, x: Value, slope: Value) -> Value:
    """x, slope x for x < 0."""
    if op.version < 7 and slope.size > 1:
        op.require(slope.shape == x.shape[1:2], f"a slope of shape {slope.shape} for {x.shape}")
        slope = slope.reshape((-1, *(1,) * (x.ndim - 2)))
    x, slope = op.broadcast(x, slope)
    return jnp.where(x >= 0, x, slope * x)


@operator("Shrink", 9, attributes="bias lambd")
def shrink(op: Call, x: Value) -> Value:
    """x moved towards 0 by bias, and 0 between -lambd and lambd."""
    above = jnp.where(x > op["lambd"], x - op["bias"], 0)
    return jnp.where(x < -op["lambd"], x + op["bias"], above).astype(x.dtype)


@operator("Swish", 24, attributes="alpha")
def swish(op: Call, x: Value) -> Value:
    """x / (1 + e^(-alpha x))."""
    return x * jax.nn.sigmoid(op["alpha"] * x)


@operator("SwiGLU", 28, attributes="alpha")
def swiglu(op: Call, a: Value, b: Value) -> Value:
    """Swish of a, times b."""
    a, b = op.broadcast(a, b)
    return a * jax.nn.sigmoid(op["alpha"] * a) * b


@operator("ThresholdedRelu", 10, 22, attributes="alpha")
def thresholded_relu(op: Call, x: Value) -> Value:
    """x above alpha, otherwise 0."""
    return jnp.where(x > op["alpha"], x, 0)


@operator("Hardmax", 1, 11, 13, attributes="axis")
def hardmax(op: Call, x: Value) -> Value:
    """1 at the first largest entry, 0 elsewhere."""
    return _along(
        op, x, lambda rows: jax.nn.one_hot(jnp.argmax(rows, axis=-1), rows.shape[-1], dtype=rows.dtype)
    )


@operator("Softmax", 1, 11, 13, attributes="axis")
def softmax(op: Call, x: Value) -> Value:
    """e^x / sum(e^x)."""
    return _along(op, x, lambda rows: jax.nn.softmax(rows, axis=-1))


@operator("LogSoftmax", 1, 11, 13, attributes="axis")
def log_softmax(op: Call, x: Value) -> Value:
    """log softmax(x)."""
    return _along(op, x, lambda rows: jax.nn.log_softmax(rows, axis=-1))


def _along(op: Call, x: Value, function: Callable[[Value], Value]) -> Value:
    """Along one axis; before opset 13, along all axes from that one on, as one."""
    axis = op["axis"]
    if op.version < 13:
        axis = axis if axis == x.ndim else op.axis(axis, x.ndim)
        rows = x.reshape((math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
        return function(rows).reshape(x.shape)
    axis = op.axis(axis, x.ndim)
    return jnp.moveaxis(function(jnp.moveaxis(x, axis, -1)), -1, axis)
