"""Stack files: a deep belief network, its labels and its parts, in one safetensors file."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from probinv._errors import InputError
from probinv.boltzmann._tensors import LIMIT, read_tensors, write_tensors
from probinv.boltzmann.files import (
    described,
    pack_machine,
    pack_units,
    require_empty,
    take,
    unpack_machine,
    unpack_units,
)
from probinv.boltzmann.stack import Layer, Stack

FORMAT = "probinv stack"
VERSION = 1

_UNITS = ("below", "above")
_WEIGHTS = ("up_weight", "up_bias", "down_weight", "down_bias")


def save_stack(stack: Any, path: str | os.PathLike[str], *, classes: Any = None) -> Path:
    """Writes a stack to a file that appears whole or not at all; an existing one is replaced.

    Args:
        stack: the network.
        path: where to, usually with the ending .safetensors.
        classes: the labels, in the order of the label units: numbers or texts; None without labels.

    Raises:
        InputError: it is no stack, its units or labels cannot be saved, or a weight is not finite.
        FileError: the file cannot be written, or would exceed 1 GiB.
    """
    if not isinstance(stack, Stack):
        raise InputError(f"a {type(stack).__name__} cannot be saved as a stack", "", "give a Stack")
    labels = None if classes is None else np.asarray(classes).tolist()
    _check_labels(labels, stack.classes)
    top, arrays = pack_machine(stack.top, "top.")
    layers = []
    for number, layer in enumerate(stack.layers):
        about = {}
        for side in _UNITS:
            about[side], own = pack_units(getattr(layer, side), f"{number}.{side}.")
            arrays |= own
        arrays |= {f"{number}.{name}": np.asarray(getattr(layer, name)) for name in _WEIGHTS}
        layers.append(about)
    return write_tensors(path, FORMAT, VERSION, {"layers": layers, "top": top, "classes": labels}, arrays)


def load_stack(
    path: str | os.PathLike[str], *, limit: int = LIMIT
) -> tuple[Stack, list[int] | list[float] | list[str] | None]:
    """Reads a stack that `save_stack` wrote, and its labels. Runs nothing.

    Args:
        path: the file.
        limit: largest size that is opened, in bytes.

    Raises:
        FileError: the file is missing, too large, truncated, altered, of another version, a pickle, or does
            not describe a stack.
    """
    header, arrays = read_tensors(path, FORMAT, VERSION, limit=limit)
    with described(path, "a stack"):
        if set(header) != {"layers", "top", "classes"} or not isinstance(header["layers"], list):
            raise InputError("a stack is not described by its layers, its top and its classes")
        layers = [_layer(number, about, arrays) for number, about in enumerate(header["layers"])]
        stack = Stack(tuple(layers), unpack_machine(header["top"], arrays, "top."))
        require_empty(arrays)
        _check_labels(header["classes"], stack.classes)
        return stack, header["classes"]


def _layer(number: int, about: Any, arrays: dict[str, np.ndarray]) -> Layer:
    if not isinstance(about, dict) or set(about) != set(_UNITS):
        raise InputError(f"layer {number} is not described by its units")
    below, above = (unpack_units(about[side], arrays, f"{number}.{side}.") for side in _UNITS)
    weights = {name: take(arrays, f"{number}.{name}") for name in _WEIGHTS}
    shape = (below.size, above.size)
    for name, array in weights.items():
        wanted = shape if name.endswith("weight") else (shape[1 if name.startswith("up") else 0],)
        if array.shape != wanted or array.dtype.kind != "f":
            raise InputError(f"{name} of layer {number} has shape {array.shape} and dtype {array.dtype}")
    return Layer(below, above, **weights)


def _check_labels(labels: Any, count: int) -> None:
    if labels is None:
        return
    plain = isinstance(labels, list) and len({type(label) for label in labels}) == 1
    if not plain or not isinstance(labels[0], int | float | str) or len(set(labels)) != len(labels):
        raise InputError("classes are no labels", "", "give different numbers, or different texts")
    if len(labels) != count:
        raise InputError(
            f"there are {len(labels)} classes", f"the stack has {count} label units", "give as many"
        )
