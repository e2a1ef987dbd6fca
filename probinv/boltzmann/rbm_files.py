"""Files of trained RBMs: machine, labels, settings, history and snapshots in one safetensors file."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from probinv._errors import InputError
from probinv.boltzmann._scaling import Scaling
from probinv.boltzmann._sides import Sides
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
from probinv.boltzmann.labels import label_units
from probinv.boltzmann.training._checkpoint import pack_history, unpack_history
from probinv.boltzmann.units import AbstractUnits

FORMAT = "probinv rbm"
VERSION = 1

_UNITS = ("hidden", "visible")
_HEADER = {"machine", "snapshots", "classes", "dtype", "settings", "units", "history", "stopped", "scaled"}


def save_rbm(rbm: Any, path: str | os.PathLike[str]) -> Path:
    """Writes a trained RBM to a file that appears whole or not at all; an existing one is replaced.

    Kept are the machine, labels, settings, history, snapshots and where the chains stand; not the averages
    and velocities of the training, for which there are checkpoints.

    Raises:
        InputError: labels that are neither numbers nor texts, or a setting that a file cannot hold.
        FileError: the file cannot be written, or would exceed 1 GiB.
    """
    machine, sides = rbm.machine_, rbm._sides
    classes = getattr(rbm, "classes_", None)
    header, arrays = pack_machine(machine, "machine.")
    for number, snapshot in enumerate(rbm.snapshots_):
        arrays |= pack_machine(snapshot, f"snapshot{number}.")[1]
    names, arrays["history"] = pack_history(rbm.history_)
    arrays["chains"], arrays["mean"] = rbm._codes, rbm._mean
    if sides.scaling is not None:
        arrays |= sides.scaling._asdict()
    settings = {name: _plain(name, value) for name, value in rbm.get_params().items()}
    units: dict[str, Any] = {}
    for name in _UNITS:
        if isinstance(getattr(rbm, name), AbstractUnits):
            units[name], own = pack_units(getattr(rbm, name), f"{name}.")
            arrays |= own
            del settings[name]
    about = {
        "machine": header,
        "snapshots": len(rbm.snapshots_),
        "classes": None if classes is None else _labels(classes),
        "dtype": None if classes is None else classes.dtype.str,
        "settings": settings,
        "units": units,
        "history": names,
        "stopped": rbm.stopped_,
        "scaled": sides.scaling is not None,
    }
    return write_tensors(path, FORMAT, VERSION, about, arrays, finite=False)


def load_rbm(path: str | os.PathLike[str], *, limit: int = LIMIT) -> Any:
    """Reads what `save_rbm` wrote. Runs nothing.

    Args:
        path: the file.
        limit: largest size that is opened, in bytes.

    Raises:
        FileError: the file is missing, too large, truncated, altered, of another version, a pickle, or does
            not describe an RBM.
    """
    from probinv.boltzmann.rbm import RBM

    header, arrays = read_tensors(path, FORMAT, VERSION, limit=limit, finite=False)
    with described(path, "an RBM"):
        if set(header) != _HEADER or not isinstance(header["settings"], dict):
            raise InputError("an RBM is not described by its machine, labels, settings and history")
        units = {name: unpack_units(about, arrays, f"{name}.") for name, about in header["units"].items()}
        rbm = RBM(**(header["settings"] | units))
        rbm.machine_ = unpack_machine(header["machine"], arrays, "machine.")
        rbm.snapshots_ = [
            unpack_machine(header["machine"], arrays, f"snapshot{k}.")
            for k in range(int(header["snapshots"]))
        ]
        rbm.history_ = unpack_history(header["history"], take(arrays, "history"))
        rbm.stopped_, rbm.n_iter_ = str(header["stopped"]), len(rbm.history_)
        rbm._state, rbm._partition = None, None
        rbm._codes, rbm._mean = take(arrays, "chains"), take(arrays, "mean")
        classes = _classes(header, rbm.machine_)
        scaling = Scaling(take(arrays, "shift"), take(arrays, "scale")) if header["scaled"] else None
        require_empty(arrays)
        visible: Any = rbm.machine_.visible
        if classes is not None:
            rbm.classes_, visible = classes, visible.parts[0]
        rbm._sides = Sides(visible, rbm.machine_.hidden, scaling, classes)
        wanted = (rbm.machine_.hidden.size, rbm.machine_.visible.size)
        if rbm._codes.shape[1:] != wanted[:1] or rbm._mean.shape != wanted[1:]:
            raise InputError("chains or mean do not have the machine's shape")
        rbm.n_features_in_ = visible.size
    return rbm


def _plain(name: str, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(value, str | int | float | bool | AbstractUnits | None):
        raise InputError(f"{name} cannot be saved", f"it is a {type(value).__name__}", "give plain settings")
    return value


def _labels(classes: np.ndarray) -> list[Any]:
    labels = classes.tolist()
    if not all(isinstance(label, int | float | str | bool) for label in labels):
        raise InputError(
            "the labels cannot be saved", "some are neither numbers nor texts", "use plain labels"
        )
    return labels


def _classes(header: dict[str, Any], machine: Any) -> np.ndarray | None:
    """The labels in their dtype; an InputError unless there is one for each label unit."""
    if header["classes"] is None:
        return None
    found = label_units(machine.visible)
    classes = np.array(header["classes"], dtype=np.dtype(header["dtype"]))
    if classes.dtype.kind not in "biufUO" or found is None or classes.shape != (found.classes,):
        raise InputError(f"there are {classes.size} labels, which does not fit the machine")
    return classes
