"""List the methods: what each sees of the posterior, whether its draws are exact, and its settings."""

import argparse
import shutil
import textwrap
from collections.abc import Sequence

from probinv.cli import _kinds
from probinv.cli._source import Signature, signature


def arguments(parser: argparse.ArgumentParser) -> None:
    """No option is needed."""


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    print(table())
    return 0


def table(width: int | None = None) -> str:
    """The registry as text: one row for each method, with its formula and its settings below it."""
    width = width or min(110, max(60, shutil.get_terminal_size().columns))
    found = {name: signature(entry) for name, entry in _kinds.methods().items()}
    rows = [("name", "class", "view", "exact")]
    rows += [(name, one.name, one.facts["view"], _exact(one)) for name, one in found.items()]
    heads = _columns(rows)
    lines = [heads[0]]
    for head, one in zip(heads[1:], found.values(), strict=True):
        lines += ["", head, *_wrap(one.doc, width, 4), *_settings(one, width)]
    return "\n".join(lines)


def _exact(one: Signature) -> str:
    return "yes: draws" if one.facts["exact"] == "True" else "no: points"


def _settings(one: Signature, width: int) -> list[str]:
    """Name, default and type of each setting, and what it does."""
    rows = [(p.name, str(p.default), p.annotation) for p in one.parameters.values()]
    lines = []
    for row, name in zip(_columns(rows), one.parameters, strict=True):
        lines += [f"      {row}", *_wrap(one.about.get(name, ""), width, 10)]
    return lines


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _wrap(text: str, width: int, margin: int) -> list[str]:
    space = " " * margin
    return textwrap.wrap(text, width, initial_indent=space, subsequent_indent=space)
