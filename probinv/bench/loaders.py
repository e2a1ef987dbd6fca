"""Networks from ONNX files: as fast as ONNX Runtime, and right to the last digits in value and derivative."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from probinv import forward
from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.bench.data import FOLDER, data_folder
from probinv.bench.result import Result
from probinv.bench.torch_chain import torch_chain

COUNT, POINTS, TRIED, DIRECTIONS, REPEATS = 1000, 3, 50, 8, 5
"""Evaluations for the speed; points and directions of derivatives; repeats, of which the fastest counts."""
STEP = 1e-5
"""Of central differences, in float64."""
COLUMNS = (
    "network",
    "in, out",
    "compile s",
    "f and grad s",
    "f s",
    "ORT f s",
    "torch s",
    "ratio",
    "f / ORT",
    "/ torch",
    "y off",
    "(64)",
    "J off",
    "its own",
    "against",
)

type Function = Callable[[np.ndarray], np.ndarray]


class Other(NamedTuple):
    """Another interpreter of a file: y of a batch x, in its precision."""

    name: str
    run: Function


def network_files(folder: str | Path | None = None) -> list[Path]:
    """The ONNX files in `folder`, or in nets/ and one of acasxu/ of PROBINV_DATA's folder.

    Raises:
        InputError: there is none.
    """
    place = data_folder("nets", "networks", "nets/, with ONNX files", folder)
    beside = place.parent / "acasxu" / "ACASXU_run2a_1_1_batch_2000.onnx"
    found = sorted(place.glob("*.onnx")) + [beside] * (folder is None and beside.is_file())
    if not found:
        raise InputError(
            "the networks are not there", f"{place} holds no ONNX file", f"set {FOLDER} to its parent"
        )
    return found


def in_double(model: Any) -> Any:
    """The same ONNX model with every float32 number and type replaced by float64."""
    import onnx
    from onnx import TensorProto, numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(model)

    def widened(tensor: Any) -> None:
        if tensor.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    for tensor in made.graph.initializer:
        widened(tensor)
    for node in made.graph.node:
        for entry in node.attribute:
            if entry.type == onnx.AttributeProto.TENSOR:
                widened(entry.t)
            if node.op_type == "Cast" and entry.name == "to" and entry.i == TensorProto.FLOAT:
                entry.i = TensorProto.DOUBLE
    for value in (*made.graph.input, *made.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    del made.graph.value_info[:]
    return made


def with_batches(model: Any) -> Any:
    """The same model with the first axis of its inputs and outputs left open."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    weights = {tensor.name for tensor in made.graph.initializer}
    for value in (*made.graph.input, *made.graph.output):
        if value.name not in weights and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del made.graph.value_info[:]
    return made


def runtime(model: Any, inputs: str, kind: type) -> Function:
    """y of a batch by ONNX Runtime, with its own number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda x: session.run(None, {inputs: x.astype(kind)})[0]


def other_in_double(model: Any, inputs: str, example: np.ndarray) -> Other:
    """ONNX Runtime on the model in float64, or where it has no such kernel onnx's own reference."""
    from onnx.reference import ReferenceEvaluator

    wide = in_double(model)
    try:
        run = runtime(wide, inputs, np.float64)
        run(example)
        return Other("onnxruntime", run)
    except Exception:  # its errors have no common base of their own
        reference: Any = ReferenceEvaluator(wide)
        return Other("reference", lambda x: reference.run(None, {inputs: x})[0])


