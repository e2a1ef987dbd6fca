"""Trees to and from netCDF files that plain xarray and ArviZ open too."""

import contextlib
import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from probinv._errors import FileError
from probinv.results._content import content_hash
from probinv.results._hdf5 import as_path, read_tree, require_hdf5
from probinv.results._seal import seal, sealed

CHECKSUM = "probinv_sha256"
AS_JSON = "probinv_json_attributes"
BYTES_MOST = 4 * 2**30


def save(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Writes the tree as a netCDF file with checksums, or leaves what was there untouched.

    The file is written beside its place, read back and compared, flushed to the disk and then renamed, so
    that neither a full disk nor an interrupt leaves half a file, and a copy that is still lazily open stays
    valid. One checksum, over the content, is the root's attribute probinv_sha256; another, over the bytes,
    stands behind the end of the HDF5 data, where other readers ignore it. Attributes that netCDF cannot hold
    (booleans, None, dictionaries) are kept as JSON.

    Args:
        tree: any tree. It is not changed.
        path: the file, overwritten if it exists.

    Returns:
        The path.

    Raises:
        FileError: the place cannot be written, or the tree holds something that netCDF cannot.
    """
    if not isinstance(tree, xr.DataTree):
        raise FileError("tree is not a DataTree", f"got {type(tree).__name__}", "give the result of invert")
    shown = as_path(path)
    place = Path(os.path.realpath(shown))
    temporary = _temporary(shown, place)
    try:
        _write(_plain(tree), temporary, shown)
        os.replace(temporary, place)
        _flush_folder(place.parent)
    except OSError as error:
        raise _unwritable(shown, error) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    return shown


def load(path: str | os.PathLike[str], *, bytes_most: int = BYTES_MOST, checksum: bool = True) -> xr.DataTree:
    """The tree of a file, in memory; the file is closed.

    Args:
        path: a file written by `save`.
        bytes_most: most bytes that the arrays may take; looked up before any is read.
        checksum: refuse a file without a checksum. False for a netCDF file of other origin, which should be
            trusted: the HDF5 library can hang on a damaged one. A checksum that is there is always verified.

    Returns:
        The tree as it was saved.

    Raises:
        FileError: there is no such file, it is not netCDF, it is damaged, or it is too large.
    """
    shown = as_path(path)
    require_hdf5(shown, bytes_most)
    if not sealed(shown) and checksum:
        raise FileError(
            f"{shown} has no checksum at its end",
            "it is cut short or was changed, or it was not written by probinv",
            "if it comes from elsewhere, use load(path, checksum=False) or xarray.open_datatree",
        )
    tree = read_tree(shown, bytes_most)
    expected = tree.attrs.pop(CHECKSUM, None)
    if expected is not None and _hash(tree, shown) != expected:
        raise FileError(
            f"{shown} is damaged",
            "its content does not have the checksum that was stored with it",
            "take another copy of the file, or run again",
        )
    return _restored(tree, shown)


def _plain(tree: xr.DataTree) -> xr.DataTree:
    """A copy (of the arrays only where needed) that netCDF can hold, with its checksum."""
    plain = tree.copy()
    coded: dict[str, list[str]] = {}
    for node in plain.subtree:
        dataset = node.to_dataset(inherit=False).drop_encoding()
        for owner, attributes in (
            ("", dataset.attrs),
            *((str(k), v.attrs) for k, v in dataset.variables.items()),
        ):
            for name in [name for name, value in attributes.items() if not _storable(value)]:
                attributes[name] = json.dumps(attributes[name], default=str)
                coded.setdefault(f"{node.path}\n{owner}", []).append(str(name))
        node.dataset = dataset
    plain.attrs.pop(CHECKSUM, None)
    plain.attrs.pop(AS_JSON, None)
    if coded:
        plain.attrs[AS_JSON] = json.dumps(coded)
    plain.attrs[CHECKSUM] = content_hash(plain)
    return plain


def _storable(value: Any) -> bool:
    if isinstance(value, str | float) or (isinstance(value, int) and not isinstance(value, bool)):
        return not isinstance(value, int) or -(2**63) <= value < 2**63
    if isinstance(value, list | tuple):
        kinds = {type(element) for element in value}
        return (
            len(value) > 1 and len(kinds) == 1 and kinds <= {str, float, int} and all(map(_storable, value))
        )
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiuU" and value.size > 0


def _restored(tree: xr.DataTree, shown: Path) -> xr.DataTree:
    """The tree with the attributes that were kept as JSON."""
    try:
        for place, names in json.loads(tree.attrs.pop(AS_JSON, "{}")).items():
            path, owner = place.split("\n")
            node = tree[path]
            attributes = node[owner].attrs if owner else node.attrs
            for name in names:
                attributes[name] = json.loads(attributes[name])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FileError(
            f"{shown} is damaged",
            f"its attribute {AS_JSON} does not fit its content",
            "take another copy of the file",
        ) from None
    return tree


def _write(plain: xr.DataTree, temporary: Path, shown: Path) -> None:
    """Writes, flushes, reads back and compares."""
    try:
        plain.to_netcdf(temporary, engine="h5netcdf", mode="w")
    except OSError:
        raise
    except Exception as error:
        raise FileError(
            f"the tree cannot be saved as {shown}",
            f"{type(error).__name__}: {error}"[:200],
            "remove variables that are not arrays of numbers, booleans, dates or text",
        ) from None
    seal(temporary)
    written = read_tree(temporary, sys.maxsize)
    expected = written.attrs.pop(CHECKSUM, None)
    if expected != plain.attrs[CHECKSUM] or _hash(written, shown) != expected:
        raise FileError(
            f"the tree cannot be saved as {shown}",
            "what was read back differs from what was written",
            "convert unusual variables and attributes to plain numbers or text",
        )


def _hash(tree: xr.DataTree, shown: Path) -> str:
    try:
        return content_hash(tree)
    except (TypeError, ValueError, UnicodeError) as error:
        raise FileError(
            f"{shown} holds something unknown", str(error)[:200], "take another copy of the file"
        ) from None


def _temporary(shown: Path, place: Path) -> Path:
    """A new empty file beside the place, with the rights of the file that it replaces."""
    try:
        known = os.stat(place) if place.exists() else None
        temporary = place.parent / f".{place.name[:80]}.{secrets.token_hex(4)}.tmp"
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        os.close(handle)
        if known is not None:
            os.chmod(temporary, stat.S_IMODE(known.st_mode))
    except OSError as error:
        raise _unwritable(shown, error) from None
    if known is not None and not stat.S_ISREG(known.st_mode):
        temporary.unlink()
        raise FileError(f"{shown} cannot be overwritten", "it is no ordinary file", "choose another name")
    return temporary


def _unwritable(shown: Path, error: Exception) -> FileError:
    reason = getattr(error, "strerror", None) or str(error)
    return FileError(
        f"{shown} cannot be written",
        reason,
        f"make sure that the directory {shown.parent} exists, may be written and has room, or choose another",
    )


def _flush_folder(folder: Path) -> None:
    """The rename itself reaches the disk; not every system can open a directory."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
