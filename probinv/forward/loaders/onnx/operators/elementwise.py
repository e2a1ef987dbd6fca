"""Operators that act on each entry."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinv.forward.loaders.onnx.kinds import numpy_type
from probinv.forward.loaders.onnx.operators._base import Call, Value, is_float, operator

UNARY: dict[str, tuple[tuple[int, ...], Callable[[Any, Value], Value]]] = {
    "Abs": ((6, 13), lambda xp, x: xp.abs(x)),
    "Acos": ((7, 22), lambda xp, x: xp.arccos(x)),
    "Acosh": ((9, 22), lambda xp, x: xp.arccosh(x)),
    "Asin": ((7, 22), lambda xp, x: xp.arcsin(x)),
    "Asinh": ((9, 22), lambda xp, x: xp.arcsinh(x)),
    "Atan": ((7, 22), lambda xp, x: xp.arctan(x)),
    "Atanh": ((9, 22), lambda xp, x: xp.arctanh(x)),
    "BitwiseNot": ((18,), lambda xp, x: xp.bitwise_not(x)),
    "Ceil": ((6, 13), lambda xp, x: xp.ceil(x)),
    "Cos": ((7, 22), lambda xp, x: xp.cos(x)),
    "Cosh": ((9, 22), lambda xp, x: xp.cosh(x)),
    "Exp": ((6, 13), lambda xp, x: xp.exp(x)),
    "Floor": ((6, 13), lambda xp, x: xp.floor(x)),
    "Identity": ((1, 13, 14, 16, 19, 21, 23, 24, 25), lambda xp, x: x),
    "IsNaN": ((9, 13, 20), lambda xp, x: xp.isnan(x)),
    "Log": ((6, 13), lambda xp, x: xp.log(x)),
    "Neg": ((6, 13), lambda xp, x: -x),
    "Not": ((1,), lambda xp, x: xp.logical_not(x)),
    "Reciprocal": ((6, 13), lambda xp, x: 1 / x),
    "Round": ((11, 22), lambda xp, x: xp.round(x)),
    "Sign": ((9, 13), lambda xp, x: xp.sign(x)),
    "Sin": ((7, 22), lambda xp, x: xp.sin(x)),
    "Sinh": ((9, 22), lambda xp, x: xp.sinh(x)),
    "Sqrt": ((6, 13), lambda xp, x: xp.sqrt(x)),
    "Tan": ((7, 22), lambda xp, x: xp.tan(x)),
    "Tanh": ((6, 13), lambda xp, x: xp.tanh(x)),
}

BINARY: dict[str, tuple[tuple[int, ...], Callable[[Any, Value, Value], Value]]] = {
    "Add": ((6, 7, 13, 14), lambda xp, a, b: a + b),
    "And": ((7,), lambda xp, a, b: xp.logical_and(a, b)),
    "BitwiseAnd": ((18,), lambda xp, a, b: a & b),
    "BitwiseOr": ((18,), lambda xp, a, b: a | b),
    "BitwiseXor": ((18,), lambda xp, a, b: a ^ b),
    "Equal": ((7, 11, 13, 19), lambda xp, a, b: a == b),
    "Greater": ((7, 9, 13), lambda xp, a, b: a > b),
    "GreaterOrEqual": ((12, 16), lambda xp, a, b: a >= b),
    "Less": ((7, 9, 13), lambda xp, a, b: a < b),
    "LessOrEqual": ((12, 16), lambda xp, a, b: a <= b),
    "Mul": ((6, 7, 13, 14), lambda xp, a, b: a * b),
    "Or": ((7,), lambda xp, a, b: xp.logical_or(a, b)),
    "Sub": ((6, 7, 13, 14), lambda xp, a, b: a - b),
    "Xor": ((7,), lambda xp, a, b: xp.logical_xor(a, b)),
}

# Of any number of tensors: how two of them are joined.
VARIADIC: dict[str, tuple[tuple[int, ...], Callable[[Any, Value, Value], Value]]] = {
    "Max": ((6, 8, 12, 13), lambda xp, a, b: xp.maximum(a, b)),
    "Mean": ((6, 8, 13), lambda xp, a, b: a + b),
    "Min": ((6, 8, 12, 13), lambda xp, a, b: xp.minimum(a, b)),
    "Sum": ((6, 8, 13), lambda xp, a, b: a + b),
}


def _register_unary(kind: str) -> None:
    versions, function = UNARY[kind]

    @operator(kind, *versions, folds=True)
    def compute(op: Call, x: Value) -> Value:
        return function(op.xp, x)


def _register_binary(kind: str) -> None:
    versions, function = BINARY[kind]

    @operator(kind, *versions, attributes="axis broadcast", folds=True)
    def compute(op: Call, a: Value, b: Value) -> Value:
        return function(op.xp, *op.broadcast(a, _aligned(op, a, b)))


def _aligned(op: Call, a: Value, b: Value) -> Value:
    """b with axes of length 1 behind it, so that it begins at the axis of a that opset 6 could name."""
    if op.version > 6:
        return b
    if not op["broadcast"]:
        op.require(a.shape == b.shape, f"shapes {a.shape} and {b.shape} without broadcast")
        return b
    axis = a.ndim - b.ndim if op["axis"] is None else op.axis(op["axis"], a.ndim)
    part = a.shape[axis : axis + b.ndim] if axis >= 0 else ()
    fits = len(part) == b.ndim and all(n in (1, m) for n, m in zip(b.shape, part, strict=True))
    op.require(fits, f"shapes {a.shape} and {b.shape} with axis={axis}")
    return b.reshape((*b.shape, *(1,) * (a.ndim - axis - b.ndim)))


def _register_variadic(kind: str) -> None:
    versions, function = VARIADIC[kind]

    @operator(kind, *versions, folds=True)
    def compute(op: Call, *values: Value) -> Value:
        first, *rest = op.broadcast(*values)
        for value in rest:
            first = function(op.xp, first, value)
        return first / len(values) if kind == "Mean" else first


for _kind in UNARY:
    _register_unary(_kind)
for _kind in BINARY:
    _register_binary(_kind)
for _kind in VARIADIC:
    _register_variadic(_kind)


@operator("Div", 6, 7, 13, 14, attributes="axis broadcast", folds=True)
def div(op: Call, a: Value, b: Value) -> Value:
    """a / b; of integers, rounded towards zero."""
    a, b = op.broadcast(a, _aligned(op, a, b))
    if is_float(a):
        return a / b
    if op.folds:
        op.require(bool(np.all(b != 0)), "it divides by zero")
        quotient, rest = np.divmod(a, b)
        return (quotient + ((rest != 0) & ((a < 0) ^ (b < 0)))).astype(a.dtype)
    return jax.lax.div(*jnp.broadcast_arrays(a, b))


@operator("Mod", 10, 13, 28, attributes="fmod", folds=True)
def mod(op: Call, a: Value, b: Value) -> Value:
    """The rest of a / b, with the sign of b, or of a for fmod = 1."""
    a, b = op.broadcast(a, b)
    if op.folds and not is_float(a):
        op.require(bool(np.all(b != 0)), "it divides by zero")
    if op["fmod"]:
        return op.xp.fmod(a, b)
    op.require(not is_float(a) or op.version >= 28, "fmod=0 is for integers")
    return op.xp.mod(a, b)


@operator("Pow", 1, 7, 12, 13, 15, attributes="axis broadcast", folds=True)
def power(op: Call, a: Value, b: Value) -> Value:
    """a^b, of the kind of a."""
    dtype = a.dtype
    whole = b.dtype.kind in "iu"
    a, b = op.broadcast(a, _aligned(op, a, b))
    if not is_float(a) and op.folds and whole:
        op.require(bool(np.all(b >= 0)), "an integer to a negative power")
    if not is_float(a) and not whole:
        a = a.astype(b.dtype)
    return op.xp.power(a, b).astype(dtype)


@operator("BitShift", 11, 28, attributes="direction", folds=True)
def bit_shift(op: Call, a: Value, b: Value) -> Value:
    """a with its bits moved by b."""
    a, b = op.broadcast(a, b)
    op.require(a.dtype.kind in "ui", f"{a.dtype} has no bits to move")
    return op.xp.left_shift(a, b) if op["direction"] == "LEFT" else op.xp.right_shift(a, b)


@operator("IsInf", 10, 20, attributes="detect_negative detect_positive", folds=True)
def is_inf(op: Call, x: Value) -> Value:
    """Whether an entry is infinite, of the signs that are asked for."""
    infinite = op.xp.isinf(x)
    if not op["detect_negative"]:
        infinite = infinite & (x > 0)
    if not op["detect_positive"]:
        infinite = infinite & (x < 0)
    return infinite


@operator("Where", 9, 16, folds=True)
def where(op: Call, condition: Value, a: Value, b: Value) -> Value:
    """a where the condition holds, otherwise b."""
    return op.xp.where(*op.broadcast(condition, a, b))


@operator("Clip", 6, 11, 12, 13, attributes="min max", folds=True)
def clip(op: Call, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """min(max(x, low), high)."""
    if op.version < 11:
        low, high = (np.asarray(op[name], x.dtype) for name in ("min", "max"))
    if low is not None:
        op.require(low.size == 1, "its least value is not one number")
        x = op.xp.maximum(*op.broadcast(x, low.reshape(())))
    if high is not None:
        op.require(high.size == 1, "its largest value is not one number")
        x = op.xp.minimum(*op.broadcast(x, high.reshape(())))
    return x


@operator("Cast", 6, 9, 13, 19, 21, 23, 24, 25, 28, attributes="to saturate round_mode", folds=True)
def cast(op: Call, x: Value) -> Value:
    """x as another type; floats stay in the precision of the run once x is computed with."""
    return _as_type(op, x, numpy_type(op["to"], op.node.name))


@operator("CastLike", 15, 19, 21, 23, 24, 25, attributes="saturate round_mode", folds=True)
def cast_like(op: Call, x: Value, like: Value) -> Value:
    """x as the type of another tensor."""
    return _as_type(op, x, np.dtype(like.dtype))


def _as_type(op: Call, x: Value, dtype: np.dtype) -> Value:
    if np.issubdtype(dtype, np.floating):
        return x.astype(dtype if op.folds else jax.dtypes.canonicalize_dtype(np.float64))
    if dtype == np.bool_:
        return x != 0
    wanted = dtype if op.folds else jax.dtypes.canonicalize_dtype(dtype)
    if op.folds and is_float(x):
        op.require(bool(np.all(np.isfinite(x) & (np.abs(x) < 2**63))), "no integer is as large")
    return x.astype(wanted)
