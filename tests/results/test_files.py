"""Trees survive being saved; damaged and hostile files are refused, soon and in words."""

import contextlib
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import arviz_base
import h5py
import numpy as np
import pytest
import xarray as xr

import probinv
from probinv._errors import FileError
from probinv.results import _hdf5, _seal, diagnose, load, provenance, save

from .runs import linear

SECONDS = 2.0


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    run, z = linear(draws=50)
    return run.tree(z)


@pytest.fixture
def saved(tree: xr.DataTree, tmp_path: Path) -> Path:
    return save(tree, tmp_path / "result.nc")


@contextlib.contextmanager
def refused(match: str) -> Any:
    """A FileError in time, and no file left open by it."""
    began = time.process_time()
    with pytest.raises(FileError, match=match) as caught:
        yield
    assert time.process_time() - began < SECONDS
    assert caught.value.instead


def odd() -> xr.DataTree:
    """What ArviZ trees and those of other programs may hold."""
    group = xr.Dataset(
        {
            "flag": ("n", np.array([True, False])),
            "word": ("n", np.array(["é", "longer"])),
            "empty": ("k", np.zeros(0)),
            "count": ("n", np.array([1, 2**32 - 1], np.uint32)),
            "tiny": ("n", np.array([1.5, -0.0], np.float32)),
            "big": ("n", np.array([1.0, np.nan], ">f8")),
            "turned": (("n", "m"), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
            "when": ("n", np.array(["2020-01-01", "2021-02-03T04:05:06"], "M8[s]")),
            "scalar": ((), np.float64(3.0)),
            "holes": ("n", np.array([np.inf, np.nan])),
        },
        coords={"n": ["a", "b"]},
        attrs={"bool": True, "none": None, "table": {"a": [1, {"b": None}]}, "one": [1], "list": [1.5, 2.5]},
    )
    group["flag"].attrs = {"shown": False, "unit": "µm", "long": 2**70}
    return xr.DataTree.from_dict({"a": group, "a/deep": xr.Dataset({"v": ("v", [1.0, 2.0])}, attrs={"": ""})})


# --- what comes back -------------------------------------------------------------------------------------


def test_a_result_comes_back_as_it_was(tree: xr.DataTree, saved: Path) -> None:
    again = load(saved)
    xr.testing.assert_identical(again, tree)
    assert again["sample_stats"]["reached"].dtype == bool
    assert provenance(again) == provenance(tree)
    assert diagnose(again).as_dict() == diagnose(tree).as_dict()


def test_the_front_door_knows_results_too(tree: xr.DataTree, saved: Path) -> None:
    assert probinv.load(saved).identical(load(saved))
    with pytest.raises(FileError, match=r"none\.nc"):
        probinv.load("none.nc", checksum=False)


def test_odd_variables_and_attributes_come_back(tmp_path: Path) -> None:
    tree = odd()
    del tree["a/deep"].attrs[""]
    again = load(save(tree, tmp_path / "odd.nc"))
    a, b = tree["a"], again["a"]
    for name in a.data_vars:
        np.testing.assert_array_equal(b[name].values, a[name].values)
        assert b[name].dtype.kind == a[name].dtype.kind
    assert b["flag"].dtype == bool
    assert b.attrs["bool"] is True
    assert b.attrs["none"] is None
    assert b.attrs["table"] == {"a": [1, {"b": None}]}
    assert b["flag"].attrs == {"shown": False, "unit": "µm", "long": 2**70}
    assert set(again.attrs) == set(tree.attrs)
    assert load(save(again, tmp_path / "odd.nc")).identical(again)


def test_saving_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    tree = odd()
    del tree["a/deep"].attrs[""]
    before = tree.copy(deep=True)
    save(tree, tmp_path / "odd.nc")
    xr.testing.assert_identical(tree, before)
    assert tree["a"].attrs["bool"] is True


def test_xarray_opens_it_without_probinv(tree: xr.DataTree, saved: Path) -> None:
    with xr.open_datatree(saved, engine="h5netcdf") as opened:
        xr.testing.assert_equal(opened["posterior"].to_dataset(), tree["posterior"].to_dataset())
        assert opened.attrs["probinv"] == tree.attrs["probinv"]
        assert len(opened.attrs["probinv_sha256"]) == 64


def test_a_file_of_other_origin_needs_a_word(tmp_path: Path) -> None:
    arviz_base.from_dict({"posterior": {"mu": np.zeros((2, 3))}}).to_netcdf(
        tmp_path / "a.nc", engine="h5netcdf"
    )
    with refused("no checksum"):
        load(tmp_path / "a.nc")
    assert load(tmp_path / "a.nc", checksum=False)["posterior"]["mu"].shape == (2, 3)


def test_packed_encodings_do_not_round_the_numbers(tree: xr.DataTree, tmp_path: Path) -> None:
    packed = tree.copy(deep=True)
    packed["posterior"]["x"].encoding = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -1}
    xr.testing.assert_identical(load(save(packed, tmp_path / "p.nc")), tree)


