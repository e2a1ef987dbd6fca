"""Named arrays and a JSON header in one safetensors file: no pickle, sizes bounded first, written atomically.

    8 bytes  n, the length of the header, little-endian
    n bytes  JSON: name -> dtype, shape, data_offsets; and __metadata__ = {"probinv": text}
    the rest the arrays, one after the other, little-endian, in C order

The text is JSON too: the SHA-256, the format, its version and the caller's header. The SHA-256 is of the
whole file with zeros for its own digits. That finds damage, not malice: nothing in a file is believed before
it is checked, and the arrays that are made have together no more bytes than the file.
"""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from safetensors.numpy import save

from probinv._errors import FileError, InputError
from probinv._files import appearing, check_file, strict_json

LIMIT = 2**30
"""Largest file that is opened, in bytes, unless told otherwise."""

_HEADER_LIMIT = 2**20
_RANK_MOST, _SIDE_MOST = 32, 2**48
_METADATA, _OURS = "__metadata__", "probinv"
_FACTS = {"sha256", "format", "version", "header"}
_ZEROS = "0" * 64
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip
_DAMAGE = (OSError, ValueError, TypeError, LookupError, RecursionError, OverflowError)


class _Place(NamedTuple):
    """One array as the header of the file describes it."""

    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def write_tensors(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    header: dict[str, Any],
    arrays: dict[str, Any],
    *,
    finite: bool = True,
) -> Path:
    """Writes a header and arrays to a file that appears whole or not at all; an existing one is replaced.

    The same content gives the same bytes. The file is read back and compared before it takes its place, and
    any reader of safetensors can read its arrays.

    Args:
        path: where to; the folder must exist.
        kind: name of the format, to be asked for again on reading.
        version: of that format.
        header: anything JSON can say, without NaN. Tuples come back as lists.
        arrays: of real numbers or truth values, of any shape; typed PRNG keys as `jax.random.key_data`.
            Names are plain ASCII.
        finite: refuse NaN and infinity.

    Raises:
        InputError: the header is no JSON, or an array is of another kind or not finite.
        FileError: the arrays exceed `LIMIT`, the header 1 MiB, or the file cannot be written.
    """
    path = Path(path)
    given = {name: _numbers(name, array) for name, array in arrays.items()}
    total = sum(array.nbytes for array in given.values())
    if total > LIMIT - 2 * _HEADER_LIMIT:
        raise FileError(
            f"{path} would hold {total} bytes", f"files are limited to {LIMIT}", "save less in it"
        )
    facts = {"sha256": _ZEROS, "format": kind, "version": version, "header": header}
    try:
        text = json.dumps(facts, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            "the header is no JSON", str(error), "use numbers, text, lists and dictionaries"
        ) from None
    plain = {name: _plain(name, array, finite) for name, array in given.items()}
    data = save(plain, {_OURS: text})
    length = int.from_bytes(data[:8], "little")
    if length > _HEADER_LIMIT:
        raise FileError(
            f"the header of {path} would be too long", f"it has {length} bytes", "save less in it"
        )
    with appearing(path) as file:
        file.write(data)
        # the digits come first in our text, and that comes first in the file
        file.seek(data.index(_ZEROS.encode()))
        file.write(hashlib.sha256(data).hexdigest().encode())
        del data
        file.flush()
        _compare(path, file, kind, version, plain)
    return path


