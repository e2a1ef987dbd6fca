"""`probinv invert --network N --property P`: exit codes, words, and the files that are written."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from probinv._invert import witness
from probinv._invert.witness import Search, Witness
from probinv.forward import save_network
from probinv.posterior import load_property
from probinv.results.files import load
from tests.cli.specs import GOOD, call, network, write

PROPERTY = """
(declare-const X_0 Real) (declare-const X_1 Real) (declare-const X_2 Real)
(declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (and (<= -1 X_0 1) (<= -1 X_1 1) (<= -1 X_2 1)))
(assert (<= Y_0 Y_1))
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A network and a property as words for the command, run in their folder."""
    monkeypatch.chdir(tmp_path)
    save_network(network(), Path("net.npz"))
    Path("p.vnnlib").write_text(PROPERTY)
    return ["invert", "--network", "net.npz", "--property", "p.vnnlib", "--quiet"]


def answer(monkeypatch: pytest.MonkeyPatch, found: Witness | None) -> None:
    def search(*args: Any, **settings: Any) -> Search:
        return Search(found, -0.5 if found is None else found.margin, 1, 0.1)

    monkeypatch.setattr(witness, "find_witness", search)


@pytest.mark.slow
def test_a_witness_and_draws(files: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*files, "--draws", 50, "--chains", 2) == 0
    out = capsys.readouterr().out
    asked = load_property("p.vnnlib")
    values = [
        float(line.strip("() \n").split()[1]) for line in Path("net_p_witness.txt").read_text().splitlines()
    ]
    assert asked.reached(values[:3], values[3:])
    np.testing.assert_allclose(network()(jnp.array(values[:3])), values[3:], rtol=1e-5)
    tree = load(Path("net_p.nc"))
    pairs = zip(
        tree["posterior"]["x"].values.reshape(-1, 3),
        tree["posterior_predictive"]["y"].values.reshape(-1, 2),
        strict=True,
    )
    assert all(asked.reached(x, y) for x, y in pairs)
    assert tree["posterior"]["x"].shape == (2, 50, 3)
    assert out.index("question: Property(p.vnnlib") < out.index("found: ") < out.index("witness: net_p_w")
    assert out.rstrip().endswith("saved: net_p.nc")
    assert call(*files) == 2
    assert "exists already" in capsys.readouterr().err


def test_not_found_has_its_own_code_and_writes_nothing(
    files: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, None)
    assert call(*files) == 3
    assert "not found: " in capsys.readouterr().out
    assert sorted(path.name for path in Path().iterdir()) == ["net.npz", "p.vnnlib"]


def test_a_witness_without_draws_stands_alone(
    files: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All inputs are fixed: there is nothing to draw."""
    Path("p.vnnlib").write_text(PROPERTY.replace("-1 X", "1 X"))
    answer(monkeypatch, Witness(np.ones(3), np.zeros(2), np.zeros(2), 0, 0.0))
    assert call(*files, "-o", "other.nc") == 0
    assert "draws: none" in capsys.readouterr().out
    assert Path("other_witness.txt").read_text().startswith("((X_0 1.0)\n (X_1 1.0)")
    assert not Path("other.nc").exists()


def test_a_dry_run_looks_at_both_files(files: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*files, "--dry-run") == 0
    assert "nothing is wrong; the result would be saved as net_p.nc" in capsys.readouterr().out


REFUSED: dict[str, tuple[tuple[object, ...], str]] = {
    "resume": (("--resume", "x.nc"), "--resume cannot be used with --property"),
    "method": (("--method", "nuts"), "--method cannot be used with --property"),
    "setting": (("--warmup", 3), "--warmup is not a setting of subset"),
    "ending": (("-o", "x.txt"), "does not end with .nc"),
    "no network": (("--network", "none.npz"), "there is no network file none.npz"),
    "no property": (("--property", "none.vnnlib"), "none.vnnlib cannot be opened"),
    "outputs": (("--property", "wide.vnnlib"), "the network gives 2 outputs: wide.vnnlib speaks of 3"),
    "inputs": (("--property", "long.vnnlib"), "the network takes 3 inputs, in shape (3,): 4 are given"),
    "damaged": (("--property", "cut.vnnlib"), "cut.vnnlib: parentheses do not match"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_computed(
    name: str, files: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(witness, "find_witness", None)
    Path("wide.vnnlib").write_text("(declare-const Y_2 Real)" + PROPERTY)
    Path("long.vnnlib").write_text(f"(declare-const X_3 Real)(assert (= X_3 0)){PROPERTY}")
    Path("cut.vnnlib").write_text(PROPERTY[:-4])
    words, says = REFUSED[name]
    assert call(*files, *words) == 2
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words", [("--network", "net.npz"), ("--property", "p.vnnlib"), ("spec.toml", "--property", "p.vnnlib")]
)
def test_a_network_and_a_property_belong_together(
    words: tuple[str, ...], files: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path(), GOOD)
    assert call("invert", *words) == 2
    assert "usage: probinv invert" in capsys.readouterr().err
