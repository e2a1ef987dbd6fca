"""The inputs of a tree as one table: a column for every entry, with a name such as x[3]."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from probinv._errors import InputError

type Choice = str | int | Sequence[str | int] | None


class Entries(NamedTuple):
    """Values of every entry of every variable.

    Attributes:
        names: "thickness" for a scalar, "x[3]" or "x[2, 5]" for an entry of an array.
        values: (chain, draw, entry), float64.
        shapes: variable -> its shape in one draw, in the order of the columns.
    """

    names: list[str]
    values: np.ndarray
    shapes: dict[str, tuple[int, ...]]

    def flat(self) -> np.ndarray:
        """(chain * draw, entry)."""
        return self.values.reshape(-1, self.values.shape[-1])


def require(tree: xr.DataTree, group: str, variable: str | None = None) -> xr.Dataset:
    """The group as a dataset, or an InputError that names what is missing."""
    if group not in tree.children:
        present = ", ".join(tree.children) or "no groups at all"
        raise InputError(f"the tree has no group {group}", f"it holds {present}", _instead(tree, group))
    dataset = tree.children[group].to_dataset()
    if variable is not None and variable not in dataset:
        raise InputError(
            f"the group {group} has no variable {variable}",
            f"it holds {', '.join(map(str, dataset.data_vars)) or 'no variables'}",
            "use a tree made by invert, or another plot",
        )
    return dataset


def _instead(tree: xr.DataTree, group: str) -> str:
    if "optima" in tree.children and group != "optima":
        return "this is the result of a method that gives points: use plot_optima, or sample with NUTS()"
    if group == "optima":
        return "this is the result of a sampler: run MAP() or Ascent() for optima"
    return "use a tree made by invert"


def entries_of(dataset: xr.Dataset, variables: Sequence[str] | None = None) -> Entries:
    """The real variables with the dimensions chain and draw as columns.

    Args:
        dataset: a group of the tree.
        variables: names, in the order of the columns; None for all that hold real numbers.
    """
    arrays = {}
    for name in dataset.data_vars if variables is None else variables:
        if {"chain", "draw"} <= set(dataset[name].dims):
            arrays[str(name)] = dataset[name].transpose("chain", "draw", ...).values
    return table(arrays)


def table(arrays: dict[str, np.ndarray]) -> Entries:
    """Arrays (chain, draw, ...) as columns; what is not real numbers is left out."""
    arrays = {name: value for name, value in arrays.items() if value.dtype.kind in "fiub"}
    if not arrays:
        raise InputError(
            "there is nothing to draw",
            "the tree holds no real-valued input with draws",
            "use a tree made by invert",
        )
    shapes = {name: value.shape[2:] for name, value in arrays.items()}
    names = [label for name, shape in shapes.items() for label in labels(name, shape)]
    columns = [
        value.reshape(*value.shape[:2], -1).astype(np.float64, copy=False) for value in arrays.values()
    ]
    return Entries(names, columns[0] if len(columns) == 1 else np.concatenate(columns, axis=-1), shapes)


def labels(name: str, shape: tuple[int, ...]) -> list[str]:
    """The names of all entries of an array, in C order."""
    return [f"{name}[{', '.join(map(str, index))}]" if shape else name for index in np.ndindex(*shape)]


def choose(entries: Entries, wanted: Choice, field: str, most: int) -> list[int] | None:
    """Columns of the entries that the user names; None if they named none.

    Args:
        entries: the table.
        wanted: entry names ("x[3]"), variable names ("x": all its entries) or column numbers.
        field: the argument's name, for the message.
        most: how many can be drawn.
    """
    if wanted is None:
        return None
    names = [wanted] if isinstance(wanted, str | int | np.integer) else wanted
    picked: list[int] = []
    for one in names:
        picked += [k for k in _columns(entries, one, field) if k not in picked]
    if not 1 <= len(picked) <= most:
        raise InputError(
            f"{field} names {len(picked)} entries",
            f"this plot draws from 1 to {most}",
            f"name at most {most} of them",
        )
    return picked


def _columns(entries: Entries, wanted: str | int, field: str) -> list[int]:
    count = len(entries.names)
    if isinstance(wanted, int | np.integer) and not isinstance(wanted, bool) and 0 <= wanted < count:
        return [int(wanted)]
    if isinstance(wanted, str):
        if wanted in entries.shapes:
            first = 0
            for name, shape in entries.shapes.items():
                size = int(np.prod(shape))
                if name == wanted:
                    return list(range(first, first + size))
                first += size
        tight = wanted.replace(" ", "")
        found = [k for k, name in enumerate(entries.names) if name.replace(" ", "") == tight]
        if found:
            return found
    some = ", ".join(entries.names if count <= 8 else [*entries.names[:3], "...", entries.names[-1]])
    raise InputError(
        f"{field} asks for {wanted!r}, which is not there",
        f"there are {some}",
        f"use these names, or 0 to {count - 1}",
    )
