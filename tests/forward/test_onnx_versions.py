"""What operators meant in older opsets, and forms that no shipped case has: as onnxruntime has it."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.forward import load
from probinv.forward.loaders.onnx.operators import OPERATORS
from tests.forward.onnx_models import floats, model, node, rng

ONES = np.ones(4, np.float32)
IMAGE, ROWS = (1, 4, 5, 6), (2, 3, 4)
BATCH = floats(s=(4,), m=(4,), mu=(4,)) | {"v": np.float32([0.5, 1, 2, 3])}
RNN = floats(w=(1, 12, 4), r=(1, 12, 3), b=(1, 24), h=(1, 3, 3))
LSTM = floats(w=(1, 12, 4), r=(1, 12, 3), b=(1, 24), h=(1, 3, 3), c=(1, 3, 3), p=(1, 9))

# name: opset, nodes, weights, shape of x
CASES: dict[str, tuple[int, list[Any], dict[str, Any], tuple[int, ...]]] = {
    "softmax joins the axes from one on": (9, [node("Softmax", "x", axis=1)], {}, ROWS),
    "softmax, usual axis": (11, [node("Softmax", "x")], {}, ROWS),
    "softmax now": (13, [node("Softmax", "x")], {}, ROWS),
    "log softmax": (11, [node("LogSoftmax", "x", axis=-2)], {}, ROWS),
    "hardmax": (11, [node("Hardmax", "x", axis=1)], {}, ROWS),
    "clip by attributes": (9, [node("Clip", "x", min=-0.5, max=0.25)], {}, ROWS),
    "clip by inputs": (11, [node("Clip", "x - high")], {"high": np.float32(0.3)}, ROWS),
    "pad by attributes": (9, [node("Pad", "x", pads=[0, 1, 0, 0, 0, -2], value=1.5)], {}, ROWS),
    "pad by reflecting": (9, [node("Pad", "x", pads=[0, 1, 0, 0, 1, 2], mode="reflect")], {}, ROWS),
    "pad by axes": (18, [node("Pad", "x p - a")], {"p": np.array([1, 2]), "a": np.array([-1])}, ROWS),
    "slice by attributes": (9, [node("Slice", "x", starts=[1, -3], ends=[9, -1], axes=[1, 2])], {}, ROWS),
    "slice backwards": (
        13,
        [node("Slice", "x b e a s")],
        {"b": np.array([-1]), "e": np.array([-(2**63)]), "a": np.array([2]), "s": np.array([-2])},
        ROWS,
    ),
    "split by an attribute": (
        9,
        [node("Split", "x", "a b", axis=2, split=[1, 3]), node("Neg", "b")],
        {},
        ROWS,
    ),
    "split in equal parts": (11, [node("Split", "x", "a b", axis=2), node("Sub", "a b")], {}, ROWS),
    "split with a short end": (
        18,
        [node("Split", "x", "a b", axis=1, num_outputs=2), node("Neg", "b")],
        {},
        ROWS,
    ),
    "squeeze by attributes": (
        9,
        [node("Unsqueeze", "x", "u", axes=[0, 4]), node("Squeeze", "u", axes=[0])],
        {},
        ROWS,
    ),
    "squeeze all": (13, [node("Squeeze", "x")], {}, (1, 3, 1, 2)),
    "sum by attributes": (9, [node("ReduceSum", "x", axes=[1], keepdims=0)], {}, ROWS),
    "mean by attributes": (13, [node("ReduceMean", "x", axes=[-1, 0])], {}, ROWS),
    "mean by inputs": (18, [node("ReduceMean", "x a", keepdims=0)], {"a": np.array([-2])}, ROWS),
    "no axes, nothing done": (18, [node("ReduceL2", "x", noop_with_empty_axes=1)], {}, ROWS),
    "top k by an attribute": (9, [node("TopK", "x", "y i", k=2, axis=1)], {}, ROWS),
    "top k, smallest": (
        11,
        [node("TopK", "x k", "y i", axis=2, largest=0)],
        {"k": np.array([3])},
        ROWS,
    ),
    "upsampled": (9, [node("Upsample", "x s", mode="nearest")], {"s": np.float32([1, 1, 2, 3])}, IMAGE),
    "upsampled linearly": (
        9,
        [node("Upsample", "x s", mode="linear")],
        {"s": np.float32([1, 1, 2, 2])},
        IMAGE,
    ),
    "resized in opset 10": (10, [node("Resize", "x s")], {"s": np.float32([1, 1, 0.5, 2])}, IMAGE),
    "resized as PyTorch does": (
        13,
        [node("Resize", "x - - z", mode="linear", coordinate_transformation_mode="pytorch_half_pixel")],
        {"z": np.array([1, 4, 9, 1])},
        IMAGE,
    ),
    "resized by corners": (
        13,
        [node("Resize", "x - - z", mode="linear", coordinate_transformation_mode="align_corners")],
        {"z": np.array([1, 4, 7, 11])},
        IMAGE,
    ),
    "resized by cubes": (
        13,
        [node("Resize", "x - s", mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)],
        {"s": np.float32([1, 1, 1.6, 0.5])},
        IMAGE,
    ),
    "batch norm in opset 9": (9, [node("BatchNormalization", "x s m mu v", epsilon=0.1)], BATCH, IMAGE),
    "batch norm now": (15, [node("BatchNormalization", "x s m mu v", momentum=0.5)], BATCH, IMAGE),
    "dropout": (9, [node("Dropout", "x", ratio=0.5)], {}, ROWS),
    "dropout now": (13, [node("Dropout", "x r")], {"r": np.float32(0.5)}, ROWS),
    "flattened at the end": (11, [node("Flatten", "x", axis=-1)], {}, ROWS),
    "gemm": (
        9,
        [node("Flatten", "x", "f"), node("Gemm", "f w c", alpha=0.5, beta=2.0)],
        floats(w=(12, 2), c=(2,)),
        ROWS,
    ),
    "gemm turned": (13, [node("Gemm", "w x", transA=1, transB=1)], floats(w=(4, 2)), (3, 4)),
    "matrices in stacks": (13, [node("MatMul", "x w")], floats(w=(5, 1, 4, 2)), ROWS),
    "a vector and a matrix": (13, [node("MatMul", "v x")], floats(v=(3,)), ROWS),
    "local response": (13, [node("LRN", "x", size=3, alpha=0.3, beta=0.6, bias=1.2)], {}, IMAGE),
    "instance norm": (9, [node("InstanceNormalization", "x s m")], floats(s=(4,), m=(4,)), IMAGE),
    "pooled with a ceiling": (
        11,
        [node("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 1, 1], ceil_mode=1)],
        {},
        IMAGE,
    ),
    "pooled, padding counted": (
        11,
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
        {},
        IMAGE,
    ),
    "pooled, lower": (11, [node("MaxPool", "x", kernel_shape=[2, 3], auto_pad="SAME_LOWER")], {}, IMAGE),
    "pooled, dilated": (11, [node("MaxPool", "x", kernel_shape=[2, 3], dilations=[2, 2])], {}, IMAGE),
    "pooled, a long window": (11, [node("MaxPool", "x", kernel_shape=[20], strides=[3])], {}, (1, 2, 40)),
    "a norm of windows": (11, [node("LpPool", "x", kernel_shape=[2, 2], p=3)], {}, IMAGE),
    "transposed convolution": (
        11,
        [node("ConvTranspose", "x w b", strides=[2, 3], output_padding=[1, 2], pads=[1, 0, 0, 2], group=2)],
        floats(w=(4, 3, 3, 2), b=(6,)),
        IMAGE,
    ),
    "transposed convolution of a shape": (
        11,
        [node("ConvTranspose", "x w", strides=[2, 2], output_shape=[10, 12], auto_pad="SAME_UPPER")],
        floats(w=(4, 2, 3, 3)),
        IMAGE,
    ),
    "convolution in one dimension": (
        11,
        [node("Conv", "x w", strides=[2], auto_pad="SAME_LOWER")],
        floats(w=(3, 2, 4)),
        (1, 2, 9),
    ),
    "convolution in three": (
        11,
        [node("Conv", "x w", pads=[1] * 6)],
        floats(w=(2, 2, 3, 3, 3)),
        (1, 2, 3, 4, 3),
    ),
    "rnn": (
        14,
        [node("RNN", "x w3 r3 b3 - h", "all y", hidden_size=3, direction="reverse", activations=["Relu"])],
        floats(w3=(1, 3, 4), r3=(1, 3, 3), b3=(1, 6), h=(1, 3, 3)),
        ROWS,
    ),
    "gru, reset after": (
        14,
        [node("GRU", "x w9 r9 b9 - h", hidden_size=3, linear_before_reset=1)],
        floats(w9=(1, 9, 4), r9=(1, 9, 3), b9=(1, 18), h=(1, 3, 3)),
        ROWS,
    ),
    "gru, reset before": (
        14,
        [node("GRU", "x w9 r9 b9", hidden_size=3, direction="reverse")],
        floats(w9=(1, 9, 4), r9=(1, 9, 3), b9=(1, 18)),
        ROWS,
    ),
    "lstm with states and peepholes": (14, [node("LSTM", "x w r b - h c p", hidden_size=3)], LSTM, ROWS),
    "lstm, clipped": (14, [node("LSTM", "x w r b", hidden_size=3, clip=0.2)], LSTM, ROWS),
    "depth to space": (11, [node("DepthToSpace", "x", blocksize=2, mode="CRD")], {}, IMAGE),
    "integers divided": (
        13,
        [
            node("Shape", "x", "s"),
            node("Sub", "s five", "d"),
            node("Div", "d two", "q"),
            node("Cast", "q", "f", to=1),
            node("ReduceSum", "f", "t", keepdims=0),
            node("Mul", "x t"),
        ],
        {"five": np.array(7), "two": np.array(2)},
        ROWS,
    ),
    "powers": (13, [node("Pow", "x two")], {"two": np.float32(2)}, ROWS),
    "gathered from the end": (13, [node("Gather", "x i", axis=-1)], {"i": np.array([[-1, 0]])}, ROWS),
    "cumulated": (14, [node("CumSum", "x a", reverse=1, exclusive=1)], {"a": np.array(1)}, ROWS),
    "einsum": (12, [node("Einsum", "x w", equation="b i j, k j -> b k")], floats(w=(5, 4)), ROWS),
    "celu and friends": (
        13,
        [
            node("Celu", "x", "a", alpha=0.7),
            node("Selu", "a", "b"),
            node("HardSigmoid", "b", "c"),
            node("Mean", "a c"),
        ],
        {},
        ROWS,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_meaning_is_that_of_onnxruntime(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: not compared with it")
    opset, nodes, weights, shape = CASES[name]
    made = model(nodes, weights, shape, opset=opset)
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    x = rng(3).standard_normal(shape).astype(np.float32)
    expected = session.run(["y"], {"x": x})[0]
    forward = load(made, batch_axis=False)
    with double_precision():
        y = np.asarray(forward(jnp.asarray(x, jnp.float64)))
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("MaxPool", "x", "y i", kernel_shape=[2, 2])], "places of the maxima"),
        ([node("Resize", "x - s", antialias=1)], "antialias"),
        (
            [node("Resize", "x - s", mode="linear", coordinate_transformation_mode="align_corners")],
            "two ways",
        ),
        ([node("LRN", "x", size=1000)], "size 1000"),
        ([node("BatchNormalization", "x o o o o", training_mode=1)], "training mode"),
        ([node("Gather", "x i", axis=4)], "axis 4"),
        ([node("Reshape", "x shape")], "no shape"),
        ([node("Add", "x three")], "do not fit"),
        ([node("Conv", "x three")], "the kernel"),
        ([node("Conv", "x k", auto_pad="SOMEHOW")], "SOMEHOW"),
        ([node("ReduceSum", "x", "t", keepdims=0), node("Expand", "x t")], "known in advance"),
        ([node("Gelu", "x", approximate="erf")], "erf"),
        ([node("Cast", "x", to=17)], "FLOAT8E4M3FN"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(nodes: list[Any], message: str) -> None:
    weights = {
        "s": np.float32([1, 1, 0.7, 0.7]),
        "o": ONES,
        "i": np.array([0]),
        "shape": np.array([7, 7]),
        "three": np.ones(3, np.float32),
        "k": np.ones((2, 4, 2, 2), np.float32),
    }
    made = model(nodes, weights, IMAGE, opset=20)
    with pytest.raises(InputError, match=message) as caught:
        load(made, batch_axis=False)
    assert "the_" in str(caught.value)


def test_sequences_that_end_early_are_refused() -> None:
    lengths = {"lengths": np.array([3, 2, 1], np.int32)}
    with pytest.raises(InputError, match="sequences end before"):
        load(model([node("LSTM", "x w r b lengths", hidden_size=3)], LSTM | lengths, ROWS), batch_axis=False)


def test_an_attribute_that_is_not_honoured_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    less = dataclasses.replace(OPERATORS["LeakyRelu"], attributes=frozenset())
    monkeypatch.setitem(OPERATORS, "LeakyRelu", less)
    assert load(model([node("LeakyRelu", "x", alpha=0.01)], {}, ROWS)).input_shape == ROWS  # its default
    with pytest.raises(InputError, match=r"attribute 'alpha'.*not honoured"):
        load(model([node("LeakyRelu", "x", alpha=0.1)], {}, ROWS))


def test_a_version_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    older = dataclasses.replace(OPERATORS["Relu"], versions=frozenset({6, 13}))
    monkeypatch.setitem(OPERATORS, "Relu", older)
    assert load(model([node("Relu", "x")], {}, ROWS, opset=13)).input_shape == ROWS
    with pytest.raises(InputError, match=r"meaning of opset 14\. known are those of 6, 13"):
        load(model([node("Relu", "x")], {}, ROWS, opset=14))
