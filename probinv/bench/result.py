"""What a benchmark returns: figures for a machine, a table for a person."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Result(NamedTuple):
    """Figures of one run.

    Attributes:
        figures: everything measured, as JSON values.
        columns: the table's headings.
        rows: the table's rows.
        notes: sentences that say how it was measured.
        draw: a picture of the figures, where there is one.
    """

    figures: dict[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str]
    draw: "Callable[[dict[str, Any]], Figure] | None" = None

    def text(self) -> str:
        """The table and the notes, as plain text."""
        cells = [[_cell(value) for value in row] for row in (self.columns, *self.rows)]
        widths = [max(len(row[k]) for row in cells) for k in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width) for k, (cell, width) in enumerate(row)
            )
            for row in (list(zip(line, widths, strict=True)) for line in cells)
        ]
        return "\n".join([*lines, "", *self.notes])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
