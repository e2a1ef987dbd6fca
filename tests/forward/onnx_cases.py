"""The cases that the onnx package ships, put through our interpreter, compiled and in double precision.

`python -m tests.forward.onnx_cases` writes the table of counts anew.
"""

import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
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
TOGETHER = 40
"""Cases in one program: most of a small program's time goes into compiling it at all."""


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


def node_outcomes(cases: list[Any]) -> dict[str, Outcome]:
    """Of each case the worst of its data sets."""
    return outcomes(
        {
            case.name: [
                Asked(case.model, list(inputs), list(outputs), ROUNDED.get(case.name))
                for inputs, outputs in case.data_sets
            ]
            for case in cases
        }
    )


def file_outcomes(folders: list[Path]) -> dict[str, tuple[Any, Outcome]]:
    """Of each folder the model, and the worst of its data sets."""
    import onnx

    models = {folder.name: onnx.load(folder / "model.onnx") for folder in folders}
    found = outcomes(
        {
            folder.name: [Asked(models[folder.name], *sides, None) for sides in data_sets(folder)]
            for folder in folders
        }
    )
    return {name: (models[name], one) for name, one in found.items()}


class Asked(NamedTuple):
    """A model, inputs, and what it should give."""

    model: Any
    inputs: list[Any]
    expected: list[Any]
    rtol: float | None


def outcomes(cases: dict[str, list[Asked]]) -> dict[str, Outcome]:
    """Of each case the worst of its data sets; those that have to be computed are compiled many at a time."""
    asked = [(name, one) for name, sets in cases.items() for one in sets]
    found = [given(one) for _, one in asked]
    at = [i for i, one in enumerate(found) if not isinstance(one, Outcome)]
    for start in range(0, len(at), TOGETHER):
        part = at[start : start + TOGETHER]
        for i, one in zip(part, together([(asked[i][1], found[i]) for i in part]), strict=True):
            found[i] = one
    worst = dict.fromkeys(cases, Outcome("passed"))
    for (name, _), one in zip(asked, found, strict=True):
        if worst[name].verdict == "passed":
            worst[name] = one
    return worst


def given(asked: Asked) -> dict[str, np.ndarray] | Outcome:
    """The inputs by name, or why there are none."""
    inputs, expected = ([_plain(value) for value in side] for side in (asked.inputs, asked.expected))
    names = [one.name for one in asked.model.graph.input]
    by_name = {name: value for name, value in zip(names, inputs, strict=False) if value is not None}
    if not all(isinstance(value, np.ndarray | np.generic) for value in [*by_name.values(), *expected]):
        return Outcome("refused", SEQUENCE)
    arrays = {name: widened(value) for name, value in by_name.items()}
    if any(value is None for value in arrays.values()):
        return Outcome("refused", TYPE)
    return arrays


def together(cases: list[tuple[Asked, dict[str, np.ndarray]]]) -> list[Outcome]:
    """One program of several cases; each alone if that cannot be compiled."""
    failed: dict[int, Outcome] = {}

    def compute(floats: list[dict[str, jax.Array]]) -> list[Any]:
        return [
            _attempt(i, *case, traced, failed)
            for i, (case, traced) in enumerate(zip(cases, floats, strict=True))
        ]

    floats = [
        {name: value.astype(float) for name, value in arrays.items() if value.dtype.kind == "f"}
        for _, arrays in cases
    ]
    try:
        with double_precision():
            found = jax.device_get(jax.jit(compute)(floats))
    except Exception as error:
        if len(cases) == 1:
            return [Outcome("wrong", f"{type(error).__name__}: {error}")]
        return [together([case])[0] for case in cases]
    return [
        failed[i] if i in failed else judged(asked, values)
        for i, ((asked, _), values) in enumerate(zip(cases, found, strict=True))
    ]


def _attempt(
    i: int, asked: Asked, arrays: dict[str, np.ndarray], floats: dict[str, Any], failed: dict[int, Outcome]
) -> list[Any]:
    """What a model gives: floats are given as x is given; where they must be known in advance, they are."""
    outputs = tuple(one.name for one in asked.model.graph.output)
    for known in (False, True):
        try:
            parts = build(asked.model, tuple(arrays), outputs, None, {})
            values = {**arrays, **parts.weights}
            if not known:
                weights = {k: jnp.asarray(v, float) for k, v in parts.weights.items() if v.dtype.kind == "f"}
                values |= {**floats, **weights}
            found = run(parts.graph, values)
        except InputError as error:
            failed[i] = Outcome("refused", str(error))
            if "known in advance" not in str(error):
                return []
        except Exception as error:
            failed[i] = Outcome("wrong", f"{type(error).__name__}: {error}")
            return []
        else:
            failed.pop(i, None)
            return found
    return []


def judged(asked: Asked, found: list[Any]) -> Outcome:
    """Whether what was computed is what should be."""
    names = [one.name for one in asked.model.graph.output]
    for name, one, wanted in zip(names, found, asked.expected, strict=True):
        why = difference(np.asarray(one), _plain(wanted), asked.rtol)
        if why:
            return Outcome("wrong", f"{name}: {why}")
    return Outcome("passed")


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

    cases = node_cases()
    node = {
        case.name: (case.model, one) for case, one in zip(cases, node_outcomes(cases).values(), strict=True)
    }
    file = file_outcomes(file_cases())
    refused = sorted(name for name, (_, one) in {**node, **file}.items() if one.verdict == "refused")
    table = {"onnx": onnx.__version__, **counted(node, "node"), **counted(file, "file"), "refused": refused}
    sys.stdout.write(json.dumps(table, indent=1) + "\n")
    for name, (_, one) in {**node, **file}.items():
        if one.verdict == "wrong":
            sys.stderr.write(f"{name}: {one.why}\n")


if __name__ == "__main__":
    main()
