"""The cases that the onnx package ships, put through our interpreter, eagerly and in double precision.

`python -m tests.forward.onnx_cases` writes the table of counts anew.
"""

import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.forward.loaders.onnx.graph import build
from probinv.forward.loaders.onnx.run import run

# What is no inference on floats: cases with these operators count neither way.
OUTSIDE = {
    *("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger"),
    *("QLinearConv", "QLinearMatMul", "QuantizeLinear"),
    *("If", "Loop", "Scan", "SequenceMap", "Optional", "OptionalGetElement", "OptionalHasElement"),
    *(
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
    ),
    *("SplitToSequence", "ConcatFromSequence", "ReverseSequenceToSequence"),
    *(
        "ImageDecoder",
        "NonMaxSuppression",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "RegexFullMatch",
    ),
    *("TfIdfVectorizer", "Unique", "BitCast"),
}
# Their expected numbers are given to four digits.
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-3}


class Outcome(NamedTuple):
    """What became of a case: passed, refused or wrong; and why."""

    verdict: str
    why: str = ""


def node_cases() -> list[Any]:
    """Every node case: a model of one node (or of the nodes that define it), inputs and outputs."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return sorted(load_model_tests(kind="node"), key=lambda case: case.name)


def file_cases() -> list[Path]:
    """Every folder of a model and its data."""
    import onnx.backend.test

    data = Path(onnx.backend.test.__file__).parent / "data"
    return sorted(path.parent for path in data.glob("*/*/model.onnx"))


def kinds(model: Any) -> set[str]:
    """The operators of a model, those of inner graphs and functions included."""
    found: set[str] = set()

    def look(nodes: Any) -> None:
        for node in nodes:
            found.add(node.op_type if not node.domain else f"{node.domain}.{node.op_type}")
            for attribute in node.attribute:
                look(attribute.g.node)

    look(model.graph.node)
    for function in model.functions:
        look(function.node)
    return found


def is_inference(model: Any, why: str) -> bool:
    """Whether a case is one of inference on floats."""
    found = kinds(model)
    other = any("." in kind for kind in found)
    return not (
        found & OUTSIDE or other or why in (TYPE, SEQUENCE) or "training mode" in why or "the type" in why
    )


TYPE, SEQUENCE = "a type that NumPy lacks", "sequences and optionals"


def node_outcome(case: Any) -> Outcome:
    """The worst of its data sets."""
    found = [
        outcome(case.model, list(inputs), list(outputs), ROUNDED.get(case.name))
        for inputs, outputs in case.data_sets
    ]
    return next((one for one in found if one.verdict != "passed"), Outcome("passed"))


def file_outcome(folder: Path) -> tuple[Any, Outcome]:
    """The model, and the worst of its data sets."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    found = [outcome(model, inputs, outputs) for inputs, outputs in data_sets(folder)]
    return model, next((one for one in found if one.verdict != "passed"), Outcome("passed"))


def outcome(model: Any, inputs: list[Any], expected: list[Any], rtol: float | None = None) -> Outcome:
    """Floats are given as x is given; where they must be known in advance, they are."""
    inputs, expected = ([_plain(value) for value in side] for side in (inputs, expected))
    names = [one.name for one in model.graph.input]
    given = {name: value for name, value in zip(names, inputs, strict=False) if value is not None}
    if not all(isinstance(value, np.ndarray | np.generic) for value in [*given.values(), *expected]):
        return Outcome("refused", SEQUENCE)
    arrays = {name: widened(value) for name, value in given.items()}
    if any(value is None for value in arrays.values()):
        return Outcome("refused", TYPE)
    first = _attempt(model, arrays, expected, rtol, traced=True)
    if first.verdict == "refused" and "known in advance" in first.why:
        return _attempt(model, arrays, expected, rtol, traced=False)
    return first


def _plain(value: Any) -> Any:
    """A tensor of a type that NumPy lacks comes as a message."""
    if type(value).__name__ != "TensorProto":
        return value
    from onnx import numpy_helper

    return numpy_helper.to_array(value)


