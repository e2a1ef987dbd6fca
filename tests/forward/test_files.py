"""Network files: what was saved comes back, and nothing else gets in."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from probinv._errors import FileError, InputError
from probinv.forward import Activation, Affine, Dense, Function, Layered, load_network, save_network
from probinv.forward.layers import KINDS, AbstractLayer, Convolution, Coupling, Permutation, Reshape
from tests.forward.zoo import layered, scaled


def same(one: Layered, other: Layered) -> bool:
    """The same layers with the same bytes in them."""
    first, second = jax.tree.flatten(one), jax.tree.flatten(other)
    return first[1] == second[1] and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(first[0], second[0], strict=True)
    )


EVERY_LAYER = Layered(
    [
        Affine(2.0, np.arange(3.0)),
        Dense(np.ones((8, 3), np.float32)),
        Activation("elu", 0.3),
        Reshape([2, -1]),
        Convolution(np.ones((2, 2, 3)), np.arange(2.0), stride=2, padding="circular"),
        Reshape(),
        Permutation([2, 0, 1, 3]),
        Coupling(np.ones((3, 1)), np.ones(3), np.ones((6, 3)), np.arange(6.0)),
    ],
    (3,),
)


@pytest.mark.parametrize(
    "network", [layered(), layered(dtype=np.float32), scaled(), EVERY_LAYER, Layered([], ())]
)
def test_what_was_saved_comes_back(network: Layered, tmp_path: Path) -> None:
    path = save_network(network, tmp_path / "net.npz")
    assert path == tmp_path / "net.npz"
    loaded = load_network(path)
    assert same(network, loaded)
    assert loaded.input_shape == network.input_shape
    assert all(leaf.flags.writeable for leaf in jax.tree.leaves(loaded))


def test_every_kind_of_layer_is_tried() -> None:
    assert {type(layer) for layer in EVERY_LAYER.layers} == set(KINDS.values())


def test_weights_in_another_order_come_back(tmp_path: Path) -> None:
    """A transposed array is not contiguous."""
    weight = np.arange(6.0).reshape(2, 3).T
    assert not weight.flags.c_contiguous
    loaded = load_network(save_network(Layered([Dense(weight)], 2), tmp_path / "net.npz"))
    np.testing.assert_array_equal(loaded.layers[0].weight, weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_keeps_the_precision(dtype: Any, tmp_path: Path) -> None:
    loaded = load_network(save_network(layered(dtype=dtype), tmp_path / "net.npz"))
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {np.dtype(dtype)}


def test_numpy_reads_the_arrays_without_pickle(tmp_path: Path) -> None:
    path = save_network(layered(), tmp_path / "net.npz")
    with np.load(path, allow_pickle=False) as parts:
        np.testing.assert_array_equal(parts["0.weight"], layered().layers[0].weight)
        assert json.loads(parts["header.json"])["version"] == 1


def test_the_same_network_is_the_same_file(tmp_path: Path) -> None:
    first, second = (save_network(layered(), tmp_path / name).read_bytes() for name in ("a.npz", "b.npz"))
    assert first == second


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_network(layered(), tmp_path / "net.npz")
    before = path.read_bytes()
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FileError, match=r"cannot be written.*No space left"):
            save_network(scaled(), path)
    assert len(calls) == 1
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]
    save_network(scaled(), path)
    assert same(load_network(path), scaled())
    assert os.listdir(tmp_path) == ["net.npz"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_network(layered(), tmp_path / "net.npz")
    assert os.listdir(tmp_path) == []


def test_only_known_layers_are_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a Function cannot be saved"):
        save_network(Function(abs), tmp_path / "net.npz")

    class Unknown(AbstractLayer):
        def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
            return shape

        def __call__(self, x: jax.Array) -> jax.Array:
            return x

    with pytest.raises(InputError, match="a Unknown layer cannot be saved"):
        save_network(Layered([Unknown()], 3), tmp_path / "net.npz")
    with pytest.raises(FileError, match="cannot be written"):
        save_network(layered(), tmp_path / "no such folder" / "net.npz")
    assert os.listdir(tmp_path) == []


def test_a_network_that_could_not_be_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probinv.forward.loaders._archive.LIMIT", 2**21)
    with pytest.raises(FileError, match="would hold 800 bytes"):
        save_network(Layered([Dense(np.ones((10, 9)))], 9), tmp_path / "net.npz")
