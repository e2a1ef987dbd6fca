"""Resize and Upsample: along each axis a matrix, computed on the host."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from probinv.forward.loaders.onnx.operators._base import Call, Value, is_float, operator

RESIZE = (
    "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value"
    " keep_aspect_ratio_policy mode nearest_mode"
)


@operator("Upsample", 7, 9, attributes="mode scales", static=(1,))
def upsample(op: Call, x: Value, scales: Value | None = None) -> Value:
    """What Resize was called before opset 10."""
    given = op["scales"] if scales is None else [float(scale) for scale in scales]
    return _resize(op, x, list(given), None, tuple(range(x.ndim)))


@operator("Resize", 10, 11, 13, 18, 19, attributes=RESIZE, static=(1, 2, 3))
def resize(op: Call, x: Value, roi: Value, scales: Value | None = None, sizes: Value | None = None) -> Value:
    """x at other places of its axes: the nearest entries, or between them."""
    if op.version == 10:
        return _resize(op, x, [float(scale) for scale in roi], None, tuple(range(x.ndim)))
    if op["antialias"]:
        op.refuse("antialias=1 is not computed here")
    if op["coordinate_transformation_mode"] == "tf_crop_and_resize":
        op.refuse("coordinate_transformation_mode='tf_crop_and_resize' is not computed here")
    axes = tuple(range(x.ndim)) if op["axes"] is None else op.axes(op["axes"], x.ndim)
    by_scale = scales is not None and scales.size > 0
    by_size = sizes is not None and sizes.size > 0
    op.require(by_scale != by_size, "it needs either scales or sizes")
    if by_scale:
        return _resize(op, x, [float(scale) for scale in np.asarray(scales)], None, axes)
    assert sizes is not None
    return _resize(op, x, None, op.integers("sizes", sizes), axes)


def _resize(
    op: Call, x: Value, scales: list[float] | None, sizes: list[int] | None, axes: tuple[int, ...]
) -> Value:
    op.require(len(scales or sizes or ()) == len(axes), f"{len(scales or sizes or ())} scales or sizes")
    op.require(min(x.shape, default=1) >= 1, f"x has shape {x.shape}")
    if scales is None:
        scales, sizes = _by_size(op, x, sizes or [], axes)
    else:
        op.require(all(0 < scale < 2**20 for scale in scales), f"scales {scales}")
        sizes = [math.floor(scale * x.shape[axis]) for axis, scale in zip(axes, scales, strict=True)]
    full = list(x.shape)
    for axis, size in zip(axes, sizes, strict=True):
        full[axis] = size
    op.bound(full)
    for axis, scale, size in zip(axes, scales, sizes, strict=True):
        if scale != 1 or size != x.shape[axis]:
            x = _along(op, x, axis, scale, size)
    return x


def _by_size(op: Call, x: Value, sizes: list[int], axes: tuple[int, ...]) -> tuple[list[float], list[int]]:
    op.require(min(sizes, default=1) >= 1, f"sizes {sizes}")
    scales = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    policy = op["keep_aspect_ratio_policy"] or "stretch"
    if policy == "stretch":
        return scales, sizes
    op.require(policy in ("not_larger", "not_smaller"), f"keep_aspect_ratio_policy={policy!r}")
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [scale] * len(axes), [int(scale * x.shape[axis] + 0.5) for axis in axes]


def _along(op: Call, x: Value, axis: int, scale: float, size: int) -> Value:
    length = x.shape[axis]
    where = _where(op, length, scale, size)
    if op["mode"] == "nearest":
        if op.version <= 10 and scale < 1 and np.any(where % 1):
            op.refuse("made smaller to the nearest entry: opset 10 does not say how it rounds")
        index = np.clip(_nearest(op, where), 0, length - 1)
        return jnp.take(x, jnp.asarray(index, jnp.int32), axis=axis)
    op.require(is_float(x), "integers are not interpolated here")
    op.require(op["mode"] in ("linear", "bilinear", "cubic"), f"mode={op['mode']!r}")
    first = np.floor(where).astype(np.int64)
    part = where - first
    if op["mode"] == "cubic":
        index, weights = first[:, None] + np.arange(-1, 3), _cubic(part, op["cubic_coeff_a"])
    else:
        index, weights = first[:, None] + np.arange(2), np.stack([1 - part, part], axis=1)
    if op["exclude_outside"]:
        weights = np.where((index < 0) | (index >= length), 0, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    op.bound((size, length))
    matrix = np.zeros((size, length))
    np.add.at(matrix, (np.arange(size)[:, None], np.clip(index, 0, length - 1)), weights)
    return jnp.moveaxis(jnp.tensordot(x, jnp.asarray(matrix, x.dtype), axes=((axis,), (1,))), -1, axis)


def _where(op: Call, length: int, scale: float, size: int) -> np.ndarray:
    """The place in x of each entry of y."""
    entry = np.arange(size, dtype=np.float64)
    mode: Any = op["coordinate_transformation_mode"] or "asymmetric"
    whole = scale * length
    match mode:
        case "asymmetric":
            return entry / scale
        case "half_pixel":
            return (entry + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            if size == 1 and op["mode"] == "cubic":
                op.refuse("pytorch_half_pixel to one entry by cubes is read in two ways")
            return (entry + 0.5) / scale - 0.5 if size > 1 else np.zeros(size)
        case "half_pixel_symmetric":
            return length / 2 * (1 - size / whole) + (entry + 0.5) / scale - 0.5
        case "align_corners":
            if abs(whole - size) > 1e-9 * size:
                op.refuse("align_corners with a scale that gives no whole size is read in two ways")
            return entry * (length - 1) / (size - 1) if size > 1 else np.zeros(size)
    return op.refuse(f"coordinate_transformation_mode={mode!r} is not known")


def _nearest(op: Call, where: np.ndarray) -> np.ndarray:
    name = op["nearest_mode"] or "floor"
    match name:
        case "floor":
            chosen = np.floor(where)
        case "ceil":
            chosen = np.ceil(where)
        case "round_prefer_floor":
            chosen = np.ceil(where - 0.5)
        case "round_prefer_ceil":
            chosen = np.floor(where + 0.5)
        case _:
            op.refuse(f"nearest_mode={name!r} is not known")
    return np.asarray(chosen, np.int64)


def _cubic(part: np.ndarray, a: float) -> np.ndarray:
    """Weights of the four neighbours, Keys 1981, with its constant a."""
    far = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (part + 1, 2 - part)]
    near = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (part, 1 - part)]
    return np.stack([far[0], near[0], near[1], far[1]], axis=1)
