"""Small ONNX networks, made with onnx.helper."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tensors(arrays: dict[str, Any]) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]


def floats(**shapes: Sequence[int]) -> dict[str, np.ndarray]:
    """Weights of these shapes, float32, scaled by their fan-in."""
    made = rng()
    return {
        name: (made.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))).astype(np.float32)
        for name, shape in shapes.items()
    }


def model(
    nodes: list[Any],
    weights: dict[str, Any],
    shape: Sequence[Any],
    *,
    opset: int = 21,
    out: Sequence[str] = ("y",),
    kind: int = TensorProto.FLOAT,
    more: dict[str, tuple[int, Sequence[Any]]] | None = None,
) -> Any:
    """A model from x of that shape to y."""
    given = [helper.make_tensor_value_info("x", kind, shape)]
    given += [helper.make_tensor_value_info(n, k, s) for n, (k, s) in (more or {}).items()]
    wanted = [helper.make_tensor_value_info(name, kind, None) for name in out]
    graph = helper.make_graph(nodes, "net", given, wanted, tensors(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    # onnx.checker wants a shape for each output
    for one, inferred in zip(
        made.graph.output, onnx.shape_inference.infer_shapes(made).graph.output, strict=True
    ):
        one.CopyFrom(inferred)
    return made


def node(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    """A node from and to tensors named in words; - stands for one that is left out."""
    names = [name.strip("-") for name in inputs.split()]
    return helper.make_node(
        kind, names, outputs.split(), name=f"the_{kind}_{outputs.split()[0]}", **attributes
    )


def mlp() -> Any:
    """5 inputs in a batch of unknown length, two tanh layers, softmax; one layer is a Gemm, one a MatMul."""
    nodes = [
        node("Sub", "x mean", "centred"),
        node("Mul", "centred scale", "scaled"),
        node("Gemm", "scaled w1 b1", "h1", transB=1),
        node("Tanh", "h1", "a1"),
        node("MatMul", "a1 w2", "h2"),
        node("Add", "h2 b2", "h2b"),
        node("LeakyRelu", "h2b", "a2", alpha=0.1),
        node("Gemm", "a2 w3", "h3"),
        node("Softmax", "h3"),
    ]
    weights = floats(mean=(5,), scale=(5,), w1=(8, 5), b1=(8,), w2=(8, 6), b2=(6,), w3=(6, 3))
    return model(nodes, weights, ("N", 5))


def cnn() -> Any:
    """Convolution, batch norm, pooling with padding, a dilated and a grouped convolution, global pooling."""
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", "c1 s m mu var", "n1"),
        node("Relu", "n1", "r1"),
        node("MaxPool", "r1", "p1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1),
        node("Conv", "p1 w2", "c2", group=2, dilations=[1, 2], pads=[1, 2, 1, 2]),
        node("Elu", "c2", "r2"),
        node("AveragePool", "r2", "p2", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1),
        node("GlobalAveragePool", "p2", "g"),
        node("Shape", "g", "shape"),
        node("Gather", "shape zero", "batch"),
        node("Concat", "batch rest", "flat", axis=0),
        node("Reshape", "g flat", "v"),
        node("Gemm", "v w3 b3", transB=1),
    ]
    weights: dict[str, Any] = floats(
        w1=(4, 2, 3, 3), b1=(4,), s=(4,), m=(4,), mu=(4,), w2=(4, 2, 3, 3), w3=(3, 4), b3=(3,)
    )
    weights |= {
        "var": rng(1).uniform(0.5, 2, 4).astype(np.float32),
        "zero": np.array([0]),
        "rest": np.array([-1]),
    }
    return model(nodes, weights, ("N", 2, 9, 8))


def lstm() -> Any:
    """A bidirectional LSTM over 6 steps of 3 numbers, batch in the second axis; its last states."""
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LSTM", "t w r b", "all last -", hidden_size=4, direction="bidirectional"),
        node("Transpose", "last", "l", perm=[1, 0, 2]),
        node("Flatten", "l", "y"),
    ]
    return model(nodes, floats(w=(2, 16, 3), r=(2, 16, 4), b=(2, 32)), (1, 6, 3))


def transformer() -> Any:
    """One block with layer norm before attention of two heads and before a GELU network."""
    nodes = [
        node("LayerNormalization", "x s1 m1", "n1"),
        node("MatMul", "n1 wqkv", "qkv"),
        node("Split", "qkv", "q k v", axis=-1, num_outputs=3),
        *[
            made
            for one in "qkv"
            for made in (
                node("Reshape", f"{one} heads", f"{one}r"),
                node("Transpose", f"{one}r", f"{one}h", perm=[0, 2, 1, 3] if one != "k" else [0, 2, 3, 1]),
            )
        ],
        node("MatMul", "qh kh", "scores"),
        node("Div", "scores root", "scaled"),
        node("Trilu", "ones one", "upper", upper=1),
        node("Where", "upper low scaled", "masked"),
        node("Softmax", "masked", "weights", axis=-1),
        node("MatMul", "weights vh", "mixed"),
        node("Transpose", "mixed", "joined", perm=[0, 2, 1, 3]),
        node("Reshape", "joined whole", "flat"),
        node("MatMul", "flat wo", "out"),
        node("Add", "x out", "x1"),
        node("LayerNormalization", "x1 s2 m2", "n2"),
        node("MatMul", "n2 w1", "h"),
        node("Gelu", "h", "g"),
        node("MatMul", "g w2", "h2"),
        node("Add", "x1 h2", "x2"),
        node("ReduceMean", "x2 axis", "y", keepdims=0),
    ]
    weights: dict[str, Any] = floats(
        s1=(6,), m1=(6,), s2=(6,), m2=(6,), wqkv=(6, 18), wo=(6, 6), w1=(6, 12), w2=(12, 6)
    )
    weights |= {
        "heads": np.array([0, 0, 2, 3]),
        "whole": np.array([0, 0, 6]),
        "root": np.float32(np.sqrt(3)),
        "ones": np.ones((4, 4), bool),
        "one": np.array(1),
        "low": np.float32(-np.inf),
        "axis": np.array([1]),
    }
    return model(nodes, weights, ("batch", 4, 6))


NETWORKS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer}


def save(made: Any, path: Any) -> Any:
    onnx.save(made, path)
    return path
