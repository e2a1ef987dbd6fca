"""`probinv invert` and `probinv report` on a small network, from the spec file to the saved result."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

from probinv._invert import run
from probinv._progress import Bar
from probinv.cli._spec import read_spec
from probinv.likelihood import Gaussian
from probinv.methods import NUTS
from probinv.methods.kernels import blocks
from probinv.posterior import Posterior
from probinv.prior import Uniform
from probinv.results.files import load
from probinv.results.tree import provenance
from tests.cli.specs import GOOD, call, changed, network, section, write


class Done(NamedTuple):
    """A run: its folder, its exit code and what it printed."""

    folder: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The good spec, run once for all tests."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("run")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = call("invert", write(folder), "--quiet")
    return Done(folder, code, out.getvalue(), err.getvalue())


def draws(path: Path) -> np.ndarray:
    return load(path)["posterior"]["x"].values


def test_it_says_what_it_does(done: Done) -> None:
    assert done.code == 0
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0].startswith("question: y = (0.3, any) within 0.1")
    assert "verdict: not converged" in lines
    assert lines[-1] == f"saved: {done.folder / 'result.nc'}"


def test_it_is_what_the_library_gives(done: Done) -> None:
    posterior = Posterior(Uniform(-1.0, 1.0, 3), network(), Gaussian([0.3, np.nan], 0.1))
    method = NUTS(draws=20, warmup=10, chains=2)
    tree = run.invert(posterior, method, seed=3, progress=False, verdict=False)
    saved = load(done.folder / "result.nc")
    np.testing.assert_array_equal(saved["posterior"]["x"].values, tree["posterior"]["x"].values)
    assert provenance(saved)["settings"]["draws"] == 20
    with xr.open_datatree(done.folder / "result.nc", engine="h5netcdf") as plain:
        assert plain["posterior"]["x"].shape == (2, 20, 3)


def test_words_on_the_command_line_win(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    other = done.folder / "other.nc"
    words = ("--seed", 4, "--draws", 6, "-o", other, "--quiet", "--strict")
    assert call("invert", done.folder / "spec.toml", *words) == 1
    assert "NUTS(draws=6, warmup=10, chains=2" in capsys.readouterr().out
    facts = provenance(load(other))
    assert (facts["seed"], facts["settings"]["draws"], facts["settings"]["chains"]) == ("4", 6, 2)
    assert not np.array_equal(draws(other), draws(done.folder / "result.nc")[:, :6])


def test_a_result_is_replaced_only_by_force(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    path = done.folder / "forced.nc"
    path.write_text("precious")
    words = ("invert", done.folder / "spec.toml", "-o", path, "--quiet", "--draws", 6)
    assert call(*words) == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_text() == "precious"
    assert call(*words, "--force") == 0
    assert draws(path).shape == (2, 6, 3)


@pytest.mark.slow
def test_a_longer_run_continues(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    spec, path = done.folder / "spec.toml", done.folder / "short.nc"
    assert call("invert", spec, "-o", path, "--draws", 8, "--quiet") == 0
    assert call("invert", spec, "-o", path, "--resume", path, "--quiet") == 0
    np.testing.assert_array_equal(draws(path), draws(done.folder / "result.nc"))
    capsys.readouterr()
    assert call("invert", spec, "-o", path, "--resume", path, "--seed", 5, "--quiet") == 2
    assert "resume belongs to another run: its seed differs" in capsys.readouterr().err


def interrupt(monkeypatch: pytest.MonkeyPatch, phase: str, calls: int) -> None:
    """Ctrl-C when the progress bar is told of that phase for the `calls`-th time."""
    told = []
    plain = Bar.update

    def update(self: Any, steps: int, now: str) -> None:
        plain(self, steps, now)
        told.append(now)
        if told.count(phase) == calls:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "update", update)


@pytest.mark.slow
def test_ctrl_c_saves_a_valid_prefix_that_can_be_continued(
    done: Done, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, path = done.folder / "spec.toml", done.folder / "stopped.nc"
    with monkeypatch.context() as patched:
        patched.setattr(blocks.Blocks, "_count", lambda self, left, thin: min(left, 5))
        interrupt(patched, "sampling", 2)
        assert call("invert", spec, "-o", path, "--quiet") == 130
    out, err = capsys.readouterr()
    assert f"saved: {path}" in out
    what = "interrupted: the file holds the first 10 draws of each chain"
    assert err == f"probinv: {what}; continue with --resume {path}\n"
    assert provenance(load(path))["interrupted"] is True
    np.testing.assert_array_equal(draws(path), draws(done.folder / "result.nc")[:, :10])
    assert call("invert", spec, "-o", path, "--resume", path, "--quiet") == 0
    assert provenance(load(path))["interrupted"] is False
    np.testing.assert_array_equal(draws(path), draws(done.folder / "result.nc"))


def test_ctrl_c_before_the_first_draw(
    done: Done, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch, "warm-up", 1)
    path = done.folder / "nothing.nc"
    assert call("invert", done.folder / "spec.toml", "-o", path, "--quiet") == 130
    assert "interrupted before the first draw: there is nothing to save" in capsys.readouterr().err
    assert not path.exists()


def test_a_progress_bar_is_shown(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("invert", done.folder / "spec.toml", "-o", done.folder / "bar.nc", "--draws", 6) == 0
    assert "compiling:   0%|" in capsys.readouterr().err


def test_points_are_saved_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, section("method", 'kind = "map"\nstarts = 4'))
    assert call("invert", path, "--quiet") == 0
    assert "verdict: " in capsys.readouterr().out
    assert load(tmp_path / "result.nc")["optima"]["x"].shape[1:] == (3,)


def test_the_default_output_is_beside_the_spec(tmp_path: Path) -> None:
    spec = read_spec(write(tmp_path, changed('output = "result.nc"\n', ""), "asked.toml"))
    assert spec.output == tmp_path / "asked.nc"
    assert read_spec(write(tmp_path, GOOD)).output == tmp_path / "result.nc"


@pytest.mark.slow
def test_pictures_and_a_page(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    path = done.folder / "shown.nc"
    words = ("-o", path, "--draws", 8, "--quiet", "--report", "--image", "1x3")
    assert call("invert", done.folder / "spec.toml", *words) == 0
    out = capsys.readouterr().out
    page = (done.folder / "shown.html").read_text("utf-8")
    pictures = {picture.name for picture in (done.folder / "shown_pictures").iterdir()}
    assert f"report: {done.folder / 'shown.html'}" in out
    assert {"images.png", "predictive.png", "trace.png"} <= pictures
    assert page.count("data:image/png;base64,") == len(pictures)
    assert "not converged" in page


@pytest.mark.slow
def test_the_page_of_a_saved_result(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    result = done.folder / "result.nc"
    assert call("report", result) == 0
    assert "verdict: not converged" in capsys.readouterr().out
    page = done.folder / "result.html"
    assert "y = (0.3, any) within 0.1" in page.read_text("utf-8")
    assert call("report", result) == 2
    assert "exists already" in capsys.readouterr().err
    assert call("report", result, "-o", done.folder / "other.html") == 0
    assert call("report", result, "--force") == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), (b"not a result", ""), (b"", "")],
    ids=["none", "text", "empty"],
)
def test_a_page_of_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "result.nc").write_bytes(content)
    assert call("report", tmp_path / "result.nc") == 2
    err = capsys.readouterr().err
    assert err.startswith("probinv: ")
    assert "result.nc" in err
    assert says in err
    assert "Traceback" not in err
    assert not (tmp_path / "result.html").exists()
