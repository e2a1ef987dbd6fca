"""Arrays that a spec file names: .npy, or one entry of an .npz. No pickle; sizes are looked at first."""

import io
import math
import zipfile
from pathlib import Path
from typing import NoReturn

import numpy as np

from probinv._errors import InputError

ENDINGS = (".npy", ".npz")
BYTES_MOST = 2**30
_HEADER_MOST = 10_000
_DAMAGE = (OSError, ValueError, EOFError, SyntaxError, RecursionError, OverflowError, LookupError)


def is_array_file(text: str) -> bool:
    """Whether a text names such a file, as x.npy, x.npz or x.npz:entry."""
    return _cut(text)[0].endswith(ENDINGS)


def read_array(field: str, text: str, folder: Path) -> np.ndarray:
    """The numbers of a file as float64.

    Args:
        field: the key that names it, for messages.
        text: x.npy, x.npz where it holds one array, or x.npz:entry.
        folder: what the path is relative to.

    Raises:
        InputError: there is no such file or entry, it is damaged or larger than 1 GiB, or holds anything but
            real numbers.
    """
    name, entry = _cut(text)
    path = folder / name
    if not path.is_file():
        raise InputError(f"{field}: there is no file {name}", f"looked in {path.parent}", "check the path")
    try:
        if name.endswith(".npy"):
            _require_small(field, name, path.stat().st_size)
            return _parsed(field, name, path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            part = archive.getinfo(_entry(field, name, entry, archive.namelist()))
            _require_small(field, name, part.file_size)
            return _parsed(field, name, archive.read(part))
    except InputError:
        raise
    except (*_DAMAGE, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        _refuse(field, f"{name} cannot be read", f"{type(error).__name__}: {error}"[:200])


def _require_small(field: str, name: str, size: int) -> None:
    if size > BYTES_MOST:
        _refuse(field, f"{name} is too large", f"{size} bytes, at most {BYTES_MOST}")


def _cut(text: str) -> tuple[str, str]:
    """Path and entry of x.npz:entry."""
    path, colon, entry = text.rpartition(":")
    return (path, entry) if colon and path.endswith(".npz") else (text, "")


def _entry(field: str, name: str, wanted: str, names: list[str]) -> str:
    entries = [entry.removesuffix(".npy") for entry in names if entry.endswith(".npy")]
    if wanted in entries:
        return f"{wanted}.npy"
    if not wanted and len(entries) == 1:
        return f"{entries[0]}.npy"
    what = f"{name} has no entry {wanted!r}" if wanted else f"{name} holds {len(entries)} arrays"
    shown = ", ".join(entries[:10]) or "none"
    raise InputError(f"{field}: {what}", f"its entries are {shown}", f"write {name}:entry")


def _parsed(field: str, name: str, content: bytes) -> np.ndarray:
    """The header says how much there is; it must be what the file has."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file, max_header_size=_HEADER_MOST)
    if dtype.hasobject:
        _refuse(field, f"{name} holds a pickle", "reading a pickle can run any code, so probinv never does")
    if dtype.kind not in "fiub":
        _refuse(field, f"{name} does not hold real numbers", f"its dtype is {dtype}")
    if math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        _refuse(field, f"{name} is damaged", f"its size is not that of an array of shape {shape}")
    flat = np.frombuffer(content, dtype, offset=file.tell()).astype(np.float64)
    return flat.reshape(shape, order="F" if fortran else "C")


def _refuse(field: str, what: str, why: str) -> NoReturn:
    raise InputError(f"{field}: {what}", why, "write it with numpy.save(path, array), of real numbers")
