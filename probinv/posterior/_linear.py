"""Linear terms and comparisons of inputs X_i and outputs Y_i, in exact arithmetic."""

import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple, NoReturn

from probinv._errors import InputError
from probinv.posterior._sexpr import Form, Word, fail

BITS_MOST = 4096
"""Of an exact number; a float64 needs up to 2098."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?")
_VARIABLE = re.compile(r"[XY]_(0|[1-9]\d{0,7})")
_DIGITS_MOST = 400

type Variable = tuple[Literal["X", "Y"], int]


class Linear(NamedTuple):
    """sum_v terms[v] v + constant."""

    terms: dict[Variable, Fraction]
    constant: Fraction


class Comparison(NamedTuple):
    """left <= 0, left < 0 or left = 0, and the line that says so."""

    left: Linear
    sign: Literal["<=", "<", "="]
    line: int

    @property
    def of(self) -> str:
        """X, Y or XY for what it compares; empty for constants."""
        return "".join(sorted({kind for kind, _ in self.left.terms}))

    def holds(self, x: Sequence[float], y: Sequence[float]) -> bool:
        """Whether it holds of these finite float64 numbers, without any rounding."""
        found = self.left.constant
        for (kind, index), factor in self.left.terms.items():
            found += factor * Fraction((x if kind == "X" else y)[index])
        return found <= 0 if self.sign == "<=" else found < 0 if self.sign == "<" else found == 0


class Scope(NamedTuple):
    """The file's name, and the variables that it has declared so far."""

    name: str
    declared: set[Variable]


def as_variable(text: str) -> Variable | None:
    """X_3 as ("X", 3); None for another word."""
    if not _VARIABLE.fullmatch(text):
        return None
    return ("X" if text[0] == "X" else "Y"), int(text[2:])


def comparisons(form: Form, scope: Scope) -> Iterator[Comparison]:
    """The comparisons of (<= a b c ...): a with b, b with c, ...

    Raises:
        InputError: a term is not linear, a variable is not declared, or fewer than two terms are compared.
    """
    terms = [_term(part, scope) for part in form.parts[1:]]
    if len(terms) < 2:
        fail(scope.name, form.line, f"{form.head} compares {len(terms)} terms", "it needs two")
    for one, other in pairwise(terms):
        low, high = (other, one) if form.head in (">=", ">") else (one, other)
        sign: Literal["<=", "<", "="] = "=" if form.head == "=" else "<=" if "=" in form.head else "<"
        left = _sum([low, _scaled(high, Fraction(-1), scope, form.line)], scope, form.line)
        yield Comparison(left, sign, form.line)


def _term(part: Word | Form, scope: Scope) -> Linear:
    if isinstance(part, Word):
        return _word(part, scope)
    if part.head not in ("+", "-", "*", "/"):
        _not_linear(f"{part.head[:40]!r} in a term", scope, part.line)
    terms = [_term(one, scope) for one in part.parts[1:]]
    if not terms:
        fail(scope.name, part.line, f"{part.head} stands without terms", "it needs at least one")
    if part.head in ("*", "/"):
        found = terms[0]
        for one in terms[1:]:
            found = (
                _times(found, one, scope, part.line)
                if part.head == "*"
                else _over(found, one, scope, part.line)
            )
        return found
    kept = terms[:1] if len(terms) > 1 or part.head == "+" else []
    others = terms[len(kept) :]
    if part.head == "-":
        others = [_scaled(one, Fraction(-1), scope, part.line) for one in others]
    return _sum(kept + others, scope, part.line)


def _times(one: Linear, other: Linear, scope: Scope, line: int) -> Linear:
    if one.terms and other.terms:
        _not_linear("a product of variables", scope, line)
    whole, factor = (one, other) if one.terms else (other, one)
    return _scaled(whole, factor.constant, scope, line)


def _over(one: Linear, other: Linear, scope: Scope, line: int) -> Linear:
    if other.terms:
        _not_linear("a division by a variable", scope, line)
    if other.constant == 0:
        fail(scope.name, line, "a division by zero", "it has no value")
    return _scaled(one, 1 / other.constant, scope, line)


def _word(word: Word, scope: Scope) -> Linear:
    text, shown = word.text, repr(word.text[:40])
    if _NUMBER.fullmatch(text) and len(text) <= _DIGITS_MOST:
        value = float(text)
        if not math.isfinite(value):
            fail(scope.name, word.line, f"the number {shown} is too large", "a float64 cannot hold it")
        return Linear({}, Fraction(value))
    variable = as_variable(text)
    if variable is None:
        what = f"{shown} is neither a number nor a variable"
        fail(scope.name, word.line, what, "inputs are X_0, X_1, ... and outputs Y_0, Y_1, ...")
    if variable not in scope.declared:
        fail(scope.name, word.line, f"{shown} is not declared", "a variable is declared before it is used")
    return Linear({variable: Fraction(1)}, Fraction(0))


def _sum(terms: list[Linear], scope: Scope, line: int) -> Linear:
    found, constant = dict[Variable, Fraction](), Fraction(0)
    for one in terms:
        constant = _bounded(constant + one.constant, scope, line)
        for variable, factor in one.terms.items():
            found[variable] = _bounded(found.get(variable, Fraction(0)) + factor, scope, line)
    return Linear({variable: factor for variable, factor in found.items() if factor}, constant)


def _scaled(term: Linear, factor: Fraction, scope: Scope, line: int) -> Linear:
    if not factor:
        return Linear({}, Fraction(0))
    terms = {variable: _bounded(factor * old, scope, line) for variable, old in term.terms.items()}
    return Linear(terms, _bounded(factor * term.constant, scope, line))


def _bounded(value: Fraction, scope: Scope, line: int) -> Fraction:
    """The same, or an InputError: exact numbers grow with every operation, and a file may ask for many."""
    if value.numerator.bit_length() > BITS_MOST or value.denominator.bit_length() > BITS_MOST:
        fail(scope.name, line, "a number is too large or too small", "a float64 cannot hold it")
    return value


def _not_linear(what: str, scope: Scope, line: int) -> NoReturn:
    raise InputError(
        f"{scope.name}, line {line}: {what}",
        "comparisons must be linear: sums, differences and multiples of variables",
        "write such a wish in Python, as a likelihood of its own (docs/extending.md)",
    )
