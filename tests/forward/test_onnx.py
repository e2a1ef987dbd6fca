"""Networks read from ONNX: against onnxruntime, against finite differences, in both precisions."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinv
from probinv._checks import double_precision
from probinv._errors import FileError, InputError
from probinv.forward import Layered, OnnxForward, as_forward, as_layered, check_source, fingerprint, load
from tests.forward.onnx_models import NETWORKS, floats, mlp, model, node, rng, save

ROOT = Path(__file__).parents[2]


@cache
def network(name: str) -> tuple[Any, OnnxForward]:
    made = NETWORKS[name]()
    found = load(made)
    assert isinstance(found, OnnxForward)
    return made, found


def by_onnxruntime(made: Any, x: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: not compared with it")
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in ("lstm", "transformer") else []) for n in NETWORKS],
)
def test_a_network_is_what_onnxruntime_computes(name: str, key: jax.Array) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: not compared with it")
    made, forward = network(name)
    found = check_source(forward, made, key, count=3)
    assert found.interpreter == "onnxruntime"
    assert found.dtype == "float32"
    assert found.difference < 2e-6
    assert found.agreement.jit < 1e-13
    assert found.agreement.vmap < 1e-13
    assert found.agreement.gradient < 1e-7
    assert found.agreement.dtype == "float64"


def test_the_reference_is_used_where_onnxruntime_is_missing(
    key: jax.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, forward = network("mlp")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = check_source(forward, made, key, count=2)
    assert found.interpreter == "reference"
    assert found.difference < 2e-6


def test_a_wrong_network_is_found(key: jax.Array) -> None:
    made, forward = network("mlp")
    weights = {**forward.weights, "b2": forward.weights["b2"] + 0.01}
    other = OnnxForward(weights, forward.graph, forward.input_shape, forward.batch_axis)
    assert check_source(other, made, key, count=2).difference > 1e-5


def test_precision_is_that_of_the_run() -> None:
    _, forward = network("mlp")
    x = rng().standard_normal(5)
    single = forward(jnp.asarray(x, jnp.float32))
    with double_precision():
        double = forward(jnp.asarray(x))
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    assert 0 < np.abs(np.asarray(single) - np.asarray(double)).max() < 1e-6


def test_weights_are_leaves_and_the_rest_is_known() -> None:
    _, forward = network("cnn")
    leaves = jax.tree.leaves(forward)
    assert len(leaves) == 9
    assert all(isinstance(leaf, np.ndarray) and leaf.dtype == np.float32 for leaf in leaves)
    assert forward.input_shape == (2, 9, 8)
    assert (forward.input_name, forward.output_name) == ("x", "y")


def test_shapes_fold_under_jit() -> None:
    _, forward = network("cnn")
    with double_precision():
        program = jax.make_jaxpr(forward)(jax.ShapeDtypeStruct((2, 9, 8), np.float64))
    names = {equation.primitive.name for equation in program.eqns}
    assert "conv_general_dilated" in names
    assert not names & {"gather", "dynamic_slice", "concatenate"}


def test_the_same_file_twice_is_the_same_program(tmp_path: Path) -> None:
    path = save(mlp(), tmp_path / "net.onnx")
    first, second = load(path), load(str(path))
    assert isinstance(first, OnnxForward)
    assert isinstance(second, OnnxForward)
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert first.graph is not second.graph
    assert fingerprint(first, (5,)) == fingerprint(second, (5,))
    other = OnnxForward(
        {**first.weights, "b1": first.weights["b1"] + 1}, first.graph, first.input_shape, first.batch_axis
    )
    assert fingerprint(other, (5,)) != fingerprint(first, (5,))


def test_another_graph_is_another_program() -> None:
    def net(alpha: float) -> Any:
        return load(model([node("LeakyRelu", "x", alpha=alpha)], {}, (1, 2)))

    assert jax.tree.structure(net(0.1)) == jax.tree.structure(net(0.1))
    assert jax.tree.structure(net(0.1)) != jax.tree.structure(net(0.2))


# The batch axis -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [((1, 3), (3,)), (("N", 3), (3,)), ((2, 3), (2, 3)), ((3,), (3,)), ((1, 1, 3), (1, 3))],
)
def test_a_first_axis_of_one_or_with_a_name_is_left_out(sizes: Any, shape: tuple[int, ...]) -> None:
    forward = load(model([node("Exp", "x")], {}, sizes))
    assert forward.input_shape == shape
    x = rng().standard_normal(shape)
    np.testing.assert_allclose(forward(jnp.asarray(x, jnp.float32)), np.exp(x), rtol=1e-5)


def test_the_batch_axis_can_be_kept_and_be_left_out() -> None:
    made = model([node("Exp", "x")], {}, (1, 3))
    assert load(made, batch_axis=False).input_shape == (1, 3)
    made = model([node("Exp", "x")], {}, (4, 3))
    assert load(made, batch_axis=True).input_shape == (3,)
    assert as_forward(made, batched=True).input_shape == (3,)


def test_an_output_without_its_batch_axis_is_refused() -> None:
    made = model([node("ReduceSum", "x", keepdims=0)], {}, (1, 3))
    with pytest.raises(InputError, match=r"shape \(\) for a batch of one.*batch_axis=False"):
        load(made)
    assert load(made, batch_axis=False)(jnp.ones((1, 3))) == 3


def test_a_length_with_a_name_elsewhere_is_left_open() -> None:
    forward = load(model([node("ReduceSum", "x axes", keepdims=0)], {"axes": np.array([1])}, (1, "T")))
    assert forward.input_shape is None
    assert forward(jnp.ones(7)) == 7


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"x has shape \(4,\).*takes inputs of shape \(5,\)"):
        network("mlp")[1](jnp.ones(4))


# Several inputs and outputs, cuts --------------------------------------------------------------------------


def two_inputs() -> Any:
    nodes = [node("Mul", "x u", "p"), node("Exp", "p", "y"), node("Neg", "y", "z")]
    return model(nodes, {}, (1, 3), out=("y", "z"), more={"u": (1, (1, 3))})


def test_several_inputs_and_outputs_are_named() -> None:
    made = two_inputs()
    with pytest.raises(InputError, match=r"2 inputs.*'x', 'u'"):
        load(made, outputs="y")
    with pytest.raises(InputError, match=r"2 outputs.*'y', 'z'"):
        load(made, inputs="x")
    with pytest.raises(InputError, match=r"also needs 'u'.*fixed="):
        load(made, inputs="x", outputs="y")
    forward = load(made, fixed={"u": np.float32([[1, 2, 3]])}, outputs="z")
    np.testing.assert_allclose(forward(jnp.ones(3)), -np.exp([1, 2, 3]), rtol=1e-6)


def test_a_graph_can_be_cut_anywhere() -> None:
    forward = load(two_inputs(), inputs="p", outputs="y", batch_axis=False)
    np.testing.assert_allclose(forward(jnp.ones(4)), np.exp(np.ones(4)), rtol=1e-6)
    with pytest.raises(InputError, match="does not depend on"):
        load(
            two_inputs(), inputs="z", outputs="y", fixed={"x": np.ones(3), "u": np.ones(3)}, batch_axis=False
        )
    with pytest.raises(InputError, match="no node computes 'w'"):
        load(two_inputs(), inputs="p", outputs="w", batch_axis=False)


def test_whole_numbers_are_no_x() -> None:
    made = model([node("Gather", "table x")], floats(table=(4, 2)), (1, 3), kind=7)
    with pytest.raises(InputError, match=r"type INT64.*inputs="):
        load(made)


def test_whole_numbers_are_no_y() -> None:
    with pytest.raises(InputError, match=r"of int.*real numbers"):
        load(model([node("ArgMax", "x", axis=1)], {}, (1, 3)))


# The door --------------------------------------------------------------------------------------------------


def test_one_door(tmp_path: Path) -> None:
    assert isinstance(probinv.load(save(mlp(), tmp_path / "net.onnx")), OnnxForward)
    assert isinstance(probinv.load(mlp()), OnnxForward)
    layered = Layered.from_arrays([np.ones((2, 3))])
    probinv.save_network(layered, tmp_path / "net.npz")
    assert isinstance(probinv.load(tmp_path / "net.npz"), Layered)
    assert probinv.load(layered) is layered
    assert probinv.load(jnp.sin)(jnp.zeros(2)).shape == (2,)
    with pytest.raises(FileError, match=r"none\.onnx cannot be opened"):
        probinv.load("none.onnx")


@pytest.mark.parametrize("ending", ["pt", "pth", "pkl", "joblib", "h5", "PT"])
def test_pickles_are_refused_with_the_way_out(ending: str) -> None:
    with pytest.raises(InputError, match=rf"net\.{ending} is not read here.*(export|estimator|save it anew)"):
        probinv.load(f"net.{ending}")


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for wrong in (
        lambda: probinv.load("net.npz", inputs="x"),
        lambda: probinv.load("net.nc", outputs="y"),
        lambda: probinv.load(jnp.sin, batch_axis=True),
        lambda: probinv.load("net.onnx", np.ones(3)),
        lambda: probinv.load("net.onnx", checksum=False),
    ):
        with pytest.raises(InputError, match="given"):
            wrong()


def test_without_onnx_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(mlp(), tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"onnx is not installed.*probinv\[onnx\]"):
        load(path)


def test_onnx_is_not_imported_before_it_is_needed() -> None:
    script = "import sys, probinv.forward; print(sorted({'onnx', 'onnxruntime', 'torch'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Chains ----------------------------------------------------------------------------------------------------


def test_a_chain_becomes_layered() -> None:
    _, forward = network("mlp")
    layered = as_layered(forward)
    assert [type(layer).__name__ for layer in layered.layers] == [
        *("Affine", "Affine", "Dense", "Activation", "Dense", "Activation", "Dense", "Activation")
    ]
    dense = layered.layers[4]
    assert dense.weight.shape == (6, 8)  # (out, in)
    np.testing.assert_array_equal(dense.bias, forward.weights["b2"])
    with double_precision():
        x = jnp.asarray(rng().standard_normal(5))
        np.testing.assert_allclose(layered(x), forward(x), rtol=1e-12)


def test_an_image_becomes_a_vector_and_shapes_do_not_matter() -> None:
    nodes = [
        node("Constant", "", "c", value_float=0.5),
        node("Sub", "c x", "s"),
        node("Div", "s c", "d"),
        node("Flatten", "d", "f"),
        node("Gemm", "f w b", "h", transB=1),
        node("Reshape", "h shape", "r"),
        node("Elu", "r", "e", alpha=0.5),
        node("Gelu", "e", approximate="tanh"),
    ]
    weights = {**floats(w=(4, 12), b=(4,)), "shape": np.array([1, 2, 2])}
    nodes[0] = node("Constant", "", "c", value_float=0.5)
    forward = load(model(nodes, weights, (1, 3, 4)))
    layered = as_layered(forward)
    with double_precision():
        x = jnp.asarray(rng().standard_normal((3, 4)))
        np.testing.assert_allclose(layered(x.ravel()), forward(x).ravel(), rtol=1e-12)


@pytest.mark.parametrize("name", ["cnn", "lstm", "transformer"])
def test_what_is_no_chain_names_the_node(name: str) -> None:
    with pytest.raises(InputError, match=r"the graph is no chain: .* 'the_"):
        as_layered(network(name)[1])


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Add", "x x")],
        [node("Gemm", "x w", "h"), node("Add", "h x")],
        [node("Div", "w x", "h"), node("Neg", "h")],
        [node("Gemm", "x w", alpha=2.0)],
        [node("Softmax", "x", "h", axis=0), node("Gemm", "h w")],
        [node("Transpose", "x", "t"), node("MatMul", "w t")],
    ],
)
def test_what_looks_like_a_chain_and_is_none(nodes: list[Any]) -> None:
    with pytest.raises(InputError, match="the graph is no chain"):
        as_layered(load(model(nodes, floats(w=(3, 3)), (1, 3), opset=13), batch_axis=False))


# PyTorch ---------------------------------------------------------------------------------------------------


class Module:
    """Stands for torch.nn.Module: what our loader uses of it."""

    training = True
    modes: list[bool]

    def __init__(self) -> None:
        self.modes = []

    def parameters(self) -> Any:
        return iter(())

    def eval(self) -> None:
        self.modes.append(False)

    def train(self, mode: bool) -> None:
        self.modes.append(mode)


def test_a_torch_module_goes_by_way_of_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import ModuleType, SimpleNamespace

    torch = ModuleType("torch")
    torch.float32 = np.float32
    torch.as_tensor = np.asarray
    given: dict[str, Any] = {}

    def export(module: Any, arguments: tuple[Any, ...], *, dynamo: bool, verbose: bool) -> Any:
        given.update(shape=arguments[0].shape, dynamo=dynamo, modes=list(module.modes))
        return SimpleNamespace(model_proto=mlp())

    torch.onnx = SimpleNamespace(export=export)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(Module, "__module__", "torch.nn.modules")
    module = Module()
    with pytest.raises(InputError, match=r"PyTorch module.*load\(module, example\).*dynamo=True"):
        probinv.load(module)
    assert isinstance(probinv.load(module, np.ones((1, 5))), OnnxForward)
    assert given == {"shape": (1, 5), "dynamo": True, "modes": [False]}
    assert module.modes == [False, True]
    torch.onnx = SimpleNamespace()
    with pytest.raises(InputError, match=r"PyTorch cannot export Module.*onnxscript"):
        probinv.load(module, np.ones((1, 5)))
    with pytest.raises(InputError, match=r"load\(module, example\)"):
        as_forward(module)
