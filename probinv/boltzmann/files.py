"""Machine files: weights in safetensors, and what their units are in a JSON header."""

import contextlib
import dataclasses
import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np

from probinv._errors import FileError, InputError
from probinv.boltzmann._tensors import LIMIT, read_tensors, write_tensors
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import KINDS, AbstractUnits

FORMAT = "probinv machine"
VERSION = 1

_SIDES = ("visible", "hidden")
_WEIGHTS = ("weight", "visible_bias", "hidden_bias")


def save_machine(machine: Any, path: str | os.PathLike[str]) -> Path:
    """Writes a machine to a file that appears whole or not at all; an existing one is replaced.

    Arrays keep their precision. The same machine gives the same bytes. No pickle: safetensors, whose arrays
    any reader of that format can read.

    Args:
        machine: the machine.
        path: where to, usually with the ending .safetensors.

    Returns:
        The path.

    Raises:
        InputError: it is not a `Machine`, its units have no name in `units.KINDS`, or a weight is not finite.
        FileError: the file cannot be written, or would exceed 1 GiB.
    """
    return write_tensors(path, FORMAT, VERSION, *pack_machine(machine))


def load_machine(path: str | os.PathLike[str], *, limit: int = LIMIT) -> Machine:
    """Reads a machine that `save_machine` wrote. Runs nothing, and takes little more memory than the file.

    Args:
        path: the file.
        limit: largest size that is opened, in bytes.

    Raises:
        FileError: the file is missing, too large, truncated, altered, of another version, a pickle, or does
            not describe a machine.
    """
    header, arrays = read_tensors(path, FORMAT, VERSION, limit=limit)
    with described(path, "a machine"):
        machine = unpack_machine(header, arrays)
        require_empty(arrays)
        return machine


def pack_machine(machine: Any, prefix: str = "") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A machine as a JSON header, {"visible": units, "hidden": units}, and named arrays.

    Units are {"kind", "settings"}, or {"kind", "parts"} where several stand side by side.

    Args:
        machine: the machine.
        prefix: before the name of each array, to tell several machines in one file apart.

    Raises:
        InputError: it is not a `Machine`, or its units cannot be saved.
    """
    if not isinstance(machine, Machine):
        raise InputError(
            f"a {type(machine).__name__} cannot be saved as a machine",
            "it is not a Machine",
            "give a Machine",
        )
    header: dict[str, Any] = {}
    arrays = {prefix + name: np.asarray(getattr(machine, name)) for name in _WEIGHTS}
    for side in _SIDES:
        header[side], own = pack_units(getattr(machine, side), f"{prefix}{side}.")
        arrays |= own
    return header, arrays


def unpack_machine(header: Any, arrays: dict[str, np.ndarray], prefix: str = "") -> Machine:
    """The machine that `pack_machine` packed. Its arrays are taken out of `arrays`.

    Raises:
        InputError: something is missing, or does not fit.
    """
    if not isinstance(header, dict) or set(header) != set(_SIDES):
        raise InputError("a machine is not described by its visible and hidden units")
    weights = {name: take(arrays, prefix + name) for name in _WEIGHTS}
    for name, array in weights.items():
        if array.dtype.kind != "f":
            raise InputError(
                f"{prefix}{name} is of dtype {array.dtype}", "", "weights are floating-point numbers"
            )
    visible, hidden = (unpack_units(header[side], arrays, f"{prefix}{side}.") for side in _SIDES)
    return Machine(visible, hidden, **weights)


def require_empty(arrays: dict[str, np.ndarray]) -> None:
    """An InputError if arrays are left over when all that belong to something were taken."""
    if arrays:
        raise InputError(f"the array {next(iter(arrays))!r} belongs to nothing"[:80])


@contextlib.contextmanager
def described(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Whatever goes wrong with what a file says becomes a FileError: "PATH does not describe `what`"."""
    try:
        yield
    except (InputError, TypeError, ValueError, LookupError, RecursionError, OverflowError) as error:
        reason = str(error).partition("\n")[0][:300]
        raise FileError(
            f"{path} does not describe {what}", reason, "save it again, or copy the file anew"
        ) from None


def pack_units(units: AbstractUnits, prefix: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Units as a JSON header and named arrays; an InputError if they cannot be saved."""
    kinds = [name for name, kind in KINDS.items() if type(units) is kind]
    if not kinds:
        raise InputError(
            f"{type(units).__name__} units cannot be saved",
            "they have no name in units.KINDS",
            "add a line there",
        )
    about: dict[str, Any] = {"kind": kinds[0]}
    arrays: dict[str, np.ndarray] = {}
    for field in dataclasses.fields(units):
        value = getattr(units, field.name)
        if _is_setting(field):
            about.setdefault("settings", {})[field.name] = (
                value.item() if isinstance(value, np.generic) else value
            )
        elif field.name == "parts":
            packed = [pack_units(part, f"{prefix}{number}.") for number, part in enumerate(value)]
            about["parts"] = [part for part, _ in packed]
            arrays |= {name: array for _, own in packed for name, array in own.items()}
        else:
            arrays[prefix + field.name] = np.asarray(value)
    return about, arrays


def unpack_units(about: Any, arrays: dict[str, np.ndarray], prefix: str) -> AbstractUnits:
    """The units that `pack_units` packed; their arrays are taken out of `arrays`."""
    kind = about.get("kind") if isinstance(about, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"units of kind {str(kind)[:60]!r} are unknown", "", f"known are {', '.join(KINDS)}")
    fields = dataclasses.fields(KINDS[kind])
    settings = {field.name for field in fields if _is_setting(field)}
    nested = "parts" in {field.name for field in fields}
    if set(about) != {"kind", *(["settings"] if settings else []), *(["parts"] if nested else [])}:
        raise InputError(f"{kind} units are not described by their settings or parts")
    own = about.get("settings", {})
    if not isinstance(own, dict) or set(own) != settings:
        raise InputError(f"{kind} units lack a setting, or have one too many")
    if nested:
        if not isinstance(about["parts"], list):
            raise InputError(f"the parts of {kind} units are no list")
        parts = [unpack_units(part, arrays, f"{prefix}{n}.") for n, part in enumerate(about["parts"])]
        return _made(kind, {"parts": parts})
    learned = {f.name: take(arrays, prefix + f.name) for f in fields if not _is_setting(f)}
    return _with_arrays(kind, own, learned)


def _with_arrays(kind: str, settings: dict[str, Any], learned: dict[str, np.ndarray]) -> AbstractUnits:
    """Units with arrays of one number for each unit, in the precision of the file.

    The shape is compared before anything is made: a constructor may stretch one number to a false size.
    """
    for name, array in learned.items():
        if array.shape != (settings.get("n"),) or array.dtype.kind != "f":
            raise InputError(f"{name} of {kind} units has shape {array.shape} and dtype {array.dtype}")
    units = _made(kind, settings | learned)
    for name, array in learned.items():
        # a constructor may have made float64 of it
        units = eqx.tree_at(operator.attrgetter(name), units, array)
    return units


def _made(kind: str, arguments: dict[str, Any]) -> AbstractUnits:
    constructor: Any = KINDS[kind]
    return constructor(**arguments)


def take(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The array of that name, taken out; an InputError if there is none."""
    if name not in arrays:
        raise InputError(f"the array {name!r} is missing")
    return arrays.pop(name)


def _is_setting(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("static", False))
