"""A network read from ONNX against another interpreter of the same file."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from probinv._checks import as_count, double_precision
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.forward._agreement import Agreement, agreement
from probinv.forward.loaders.onnx.forward import OnnxForward
from probinv.forward.loaders.onnx.kinds import numpy_type
from probinv.forward.loaders.onnx.reading import LIMIT, read_model, require_onnx


@final
@dataclass(frozen=True)
class SourceCheck:
    """Largest difference from another interpreter, as |a - b| / (1 + |b|), and our own agreement.

    Args:
        difference: over random inputs; ours computed in double precision.
        interpreter: "onnxruntime", or "reference" for onnx's own.
        dtype: in which that one gave its answer. Its rounding is part of the difference.
        agreement: of our own network: compiled, in a batch, and its gradient.
    """

    difference: float
    interpreter: str
    dtype: str
    agreement: Agreement


def check_source(
    forward: Any,
    source: Any,
    key: PRNGKey,
    *,
    shape: tuple[int, ...] | None = None,
    count: int = 8,
    scale: float = 1.0,
) -> SourceCheck:
    """max |f(x) - g(x)| / (1 + |g(x)|) over x ~ N(0, scale^2), g by onnxruntime if it is installed.

    Otherwise g is the (slow) reference of the onnx package. The file is also put through onnx.checker.

    Args:
        forward: what was loaded from the file, with its only input and its only output.
        source: the path of the file, or the ModelProto.
        key: typed PRNG key.
        shape: of one x, where the file does not say it.
        count: how many random inputs.
        scale: their standard deviation.

    Raises:
        InputError: the forward is not from ONNX or has another input or output, the file is refused by
            onnx.checker, or no shape is known.
    """
    if not isinstance(forward, OnnxForward):
        raise InputError(
            f"forward is a {type(forward).__name__}", "it was not read from ONNX", "load the file"
        )
    count, shape = as_count("count", count), forward.input_shape if shape is None else shape
    if shape is None:
        raise InputError("the shape of x is not known", "the file does not say it", "give shape=(...)")
    x_key, agreement_key = jax.random.split(key)
    with double_precision():
        x = np.asarray(scale * jax.random.normal(x_key, (count, *shape), jnp.float64))
        ours = [np.asarray(forward(jnp.asarray(one))) for one in x]
    interpreter, evaluate = _other(source, forward)
    theirs = [np.asarray(evaluate(one[None] if forward.batch_axis else one)) for one in x]
    largest = 0.0
    for a, b in zip(ours, theirs, strict=True):
        b = b.reshape(b.shape[1:]) if forward.batch_axis else b
        if a.shape != b.shape:
            raise InputError(f"ours gives shape {a.shape}, {interpreter} {b.shape}", "", "report it")
        gap = np.abs(a - b) / (1 + np.abs(b))
        largest = max(largest, float(np.max(np.where(np.isnan(gap) & (a != b), np.inf, gap), initial=0.0)))
    return SourceCheck(
        largest, interpreter, theirs[0].dtype.name, agreement(forward, shape, agreement_key, count=count)
    )


def _other(source: Any, forward: OnnxForward) -> tuple[str, Any]:
    """The name of another interpreter, and its function of one input."""
    onnx = require_onnx()
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    model = source if path is None else read_model(Path(path), LIMIT)
    try:
        onnx.checker.check_model(model if path is None else path)
    except onnx.checker.ValidationError as error:
        raise InputError("onnx.checker refuses the file", str(error)[:300], "export it anew") from None
    name, kind = forward.input_name, _input_type(model, forward.input_name)
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        reference = ReferenceEvaluator(model)
        return "reference", lambda x: _of(reference, forward, {name: x.astype(kind)})
    content = path if path is not None else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes of errors have no common base of their own
        raise InputError("onnxruntime cannot run the file", str(error)[:300], "") from error
    return "onnxruntime", lambda x: _of(session, forward, {name: x.astype(kind)})


def _of(interpreter: Any, forward: OnnxForward, given: dict[str, np.ndarray]) -> Any:
    return interpreter.run([forward.output_name], given)[0]


def _input_type(model: Any, name: str) -> Any:
    for one in model.graph.input:
        if one.name == name:
            return numpy_type(one.type.tensor_type.elem_type, name)
    raise InputError(
        f"{name!r} is no input of the file", "it lies inside the network", "check the whole network"
    )
