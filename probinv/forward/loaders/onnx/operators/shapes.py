"""Operators that move entries and change shapes."""

import math

import numpy as np

from probinv.forward.loaders.onnx.kinds import numpy_type
from probinv.forward.loaders.onnx.operators._base import Call, Value, operator


@operator("Shape", 1, 13, 15, 19, 21, 23, 24, 25, attributes="start end")
def shape(op: Call, x: Value) -> Value:
    """The shape of x, or a part of it."""
    start, end = op["start"] or 0, op["end"]
    return np.asarray(x.shape[slice(start, end)], np.int64)


@operator("Size", 1, 13, 19, 21, 23, 24, 25)
def size(op: Call, x: Value) -> Value:
    """The number of entries of x."""
    return np.asarray(math.prod(x.shape), np.int64)


@operator("Reshape", 5, 13, 14, 19, 21, 23, 24, 25, attributes="allowzero", static=(1,), folds=True)
def reshape(op: Call, x: Value, wanted: Value) -> Value:
    """-1 stands for what is left, 0 for the same length as before (unless allowzero)."""
    sizes = op.integers("shape", wanted)
    op.require(min(sizes, default=0) >= -1 and sizes.count(-1) <= 1, f"shape {sizes}")
    if op["allowzero"]:
        op.require(not (0 in sizes and -1 in sizes), f"shape {sizes} with allowzero")
    else:
        op.require(all(size != 0 or axis < x.ndim for axis, size in enumerate(sizes)), f"shape {sizes}")
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    known = math.prod(size for size in sizes if size != -1)
    if -1 in sizes:
        op.require(known > 0 and x.size % known == 0, f"{x.shape} has no shape {sizes}")
        sizes[sizes.index(-1)] = x.size // known
    op.require(math.prod(sizes) == x.size, f"{x.shape} has no shape {sizes}")
    return x.reshape(op.bound(sizes))


