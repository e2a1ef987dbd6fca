"""The handwritten digits of MNIST, read from the files in which they are distributed."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from probinv._errors import FileError, InputError
from probinv.bench.data import FOLDER, data_folder

TRAIN, TEST, SIDE, LABELS = 60_000, 10_000, 28, 10
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
SUFFIXES = (".gz", "")


class Digits(NamedTuple):
    """Gray images 0 ... 255 and their labels 0 ... 9."""

    train: UInt8[np.ndarray, "train 28 28"]
    train_labels: UInt8[np.ndarray, " train"]
    test: UInt8[np.ndarray, "test 28 28"]
    test_labels: UInt8[np.ndarray, " test"]


def mnist(folder: str | Path | None = None) -> Digits:
    """60,000 training and 10,000 test images of 28 x 28 pixels, with labels; copies that may be written to.

    LeCun, Bottou, Bengio and Haffner 1998, Proc. IEEE 86(11).

    Args:
        folder: holds the four files train-images-idx3-ubyte(.gz), ...; None for mnist/ in the folder that
            PROBINV_DATA names.

    Raises:
        InputError: there is no such folder, or a file is not in it.
        FileError: a file is damaged, or is not one of MNIST's.
    """
    paths = _paths(folder)
    shapes = ((TRAIN, SIDE, SIDE), (TRAIN,), (TEST, SIDE, SIDE), (TEST,))
    found = Digits(*(read_idx(path, shape) for path, shape in zip(paths, shapes, strict=True)))
    for path, labels in ((paths[1], found.train_labels), (paths[3], found.test_labels)):
        if labels.max() >= LABELS:
            raise FileError(
                f"{path.name} holds the label {labels.max()}", "MNIST's are 0 ... 9", "fetch the file again"
            )
    return found


def read_idx(path: str | Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """The bytes of an idx file, plain or compressed, of which the shape is known.

    Two zero bytes, 8 for unsigned bytes, the number of dimensions, each size in four bytes (big-endian), the
    data. Nothing is allocated before the header is that of the shape, and nothing beyond it.

    Raises:
        FileError: another kind of file, another shape, damaged, or of a wrong length.
    """
    path = Path(path)
    head, count = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape), int(np.prod(shape))
    again = "fetch the file again"
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            own = file.read(len(head))
            if own[:4] != head[:4]:
                raise FileError(
                    f"{path.name} is not an idx file of {len(shape)} dimensions",
                    f"it begins with the bytes {own[:4].hex(' ') or '(none)'}, not {head[:4].hex(' ')}",
                    again,
                )
            if own != head:
                sizes = tuple(int(size) for size in np.frombuffer(own[4:][: len(own) // 4 * 4 - 4], ">u4"))
                raise FileError(f"{path.name} is of shape {sizes}", f"{shape} is needed", again)
            data = file.read(count + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{path.name} is damaged", str(error), again) from None
    except OSError as error:
        raise FileError(f"{path.name} cannot be read", str(error), "check the file and its rights") from None
    if len(data) != count:
        short = "fewer" if len(data) < count else "more"
        raise FileError(
            f"{path.name} is of a wrong length", f"it has {short} than the {count} bytes of {shape}", again
        )
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


def _paths(folder: str | Path | None) -> list[Path]:
    """The four files."""
    place = data_folder("mnist", "digits of MNIST", f"mnist/{NAMES[0]}.gz and the three other files", folder)
    found = []
    for name in NAMES:
        path = next((p for suffix in SUFFIXES if (p := place / (name + suffix)).is_file()), None)
        if path is None:
            raise InputError(
                "the digits of MNIST are not there",
                f"{place} has no file {name}.gz",
                f"give the folder that holds the four files, or set {FOLDER} to the folder that holds mnist/",
            )
        found.append(path)
    return found
