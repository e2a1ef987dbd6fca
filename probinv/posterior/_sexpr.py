"""S-expressions, as SMT-LIB writes them: parentheses, words, and comments from ; to the end of the line."""

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from probinv._errors import InputError

DEPTH_MOST = 100
"""Formulas of real properties are less than ten deep; everything that walks one may recurse."""

PARENTHESES_MOST, WORDS_MOST = 4_000_000, 8_000_000
"""A formula takes some 100 bytes of memory for each; ImageNet's inputs need 0.6 and 3 million."""

_TOKEN = re.compile(rb"(\n)|[ \t\r\f\v]+|;[^\n]*|([()])|([!#-'*-:<-{}~]+)")


class Word(NamedTuple):
    """A word, and the line it stands in, counted from 1."""

    text: str
    line: int


class Form(NamedTuple):
    """What stands between two parentheses, and the line of the first of them."""

    parts: list["Word | Form"]
    line: int

    @property
    def head(self) -> str:
        """The first word, or an empty text where there is none."""
        first = self.parts[0] if self.parts else None
        return first.text if isinstance(first, Word) else ""


def read_forms(data: bytes, name: str) -> Iterator[Form]:
    """The forms of a text one after the other; nothing is built from the part of it that was not asked for.

    Args:
        data: the text. Outside of comments it is ASCII.
        name: of the file, for errors.

    Raises:
        InputError: parentheses do not match or are nested more than 100 deep, a word stands outside of them,
            or there is a character that no formula has.
    """
    _require_balance(data, name)
    line, place, words, open_forms = 1, 0, 0, list[Form]()
    while place < len(data):
        match = _TOKEN.match(data, place)
        if match is None:
            shown = ascii(data[place : place + 1].decode("latin-1"))
            fail(name, line, f"the character {shown} cannot be read", "a formula is plain text")
        place = match.end()
        kind = match.lastindex
        if kind == 1:
            line += 1
        elif kind == 3 and open_forms:
            words += 1
            if words > WORDS_MOST:
                fail(name, line, "the formula is too long", f"at most {WORDS_MOST} words are read")
            open_forms[-1].parts.append(Word(match[3].decode("ascii"), line))
        elif kind == 3:
            shown = match[3][:40].decode("ascii")
            fail(name, line, f"{shown!r} stands outside of parentheses", "a file is a list of commands (...)")
        elif kind == 2 and match[2] == b"(":
            if len(open_forms) == DEPTH_MOST:
                fail(name, line, "parentheses are nested too deep", f"at most {DEPTH_MOST} are read")
            open_forms.append(Form([], line))
        elif kind == 2:
            if not open_forms:
                fail(name, line, "a ) closes nothing", "each closes one (")
            form = open_forms.pop()
            if open_forms:
                open_forms[-1].parts.append(form)
            else:
                yield form


def _require_balance(data: bytes, name: str) -> None:
    """At once, also for a large file of which the end is missing."""
    plain = re.sub(rb";[^\n]*", b"", data)
    opened, closed = plain.count(b"("), plain.count(b")")
    if opened != closed:
        raise InputError(
            f"{name}: parentheses do not match",
            f"{opened} are opened and {closed} are closed",
            "the file is damaged or was cut off: fetch it again",
        )
    if opened > PARENTHESES_MOST:
        raise InputError(
            f"{name}: the formula is too long", f"it has {opened} pairs of parentheses", "split the property"
        )


def fail(name: str, line: int, what: str, why: str, instead: str = "look at that line") -> NoReturn:
    """An InputError that names the file and the line."""
    raise InputError(f"{name}, line {line}: {what}", why, instead)
