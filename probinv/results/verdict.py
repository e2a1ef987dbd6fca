"""What a diagnosis says: a verdict, the reasons for it, and the numbers behind it."""

import enum
import math
import textwrap
from dataclasses import dataclass
from typing import Any, final

WIDTH = 100


@final
class Verdict(enum.StrEnum):
    """Whether the draws can be trusted. The value is the text."""

    OK = "ok"
    NOT_CONVERGED = "not converged"
    PARTLY_REACHED = "reaches Y* only partly"
    NOT_REACHED = "Y* not reached"
    NUMERICAL_FAILURE = "numerical failure"
    UNKNOWN = "unknown"


SEVERITY = (
    Verdict.NUMERICAL_FAILURE,
    Verdict.NOT_REACHED,
    Verdict.NOT_CONVERGED,
    Verdict.PARTLY_REACHED,
    Verdict.UNKNOWN,
    Verdict.OK,
)
"""Worst first: the verdict is the worst that any reason calls for."""


@final
@dataclass(frozen=True)
class Reason:
    """One finding.

    Attributes:
        code: a short fixed name.
        what: what was found.
        advice: what to do about it.
        verdict: what this finding alone calls for; `ok` for a mere remark.
    """

    code: str
    what: str
    advice: str
    verdict: Verdict


@final
@dataclass(frozen=True)
class Findings:
    """What one check has found."""

    reasons: tuple[Reason, ...]
    numbers: dict[str, float | int]
    where: dict[str, str]


@final
@dataclass(frozen=True)
class Diagnosis:
    """Whether a result can be trusted, and why.

    A diagnosis has no truth value of its own: compare `verdict`, as in
    `diagnosis.verdict is Verdict.OK` or `diagnosis.verdict == "ok"`.

    Attributes:
        verdict: the worst that any reason calls for.
        reasons: all findings, worst first; remarks that do not speak against the run come last.
        numbers: name -> number.
        where: name of a number -> the entry or chain that it belongs to.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    numbers: dict[str, float | int]
    where: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values; a number that is not finite becomes None."""
        return {
            "verdict": str(self.verdict),
            "reasons": [
                {"code": r.code, "verdict": str(r.verdict), "what": r.what, "advice": r.advice}
                for r in self.reasons
            ],
            "numbers": {
                name: value if math.isfinite(value) else None for name, value in self.numbers.items()
            },
            "where": dict(self.where),
        }

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}"]
        for reason in self.reasons:
            lines += _wrap("- ", reason.what) + _wrap("  -> ", reason.advice)
        shown = self._shown()
        return "\n".join(lines + (_wrap("numbers: ", "; ".join(shown)) if shown else []))

    def _shown(self) -> list[str]:
        parts = []
        for name, template in _SHOWN:
            value = self.numbers.get(name)
            if value is not None and not math.isnan(value):
                where = f" at {self.where[name]}" if name in self.where else ""
                parts.append(template.format(value) + where)
        return parts[:6]


def conclude(parts: list[Findings]) -> Diagnosis:
    """The diagnosis of all findings together; without any reason nothing is known."""
    reasons = sorted((r for part in parts for r in part.reasons), key=lambda r: SEVERITY.index(r.verdict))
    numbers = {name: value for part in parts for name, value in part.numbers.items()}
    where = {name: value for part in parts for name, value in part.where.items()}
    return Diagnosis(reasons[0].verdict if reasons else Verdict.UNKNOWN, tuple(reasons), numbers, where)


_SHOWN = (
    ("rhat_max", "largest R-hat {:.3f}"),
    ("rhat_halves_max", "largest R-hat of the halves of the chain {:.3f}"),
    ("ess_bulk_min", "smallest bulk ESS {:.0f}"),
    ("ess_tail_min", "smallest tail ESS {:.0f}"),
    ("optima", "{:d} optima"),
    ("reached_fraction", "Y* reached in {:.1%}"),
    ("log_evidence", "log p(Y*) {:.2f}"),
    ("log_evidence_error", "its standard error {:.2f}"),
    ("residual_min", "best residual {:.3g} tolerances"),
    ("divergences", "{:d} divergences"),
    ("gradient_norm_max", "largest gradient norm {:.2g}"),
)


def _wrap(mark: str, text: str) -> list[str]:
    indent = " " * len(mark)
    return textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=indent, break_on_hyphens=False)
