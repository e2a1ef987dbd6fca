"""Reductions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from probinv.forward.loaders.onnx.operators._base import Call, Value, is_float, operator

type Reduce = Callable[[Call, Value, tuple[int, ...]], Value]


def _logsumexp(op: Call, x: Value, axes: tuple[int, ...]) -> Value:
    # JAX's has the right gradient where an entry is far below the others, or all are -inf
    return jax.scipy.special.logsumexp(jnp.asarray(x), axis=axes, keepdims=True)


def _extreme(largest: bool) -> Reduce:
    def reduce(op: Call, x: Value, axes: tuple[int, ...]) -> Value:
        name = "max" if largest else "min"
        if x.dtype == np.bool_:
            return (op.xp.any if largest else op.xp.all)(x, axis=axes, keepdims=True)
        if not is_float(x):
            op.require(x.size > 0, "the largest or smallest of no integers")
            return getattr(op.xp, name)(x, axis=axes, keepdims=True)
        initial = -np.inf if largest else np.inf
        return getattr(op.xp, name)(x, axis=axes, keepdims=True, initial=initial)

    return reduce


def _sum(op: Call, x: Value, axes: tuple[int, ...]) -> Value:
    return op.xp.sum(x, axis=axes, keepdims=True, dtype=x.dtype)


REDUCE: dict[str, tuple[tuple[int, ...], bool, Reduce]] = {
    "ReduceL1": ((1, 11, 13, 18), True, lambda op, x, axes: _sum(op, op.xp.abs(x), axes)),
    "ReduceL2": ((1, 11, 13, 18), False, lambda op, x, axes: jnp.sqrt(_sum(op, x * x, axes)).astype(x.dtype)),
    "ReduceLogSum": ((1, 11, 13, 18, 28), False, lambda op, x, axes: jnp.log(_sum(op, x, axes))),
    "ReduceLogSumExp": ((1, 11, 13, 18, 28), False, _logsumexp),
    "ReduceMax": ((1, 11, 12, 13, 18, 20), True, _extreme(True)),
    "ReduceMean": ((1, 11, 13, 18), False, lambda op, x, axes: jnp.mean(x, axis=axes, keepdims=True)),
    "ReduceMin": ((1, 11, 12, 13, 18, 20), True, _extreme(False)),
    "ReduceProd": (
        (1, 11, 13, 18),
        True,
        lambda op, x, axes: op.xp.prod(x, axis=axes, keepdims=True, dtype=x.dtype),
    ),
    "ReduceSum": ((1, 11, 13), True, _sum),
    "ReduceSumSquare": ((1, 11, 13, 18), True, lambda op, x, axes: _sum(op, x * x, axes)),
}


def _register(kind: str) -> None:
    versions, folds, reduce = REDUCE[kind]

    @operator(
        kind,
        *versions,
        attributes="axes keepdims noop_with_empty_axes",
        static=(1,),
        folds=folds,
    )
    def compute(op: Call, x: Value, axes: Value | None = None) -> Value:
        given = op["axes"] if axes is None else op.integers("axes", axes)
        if not given and op["noop_with_empty_axes"]:
            return reduce(op, x, ())
        chosen = op.axes(given, x.ndim) if given else tuple(range(x.ndim))
        y = reduce(op, x, chosen)
        if op["keepdims"] == 0:
            y = y.reshape(tuple(n for axis, n in enumerate(x.shape) if axis not in chosen))
        return y


for _kind in REDUCE:
    _register(_kind)


def _register_place(kind: str, largest: bool) -> None:
    @operator(kind, 1, 11, 12, 13, attributes="axis keepdims select_last_index", folds=True)
    def compute(op: Call, x: Value) -> Value:
        axis = op.axis(op["axis"], x.ndim)
        op.require(x.ndim >= 1 and x.shape[axis] >= 1, f"x has shape {x.shape}")
        find = op.xp.argmax if largest else op.xp.argmin
        if op["select_last_index"]:
            found = x.shape[axis] - 1 - find(op.xp.flip(x, axis), axis=axis)
        else:
            found = find(x, axis=axis)
        found = op.xp.asarray(found, jax.dtypes.canonicalize_dtype(np.int64))
        return op.xp.expand_dims(found, axis) if op["keepdims"] else found


_register_place("ArgMax", True)
_register_place("ArgMin", False)
