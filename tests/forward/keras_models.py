"""Small Keras models with weights and statistics other than those they start from."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras models are tested where keras is installed")
layers = keras.layers


def shaken(model: Any) -> Any:
    """The same model with weights drawn anew; variances stay positive."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        value = rng.normal(size=variable.shape) / 2
        if variable.dtype == "float32":
            variable.assign(np.abs(value) + 0.5 if variable.name.endswith("variance") else value)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization) and layer.input_mean is None:
            layer.finalize_state()
    return model


def mlp() -> Any:
    return shaken(
        keras.Sequential(
            [
                keras.Input((3,)),
                layers.Normalization(),
                layers.Dense(4, activation="tanh"),
                layers.BatchNormalization(),
                layers.Dropout(0.5, seed=2**30),
                layers.Dense(2, dtype="mixed_bfloat16"),
                layers.Rescaling(2.0, 0.1),
            ],
            name="mlp",
        )
    )


def image() -> Any:
    return shaken(
        keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                layers.Normalization(mean=0.25, variance=2.0),
                layers.Conv2D(2, 3, activation="gelu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(2, activation="softmax"),
            ],
            name="image",
        )
    )


def sequence() -> Any:
    return shaken(keras.Sequential([keras.Input((5, 2)), layers.LSTM(3), layers.Dense(1)], name="sequence"))


def attention() -> Any:
    """A graph, not a chain."""
    x = keras.Input((3, 4))
    mixed = layers.MultiHeadAttention(2, 2)(x, x)
    return shaken(
        keras.Model(
            x, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(mixed + x)))
        )
    )


MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "mlp": (mlp, (3,)),
    "image": (image, (6, 6, 1)),
    "sequence": (sequence, (5, 2)),
    "attention": (attention, (3, 4)),
}
