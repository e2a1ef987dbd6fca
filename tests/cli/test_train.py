"""`probinv train` leaves a network that can be read, and refuses what it cannot use."""

from pathlib import Path

import numpy as np
import pytest

from probinv.boltzmann import DBN, RBM
from probinv.forward import load_network
from tests.cli.specs import call


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", (rng.random((40, 2, 3)) < 0.4).astype(float))
    np.save(tmp_path / "y.npy", np.arange(40) % 2)
    return tmp_path


@pytest.mark.slow
def test_each_kind_is_trained_and_written(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--epochs", 2, "--batch-size", 20, "--hidden", 4)
    assert (
        call("train", "rbm", rows / "x.npy", "-o", rows / "m.safetensors", "--labels", rows / "y.npy", *few)
        == 0
    )
    assert RBM.load(rows / "m.safetensors").imagine(1, 2, steps=3).shape == (2, 6)
    assert "m.safetensors (epoch 2" in capsys.readouterr().out
    stages = ("--checkpoint", rows / "stages")
    assert call("train", "dbn", rows / "x.npy", "-o", rows / "d.safetensors", *stages, *few, 3) == 0
    assert len(list((rows / "stages").iterdir())) == 2
    assert DBN.load(rows / "d.safetensors").sample(2, steps=3).shape == (2, 6)
    assert call("train", "autoencoder", rows / "x.npy", "-o", rows / "a.npz", *few, 2) == 0
    assert load_network(rows / "a.npz").output_shape == (6,)
    assert load_network(rows / "a_encoder.npz").output_shape == (2,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rbm", "x.npy", "-o", "m.npz"), "does not end with .safetensors"),
        (("rbm", "x.npy", "-o", "m.safetensors", "--hidden", 3, 4), "one hidden layer"),
        (("rbm", "none.npy", "-o", "m.safetensors"), "no file"),
        (("rbm", "y.npy", "-o", "m.safetensors"), "shape (40,)"),
        (("rbm", "x.npy", "-o", "m.safetensors", "--labels", "x.npy"), "y has shape"),
        (("autoencoder", "x.npy", "-o", "a.npz", "--labels", "y.npy"), "--labels is given"),
        (("autoencoder", "x.npy", "-o", "d.npz", "--checkpoint", "c"), "--checkpoint is given"),
        (("autoencoder", "x.npy", "-o", "d.npz", "--tuning", "3"), "--tuning is given"),
        (("autoencoder", "x.npy", "-o", "d.npz", "--real"), "--real is given"),
        (("rbm", "x.npy", "-o", "m.safetensors", "--tuning", 3), "--tuning is given"),
    ],
)
def test_refusals(rows: Path, words: tuple, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [rows / word if str(word).endswith((".npy", ".npz", ".safetensors")) else word for word in words]
    assert call("train", *words) == 2
    assert message in capsys.readouterr().err
    assert not list(rows.glob("*.safetensors"))


def test_an_existing_file_is_not_replaced_unasked(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (rows / "m.safetensors").write_text("mine")
    assert call("train", "rbm", rows / "x.npy", "-o", rows / "m.safetensors") == 2
    assert "exists already" in capsys.readouterr().err
    assert (rows / "m.safetensors").read_text() == "mine"
