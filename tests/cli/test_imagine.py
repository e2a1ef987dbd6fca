"""`probinv imagine` leaves what it promises, and says how well it imagines."""

from pathlib import Path

import numpy as np
import pytest

from probinv.boltzmann import DBN
from probinv.cli._images import images
from probinv.results.files import load
from probinv.results.tree import provenance
from tests.cli.specs import call


@pytest.mark.slow
def test_it_leaves_a_network_a_tree_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert call("imagine", "--quick", "--labels", 3, 8, "--folder", folder) == 0
    said = capsys.readouterr().out
    files = {path.name for path in folder.iterdir()}
    assert files == {"network.safetensors", "imagined.nc", "imagined.png", "training.png"}
    tree = load(folder / "imagined.nc")
    assert tree["posterior"]["x"].shape == (10, 20, 2, 8, 8)
    assert provenance(tree)["labels"] == ["3", "8"]
    assert f"Verdict: {provenance(tree)['verdict']['verdict']}" in said
    assert "recognises" in said
    network = DBN.load(folder / "network.safetensors")
    assert network.n_features_in_ == 64
    again = tmp_path / "again"
    assert call("imagine", "--model", folder / "network.safetensors", "--labels", 3, "--folder", again) == 0
    assert not (again / "network.safetensors").exists()


def test_the_images_are_real_and_split() -> None:
    found = images(None, 0)
    assert found.train.shape == (1347, 64)
    assert found.test.shape == (450, 64)
    assert found.train.dtype == np.float32
    assert 0 <= found.train.min() < found.train.max() <= 1
    assert np.mean(found.judge(found.test) == found.test_labels) > 0.95


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("imagine", "--data", tmp_path) == 2
    assert "train-images" in capsys.readouterr().err
    assert call("imagine", "--model", tmp_path / "none.safetensors") == 2
    assert "none.safetensors" in capsys.readouterr().err
