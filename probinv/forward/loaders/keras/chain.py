"""Chains of Keras layers."""

from typing import Any

import numpy as np

from probinv.forward.layers import AbstractLayer, Activation, Affine
from probinv.forward.loaders._chain import dense, normalised, refuse
from probinv.forward.loaders.keras.forward import KerasForward

SHAPES = {
    "InputLayer",
    "Flatten",
    "Reshape",
    "Dropout",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "Identity",
}
"""Layers that leave the order of the entries, and in inference the entries, as they are."""
ACTIVATIONS = {
    "linear": "identity", "relu": "relu", "relu6": "relu6", "selu": "selu", "silu": "silu", "mish": "mish",
    "gelu": "gelu", "softplus": "softplus", "softsign": "softsign", "tanh": "tanh", "hard_tanh": "hard_tanh",
    "sigmoid": "logistic", "exponential": "exp", "softmax": "softmax", "log_softmax": "log_softmax",
}  # fmt: skip


def keras_layers(forward: KerasForward) -> list[AbstractLayer]:
    """The layers of a model in which each layer takes what the one before it gives."""
    copy = forward.program.copy()
    values = {id(v): np.asarray(leaf) for v, leaf in zip(copy.weights, forward.weights, strict=True)}
    layers: list[AbstractLayer] = []
    for layer in _in_a_row(copy.model):
        layers += _layer(layer, values)
    return layers


def _in_a_row(model: Any) -> list[Any]:
    """The layers of the model, those of models inside it in their place."""
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        refuse(repr(model.name), "it is a model in Python, without a graph")
    row: list[Any] = []
    if type(model).__name__ == "Sequential" and type(model).__module__.startswith("keras."):
        for layer in model.layers:
            row += _in_a_row(layer) if hasattr(layer, "layers") else [layer]
        return row
    last = model.inputs[0]
    for layer in model.layers:
        nodes = [node for node in layer._inbound_nodes if node.operation is layer]
        if type(layer).__name__ != "InputLayer":
            mine = [node for node in nodes if any(one is last for one in node.input_tensors)]
            if len(mine) != 1 or len(mine[0].input_tensors) != 1 or len(mine[0].output_tensors) != 1:
                refuse(repr(layer.name), "it does not take the output of the layer before it, once")
            last = mine[0].output_tensors[0]
        row += _in_a_row(layer) if hasattr(layer, "layers") else [layer]
    if model.outputs[0] is not last:
        refuse(repr(model.name), "its output is not that of its last layer")
    return row


def _layer(layer: Any, values: dict[int, np.ndarray]) -> list[AbstractLayer]:
    kind = type(layer).__name__ if type(layer).__module__.startswith("keras.") else ""
    config = layer.get_config() if kind else {}

    def weight(name: str) -> np.ndarray | None:
        variable = getattr(layer, name, None)
        return None if variable is None else values[id(variable)]

    if kind in SHAPES:
        return []
    if kind == "Dense":
        if len(_input(layer)) != 2:
            refuse(repr(layer.name), f"it acts on the last axis of {_input(layer)}")
        if getattr(layer, "lora_enabled", False):
            refuse(repr(layer.name), "it has a LoRA part")
        return [dense(weight("kernel"), weight("bias")), *_activation(layer, config["activation"])]
    if kind == "Activation":
        return _activation(layer, config["activation"])
    if (
        kind == "ReLU"
        and not (config["negative_slope"] or config["threshold"])
        and config["max_value"] in (None, 6.0)
    ):
        return [Activation("relu6" if config["max_value"] else "relu")]
    if kind in ("LeakyReLU", "ELU"):
        slope = config["negative_slope"] if kind == "LeakyReLU" else config["alpha"]
        return [Activation("leaky_relu" if kind == "LeakyReLU" else "elu", float(slope))]
    if kind == "Softmax":
        return _activation(layer, "softmax", config["axis"])
    if kind == "Rescaling":
        return [Affine(np.asarray(config["scale"], float), np.asarray(config["offset"], float))]
    if kind in ("BatchNormalization", "Normalization") and len(_input(layer)) == 2:
        if kind == "BatchNormalization":
            parts = [weight(name) for name in ("moving_mean", "moving_variance", "gamma", "beta")]
            return normalised(parts[0], parts[1], float(config["epsilon"]), parts[2], parts[3])
        if (
            not config["invert"]
            and layer.input_mean is None
            and config["axis"] in ((-1,), [-1], (1,), [1], -1, 1)
        ):
            variance = np.maximum(np.sqrt(np.asarray(weight("adapt_variance"))), 1e-7) ** 2
            return normalised(weight("adapt_mean"), variance, 0.0, None, None)
    return refuse(f"{layer.name!r}, a {type(layer).__name__}", "it is none of the layers of a chain")


def _input(layer: Any) -> tuple[int | None, ...]:
    return tuple(layer._inbound_nodes[-1].input_tensors[0].shape)


def _output(layer: Any) -> tuple[int | None, ...]:
    return tuple(layer._inbound_nodes[-1].output_tensors[0].shape)


def _activation(layer: Any, name: Any, axis: Any = -1) -> list[AbstractLayer]:
    known = ACTIVATIONS.get(name) if isinstance(name, str) else None
    if known is None:
        if name == "leaky_relu":
            return [Activation("leaky_relu", 0.2)]
        if name == "elu":
            return [Activation("elu", 1.0)]
        refuse(repr(layer.name), f"its activation {str(name)[:60]!r} is not known")
    if known in ("softmax", "log_softmax") and (len(_output(layer)) != 2 or axis not in (-1, 1)):
        refuse(repr(layer.name), f"its softmax is along one axis of {_output(layer)}")
    return [] if known == "identity" else [Activation(known)]