def inputs_of(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Noise in [0, 1], each input of its own brightness: in loud noise all units of some networks are off."""
    rng = np.random.default_rng(0)
    bright = rng.uniform(0.0, 1.0, (count, *(1 for _ in shape)))
    return bright * rng.uniform(0.0, 1.0, (count, *shape))


def fastest(function: Callable[[], Any]) -> float:
    """Seconds of the fastest of several calls."""
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(function())
        found.append(time.perf_counter() - began)
    return min(found)


def speed(
    network: Any, model: Any, x: np.ndarray, count: int
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Seconds of `count` evaluations in float32, and the outputs of both."""
    shape = forward.output_struct(network, x.shape[1:]).shape
    weight = jnp.asarray(np.random.default_rng(1).standard_normal(shape), jnp.float32)
    batch = jnp.asarray(x, jnp.float32)
    both = jax.jit(jax.vmap(jax.value_and_grad(lambda x: jnp.sum(weight * network(x)))))
    alone = jax.jit(jax.vmap(network))
    began = time.perf_counter()
    made, plain = both.lower(batch).compile(), alone.lower(batch).compile()
    compiled = time.perf_counter() - began
    given = x.reshape(count, *x.shape[1:]).astype(np.float32)
    run, how = _batched(model, network, given)
    torch = torch_chain(network, given, np.asarray(weight))
    figures = {
        "compile": compiled,
        "gradient": fastest(lambda: made(batch)),
        "forward": fastest(lambda: plain(batch)),
        "onnxruntime": fastest(lambda: run(given)),
        "torch": None if torch is None else fastest(torch),
        "how": how,
    }
    return figures, np.asarray(plain(batch)).reshape(count, -1), run(given).reshape(count, -1)


def _batched(model: Any, network: Any, x: np.ndarray) -> tuple[Function, str]:
    """ONNX Runtime on a batch; one by one where the file knows no batches."""
    inputs = network.input_name
    one = runtime(model, inputs, np.float32)

    def singly(x: np.ndarray) -> np.ndarray:
        return np.concatenate([one(row[None] if network.batch_axis else row) for row in x])

    try:
        run = runtime(with_batches(model), inputs, np.float32)
        same = np.allclose(run(x[:3]).reshape(3, -1), singly(x[:3]).reshape(3, -1), rtol=1e-4, atol=1e-5)
    except Exception:  # a shape that is written into the graph
        same = False
    return (run, "batch") if same else (singly, "one by one")


def derivatives(network: Any, other: Other, points: np.ndarray, seed: int = 2) -> tuple[float, float, float]:
    """How far y and J v are off in float64, and how far two steps of the differences are from each other.

    J by reverse mode, at the first points where it is not zero; J v against (g(x + h v) - g(x - h v)) / 2h,
    |v| = 1, h = 1e-5 and half of it. Each as the largest difference over the largest entry; NaN where
    all derivatives are zero.
    """
    rng = np.random.default_rng(seed)
    gaps: list[tuple[float, float, float]] = []
    with double_precision():
        jacobian = jax.jit(jax.jacrev(lambda x: network(x).ravel()))
        value = jax.jit(lambda x: network(x).ravel())
        for x in points[:TRIED]:
            if len(gaps) == POINTS * DIRECTIONS:
                break
            made = np.asarray(jacobian(jnp.asarray(x))).reshape(-1, x.size)
            if not np.abs(made).max() > 0:
                continue

            def g(x: np.ndarray) -> np.ndarray:
                return np.asarray(other.run(x[None] if network.batch_axis else x), np.float64).ravel()

            y, ours = g(x), np.asarray(value(jnp.asarray(x)))
            outputs = float(np.abs(ours - y).max() / np.abs(y).max())
            for _ in range(DIRECTIONS):
                v = rng.standard_normal(x.shape)
                v /= np.linalg.norm(v)
                coarse, fine = ((g(x + h * v) - g(x - h * v)) / (2 * h) for h in (STEP, STEP / 2))
                size = np.abs(fine).max()
                off, own = np.abs(made @ v.ravel() - fine).max(), np.abs(coarse - fine).max()
                gaps.append((outputs, off / size, own / size))
    wide, off, own = np.max(gaps, axis=0) if gaps else (np.nan, np.nan, np.nan)
    return float(wide), float(off), float(own)


def look(path: Path, count: int) -> dict[str, Any]:
    """Figures of one file."""
    import onnx

    network, model = forward.load(path), onnx.load(os.fspath(path))
    assert isinstance(network, forward.OnnxForward)
    shape = network.input_shape
    assert shape is not None
    x = inputs_of(shape, count)
    figures, ours, theirs = speed(network, model, x, count)
    gap = np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)
    example = x[0][None] if network.batch_axis else x[0]
    other = other_in_double(model, network.input_name, example)
    wide, off, own = derivatives(network, other, x)
    sizes = {"inputs": int(x[0].size), "outputs": int(ours.shape[1])}
    offs = {"y_off": float(gap.max()), "y_off_64": wide, "jacobian_off": off, "jacobian_own": own}
    return {"network": path.stem, **sizes, **figures, **offs, "against": other.name}


def bench_loaders(folder: str | Path | None = None, count: int = COUNT) -> Result:
    """Seconds, values and derivatives of networks from ONNX against ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            "onnxruntime is not installed", "its values and seconds are compared", "pip install onnxruntime"
        ) from None
    figures = [look(path, count) for path in network_files(folder)]
    return Result(
        {"networks": figures, "count": count, "onnxruntime": onnxruntime.__version__},
        COLUMNS,
        [_row(one) for one in figures],
        [
            f"Seconds of {count} inputs of noise in [0, 1] in one batch, float32, the fastest of {REPEATS} "
            "calls; compiling apart.",
            "f and grad, and its ratio to ORT: outputs weighted at random, and the gradient of their sum "
            "with respect to x.",
            f"ORT: ONNX Runtime, with its own number of threads, f alone; {_said_how(figures)}",
            "y off: float32 against float32, the largest difference of an input over its largest output; "
            "(64): both in float64.",
            "J off: reverse mode in float64 against central differences of the other interpreter, in "
            f"float64, along {DIRECTIONS} directions at {POINTS} points.",
            f"its own: how far differences of step {STEP:g} and of half of it are apart, their error.",
            "torch: PyTorch's forward and backward of the same chain of dense layers, with its own number of "
            "threads; - where it is not installed, or the network no such chain.",
        ],
    )


def _said_how(figures: list[dict[str, Any]]) -> str:
    singly = [one["network"] for one in figures if one["how"] != "batch"]
    return f"one by one, as the file knows no batch: {', '.join(singly)}." if singly else "all in one batch."


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    torch = one["torch"] or "-"
    beside = one["gradient"] / one["torch"] if one["torch"] else "-"
    ratios = (one["gradient"] / one["onnxruntime"], one["forward"] / one["onnxruntime"], beside)
    seconds = (one["compile"], one["gradient"], one["forward"], one["onnxruntime"], torch)
    offs = (one["y_off"], one["y_off_64"], one["jacobian_off"], one["jacobian_own"])
    return (one["network"], f"{one['inputs']}, {one['outputs']}", *seconds, *ratios, *offs, one["against"])