@operator("Flatten", 1, 9, 11, 13, 21, 23, 24, 25, attributes="axis", folds=True)
def flatten(op: Call, x: Value) -> Value:
    """x as a matrix, whose rows are the axes before one."""
    axis = op["axis"]
    op.require(-x.ndim <= axis <= x.ndim, f"axis {axis} of a tensor with {x.ndim} axes")
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape((math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@operator("Transpose", 1, 13, 21, 23, 24, 25, attributes="perm", folds=True)
def transpose(op: Call, x: Value) -> Value:
    """x with its axes in another order; turned round if none is given."""
    order = tuple(range(x.ndim))[::-1] if op["perm"] is None else tuple(op["perm"])
    op.require(sorted(order) == list(range(x.ndim)), f"perm {order} of a tensor with {x.ndim} axes")
    return op.xp.transpose(x, order)


def _axes(op: Call, axes: Value | None) -> list[int] | None:
    """Axes that came as an attribute in old opsets and come as an input in new ones."""
    if axes is not None:
        return op.integers("axes", axes)
    return None if op["axes"] is None else list(op["axes"])


@operator("Squeeze", 1, 11, 13, 21, 23, 24, 25, attributes="axes", static=(1,), folds=True)
def squeeze(op: Call, x: Value, axes: Value | None = None) -> Value:
    """x without some axes of length 1."""
    given = _axes(op, axes)
    if given is None:
        chosen = {axis for axis, size in enumerate(x.shape) if size == 1}
    else:
        chosen = {op.axis(axis, x.ndim) for axis in given}
    op.require(all(x.shape[axis] == 1 for axis in chosen), f"axes {sorted(chosen)} of shape {x.shape}")
    return x.reshape(tuple(size for axis, size in enumerate(x.shape) if axis not in chosen))


@operator("Unsqueeze", 1, 11, 13, 21, 23, 24, 25, attributes="axes", static=(1,), folds=True)
def unsqueeze(op: Call, x: Value, axes: Value | None = None) -> Value:
    """x with new axes of length 1."""
    given = _axes(op, axes)
    op.require(given is not None, "it names no axes")
    ndim = x.ndim + len(given or ())
    op.require(ndim <= 32, f"it makes {ndim} axes")
    new, old = op.axes(given or (), ndim), iter(x.shape)
    return x.reshape(tuple(1 if axis in new else next(old) for axis in range(ndim)))


@operator("Concat", 4, 11, 13, attributes="axis", folds=True)
def concat(op: Call, *values: Value) -> Value:
    """Tensors one after the other along an axis."""
    axis = op.axis(op["axis"], values[0].ndim)
    rest = {tuple(n for i, n in enumerate(v.shape) if i != axis) for v in values}
    op.require(len(rest) == 1 and len({v.ndim for v in values}) == 1, f"shapes {[v.shape for v in values]}")
    first = values[0].shape
    op.bound((*first[:axis], sum(value.shape[axis] for value in values), *first[axis + 1 :]))
    return op.xp.concatenate(values, axis=axis)


@operator("Split", 2, 11, 13, 18, attributes="axis split num_outputs", static=(1,), folds=True)
def split(op: Call, x: Value, lengths: Value | None = None) -> tuple[Value, ...]:
    """x in parts along an axis."""
    axis, count = op.axis(op["axis"], x.ndim), len(op.node.outputs)
    length = x.shape[axis]
    if lengths is not None:
        sizes = op.integers("split", lengths)
    elif op["split"]:
        sizes = list(op["split"])
    elif op.version >= 18:
        op.require(op["num_outputs"] in (None, count), f"num_outputs={op['num_outputs']}")
        part = -(-length // count)
        sizes = [max(min(part, length - part * number), 0) for number in range(count)]
    else:
        op.require(length % count == 0, f"{length} in {count} equal parts")
        sizes = [length // count] * count
    op.require(min(sizes, default=0) >= 0 and sum(sizes) == length, f"parts {sizes} of {length}")
    op.require(len(sizes) == count, f"{len(sizes)} parts for {count} outputs")
    ends = np.cumsum(sizes)
    return tuple(
        x[(slice(None),) * axis + (slice(int(end) - size, int(end)),)]
        for end, size in zip(ends, sizes, strict=True)
    )


@operator("Expand", 8, 13, static=(1,), folds=True)
def expand(op: Call, x: Value, wanted: Value) -> Value:
    """x repeated along axes of length 1."""
    sizes = op.integers("shape", wanted)
    op.require(min(sizes, default=0) >= 0, f"shape {sizes}")
    op.bound(sizes)
    try:
        full = op.bound(np.broadcast_shapes(x.shape, tuple(sizes)))
    except ValueError:
        op.refuse(f"shape {x.shape} does not fit {sizes}")
    x = x.reshape((1,) * (len(full) - x.ndim) + x.shape)
    return op.xp.broadcast_to(x, full)


@operator("Tile", 6, 13, static=(1,), folds=True)
def tile(op: Call, x: Value, repeats: Value) -> Value:
    """x repeated along each axis."""
    times = op.integers("repeats", repeats)
    op.require(len(times) == x.ndim and min(times, default=0) >= 0, f"repeats {times} of shape {x.shape}")
    op.bound(size * number for size, number in zip(x.shape, times, strict=True))
    return op.xp.tile(x, tuple(times))


@operator("ConstantOfShape", 9, 20, 21, 23, 24, 25, attributes="value", static=(0,), folds=True)
def constant_of_shape(op: Call, wanted: Value) -> Value:
    """One value everywhere."""
    sizes = op.bound(op.integers("shape", wanted))
    value = np.zeros(1, np.float32) if op["value"] is None else op["value"]
    op.require(value.size == 1, "its value is not one number")
    return np.broadcast_to(value.reshape(()), sizes)


@operator("Range", 11, 27, attributes="stash_type", static=(0, 1, 2), folds=True)
def arange(op: Call, start: Value, limit: Value, delta: Value) -> Value:
    """start, start + delta, ... before limit."""
    op.require(start.size == limit.size == delta.size == 1, "a limit or the step is no number")
    first, last, step = (value.reshape(-1)[0] for value in (start, limit, delta))
    op.require(bool(step != 0), "its step is 0")
    numbers = [float(first), float(last), float(step)]
    op.require(bool(np.all(np.isfinite(numbers))), "its limits are not finite")
    count = max(math.ceil((numbers[1] - numbers[0]) / numbers[2]), 0)
    op.bound((count,))
    return (first + np.arange(count) * step).astype(start.dtype)


@operator("EyeLike", 9, 22, attributes="dtype k", folds=True)
def eye_like(op: Call, x: Value) -> Value:
    """Ones on a diagonal, in the shape of x."""
    op.require(x.ndim == 2, f"shape {x.shape}")
    dtype = x.dtype if op["dtype"] is None else numpy_type(op["dtype"], op.node.name)
    op.bound(x.shape)
    rows, columns = x.shape
    return np.eye(rows, columns, k=op["k"], dtype=np.dtype(dtype))


@operator("Trilu", 14, attributes="upper", static=(1,), folds=True)
def trilu(op: Call, x: Value, k: Value | None = None) -> Value:
    """The upper or the lower triangle of each matrix."""
    op.require(x.ndim >= 2, f"shape {x.shape}")
    number = 0 if k is None else op.integers("k", k)[0]
    rows, columns = x.shape[-2:]
    offset = np.arange(columns)[None] - np.arange(rows)[:, None]
    kept = offset >= number if op["upper"] else offset <= number
    mask = op.xp.asarray(kept.reshape((1,) * (x.ndim - 2) + kept.shape))
    return op.xp.where(mask, x, op.xp.zeros((1,) * x.ndim, x.dtype))


@operator("DepthToSpace", 1, 11, 13, 28, attributes="blocksize mode", folds=True)
def depth_to_space(op: Call, x: Value) -> Value:
    """Channels laid out as blocks of pixels."""
    block = op["blocksize"]
    op.require(x.ndim == 4 and block >= 1 and x.shape[1] % block**2 == 0, f"{x.shape}, block {block}")
    n, c, h, w = x.shape
    if (op["mode"] or "DCR") == "DCR":
        parts = x.reshape((n, block, block, c // block**2, h, w)).transpose((0, 3, 4, 1, 5, 2))
    else:
        op.require(op["mode"] == "CRD", f"mode={op['mode']!r}")
        parts = x.reshape((n, c // block**2, block, block, h, w)).transpose((0, 1, 4, 2, 5, 3))
    return parts.reshape((n, c // block**2, h * block, w * block))


@operator("SpaceToDepth", 1, 13, 28, attributes="blocksize mode", folds=True)
def space_to_depth(op: Call, x: Value) -> Value:
    """Blocks of pixels laid out as channels."""
    block = op["blocksize"]
    op.require(x.ndim == 4 and block >= 1, f"shape {x.shape}")
    n, c, h, w = x.shape
    op.require(h % block == 0 and w % block == 0, f"{x.shape}, block {block}")
    parts = x.reshape((n, c, h // block, block, w // block, block))
    if (op["mode"] or "DCR") == "DCR":
        parts = parts.transpose((0, 3, 5, 1, 2, 4))
    else:
        op.require(op["mode"] == "CRD", f"mode={op['mode']!r}")
        parts = parts.transpose((0, 1, 3, 5, 2, 4))
    return parts.reshape((n, c * block**2, h // block, w // block))


@operator("Pad", 2, 11, 13, 18, 19, 21, 23, 24, 25, attributes="mode pads value", static=(1, 3), folds=True)
def pad(
    op: Call, x: Value, pads: Value | None = None, value: Value | None = None, axes: Value | None = None
) -> Value:
    """Padding, by cutting where it is negative."""
    given = list(op["pads"] or ()) if op.version < 11 else op.integers("pads", pads)
    chosen = range(x.ndim) if axes is None else op.axes(op.integers("axes", axes), x.ndim)
    count = len(chosen)
    op.require(len(given) == 2 * count, f"{len(given)} pads for {count} axes")
    widths = [(0, 0)] * x.ndim
    for axis, before, after in zip(chosen, given[:count], given[count:], strict=True):
        widths[axis] = (before, after)
    op.bound(n + max(a, 0) + max(b, 0) for n, (a, b) in zip(x.shape, widths, strict=True))
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True))
    op.require(all(part.start <= part.stop for part in cut), f"pads {given} of shape {x.shape}")
    x = x[cut]
    wider = [(max(a, 0), max(b, 0)) for a, b in widths]
    mode = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}.get(op["mode"])
    if mode is None:
        op.require(op["mode"] == "constant", f"mode={op['mode']!r}")
        if value is None:
            value = op.xp.asarray(op["value"] or 0, x.dtype)
        op.require(value.size == 1, "its value is not one number")
        return op.xp.pad(x, wider, constant_values=value.reshape(()).astype(x.dtype))
    op.require(all(n >= 1 or max(w) == 0 for n, w in zip(x.shape, wider, strict=True)), "x is empty")
    if mode == "reflect":
        fits = all(max(w) < max(n, 1) for n, w in zip(x.shape, wider, strict=True))
        op.require(fits, f"reflecting {wider} of shape {x.shape}")
    return op.xp.pad(x, wider, mode=mode)


@operator("CenterCropPad", 18, attributes="axes", static=(1,), folds=True)
def center_crop_pad(op: Call, x: Value, wanted: Value) -> Value:
    """x cut or padded around its middle."""
    sizes = op.integers("shape", wanted)
    chosen = range(x.ndim) if op["axes"] is None else op.axes(op["axes"], x.ndim)
    op.require(len(sizes) == len(chosen) and min(sizes, default=0) >= 0, f"shape {sizes} of {x.shape}")
    full = list(x.shape)
    for axis, size in zip(chosen, sizes, strict=True):
        full[axis] = size
    op.bound(full)
    cut, wider = [], []
    for have, want in zip(x.shape, full, strict=True):
        first = max((have - want) // 2, 0)
        cut.append(slice(first, first + min(want, have)))
        before = max((want - have) // 2, 0)
        wider.append((before, max(want - have, 0) - before))
    return op.xp.pad(x[tuple(cut)], wider)
