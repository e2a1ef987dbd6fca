"""Machine files that somebody broke, by chance or on purpose: a clear error, soon, for little memory.

Each is made of a good one, so that nothing but the planted fault can be the reason.
"""

import hashlib
import json
import os
import pickle
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probinv._errors import FileError
from probinv.boltzmann.files import load_machine, save_machine
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import Bernoulli, Gaussian, Joined
from tests.boltzmann.test_files import same

WEIGHTS = np.random.default_rng(1).normal(size=(4, 3))
SMALL = Machine(
    Joined([Bernoulli(2), Gaussian(2)]), Bernoulli(3), WEIGHTS, np.arange(4.0), np.array([0.5, 0.25, 1.0])
)


class Parts:
    """A file taken apart: entries of the header, what our text says, and the bytes of the arrays."""

    def __init__(self, path: Path) -> None:
        whole = save_machine(SMALL, path).read_bytes()
        end = 8 + int.from_bytes(whole[:8], "little")
        self.entries: dict[str, Any] = json.loads(whole[8:end])
        self.facts: dict[str, Any] = json.loads(self.entries.pop("__metadata__")["probinv"])
        self.data = whole[end:]
        self.metadata: dict[str, Any] = {}
        self.text: str | None = None
        self.edit: Callable[[str], str] = lambda text: text

    def whole(self) -> bytes:
        """Put together again, with a checksum that is right, as somebody who means harm would make it."""
        if isinstance(self.facts, dict) and "sha256" in self.facts:
            self.facts["sha256"] = "0" * 64
        said = self.metadata or {"probinv": self.edit(json.dumps(self.facts))}
        text = self.text if self.text is not None else json.dumps({"__metadata__": said} | self.entries)
        return sealed(framed(self.edit(text).encode("utf-8", "surrogatepass"), self.data))


