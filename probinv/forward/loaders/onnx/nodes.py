"""One node: its operator, its version and its attributes, each of them understood or refused by name."""

from typing import Any

import numpy as np

from probinv._errors import InputError
from probinv.forward.loaders.onnx.functions import RawNode
from probinv.forward.loaders.onnx.operators import OPERATORS, Node, Operator
from probinv.forward.loaders.onnx.operators._base import operator
from probinv.forward.loaders.onnx.tensors import read_tensor

INSTEAD = "export the network without it, or cut the graph with inputs= and outputs="


@operator(
    "Constant",
    1,
    9,
    11,
    12,
    13,
    19,
    21,
    23,
    24,
    25,
    attributes="value value_float value_floats value_int value_ints",
)
def constant(*_: Any) -> Any:  # fmt: skip
    """A tensor of the file. It is taken out of the graph when that is read."""
    raise AssertionError


def read_node(raw: RawNode) -> Node:
    """The node, checked against the definition of its operator.

    Raises:
        InputError: the operator, its version, an attribute or the number of inputs is not understood.
    """
    where = (
        f"{raw.kind} {raw.name!r}" if raw.name else f"{raw.kind} (that makes {(raw.outputs or ['?'])[0]!r})"
    )
    known = OPERATORS.get(raw.kind) if raw.domain == "" else None
    if known is None:
        place = f" of the domain {raw.domain!r}" if raw.domain else ""
        raise InputError(
            f"the operator {raw.kind!r}{place} is not read here", f"it is used by {where}", INSTEAD
        )
    schema = _schema(raw, where)
    version = int(schema.since_version)
    if version not in known.versions or (schema.deprecated and raw.kind not in ("Upsample", "Scatter")):
        raise InputError(
            f"{where} has the meaning of opset {version}",
            f"known are those of {', '.join(map(str, sorted(known.versions)))}",
            INSTEAD,
        )
    inputs = list(raw.inputs)
    while inputs and not inputs[-1]:
        inputs.pop()
    least, most = int(schema.min_input), int(schema.max_input)
    if not least <= len(inputs) <= most or any(not name for name in inputs[:least]):
        raise InputError(f"{where} has {len(inputs)} inputs", f"it takes {least} to {most}", "")
    if not int(schema.min_output) <= len(raw.outputs) <= int(schema.max_output):
        raise InputError(
            f"{where} has {len(raw.outputs)} outputs", f"it makes at most {schema.max_output}", ""
        )
    attributes = _attributes(raw, schema, known, where)
    if raw.kind == "Constant":
        attributes = {"value": _value(attributes, where)}
    return Node(where, known, version, tuple(inputs), tuple(raw.outputs), attributes)


def _schema(raw: RawNode, where: str) -> Any:
    import onnx

    try:
        return onnx.defs.get_schema(raw.kind, raw.opset, "")
    except onnx.defs.SchemaError:
        raise InputError(f"{where} is no operator of opset {raw.opset}", "", INSTEAD) from None


def _attributes(raw: RawNode, schema: Any, known: Operator, where: str) -> dict[str, Any]:
    """Every attribute of the definition, as it is given or by default."""
    unknown = sorted(set(raw.attributes) - set(schema.attributes))
    if unknown:
        raise InputError(
            f"{where} has the attribute {unknown[0]!r}",
            f"opset {schema.since_version} knows none such",
            INSTEAD,
        )
    found: dict[str, Any] = {}
    for name, definition in schema.attributes.items():
        usual = _plain(definition.default_value, where) if definition.default_value.name else None
        given = raw.attributes.get(name)
        if given is None:
            if definition.required:
                raise InputError(f"{where} lacks the attribute {name!r}", "", "check how the file was made")
            found[name] = usual
            continue
        if int(given.type) != int(definition.type.value):
            raise InputError(f"the attribute {name!r} of {where} is of another type", "", "check the file")
        found[name] = _plain(given, where)
        if name not in known.attributes and found[name] != usual:
            raise InputError(
                f"{where} has the attribute {name!r}",
                f"its value {str(found[name])[:60]} is not honoured here",
                INSTEAD,
            )
    return found


def _plain(attribute: Any, where: str) -> Any:
    """The value of an AttributeProto."""
    match int(attribute.type):
        case 1:
            return float(attribute.f)
        case 2:
            return int(attribute.i)
        case 3:
            return attribute.s.decode("utf-8")
        case 4:
            return read_tensor(attribute.t, f"the attribute {attribute.name!r} of {where}", None)
        case 6:
            return [float(number) for number in attribute.floats]
        case 7:
            return [int(number) for number in attribute.ints]
        case 8:
            return [text.decode("utf-8") for text in attribute.strings]
    raise InputError(
        f"the attribute {attribute.name!r} of {where} holds something other than numbers or text",
        "graphs, sparse tensors and types in attributes are not read here",
        INSTEAD,
    )


def _value(attributes: dict[str, Any], where: str) -> np.ndarray:
    given = {name: value for name, value in attributes.items() if value is not None}
    if len(given) != 1:
        raise InputError(f"{where} has {len(given)} values", "a constant has one", "check the file")
    ((name, value),) = given.items()
    if name == "value":
        return np.asarray(value)
    return np.asarray(value, np.float32 if "float" in name else np.int64)
