"""What a tree holds, as one number: a checksum that survives being written and read."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr


def content_hash(tree: xr.DataTree) -> str:
    """sha256 over every group's attributes and every variable's name, dimensions, dtype, shape and bytes.

    Byte order, the width of strings and the unit of dates are put in one form first, because a file may
    change them without changing what they say.
    """
    digest = hashlib.sha256()
    for node in sorted(tree.subtree, key=lambda node: node.path):
        _add(digest, "group", node.path, _attributes(node.attrs))
        dataset = node.to_dataset(inherit=False)
        for name in sorted(dataset.variables, key=str):
            variable = dataset.variables[name]
            kind = "coordinate" if name in dataset.coords else "variable"
            form, chunks = _form(np.asarray(variable.values))
            _add(
                digest,
                kind,
                str(name),
                list(variable.dims),
                form,
                list(variable.shape),
                _attributes(variable.attrs),
            )
            for chunk in chunks:
                digest.update(chunk)
    return digest.hexdigest()


def _add(digest: Any, *words: Any) -> None:
    digest.update(json.dumps(words).encode() + b"\n")


def _form(values: np.ndarray) -> tuple[str, Iterator[Any]]:
    """The name of the canonical dtype, and the bytes."""
    if values.dtype.kind in "OUST":
        return "text", (json.dumps(str(text)).encode() for text in _texts(values))
    if values.dtype.kind in "mM":
        values = values.astype(f"{values.dtype.kind}8[ns]").view(np.int64)
        return "date", iter((np.ascontiguousarray(values, "<i8").data,))
    plain = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return plain.dtype.str, iter((plain.tobytes(),))


def _texts(values: np.ndarray) -> Iterator[str]:
    for text in values.ravel().tolist():
        yield text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _attributes(attributes: Any) -> dict[str, Any]:
    return {str(name): _attribute(attributes[name]) for name in sorted(attributes, key=str)}


def _attribute(value: Any) -> Any:
    """A number, a text, or a list of them: one element and its list are the same in a file."""
    return [
        element.decode() if isinstance(element, bytes) else element
        for element in np.asarray(value).ravel().tolist()
    ]
