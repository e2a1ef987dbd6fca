"""Pooling. A window's maximum and sum are taken along one axis after the other."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from probinv.forward.loaders.onnx.operators._base import Call, Value, is_float, operator
from probinv.forward.loaders.onnx.operators.windows import Window, places, read_window

UNROLLED = 16
"""Longest window that is computed from slices; a longer one gathers its entries."""

POOL = "auto_pad ceil_mode kernel_shape pads strides dilations"


@operator("MaxPool", 1, 8, 10, 11, 12, 22, attributes=f"{POOL} storage_order")
def max_pool(op: Call, x: Value) -> Value:
    """The largest entry in each window."""
    if len([name for name in op.node.outputs if name]) > 1:
        op.refuse("the places of the maxima (its second output) are not computed here")
    lowest = -np.inf if is_float(x) else jnp.iinfo(x.dtype).min
    window, counts = _geometry(op, x)
    return _pool(x, window, counts, jnp.maximum, lambda rows: jnp.max(rows, axis=-1), lowest)


@operator("AveragePool", 1, 7, 10, 11, 19, 22, attributes=f"{POOL} count_include_pad")
def average_pool(op: Call, x: Value) -> Value:
    """The mean of each window; padding counts where the file says so."""
    window, counts = _geometry(op, x)
    total = _pool(x, window, counts, jnp.add, lambda rows: jnp.sum(rows, axis=-1), 0)
    sizes = [
        _counted(window, axis, size, count, bool(op["count_include_pad"]))
        for axis, (size, count) in enumerate(zip(x.shape[2:], counts, strict=True))
    ]
    number = functools.reduce(np.multiply.outer, sizes)
    return total / jnp.asarray(number[None, None], x.dtype)


@operator("LpPool", 2, 11, 18, 22, attributes=f"{POOL} p")
def lp_pool(op: Call, x: Value) -> Value:
    """(sum |x|^p)^(1/p)."""
    window, counts = _geometry(op, x)
    powers = jnp.abs(x) ** op["p"]
    total = _pool(powers, window, counts, jnp.add, lambda rows: jnp.sum(rows, axis=-1), 0)
    return total ** (1 / op["p"])


@operator("GlobalMaxPool", 1, 22)
def global_max_pool(op: Call, x: Value) -> Value:
    """The largest entry of each channel."""
    return jnp.max(x, axis=_spatial(op, x), keepdims=True)


@operator("GlobalAveragePool", 1, 22)
def global_average_pool(op: Call, x: Value) -> Value:
    """The mean of each channel."""
    return jnp.mean(x, axis=_spatial(op, x), keepdims=True)


@operator("GlobalLpPool", 2, 22, attributes="p")
def global_lp_pool(op: Call, x: Value) -> Value:
    """(sum |x|^p)^(1/p) of each channel."""
    return jnp.sum(jnp.abs(x) ** op["p"], axis=_spatial(op, x), keepdims=True) ** (1 / op["p"])


def _spatial(op: Call, x: Value) -> tuple[int, ...]:
    op.require(x.ndim >= 3 and min(x.shape) >= 1, f"x has shape {x.shape}")
    return tuple(range(2, x.ndim))


def _geometry(op: Call, x: Value) -> tuple[Window, tuple[int, ...]]:
    op.require(x.ndim >= 3, f"x has shape {x.shape}")
    size, kernel = tuple(x.shape[2:]), op["kernel_shape"]
    op.require(kernel is not None and len(kernel) == len(size), f"kernel_shape {kernel} for shape {x.shape}")
    window = read_window(op, tuple(kernel), size)
    ceil = bool(op["ceil_mode"]) and op["auto_pad"] == "NOTSET"
    counts = places(op, window, size, ceil=ceil)
    for span, before, after in zip(window.spans, window.before, window.after, strict=True):
        op.require(max(before, after) < span, "a window would lie in the padding only")
    return window, counts


def _pool(
    x: Value,
    window: Window,
    counts: tuple[int, ...],
    pair: Callable[[Value, Value], Value],
    along: Callable[[Value], Value],
    empty: Any,
) -> Value:
    for axis, count in enumerate(counts):
        kernel, stride, step = window.kernel[axis], window.strides[axis], window.dilations[axis]
        before, where = window.before[axis], axis + 2
        length = x.shape[where]
        reach = (count - 1) * stride + window.spans[axis]
        pads = [(0, 0)] * x.ndim
        pads[where] = (before, max(reach - before - length, 0))
        padded = jnp.pad(x, pads, constant_values=empty) if any(pads[where]) else x
        if kernel <= UNROLLED:
            parts = [_strided(padded, where, entry * step, count, stride) for entry in range(kernel)]
            x = functools.reduce(pair, parts)
        else:
            index = np.arange(count)[:, None] * stride + np.arange(kernel)[None] * step
            rows = jnp.take(padded, jnp.asarray(index, jnp.int32), axis=where)
            x = along(jnp.moveaxis(rows, where + 1, -1))
    return x


def _strided(x: Value, axis: int, first: int, count: int, stride: int) -> Value:
    index = [slice(None)] * x.ndim
    index[axis] = slice(first, first + (count - 1) * stride + 1, stride)
    return x[tuple(index)]


def _counted(window: Window, axis: int, size: int, count: int, padding_counts: bool) -> np.ndarray:
    """How many entries of each place are counted in an average."""
    before, after = window.before[axis], window.after[axis]
    first, last = (-before, size + after) if padding_counts else (0, size)
    entries = (
        np.arange(count)[:, None] * window.strides[axis]
        + np.arange(window.kernel[axis])[None] * window.dilations[axis]
        - before
    )
    return np.maximum(np.sum((entries >= first) & (entries < last), axis=1), 1)
