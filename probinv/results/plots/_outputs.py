"""What a tree says about the outputs: y of the draws, of the prior and of optima, and Y* beside them."""

import re
from typing import NamedTuple

import numpy as np
import xarray as xr

from probinv._errors import InputError
from probinv.results.plots._entries import Entries, labels, table
from probinv.results.plots._reading import Reading, as_reading

CLASSES = ("Label", "Argmax")
CLASS = re.compile(r"(?:class |\[)(\d+)")


class Outputs(NamedTuple):
    """Outputs as columns, in units that can be compared with Y*.

    Attributes:
        names: y[3], or sigmoid(y[3]), or the class.
        draws: (chain * draw, output); no row where there are no draws.
        prior: the same under the prior.
        optima: (optimum, output).
        target: Y* of each output; NaN where it does not matter or is not known.
        tolerance: its standard deviation; NaN where it is not known.
        wished: number of the wished class; None where the wish is not a class.
    """

    names: list[str]
    draws: np.ndarray
    prior: np.ndarray
    optima: np.ndarray
    target: np.ndarray
    tolerance: np.ndarray
    wished: int | None


def outputs_of(reading: Reading, optima: xr.DataTree | Reading | None) -> Outputs:
    """The outputs of a tree; an InputError where it has none."""
    drawn, prior = _values(reading, "posterior_predictive"), _values(reading, "prior_predictive")
    points = _values(reading if optima is None else as_reading(optima), "optima")
    first = next((part for part in (drawn, points, prior) if part is not None), None)
    if first is None:
        raise InputError(
            "the tree has no outputs y",
            "neither posterior_predictive nor optima nor prior_predictive holds a y",
            "use a tree made by invert",
        )
    shape = first.shapes["y"]
    parts = []
    for name, part in (("posterior", drawn), ("prior", prior), ("optima", points)):
        if part is not None and part.shapes["y"] != shape:
            raise InputError(
                f"y of the {name} has shape {part.shapes['y']}",
                f"the others have {shape}",
                "give trees of the same network",
            )
        parts.append(np.empty((0, len(first.names))) if part is None else part.flat())
    wished = _wished(reading, shape)
    names = first.names
    if wished is not None:
        names, parts = [str(k) for k in range(shape[0])], [_probabilities(part, reading) for part in parts]
    elif _says(reading, "sigmoid(y)"):
        names, parts = [f"sigmoid({name})" for name in names], [_sigmoid(part) for part in parts]
    target = _target(reading, shape)
    draws, under_prior, at_optima = parts
    tolerance = _tolerance(reading, target, first)
    return Outputs(names, draws, under_prior, at_optima, target, tolerance, wished)


def _values(reading: Reading, group: str) -> Entries | None:
    if not reading.has(group, "y"):
        return None
    array = reading.tree[group]["y"]
    values = array.values[None] if group == "optima" else array.transpose("chain", "draw", ...).values
    return table({"y": values})


def _says(reading: Reading, words: str) -> bool:
    return words in str(reading.facts.get("question", ""))


def _wished(reading: Reading, shape: tuple[int, ...]) -> int | None:
    """The class that a Label asks for. Its Y* is all NaN for logits, so the question is read."""
    if reading.facts.get("likelihood") not in CLASSES or len(shape) != 1:
        return None
    found = CLASS.search(str(reading.facts.get("question", "")))
    wished = -1 if found is None else int(found.group(1))
    return wished if 0 <= wished < shape[0] else None


def _probabilities(y: np.ndarray, reading: Reading) -> np.ndarray:
    """Class probabilities of rows of logits or probabilities: as the question says, else as the rows look."""
    known = _says(reading, "(probabilities)") or (
        not _says(reading, "(logits)") and bool((y >= 0).all()) and np.allclose(y.sum(axis=1), 1.0, atol=1e-3)
    )
    if known or not len(y):
        return y
    with np.errstate(invalid="ignore"):
        powers = np.exp(y - y.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def _sigmoid(y: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * y))


def _target(reading: Reading, shape: tuple[int, ...]) -> np.ndarray:
    """Y* of each output; NaN where it names no number."""
    for name in ("y_star", "y"):
        if reading.has("observed_data", name):
            value = reading.tree["observed_data"][name].values
            if value.shape == shape and value.dtype.kind in "fiub":
                target = value.ravel().astype(np.float64)
                return _sigmoid(target) if _says(reading, "sigmoid(y)") else target
    return np.full(len(labels("y", shape)), np.nan)


def _tolerance(reading: Reading, target: np.ndarray, y: Entries) -> np.ndarray:
    """The stored `y_tolerance`; else, where one number serves all outputs, |y - Y*| / |r| of the draws."""
    for group in ("constant_data", "observed_data"):
        if reading.has(group, "y_tolerance"):
            value = reading.tree[group]["y_tolerance"].values
            if value.size in (1, target.size):
                return np.broadcast_to(value.ravel().astype(np.float64), target.shape)
    unknown = np.full(target.shape, np.nan)
    norm = (
        reading.stat("residual_norm") if reading.has("posterior") else reading.optimum_stat("residual_norm")
    )
    if norm is None or norm.size != len(y.flat()) or np.isnan(target).all():
        return unknown
    apart = np.sqrt(np.nansum((y.flat() - target) ** 2, axis=1))
    norm = norm.ravel()
    # near Y* the ratio is rounding over rounding
    good = np.isfinite(norm) & np.isfinite(apart) & (norm > 1e-3)
    if not good.any():
        return unknown
    ratio = apart[good] / norm[good]
    same = bool(ratio.max() - ratio.min() <= 1e-6 * ratio.max())
    return np.where(np.isnan(target), np.nan, np.median(ratio)) if same else unknown
