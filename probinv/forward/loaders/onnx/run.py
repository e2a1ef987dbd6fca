"""A graph, computed node by node."""

from dataclasses import dataclass
from typing import Any, final

import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError
from probinv.forward.loaders.onnx.operators import Call, Node, Value, to_device
from probinv.forward.loaders.onnx.operators._base import STATIC_LIMIT


@final
@dataclass(frozen=True, eq=False)
class Graph:
    """The part of a file that leads from one tensor to others; the same content compares equal.

    Args:
        nodes: in an order in which they can be computed.
        constants: tensors that are known in advance and are no weights: integers, booleans, single numbers,
            and whatever shapes are made from.
        inputs: names of the tensors that must be given, weights included.
        outputs: names of the tensors to be computed.
        digest: a hash of all of this.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    digest: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def run(graph: Graph, values: dict[str, Value]) -> list[Value]:
    """The outputs. Whatever does not depend on x, and is small, is computed on the host while tracing.

    Args:
        graph: what to compute.
        values: a JAX array for each input; a NumPy array is taken as known in advance.

    Raises:
        InputError: a node cannot be computed, with its name.
    """
    scope = {**graph.constants, **values}
    for node in graph.nodes:
        outputs = compute(node, [scope[name] if name else None for name in node.inputs])
        scope.update((name, value) for name, value in zip(node.outputs, outputs, strict=False) if name)
        missing = [name for name in node.outputs if name and name not in scope]
        if missing:
            raise InputError(f"{node.name} has no output {missing[0]!r}", "", "check how the file was made")
    return [scope[name] for name in graph.outputs]


def compute(node: Node, inputs: list[Value | None]) -> tuple[Value, ...]:
    """The outputs of one node."""
    op, given = node.operator, [value for value in inputs if value is not None]
    known = op.folds and all(isinstance(value, np.ndarray) for value in given)
    if known and sum(value.size for value in given) <= STATIC_LIMIT:
        call, arguments = Call(node, np), inputs
    else:
        call, arguments = _traced(node, inputs)
    try:
        with np.errstate(all="ignore"):
            found = op.compute(call, *arguments)
    except InputError:
        raise
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError, AttributeError) as error:
        lines = str(error).strip().splitlines()
        call.refuse(
            f"its inputs have the shapes {[value.shape for value in given]}"[:200]
            + (f": {lines[0][:200]}" if lines else ""),
            "check how the file was made",
        )
    outputs = found if isinstance(found, tuple) else (found,)
    for value in outputs:
        call.bound(value.shape)
    if call.folds:
        return tuple(np.asarray(value) for value in outputs)
    return outputs


def _traced(node: Node, inputs: list[Any]) -> tuple[Call, list[Value | None]]:
    call, op = Call(node, jnp), node.operator
    arguments = list(inputs)
    for number, value in enumerate(inputs):
        if value is None:
            continue
        host = isinstance(value, np.ndarray)
        if number in op.static and not host:
            call.refuse(
                f"its input {node.inputs[number]!r} must be known in advance and depends on x",
                "export the network with a fixed shape",
            )
        if not (host and number in op.static | op.kept):
            arguments[number] = to_device(value)
    return call, arguments
