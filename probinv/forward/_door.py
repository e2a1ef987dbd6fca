"""One door for networks in files and in memory."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from probinv._errors import InputError
from probinv.forward._base import AbstractForward
from probinv.forward._load import as_forward
from probinv.forward.loaders import FILES, UNREADABLE, of_package


def load(
    source: Any,
    example: Any = None,
    *,
    inputs: str | None = None,
    outputs: str | None = None,
    fixed: dict[str, Any] | None = None,
    batch_axis: bool | None = None,
) -> AbstractForward:
    """y = f(x) from a file or an object.

    A path is told by its ending: .onnx, .keras, or .npz for a file of `save_network`. An `onnx.ModelProto`
    and a `torch.nn.Module` (with an example) go the way of ONNX; anything else goes to `as_forward`.

    Args:
        source: a path, or a network.
        example: for a PyTorch module: one batch that it takes, as a tensor or an array.
        inputs: for ONNX: the name of the tensor that is x, if there are several inputs.
        outputs: for ONNX: the name of the tensor that is y, if there are several outputs.
        fixed: for ONNX: values of other inputs.
        batch_axis: for ONNX: whether the first axis is a batch axis, which x and y then lack; None says
            yes where its length is 1 or has a name instead.

    Raises:
        InputError: it is none of these, is not understood, or would need a pickle to be read.
        FileError: the file is missing, too large or damaged.
    """
    settings = {"inputs": inputs, "outputs": outputs, "fixed": fixed, "batch_axis": batch_axis}
    given = sorted(name for name, value in settings.items() if value is not None)
    if of_package(source, "torch", "Module"):
        return _loader("torch", "load_module")(source, example, settings)
    if example is not None:
        raise InputError("example is given", "only PyTorch modules need one", "leave it out")
    if of_package(source, "onnx", "ModelProto"):
        return _loader("onnx", "load_model")(source, **settings)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        module, function = _reader(path)
        if module == "onnx":
            return _loader(module, function)(path, **settings)
        _check_unused(given, f"{path.name} is no ONNX file")
        return _loader(module, function)(path)
    _check_unused(given, f"{type(source).__name__} is no ONNX network")
    return as_forward(source)


def _reader(path: Path) -> tuple[str, str]:
    """The module and the function that read files with this ending."""
    ending = path.suffix.lower()
    if ending in FILES:
        return FILES[ending]
    what = f"{path.name} is not read here"
    if ending in UNREADABLE:
        raise InputError(what, *UNREADABLE[ending])
    raise InputError(
        what, f"no loader reads files ending in {ending!r}", f"files that are read end in {', '.join(FILES)}"
    )


def _loader(module: str, function: str) -> Any:
    return getattr(import_module(f"probinv.forward.loaders.{module}"), function)


def _check_unused(given: list[str], why: str) -> None:
    if given:
        raise InputError(f"{given[0]} is given", why, "leave it out")
