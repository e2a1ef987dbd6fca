"""Tensors of a file as NumPy arrays; their bytes are counted before anything is allocated."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from probinv._errors import InputError
from probinv.forward.loaders.onnx.kinds import EXACT, FLOATS, numpy_type, type_name

LITTLE = {1: "<f4", 10: "<f2", 11: "<f8", 16: "<u2"} | {
    number: np.dtype(kind).newbyteorder("<").str for number, kind in EXACT.items()
}
"""How the raw bytes of a type are laid out."""
# The field of the message that holds the numbers where there are no raw bytes.
FIELDS = {1: "float_data", 10: "int32_data", 11: "double_data", 16: "int32_data", 12: "uint64_data",
          13: "uint64_data", 7: "int64_data"}  # fmt: skip


def read_tensor(tensor: Any, where: str, folder: Path | None) -> np.ndarray:
    """A TensorProto as an array; floats of 16 bits keep their values.

    Args:
        tensor: the message.
        where: what it is, for messages.
        folder: where external data may lie; None allows none.

    Raises:
        InputError: its type is not computed with, or its bytes are not as many as its shape says.
    """
    shape = tuple(int(size) for size in tensor.dims)
    dtype = numpy_type(tensor.data_type, where)
    if tensor.HasField("segment"):
        raise InputError(f"{where} comes in segments", "that form is not read here", "save the file anew")
    if min(shape, default=0) < 0 or len(shape) > 32:
        raise InputError(f"{where} has the shape {str(shape)[:80]}", "that is no shape", "check the file")
    count = math.prod(shape)
    kind = int(tensor.data_type)
    if tensor.data_location == 1:
        raw = _external(tensor, where, folder, count * np.dtype(LITTLE[kind]).itemsize)
    elif tensor.HasField("raw_data"):
        raw = tensor.raw_data
    else:
        return _from_field(tensor, where, shape, dtype)
    wanted = count * np.dtype(LITTLE[kind]).itemsize
    if len(raw) != wanted:
        raise InputError(
            f"{where} has {len(raw)} bytes",
            f"a {type_name(kind)} tensor of shape {str(shape)[:80]} has {wanted}",
            "the file is damaged: copy or export it anew",
        )
    return _decoded(np.frombuffer(raw, LITTLE[kind]), kind, dtype).reshape(shape)


def _from_field(tensor: Any, where: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    kind = int(tensor.data_type)
    numbers = getattr(tensor, FIELDS.get(kind, "int32_data"))
    if len(numbers) != math.prod(shape):
        raise InputError(
            f"{where} holds {len(numbers)} numbers",
            f"its shape {str(shape)[:80]} needs {math.prod(shape)}",
            "the file is damaged: copy or export it anew",
        )
    array = np.asarray(numbers)
    if kind in (10, 16):
        if array.size and not 0 <= int(array.min()) <= int(array.max()) < 2**16:
            raise InputError(f"{where} holds a number of more than 16 bits", "", "export the file anew")
        array = array.astype(np.uint16)
        return _decoded(array.view(np.float16) if kind == 10 else array, kind, dtype).reshape(shape)
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
            raise InputError(f"{where} holds a number that is no {dtype}", "", "export the file anew")
    return array.astype(dtype).reshape(shape)


def _decoded(array: np.ndarray, kind: int, dtype: np.dtype) -> np.ndarray:
    if kind == 16:  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    if kind == 9:
        return array.view(np.uint8) != 0
    return array.astype(dtype)


def _external(tensor: Any, where: str, folder: Path | None, wanted: int) -> bytes:
    """Bytes of a file beside the network's: inside its folder, and no more than are there."""
    about: dict[str, str] = {}
    for entry in tensor.external_data:
        if entry.key in about:
            raise InputError(f"{where} says twice where its data lie", entry.key[:40], "export it anew")
        about[entry.key] = entry.value
    if folder is None:
        raise InputError(
            f"{where} lies in another file",
            "the network was given as an object, so its folder is not known",
            "give the path of the file: load(path)",
        )
    path = confined(folder, about.get("location", ""), where)
    offset, length = (
        _count(about.get(key, usual), where) for key, usual in (("offset", "0"), ("length", str(wanted)))
    )
    size = path.stat().st_size
    if length != wanted or offset + length > size:
        raise InputError(
            f"{where} should have {wanted} bytes",
            f"{path.name} has {size}, of which {length} from {offset} on are meant",
            "copy the file beside the network anew",
        )
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def _count(text: str, where: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise InputError(f"{where} says {text[:40]!r} where a number belongs", "", "export it anew")
    return int(text)


def confined(folder: Path, location: str, where: str) -> Path:
    """The file of that relative name in the folder.

    Raises:
        InputError: the name leads out of the folder, also by a link, or there is no such file.
    """
    parts = Path(location).parts
    outside = not location or "\0" in location or "\\" in location or os.path.isabs(location)
    home = Path(os.path.realpath(folder))
    if not outside and ".." not in parts:
        path = Path(os.path.realpath(home / location))
        if path.is_relative_to(home):
            if path.is_file():
                return path
            raise InputError(
                f"{where} lies in {location[:80]!r}", "there is no such file", "copy it beside the network"
            )
    raise InputError(
        f"{where} lies in {location[:80]!r}",
        "data are read only from the folder of the network",
        "put the file beside the network and export it with that name",
    )


__all__ = ["FLOATS", "confined", "read_tensor"]
