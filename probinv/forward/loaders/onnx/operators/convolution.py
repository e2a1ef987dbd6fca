"""Convolution."""

import jax.numpy as jnp
from jax import lax

from probinv.forward.loaders.onnx.operators._base import Call, Value, operator
from probinv.forward.loaders.onnx.operators.windows import places, read_window, whole

CONV = "auto_pad dilations group kernel_shape pads strides"


@operator("Conv", 1, 11, 22, attributes=CONV)
def conv(op: Call, x: Value, w: Value, b: Value | None = None) -> Value:
    """x of shape (N, C, ...), w of shape (M, C / group, ...)."""
    group = op["group"]
    op.require(x.ndim == w.ndim >= 3, f"x has shape {x.shape}, the kernel {w.shape}")
    op.require(group >= 1 and x.shape[1] == w.shape[1] * group, f"{x.shape[1]} channels, kernel {w.shape}")
    op.require(w.shape[0] % group == 0, f"{w.shape[0]} kernels in {group} groups")
    kernel = _kernel(op, w)
    window = read_window(op, kernel, x.shape[2:])
    op.bound((x.shape[0], w.shape[0], *places(op, window, x.shape[2:])))
    y = lax.conv_general_dilated(
        x,
        w,
        window.strides,
        list(zip(window.before, window.after, strict=True)),
        rhs_dilation=window.dilations,
        feature_group_count=group,
    )
    return _with_bias(op, y, b)


@operator("ConvTranspose", 1, 11, 22, attributes=f"{CONV} output_padding output_shape")
def conv_transpose(op: Call, x: Value, w: Value, b: Value | None = None) -> Value:
    """The transpose of a convolution with w of shape (C, M / group, ...)."""
    group, count = op["group"], x.ndim - 2
    op.require(x.ndim == w.ndim >= 3, f"x has shape {x.shape}, the kernel {w.shape}")
    op.require(group >= 1 and x.shape[1] == w.shape[0], f"{x.shape[1]} channels, kernel {w.shape}")
    op.require(w.shape[0] % group == 0, f"{w.shape[0]} channels in {group} groups")
    kernel = _kernel(op, w)
    strides, dilations = whole(op, "strides", count, 1), whole(op, "dilations", count, 1)
    op.require(min((*kernel, *strides, *dilations)) >= 1, "a kernel, stride or dilation below 1")
    extra = whole(op, "output_padding", count, 0)
    op.require(min(extra) >= 0, f"output_padding {extra}")
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    full = [(n - 1) * s + e + k for n, s, e, k in zip(x.shape[2:], strides, extra, spans, strict=True)]
    before, after = _cut(op, x.shape[2:], full, strides)
    sizes = [f - a - b for f, a, b in zip(full, before, after, strict=True)]
    op.require(min(sizes) >= 1, f"its output would have the sizes {sizes}")
    op.bound((x.shape[0], w.shape[1] * group, *full))
    # (C, M / group, ...) with C = group * c  ->  (M, c, ...), turned round
    c, m = w.shape[0] // group, w.shape[1]
    w = w.reshape((group, c, m, *kernel)).swapaxes(1, 2).reshape((group * m, c, *kernel))
    w = jnp.flip(w, axis=tuple(range(2, w.ndim)))
    pads = [(s - 1 - p, s - 1 - q + e) for s, p, q, e in zip(spans, before, after, extra, strict=True)]
    y = lax.conv_general_dilated(
        x, w, (1,) * count, pads, lhs_dilation=strides, rhs_dilation=dilations, feature_group_count=group
    )
    return _with_bias(op, y, b)


def _cut(
    op: Call, size: tuple[int, ...], full: list[int], strides: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How much of the full output is cut before and behind."""
    auto, count = op["auto_pad"], len(size)
    wanted: list[int] | None = None
    if op["output_shape"]:
        wanted = list(whole(op, "output_shape", count, 0))
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(size, strides, strict=True)]
    if wanted is None:
        op.require(auto in ("NOTSET", "VALID"), f"auto_pad={auto!r}")
        pads = whole(op, "pads", 2 * count, 0)
        op.require(min(pads) >= 0 and (auto == "NOTSET" or not any(pads)), f"padding {pads}")
        return pads[:count], pads[count:]
    total = [f - n for f, n in zip(full, wanted, strict=True)]
    if op["output_shape"] and any(op["pads"] or ()):
        op.refuse("it gives both output_shape and pads")
    op.require(op["output_shape"] is not None or min(total) >= 0, f"auto_pad={auto!r} with these strides")
    small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def _kernel(op: Call, w: Value) -> tuple[int, ...]:
    kernel = tuple(w.shape[2:])
    said = op["kernel_shape"]
    op.require(said is None or tuple(said) == kernel, f"kernel_shape {said} for a kernel {w.shape}")
    op.require(min(w.shape) >= 1, f"an empty kernel {w.shape}")
    return kernel


def _with_bias(op: Call, y: Value, b: Value | None) -> Value:
    if b is None:
        return y
    op.require(b.shape == (y.shape[1],), f"a bias of shape {b.shape} for {y.shape[1]} channels")
    return y + b.reshape((1, -1, *(1,) * (y.ndim - 2)))
