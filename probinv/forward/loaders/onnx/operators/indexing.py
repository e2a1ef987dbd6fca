"""Operators that pick and place entries."""

import jax
import jax.numpy as jnp
import numpy as np

from probinv.forward.loaders.onnx.operators._base import Call, Value, is_float, operator


def _indices(op: Call, indices: Value, size: int) -> Value:
    """Indices counted from the front; those that are known are checked, others give NaN if outside."""
    op.require(indices.dtype.kind in "iu", f"its indices are {indices.dtype}")
    if isinstance(indices, np.ndarray):
        inside = bool(np.all((indices >= -size) & (indices < size)))
        op.require(inside, f"an index outside of {size} entries")
        indices = np.where(indices < 0, indices + size, indices)
    if not op.folds:
        indices = jnp.asarray(indices, jnp.int32)
        indices = jnp.where(indices < 0, indices + size, indices)
    return indices


@operator("Gather", 1, 11, 13, attributes="axis", kept=(1,), folds=True)
def gather(op: Call, x: Value, indices: Value) -> Value:
    """Entries of x along an axis, by their indices."""
    axis = op.axis(op["axis"], x.ndim)
    op.require(x.ndim >= 1, "x is one number")
    op.bound((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    chosen = _indices(op, indices, x.shape[axis])
    if op.folds:
        return np.take(x, chosen, axis=axis)
    return jnp.take(x, chosen, axis=axis, mode="fill" if is_float(x) else "clip")


@operator("GatherElements", 11, 13, attributes="axis", kept=(1,), folds=True)
def gather_elements(op: Call, x: Value, indices: Value) -> Value:
    """y[i, j] = x[index[i, j], j] for axis 0, and so on."""
    axis = op.axis(op["axis"], x.ndim)
    _check_elements(op, x, indices, axis)
    x = x[tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(indices.shape))]
    chosen = _indices(op, indices, x.shape[axis])
    if op.folds:
        return np.take_along_axis(x, chosen, axis=axis)
    return jnp.take_along_axis(x, chosen, axis=axis, mode="fill" if is_float(x) else "clip")


def _check_elements(op: Call, x: Value, indices: Value, axis: int) -> None:
    fits = indices.ndim == x.ndim and all(
        i == axis or n <= m for i, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True))
    )
    op.require(fits, f"indices of shape {indices.shape} for x of shape {x.shape}")


@operator("GatherND", 11, 12, 13, attributes="batch_dims", kept=(1,), folds=True)
def gather_nd(op: Call, x: Value, indices: Value) -> Value:
    """Entries of x, each by a whole index or by the beginning of one."""
    batch = op["batch_dims"] or 0
    op.require(0 <= batch < min(x.ndim, indices.ndim), f"batch_dims={batch}")
    op.require(x.shape[:batch] == indices.shape[:batch], f"shapes {x.shape} and {indices.shape}")
    depth = indices.shape[-1]
    op.require(1 <= depth <= x.ndim - batch, f"indices of shape {indices.shape} for x of shape {x.shape}")
    op.bound((*indices.shape[:-1], *x.shape[batch + depth :]))
    parts = [_indices(op, indices[..., i], x.shape[batch + i]) for i in range(depth)]
    middle = indices.ndim - 1 - batch
    for axis in range(batch):
        shape = [1] * (batch + middle)
        shape[axis] = x.shape[axis]
        parts.insert(axis, op.xp.arange(x.shape[axis]).reshape(shape))
    parts = list(op.xp.broadcast_arrays(*parts)) if len(parts) > 1 else parts
    if op.folds:
        return x[tuple(parts)]
    return x.at[tuple(parts)].get(mode="fill" if is_float(x) else "clip")


