"""An ONNX file as a message, and a message as a forward."""

from pathlib import Path
from typing import Any

import numpy as np

from probinv._errors import FileError, InputError, ProbinvError
from probinv._files import check_file
from probinv.forward._struct import output_struct
from probinv.forward.loaders.onnx.forward import OnnxForward
from probinv.forward.loaders.onnx.functions import LOWEST
from probinv.forward.loaders.onnx.graph import build, opsets
from probinv.forward.loaders.onnx.kinds import FLOATS, type_name

LIMIT = 2**31
"""Largest file that is opened, in bytes, unless told otherwise."""
DAMAGE = (
    UnicodeError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError,
    AttributeError, RuntimeError, OSError,
)  # fmt: skip


def require_onnx() -> Any:
    """The onnx package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise InputError(
            "the package onnx is not installed",
            "ONNX files are read with it",
            "pip install 'probinv[onnx]'",
        ) from None
    return onnx


def read_model(path: Path, limit: int) -> Any:
    """The ModelProto of a file.

    Raises:
        FileError: there is no such file, or it is too large.
        InputError: it is no ONNX file, or damaged.
    """
    onnx = require_onnx()
    check_file(path, limit)
    try:
        with open(path, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read", error.strerror or str(error), "check the path") from None
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's own class of errors cannot be named without importing it
        raise _damaged(str(path), error) from None
    if model.ir_version < 1 or not model.opset_import or not model.graph.node:
        raise InputError(
            f"{path} is no ONNX network", "it has no version, no operators or no nodes", "check the path"
        )
    return model


def from_model(
    model: Any,
    *,
    inputs: str | None = None,
    outputs: str | None = None,
    fixed: dict[str, Any] | None = None,
    batch_axis: bool | None = None,
    folder: Path | None = None,
) -> OnnxForward:
    """The forward of a ModelProto, see `load_file`."""
    require_onnx()
    try:
        return _from_model(model, inputs, outputs, fixed or {}, batch_axis, folder)
    except ProbinvError:
        raise
    except DAMAGE as error:
        raise _damaged("the network", error) from error


def _from_model(
    model: Any,
    inputs: str | None,
    outputs: str | None,
    fixed: dict[str, Any],
    batch_axis: bool | None,
    folder: Path | None,
) -> OnnxForward:
    opsets(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    taken = [one.name for one in model.graph.input if one.name not in weights and one.name not in fixed]
    x = _chosen("inputs", inputs, taken)
    y = _chosen("outputs", outputs, [one.name for one in model.graph.output])
    sizes = _sizes(model.graph, x)
    if batch_axis is None:
        if sizes is None:
            raise InputError(
                f"the file does not say the shape of {x!r}",
                "so it is not known whether it has a batch axis",
                "say batch_axis=True or batch_axis=False",
            )
        batch_axis = len(sizes) > 0 and sizes[0] in (None, 1)
    if batch_axis and sizes is not None:
        if not sizes:
            raise InputError(f"{x!r} is one number", "it has no batch axis", "leave batch_axis out")
        sizes = sizes[1:]
    shape = None if sizes is None or None in sizes else tuple(size for size in sizes if size is not None)
    arrays = {name: _fixed(name, value) for name, value in fixed.items()}
    parts = build(model, (x,), (y,), folder, arrays)
    if not any(x in node.inputs for node in parts.graph.nodes):
        raise InputError(f"the output {y!r} does not depend on {x!r}", "", "choose others")
    forward = OnnxForward(parts.weights, parts.graph, shape, bool(batch_axis))
    if shape is not None:
        output_struct(forward, shape)  # so that whatever is not understood is refused here
    return forward


def _chosen(setting: str, name: str | None, names: list[str]) -> str:
    if name is not None:
        return name
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"the network has {len(names)} {setting}",
        ", ".join(map(repr, names[:20])) or "a forward has one",
        f"choose one by name with {setting}="
        + (" and fix the others with fixed=" if setting == "inputs" else ""),
    )


def _sizes(graph: Any, name: str) -> tuple[int | None, ...] | None:
    """The shape of a tensor as the file says it, None for a length that has a name."""
    for one in (*graph.input, *graph.value_info):
        if one.name != name:
            continue
        if not one.type.HasField("tensor_type"):
            raise InputError(f"{name!r} is no tensor", "sequences and optionals are not read here", "")
        about = one.type.tensor_type
        if about.elem_type not in FLOATS:
            raise InputError(
                f"{name!r} is of the type {type_name(about.elem_type)}",
                "x must be real numbers, to have a gradient",
                "choose a tensor behind it with inputs=, such as an embedding",
            )
        if not about.HasField("shape"):
            return None
        sizes = [int(d.dim_value) if d.HasField("dim_value") else None for d in about.shape.dim]
        if any(size is not None and size < 1 for size in sizes):
            raise InputError(f"{name!r} has the shape {sizes}", "that is no shape of an input", "")
        return tuple(sizes)
    return None


def _fixed(name: str, value: Any) -> np.ndarray:
    array = np.array(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"fixed[{name!r}] is no array of numbers", f"its dtype is {array.dtype}", "")
    return array


def _damaged(what: str, error: Exception) -> InputError:
    lines = str(error).strip().splitlines() or [""]
    return InputError(
        f"{what} is damaged or no ONNX network",
        f"{type(error).__name__}: {lines[0][:200]}",
        "copy or export it anew",
    )


__all__ = ["LIMIT", "LOWEST", "from_model", "read_model", "require_onnx"]
