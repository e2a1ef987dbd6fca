"""Machine files: what was saved comes back, to the bit, and another reader agrees."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from probinv._errors import FileError, InputError
from probinv.boltzmann._tensors import read_tensors, write_tensors
from probinv.boltzmann.files import load_machine, pack_machine, require_empty, save_machine, unpack_machine
from probinv.boltzmann.machine import Machine, new_machine
from probinv.boltzmann.units import KINDS, AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax

RNG = np.random.default_rng(0)


def machine_of(visible: AbstractUnits, hidden: AbstractUnits, dtype: Any = np.float32) -> Machine:
    shape = (visible.size, hidden.size)
    sizes = (shape, shape[:1], shape[1:])
    return Machine(visible, hidden, *(RNG.normal(size=size).astype(dtype) for size in sizes))


LEARNED = Gaussian(2, jnp.array([0.1, -0.3], jnp.float32))  # what training makes: an array of JAX in float32
MACHINES = {
    "bernoulli": machine_of(Bernoulli(3), Bernoulli(2)),
    "double": machine_of(Bernoulli(3), Bernoulli(2), np.float64),
    "gaussian": machine_of(Gaussian(3, [0.1, 0.2, 0.3]), Rectified(2)),
    "learned": machine_of(LEARNED, Bernoulli(4)),
    "softmax": machine_of(Softmax(3, 2), Gaussian(1)),
    "joined": machine_of(Joined([Bernoulli(2), Joined([LEARNED, Softmax(3)])]), Joined([LEARNED, LEARNED])),
    "of JAX": new_machine(Bernoulli(3), Bernoulli(2), jax.random.key(0)),
}


def same(one: Machine, other: Machine) -> bool:
    """The same units, and the same bytes in the arrays."""
    first, second = jax.tree.flatten(one), jax.tree.flatten(other)
    return first[1] == second[1] and all(
        a.dtype == b.dtype and a.shape == b.shape and np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in zip(first[0], second[0], strict=True)
    )


def kinds_in(about: dict) -> set[str]:
    return {about["kind"]}.union(*(kinds_in(part) for part in about.get("parts", [])))


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_comes_back(name: str, tmp_path: Path) -> None:
    path = save_machine(MACHINES[name], tmp_path / "m.safetensors")
    assert path == tmp_path / "m.safetensors"
    loaded = load_machine(path)
    assert same(MACHINES[name], loaded)
    assert all(type(leaf) is np.ndarray and leaf.flags.writeable for leaf in jax.tree.leaves(loaded))
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_every_kind_of_units_is_tried() -> None:
    headers = [pack_machine(machine)[0] for machine in MACHINES.values()]
    assert set().union(*(kinds_in(header[side]) for header in headers for side in header)) == set(KINDS)


def test_a_transposed_machine_comes_back(tmp_path: Path) -> None:
    """safetensors writes arrays that are not contiguous wrongly, without a word."""
    flipped = MACHINES["gaussian"].flipped
    assert not flipped.weight.flags.c_contiguous
    assert same(load_machine(save_machine(flipped, tmp_path / "m")), flipped)


def test_the_same_machine_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (save_machine(MACHINES["joined"], tmp_path / name).read_bytes() for name in "ab")
    assert first == second


def test_any_reader_of_safetensors_can_read_the_arrays(tmp_path: Path) -> None:
    machine = MACHINES["joined"].flipped
    found = safetensors.numpy.load_file(save_machine(machine, tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(found["weight"], machine.weight)
    np.testing.assert_array_equal(found["hidden.1.0.log_sigma"], LEARNED.log_sigma)
    assert len(found) == 6


def test_several_machines_lie_in_one_file(tmp_path: Path) -> None:
    stack = [MACHINES["bernoulli"], MACHINES["learned"]]
    packed = [pack_machine(machine, f"{number}.") for number, machine in enumerate(stack)]
    header = {"machines": [about for about, _ in packed]}
    path = write_tensors(tmp_path / "s", "a stack", 3, header, packed[0][1] | packed[1][1])
    found, arrays = read_tensors(path, "a stack", 3)
    loaded = [unpack_machine(about, arrays, f"{n}.") for n, about in enumerate(found["machines"])]
    require_empty(arrays)
    assert all(same(a, b) for a, b in zip(stack, loaded, strict=True))


ARRAYS: dict[str, Any] = {
    "keys": jax.random.key_data(jax.random.split(jax.random.key(3), 4)),
    "fortran": np.asfortranarray(RNG.normal(size=(3, 4, 5)).astype(np.float32)),
    "strided": np.arange(20)[::3],
    "reversed": np.arange(6.0)[::-1],
    "big": np.arange(5, dtype=">i4"),
    "truth": np.array([[True, False], [False, True]]).T,
    "scalar": np.float64(0.1),
    "integer": 7,
    "none": np.zeros((0, 3)),
    "broadcast": np.broadcast_to(np.float16(2.5), (2, 2)),
    "bytes": np.arange(3, dtype=np.uint8),
    "largest": np.array([2**64 - 1], np.uint64),
    "smallest": np.array([-(2**63)], np.int64),
    "zeros": np.array([0.0, -0.0]),
}


def test_arrays_of_any_kind_come_back(tmp_path: Path) -> None:
    header = {"step": 3, "nested": {"rates": [0.1, 1e-300], "text": 'é "0" \ud800'}, "x" * 64: "0" * 64}
    path = write_tensors(tmp_path / "t", "test", 1, header, ARRAYS)
    found, arrays = read_tensors(path, "test", 1)
    assert found == header
    assert set(arrays) == set(ARRAYS)
    for name, array in arrays.items():
        wanted = np.asarray(ARRAYS[name])
        assert array.dtype == wanted.dtype.newbyteorder("=")
        assert array.dtype.isnative
        assert array.shape == wanted.shape
        assert array.tobytes() == wanted.astype(array.dtype).tobytes()
        assert array.flags.writeable
        assert array.flags.c_contiguous


def test_no_arrays_are_a_file_too(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "t", "test", 1, {}, {})
    assert read_tensors(path, "test", 1) == ({}, {})


def test_nan_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    values = {"history": np.array([np.nan, np.inf])}
    path = write_tensors(tmp_path / "t", "test", 1, {}, values, finite=False)
    np.testing.assert_array_equal(
        read_tensors(path, "test", 1, finite=False)[1]["history"], values["history"]
    )
    with pytest.raises(FileError, match=r"holds NaN or infinity.*'history'"):
        read_tensors(path, "test", 1)


REFUSED: dict[str, tuple[dict, dict, str]] = {
    "typed key": ({}, {"a": jax.random.key(0)}, "a is not an array of numbers.*key_data"),
    "objects": ({}, {"a": np.array([print])}, "a is of dtype object"),
    "text": ({}, {"a": "hello"}, "a is of dtype <U5"),
    "complex": ({}, {"a": 1j}, "a is of dtype complex128"),
    "bfloat16": ({}, {"a": jnp.zeros(2, jnp.bfloat16)}, "a is of dtype bfloat16"),
    "ragged": ({}, {"a": [[1], [1, 2]]}, "a is not an array"),
    "NaN": ({}, {"a": np.array([np.nan])}, "a is not finite"),
    "infinity": ({}, {"a": -np.inf}, "a is not finite"),
    "reserved": ({}, {"__metadata__": np.zeros(1)}, "cannot be the name"),
    "no name": ({}, {"": np.zeros(1)}, "cannot be the name"),
    "not ASCII": ({}, {"\ud800": np.zeros(1)}, "cannot be the name"),
    "NaN in the header": ({"a": float("nan")}, {}, "header is no JSON"),
    "array in the header": ({"a": np.zeros(1)}, {}, "header is no JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_is_said_and_leaves_no_file(name: str, tmp_path: Path) -> None:
    header, arrays, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        write_tensors(tmp_path / "t", "test", 1, header, arrays)
    assert os.listdir(tmp_path) == []


def test_a_long_header_or_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"header of .* would be too long"):
        write_tensors(tmp_path / "t", "test", 1, {"a": "x" * 2**20}, {})
    with pytest.raises(FileError, match="would hold"):
        write_tensors(tmp_path / "t", "test", 1, {}, {"a": np.broadcast_to(np.uint8(0), 2**30)})
    assert os.listdir(tmp_path) == []


def test_only_machines_of_known_units_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="dict cannot be saved as a machine"):
        save_machine({}, tmp_path / "m")
    monkeypatch.delitem(KINDS, "rectified")
    with pytest.raises(InputError, match="Rectified units cannot be saved"):
        save_machine(MACHINES["gaussian"], tmp_path / "m")


def test_an_old_file_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_machine(MACHINES["bernoulli"], tmp_path / "m")
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"cannot be written.*No space left"):
        save_machine(MACHINES["double"], path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]


def test_what_was_written_wrongly_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
        return safetensors.numpy.save({name: array[::-1].copy() for name, array in arrays.items()}, metadata)

    monkeypatch.setattr("probinv.boltzmann._tensors.save", careless)
    with pytest.raises(FileError, match="'weight' did not come back"):
        save_machine(MACHINES["bernoulli"], tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "m", tmp_path / "a\0b"):
        with pytest.raises(FileError, match="cannot be written"):
            save_machine(MACHINES["bernoulli"], path)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save_machine(MACHINES["bernoulli"], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "real").is_symlink()
    assert same(load_machine(tmp_path / "link"), MACHINES["bernoulli"])


def test_the_header_can_be_read_by_people(tmp_path: Path) -> None:
    """The documented layout, read without our reader."""
    data = save_machine(MACHINES["softmax"], tmp_path / "m").read_bytes()
    entries = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    facts = json.loads(entries["__metadata__"]["probinv"])
    assert (facts["format"], facts["version"]) == ("probinv machine", 1)
    assert facts["header"]["visible"] == {"kind": "softmax", "settings": {"classes": 3, "groups": 2}}
    assert facts["header"]["hidden"] == {"kind": "gaussian", "settings": {"n": 1}}
