"""The geometry of convolution and pooling: how a window moves along an axis."""

from typing import Any, NamedTuple

from probinv.forward.loaders.onnx.operators._base import Call


class Window(NamedTuple):
    """A window along each spatial axis.

    Args:
        kernel: entries of the window.
        strides: steps from one place to the next.
        dilations: steps from one entry to the next.
        before: padding before the first entry of x.
        after: padding behind the last.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def spans(self) -> tuple[int, ...]:
        """From the first to the last entry of the window, both counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def read_window(op: Call, kernel: tuple[int, ...], size: tuple[int, ...]) -> Window:
    """The window of a node over a tensor with these spatial sizes, its padding in numbers."""
    count = len(size)
    strides = whole(op, "strides", count, 1)
    dilations = whole(op, "dilations", count, 1)
    op.require(min((*kernel, *strides, *dilations), default=1) >= 1, "a kernel, stride or dilation below 1")
    op.require(max((*kernel, *strides, *dilations), default=1) < 2**20, "a kernel or stride above a million")
    window = Window(kernel, strides, dilations, (0,) * count, (0,) * count)
    auto = op["auto_pad"]
    if auto == "NOTSET":
        pads = whole(op, "pads", 2 * count, 0)
        op.require(min(pads, default=0) >= 0, f"negative padding {pads}")
        window = window._replace(before=pads[:count], after=pads[count:])
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        op.require(not any(op["pads"] or ()), "pads are given beside auto_pad")
        before, after = [], []
        for length, stride, span in zip(size, strides, window.spans, strict=True):
            total = max((-(-length // stride) - 1) * stride + span - length, 0)
            small, large = total // 2, total - total // 2
            before.append(large if auto == "SAME_LOWER" else small)
            after.append(small if auto == "SAME_LOWER" else large)
        window = window._replace(before=tuple(before), after=tuple(after))
    else:
        op.require(auto == "VALID", f"auto_pad={auto!r}")
        op.require(not any(op["pads"] or ()), "pads are given beside auto_pad")
    padded = zip(size, window.before, window.after, strict=True)
    op.bound(length + before + after for length, before, after in padded)
    return window


def whole(op: Call, name: str, count: int, usual: int) -> tuple[int, ...]:
    """An attribute of `count` whole numbers."""
    found: Any = op[name]
    numbers = (usual,) * count if found is None or len(found) == 0 else tuple(found)
    op.require(len(numbers) == count, f"{name} has {len(numbers)} entries, not {count}")
    return numbers


def places(op: Call, window: Window, size: tuple[int, ...], *, ceil: bool = False) -> tuple[int, ...]:
    """How many places the window has along each axis."""
    counts = []
    for axis, length in enumerate(size):
        stride, before = window.strides[axis], window.before[axis]
        room = length + before + window.after[axis] - window.spans[axis]
        count = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (count - 1) * stride >= length + before:
            count -= 1  # a window that begins in the padding behind x does not count
        op.require(room >= 0 and count >= 1, f"the window does not fit into {size}")
        counts.append(count)
    return tuple(counts)