@operator("Slice", 1, 10, 11, 13, attributes="axes ends starts", static=(1, 2, 3, 4), folds=True)
def slice_(
    op: Call,
    x: Value,
    starts: Value | None = None,
    ends: Value | None = None,
    axes: Value | None = None,
    steps: Value | None = None,
) -> Value:
    """x[start:end:step] along some axes."""
    if op.version < 10:
        first, last = list(op["starts"]), list(op["ends"])
        given = list(range(len(first))) if op["axes"] is None else list(op["axes"])
    else:
        first, last = op.integers("starts", starts), op.integers("ends", ends)
        given = list(range(len(first))) if axes is None else op.integers("axes", axes)
    step = [1] * len(first) if steps is None else op.integers("steps", steps)
    op.require(len(first) == len(last) == len(given) == len(step), "its lists differ in length")
    op.require(0 not in step, "a step of 0")
    index: list[slice] = [slice(None)] * x.ndim
    for axis, begin, end, by in zip(op.axes(given, x.ndim), first, last, step, strict=True):
        index[axis] = _slice(begin, end, by, x.shape[axis])
    return x[tuple(index)]


def _slice(begin: int, end: int, step: int, size: int) -> slice:
    begin = begin + size if begin < 0 else begin
    end = end + size if end < 0 else end
    if step > 0:
        return slice(min(max(begin, 0), size), min(max(end, 0), size), min(step, 2**31 - 1))
    begin, end = min(max(begin, 0), size - 1), min(max(end, -1), size - 1)
    return slice(begin, None if end == -1 else end, max(step, -(2**31)))


@operator("ScatterElements", 11, 13, 16, 18, attributes="axis reduction", kept=(1,))
def scatter_elements(op: Call, x: Value, indices: Value, updates: Value) -> Value:
    """x with y[index[i, j], j] = update[i, j] for axis 0, and so on."""
    axis = op.axis(op["axis"], x.ndim)
    _check_elements(op, x, indices, axis)
    op.require(updates.shape == indices.shape, f"updates {updates.shape}, indices {indices.shape}")
    places = [
        jnp.arange(n).reshape((1,) * i + (n,) + (1,) * (x.ndim - i - 1)) for i, n in enumerate(indices.shape)
    ]
    places[axis] = _indices(op, indices, x.shape[axis])
    return _scatter(op, x, tuple(jnp.broadcast_arrays(*places)), updates)


@operator("Scatter", 9, 11, attributes="axis", kept=(1,))
def scatter(op: Call, x: Value, indices: Value, updates: Value) -> Value:
    """What ScatterElements was called before opset 11."""
    return scatter_elements(op, x, indices, updates)


@operator("ScatterND", 11, 13, 16, 18, attributes="reduction", kept=(1,))
def scatter_nd(op: Call, x: Value, indices: Value, updates: Value) -> Value:
    """x with entries replaced (or joined), each by a whole index or by the beginning of one."""
    depth = indices.shape[-1] if indices.ndim else 0
    op.require(1 <= depth <= x.ndim, f"indices of shape {indices.shape} for x of shape {x.shape}")
    wanted = (*indices.shape[:-1], *x.shape[depth:])
    op.require(updates.shape == wanted, f"updates of shape {updates.shape}, not {wanted}")
    places = tuple(_indices(op, indices[..., i], x.shape[i]) for i in range(depth))
    return _scatter(op, x, places, updates)


def _scatter(op: Call, x: Value, places: tuple[Value, ...], updates: Value) -> Value:
    at = x.at[places]
    match op["reduction"]:
        case None | "none":
            return at.set(updates)
        case "add":
            return at.add(updates)
        case "mul":
            return at.multiply(updates)
        case "max":
            return at.max(updates)
        case "min":
            return at.min(updates)
    return op.refuse(f"reduction={op['reduction']!r} is not known")


@operator("Compress", 9, 11, 28, attributes="axis", static=(1,), folds=True)
def compress(op: Call, x: Value, condition: Value) -> Value:
    """The entries of x along an axis for which a condition holds."""
    if op["axis"] is None:
        x, axis = x.reshape(-1), 0
    else:
        axis = op.axis(op["axis"], x.ndim)
    chosen = np.flatnonzero(condition)
    op.require(chosen.size == 0 or int(chosen.max()) < x.shape[axis], "its condition is too long")
    return op.xp.take(x, op.xp.asarray(chosen), axis=axis)


@operator("NonZero", 9, 13, static=(0,), folds=True)
def nonzero(op: Call, x: Value) -> Value:
    """The indices of the entries that are not 0."""
    return np.asarray(np.nonzero(np.atleast_1d(x)), np.int64)


