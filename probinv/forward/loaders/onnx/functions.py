"""Functions of a file, and operators that the standard defines by others, written out into plain nodes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, final

from probinv._errors import InputError
from probinv.forward.loaders.onnx.operators import OPERATORS

DEPTH = 16
"""How deep functions may call functions."""
NODES = 20_000
"""Most nodes of a graph."""

LOWEST, DEFAULT = 6, ("", "ai.onnx")


@final
@dataclass
class RawNode:
    """A node before its operator is looked up: names of tensors are those of the whole graph."""

    kind: str
    domain: str
    opset: int
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


@final
@dataclass
class Writer:
    """Writes out the nodes of a graph, function bodies in place of their calls."""

    functions: dict[tuple[str, str, str], Any]
    taken: set[str]
    written: list[RawNode] = field(default_factory=list)
    number: int = 0

    def write(
        self, nodes: Any, opsets: dict[str, int], names: dict[str, str], bound: Any, depth: int
    ) -> None:
        """Appends nodes, with tensors renamed by `names` and attributes by reference taken from `bound`."""
        for node in nodes:
            self.number += 1
            if self.number > NODES:
                raise InputError("the graph is too long", f"it has more than {NODES} nodes", "")
            domain = "" if node.domain in DEFAULT else node.domain
            raw = RawNode(
                node.op_type,
                domain,
                opsets.get(domain, 0),
                node.name,
                [names.get(name, name) for name in node.input],
                [names.get(name, name) for name in node.output],
                dict(_attributes(node, bound)),
            )
            body = self.functions.get((domain, node.op_type, getattr(node, "overload", "")))
            if body is None and domain == "" and node.op_type not in OPERATORS:
                body = _standard_body(raw)
            if body is None:
                self.written.append(raw)
            else:
                self.call(body, raw, depth)

    def call(self, body: Any, node: RawNode, depth: int) -> None:
        """Writes the body of a function in place of a node that calls it."""
        if depth >= DEPTH:
            raise InputError(
                f"function {node.kind!r} calls functions more than {DEPTH} deep", "it may call itself", ""
            )
        if len(node.inputs) > len(body.input) or len(node.outputs) > len(body.output):
            raise InputError(f"function {node.kind!r} is called with too many tensors", "", "check the file")
        bound = {attribute.name: attribute for attribute in body.attribute_proto} | node.attributes
        unknown = set(node.attributes) - set(body.attribute) - {a.name for a in body.attribute_proto}
        if unknown:
            raise InputError(
                f"function {node.kind!r} has no attribute {min(unknown)!r}",
                "the file breaks the format",
                "check how it was made",
            )
        names = dict.fromkeys(body.input, "")
        names |= dict(zip(body.input, node.inputs, strict=False))
        outputs = dict(zip(body.output, node.outputs, strict=False))
        copied = []
        for inner in body.node:
            for name in inner.output:
                if name and name not in names:
                    names[name] = outputs.get(name) or self.fresh(f"{node.name}/{name}")
        for name, outer in outputs.items():
            if outer and names.get(name) != outer:
                copied.append((names.get(name, ""), outer))
        opsets = {("" if o.domain in DEFAULT else o.domain): o.version for o in body.opset_import}
        self.write(body.node, opsets, names, bound, depth + 1)
        for source, target in copied:  # an output of the function that is one of its inputs
            self.written.append(RawNode("Identity", "", 13, node.name, [source], [target], {}))

    def fresh(self, name: str) -> str:
        """A name that no tensor has."""
        while (new := f"{name[:200]}#{len(self.taken)}") in self.taken:
            self.taken.add(f"{len(self.taken)}#")
        self.taken.add(new)
        return new


def _attributes(node: Any, bound: Any) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for attribute in node.attribute:
        if attribute.name in seen:
            raise InputError(
                f"{node.op_type} {node.name!r} has the attribute {attribute.name!r} twice",
                "the file breaks the format",
                "check how it was made",
            )
        seen.add(attribute.name)
        if not attribute.ref_attr_name:
            yield attribute.name, attribute
        elif bound is None:
            raise InputError(
                f"{node.op_type} {node.name!r} refers to the attribute {attribute.ref_attr_name!r}",
                "only nodes of a function can",
                "check how the file was made",
            )
        elif attribute.ref_attr_name in bound:
            yield attribute.name, bound[attribute.ref_attr_name]


def _standard_body(node: RawNode) -> Any:
    """The body by which the standard defines an operator; None where it has none."""
    import onnx

    try:
        schema: Any = onnx.defs.get_schema(node.kind, node.opset, "")
    except onnx.defs.SchemaError:
        return None
    if not schema.has_function:
        return None
    body = onnx.FunctionProto()
    body.CopyFrom(schema.function_body)
    for name, attribute in schema.attributes.items():
        if attribute.default_value.name and name not in node.attributes:
            node.attributes[name] = attribute.default_value
    return body
