"""HDF5 files, looked at before their arrays are read: what they are, declare and refer to."""

import math
import os
import stat
from pathlib import Path
from typing import Any

import xarray as xr

from probinv._errors import FileError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
OBJECTS_MOST = 10_000
DEPTH_MOST = 20
FILTERS = {1, 2, 3}  # deflate, shuffle, fletcher32


def as_path(path: str | os.PathLike[str]) -> Path:
    """A path that the system can take at all."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise FileError("path is not the name of a file", f"got {text!r}"[:80], 'for example "result.nc"')
    return Path(text)


def read_tree(path: Path, bytes_most: int) -> xr.DataTree:
    """The groups of a netCDF file as a tree in memory; the file is closed.

    Not by xarray.open_datatree, whose tree does not close its file (xarray 2026.9).

    Raises:
        FileError: it is damaged, refers to other files, or declares more bytes than allowed. A file of 1 MB
            can declare arrays of any size (compressed, or never written).
    """
    import h5py

    try:
        with h5py.File(path, "r") as root:
            declared = _declared(root, path)
            if declared > bytes_most:
                raise _too_large(path, declared, bytes_most)
            return _read(root)
    except FileError:
        raise
    except Exception as error:  # a damaged file can raise anything, from OSError to RecursionError
        raise FileError(
            f"{path} is damaged", f"{type(error).__name__}: {error}"[:200], "take another copy of the file"
        ) from None


def _read(root: Any) -> xr.DataTree:
    import h5netcdf

    datasets: dict[str, xr.Dataset] = {}
    with h5netcdf.File(root, "r", decode_vlen_strings=True) as file:
        waiting = [file]
        while waiting:
            group = waiting.pop()
            store = xr.backends.H5NetCDFStore(group)
            datasets[group.name] = xr.open_dataset(store).load()
            waiting += list(group.groups.values())
    # in memory now; without this each dataset would close a file that is closed already
    for dataset in datasets.values():
        dataset.set_close(None)
    return xr.DataTree.from_dict({name: datasets[name] for name in sorted(datasets)})


def require_hdf5(path: Path, bytes_most: int) -> None:
    """Raises a FileError unless this is an ordinary file of bounded size that begins as HDF5 does."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"{path} is not a file", "it is a directory or a device", "give a netCDF file")
        with open(path, "rb") as file:
            start = file.read(len(SIGNATURE))
    except OSError as error:
        raise FileError(
            f"{path} cannot be read", error.strerror or str(error), "check the path and its permissions"
        ) from None
    if found.st_size > bytes_most:
        raise _too_large(path, found.st_size, bytes_most)
    if start != SIGNATURE:
        raise FileError(
            f"{path} is not a netCDF-4 file", "it does not begin as one", "give a file written by save"
        )


def _too_large(path: Path, size: int, bytes_most: int) -> FileError:
    return FileError(
        f"{path} is too large",
        f"it holds {size / 1e6:.4g} MB where {bytes_most / 1e6:.4g} MB are allowed",
        "raise bytes_most if you trust it",
    )


def _declared(root: Any, path: Path) -> int:
    """Bytes of all arrays that the file declares."""
    import h5py

    total, objects = 0, 0
    waiting = [(root, 0)]
    while waiting:
        group, depth = waiting.pop()
        # a group may contain itself, and would be walked for ever
        if depth > DEPTH_MOST:
            raise _refused(path, f"groups inside each other more than {DEPTH_MOST} deep")
        objects += len(group)
        if objects > OBJECTS_MOST:
            raise _refused(path, f"more than {OBJECTS_MOST} groups and arrays")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _refused(path, f"a link at {name!r} to somewhere else")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                total += _size(item, path)
    return total


def _size(dataset: Any, path: Path) -> int:
    plist = dataset.id.get_create_plist()
    if dataset.is_virtual or plist.get_external_count():
        raise _refused(path, f"an array {dataset.name} that lies in another file")
    filters = {plist.get_filter(k)[0] for k in range(plist.get_nfilters())}
    if not filters <= FILTERS:
        raise _refused(path, f"an array {dataset.name} packed with an unknown filter")
    if dataset.shape is None:
        return 0
    return math.prod(dataset.shape) * dataset.dtype.itemsize


def _refused(path: Path, why: str) -> FileError:
    return FileError(f"{path} is refused", f"it holds {why}", "give a file written by save")