def framed(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def sealed(whole: bytes) -> bytes:
    zeros = b"0" * 64
    return whole.replace(zeros, hashlib.sha256(whole).hexdigest().encode(), 1)


def forge(path: Path, change: Callable[[Parts], Any]) -> None:
    parts = Parts(path)
    change(parts)
    path.write_bytes(parts.whole())


def refused(path: Path, message: str, **options: Any) -> None:
    """With a sentence that names the file, within 2 s of the processor, for little memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(FileError, match=message) as caught:
            load_machine(path, **options)
        assert time.process_time() - start < 2
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def put(*keys: Any, value: Any) -> Callable[[Parts], None]:
    """Sets one thing: put("facts", "version", value=2)."""

    def change(parts: Parts) -> None:
        inner: Any = getattr(parts, keys[0])
        for key in keys[1:-1]:
            inner = inner[key]
        if len(keys) == 1:
            setattr(parts, keys[0], value)
        else:
            inner[keys[-1]] = value

    return change


def both(*changes: Callable[[Parts], None]) -> Callable[[Parts], None]:
    return lambda parts: [change(parts) for change in changes] and None


def replaced(old: str, new: str) -> Callable[[Parts], None]:
    return put("edit", value=lambda text: text.replace(old, new))


def drop(*keys: Any) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        inner: Any = getattr(parts, keys[0])
        for key in keys[1:-1]:
            inner = inner[key]
        del inner[keys[-1]]

    return change


def swapped(one: str, other: str) -> Callable[[Parts], None]:
    """Two arrays that exchange their names."""

    def change(parts: Parts) -> None:
        entries = parts.entries
        entries[one], entries[other] = entries[other], entries[one]

    return change


def tensor(name: str, array: np.ndarray) -> Callable[[Parts], None]:
    """Another array under that name; the bytes of all are laid out anew."""

    def change(parts: Parts) -> None:
        codes = {"float64": "F64", "int64": "I64", "float32": "F32", "bool": "BOOL"}
        laid = b""
        for key, entry in sorted(parts.entries.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = entry["data_offsets"]
            own = array.tobytes() if key == name else parts.data[begin:end]
            entry["data_offsets"] = [len(laid), len(laid) + len(own)]
            laid += own
        parts.entries[name] |= {"dtype": codes[array.dtype.name], "shape": list(array.shape)}
        parts.data = laid

    return change


def truth_of_two(parts: Parts) -> None:
    tensor("hidden_bias", np.zeros(3, bool))(parts)
    begin = parts.entries["hidden_bias"]["data_offsets"][0]
    parts.data = parts.data[:begin] + b"\2" + parts.data[begin + 1 :]


def overlapping(parts: Parts) -> None:
    """Two arrays of one size on the same bytes, and bytes of nobody."""
    parts.entries["hidden_bias"]["data_offsets"] = [0, 24]
    parts.entries["weight"]["data_offsets"] = [0, 96]


def many_over_each_other(parts: Parts) -> None:
    """Two hundred arrays that are all the same bytes: each fits the file, all together do not."""
    for number in range(200):
        parts.entries[f"x{number}"] = dict(parts.entries["weight"])


def widened(name: str) -> Callable[[Parts], None]:
    """One array claims all the bytes."""
    return lambda parts: parts.entries[name].update(data_offsets=[0, len(parts.data)])


def nested(depth: int) -> dict:
    about: dict = {"kind": "bernoulli", "settings": {"n": 4}}
    for _ in range(depth):
        about = {"kind": "joined", "parts": [about]}
    return about


VISIBLE = ("facts", "header", "visible")
WEIGHT = ("entries", "weight")
FORGED: dict[str, tuple[Callable[[Parts], Any], str]] = {
    "newer version": (put("facts", "version", value=2), "has format version 2.*reads version 1"),
    "version true": (put("facts", "version", value=True), "has format version True"),
    "version text": (put("facts", "version", value="1"), "has format version '1'"),
    "wrong kind": (put("facts", "format", value="probinv stack"), "not a probinv machine.*'probinv stack'"),
    "facts a list": (put("facts", value=[]), "metadata are not complete"),
    "no version": (drop("facts", "version"), "metadata are not complete"),
    "one fact too many": (put("facts", "more", value=1), "metadata are not complete"),
    "header a list": (put("facts", "header", value=[]), "header is no dictionary"),
    "no checksum": (replaced("0" * 64, ""), "has no checksum"),
    "checksum of letters": (replaced("0" * 64, "g" * 64), "has no checksum"),
    "checksum a number": (replaced('"sha256": "' + "0" * 64 + '"', '"sha256": 0'), "has no checksum"),
    "no metadata": (put("metadata", value={"other": "x"}), "not written by probinv"),
    "metadata no text": (put("metadata", value={"probinv": 3}), "not written by probinv"),
    "header is no JSON": (put("text", value="{"), "is damaged.*JSONDecodeError"),
    "header is a text": (put("text", value='"abc"'), "header is no dictionary"),
    "header is NaN": (put("text", value="NaN"), "NaN in the header"),
    "key twice": (replaced('"version": 1', '"version": 1, "version": 1'), "key appears twice"),
    "array twice": (replaced('"hidden_bias"', '"weight"'), "key appears twice"),
    "infinity in the facts": (replaced('"version": 1', '"version": Infinity'), "Infinity in the header"),
    "deep header": (put("text", value="[" * 200_000), "is damaged.*RecursionError"),
    "deep facts": (put("metadata", value={"probinv": "[" * 200_000}), "is damaged.*RecursionError"),
    "long number": (put("text", value='{"a": ' + "9" * 5000 + "}"), "is damaged"),
    "long header": (put("text", value="{}" + " " * 2**21), "claims a header of 2097154"),
    "not UTF-8": (put("text", value='{"\ud800": 1}'), "is damaged.*UnicodeDecodeError"),
    "giant array": (put(*WEIGHT, "shape", value=[2**40, 3]), "shape of array 'weight' does not fit"),
    "giant array everywhere": (
        both(put(*WEIGHT, "shape", value=[2**38]), put(*WEIGHT, "data_offsets", value=[72, 72 + 2**41])),
        "overlaps|truncated",
    ),
    "giant side": (put(*WEIGHT, "shape", value=[2**60, 0]), "no proper shape"),
    "giant nothing": (
        both(put(*WEIGHT, "shape", value=[2**47] * 31 + [0]), put(*WEIGHT, "data_offsets", value=[0, 0])),
        "damaged|truncated",
    ),
    "rank 33": (put(*WEIGHT, "shape", value=[1] * 33), "no proper shape"),
    "negative side": (put(*WEIGHT, "shape", value=[-4, -3]), "no proper shape"),
    "side a fraction": (put(*WEIGHT, "shape", value=[4.0, 3.0]), "no proper shape"),
    "side true": (put(*WEIGHT, "shape", value=[True, 12]), "no proper shape"),
    "shape no list": (put(*WEIGHT, "shape", value=12), "no proper shape"),
    "offsets backwards": (put(*WEIGHT, "data_offsets", value=[96, 0]), "does not fit its -96 bytes"),
    "offsets negative": (put(*WEIGHT, "data_offsets", value=[-96, 0]), "no proper data_offsets"),
    "three offsets": (put(*WEIGHT, "data_offsets", value=[0, 96, 96]), "no proper data_offsets"),
    "offsets of texts": (put(*WEIGHT, "data_offsets", value=["0", "96"]), "no proper data_offsets"),
    "overlapping": (overlapping, "overlaps another, or leaves a gap"),
    "many over each other": (many_over_each_other, "overlaps another"),
    "all the bytes": (widened("hidden_bias"), "does not fit"),
    "a gap": (drop("entries", "hidden_bias"), "overlaps another, or leaves a gap|of .* in the file"),
    "bytes at the end": (
        lambda parts: put("data", value=parts.data + b"12345678")(parts),
        "168 bytes, of 176 in",
    ),
    "entry no dictionary": (put(*WEIGHT, value=3), "not described by dtype"),
    "entry with more": (put(*WEIGHT, "strides", value=[1]), "not described by dtype"),
    "objects": (put(*WEIGHT, "dtype", value="O"), "has dtype 'O'|has dtype O"),
    "complex": (put(*WEIGHT, "dtype", value="C64"), "dtype"),
    "dtype a list": (put(*WEIGHT, "dtype", value=["F64"]), "dtype"),
    "wrong dtype": (put(*WEIGHT, "dtype", value="F32"), "does not fit its 96 bytes"),
    "whole numbers": (put(*WEIGHT, "dtype", value="I64"), "weight is of dtype int64"),
    "truth of 2": (truth_of_two, "truth values other than"),
    "NaN": (tensor("weight", np.full((4, 3), np.nan)), "holds NaN or infinity"),
    "infinity": (tensor("visible.1.log_sigma", np.array([0, -np.inf])), "holds NaN or infinity"),
    "turned": (put(*WEIGHT, "shape", value=[3, 4]), r"weight has shape \(3, 4\)|Type-check"),
    "swapped arrays": (swapped("visible_bias", "hidden_bias"), "visible_bias has shape|Type-check"),
    "array missing": (replaced('"hidden_bias"', '"hidden_bia"'), "'hidden_bias' is missing"),
    "array too many": (
        put("entries", "more", value={"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}),
        "'more' belongs to nothing",
    ),
    "no visible units": (drop(*VISIBLE), "not described by its visible and hidden"),
    "sides a list": (put(*VISIBLE, value=[]), "kind 'None' are unknown"),
    "unknown units": (put(*VISIBLE, "kind", value="os.system"), "kind 'os.system' are unknown"),
    "kind a list": (put(*VISIBLE, "kind", value=["joined"]), "unknown"),
    "units with more": (put(*VISIBLE, "more", value=1), "not described by their settings or parts"),
    "parts no list": (put(*VISIBLE, "parts", value=3), "parts of joined units are no list"),
    "no parts": (put(*VISIBLE, "parts", value=[]), "parts are not units|belongs to nothing"),
    "deep units": (put(*VISIBLE, value=nested(40)), "belongs to nothing"),
    "units deep down": (
        both(put(*VISIBLE, value="HERE"), replaced('"HERE"', '{"kind": "joined", "parts": [' * 5000)),
        "is damaged.*RecursionError",
    ),
    "one setting too many": (put(*VISIBLE, "parts", 0, "settings", "x", value=1), "one too many"),
    "setting missing": (drop(*VISIBLE, "parts", 0, "settings", "n"), "lack a setting"),
    "size a text": (
        put(*VISIBLE, "parts", 0, "settings", "n", value="2"),
        "n must be a whole|Type-check",
    ),
    "size a list": (
        put(*VISIBLE, "parts", 0, "settings", "n", value=[2]),
        "n must be a whole|Type-check",
    ),
    "size zero": (put(*VISIBLE, "parts", 0, "settings", "n", value=0), "n must be a whole"),
    "size true": (put("facts", "header", "hidden", "settings", "n", value=True), "n must be a whole"),
    "giant units": (put(*VISIBLE, "parts", 0, "settings", "n", value=10**15), "hidden units need"),
    "giant learned units": (put(*VISIBLE, "parts", 1, "settings", "n", value=10**12), "log_sigma of"),
    "one number for many": (
        both(
            tensor("visible.1.log_sigma", np.array([0.5])),
            put(*VISIBLE, "parts", 1, "settings", "n", value=10**12),
        ),
        "log_sigma of gaussian units has shape",
    ),
    "one number for two": (tensor("visible.1.log_sigma", np.array([0.5])), "log_sigma of gaussian units"),
    "whole log_sigma": (tensor("visible.1.log_sigma", np.array([1, 2])), "log_sigma of .* int64"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_refused(name: str, tmp_path: Path) -> None:
    change, message = FORGED[name]
    path = tmp_path / "m.safetensors"
    forge(path, change)
    refused(path, message)


def test_the_forge_itself_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    forge(path, lambda parts: None)
    assert same(load_machine(path), SMALL)
    forge(path, tensor("weight", WEIGHTS))
    assert same(load_machine(path), SMALL)


def written(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def too_large(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**40)


def sparse(path: Path) -> None:
    """900 MiB that are not there, and a header that is too long for any file of ours."""
    with open(path, "wb") as file:
        file.write((900 * 2**20 - 8).to_bytes(8, "little"))
        file.truncate(900 * 2**20)


def other_safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"weight": np.ones((2, 3))}, path)


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "cannot be opened.*No such file"),
    "folder": (lambda path: path.mkdir(), "is not a file"),
    "pipe": (lambda path: os.mkfifo(path), "is not a file"),
    "broken link": (lambda path: path.symlink_to("nowhere"), "cannot be opened"),
    "link to itself": (lambda path: path.symlink_to(path), "cannot be opened"),
    "empty": (written(b""), "truncated or not a probinv machine file"),
    "eight bytes": (written(bytes(8)), "truncated or not a probinv machine file"),
    "zeros": (written(bytes(1000)), "is damaged"),
    "text": (written(b"hello, world"), "truncated or not"),
    "npz": (written(b"PK\x03\x04" + bytes(100)), "truncated or not"),
    "HDF5": (written(b"\x89HDF\r\n\x1a\n" + bytes(100)), "truncated or not"),
    "pickle": (written(pickle.dumps({"weight": [1.0] * 100})), "is a pickle.*never does"),
    "old pickle": (written(pickle.dumps({"weight": [1.0] * 100}, protocol=2)), "is a pickle.*never does"),
    "header longer than the file": (written(framed(b"{}", b"")[:8] * 2), "is damaged"),
    "header of 2^64": (written(b"\xff" * 8 + b"{}"), "claims a header of 18446744073709551615"),
    "too large": (too_large, "is too large.*1099511627776 bytes"),
    "900 MiB of header": (sparse, "claims a header of 943718392"),
    "of others": (other_safetensors, "not written by probinv"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, tmp_path: Path) -> None:
    make, message = HOSTILE[name]
    path = tmp_path / "m.safetensors"
    make(path)
    refused(path, message)


def test_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot be opened.*null"):
        load_machine(f"{tmp_path}/a\0b")


def test_the_limit_is_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    size = len(save_machine(SMALL, path).read_bytes())
    assert same(load_machine(path, limit=size), SMALL)
    refused(path, f"has {size} bytes, the limit is {size - 1}", limit=size - 1)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    data = save_machine(SMALL, path).read_bytes()
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        with pytest.raises(FileError):
            load_machine(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """In its length, its header, its padding and its arrays: every third byte."""
    path = tmp_path / "m.safetensors"
    data = save_machine(SMALL, path).read_bytes()
    bits = np.random.default_rng(0).integers(0, 8, len(data))
    for at, bit in list(enumerate(bits.tolist()))[::3]:
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
        with pytest.raises(FileError):
            load_machine(path)


def test_random_damage_gives_no_other_error(tmp_path: Path) -> None:
    """Bytes of the header changed, and the checksum made right again: refused, or another machine."""
    path = tmp_path / "m.safetensors"
    parts = Parts(path)
    data = np.frombuffer(parts.whole(), np.uint8)
    end = 8 + int.from_bytes(data[:8].tobytes(), "little")
    rng = np.random.default_rng(1)
    noticed = 0
    for _ in range(250):
        broken = data.copy()
        where = rng.integers(0, end, rng.integers(1, 4))
        broken[where] = rng.integers(32, 127, len(where))
        path.write_bytes(resealed(broken.tobytes()))
        try:
            loaded = load_machine(path)
        except FileError:
            noticed += 1
        else:
            assert isinstance(loaded, Machine)
    assert noticed > 200


def resealed(whole: bytes) -> bytes:
    """The digits that stand in the file are replaced by those of the file with zeros in their place."""
    at = whole.find(b'sha256\\": \\"')
    if at < 0:
        return whole
    at += len(b'sha256\\": \\"')
    return sealed(whole[:at] + b"0" * 64 + whole[at + 64 :])


def large(path: Path) -> Machine:
    """8 MiB of weights."""
    machine = Machine(Bernoulli(1024), Bernoulli(1024), np.ones((1024, 1024)), np.zeros(1024), np.zeros(1024))
    save_machine(machine, path)
    return machine


def peak_of_loading(path: Path) -> float:
    """In sizes of the file."""
    tracemalloc.start()
    try:
        load_machine(path)
    except FileError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak / path.stat().st_size


LIES = [(b'"shape":[1024,1024]', digits) for digits in (b'"shape":[9999,9999]', b'"shape":[4**9,1024]')] + [
    (b'"data_offsets":[16384,8404992]', b'"data_offsets":[16384,9999999]'),
    (b'"n\\": 1024', b'"n\\": 9**9'),
    (b'"n\\": 1024', b'"n\\": 1e99'),
    (b"1024", b"9999"),
]


@pytest.mark.parametrize(("old", "new"), LIES)
def test_a_lying_header_takes_no_memory(old: bytes, new: bytes, tmp_path: Path) -> None:
    """Not more than the file has, though it claims more."""
    path = tmp_path / "m.safetensors"
    large(path)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(resealed(data.replace(old, new)))
    with pytest.raises(FileError):
        load_machine(path)
    assert peak_of_loading(path) < 1.5


def test_a_good_file_takes_little_more_memory_than_its_size(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    machine = large(path)
    assert peak_of_loading(path) < 1.5
    assert same(load_machine(path), machine)
