"""The front door: help, version, exit codes, the bench, and readers who leave."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import probinv
from probinv import bench
from probinv.cli import COMMANDS, methods
from tests.cli.specs import call


def test_every_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    out = capsys.readouterr().out
    assert set(COMMANDS) == {"demo", "invert", "train", "imagine", "report", "methods", "bench"}
    for name, module in COMMANDS.items():
        assert f"    {name} " in out
        assert call(name, "--help") == 0
        said = " ".join(capsys.readouterr().out.split())
        assert (module.__doc__ or "?").splitlines()[0] in said


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out == f"probinv {probinv.__version__}\n"


@pytest.mark.parametrize(
    "words", [[], ["invent"], ["invert"], ["demo", "--digit", "10"], ["report"]], ids=str
)
def test_unknown_words(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert call(*words) == 2
    assert "usage: probinv" in capsys.readouterr().err


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            probinv.InputError("x is wrong", "it is 3", "give 4"),
            2,
            "probinv: x is wrong: it is 3\n  -> give 4\n",
        ),
        (probinv.NumericalError("no number"), 2, "probinv: no number\n"),
        (KeyboardInterrupt(), 130, "probinv: interrupted\n"),
        (KeyboardInterrupt("stopped at 3"), 130, "probinv: stopped at 3\n"),
        (OSError(28, "No space left on device"), 2, "probinv: [Errno 28] No space left on device\n"),
    ],
    ids=["input", "numerical", "ctrl-c", "ctrl-c with words", "disk"],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    says: str,
) -> None:
    monkeypatch.setattr(methods, "run", raising(error))
    assert call("methods") == code
    assert capsys.readouterr() == ("", says)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "run", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        call("methods")


def test_a_reader_who_leaves() -> None:
    read, write = os.pipe()
    os.close(read)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-m", "probinv", "methods"],
        stdout=write,
        stderr=subprocess.PIPE,
        env=bare,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""


def first() -> bench.Result:
    """Measures one thing.

    At length.
    """
    return bench.Result({"seconds": 1.5}, ("what", "seconds"), [("import", 1.5)], ["Measured once."])


def second() -> bench.Result:
    return bench.Result({}, ("nothing",), [], [])


def test_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "BENCHES", {"first": first, "second": second})
    assert call("bench", "--json", tmp_path / "all.json") == 0
    assert f"first\n{first().text()}\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "all.json").read_text()) == {"first": {"seconds": 1.5}, "second": {}}
    assert call("bench", "second") == 0
    assert "first" not in capsys.readouterr().out
    assert call("bench", "--list") == 0
    assert capsys.readouterr().out.splitlines() == ["first   Measures one thing.", "second"]
    drawn: list[str] = []
    figure = SimpleNamespace(savefig=lambda file, metadata: drawn.append(file))
    third = second()._replace(
        figures={"one": 1}, draw=lambda figures: figure if figures == {"one": 1} else None
    )
    monkeypatch.setattr(bench, "BENCHES", {"first": first, "third": lambda: third})
    assert call("bench", "third") == 0
    assert drawn == []
    assert call("bench", "--picture", "x.png") == 0
    assert drawn == ["x.png"]
    assert "no picture" not in capsys.readouterr().out
    assert call("bench", "first", "--picture", "x.png") == 0
    assert drawn == ["x.png"]
    assert "no picture" in capsys.readouterr().out
    monkeypatch.setattr(bench, "BENCHES", {"first": first, "second": second})
    assert call("bench", "secnod") == 2
    assert "did you mean second?" in capsys.readouterr().err


def test_main_may_be_imported() -> None:
    import probinv.__main__ as module

    assert module.main is probinv.cli.main
    assert Path(module.__file__).name == "__main__.py"
