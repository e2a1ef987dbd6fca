"""Whether the shapes and the order of numbers in a spec file fit each other and the network."""

from typing import NoReturn

import numpy as np

from probinv._errors import InputError
from probinv.cli._kinds import parameters
from probinv.cli._network import Shapes
from probinv.cli._part import Part

ELEMENTWISE = ("low", "high", "loc", "scale", "df", "softness", "y_star", "targets", "bound", "tolerance")
"""Arguments with one entry for each of x or y, or one number for all. Others are left to the classes."""


def fit_prior(prior: Part, network: Shapes) -> None:
    """Checks a prior against the network; numbers without a shape get that of the network's input."""
    shape = _prior_shape(prior)
    if shape == () and network.input is not None and _takes_shape(prior):
        prior.settings["shape"] = shape = network.input
    if None not in (shape, network.input) and shape != network.input:
        raise InputError(
            f"{prior.where} gives inputs of shape {shape}",
            f"the network takes inputs of shape {network.input}",
            f"change {prior.where}{'.shape' if _takes_shape(prior) else ''}, or take another network",
        )
    for key in prior.fixed:
        _require_place(prior, key, shape)


def fit_target(target: Part, output: tuple[int, ...] | None) -> None:
    """Checks a wish against the output of the network."""
    for part in target.parts:
        fit_target(part, output)
    if output is None or target.kind == "product":
        return
    if target.on is not None:
        output = _picked(target, output)
    if "k" in target.settings:
        _fit_class(target, output)
        return
    shape = _common(target)
    if shape is None or shape == output:
        return
    name = next(name for name in ("y_star", "targets", "bound", "low", "high") if name in target.settings)
    raise InputError(
        f"{target.where}.{name} has shape {shape}",
        f"one output of the network{'' if target.on is None else ' at these places'} has shape {output}",
        "give that shape (in y_star, nan where an output does not matter), or name some outputs with on",
    )


def _takes_shape(prior: Part) -> bool:
    return prior.entry is not None and "shape" in parameters(prior.entry)


def _prior_shape(prior: Part) -> tuple[int, ...] | None:
    """Shape of x, or None where only the class knows it."""
    if prior.inputs:
        shapes = [_prior_shape(part) for part in prior.inputs.values()]
        known = [shape for shape in shapes if shape is not None]
        return (sum(int(np.prod(shape)) for shape in known),) if len(known) == len(shapes) else None
    given = prior.settings.get("shape")
    matrix = next(
        (prior.settings[name] for name in ("covariance", "cholesky") if name in prior.settings), None
    )
    data = prior.settings.get("data")
    if data is not None:
        return data.shape[1:] if data.ndim > 1 else None
    if matrix is not None:
        common = prior.settings["loc"].shape if "loc" in prior.settings else ()
        return given or common or ((len(matrix),) if matrix.ndim == 2 else None)
    common = _common(prior, given)
    assert prior.entry is not None
    numbers_only = set(parameters(prior.entry)) <= {*ELEMENTWISE, "shape"}
    return given or (() if common is None and numbers_only else common)


def _common(part: Part, given: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
    """The shape that the numbers broadcast to; None if there are none."""
    arrays = {
        name: value
        for name, value in part.settings.items()
        if name in ELEMENTWISE and isinstance(value, np.ndarray)
    }
    _require_order(part)
    if not arrays:
        return None
    shapes = {name: value.shape for name, value in arrays.items()}
    try:
        common = np.broadcast_shapes(*shapes.values(), *([] if given is None else [given]))
    except ValueError:
        _refuse(part, shapes, given)
    if given is not None and common != given:
        _refuse(part, shapes, given)
    return common


def _refuse(part: Part, shapes: dict[str, tuple[int, ...]], given: tuple[int, ...] | None) -> NoReturn:
    name = max(shapes, key=lambda name: len(shapes[name]))
    others = [f"{other} {shape}" for other, shape in shapes.items() if other != name]
    others += [] if given is None else [f"shape {given}"]
    raise InputError(
        f"{part.where}.{name} has shape {shapes[name]}",
        f"it does not fit {', '.join(others)}",
        "give one number for all entries, or one for each",
    )


def _require_order(part: Part) -> None:
    low, high = part.settings.get("low"), part.settings.get("high")
    if low is None or high is None or (low.shape != high.shape and () not in (low.shape, high.shape)):
        return
    if not (low < high).all():
        place = int(np.flatnonzero(~(low < high).ravel())[0])
        pair = [float(np.broadcast_to(side, (low + high).shape).ravel()[place]) for side in (low, high)]
        raise InputError(
            f"{part.where}.low must be below {part.where}.high",
            f"entry {place} is {pair[0]:g} against {pair[1]:g}",
            "swap them, or hold a known input with [prior.fixed]",
        )


def _require_place(prior: Part, key: str | tuple[int, ...], shape: tuple[int, ...] | None) -> None:
    if isinstance(key, str):
        if key not in prior.inputs:
            names = ", ".join(prior.inputs) or "none"
            raise InputError(
                f"{prior.where}.fixed.{key} names no input",
                f"the names are {names}",
                'name one of them; for inputs without names give the index, as in 3 or "2,5"',
            )
        return
    if shape is not None and (
        len(key) != len(shape) or not all(-n <= i < n for i, n in zip(key, shape, strict=True))
    ):
        place = ",".join(map(str, key))
        raise InputError(
            f'{prior.where}.fixed."{place}" is not an entry of x', f"x has shape {shape}", "count from 0"
        )


def _picked(target: Part, output: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of y[on]."""
    on = target.on
    assert on is not None
    places = on if isinstance(on, list) else [on]
    if not output or not all(-output[0] <= place < output[0] for place in places):
        raise InputError(
            f"{target.where}.on = {on} is not a place of the output",
            f"one output of the network has shape {output}",
            "count from 0",
        )
    return (len(places), *output[1:]) if isinstance(on, list) else output[1:]


def _fit_class(target: Part, output: tuple[int, ...]) -> None:
    if len(output) != 1 or target.settings["k"] >= output[0]:
        raise InputError(
            f"{target.where}.k = {target.settings['k']} is not a class of the network",
            f"one output of it has shape {output}",
            "count classes from 0",
        )
