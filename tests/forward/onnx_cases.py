"""The cases that the onnx package ships, put through our interpreter, eagerly and in double precision."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.forward.loaders.onnx.graph import build
from probinv.forward.loaders.onnx.run import run


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


def outcome(model: Any, inputs: list[Any], expected: list[Any]) -> Outcome:
    """Floats are given as x is given; where they must be known in advance, they are."""
    inputs, expected = ([_plain(value) for value in side] for side in (inputs, expected))
    names = [one.name for one in model.graph.input]
    given = {name: value for name, value in zip(names, inputs, strict=False) if value is not None}
    if not all(isinstance(value, np.ndarray | np.generic) for value in [*given.values(), *expected]):
        return Outcome("refused", "sequences and optionals")
    arrays = {name: widened(value) for name, value in given.items()}
    if any(value is None for value in arrays.values()):
        return Outcome("refused", "a type")
    first = _attempt(model, arrays, expected, traced=True)
    if first.verdict == "refused" and "known in advance" in first.why:
        return _attempt(model, arrays, expected, traced=False)
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


def _attempt(model: Any, arrays: dict[str, np.ndarray], expected: list[Any], *, traced: bool) -> Outcome:
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
        why = difference(one, wanted)
        if why:
            return Outcome("wrong", f"{name}: {why}")
    return Outcome("passed")


def difference(found: np.ndarray, expected: Any) -> str:
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
    tolerance = {"rtol": 8e-3 if half else 3e-5, "atol": 1e-3 if half else 3e-6}
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
