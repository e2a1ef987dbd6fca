"""The bench of loaders on one small network made here."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv import InputError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx

from probinv.bench import loaders as room
from probinv.bench.torch_chain import torch_chain
from probinv.forward import Activation, Affine, Dense, Layered, Reshape, load
from tests.forward.onnx_models import floats, model, node


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution, which ONNX Runtime has no float64 kernel for, and a dense layer; of a batch of one."""
    place = tmp_path_factory.mktemp("nets")
    nodes = [
        node("Conv", "x W b", "u"),
        node("Sigmoid", "u", "v"),
        node("Flatten", "v", "w"),
        node("Gemm", "w G c", transB=1),
    ]
    weights = floats(W=(2, 1, 3, 3), b=(2,), G=(3, 32), c=(3,))
    onnx.save(model(nodes, weights, (1, 1, 6, 6)), place / "small.onnx")
    return place


def test_the_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "REPEATS", 2)
    result = room.bench_loaders(folder, count=5)
    (one,) = result.figures["networks"]
    (row,) = result.rows
    assert (one["network"], one["inputs"], one["outputs"], one["how"]) == ("small", 36, 3, "batch")
    assert one["y_off"] < 1e-5
    assert one["y_off_64"] < 1e-13
    assert one["jacobian_off"] < 1e-8
    assert 0 < one["jacobian_own"] < 1e-7
    assert one["against"] in ("onnxruntime", "reference")
    assert min(one[key] for key in ("compile", "gradient", "forward", "onnxruntime")) > 0
    assert row[7] == one["gradient"] / one["onnxruntime"]
    assert one["torch"] is None  # no chain of dense layers
    assert row[6] == row[9] == "-"
    assert len(row) == len(result.columns)
    assert "PyTorch" in result.text()
    assert max(map(len, result.text().splitlines()[:2])) <= 160


def test_other_values_and_derivatives_are_seen(folder: Path) -> None:
    """Against a file whose last weight is a thousandth larger, y and J are off by about as much."""
    network, other = load(folder / "small.onnx"), onnx.load(folder / "small.onnx")
    (last,) = [tensor for tensor in other.graph.initializer if tensor.name == "G"]
    changed = onnx.numpy_helper.to_array(last) * 1.001
    last.CopyFrom(onnx.numpy_helper.from_array(changed.astype(np.float32), "G"))
    x = room.inputs_of((1, 6, 6), 2)
    found = room.derivatives(network, room.other_in_double(other, "x", x[:1]), x)
    assert 1e-5 < found[0] < 1e-2
    np.testing.assert_allclose(found[1], 1e-3, rtol=0.01)
    assert found[2] < 1e-7


def test_points_without_a_slope_are_left_out(folder: Path) -> None:
    """relu(x - 1/2) has none below: the first input says nothing, and alone leaves no figure."""
    place = folder.parent / "relu.onnx"
    nodes = [node("Add", "x b", "u"), node("Relu", "u")]
    onnx.save(model(nodes, {"b": np.full(2, -0.5, np.float32)}, (1, 2)), place)
    network, kink = load(place), onnx.load(place)
    x = np.array([[0.1, 0.2], [0.9, 0.9]])
    other = room.other_in_double(kink, "x", x[:1])
    assert room.derivatives(network, other, x)[1] < 1e-9
    assert np.isnan(room.derivatives(network, other, x[:1])).all()


def test_a_file_that_knows_no_batch_is_run_one_by_one(tmp_path: Path) -> None:
    shape = np.array([1, 4])
    nodes = [node("Reshape", "x s", "u"), node("Gemm", "u G")]
    made: Any = model(nodes, floats(G=(4, 3)) | {"s": shape}, (1, 2, 2))
    onnx.save(made, tmp_path / "one.onnx")
    network = load(tmp_path / "one.onnx")
    x = np.random.default_rng(0).standard_normal((3, 2, 2)).astype(np.float32)
    run, how = room._batched(made, network, x)
    assert how == "one by one"
    np.testing.assert_allclose(run(x), x.reshape(3, 4) @ floats(G=(4, 3))["G"], rtol=1e-5)


def test_torch_computes_the_same() -> None:
    """Where it is installed: its values, and its gradient."""
    x = np.random.default_rng(0).standard_normal((3, 2, 2)).astype(np.float32)
    weight = np.asarray([1.0, -2.0, 0.5], np.float32)
    dense = (Dense(floats(W=(5, 4))["W"], floats(b=(5,))["b"]), Dense(floats(V=(3, 5))["V"]))
    first, last = (Reshape(), Affine(2.0, 0.1)), (Activation("logistic"), dense[1], Activation("tanh"))
    chain = Layered([*first, dense[0], *last], (2, 2))
    assert torch_chain(Layered([Dense(np.eye(4)), Activation("softmax")], (4,)), x, weight) is None
    both = torch_chain(chain, x, weight)
    if find_spec("torch") is None:
        assert both is None
        pytest.skip("PyTorch is not installed: its column of the bench is not tried")
    assert both is not None
    y, slope = both()
    wanted = jax.vmap(jax.value_and_grad(lambda x: jnp.sum(weight * chain(x))))(jnp.asarray(x))
    np.testing.assert_allclose(y.detach().numpy() @ weight, wanted[0], rtol=1e-5)
    np.testing.assert_allclose(slope.numpy(), wanted[1], rtol=1e-4, atol=1e-6)


def test_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(room.FOLDER, raising=False)
    with pytest.raises(InputError, match="PROBINV_DATA is not set"):
        room.network_files()
    with pytest.raises(InputError, match="holds no ONNX file"):
        room.network_files(tmp_path)
    monkeypatch.setenv(room.FOLDER, str(tmp_path))
    for name in ("nets/a.onnx", "nets/b.txt", "acasxu/ACASXU_run2a_1_1_batch_2000.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name[:6] for path in room.network_files()] == ["a.onnx", "ACASXU"]
