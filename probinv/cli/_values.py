"""Values of a spec file against the type of the argument that they are for."""

import ast
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from probinv._errors import InputError
from probinv.cli._arrays import is_array_file, read_array
from probinv.cli._source import Parameter

type Check = Callable[[str, Any, Path], Any]


def check_value(field: str, parameter: Parameter, value: Any, folder: Path) -> Any:
    """The value as the constructor takes it, or an InputError that begins with the field.

    Args:
        field: such as prior.scale.
        parameter: what the constructor says of it.
        value: as TOML has it.
        folder: where files lie that the value may name.
    """
    return check_of(parameter)(field, value, folder)


def check_of(parameter: Parameter) -> Check:
    """The check for an argument: by its name where the name says more than the type, else by the type."""
    annotation = parameter.annotation.removesuffix(" | None")
    for name in (f"{parameter.owner}.{parameter.name}", parameter.name):
        if parameter.annotation == "Any" and name in NAMED:
            return NAMED[name]
    if annotation.startswith("Literal["):
        return _one_of(ast.literal_eval(f"({annotation.removeprefix('Literal[').removesuffix(']')},)"))
    if annotation == "Any" and (parameter.default or "").startswith(("'", '"')):
        return text
    if annotation not in TYPED:
        raise LookupError(f"no rule for values of type {parameter.annotation} ({parameter.name})")
    return TYPED[annotation]


def text(field: str, value: Any, folder: Path) -> str:
    """A text that is not empty."""
    if not isinstance(value, str):
        _refuse(field, "must be a text", value, 'write it in quotes: "..."')
    if not value or not value.isprintable():
        _refuse(field, "must be a text of printable characters", value, "write it out")
    return value


def flag(field: str, value: Any, folder: Path) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        _refuse(field, "must be true or false", value, "write true or false, without quotes")
    return value


def count(field: str, value: Any, folder: Path) -> int:
    """A whole number >= 0; what else it must be is known to the constructor."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        _refuse(field, "must be a whole number of at least 0", value, "write a whole number, without quotes")
    return value


def number(field: str, value: Any, folder: Path) -> float:
    """One finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        _refuse(field, "must be a number", value, "write one number, without quotes")
    return float(_finite(field, np.asarray(_float(value))))


def shape(field: str, value: Any, folder: Path) -> tuple[int, ...]:
    """Whole numbers > 0: one of them, or a list."""
    sizes = value if isinstance(value, list) else [value]
    good = all(isinstance(size, int) and not isinstance(size, bool) and 0 < size < 2**31 for size in sizes)
    if not good or not sizes:
        _refuse(field, "must be a whole number > 0 or a list of them", value, f"for example {field} = [10]")
    return tuple(sizes)


def array(field: str, value: Any, folder: Path) -> np.ndarray:
    """Finite numbers: one, nested lists of them, or the name of a .npy or .npz file."""
    return _finite(field, _numbers(field, value, folder))


def positive(field: str, value: Any, folder: Path) -> np.ndarray:
    """Numbers > 0."""
    found = array(field, value, folder)
    if not (found > 0).all():
        least = float(found.min())
        raise InputError(
            f"{field} must be positive", f"its smallest entry is {least:g}", "give numbers above zero"
        )
    return found


def wish(field: str, value: Any, folder: Path) -> np.ndarray:
    """Numbers of a Y*; NaN where an output does not matter, though not everywhere."""
    found = _numbers(field, value, folder)
    if np.isinf(found).any():
        raise InputError(f"{field} holds an infinite number", "no output is infinite", "give finite numbers")
    if np.isnan(found).all():
        raise InputError(
            f"{field} holds only NaN", "NaN means that an output does not matter", "wish for at least one"
        )
    return found


def bound(field: str, value: Any, folder: Path) -> np.ndarray:
    """Numbers; an infinite bound is one that is absent."""
    found = _numbers(field, value, folder)
    if np.isnan(found).any():
        raise InputError(f"{field} holds NaN", "a bound is a number", "write inf or -inf for none")
    return found


TYPED: dict[str, Check] = {
    "int": count,
    "float": number,
    "bool": flag,
    "str": text,
    "Shape": shape,
    "Any": array,
}
"""By type. `X | None` is as X: None is what a spec file gives by not giving the key."""

NAMED: dict[str, Check] = {
    "k": count,
    "count": count,
    "scale": positive,
    "softness": positive,
    "df": positive,
    "bandwidth": positive,
    "y_star": wish,
    "targets": wish,
    "Interval.low": bound,
    "Interval.high": bound,
}
"""By name, for arguments of type Any: of every class, or of the one that is named."""


def _numbers(field: str, value: Any, folder: Path) -> np.ndarray:
    if isinstance(value, str):
        if not is_array_file(value):
            _refuse(field, "must be numbers", value, "write numbers without quotes, or name a .npy file")
        found = read_array(field, value, folder)
    else:
        _require_numbers(field, value)
        try:
            found = np.asarray(value, np.float64)
        except OverflowError:
            _refuse(field, "holds a number that is too large", value, "give numbers below 1e308")
        except ValueError:
            _refuse(field, "is not rectangular", value, "give rows of one length")
    if found.size == 0:
        _refuse(field, "is empty", value, "give at least one number")
    return found


def _require_numbers(field: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _require_numbers(field, item)
    elif not isinstance(value, int | float) or isinstance(value, bool):
        _refuse(field, "must be a number or a list of numbers", value, "write numbers, without quotes")


def _finite(field: str, found: np.ndarray) -> np.ndarray:
    for name, bad in (("NaN", np.isnan(found)), ("an infinite number", np.isinf(found))):
        if bad.any():
            raise InputError(
                f"{field} holds {name}",
                f"{int(bad.sum())} of its {found.size} entries",
                "give finite numbers",
            )
    return found


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _one_of(choices: tuple[Any, ...]) -> Check:
    def check(field: str, value: Any, folder: Path) -> Any:
        if value not in choices or isinstance(value, bool):
            shown = " or ".join(f'"{choice}"' for choice in choices)
            _refuse(field, f"must be {shown}", value, "choose one of them")
        return value

    return check


def _refuse(field: str, what: str, value: Any, instead: str) -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    raise InputError(f"{field} {what}", f"got {shown}", instead)
