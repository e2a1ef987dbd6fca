"""Keras files that are damaged or meant to do harm: each is refused in words, quickly, and runs nothing."""

import contextlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from probinv._errors import FileError, InputError
from probinv.forward import load
from probinv.forward.loaders.keras import load_file
from probinv.forward.loaders.keras.config import check_config
from tests.forward.keras_models import keras, layers

h5py = pytest.importorskip("h5py", reason="Keras keeps weights in HDF5")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
SECONDS = 2.0


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The parts of a small file."""
    with jax.numpy_rank_promotion("allow"):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="tanh", name="first")])
    path = tmp_path_factory.mktemp("whole") / "net.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(parts: dict[str, bytes], path: Path, compressed: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@contextlib.contextmanager
def refused(message: str, kind: type[Exception] | tuple[type[Exception], ...] = FileError) -> Iterator[None]:
    """An error of the right kind, in two seconds of the processor."""
    begin = time.process_time()
    with pytest.raises(kind, match=message):
        yield
    assert time.process_time() - begin < SECONDS


def changed(edit: Callable[[Any], Any]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Another configuration."""

    def change(parts: dict[str, bytes]) -> dict[str, bytes]:
        config = json.loads(parts[CONFIG])
        edit(config)
        return {**parts, CONFIG: json.dumps(config).encode()}

    return change


def layer(**settings: Any) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Another last layer."""
    return changed(lambda config: config["config"]["layers"][-1].update(settings))


def setting(**settings: Any) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return changed(lambda config: config["config"]["layers"][-1]["config"].update(settings))


def weights(edit: Callable[[Any], Any]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Other contents of the HDF5 part."""

    def change(parts: dict[str, bytes]) -> dict[str, bytes]:
        place = io.BytesIO(parts[WEIGHTS])
        with h5py.File(place, "r+") as file:
            edit(file)
        return {**parts, WEIGHTS: place.getvalue()}

    return change


def kernel(file: Any) -> str:
    """Where the matrix lies."""
    found: list[str] = []
    file.visititems(lambda name, part: found.append(name) if getattr(part, "shape", None) == (3, 2) else None)
    return found[0]


def replaced(value: Any) -> Callable[[Any], None]:
    def edit(file: Any) -> None:
        name = kernel(file)
        del file[name]
        if value is not None:
            file[name] = value

    return edit


def inflated(file: Any) -> None:
    name = kernel(file)
    del file[name]
    file.create_dataset(name, shape=(2**20, 2**10), chunks=(2**10, 2**10), dtype="f4", compression="gzip")


