"""The cases that the onnx package ships: none of them may come out wrong, and these many pass."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.forward.onnx_cases import (
    Outcome,
    counted,
    file_cases,
    file_outcomes,
    is_inference,
    node_cases,
    node_outcomes,
)

TABLE = json.loads((Path(__file__).parent / "onnx_counts.json").read_text("utf-8"))
SAME = onnx.__version__ == TABLE["onnx"]
"""The table is of one version of onnx; with another, cases may be more, and may be refused, but not wrong."""


def judge(found: dict[str, tuple[Any, Outcome]], table: str) -> None:
    """Nothing is wrong, nine tenths of inference pass, and the counts are those of the table."""
    wrong = {name: one.why for name, (_, one) in found.items() if one.verdict == "wrong"}
    assert not wrong
    inference = Counter(one.verdict for model, one in found.values() if is_inference(model, one.why))
    assert inference["passed"] >= 0.9 * inference.total()
    if SAME:
        counts = counted(found, table)
        assert counts == {name: TABLE[name] for name in counts}
        as_before(found)


def with_models(cases: list[Any]) -> dict[str, tuple[Any, Outcome]]:
    found = node_outcomes(cases)
    return {case.name: (case.model, found[case.name]) for case in cases}


def as_before(found: dict[str, tuple[Any, Outcome]]) -> None:
    refused = {name: one.why for name, (_, one) in found.items() if one.verdict == "refused"}
    assert set(refused) == set(TABLE["refused"]) & set(found), refused


@pytest.mark.slow
def test_every_node_case() -> None:
    judge(with_models(node_cases()), "node")


@pytest.mark.slow
def test_every_file_case() -> None:
    judge(file_outcomes(file_cases()), "file")


@pytest.mark.parametrize("part", range(4))
def test_some_node_cases(part: int) -> None:
    """Every thirteenth in all, without those in which an operator is written out."""
    cases = [case for case in node_cases() if not case.name.endswith("_expanded")]
    found = with_models(cases[part::52])
    assert not {name: one.why for name, (_, one) in found.items() if one.verdict == "wrong"}
    assert sum(one.verdict == "passed" for _, one in found.values()) > 0.5 * len(found)
    if SAME:
        as_before(found)
