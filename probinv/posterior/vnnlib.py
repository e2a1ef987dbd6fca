"""Properties in VNN-LIB 1, the language of the competition of neural network verification."""

from pathlib import Path
from typing import NoReturn

import numpy as np

from probinv._errors import FileError, InputError
from probinv._files import check_file
from probinv.posterior._formula import (
    LARGEST,
    All,
    Alternative,
    Formula,
    Splitter,
    as_formula,
    joined,
    region,
)
from probinv.posterior._linear import Scope, as_variable
from probinv.posterior._sexpr import Form, Word, fail, read_forms
from probinv.posterior.property import Case, Property

BYTES_MOST = 64 * 2**20
IDLE = ("set-logic", "set-info", "check-sat", "get-model", "exit")
"""Commands that say nothing about inputs and outputs."""


def load_property(path: str | Path) -> Property:
    """The boxes of inputs and the wishes of outputs that a .vnnlib file asserts.

    Read is version 1: declarations of X_0 ... and Y_0 ... as Real, and assertions made of `and`, `or` and the
    comparisons <=, >=, <, >, = of linear terms (+, -, *, /), an input alone or outputs among themselves. An
    input that is bound twice has the tighter bounds. (Guidotti, Demarchi, Pulina and Tacchella, The VNN-LIB
    standard, vnnlib.org.)

    Args:
        path: a file of at most 64 MiB.

    Raises:
        FileError: there is no such file, or it is too large.
        InputError: it is damaged, says something that is not read (with the line), bounds an input on one
            side only or by contradictory numbers, or asks nothing of the outputs.
    """
    path = Path(path)
    check_file(path, BYTES_MOST)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read", error.strerror or "", "check its rights") from None
    return parse_property(data, path.name)


def parse_property(data: bytes, name: str) -> Property:
    """The property that a text states; `name` is used in errors and shown."""
    scope, asserted = Scope(name, set()), list[Formula]()
    for form in read_forms(data, name):
        if form.head == "assert":
            if len(form.parts) != 2:
                fail(name, form.line, f"assert has {len(form.parts) - 1} formulas", "it takes one")
            asserted.append(as_formula(form.parts[1], scope))
        elif form.head in ("declare-const", "declare-fun"):
            _declare(form, scope)
        elif form.head not in IDLE:
            _refuse(form, name)
    inputs, outputs = (_count(kind, scope) for kind in "XY")
    formula = joined(asserted)
    splitter = Splitter(name)
    alternatives = splitter.split(formula)
    if not alternatives:
        raise _empty(name, splitter)
    cases = tuple(_case(one, inputs, outputs, name) for one in alternatives)
    return Property(name, inputs, outputs, cases, formula)


def _declare(form: Form, scope: Scope) -> None:
    _, variable, *rest = form.parts if len(form.parts) > 1 else (*form.parts, Word("", form.line))
    if form.head == "declare-fun" and len(rest) == 2 and isinstance(rest[0], Form) and not rest[0].parts:
        rest = rest[1:]
    if len(rest) != 1 or rest[0] != Word("Real", rest[0].line) or not isinstance(variable, Word):
        what = f"this {form.head} cannot be read"
        fail(scope.name, form.line, what, "variables are numbers", "write (declare-const X_0 Real)")
    known = as_variable(variable.text)
    if known is None:
        what = f"the variable {variable.text[:40]!r} is neither an input nor an output"
        fail(scope.name, variable.line, what, "inputs are X_0, X_1, ... and outputs Y_0, Y_1, ...")
    if known in scope.declared:
        what = f"{variable.text} is declared twice"
        fail(scope.name, variable.line, what, "two declarations may mean two things", "keep one")
    scope.declared.add(known)


def _refuse(form: Form, name: str) -> NoReturn:
    if form.head in ("vnnlib-version", "declare-network"):
        fail(
            name,
            form.line,
            "this is VNN-LIB 2",
            "only version 1 is read",
            "take the version 1 of the property",
        )
    shown = form.head[:40] or "a parenthesis"
    fail(name, form.line, f"the command {shown!r} is not read", "declare-const, declare-fun and assert are")


def _count(kind: str, scope: Scope) -> int:
    """How many inputs or outputs there are: X_0, X_1, ... without a gap."""
    found = sorted(index for letter, index in scope.declared if letter == kind)
    what = "input" if kind == "X" else "output"
    if not found:
        raise InputError(
            f"{scope.name} declares no {what}",
            f"none is called {kind}_0",
            f"add (declare-const {kind}_0 Real)",
        )
    if found[-1] != len(found) - 1:
        gap = next(i for i, index in enumerate(found) if i != index)
        raise InputError(
            f"{scope.name} does not declare {kind}_{gap}",
            f"it declares {kind}_{found[-1]}",
            f"declare every {what}",
        )
    return len(found)


def _case(one: Alternative, inputs: int, outputs: int, name: str) -> Case:
    low, high = np.full(inputs, -np.inf), np.full(inputs, np.inf)
    for index, (lower, upper) in one.box.items():
        low[index], high[index] = lower.value, upper.value
    for side, edge in (("lower", low), ("upper", high)):
        if not np.isfinite(edge).all():
            index = int(np.flatnonzero(~np.isfinite(edge))[0])
            raise InputError(
                f"{name}: X_{index} has no {side} bound",
                "the prior is uniform on a box",
                f"bound every input on both sides (numbers up to {LARGEST:g})",
            )
    if one.wish == All(()):
        raise InputError(
            f"{name} asks nothing of the outputs", "every input of the box would do", "assert something of Y"
        )
    return Case(low, high, region(one.wish, outputs))


def _empty(name: str, splitter: Splitter) -> InputError:
    if splitter.empty is None:
        why = "a comparison of two numbers is false"
    else:
        index, low, high = splitter.empty
        why = (
            f"X_{index} is to be at least {low.value:g} (line {low.line}) and at most {high.value:g} "
            f"(line {high.line})"
        )
    return InputError(f"{name}: no input meets the assertions", why, "look at these bounds")
