"""ONNX files and models: an interpreter from ONNX to JAX, and what it needs of the `onnx` package.

load         an onnx.ModelProto as a forward
load_model   the same, with settings
load_file    a file as a forward
as_layered   a plain chain of layers as a `Layered` network
check_source the forward against another interpreter of the same file
"""

import os
from pathlib import Path
from typing import Any

from probinv.forward.loaders.onnx.chain import as_layered
from probinv.forward.loaders.onnx.check import SourceCheck, check_source
from probinv.forward.loaders.onnx.forward import OnnxForward
from probinv.forward.loaders.onnx.reading import LIMIT, from_model, read_model

__all__ = [
    "LIMIT",
    "OnnxForward",
    "SourceCheck",
    "as_layered",
    "check_source",
    "load",
    "load_file",
    "load_model",
]


def load(obj: Any, *, batched: bool = False) -> OnnxForward:
    """y = f(x) of an `onnx.ModelProto`, for one example.

    Args:
        obj: the model; it stays as it is.
        batched: its first axis is a batch axis even if the model gives it another length than 1.

    Raises:
        InputError: the model is damaged, or something in it is not understood; it says what and where.
    """
    return from_model(obj, batch_axis=True if batched else None)


def load_model(
    model: Any,
    *,
    inputs: str | None = None,
    outputs: str | None = None,
    fixed: dict[str, Any] | None = None,
    batch_axis: bool | None = None,
) -> OnnxForward:
    """y = f(x) of an `onnx.ModelProto`, for one example, with the settings of `load_file`."""
    return from_model(model, inputs=inputs, outputs=outputs, fixed=fixed, batch_axis=batch_axis)


def load_file(
    path: str | os.PathLike[str],
    *,
    inputs: str | None = None,
    outputs: str | None = None,
    fixed: dict[str, Any] | None = None,
    batch_axis: bool | None = None,
    limit: int = LIMIT,
) -> OnnxForward:
    """y = f(x) of an ONNX file, for one example.

    Args:
        path: the file. External data are read from its folder only.
        inputs: the name of the tensor that is x, where there are several inputs; any tensor will do.
        outputs: the name of the tensor that is y, where there are several outputs; any tensor will do.
        fixed: values of other inputs.
        batch_axis: whether the first axis of x and of y is a batch axis, which is left out; None says yes
            where the file gives it the length 1 or a name in place of a length.
        limit: largest size that is opened, in bytes.

    Raises:
        FileError: there is no such file, or it is too large.
        InputError: the file is damaged, or something in it is not understood; it says what and where.
    """
    path = Path(path)
    model = read_model(path, limit)
    return from_model(
        model, inputs=inputs, outputs=outputs, fixed=fixed, batch_axis=batch_axis, folder=path.parent
    )
