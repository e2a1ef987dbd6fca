"""ACAS Xu: inputs that have a property, where published verdicts say whether there is one."""

import importlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from probinv import forward
from probinv._errors import InputError
from probinv._invert.witness import Witness, find_witness
from probinv.bench.data import FOLDER, data_folder
from probinv.bench.result import Result
from probinv.posterior import Property, load_property

PROPERTIES = (1, 2, 3, 4, 6)
HOLDERS: dict[int, tuple[str, ...]] = {1: (), 2: ("1_2", "2_3", "5_5"), 3: ("1_7",), 4: ("1_7",), 6: ()}
"""Of the six networks, those that have an input with the property (VNN-COMP 2021)."""
UNKNOWN = {6: ("1_2", "1_7", "2_3", "3_3", "5_5")}
"""Networks about which nothing was published: property 6 is asked of 1_1."""
COLUMNS = ("property", "network", "published", "search", "margin", "evaluations", "seconds", "onnxruntime")
NETWORK = re.compile(r"ACASXU_run2a_(\d_\d)_batch_2000\.(onnx|npz)")


def acas_files(folder: str | Path | None = None) -> dict[str, Path]:
    """Name, such as 1_1, to file of each network in `folder`, or in acasxu/ of PROBINV_DATA's folder.

    Raises:
        InputError: there is no such folder, no network in it, or a property is missing.
    """
    holds = "acasxu/, with networks and properties of VNN-COMP 2021"
    place = data_folder("acasxu", "networks of ACAS Xu", holds, folder)
    names = sorted(place.iterdir()) if place.is_dir() else []
    found = {match[1]: path for path in names if (match := NETWORK.fullmatch(path.name))}
    missing = [f"prop_{k}.vnnlib" for k in PROPERTIES if not (place / f"prop_{k}.vnnlib").is_file()]
    if missing or not found:
        wanted = missing[0] if missing else "ACASXU_run2a_1_1_batch_2000.onnx"
        raise InputError(
            "the networks of ACAS Xu are not there", f"{place} has no {wanted}", f"set {FOLDER} to its parent"
        )
    return found


def published(number: int, name: str) -> str:
    """exists, none, or an empty text where no verdict is known."""
    return "" if name in UNKNOWN.get(number, ()) else "exists" if name in HOLDERS[number] else "none"


def confirmed(path: Path, asked: Property, witness: Witness) -> str:
    """Whether another runtime says the same: yes or NO; not checked where there is none, or no ONNX file."""
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        return "not installed"
    if path.suffix != ".onnx":
        return "not checked"
    session = runtime.InferenceSession(os.fspath(path))
    entry = session.get_inputs()[0]
    x = witness.x.astype(np.float32).reshape([size if isinstance(size, int) else 1 for size in entry.shape])
    y = session.run(None, {entry.name: x})[0]
    return "yes" if asked.reached(witness.x, y) else "NO"


def look(path: Path, asked: Property, number: int, name: str) -> dict[str, Any]:
    """Figures of one search."""
    search = find_witness(forward.load(path), asked, progress=False)
    found, known = search.witness is not None, published(number, name)
    return {
        "property": number,
        "network": name,
        "published": known,
        "found": found,
        "false_claim": found and known == "none",
        "missed": not found and known == "exists",
        "margin": search.nearest if search.witness is None else search.witness.margin,
        "evaluations": search.evaluations,
        "seconds": search.seconds,
        "confirmed": "" if search.witness is None else confirmed(path, asked, search.witness),
    }


def bench_acasxu(folder: str | Path | None = None) -> Result:
    """Five properties of six networks: found or not, against the published verdicts."""
    files = acas_files(folder)
    place = next(iter(files.values())).parent
    asked = {number: load_property(place / f"prop_{number}.vnnlib") for number in PROPERTIES}
    figures = [look(path, asked[k], k, name) for k in PROPERTIES for name, path in files.items()]
    totals = {key: sum(one[key] for one in figures) for key in ("found", "missed", "false_claim")}
    return Result(
        {"searches": figures, **totals},
        COLUMNS,
        [_row(one) for one in figures],
        [
            f"{totals['found']} found, {totals['missed']} of the published ones missed, "
            f"{totals['false_claim']} found where none is said to be.",
            "margin: how deep inside the wish, or (below 0) by how much the nearest input missed it.",
            "seconds: with compiling, most of it in the first search of a property. What was not found may "
            "exist: published verdicts of none come from verifiers, not from this search.",
            "onnxruntime: whether it gives outputs for the witness that have the property, in float32.",
        ],
    )


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    said = "found" if one["found"] else "not found"
    shown = ("margin", "evaluations", "seconds", "confirmed")
    return (one["property"], one["network"], one["published"], said, *(one[key] for key in shown))
