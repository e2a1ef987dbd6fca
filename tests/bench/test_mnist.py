"""The reader of MNIST's files: small files written here, each damaged in one way."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from probinv import InputError
from probinv._errors import FileError
from probinv.bench import mnist as room

SHAPE = (3, 28, 28)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like MNIST's, of three and two rows; one file is not compressed."""
    monkeypatch.setattr(room, "TRAIN", 3)
    monkeypatch.setattr(room, "TEST", 2)
    rng = np.random.default_rng(0)
    place = tmp_path / "mnist"
    place.mkdir()
    for name, rows in zip(room.NAMES, (3, 3, 2, 2), strict=True):
        shape = (rows, 28, 28) if "images" in name else (rows,)
        raw = idx(rng.integers(0, 256 if "images" in name else 10, shape).astype(np.uint8))
        if name.startswith("t10k-labels"):
            (place / name).write_bytes(raw)
        else:
            (place / f"{name}.gz").write_bytes(gzip.compress(raw))
    return place


def test_what_was_written_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = room.mnist(folder)
    rng = np.random.default_rng(0)
    expected = [rng.integers(0, high, shape) for high, shape in ((256, SHAPE), (10, 3), (256, (2, 28, 28)))]
    for own, wanted in zip(found[:3], expected, strict=True):
        assert own.dtype == np.uint8
        assert own.flags.writeable
        np.testing.assert_array_equal(own, wanted)
    assert found.test_labels.shape == (2,)
    monkeypatch.setenv("PROBINV_DATA", str(folder.parent))
    np.testing.assert_array_equal(room.mnist().train, found.train)


def test_files_that_are_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBINV_DATA", raising=False)
    with pytest.raises(InputError, match="PROBINV_DATA is not set"):
        room.mnist()
    with pytest.raises(InputError, match=r"has no file train-images-idx3-ubyte\.gz"):
        room.mnist(folder.parent)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"has no file t10k-labels-idx1-ubyte\.gz"):
        room.mnist(folder)


IMAGES = idx(np.full(SHAPE, 7, np.uint8))
PACKED = gzip.compress(IMAGES)
DAMAGE = {
    "empty": (b"", "not an idx file.*none"),
    "another kind": (gzip.compress(b"\x89PNG" + IMAGES[4:]), "begins with the bytes 89 50 4e 47"),
    "labels": (gzip.compress(idx(np.zeros(3, np.uint8))), "not an idx file of 3 dimensions"),
    "floats": (gzip.compress(IMAGES[:2] + b"\x0d" + IMAGES[3:]), "not an idx file"),
    "too many rows": (gzip.compress(idx(np.zeros((4, 28, 28), np.uint8))), r"of shape \(4, 28, 28\)"),
    "a huge header": (gzip.compress(IMAGES[:4] + b"\xff" * 12 + IMAGES[16:]), "of shape .4294967295,"),
    "half a header": (gzip.compress(IMAGES[:10]), r"of shape \(3,\)"),
    "cut data": (gzip.compress(IMAGES[:-1]), "fewer than the 2352 bytes"),
    "more data": (gzip.compress(IMAGES + b"\0"), "more than the 2352 bytes"),
    "cut file": (PACKED[: len(PACKED) // 2], "is damaged"),
    "flipped bit": (PACKED[:-6] + bytes([PACKED[-6] ^ 1]) + PACKED[-5:], "is damaged"),
    "not gzip": (IMAGES, "is damaged"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_named(case: str, tmp_path: Path) -> None:
    raw, message = DAMAGE[case]
    path = tmp_path / "images.gz"
    path.write_bytes(raw)
    with pytest.raises(FileError, match=rf"images\.gz.*{message}"):
        room.read_idx(path, SHAPE)


def test_a_label_beyond_nine(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([3, 11], np.uint8)))
    with pytest.raises(FileError, match="t10k-labels-idx1-ubyte holds the label 11"):
        room.mnist(folder)