# --- overwriting -------------------------------------------------------------------------------------------


def test_overwriting_leaves_a_lazily_open_copy_valid(tree: xr.DataTree, saved: Path) -> None:
    expected = tree["posterior"]["x"].values
    with xr.open_datatree(saved, engine="h5netcdf") as lazy:
        other = tree.copy(deep=True)
        other["posterior"]["x"].values[...] = 7.0
        save(other, saved)
        np.testing.assert_array_equal(lazy["posterior"]["x"].values, expected)
    assert (load(saved)["posterior"]["x"] == 7.0).all()


def test_a_lazily_open_tree_can_be_saved_over_its_own_file(tree: xr.DataTree, saved: Path) -> None:
    with xr.open_datatree(saved, engine="h5netcdf") as lazy:
        save(lazy, saved)
    xr.testing.assert_identical(load(saved), tree)


def test_load_leaves_no_file_open(saved: Path) -> None:
    here = Path("/proc/self/fd")
    if not here.exists():
        pytest.skip("no list of open files on this system")
    load(saved)
    assert not [link for link in here.iterdir() if saved.name in os.path.realpath(link)]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")]
)
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tree: xr.DataTree, saved: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def fail(self: Any, path: Path, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(xr.DataTree, "to_netcdf", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else FileError):
        save(tree, saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_what_is_written_wrongly_is_noticed(
    tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = xr.DataTree.to_netcdf

    def wrong(self: xr.DataTree, path: Path, **settings: Any) -> None:
        twisted = self.copy(deep=True)
        twisted["posterior"]["x"].values[0, 0, 0] += 1e-12
        write(twisted, path, **settings)

    monkeypatch.setattr(xr.DataTree, "to_netcdf", wrong)
    with pytest.raises(FileError, match="read back differs"):
        save(tree, tmp_path / "r.nc")
    assert not list(tmp_path.iterdir())


def test_rights_of_the_file(tree: xr.DataTree, saved: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o666 & ~mask
    saved.chmod(0o640)
    save(tree, saved)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tree: xr.DataTree, saved: Path) -> None:
    link = saved.with_name("latest.nc")
    link.symlink_to(saved.name)
    save(tree, link)
    assert link.is_symlink()
    xr.testing.assert_identical(load(link), tree)


@pytest.mark.parametrize("place", ["missing/r.nc", "file/r.nc", ".", "n" * 300 + ".nc"])
def test_places_that_cannot_be_written(tree: xr.DataTree, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with refused("cannot be (over)?written"):
        save(tree, tmp_path / place)


def test_a_folder_without_the_right_to_write(
    tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # not by chmod: the tests may run as a user who may write everywhere
    def deny(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    with refused("Permission denied.*directory"):
        save(tree, tmp_path / "r.nc")


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_names_that_are_no_names(tree: xr.DataTree, path: str) -> None:
    with refused("not the name of a file"):
        save(tree, path)
    with refused("not the name of a file"):
        load(path)


def test_a_tree_that_netcdf_cannot_hold(tmp_path: Path) -> None:
    thing = np.array([{"a": 1}, object()], object)
    with refused("cannot be saved"):
        save(xr.DataTree.from_dict({"a": xr.Dataset({"v": ("n", thing)})}), tmp_path / "r.nc")
    assert not list(tmp_path.iterdir())


# --- damaged and hostile files -----------------------------------------------------------------------------


def test_no_file_a_folder_a_pipe(tmp_path: Path) -> None:
    with refused("No such file"):
        load(tmp_path / "none.nc")
    with refused("not a file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe.nc")
    with refused("not a file"):
        load(tmp_path / "pipe.nc")


@pytest.mark.parametrize(
    "content", [b"", b"CDF\x01" + bytes(100), b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", bytes(4096)]
)
def test_what_is_not_netcdf(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.nc").write_bytes(content)
    with refused("not a netCDF-4|no checksum"):
        load(tmp_path / "r.nc")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with refused("no checksum at its end|not a netCDF-4"):
        load(saved)


def test_any_flipped_bit_is_noticed(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    rng = np.random.default_rng(0)
    for place in [*rng.integers(0, len(content), size=100), *range(len(content) - 90, len(content))]:
        bit = 1 << int(rng.integers(8))
        content[place] ^= bit
        saved.write_bytes(content)
        with refused("damaged|checksum|not a netCDF-4"):
            load(saved)
        content[place] ^= bit


def test_the_content_has_its_own_checksum(tree: xr.DataTree, saved: Path) -> None:
    content = saved.read_bytes()[: -_seal.LENGTH]
    number = tree["posterior"]["x"].values[1, 3].tobytes()
    for marker in (number, b'"interrupted": false'):
        place = content.index(marker) + len(marker) // 2
        for bit in (1, 128):
            saved.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            with refused("does not have the checksum|damaged"):
                load(saved, checksum=False)


def test_an_edited_file_is_refused(saved: Path) -> None:
    with h5py.File(saved, "r+") as file:
        file["posterior/x"][0, 0, 0] = 0.0
    with refused("no checksum at its end"):
        load(saved)
    with refused("does not have the checksum"):
        load(saved, checksum=False)


def test_a_variable_that_was_removed_or_renamed(saved: Path) -> None:
    whole = saved.read_bytes()
    with h5py.File(saved, "r+") as file:
        del file["sample_stats/diverging"]
    with refused("does not have the checksum"):
        load(saved, checksum=False)
    saved.write_bytes(whole)
    with h5py.File(saved, "r+") as file:
        # in the same alphabetical place, so that the order of what is hashed stays
        file.move("sample_stats/diverging", "sample_stats/diverginz")
    with refused("does not have the checksum"):
        load(saved, checksum=False)


def test_a_checksum_that_was_removed(saved: Path) -> None:
    with h5py.File(saved, "r+") as file:
        del file.attrs["probinv_sha256"]
    with refused("no checksum"):
        load(saved)


def test_a_file_beyond_the_bound(saved: Path) -> None:
    with refused("too large"):
        load(saved, bytes_most=1000)


def hostile(path: Path, kind: str) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("posterior")
        if kind == "never written":
            group.create_dataset("x", shape=(10**6, 10**6), dtype="f8")
        elif kind == "sparse chunks":
            group.create_dataset("x", shape=(10**9, 10**9), dtype="f8", chunks=(1, 1000))
        elif kind == "bomb":
            data = group.create_dataset("x", shape=(2**30,), dtype="f8", chunks=(2**20,), compression="gzip")
            data[: 2**20] = 0.0
        elif kind == "link to a file":
            group["x"] = h5py.ExternalLink("secret.h5", "/x")
        elif kind == "soft link":
            group["x"] = h5py.SoftLink("/posterior")
        elif kind == "array in another file":
            Path(path.parent / "secret").write_bytes(bytes(80))
            group.create_dataset(
                "x", shape=(10,), dtype="f8", external=[(str(path.parent / "secret"), 0, 80)]
            )
        elif kind == "virtual array":
            layout = h5py.VirtualLayout(shape=(10,), dtype="f8")
            layout[:] = h5py.VirtualSource("secret.h5", "x", shape=(10,))
            group.create_virtual_dataset("x", layout)
        elif kind == "group in itself":
            group["again"] = group
        elif kind == "group in itself twice":
            group["again"] = group["more"] = group
        elif kind == "deep":
            for _ in range(100):
                group = group.create_group("g")
        elif kind == "many groups":
            for k in range(150):
                group.create_group(str(k))
        elif kind == "many arrays":
            for k in range(150):
                group.create_dataset(str(k), data=0)


@pytest.mark.parametrize(
    "kind",
    [
        "never written",
        "sparse chunks",
        "bomb",
        "link to a file",
        "soft link",
        "array in another file",
        "virtual array",
        "group in itself",
        "group in itself twice",
        "deep",
        "many groups",
        "many arrays",
    ],
)
def test_hostile_files(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hdf5, "OBJECTS_MOST", 100)
    hostile(tmp_path / "h.nc", kind)
    with refused("too large|refused"):
        load(tmp_path / "h.nc", checksum=False)


def test_groups_that_share_an_array_are_counted_twice(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "h.nc", "w") as file:
        file["g0"] = np.zeros(10**6)
        for k in range(1, 1000):
            file[f"g{k}"] = file["g0"]
    with refused("too large"):
        load(tmp_path / "h.nc", checksum=False)


def test_two_writers_leave_one_whole_file(tree: xr.DataTree, tmp_path: Path) -> None:
    place = tmp_path / "r.nc"
    threads = [threading.Thread(target=save, args=(tree, place)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    xr.testing.assert_identical(load(place), tree)
    assert [path.name for path in tmp_path.iterdir()] == ["r.nc"]
