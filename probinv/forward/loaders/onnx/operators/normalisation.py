"""Normalisation."""

import jax.numpy as jnp
from jax import lax

from probinv.forward.loaders.onnx.operators._base import Call, Value, operator


@operator("BatchNormalization", 6, 7, 9, 14, 15, attributes="epsilon is_test momentum spatial training_mode")
def batch_normalisation(
    op: Call, x: Value, scale: Value, shift: Value, mean: Value, variance: Value
) -> Value:
    """scale (x - mean) / sqrt(variance + epsilon) + shift, with the mean and variance of the training."""
    if op["training_mode"] or op["is_test"] == 0 or len([name for name in op.node.outputs if name]) > 1:
        op.refuse("it is in training mode", "export the network in evaluation mode")
    op.require(op["spatial"] in (None, 1), "spatial=0")
    op.require(x.ndim >= 2, f"x has shape {x.shape}")
    parts = [_per_channel(op, part, x) for part in (scale, shift, mean, variance)]
    return (x - parts[2]) * (parts[0] * lax.rsqrt(parts[3] + op["epsilon"])) + parts[1]


def _per_channel(op: Call, part: Value, x: Value) -> Value:
    op.require(part.shape == (x.shape[1],), f"a weight of shape {part.shape} for {x.shape[1]} channels")
    return part.reshape((1, -1, *(1,) * (x.ndim - 2)))


def _standard(x: Value, axes: tuple[int, ...], epsilon: float) -> tuple[Value, Value, Value]:
    """(x - mean) / sqrt(variance + epsilon), the mean, and 1 / sqrt(variance + epsilon)."""
    mean = jnp.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    inverse = lax.rsqrt(jnp.mean(centred**2, axis=axes, keepdims=True) + epsilon)
    return centred * inverse, mean, inverse


@operator("LayerNormalization", 17, attributes="axis epsilon stash_type")
def layer_normalisation(op: Call, x: Value, scale: Value, shift: Value | None = None) -> tuple[Value, ...]:
    """scale (x - mean) / sqrt(variance + epsilon) + shift, over the axes from one on."""
    axes = tuple(range(op.axis(op["axis"], x.ndim), x.ndim))
    y, mean, inverse = _standard(x, axes, op["epsilon"])
    y, scale = op.broadcast(y, scale)
    y = y * scale
    if shift is not None:
        y, shift = op.broadcast(y, shift)
        y = y + shift
    op.require(y.shape == x.shape, f"a scale of shape {scale.shape} for x of shape {x.shape}")
    return y, mean, inverse


@operator("RMSNormalization", 23, attributes="axis epsilon stash_type")
def rms_normalisation(op: Call, x: Value, scale: Value) -> Value:
    """x / sqrt(mean x^2 + epsilon) scale."""
    axes = tuple(range(op.axis(op["axis"], x.ndim), x.ndim))
    y = x * lax.rsqrt(jnp.mean(x**2, axis=axes, keepdims=True) + op["epsilon"])
    y, scale = op.broadcast(y, scale)
    return y * scale


@operator("InstanceNormalization", 6, 22, attributes="epsilon")
def instance_normalisation(op: Call, x: Value, scale: Value, shift: Value) -> Value:
    """scale (x - mean) / sqrt(variance + epsilon) + shift, over each channel."""
    op.require(x.ndim >= 3, f"x has shape {x.shape}")
    y, _, _ = _standard(x, tuple(range(2, x.ndim)), op["epsilon"])
    return y * _per_channel(op, scale, x) + _per_channel(op, shift, x)


@operator("GroupNormalization", 18, 21, attributes="epsilon num_groups stash_type")
def group_normalisation(op: Call, x: Value, scale: Value, shift: Value) -> Value:
    """One scale and shift for each group in opset 18, for each channel from 21 on."""
    groups = op["num_groups"]
    op.require(x.ndim >= 2 and groups >= 1 and x.shape[1] % groups == 0, f"{x.shape} in {groups} groups")
    grouped = x.reshape((x.shape[0], groups, -1))
    y = _standard(grouped, (2,), op["epsilon"])[0].reshape(x.shape)
    if op.version < 21:
        op.require(scale.shape == shift.shape == (groups,), f"a scale of shape {scale.shape}")
        scale, shift = (jnp.repeat(part, x.shape[1] // groups) for part in (scale, shift))
    return y * _per_channel(op, scale, x) + _per_channel(op, shift, x)


@operator("LRN", 1, 13, attributes="alpha beta bias size")
def local_response(op: Call, x: Value) -> Value:
    """x / (bias + alpha / size * sum of x^2 over neighbouring channels)^beta."""
    size = op["size"]
    op.require(x.ndim >= 2 and 1 <= size <= 256, f"size {size}")
    before = (size - 1) // 2
    pads = [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)]
    squares = jnp.pad(x**2, pads)
    total = sum(squares[:, first : first + x.shape[1]] for first in range(size))
    return x / (op["bias"] + op["alpha"] / size * total) ** op["beta"]


@operator("MeanVarianceNormalization", 9, 13, attributes="axes")
def mean_variance(op: Call, x: Value) -> Value:
    """(x - mean) / (sqrt(variance) + 1e-9)."""
    axes = op.axes((0, 2, 3) if op["axes"] is None else op["axes"], x.ndim)
    centred = x - jnp.mean(x, axis=axes, keepdims=True)
    return centred / (jnp.sqrt(jnp.mean(centred**2, axis=axes, keepdims=True)) + 1e-9)


@operator("LpNormalization", 1, 22, attributes="axis p")
def lp_normalisation(op: Call, x: Value) -> Value:
    """x / |x|_p along an axis, 0 where that is 0."""
    axis = op.axis(op["axis"], x.ndim)
    if op["p"] == 1:
        norm = jnp.sum(jnp.abs(x), axis=axis, keepdims=True)
    else:
        op.require(op["p"] == 2, f"p={op['p']}")
        norm = jnp.sqrt(jnp.sum(x**2, axis=axis, keepdims=True))
    return jnp.where(norm == 0, 0, x / jnp.where(norm == 0, 1, norm))


@operator("Dropout", 6, 7, 10, 12, 13, 22, attributes="is_test ratio seed", static=(1, 2), folds=True)
def dropout(
    op: Call, x: Value, ratio: Value | None = None, training: Value | None = None
) -> Value | tuple[Value, ...]:
    """x itself: nothing is dropped in inference."""
    del ratio
    if op["is_test"] == 0 or (training is not None and bool(training.reshape(-1)[0])):
        op.refuse("it is in training mode", "export the network in evaluation mode")
    if op.version < 10 and len(op.node.outputs) > 1:
        op.refuse("its mask is not computed here")
    return x, op.xp.ones(x.shape, bool)
