"""What the header of a network file says, read without JAX and without the weights."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from probinv._errors import InputError

_HEADER, _HEADER_MOST = "header.json", 2**20
_KEEP_SHAPE = ("activation", "affine")


class Shapes(NamedTuple):
    """Shape of one input and of one output; None where the header does not tell."""

    input: tuple[int, ...] | None
    output: tuple[int, ...] | None


def peek(field: str, path: Path) -> Shapes:
    """The shapes of a network that `save_network` wrote. The file as a whole is checked when it is loaded.

    Of an ONNX or Keras file nothing is known before that.

    Raises:
        InputError: there is no such file, or it is of another kind.
    """
    if not path.is_file():
        raise InputError(
            f"{field}: there is no file {path.name}", f"looked in {path.parent}", "check the path"
        )
    if path.suffix in (".onnx", ".keras"):
        return Shapes(None, None)
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.getinfo(_HEADER)
            if part.file_size > _HEADER_MOST:
                raise ValueError("its header is too long")
            header = json.loads(archive.read(part))
        if header["format"] != "probinv network":
            raise ValueError("its header does not say so")
        return Shapes(tuple(header["input_shape"]), _output_shape(header))
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{field}: {path.name} is not a network file of probinv",
            str(error).strip("'\""),
            "write one with probinv.save_network(Layered(...), path); pickles are never read",
        ) from None


def open_network(path: Path) -> Any:
    """The network of a file: one that `save_network` wrote, or of a format that `probinv.forward` reads.

    Raises:
        ProbinvError: there is no such file, or it is damaged or of another kind.
    """
    from probinv import forward

    if not path.is_file():
        raise InputError(
            f"there is no network file {path.name}", f"looked in {path.parent}", "check the path"
        )
    return forward.load(path)


def _output_shape(header: dict[str, Any]) -> tuple[int, ...] | None:
    """(out,) of the last dense layer, if nothing after it can change the shape."""
    layers = list(enumerate(header["layers"]))
    while layers and layers[-1][1]["kind"] in _KEEP_SHAPE:
        layers.pop()
    if not layers or layers[-1][1]["kind"] != "dense":
        return None
    return (int(header["arrays"][f"{layers[-1][0]}.weight"]["shape"][0]),)
