"""Chains of Flax layers, of NNX and of Linen."""

from typing import Any

import numpy as np

from probinv.forward.layers import AbstractLayer
from probinv.forward.loaders._chain import activation, dense, normalised, refuse
from probinv.forward.loaders.flax import FlaxForward
from probinv.forward.loaders.linen import LinenForward


def nnx_layers(forward: FlaxForward) -> list[AbstractLayer]:
    """The layers of an `nnx.Sequential` of Linear, BatchNorm, Dropout and functions."""
    from flax import nnx

    return _nnx(nnx, nnx.merge(forward.graph, forward.state))


def _nnx(nnx: Any, module: Any) -> list[AbstractLayer]:
    name = type(module).__name__
    if isinstance(module, nnx.Sequential):
        return [layer for part in module.layers for layer in _nnx(nnx, part)]
    if isinstance(module, nnx.Linear):
        return [dense(_value(module.kernel), _value(module.bias))]
    if isinstance(module, nnx.Dropout):
        return []
    if isinstance(module, nnx.BatchNorm) and module.axis in (-1, (-1,)):
        parts = [_value(part) for part in (module.mean, module.var, module.scale, module.bias)]
        return normalised(parts[0], parts[1], float(module.epsilon), parts[2], parts[3])
    found = None if isinstance(module, nnx.Module) else activation(module)
    return refuse(name, _why(module)) if found is None else found


def _value(variable: Any) -> np.ndarray | None:
    value = None if variable is None else variable[...]
    return None if value is None else np.asarray(value)


def linen_layers(forward: LinenForward) -> list[AbstractLayer]:
    """The layers of a `linen.Sequential` of Dense, BatchNorm, Dropout and functions, or of one Dense."""
    from flax import linen

    return _linen(linen, forward.module, forward.variables)


def _linen(linen: Any, module: Any, variables: dict[str, Any]) -> list[AbstractLayer]:
    params = variables.get("params", {})
    if isinstance(module, linen.Sequential):
        layers: list[AbstractLayer] = []
        for number, part in enumerate(module.layers):
            # also of a layer with a name of its own, of which Flax takes no notice here
            name = f"layers_{number}"
            layers += _linen(linen, part, {kind: values.get(name, {}) for kind, values in variables.items()})
        return layers
    if isinstance(module, linen.Dense):
        if "kernel" not in params:
            refuse("Dense", "it has no weights in its place; it may stand in the chain twice")
        return [dense(params["kernel"], params.get("bias"))]
    if isinstance(module, linen.Dropout) and module.deterministic:
        return []
    if isinstance(module, linen.BatchNorm) and module.use_running_average and module.axis in (-1, (-1,)):
        kept = variables.get("batch_stats", {})
        return normalised(
            kept["mean"], kept["var"], float(module.epsilon), params.get("scale"), params.get("bias")
        )
    found = None if isinstance(module, linen.Module) else activation(module)
    return refuse(type(module).__name__, _why(module)) if found is None else found


def _why(module: Any) -> str:
    name = getattr(module, "__name__", None)
    return "it is none of the layers of a chain" if name is None else f"the function {name!r} is not known"
