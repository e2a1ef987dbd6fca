"""And, or and comparisons: read from a form, and split into boxes of inputs with a wish for each."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from probinv._errors import InputError
from probinv.likelihood import AbstractRegionLikelihood, AnyOf, LinearRegion, Product
from probinv.posterior._linear import Comparison, Scope, comparisons
from probinv.posterior._sexpr import Form, Word, fail

LARGEST = 1e300
"""Of a number in a bound or a row, so that differences and multiples stay finite."""
WORK_MOST = 50_000
"""Bounds that are copied while alternatives are multiplied out: (and (or ...) (or ...) ...) grows fast."""
GROUPS_MOST, ENTRIES_MOST = 4096, 10_000_000
"""Of one LinearRegion; a wish of more alternatives becomes products and unions of several."""


class All(NamedTuple):
    """Every part holds; always true without parts."""

    parts: tuple["Formula", ...]


class Either(NamedTuple):
    """At least one part holds; never true without parts."""

    parts: tuple["Formula", ...]


type Formula = Comparison | All | Either


def holds(formula: Formula, x: Sequence[float], y: Sequence[float]) -> bool:
    """Whether the formula holds of these finite numbers."""
    if isinstance(formula, Comparison):
        return formula.holds(x, y)
    found = (holds(part, x, y) for part in formula.parts)
    return all(found) if isinstance(formula, All) else any(found)


def joined(parts: Iterable[Formula]) -> Formula:
    """All parts, without those that always hold; never true if one never is."""
    kept = list[Formula]()
    for part in parts:
        kept += part.parts if isinstance(part, All) else [part]
    never = Either(())
    return never if never in kept else kept[0] if len(kept) == 1 else All(tuple(kept))


def either(parts: Iterable[Formula]) -> Formula:
    """One of the parts, without those that never hold; always true if one always is."""
    kept = list[Formula]()
    for part in parts:
        kept += part.parts if isinstance(part, Either) else [part]
    always = All(())
    return always if always in kept else kept[0] if len(kept) == 1 else Either(tuple(kept))


def as_formula(form: Word | Form, scope: Scope) -> Formula:
    """The formula that a form writes down.

    Raises:
        InputError: something else than and, or and linear comparisons; a comparison of inputs with outputs or
            of several inputs; an output that is to be equal to something.
    """
    if isinstance(form, Word):
        fail(scope.name, form.line, f"{form.text[:40]!r} is not a formula", "a comparison is expected")
    if form.head in ("and", "or"):
        parts = [as_formula(part, scope) for part in form.parts[1:]]
        if not parts:
            fail(scope.name, form.line, f"{form.head} stands without formulas", "it needs at least one")
        return joined(parts) if form.head == "and" else either(parts)
    if form.head not in ("<=", ">=", "<", ">", "="):
        shown = form.head[:40] or "a parenthesis"
        fail(scope.name, form.line, f"{shown!r} is not a formula", "and, or and <=, >=, <, >, = are read")
    return joined([_checked(one, scope) for one in comparisons(form, scope)])


def _checked(one: Comparison, scope: Scope) -> Formula:
    if not one.of:
        return All(()) if one.holds((), ()) else Either(())
    if one.of == "XY":
        fail(
            scope.name,
            one.line,
            "a comparison mixes inputs and outputs",
            "inputs make the prior and outputs the likelihood",
            "bound inputs and outputs apart",
        )
    if one.of == "X" and len(one.left.terms) > 1:
        fail(
            scope.name,
            one.line,
            "a comparison ties several inputs together",
            "the prior of a property is a box",
            "bound each input, or state the prior in Python",
        )
    if one.of == "Y" and one.sign == "=":
        fail(
            scope.name,
            one.line,
            "an output is to be equal to something",
            "such outputs have no volume, and no network meets them in floating point",
            "give a lower and an upper bound, or use Exactly in Python",
        )
    for number in (*one.left.terms.values(), _quotient(one) if one.of == "X" else one.left.constant):
        if abs(number) > LARGEST or (number and not float(number)):
            fail(scope.name, one.line, "a number is too large or too small", f"at most {LARGEST:g} is read")
    return one


class Bound(NamedTuple):
    """A number, and the line that says it."""

    value: float
    line: int


LOWEST, HIGHEST = Bound(-math.inf, 0), Bound(math.inf, 0)

type Box = dict[int, tuple[Bound, Bound]]


class Alternative(NamedTuple):
    """Bounds of some inputs, and what is asked of the outputs."""

    box: Box
    wish: Formula


class Splitter:
    """Alternatives of a formula, with a limit to what is copied for them."""

    def __init__(self, name: str) -> None:
        self.name, self.left = name, WORK_MOST
        self.empty: tuple[int, Bound, Bound] | None = None

    def split(self, formula: Formula) -> list[Alternative]:
        """Boxes and wishes of which at least one holds wherever the formula does, and only there."""
        if isinstance(formula, Comparison):
            if formula.of == "Y":
                return [Alternative({}, formula)]
            ((_, index),) = formula.left.terms
            return [Alternative({index: _bounds(formula)}, All(()))]
        found = [self.split(part) for part in formula.parts]
        return self._all(found) if isinstance(formula, All) else _any([one for part in found for one in part])

    def _all(self, found: list[list[Alternative]]) -> list[Alternative]:
        box: Box = {}
        wishes = list[Formula]()
        for (one,) in [part for part in found if len(part) == 1]:
            if not self._narrow(box, one.box):
                return []
            wishes.append(one.wish)
        kept = [Alternative(box, joined(wishes))]
        for part in [part for part in found if len(part) != 1]:
            kept = [both for pair in product(kept, part) if (both := self._both(*pair)) is not None]
        return kept

    def _both(self, one: Alternative, other: Alternative) -> Alternative | None:
        self.left -= len(one.box) + len(other.box) + 1
        if self.left < 0:
            raise InputError(
                f"{self.name} has too many cases",
                "its alternatives of inputs multiply",
                "split the property into several files",
            )
        box = dict(one.box)
        return Alternative(box, joined([one.wish, other.wish])) if self._narrow(box, other.box) else None

    def _narrow(self, box: Box, other: Box) -> bool:
        """Adds the bounds to the box; False where nothing is left of it."""
        for index, (low, high) in other.items():
            before = box.get(index, (LOWEST, HIGHEST))
            low, high = max(before[0], low), min(before[1], high)
            box[index] = low, high
            if low.value > high.value:
                self.empty = self.empty or (index, low, high)
                return False
        return True


def _any(found: list[Alternative]) -> list[Alternative]:
    """Those of one box as one."""
    wishes = dict[tuple, list[Formula]]()
    boxes = dict[tuple, Box]()
    for one in found:
        key = tuple(sorted((i, low.value, high.value) for i, (low, high) in one.box.items()))
        boxes.setdefault(key, one.box)
        wishes.setdefault(key, []).append(one.wish)
    return [Alternative(boxes[key], either(wish)) for key, wish in wishes.items()]


def _quotient(one: Comparison) -> Fraction:
    """c of x <= c or x >= c."""
    ((_, factor),) = one.left.terms.items()
    return -one.left.constant / factor


def _bounds(one: Comparison) -> tuple[Bound, Bound]:
    """The float64 interval inside of what the comparison allows; an edge that is outside has no volume."""
    ((_, factor),) = one.left.terms.items()
    exact = _quotient(one)
    low = high = float(exact)
    if Fraction(low) < exact:
        low = math.nextafter(low, math.inf)
    if Fraction(high) > exact:
        high = math.nextafter(high, -math.inf)
    lower, upper = Bound(low, one.line), Bound(high, one.line)
    if one.sign == "=":
        return lower, upper
    return (LOWEST, upper) if factor > 0 else (lower, HIGHEST)


def region(wish: Formula, outputs: int) -> AbstractRegionLikelihood:
    """The wish as a likelihood of a vector of outputs."""
    groups = _groups(wish)
    if groups is not None:
        rows = max(map(len, groups))
        if len(groups) * rows * outputs <= ENTRIES_MOST:
            return _linear_region(groups, rows, outputs)
    assert not isinstance(wish, Comparison)
    parts = [region(part, outputs) for part in wish.parts]
    made = Product(parts) if isinstance(wish, All) else AnyOf(parts)
    assert isinstance(made, AbstractRegionLikelihood)
    return made


def _groups(wish: Formula) -> list[list[Comparison]] | None:
    """The wish as an or of ands; None where there are too many."""
    if isinstance(wish, Comparison):
        return [[wish]]
    found = [_groups(part) for part in wish.parts]
    known = [part for part in found if part is not None]
    if len(known) < len(found):
        return None
    if isinstance(wish, Either):
        return [group for part in known for group in part] if sum(map(len, known)) <= GROUPS_MOST else None
    if math.prod(map(len, known)) > GROUPS_MOST:
        return None
    return [[one for group in pick for one in group] for pick in product(*known)]


def _linear_region(groups: list[list[Comparison]], rows: int, outputs: int) -> LinearRegion:
    A = np.zeros((len(groups), rows, outputs))
    b = np.full(A.shape[:2], np.inf)
    strict = np.zeros(b.shape, bool)
    for g, group in enumerate(groups):
        for i, one in enumerate(group):
            for (_, index), factor in one.left.terms.items():
                A[g, i, index] = float(factor)
            b[g, i], strict[g, i] = -float(one.left.constant), one.sign == "<"
    return LinearRegion(A, b, strict)
