"""Matrix products."""

import math

import jax.numpy as jnp

from probinv.forward.loaders.onnx.operators._base import Call, Value, operator


@operator("MatMul", 1, 9, 13)
def matmul(op: Call, a: Value, b: Value) -> Value:
    """A B, of stacks of matrices too."""
    op.require(min(a.ndim, b.ndim) >= 1, "a number is no matrix")
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    op.require(a.shape[-1] == inner, f"shapes {a.shape} and {b.shape} do not fit")
    if b.ndim <= 2:
        op.bound((*a.shape[:-1], *b.shape[1:]))
        return jnp.tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))
    vector = a.ndim == 1
    a = a[None, :] if vector else a
    ndim = max(a.ndim, b.ndim)
    a = a.reshape((1,) * (ndim - a.ndim) + a.shape)
    b = b.reshape((1,) * (ndim - b.ndim) + b.shape)
    op.broadcast(a[..., :1], b[..., :1, :])
    product = jnp.matmul(a, b)
    return product[..., 0, :] if vector else product


@operator("Gemm", 6, 7, 9, 11, 13, attributes="alpha beta broadcast transA transB")
def gemm(op: Call, a: Value, b: Value, c: Value | None = None) -> Value:
    """alpha A B + beta C, with A and B transposed where the file says so."""
    op.require(a.ndim == b.ndim == 2, f"shapes {a.shape} and {b.shape} are no matrices")
    a = a.T if op["transA"] else a
    b = b.T if op["transB"] else b
    op.require(a.shape[1] == b.shape[0], f"shapes {a.shape} and {b.shape} do not fit")
    y = _scaled(op["alpha"], a @ b)
    if c is None:
        return y
    result, c = op.broadcast(y, c)
    op.require(all(m in (1, n) for m, n in zip(c.shape, y.shape, strict=True)), f"C has shape {c.shape}")
    return result + _scaled(op["beta"], c)


def _scaled(factor: float, x: Value) -> Value:
    if factor == 1:
        return x
    return (factor * x).astype(x.dtype)


@operator("Einsum", 12, 28, attributes="equation")
def einsum(op: Call, *values: Value) -> Value:
    """The sum of products that the equation names."""
    equation = op["equation"].replace(" ", "")
    op.require(len(values) <= 8, f"it joins {len(values)} tensors")
    op.require(len(equation) < 200 and equation.isascii(), "its equation is too long")
    terms = equation.split("->")[0].split(",")
    op.require(len(terms) == len(values) and equation.count("->") <= 1, f"equation {equation!r}")
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        letters = term.replace("...", "")
        op.require(
            (letters.isalpha() or not letters) and len(letters) <= value.ndim, f"equation {equation!r}"
        )
        op.require("..." in term or len(letters) == value.ndim, f"equation {equation!r}")
        _note_sizes(op, sizes, term, value.shape)
    # no step of it can make a tensor larger than all of its letters span
    op.bound(sizes.values())
    return jnp.einsum(equation, *values, optimize="greedy")


def _note_sizes(op: Call, sizes: dict[str, int], term: str, shape: tuple[int, ...]) -> None:
    before, dots, after = term.partition("...")
    axes = list(zip(before, shape, strict=False))
    axes += list(zip(after, shape[len(shape) - len(after) :], strict=True))
    for letter, size in axes:
        op.require(sizes.get(letter, size) in (1, size) or size == 1, f"axis {letter} has two lengths")
        sizes[letter] = max(size, sizes.get(letter, 1))
    if dots:
        rest = math.prod(shape[len(before) : len(shape) - len(after)])
        sizes["..."] = max(rest, sizes.get("...", 1))


@operator("Det", 11, 22)
def det(op: Call, x: Value) -> Value:
    """The determinant of each matrix."""
    op.require(x.ndim >= 2 and x.shape[-1] == x.shape[-2], f"shape {x.shape} is no square matrix")
    return jnp.linalg.det(x)
