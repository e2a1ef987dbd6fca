"""Named arrays and a JSON header in one .npz file: no pickle, sizes bounded first, written atomically.

The file is a zip of uncompressed parts, `header.json` and one .npy for each array, so that `numpy.load`
reads its arrays too. Its comment is the SHA-256 of all bytes before the digits. That finds damage, not
malice: nothing in a file is believed before it is checked, and no more memory is taken than about twice
the bytes that the file has.
"""

import hashlib
import io
import json
import math
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from probinv._errors import FileError
from probinv._files import appearing, check_file, strict_json

LIMIT = 2**30
"""Largest file that is opened, in bytes, unless told otherwise."""

_HEADER = "header.json"
_HEADER_LIMIT = 2**20
_DIRECTORY_LIMIT = 2**20
_NPY_HEADER_LIMIT = 4096
_DIGITS = 64
_COMMENT = b"sha256:" + b"0" * _DIGITS
_DTYPES = ("float64", "float32")
_DAMAGE = (
    zipfile.BadZipFile, struct.error, OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError,
    RecursionError, OverflowError, SyntaxError,
)  # fmt: skip


def write_archive(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> Path:
    """Writes a header and arrays to a file that appears whole or not at all.

    Args:
        path: where to; the folder must exist. An existing file is replaced.
        header: anything JSON can say, without NaN.
        arrays: float64 or float32.

    Raises:
        FileError: the arrays exceed `LIMIT`, or the file cannot be written.
    """
    path = Path(path)
    total = sum(array.nbytes for array in arrays.values())
    if total > LIMIT - 2 * _HEADER_LIMIT:
        raise FileError(
            f"{path} would hold {total} bytes", f"files are limited to {LIMIT}", "save a smaller network"
        )
    about = {name: {"shape": list(a.shape), "dtype": a.dtype.name} for name, a in arrays.items()}
    text = json.dumps({**header, "arrays": about}, allow_nan=False, indent=1)
    if len(text) > _HEADER_LIMIT:
        raise FileError(
            f"the header of {path} would be too long", f"{len(text)} bytes", "save a smaller network"
        )
    with appearing(path) as file:
        _write_parts(file, text, arrays)
        digest = _digest(file)
        file.seek(-_DIGITS, io.SEEK_END)
        file.write(digest)
    return path


def read_archive(
    path: str | os.PathLike[str], kind: str, version: int, *, limit: int = LIMIT
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file that `write_archive` wrote.

    Args:
        path: the file.
        kind: what header["format"] must be.
        version: what header["version"] must be.
        limit: largest size in bytes that is opened.

    Raises:
        FileError: there is no such file, it is too large, truncated, altered, of another format or
            version, or holds anything but arrays of float64 and float32.
    """
    path = Path(path)
    try:
        check_file(path, limit)
        with open(path, "rb") as file:
            _check_frame(path, file)
            with zipfile.ZipFile(file) as archive:
                parts = _check_directory(path, archive)
                header = _read_header(path, archive, parts, kind, version)
                names = _check_names(path, header, parts)
                return header, {name: _read_array(path, archive, parts, name, names[name]) for name in names}
    except FileError:
        raise
    except _DAMAGE as error:
        _fail(path, "is damaged", f"{type(error).__name__}: {error}")


def _write_parts(file: BinaryIO, text: str, arrays: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = _COMMENT
        archive.writestr(zipfile.ZipInfo(_HEADER), text)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as part:
                little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
                np.lib.format.write_array(
                    part, little.reshape(array.shape), version=(1, 0), allow_pickle=False
                )


def _check_frame(path: Path, file: BinaryIO) -> None:
    """First and last bytes: a zip whose directory is small, in the one form that is written here."""
    start = file.read(8)
    if start[:1] == b"\x80":
        _fail(path, "is a pickle", "reading a pickle can run any code, so probinv never does")
    if start[:4] != b"PK\x03\x04":
        _fail(path, "is not a probinv network file", "it does not begin like one")
    size, tail = file.seek(0, io.SEEK_END), 20 + 22 + len(_COMMENT)
    if size < tail:
        _fail(path, "is truncated", f"it has {size} bytes")
    file.seek(size - tail)
    end = file.read(tail)
    if end[20:24] != b"PK\x05\x06" or end[40:49] != struct.pack("<H", len(_COMMENT)) + _COMMENT[:-_DIGITS]:
        _fail(path, "is truncated or not a probinv network file", "it does not end like one")
    length, offset = struct.unpack("<II", end[32:40])
    if end[:4] == b"PK\x06\x07" or length > _DIRECTORY_LIMIT or offset + length + tail - 20 != size:
        _fail(path, "is damaged", "its directory has a wrong size")
    if _digest(file) != end[-_DIGITS:]:
        _fail(path, "is damaged", "its checksum does not match")
    file.seek(0)


def _digest(file: BinaryIO) -> bytes:
    """SHA-256 of all bytes but the last 64, which are for its digits."""
    left = file.seek(0, io.SEEK_END) - _DIGITS
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (block := file.read(min(left, 2**20))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode()


def _check_directory(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The parts by name: plain, uncompressed, none twice, together no larger than the file."""
    parts: dict[str, zipfile.ZipInfo] = {}
    for part in archive.infolist():
        if part.filename in parts:
            _fail(path, "is damaged", f"it holds {part.filename!r} twice")
        if (
            part.compress_type != zipfile.ZIP_STORED
            or part.compress_size != part.file_size
            or part.flag_bits & 1
        ):
            _fail(
                path,
                "is not a probinv network file",
                f"its part {part.filename[:60]!r} is compressed or encrypted",
            )
        parts[part.filename] = part
    total = sum(part.file_size for part in parts.values())
    if total > path.stat().st_size:
        _fail(path, "is damaged", f"its parts claim {total} bytes, more than the file has")
    return parts


def _read_header(
    path: Path, archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo], kind: str, version: int
) -> dict[str, Any]:
    if _HEADER not in parts or parts[_HEADER].file_size > _HEADER_LIMIT:
        _fail(path, "is not a probinv network file", f"it has no {_HEADER}, or too long a one")
    header = strict_json(archive.read(parts[_HEADER]))
    if not isinstance(header, dict) or header.get("format") != kind:
        _fail(path, "is not a probinv network file", f"its header does not say {kind!r}")
    found = header.get("version")
    if type(found) is not int or found != version:
        _fail(
            path,
            f"has format version {found!r}",
            f"this probinv reads version {version}",
            "use the probinv that wrote it",
        )
    return header


def _check_names(path: Path, header: dict[str, Any], parts: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    """The arrays that the header promises, and no other part in the file."""
    names = header.pop("arrays", None)
    if not isinstance(names, dict) or set(parts) != {_HEADER, *(f"{name}.npy" for name in names)}:
        _fail(path, "is damaged", "its parts are not those that its header lists")
    return names


def _read_array(
    path: Path, archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo], name: str, about: Any
) -> np.ndarray:
    """One array; its .npy header must say what the file's header says, and its bytes must be as many."""
    shape, dtype = tuple(about["shape"]), about["dtype"]
    if dtype not in _DTYPES:
        _fail(path, "is damaged", f"array {name!r} has dtype {str(dtype)[:60]!r}, not {' or '.join(_DTYPES)}")
    if len(shape) > 32 or any(type(size) is not int or size < 0 for size in shape):
        _fail(path, "is damaged", f"array {name!r} has no proper shape")
    wanted = math.prod(shape) * np.dtype(dtype).itemsize
    part = parts[f"{name}.npy"]
    if not wanted < part.file_size <= wanted + _NPY_HEADER_LIMIT:
        _fail(path, "is damaged", f"array {name!r} should have {wanted} bytes, its part has {part.file_size}")
    with archive.open(part) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            _fail(path, "is damaged", f"array {name!r} is of another .npy version")
        said = np.lib.format.read_array_header_1_0(file, max_header_size=_NPY_HEADER_LIMIT)
        if said[2].hasobject:
            _fail(
                path,
                "holds a pickle",
                f"array {name!r} is of Python objects, and reading them can run any code",
            )
        if said != (shape, False, np.dtype(dtype).newbyteorder("<")):
            _fail(path, "is damaged", f"array {name!r} is not what the header says")
        data = file.read(wanted)
        # the checksum of a part is compared when its end is reached
        if len(data) != wanted or file.read(1):
            _fail(path, "is damaged", f"array {name!r} has a wrong length")
    return (
        np.frombuffer(bytearray(data), np.dtype(dtype).newbyteorder("<"))
        .reshape(shape)
        .astype(dtype, copy=False)
    )


def _fail(
    path: Path, what: str, why: str, instead: str = "save the network again, or copy the file anew"
) -> NoReturn:
    raise FileError(f"{path} {what}", why, instead)