def widened(value: Any) -> np.ndarray | None:
    """An array of a type that NumPy has, bfloat16 as float32; None for other types."""
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    return array if array.dtype.kind in "fiub" and array.dtype.isbuiltin == 1 else None


def _attempt(
    model: Any, arrays: dict[str, np.ndarray], expected: list[Any], rtol: float | None, *, traced: bool
) -> Outcome:
    outputs = tuple(one.name for one in model.graph.output)
    try:
        parts = build(model, tuple(arrays), outputs, None, {})
        with double_precision():
            values = {
                name: jnp.asarray(value, float) if traced and value.dtype.kind == "f" else value
                for name, value in {**arrays, **parts.weights}.items()
            }
            found = [np.asarray(value) for value in run(parts.graph, values)]
    except InputError as error:
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome("wrong", f"{type(error).__name__}: {error}")
    for name, one, wanted in zip(outputs, found, expected, strict=True):
        why = difference(one, wanted, rtol)
        if why:
            return Outcome("wrong", f"{name}: {why}")
    return Outcome("passed")


def difference(found: np.ndarray, expected: Any, rtol: float | None = None) -> str:
    """What is not as it should be; nothing if all is."""
    wanted = widened(expected)
    if wanted is None:
        return f"a type {np.asarray(expected).dtype} that should have been refused"
    if found.shape != wanted.shape:
        return f"shape {found.shape}, expected {wanted.shape}"
    if wanted.dtype.kind != "f":
        same = found.dtype.kind == wanted.dtype.kind and np.array_equal(found, wanted)
        return (
            "" if same else f"{found.dtype} {found.ravel()[:5]}, expected {wanted.dtype} {wanted.ravel()[:5]}"
        )
    if found.dtype.kind != "f":
        return f"dtype {found.dtype}"
    half = np.asarray(expected).dtype.itemsize < 4
    tolerance = {"rtol": rtol or (8e-3 if half else 3e-5), "atol": 1e-3 if half else 3e-6}
    if np.allclose(found.astype(np.float64), wanted.astype(np.float64), equal_nan=True, **tolerance):
        return ""
    return f"{found.ravel()[:4]}, expected {wanted.ravel()[:4]}"


def data_sets(folder: Path) -> Iterator[tuple[list[Any], list[Any]]]:
    """Inputs and outputs of a file case."""
    import onnx
    from onnx import numpy_helper

    for inner in sorted(folder.glob("test_data_set_*")):
        sides = []
        for side in ("input", "output"):
            tensors = []
            for number in range(len(list(inner.glob(f"{side}_*.pb")))):
                content = (inner / f"{side}_{number}.pb").read_bytes()
                tensors.append(numpy_helper.to_array(onnx.TensorProto.FromString(content)))
            sides.append(tensors)
        yield sides[0], sides[1]


def counted(found: dict[str, tuple[Any, Outcome]], name: str) -> dict[str, dict[str, int]]:
    """How many cases passed, were refused and were wrong; and how many of those of inference on floats."""
    counts = Counter(one.verdict for _, one in found.values())
    inference = Counter(one.verdict for model, one in found.values() if is_inference(model, one.why))
    return {
        name: {verdict: counts[verdict] for verdict in ("passed", "refused", "wrong")},
        f"{name}_inference": {verdict: inference[verdict] for verdict in ("passed", "refused")},
    }


def main() -> None:
    import onnx

    node = {case.name: (case.model, node_outcome(case)) for case in node_cases()}
    file = {folder.name: file_outcome(folder) for folder in file_cases()}
    refused = sorted(name for name, (_, one) in {**node, **file}.items() if one.verdict == "refused")
    table = {"onnx": onnx.__version__, **counted(node, "node"), **counted(file, "file"), "refused": refused}
    sys.stdout.write(json.dumps(table, indent=1) + "\n")
    for name, (_, one) in {**node, **file}.items():
        if one.verdict == "wrong":
            sys.stderr.write(f"{name}: {one.why}\n")


if __name__ == "__main__":
    main()