def read_tensors(
    path: str | os.PathLike[str], kind: str, version: int, *, limit: int = LIMIT, finite: bool = True
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file that `write_tensors` wrote.

    Args:
        path: the file.
        kind: the format that it must have.
        version: and its version.
        limit: largest size in bytes that is opened.
        finite: refuse NaN and infinity.

    Raises:
        FileError: there is no such file, it is too large, truncated, altered, of another format or version,
            or its arrays overlap, leave gaps, are of other kinds or not finite.
    """
    path = Path(path)
    try:
        check_file(path, limit)
        with open(path, "rb") as file:
            header, arrays = _read(path, file, kind, version)
    except FileError:
        raise
    except _DAMAGE as error:
        _fail(path, "is damaged", f"{type(error).__name__}: {_short(str(error))}")
    for name, array in arrays.items():
        if finite and not _is_finite(array):
            _fail(path, "holds NaN or infinity", f"array {_short(name)!r} is not finite", "train again")
    return header, arrays


def _numbers(name: str, array: Any) -> np.ndarray:
    """As NumPy, not copied yet; an InputError unless a file can hold it under that name."""
    if (
        not isinstance(name, str)
        or not name
        or not (name.isascii() and name.isprintable())
        or name == _METADATA
    ):
        raise InputError(f"{name!r} cannot be the name of an array", "names are plain ASCII", "rename it")
    try:
        numbers = np.asarray(array)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{name} is not an array of numbers", reason, "save typed keys as jax.random.key_data"
        ) from None
    if numbers.dtype.name not in _DTYPES.values():
        raise InputError(
            f"{name} is of dtype {numbers.dtype}", f"files hold {', '.join(_DTYPES.values())}", "convert it"
        )
    return numbers


def _plain(name: str, numbers: np.ndarray, finite: bool) -> np.ndarray:
    """In C order (safetensors writes others wrongly, without a word) and little-endian."""
    if finite and not _is_finite(numbers):
        raise InputError(f"{name} is not finite", "it holds NaN or infinity", "save the last good state")
    return np.asarray(numbers, numbers.dtype.newbyteorder("<"), order="C")


def _compare(path: Path, file: BinaryIO, kind: str, version: int, arrays: dict[str, np.ndarray]) -> None:
    """A FileError if what was written reads otherwise."""
    file.seek(0)
    try:
        found = _read(path, file, kind, version)[1]
    except _DAMAGE as error:
        raise FileError(
            f"{path} cannot be written", f"what was written is damaged: {error}", "try again"
        ) from None
    for name, array in arrays.items():
        own = found.pop(name, None)
        if (
            own is None
            or own.shape != array.shape
            or own.dtype != array.dtype
            or own.tobytes() != array.tobytes()
        ):
            raise FileError(
                f"{path} cannot be written", f"array {name!r} did not come back as it was", "try again"
            )


def _read(
    path: Path, file: BinaryIO, kind: str, version: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if size < 10 or length > size - 8 or length > _HEADER_LIMIT:
        if start[:1] == b"\x80":
            _fail(path, "is a pickle, or damaged", "reading a pickle can run any code, so probinv never does")
        _fail(
            path,
            f"is truncated or not a {kind} file",
            f"it has {size} bytes, and claims a header of {length}",
        )
    text = file.read(length)
    entries = strict_json(text)
    if not isinstance(entries, dict):
        _fail(path, f"is not a {kind} file", "its header is no dictionary")
    facts = _facts(path, entries.pop(_METADATA, None), kind, version)
    places = _places(path, entries, size - 8 - length)
    at, digits = text.find(facts["sha256"].encode()), len(_ZEROS)
    digest = hashlib.sha256(start + text[:at] + _ZEROS.encode() + text[at + digits :])
    arrays = {}
    for place in places:
        data = np.empty(place.end - place.begin, np.uint8)
        if file.readinto(data.data) != data.size:  # type: ignore[attr-defined]
            _fail(path, "is truncated", f"array {_short(place.name)!r} has too few bytes")
        digest.update(data.data)
        arrays[place.name] = _as_array(path, data, place)
    if digest.hexdigest() != facts["sha256"]:
        _fail(path, "is damaged", "its checksum does not match")
    return facts["header"], arrays


def _facts(path: Path, metadata: Any, kind: str, version: int) -> dict[str, Any]:
    """What our text in the metadata says: checksum, format, version, header."""
    if not isinstance(metadata, dict) or set(metadata) != {_OURS} or not isinstance(metadata[_OURS], str):
        _fail(path, f"is not a {kind} file", "it was not written by probinv")
    facts = strict_json(metadata[_OURS])
    if not isinstance(facts, dict) or set(facts) != _FACTS:
        _fail(path, "is damaged", "its metadata are not complete")
    if facts["format"] != kind:
        _fail(
            path,
            f"is not a {kind} file",
            f"it says that it is {_short(repr(facts['format']))}",
            "check the path",
        )
    if type(facts["version"]) is not int or facts["version"] != version:
        found = _short(repr(facts["version"]))
        _fail(
            path,
            f"has format version {found}",
            f"this probinv reads version {version}",
            "use the probinv that wrote it",
        )
    if not isinstance(facts["header"], dict):
        _fail(path, "is damaged", "its header is no dictionary")
    digits = facts["sha256"]
    if not isinstance(digits, str) or len(digits) != len(_ZEROS) or set(digits) - set("0123456789abcdef"):
        _fail(path, "is damaged", "it has no checksum")
    return facts


def _places(path: Path, entries: dict[str, Any], size: int) -> list[_Place]:
    """Where the arrays lie: one after the other, from the first byte of the data to the last."""
    places = sorted(_place(path, name, entry) for name, entry in entries.items())
    end = 0
    for place in places:
        if place.begin != end:
            _fail(path, "is damaged", f"array {_short(place.name)!r} overlaps another, or leaves a gap")
        end = place.end
    if end != size:
        _fail(path, "is truncated or damaged", f"its arrays have {end} bytes, of {size} in the file")
    return places


def _place(path: Path, name: str, entry: Any) -> _Place:
    named = f"array {_short(name)!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        _fail(path, "is damaged", f"{named} is not described by dtype, shape and data_offsets")
    shape, offsets, dtype = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _fail(path, "is damaged", f"{named} has dtype {_short(repr(dtype))}, not one of {', '.join(_DTYPES)}")
    if not isinstance(shape, list) or len(shape) > _RANK_MOST or not all(map(_is_size, shape)):
        _fail(path, "is damaged", f"{named} has no proper shape")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        _fail(path, "is damaged", f"{named} has no proper data_offsets")
    begin, end = offsets
    if end - begin != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
        _fail(path, "is damaged", f"the shape of {named} does not fit its {end - begin} bytes")
    return _Place(begin, end, name, _DTYPES[dtype], tuple(shape))


def _as_array(path: Path, data: np.ndarray, place: _Place) -> np.ndarray:
    dtype = np.dtype(place.dtype)
    if place.dtype == "bool" and data.size and data.max() > 1:
        _fail(path, "is damaged", f"array {_short(place.name)!r} holds truth values other than 0 and 1")
    return data.view(dtype.newbyteorder("<")).reshape(place.shape).astype(dtype, copy=False)


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 <= number < _SIDE_MOST


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _short(text: str) -> str:
    return ascii(text)[1:-1][:60]


def _fail(path: Path, what: str, why: str, instead: str = "save it again, or copy the file anew") -> NoReturn:
    raise FileError(f"{path} {what}", why, instead)
