"""Network files that somebody broke, by chance or on purpose: a clear error, soon, for little memory.

Each is made of a good one, so that nothing but the planted fault can be the reason.
"""

import hashlib
import io
import json
import os
import pickle
import stat
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probinv._errors import FileError
from probinv.forward import Activation, Dense, Layered, load_network, save_network
from tests.forward.test_files import same

SMALL = Layered([Dense(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.zeros(2)), Activation("tanh")], 3)


def good(path: Path) -> bytes:
    return save_network(SMALL, path).read_bytes()


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **options)
    return file.getvalue()


def forge(path: Path, change: Callable[[dict, dict], Any] | None = None, **options: Any) -> None:
    """Writes SMALL after `change(header, parts)`, with parts as bytes; a returned text is the header."""
    good(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(parts.pop("header.json"))
    text = change(header, parts) if change else None
    with zipfile.ZipFile(path, "w", options.get("method", zipfile.ZIP_STORED)) as archive:
        archive.writestr("header.json", text if isinstance(text, str) else json.dumps(header))
        for name, data in parts.items():
            archive.writestr(name, data)
        archive.comment = options.get("comment", b"sha256:" + b"0" * 64)
    seal(path)


def seal(path: Path) -> None:
    """Makes the checksum right, as somebody who means harm would."""
    data = path.read_bytes()[:-64]
    path.write_bytes(data + hashlib.sha256(data).hexdigest().encode())


def put(*keys: Any, value: Any) -> Callable[[dict, dict], None]:
    """Sets one entry of the header."""

    def change(header: dict, parts: dict) -> None:
        inner: Any = header
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


def swap(name: str, data: bytes) -> Callable[[dict, dict], None]:
    return lambda header, parts: parts.update({name: data})


def drop(name: str) -> Callable[[dict, dict], Any]:
    return lambda header, parts: parts.pop(name) and None


def twice(header: dict, parts: dict) -> str:
    return json.dumps(header).replace('"version": 1', '"version": 1, "version": 1')


def without_shape(header: dict, parts: dict) -> None:
    del header["input_shape"]


def not_a_number(header: dict, parts: dict) -> None:
    parts["0.weight.npy"] = npy(np.full((2, 3), np.nan))


FORGED: list[tuple[str, Callable[[dict, dict], Any], str]] = [
    ("newer version", put("version", value=2), "has format version 2.*reads version 1"),
    ("version true", put("version", value=True), "has format version True"),
    ("no format", put("format", value="other"), "not a probinv network file"),
    ("header is a list", lambda h, p: "[]", "header does not say 'probinv network'"),
    ("header is no JSON", lambda h, p: "{", "is damaged"),
    ("key twice", twice, "key appears twice"),
    ("NaN in the header", put("version", value=float("nan")), "NaN in the header"),
    ("deep header", lambda h, p: "[" * 200_000, "is damaged"),
    ("long number", lambda h, p: '{"version": ' + "9" * 5000 + "}", "is damaged"),
    ("long header", lambda h, p: " " * 2**21, "too long a one"),
    ("no header", drop("0.bias.npy"), "parts are not those"),
    ("extra part", swap("more.npy", b"x"), "parts are not those"),
    ("part outside", swap("../../evil.npy", b"x"), "parts are not those"),
    ("no input shape", without_shape, "no input_shape or no layers"),
    ("layers no list", put("layers", value=3), "no input_shape or no layers"),
    ("shape of texts", put("input_shape", value=["a"]), "input_shape"),
    ("huge input shape", put("input_shape", value=[10**9]), "cannot take shape"),
    ("layer no dict", put("layers", 0, value=3), "not described by its kind"),
    ("unknown layer", put("layers", 0, "kind", value="os.system"), "layer 'os.system' is unknown"),
    ("kind no text", put("layers", 0, "kind", value=["dense"]), "is unknown"),
    ("setting too many", put("layers", 0, "settings", value={"x": 1}), "one too many"),
    ("setting missing", put("layers", 1, "settings", value={"name": "tanh"}), "lacks a weight or setting"),
    ("activation unknown", put("layers", 1, "settings", "name", value="eval"), "'eval' is unknown"),
    ("activation no text", put("layers", 1, "settings", "name", value={}), "is unknown"),
    ("arrays no dict", put("arrays", value=[]), "parts are not those"),
    ("array without a shape", put("arrays", "0.bias", value={}), "is damaged"),
    ("shape no list", put("arrays", "0.bias", "shape", value=3), "is damaged"),
    ("negative size", put("arrays", "0.bias", "shape", value=[-2]), "no proper shape"),
    ("size is a fraction", put("arrays", "0.bias", "shape", value=[2.0]), "no proper shape"),
    (
        "huge array",
        put("arrays", "0.weight", "shape", value=[10**9, 10**9]),
        "should have 8000000000000000000",
    ),
    ("other shape", put("arrays", "0.weight", "shape", value=[3, 2]), "is not what the header says"),
    (
        "other dtype",
        put("arrays", "0.weight", "dtype", value="int64"),
        "dtype 'int64', not float64 or float32",
    ),
    ("objects announced", put("arrays", "0.weight", "dtype", value="object"), "dtype 'object'"),
    ("dtype no text", put("arrays", "0.weight", "dtype", value=[]), "dtype '\\[\\]'"),
    (
        "objects inside",
        swap("0.weight.npy", npy(np.array([[print] * 3] * 2, object), allow_pickle=True)),
        "holds a pickle.*can run any code",
    ),
    ("float32 inside", swap("0.weight.npy", npy(np.ones((4, 3), np.float32))), "is not what the header says"),
    ("Fortran order", swap("0.weight.npy", npy(np.ones((2, 3), order="F"))), "is not what the header says"),
    ("big endian", swap("0.weight.npy", npy(np.ones((2, 3), ">f8"))), "is not what the header says"),
    (".npy version 2", swap("0.weight.npy", npy(np.ones((2, 3)), version=(2, 0))), "another .npy version"),
    ("no .npy", swap("0.weight.npy", b"x" * 200), "is damaged"),
    ("longer", swap("0.weight.npy", npy(np.ones((2, 3))) + b"12345678"), "wrong length"),
    ("weights are NaN", not_a_number, "NaN or an infinite number"),
    ("code in the .npy header", swap("0.bias.npy", npy(np.ones(2)).replace(b"<f8", b"a()")), "is damaged"),
]


@pytest.mark.parametrize(("change", "message"), [f[1:] for f in FORGED], ids=[f[0] for f in FORGED])
def test_a_forged_file_is_refused(change: Callable[[dict, dict], Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    forge(path, change)
    refused(path, message)


def refused(path: Path, message: str, **options: Any) -> None:
    """With a sentence that names the file, within 2 s, for little memory."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(FileError, match=message) as caught:
            load_network(path, **options)
        assert time.perf_counter() - start < 2
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_the_forge_itself_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    forge(path)
    assert same(load_network(path), SMALL)


def compressed(path: Path) -> None:
    forge(path, method=zipfile.ZIP_DEFLATED)


def bomb(path: Path) -> None:
    """256 MiB of zeros in 256 KiB."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("header.json", "w") as part,
    ):
        for _ in range(256):
            part.write(bytes(2**20))
        archive.comment = b"sha256:" + b"0" * 64
    seal(path)


def commented(path: Path) -> None:
    forge(path, comment=b"x" * 71)


def appended(path: Path) -> None:
    path.write_bytes(good(path) + b"more")


def part_twice(path: Path) -> None:
    good(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("0.bias.npy", npy(np.ones(2)))
    seal(path)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": [1.0]}))


def saved_by_numpy(path: Path) -> None:
    np.savez(path, weight=np.ones((2, 3)))


def too_large(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**40)


def ended(directory: bytes, count: int, offset: int) -> bytes:
    """The end record of a zip."""
    numbers = count.to_bytes(2, "little") * 2 + len(directory).to_bytes(4, "little")
    return b"PK\x05\x06" + bytes(4) + numbers + offset.to_bytes(4, "little") + b"\x47\0sha256:" + b"0" * 64


def huge_directory(path: Path) -> None:
    """Half a million empty parts in 23 MB."""
    directory = (b"PK\x01\x02" + bytes(24) + b"\x01\0" + bytes(16) + b"x") * 500_000
    body = good(path)[:700]
    path.write_bytes(body + directory + ended(directory, 0xFFFF, len(body)))
    seal(path)


def second_end(path: Path) -> None:
    """Another end record inside the comment, which a reader that searches backwards would take."""
    data = bytearray(good(path))
    data[-22:] = ended(b"", 0, 0)[:20] + b"\0\0"
    path.write_bytes(data)


def zip64(path: Path) -> None:
    """With a locator of a larger directory before the end record."""
    data = good(path)
    path.write_bytes(data[:-113] + b"PK\x06\x07" + data[-109:])
    seal(path)


def overlapping(path: Path) -> None:
    """A directory whose parts together claim more than the file has."""
    data = bytearray(good(path))
    at = data.rfind(b"PK\x01\x02")
    for offset in (20, 24):
        data[at + offset : at + offset + 4] = (2**30).to_bytes(4, "little")
    path.write_bytes(data)
    seal(path)


def wrong_crc(path: Path) -> None:
    data = bytearray(good(path))
    data[data.rfind(b"PK\x01\x02") + 16] ^= 1
    path.write_bytes(data)
    seal(path)


def encrypted(path: Path) -> None:
    data = bytearray(good(path))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    seal(path)


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def other_kinds(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "cannot be opened.*No such file"),
    "folder": (folder, "is not a file"),
    "pipe": (pipe, "is not a file"),
    "empty": (other_kinds(b""), "not a probinv network file"),
    "text": (other_kinds(b"hello"), "not a probinv network file"),
    "npy": (other_kinds(npy(np.ones(3))), "not a probinv network file"),
    "HDF5": (other_kinds(b"\x89HDF\r\n\x1a\n" + bytes(100)), "not a probinv network file"),
    "pickle": (pickled, "is a pickle.*never does"),
    "only a start": (other_kinds(b"PK\x03\x04"), "is truncated"),
    "npz of NumPy": (saved_by_numpy, "truncated or not a probinv network file"),
    "compressed": (compressed, "compressed or encrypted"),
    "bomb": (bomb, "compressed or encrypted"),
    "encrypted": (encrypted, "compressed or encrypted"),
    "comment": (commented, "is truncated or"),
    "appended": (appended, "is truncated or"),
    "second end": (second_end, "checksum does not match"),
    "zip64": (zip64, "directory has a wrong size"),
    "wrong CRC": (wrong_crc, "is damaged.*Bad CRC-32"),
    "part twice": (part_twice, "holds '0.bias.npy' twice"),
    "too large": (too_large, "is too large.*1099511627776 bytes"),
    "huge directory": (huge_directory, "directory has a wrong size"),
    "overlapping": (overlapping, "more than the file has"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, tmp_path: Path) -> None:
    make, message = HOSTILE[name]
    path = tmp_path / "net.npz"
    make(path)
    refused(path, message)


def test_the_limit_is_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    size = len(good(path))
    assert same(load_network(path, limit=size), SMALL)
    refused(path, f"has {size} bytes, the limit is {size - 1}", limit=size - 1)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    good(path)
    path.chmod(stat.S_IWUSR)
    refused(path, "Permission denied")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    data = good(path)
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(FileError):
            load_network(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """One in every byte of the file."""
    path = tmp_path / "net.npz"
    data = good(path)
    bits = np.random.default_rng(0).integers(0, 8, len(data))
    for at, bit in enumerate(bits.tolist()):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
        with pytest.raises(FileError):
            load_network(path)


def test_random_damage_gives_no_other_error(tmp_path: Path) -> None:
    """Bytes changed, among them sizes and offsets, and the checksum made right again."""
    path = tmp_path / "net.npz"
    data = np.frombuffer(good(path), np.uint8)
    rng = np.random.default_rng(1)
    noticed = 0
    for _ in range(400):
        broken = data.copy()
        where = rng.integers(0, len(data) - 71, rng.integers(1, 5))
        broken[where] = rng.integers(0, 256, len(where))
        path.write_bytes(broken.tobytes())
        seal(path)
        try:
            loaded = load_network(path)
        except FileError:
            noticed += 1
        else:  # what a reader does not look at, such as dates
            assert same(loaded, SMALL)
    assert noticed > 200