def many(file: Any) -> None:
    """Each claims less than the file has, all of them more."""
    for number in range(8):
        file.create_dataset(f"part {number}", (2**12,), "u1", chunks=(2**12,))


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None}
CASES: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str, Any]] = {
    "lambda": (layer(**LAMBDA), "holds a Lambda.*never run.*export", InputError),
    "inner lambda": (
        setting(activation={"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}),
        "holds a lambda.*never run",
        InputError,
    ),
    "own class": (
        layer(module="mine", class_name="Evil", registered_name="mine>Evil"),
        "names 'Evil' of 'mine'",
        InputError,
    ),
    "registered": (layer(registered_name="mine>Dense"), "names 'Dense'", InputError),
    "os": (layer(module="os", class_name="system"), "names 'system' of 'os'", InputError),
    "builtins": (
        setting(activation={"module": "builtins", "class_name": "function", "config": "exec"}),
        "names 'exec' of 'builtins'",
        InputError,
    ),
    "utils": (
        setting(activation={"module": "keras.utils", "class_name": "function", "config": "get_file"}),
        "names 'get_file' of 'keras.utils'",
        InputError,
    ),
    "tests": (layer(module="keras.src.layers.core.dense_test"), "names 'Dense'", InputError),
    "saved model": (layer(class_name="TFSMLayer", registered_name=None), "holds a TFSMLayer", InputError),
    "words": (layer(class_name="StringLookup", registered_name=None), "layer StringLookup", InputError),
    "beside keras": (layer(module="keras.layersevil"), "names 'Dense' of 'keras.layersevil'", InputError),
    "of keras itself": (
        layer(module="keras", class_name="Evil", registered_name=None),
        "names 'Evil' of 'keras'",
        InputError,
    ),
    "unknown layer": (layer(class_name="Denser", registered_name=None), "Denser", FileError),
    "unknown activation": (setting(activation="frobnicate"), "frobnicate|could not", FileError),
    "huge": (setting(units=2**40), "'units' is", FileError),
    "wide": (setting(units=2**25), "could not be loaded|shape", FileError),
    "huge input": (
        changed(lambda c: c["config"]["layers"][0]["config"].update(batch_shape=[None, 2**20, 2**20])),
        "'batch_shape' is",
        FileError,
    ),
    "no configuration": (lambda p: {**p, CONFIG: b"[]"}, "describes no model", FileError),
    "no class": (lambda p: {**p, CONFIG: b"{}"}, "damaged", FileError),
    "wrong json": (lambda p: {**p, CONFIG: p[CONFIG][:-9]}, "JSONDecodeError", FileError),
    "twice in json": (lambda p: {**p, CONFIG: b'{"a": 1, "a": 2}'}, "twice", FileError),
    "deep json": (lambda p: {**p, CONFIG: b"[" * 10**5}, "RecursionError", FileError),
    "text": (lambda p: {**p, CONFIG: b"\xff\xfe"}, "Unicode", FileError),
    "metadata": (lambda p: {**p, METADATA: b"3"}, "says nothing", FileError),
    "no weights": (
        lambda p: {CONFIG: p[CONFIG], METADATA: p[METADATA]},
        "has no model.weights.h5",
        FileError,
    ),
    "no metadata": (lambda p: {CONFIG: p[CONFIG], WEIGHTS: p[WEIGHTS]}, "has no metadata.json", FileError),
    "path": (lambda p: {**p, "../evil.py": b"1"}, r"holds '\.\./evil\.py'", FileError),
    "asset": (lambda p: {**p, "assets/words.txt": b"1"}, "holds 'assets/words.txt'", FileError),
    "absolute": (lambda p: {**p, "/tmp/evil": b"1"}, "holds '/tmp/evil'", FileError),
    "weights that are none": (lambda p: {**p, WEIGHTS: b"no HDF5"}, "OSError", FileError),
    "missing weight": (weights(replaced(None)), "damaged", FileError),
    "another shape": (weights(replaced(np.zeros((2, 2), np.float32))), "damaged", FileError),
    "words as weights": (weights(replaced("words")), "no array of numbers", FileError),
    "nan": (weights(replaced(np.full((3, 2), np.nan, np.float32))), "kernel holds NaN", InputError),
    "another file": (weights(replaced(h5py.ExternalLink("/outside.h5", "/x"))), "other places", FileError),
    "soft link": (weights(replaced(h5py.SoftLink("/x"))), "other places", FileError),
    "inflated": (weights(inflated), "claim more than", FileError),
    "inflated in parts": (weights(many), "claim more than", FileError),
    "circle": (weights(lambda file: file.__setitem__("again", file["/"])), "too many parts", FileError),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_refused(name: str, parts: dict[str, bytes], tmp_path: Path) -> None:
    change, message, kind = CASES[name]
    path = write(change(parts), tmp_path / "net.keras")
    with refused(message, kind):
        load(path)


def test_an_external_dataset_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "outside.bin").write_bytes(bytes(24))

    def edit(file: Any) -> None:
        name = kernel(file)
        del file[name]
        file.create_dataset(name, (3, 2), "f4", external=[(str(tmp_path / "outside.bin"), 0, 24)])

    with refused("lies in another file"):
        load(write(weights(edit)(parts), tmp_path / "net.keras"))


@pytest.mark.parametrize("place", ["files.check_config", "config._check_class"])
def test_keras_refuses_code_too(
    place: str, parts: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its safe mode is on, were our own look at the configuration to miss something."""
    code = {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None, "closure": None}}
    settings = {"name": "evil", "function": code}
    path = write(layer(**LAMBDA, config=settings)(parts), tmp_path / "net.keras")
    monkeypatch.setattr(f"probinv.forward.loaders.keras.{place}", lambda *_: None)
    with refused("Requested the deserialization of a .Lambda"):
        load(path)


def test_a_virtual_dataset_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    def edit(file: Any) -> None:
        name = kernel(file)
        del file[name]
        layout = h5py.VirtualLayout((3, 2), "f4")
        layout[:] = h5py.VirtualSource("/outside.h5", "x", (3, 2))
        file.create_virtual_dataset(name, layout)

    with refused("lies in another file"):
        load(write(weights(edit)(parts), tmp_path / "net.keras"))


def test_a_stateful_layer_is_refused(tmp_path: Path) -> None:
    with jax.numpy_rank_promotion("allow"):
        model = keras.Sequential(
            [keras.Input((4, 2), batch_size=1), layers.SimpleRNN(2, stateful=True, name="loop")]
        )
    model.save(tmp_path / "net.keras")
    with refused("layer 'loop' that is stateful", InputError):
        load(tmp_path / "net.keras")


def test_a_configuration_has_a_limited_number_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    check_config("net.keras", {"a": [[1]]})
    monkeypatch.setattr("probinv.forward.loaders.keras.config._NODES", 4)
    with refused("too many parts"):
        check_config("net.keras", {"a": [[1]]})


def test_what_the_directory_says_is_compared(parts: dict[str, bytes], tmp_path: Path) -> None:
    path = write(parts, tmp_path / "net.keras")
    content = path.read_bytes()
    start = int.from_bytes(content[-6:-2], "little")
    path.write_bytes(content[:start] + b"between" + content[start:])
    with refused("its directory has a wrong size"):
        load(path)
    with refused("its directory has a wrong size"):
        load(write({**parts, "a" * 5000: b""}, path))
    locked = bytearray(content)
    locked[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    with refused("'(metadata|config).json' is encrypted or oddly compressed"):
        load(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    with refused("is encrypted or oddly compressed"):
        load(path)


def test_a_bomb_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    path = write({**parts, WEIGHTS: bytes(2**26)}, tmp_path / "net.keras", compressed=True)
    assert path.stat().st_size < 2**18
    with refused("is too large.*claims 67108864 bytes"):
        load(path)
    with refused("is too large.*the limit is 1000"):
        load_file(write(parts, tmp_path / "small.keras"), limit=1000)
    twice = tmp_path / "twice.keras"
    with zipfile.ZipFile(write(parts, twice), "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(CONFIG, parts[CONFIG])
    with refused("twice"):
        load(twice)


def test_a_compressed_file_is_read(parts: dict[str, bytes], tmp_path: Path) -> None:
    plain = load(write(parts, tmp_path / "net.keras"))
    other = load(write(parts, tmp_path / "other.keras", compressed=True))
    assert plain.program == other.program
    np.testing.assert_array_equal(plain.weights[0], other.weights[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin"),
        (b"\x80\x04K\x01.", "does not begin"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
        (b"PK\x03\x04", "truncated"),
        (b"PK\x03\x04" + bytes(1000), "truncated"),
    ],
)
def test_what_is_no_keras_file(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(content)
    with refused(message):
        load(tmp_path / "net.keras")


def test_a_truncated_file_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    content = write(parts, tmp_path / "net.keras").read_bytes()
    for length in range(0, len(content) - 1, len(content) // 12):
        (tmp_path / "net.keras").write_bytes(content[:length])
        with refused("damaged|truncated|not a Keras file"):
            load(tmp_path / "net.keras")
    with pytest.raises(FileError, match="cannot be opened"):
        load(tmp_path / "none.keras")


def test_a_flipped_bit_is_refused(parts: dict[str, bytes], tmp_path: Path) -> None:
    """A bit of any part is found by its checksum; one in what the zip says of it, by what does not fit."""
    path = write(parts, tmp_path / "net.keras")
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        starts = [
            (info.header_offset + 30 + len(info.filename), info.file_size) for info in archive.infolist()
        ]
    rng = np.random.default_rng(0)
    for start, size in starts:
        for position in rng.integers(start, start + size, 8):
            data = bytearray(content)
            data[position] ^= 1 << int(rng.integers(8))
            path.write_bytes(data)
            with refused("Bad CRC"):
                load(path)
    for position in range(-22, -2):
        data = bytearray(content)
        data[position] ^= 4
        path.write_bytes(data)
        with contextlib.suppress(FileError):
            load(path)