@operator("OneHot", 9, 11, 28, attributes="axis", static=(1,), folds=True)
def one_hot(op: Call, indices: Value, depth: Value, values: Value) -> Value:
    """One value at each index and another elsewhere, along a new axis."""
    op.require(depth.size == 1 and values.shape == (2,), "depth is no number, or values are not two")
    count = int(depth.reshape(-1)[0])
    op.require(count >= 1, f"depth {count}")
    axis = op.axis(op["axis"], indices.ndim + 1)
    op.bound((*indices.shape, count))
    xp = op.xp
    whole = indices.astype(np.int32)
    whole = xp.where(whole < 0, whole + count, whole)
    hot = xp.expand_dims(whole, -1) == xp.arange(count).reshape((1,) * indices.ndim + (-1,))
    off, on = (values[number].reshape((1,) * hot.ndim) for number in (0, 1))
    return xp.moveaxis(xp.where(hot, on, off), -1, axis)


@operator("TopK", 1, 10, 11, 24, attributes="axis k largest sorted", static=(1,))
def top_k(op: Call, x: Value, k: Value | None = None) -> tuple[Value, Value]:
    """The largest (or smallest) k and where they are, always sorted; of equals the first comes first."""
    axis = op.axis(op["axis"], x.ndim)
    count = op["k"] if k is None else op.integers("k", k)[0]
    op.require(0 <= count <= x.shape[axis], f"the first {count} of {x.shape[axis]}")
    smallest = op["largest"] == 0
    op.require(not smallest or x.dtype.kind in "fi", f"the smallest of {x.dtype}")
    rows = jnp.moveaxis(x, axis, -1)
    order = jnp.argsort(rows, axis=-1, stable=True, descending=not smallest)[..., :count]
    values = jnp.take_along_axis(rows, order, axis=-1)
    return jnp.moveaxis(values, -1, axis), jnp.moveaxis(order, -1, axis)


@operator("CumSum", 11, 14, attributes="exclusive reverse", static=(1,), folds=True)
def cumsum(op: Call, x: Value, axis: Value) -> Value:
    """Sums of the entries up to each, along an axis."""
    return _cumulate(op, x, axis, 0)


@operator("CumProd", 26, attributes="exclusive reverse", static=(1,), folds=True)
def cumprod(op: Call, x: Value, axis: Value) -> Value:
    """Products of the entries up to each, along an axis."""
    return _cumulate(op, x, axis, 1)


def _cumulate(op: Call, x: Value, axis: Value, neutral: int) -> Value:
    where, xp = op.axis(op.integers("axis", axis)[0], x.ndim), op.xp
    x = xp.flip(x, where) if op["reverse"] else x
    y = (xp.cumprod if neutral else xp.cumsum)(x, axis=where, dtype=x.dtype)
    if op["exclusive"]:
        widths = [(0, 0)] * x.ndim
        widths[where] = (1, 0)
        y = xp.pad(y, widths, constant_values=neutral)
        y = y[(slice(None),) * where + (slice(x.shape[where]),)]
    return xp.flip(y, where) if op["reverse"] else y


@operator("ReverseSequence", 10, 28, attributes="batch_axis time_axis", static=(1,))
def reverse_sequence(op: Call, x: Value, lengths: Value) -> Value:
    """The first entries of each sequence turned round."""
    batch, time = op["batch_axis"], op["time_axis"]
    op.require({batch, time} == {0, 1} and x.ndim >= 2, f"batch_axis={batch}, time_axis={time}")
    rows = x if batch == 0 else x.swapaxes(0, 1)
    steps = np.asarray(op.integers("lengths", lengths))[:, None]
    op.require(steps.shape[0] == rows.shape[0], f"{steps.shape[0]} lengths for {rows.shape[0]} sequences")
    op.require(bool(np.all((steps >= 0) & (steps <= rows.shape[1]))), "a sequence is too long")
    now = np.arange(rows.shape[1])[None]
    index = jnp.asarray(np.where(now < steps, steps - 1 - now, now), jnp.int32)
    rows = jax.vmap(lambda row, order: row[order])(rows, index)
    return rows if batch == 0 else rows.swapaxes(0, 1)
