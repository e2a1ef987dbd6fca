"""Keras files: a zip of three parts, each checked before Keras sees any of it."""

import os
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from probinv._checks import double_precision
from probinv._errors import FileError, ProbinvError
from probinv._files import check_file, strict_json
from probinv.forward._leaves import host_leaf
from probinv.forward.loaders.keras.config import check_config
from probinv.forward.loaders.keras.forward import KerasForward
from probinv.forward.loaders.keras.models import assembled, check_layers, input_shape
from probinv.forward.loaders.keras.package import require_keras
from probinv.forward.loaders.keras.program import Program, apart, precision

LIMIT = 2**31
"""Largest file that is opened, in bytes, unless told otherwise."""

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_TEXT_LIMIT = 2**24
_DIRECTORY_LIMIT = 2**12
_EXPANSION = 100
_OBJECTS, _DEPTH = 10**5, 64
_DAMAGE = (
    zipfile.BadZipFile, struct.error, OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError,
    RecursionError, OverflowError, AttributeError, ArithmeticError, MemoryError, NotImplementedError,
)  # fmt: skip


def load_file(path: str | os.PathLike[str], *, limit: int = LIMIT) -> KerasForward:
    """y = model(x) of a .keras file, for one example, in inference mode. No code of the file is run.

    The file may name nothing but layers and functions of Keras itself. Checksums of all its parts are
    compared before the weights are looked at.

    Args:
        path: the file.
        limit: largest size that is opened, in bytes.

    Raises:
        FileError: the file is missing, too large, truncated, altered, or does not describe a model.
        InputError: it holds Python code or a layer that is not of Keras, or `load` refuses the model.
    """
    path = Path(path)
    check_file(path, limit)
    require_keras()
    try:
        with open(path, "rb") as file:
            _check_frame(path, file)
            with zipfile.ZipFile(file) as archive:
                config, weights = _read_parts(path, archive, limit)
        check_config(str(path), config)
        program = Program(config, {})
        with tempfile.TemporaryDirectory() as folder, double_precision():
            place = Path(folder, WEIGHTS)
            place.write_bytes(weights)
            _check_weights(path, place)
            model = program.copy().model
            shape = input_shape(model)
            check_layers(model)
            return assembled(program, apart(lambda: _values(program, place)), shape)
    except ProbinvError:
        raise
    except _DAMAGE as error:
        lines = str(error).strip().splitlines() or [""]
        _fail(path, "is damaged or no Keras model", f"{type(error).__name__}: {lines[0][:300]}")


def _check_frame(path: Path, file: BinaryIO) -> None:
    """First and last bytes: a zip without a comment, whose directory is small and at its end."""
    start = file.read(8)
    if start[:4] == b"\x89HDF":
        _fail(path, "is an HDF5 file", "Keras networks in that format can hold code")
    if start[:4] != b"PK\x03\x04":
        _fail(path, "is not a Keras file", "it does not begin like one")
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 22, 0))
    end = file.read(22)
    if len(end) < 22 or end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        _fail(path, "is truncated", "it does not end like a Keras file")
    length, offset = struct.unpack("<II", end[12:20])
    if length > _DIRECTORY_LIMIT or offset + length + 22 != size:
        _fail(path, "is damaged or no Keras model", "its directory has a wrong size")
    file.seek(0)


def _read_parts(path: Path, archive: zipfile.ZipFile, limit: int) -> tuple[Any, bytes]:
    """The configuration and the bytes of the weights; the checksum of every part is compared."""
    parts: dict[str, zipfile.ZipInfo] = {}
    for part in archive.infolist():
        if part.filename in parts:
            _fail(path, "is damaged or no Keras model", f"it holds {part.filename[:60]!r} twice")
        if part.filename not in (CONFIG, METADATA, WEIGHTS):
            _fail(
                path,
                f"holds {part.filename[:60]!r}",
                f"a Keras model of numbers only has {CONFIG}, {METADATA} and {WEIGHTS}",
                "export it where it was trained, without layers for text",
            )
        if part.flag_bits & 1 or part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            _fail(path, "is not a Keras file", f"its part {part.filename!r} is encrypted or oddly compressed")
        most = limit if part.filename == WEIGHTS else _TEXT_LIMIT
        if part.file_size > min(most, _EXPANSION * part.compress_size + 2**16):
            _fail(
                path,
                "is too large",
                f"its part {part.filename!r} claims {part.file_size} bytes",
                "raise limit",
            )
        parts[part.filename] = part
    missing = [name for name in (CONFIG, METADATA, WEIGHTS) if name not in parts]
    if missing:
        _fail(path, "is damaged or no Keras model", f"it has no {missing[0]}")
    content = {name: archive.read(part) for name, part in parts.items()}
    if not isinstance(strict_json(content[METADATA]), dict):
        _fail(path, "is damaged or no Keras model", f"{METADATA} says nothing about it")
    config = strict_json(content[CONFIG])
    if not isinstance(config, dict):
        _fail(path, "is damaged or no Keras model", f"{CONFIG} describes no model")
    return config, content[WEIGHTS]


def _check_weights(path: Path, place: Path) -> None:
    """Every object of the HDF5 file lies inside it, and the arrays claim no more bytes than it has."""
    import h5py

    count, claimed, most = 0, 0, place.stat().st_size
    with h5py.File(place, "r") as file:
        todo = [(file, 0)]
        while todo:
            group, depth = todo.pop()
            for name in group:
                count += 1
                if count > _OBJECTS or depth > _DEPTH:
                    _fail(path, "is damaged or no Keras model", "its weights have too many parts")
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    _fail(path, "is refused", f"its weights refer to other places ({name[:60]!r})")
                part = group[name]
                if isinstance(part, h5py.Group):
                    todo.append((part, depth + 1))
                    continue
                if not isinstance(part, h5py.Dataset) or part.dtype.kind not in "fiub":
                    _fail(
                        path,
                        "is damaged or no Keras model",
                        f"the weight {name[:60]!r} is no array of numbers",
                    )
                if part.external or part.is_virtual:
                    _fail(path, "is refused", f"the weight {name[:60]!r} lies in another file")
                claimed += part.size * part.dtype.itemsize
                if claimed > most:
                    _fail(
                        path, "is too large", f"its weights claim more than the {most} bytes that they have"
                    )


def _values(program: Program, place: Path) -> tuple[Any, ...]:
    """The weights, read by Keras into the copy in double precision, whose variables stay empty."""
    import keras

    copy = program.copy()
    with precision(), keras.StatelessScope(initialize_variables=False) as scope:
        copy.model.load_weights(str(place))
        values = [scope.get_current_value(variable) for variable in copy.weights]
    for layer in copy.cached:
        layer.mean = layer.variance = None
    for variable, value in zip(copy.weights, values, strict=True):
        if value is None:
            raise ValueError(f"the weight {variable.path!r} is missing")
    return tuple(
        host_leaf(variable.path, np.asarray(value))
        for variable, value in zip(copy.weights, values, strict=True)
    )


def _fail(
    path: Path,
    what: str,
    why: str,
    instead: str = "save the model again with model.save('net.keras'), or copy it anew",
) -> NoReturn:
    raise FileError(f"{path} {what}", why, instead)
