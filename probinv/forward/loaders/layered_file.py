"""Network files: a `Layered` network as .npz with a JSON header."""

import dataclasses
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from probinv._errors import FileError, InputError
from probinv.forward.layered import Layered
from probinv.forward.layers import KINDS, AbstractLayer
from probinv.forward.loaders._archive import LIMIT, read_archive, write_archive

FORMAT = "probinv network"
VERSION = 1


def save_network(network: Any, path: str | os.PathLike[str]) -> Path:
    """Writes a network to a file that appears whole or not at all; an existing one is replaced.

    Arrays keep their precision, float64 or float32. The same network gives the same bytes.

    Args:
        network: a `Layered` network.
        path: where to, usually with the ending .npz.

    Raises:
        InputError: it is not a `Layered` network, or one of its layers has no name in `layers.KINDS`.
        FileError: the file cannot be written, or would exceed 1 GiB.
    """
    if not isinstance(network, Layered):
        raise InputError(
            f"a {type(network).__name__} cannot be saved",
            "only networks of known layers have a file format",
            "use Layered, or the file format of its own framework",
        )
    layers: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, layer in enumerate(network.layers):
        settings, weights = _split(layer)
        layers.append({"kind": _kind(layer), "settings": settings})
        arrays |= {f"{number}.{name}": array for name, array in weights.items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "input_shape": list(network.input_shape),
        "layers": layers,
    }
    return write_archive(path, header, arrays)


def load_network(path: str | os.PathLike[str], *, limit: int = LIMIT) -> Layered:
    """Reads a network that `save_network` wrote. No pickle, no more memory than twice the file.

    Args:
        path: the file.
        limit: largest size that is opened, in bytes.

    Raises:
        FileError: the file is missing, too large, truncated, altered, of another version, a pickle, or
            does not describe a network.
    """
    header, arrays = read_archive(path, FORMAT, VERSION, limit=limit)
    shape, entries = header.get("input_shape"), header.get("layers")
    if not isinstance(shape, list) or not isinstance(entries, list):
        _fail(path, "its header has no input_shape or no layers")
    weights: list[dict[str, np.ndarray]] = [{} for _ in entries]
    for name, array in arrays.items():
        number, _, field = name.partition(".")
        if not (number.isdecimal() and str(int(number)) == number and int(number) < len(entries)):
            _fail(path, f"its array {name!r} belongs to no layer")
        weights[int(number)][field] = array
    try:
        return Layered([_layer(*both) for both in zip(entries, weights, strict=True)], tuple(shape))
    except (InputError, TypeError) as error:
        _fail(path, str(error))


def _layer(entry: Any, weights: dict[str, np.ndarray]) -> AbstractLayer:
    if (
        not isinstance(entry, dict)
        or set(entry) != {"kind", "settings"}
        or not isinstance(entry["settings"], dict)
    ):
        raise InputError("a layer is not described by its kind and its settings")
    if not isinstance(entry["kind"], str) or entry["kind"] not in KINDS:
        raise InputError(
            f"the layer {str(entry['kind'])[:60]!r} is unknown", "", f"known are {', '.join(KINDS)}"
        )
    kind = KINDS[entry["kind"]]
    fields = {field.name: _is_setting(field) for field in dataclasses.fields(kind)}
    if set(entry["settings"]) != {name for name in fields if fields[name]} or set(weights) != {
        name for name in fields if not fields[name]
    }:
        raise InputError(f"the {entry['kind']} layer lacks a weight or setting, or has one too many")
    return kind(**weights, **entry["settings"])


def _split(layer: AbstractLayer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Settings and weights of a layer."""
    fields = dataclasses.fields(layer)
    settings = {field.name: getattr(layer, field.name) for field in fields if _is_setting(field)}
    weights = {
        field.name: np.asarray(getattr(layer, field.name)) for field in fields if not _is_setting(field)
    }
    return settings, weights


def _is_setting(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("static", False))


def _kind(layer: AbstractLayer) -> str:
    for name, kind in KINDS.items():
        if type(layer) is kind:
            return name
    raise InputError(
        f"a {type(layer).__name__} layer cannot be saved",
        "it has no name in layers.KINDS",
        "use the layers of probinv",
    )


def _fail(path: str | os.PathLike[str], why: str) -> NoReturn:
    raise FileError(
        f"{path} does not describe a network", why, "save the network again, or copy the file anew"
    )
