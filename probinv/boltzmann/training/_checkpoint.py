"""Checkpoints: a training killed at any moment goes on as if nothing had happened."""

import dataclasses
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from probinv._arrays import restore_state, save_state
from probinv._errors import FileError
from probinv.boltzmann._tensors import read_tensors, write_tensors
from probinv.boltzmann.training._loop import Course, on_host

FORMAT = "probinv checkpoint"
VERSION = 1
SECONDS = 30.0

type History = list[dict[str, float]]


class Checkpoint:
    """The file from which a training goes on: its last good state, chains, history and snapshots.

    An update depends on the state, the rows and its number only, so the training that goes on is the one that
    was interrupted, bit for bit (seconds excepted). As the `keep` of `Course.run` it saves from time to time.

    Args:
        course: the training, as it begins.
        path: of the file, which appears whole or not at all.
        seconds: between two saves.
    """

    def __init__(self, course: Course, path: str | os.PathLike[str], *, seconds: float = SECONDS) -> None:
        self.path, self.seconds = Path(path), seconds
        self.digest = digest(course)
        self.saved = time.monotonic()

    def __call__(self, course: Course) -> None:
        """Saves if the last save is long ago, or the training at its end."""
        if time.monotonic() - self.saved >= self.seconds or course.done >= course.total:
            self.save(course)

    def save(self, course: Course) -> Path:
        """Writes the last good state.

        Raises:
            FileError: the file cannot be written.
        """
        names, table = pack_history(course.history)
        header = {
            "digest": self.digest,
            "history": names,
            "snapshots": len(course.snapshots),
            "seconds": course.seconds,
        }
        arrays = {"history": table} | _prefixed("state.", save_state(course.good))
        for number, snapshot in enumerate(course.snapshots):
            arrays |= _prefixed(f"snapshot{number}.", save_state(snapshot))
        path = write_tensors(self.path, FORMAT, VERSION, header, arrays, finite=False)
        self.saved = time.monotonic()
        return path

    def resume(self, course: Course) -> bool:
        """Brings a training that has just begun to where the file was written; False if there is no file.

        Raises:
            FileError: the file is damaged, or of a training with other settings or other rows.
        """
        if not self.path.exists():
            return False
        header, arrays = read_tensors(self.path, FORMAT, VERSION, finite=False)
        if header.get("digest") != self.digest:
            raise FileError(
                f"{self.path} belongs to another training",
                "its settings, units or rows are others",
                "give another path, or delete the file to begin anew",
            )
        model = course.task.model(course.state)
        try:
            # a ladder of earlier machines grows
            state = restore_state(course.state, _under("state.", arrays), same_shapes=False)
            count = header["snapshots"]
            snapshots = [on_host(restore_state(model, _under(f"snapshot{k}.", arrays))) for k in range(count)]
            history = unpack_history(header["history"], arrays["history"])
            seconds = float(header["seconds"])
        except (ValueError, TypeError, LookupError) as error:
            raise FileError(f"{self.path} is no checkpoint", str(error), "delete it to begin anew") from None
        course.resume(state, history, snapshots, seconds)
        return True


def digest(course: Course) -> str:
    """SHA-256 of all that a training depends on but for its initial state, of which only the shapes."""
    found = hashlib.sha256(repr(dataclasses.asdict(course.settings)).encode())
    shapes = [(path, leaf.shape, str(leaf.dtype)) for path, leaf in jax.tree.leaves_with_path(course.state)]
    found.update(repr((jax.tree.structure(course.state), shapes)).encode())
    for part in (*_arrays_of(course.batches.rows), course.shown[1], *jax.tree.leaves(course.task.below)):
        found.update(repr((part.shape, str(part.dtype))).encode())
        found.update(np.ascontiguousarray(part).data)
    return found.hexdigest()


def pack_history(history: History) -> tuple[list[str], np.ndarray]:
    """The names of the figures, and a row for each epoch: JSON has no NaN."""
    names = list(dict.fromkeys(name for epoch in history for name in epoch))
    return names, np.array([[epoch.get(name, np.nan) for name in names] for epoch in history], np.float64)


def unpack_history(names: list[str], table: np.ndarray) -> History:
    """What `pack_history` packed."""
    return [dict(zip(names, map(float, row), strict=True)) for row in table.reshape(-1, max(len(names), 1))]


def _arrays_of(rows: Any) -> Iterator[np.ndarray]:
    if hasattr(rows, "tocsr"):
        yield from (np.asarray(rows.shape), rows.indptr, rows.indices, rows.data)
    else:
        yield rows


def _prefixed(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {prefix + name: array for name, array in arrays.items()}


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
