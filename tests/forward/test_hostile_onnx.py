"""ONNX files that are damaged or meant to do harm: each is refused in words, quickly, and takes no memory."""

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from probinv._errors import FileError, InputError
from probinv.forward import load
from probinv.forward.loaders.onnx import load_file
from tests.forward.onnx_models import floats, mlp, model, node, save

SECONDS = 2.0


@contextlib.contextmanager
def refused(message: str) -> Iterator[None]:
    """An error of the right kind, in two seconds of the processor, with little memory taken."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    with pytest.raises(InputError, match=message):
        yield
    assert time.process_time() - begin < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB


def plain(*nodes: Any, shape: Any = (1, 4), **weights: Any) -> Any:
    return model(list(nodes), weights, shape)


def edited(edit: Callable[[Any], Any]) -> Any:
    made = mlp()
    edit(made)
    return made


def external(location: str, offset: str = "0", length: str = "160") -> Callable[[Any], Any]:
    """The first matrix of the network moved to another file."""

    def edit(made: Any) -> None:
        tensor = next(t for t in made.graph.initializer if t.name == "w1")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=value)

    return edit


def calls_itself() -> Any:
    made = mlp()
    opset = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    inner = helper.make_node("again", ["a"], ["b"], domain="own")
    made.functions.append(helper.make_function("own", "again", ["a"], ["b"], [inner], opset))
    made.opset_import.append(helper.make_opsetid("own", 1))
    made.graph.node[0].CopyFrom(helper.make_node("again", ["x"], ["centred"], domain="own"))
    return made


def grows() -> Any:
    """16 functions, each of which calls the next twenty times."""
    made = mlp()
    opset = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    for number in range(15):
        calls = [
            helper.make_node(f"f{number + 1}", ["a" if i == 0 else f"t{i - 1}"], [f"t{i}"], domain="own")
            for i in range(20)
        ]
        made.functions.append(helper.make_function("own", f"f{number}", ["a"], ["t19"], calls, opset))
    last = [helper.make_node("Neg", ["a"], ["b"])]
    made.functions.append(helper.make_function("own", "f15", ["a"], ["b"], last, opset))
    made.graph.node[0].CopyFrom(helper.make_node("f0", ["x"], ["centred"], domain="own"))
    return made


def ranged(start: float, limit: float, step: float) -> Any:
    numbers = {"a": np.float32(start), "b": np.float32(limit), "c": np.float32(step)}
    return plain(node("Range", "a b c", "r"), node("Add", "x r"), **numbers)


def doubling(count: int) -> Any:
    """A tensor that is joined with itself again and again."""
    nodes = [node("Concat", f"t{i} t{i}", f"t{i + 1}", axis=0) for i in range(count)]
    return plain(node("Shape", "x", "t0"), *nodes, node("Cast", f"t{count}", "c", to=1), node("Add", "x c"))


HUGE = np.array([2**31, 2**31])
MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "circle": (lambda: plain(node("Add", "x b", "a"), node("Neg", "a", "b"), node("Neg", "b")), "circle"),
    "order": (lambda: plain(node("Neg", "a"), node("Exp", "x", "a")), "before it is computed"),
    "twice": (
        lambda: plain(node("Neg", "x", "a"), node("Exp", "x", "a"), node("Neg", "a")),
        "computed twice",
    ),
    "constant of shape": (
        lambda: plain(node("ConstantOfShape", "s", "c"), node("Add", "x c"), s=HUGE),
        "more than",
    ),
    "expand": (lambda: plain(node("Expand", "x s"), s=HUGE), "more than"),
    "tile": (lambda: plain(node("Tile", "x s"), s=HUGE), "more than"),
    "range": (lambda: ranged(0, 1e30, 1), "more than"),
    "a range without end": (lambda: ranged(0, 1, 0), "step is 0"),
    "pad": (lambda: plain(node("Pad", "x s"), s=np.array([0, 2**40, 0, 0])), "more than"),
    "resize": (
        lambda: plain(node("Resize", "x - s"), s=np.float32([1, 1e9])),
        "scales",
    ),
    "eye": (
        lambda: plain(
            node("ConstantOfShape", "s", "c"), node("EyeLike", "c", "e"), node("MatMul", "x e"), s=HUGE
        ),
        "more than",
    ),
    "one hot": (
        lambda: plain(
            node("OneHot", "i d v", "o"),
            node("Add", "x o"),
            i=np.array([1]),
            d=np.array(2**40),
            v=np.float32([0, 1]),
        ),
        "more than",
    ),
    "doubling": (lambda: doubling(60), "more than"),
    "einsum": (
        lambda: plain(node("Einsum", "x " * 6, equation="ab,cd,ef,gh,ij,kl->acegikbdfhjl"), shape=(64, 64)),
        "more than",
    ),
    "window": (
        lambda: plain(node("MaxPool", "x", kernel_shape=[2**40], strides=[1]), shape=(1, 1, 8)),
        "above a million|does not fit",
    ),
    "padded window": (
        lambda: plain(
            node("Conv", "x w", pads=[2**40] * 2), shape=(1, 1, 8), w=np.ones((1, 1, 1), np.float32)
        ),
        "more than",
    ),
    "transposed window": (
        lambda: plain(
            node("ConvTranspose", "x w", strides=[2**40]), shape=(1, 1, 8), w=np.ones((1, 1, 1), np.float32)
        ),
        "more than|million",
    ),
    "a function that calls itself": (calls_itself, "16 deep"),
    "functions that grow": (grows, "too long|deep"),
    "too long": (lambda: edited(lambda m: m.graph.node.extend([m.graph.node[0]] * 20_001)), "too long"),
    "dims": (lambda: edited(lambda m: m.graph.initializer[0].dims.append(2**50)), "bytes"),
    "negative dims": (lambda: edited(lambda m: m.graph.initializer[0].dims.append(-1)), "no shape"),
    "dims that overflow": (
        lambda: edited(lambda m: m.graph.initializer[0].dims.extend([2**62] * 3)),
        "bytes",
    ),
    "type": (lambda: edited(lambda m: setattr(m.graph.initializer[0], "data_type", 8)), "STRING"),
    "unknown type": (lambda: edited(lambda m: setattr(m.graph.initializer[0], "data_type", 77)), "number 77"),
    "an index outside": (
        lambda: plain(node("Gather", "x i", axis=1), i=np.array([9])),
        "outside of 4",
    ),
    "no opset": (lambda: edited(lambda m: m.ClearField("opset_import")), "no ONNX network|names no opset"),
    "future opset": (lambda: edited(lambda m: setattr(m.opset_import[0], "version", 9999)), "opset 9999"),
    "past opset": (lambda: edited(lambda m: setattr(m.opset_import[0], "version", 1)), "opset 1"),
    "unknown operator": (lambda: plain(node("Frobnicate", "x")), "Frobnicate"),
    "unknown domain": (
        lambda: edited(lambda m: setattr(m.graph.node[2], "domain", "com.microsoft")),
        "com.microsoft",
    ),
    "unknown attribute": (lambda: plain(node("Relu", "x", slope=2.0)), "attribute 'slope'"),
    "attribute of another type": (lambda: plain(node("LeakyRelu", "x", alpha=1)), "another type"),
    "too many inputs": (lambda: plain(node("Relu", "x x")), "has 2 inputs"),
    "an output that is not there": (lambda: plain(node("Relu", "x", "z")), "no node computes 'y'"),
    "training": (
        lambda: plain(node("Dropout", "x r t"), r=np.float32(0.5), t=np.array(True)),
        "training mode",
    ),
    "control flow": (
        lambda: plain(node("Loop", "- - x", body=helper.make_graph([], "b", [], []))),
        "'Loop' is not read",
    ),
    "randomness": (lambda: plain(node("RandomNormalLike", "x")), "RandomNormalLike"),
    "a weight that is NaN": (
        lambda: plain(node("Add", "x w"), w=np.float32([1, np.nan, 1, 1])),
        "NaN",
    ),
    "external without a folder": (lambda: edited(external("w.bin")), "another file"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_bad_model_is_refused(name: str) -> None:
    make, message = MODELS[name]
    made = make()
    with refused(message):
        load(made)


@pytest.mark.parametrize(
    ("location", "offset", "length", "message"),
    [
        ("/etc/hostname", "0", "160", "only from the folder"),
        ("../outside.bin", "0", "160", "only from the folder"),
        ("sub/../../outside.bin", "0", "160", "only from the folder"),
        ("link.bin", "0", "160", "only from the folder"),
        ("linked/outside.bin", "0", "160", "only from the folder"),
        ("", "0", "160", "only from the folder"),
        ("w\0.bin", "0", "160", "only from the folder"),
        ("..\\outside.bin", "0", "160", "only from the folder"),
        ("none.bin", "0", "160", "no such file"),
        (".", "0", "160", "no such file"),
        ("w.bin", "8", "160", "has 160"),
        ("w.bin", "0", "159", "has 160"),
        ("w.bin", "-1", "160", "where a number belongs"),
        ("w.bin", "1e3", "160", "where a number belongs"),
        ("w.bin", "9" * 30, "160", "where a number belongs"),
    ],
)
def test_external_data_stay_in_the_folder(
    location: str, offset: str, length: str, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(160))
    (folder / "w.bin").write_bytes(bytes(160))
    os.symlink(tmp_path / "outside.bin", folder / "link.bin")
    os.symlink(tmp_path, folder / "linked")
    path = save(edited(external(location, offset, length)), folder / "net.onnx")
    with refused(message):
        load(path)


def test_external_data_beside_the_network_are_read(tmp_path: Path) -> None:
    w1 = next(t for t in mlp().graph.initializer if t.name == "w1")
    (tmp_path / "w.bin").write_bytes(b"12345678" + w1.raw_data)
    found = load_file(save(edited(external("w.bin", "8")), tmp_path / "net.onnx"))
    np.testing.assert_array_equal(found.weights["w1"], onnx.numpy_helper.to_array(w1))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04K\x01.", b"PK\x03\x04", b"\x08", b"\xff" * 100, b'{"a": 1}', bytes(1000)],
    ids=["empty", "pickle", "zip", "stump", "ones", "json", "zeros"],
)
def test_what_is_no_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no ONNX network"):
        load(path)


def test_files_are_bounded_and_regular(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with open(path, "wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(FileError, match="too large"):
        load(path)
    with pytest.raises(FileError, match="too large"):
        load_file(save(mlp(), tmp_path / "small.onnx"), limit=100)
    with pytest.raises(FileError, match="not a file"):
        load_file(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(FileError, match="not a file"):
        load(tmp_path / "pipe.onnx")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    content = mlp().SerializeToString()
    path = tmp_path / "net.onnx"
    for length in range(0, len(content) - 1, len(content) // 25):
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            load(path)


def test_a_flipped_bit_is_refused_or_gives_another_network(tmp_path: Path) -> None:
    """Never another kind of error; the format has no checksum, so some bits go unnoticed."""
    content = model([node("Gemm", "x w b", "h"), node("Relu", "h")], floats(w=(3, 2), b=(2,)), (1, 3))
    whole, path = content.SerializeToString(), tmp_path / "net.onnx"
    refused = 0
    for position in np.random.default_rng(0).choice(8 * len(whole), 60, replace=False):
        data = bytearray(whole)
        data[position // 8] ^= 1 << (position % 8)
        path.write_bytes(data)
        try:
            load(path)
        except (InputError, FileError):
            refused += 1
    assert 20 <= refused < 60
