"""The bench of ACAS Xu on networks made here that bear its names."""

from pathlib import Path

import numpy as np
import pytest

from probinv import InputError
from probinv._invert.witness import Search, Witness
from probinv.bench import acasxu as room
from probinv.forward import Layered, save_network

DECLARED = "".join(f"(declare-const {v} Real)" for v in ("X_0", "Y_0"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "acasxu"
    place.mkdir()
    for name in ("1_1", "1_2"):
        save_network(Layered.from_arrays([np.ones((1, 1))]), place / f"ACASXU_run2a_{name}_batch_2000.npz")
    for number in room.PROPERTIES:
        text = f"{DECLARED}(assert (<= 0 X_0 1))(assert (>= Y_0 {number}))"
        (place / f"prop_{number}.vnnlib").write_text(text)
    return place


def test_the_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found is told from missed and from a false claim; a search that finds property 2 everywhere."""

    def search(network: object, asked: object, progress: bool) -> Search:
        found = getattr(asked, "name", "") == "prop_2.vnnlib"
        one = Witness(np.ones(1), np.ones(1), np.ones(1), 0, 0.25) if found else None
        return Search(one, 0.25 if found else -0.5, 7, 0.1)

    monkeypatch.setattr(room, "find_witness", search)
    result = room.bench_acasxu(folder)
    assert len(result.rows) == 10
    rows = {(row[0], row[1]): row for row in result.rows}
    assert rows[2, "1_1"][2:5] == ("none", "found", 0.25)
    assert rows[2, "1_2"][2:5] == ("exists", "found", 0.25)
    assert rows[1, "1_1"][2:5] == ("none", "not found", -0.5)
    assert rows[6, "1_2"][2] == ""
    assert (result.figures["found"], result.figures["missed"], result.figures["false_claim"]) == (2, 0, 1)
    assert rows[2, "1_2"][-1] in ("not checked", "not installed")
    assert "2 found, 0 of the published ones missed, 1 found where none" in result.text()


def test_published_verdicts() -> None:
    found = [
        (k, name)
        for k in room.PROPERTIES
        for name in ("1_1", "1_2", "1_7", "2_3", "3_3", "5_5")
        if room.published(k, name) == "exists"
    ]
    assert found == [(2, "1_2"), (2, "2_3"), (2, "5_5"), (3, "1_7"), (4, "1_7")]
    assert [room.published(6, name) for name in ("1_1", "1_7")] == ["none", ""]


def test_files_that_are_not_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(room.FOLDER, raising=False)
    with pytest.raises(InputError, match="PROBINV_DATA is not set"):
        room.acas_files()
    with pytest.raises(InputError, match=r"has no prop_1.vnnlib"):
        room.acas_files(tmp_path / "none")
    (folder / "prop_3.vnnlib").unlink()
    monkeypatch.setenv(room.FOLDER, str(folder.parent))
    with pytest.raises(InputError, match=r"has no prop_3.vnnlib"):
        room.acas_files(folder)
