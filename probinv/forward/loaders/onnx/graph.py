"""From the messages of a file to a `Graph`: what is needed, in order, checked and understood."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from probinv._errors import InputError
from probinv.forward.loaders.onnx.functions import DEFAULT, LOWEST, RawNode, Writer
from probinv.forward.loaders.onnx.nodes import read_node
from probinv.forward.loaders.onnx.operators import Node
from probinv.forward.loaders.onnx.run import Graph
from probinv.forward.loaders.onnx.tensors import read_tensor


class Parts(NamedTuple):
    """A graph and its weights by name."""

    graph: Graph
    weights: dict[str, np.ndarray]


def build(
    model: Any,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    folder: Path | None,
    fixed: dict[str, np.ndarray],
) -> Parts:
    """The part of the model that leads from `inputs` to `outputs`.

    Args:
        model: the ModelProto.
        inputs: names of the tensors that will be given.
        outputs: names of the tensors that are wanted.
        folder: where external data may lie.
        fixed: values of other inputs.

    Raises:
        InputError: something in that part is not understood; it says what and where.
    """
    tensors = _initialisers(model.graph)
    raw = _ordered(_written(model), {*inputs, *fixed, *tensors, *(one.name for one in model.graph.input)})
    needed, names = _needed(raw, inputs, outputs)
    _check_sources(model, names - set(inputs) - set(tensors) - set(fixed))
    constants = {
        name: read_tensor(tensors[name], f"the tensor {name!r}", folder)
        for name in sorted(names & set(tensors) - set(fixed) - set(inputs))
    }
    constants |= {name: value for name, value in fixed.items() if name in names and name not in inputs}
    nodes: list[Node] = []
    for node in needed:
        read = read_node(node)
        if node.kind == "Constant":
            constants[node.outputs[0]] = read.attributes["value"]
        else:
            nodes.append(read)
    return _split(tuple(nodes), constants, inputs, outputs)


def opsets(model: Any) -> dict[str, int]:
    """The version of each domain of operators.

    Raises:
        InputError: the default domain has none, or one that is not understood.
    """
    import onnx

    found: dict[str, int] = {}
    for one in model.opset_import:
        domain = "" if one.domain in DEFAULT else one.domain
        if domain in found and found[domain] != one.version:
            raise InputError(f"the domain {domain!r} has two versions", "", "export the network anew")
        found[domain] = int(one.version)
    newest = onnx.defs.onnx_opset_version()
    version = found.get("", 0)
    if not LOWEST <= version <= newest:
        raise InputError(
            f"the network is written in opset {version}" if version else "the network names no opset",
            f"versions {LOWEST} to {newest} are read with this version of the onnx package",
            "export it in one of these, or install a newer onnx",
        )
    return found


def _written(model: Any) -> list[RawNode]:
    """All nodes, functions written out."""
    graph = model.graph
    functions: dict[tuple[str, str, str], Any] = {}
    for body in model.functions:
        domain = "" if body.domain in DEFAULT else body.domain
        key = (domain, body.name, getattr(body, "overload", ""))
        if key in functions:
            raise InputError(f"the function {body.name!r} is defined twice", "", "check the file")
        functions[key] = body
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {one.name for one in (*graph.input, *graph.initializer)}
    writer = Writer(functions, taken)
    writer.write(graph.node, opsets(model), {}, None, 0)
    return writer.written


def _initialisers(graph: Any) -> dict[str, Any]:
    if graph.sparse_initializer:
        raise InputError("the network has sparse weights", "they are not read here", "export dense weights")
    found: dict[str, Any] = {}
    for tensor in graph.initializer:
        if tensor.name in found or not tensor.name:
            raise InputError(
                f"the tensor {tensor.name!r} is there twice or has no name",
                "the file breaks the format",
                "check how it was made",
            )
        found[tensor.name] = tensor
    return found


def _ordered(nodes: list[RawNode], known: set[str]) -> list[RawNode]:
    """The same nodes, if each uses only what comes before it, and no tensor is computed twice."""
    made: set[str] = set()
    for node in nodes:
        missing = [name for name in node.inputs if name and name not in known and name not in made]
        if missing:
            raise InputError(
                f"{node.kind} {node.name!r} uses {missing[0]!r} before it is computed",
                "the graph has a circle, or is not in order",
                "check how the file was made",
            )
        twice = [name for name in node.outputs if name and name in made]
        if twice or len(set(filter(None, node.outputs))) < len([name for name in node.outputs if name]):
            raise InputError(
                f"the tensor {(twice or node.outputs)[0]!r} is computed twice",
                "the file breaks the format",
                "check how it was made",
            )
        made.update(node.outputs)
    return nodes


def _needed(
    nodes: list[RawNode], inputs: Iterable[str], outputs: tuple[str, ...]
) -> tuple[list[RawNode], set[str]]:
    """The nodes between the inputs and the outputs, and the names of all tensors that they use."""
    wanted, given, kept = set(outputs), set(inputs), []
    made = {name for node in nodes for name in node.outputs}
    for name in outputs:
        if name not in made:
            raise InputError(
                f"no node computes {name!r}", "it is no output of a node", "choose another with outputs="
            )
    for node in reversed(nodes):
        if any(name in wanted and name not in given for name in node.outputs if name):
            kept.append(node)
            wanted.update(name for name in node.inputs if name)
    return kept[::-1], wanted


def _check_sources(model: Any, missing: set[str]) -> None:
    open_inputs = [one.name for one in model.graph.input if one.name in missing]
    if open_inputs:
        raise InputError(
            f"the network also needs {', '.join(map(repr, open_inputs))}",
            "one tensor can be x",
            "choose it with inputs= and give the values of the others: fixed={name: array}",
        )


def _split(
    nodes: tuple[Node, ...],
    constants: dict[str, np.ndarray],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> Parts:
    """Constants that shapes are made from stay in the graph; other arrays of floats are weights."""
    known: set[str] = set()
    for node in reversed(nodes):
        known.update(node.inputs[i] for i in node.operator.static if i < len(node.inputs))
        if known & set(node.outputs) and node.operator.kind not in ("Shape", "Size"):
            known.update(node.inputs)
    weights = {
        name: value
        for name, value in constants.items()
        if value.dtype.kind == "f" and value.ndim and name not in known
    }
    for name, value in weights.items():
        if np.isnan(value).any():
            raise InputError(
                f"the weight {name!r} holds NaN",
                f"{int(np.isnan(value).sum())} of its {value.size} entries are NaN",
                "train the network again or load an earlier state of it",
            )
    rest = {name: value for name, value in constants.items() if name not in weights}
    weights = {
        name: np.asarray(v, np.float64 if v.dtype == np.float64 else np.float32)
        for name, v in weights.items()
    }
    return Parts(
        Graph(nodes, rest, (*inputs, *weights), outputs, _digest(nodes, rest, inputs, outputs)), weights
    )


def _digest(nodes: Iterable[Node], constants: dict[str, np.ndarray], *names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr(names).encode())
    for node in nodes:
        told = {key: _told(value) for key, value in sorted(node.attributes.items())}
        digest.update(
            repr((node.operator.kind, node.version, node.inputs, node.outputs, node.name, told)).encode()
        )
    for name, value in sorted(constants.items()):
        digest.update(repr((name, value.dtype.str, value.shape)).encode() + value.tobytes())
    return digest.hexdigest()


def _told(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return value
