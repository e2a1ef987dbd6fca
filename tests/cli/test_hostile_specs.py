"""Every mistake in a spec file is refused by its name: exit code 2, no traceback, before JAX is needed."""

import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.cli.specs import GOOD, call, changed, section, write

UNIFORM = 'kind = "uniform"\nlow = -1.0\nhigh = 1.0'
GAUSSIAN = 'kind = "gaussian"\ny_star = [0.3, nan]\nscale = 0.1'

# name, spec, what the message must begin with, what else it must say
HOSTILE = [
    ("unknown section", GOOD + "\n[extra]\n", "extra is not known", ""),
    ("unknown top key", 'netwrok = "a"\n' + GOOD, "netwrok is not known", "did you mean network?"),
    ("unknown prior key", changed("low =", "lwo ="), "prior.lwo is not known", "did you mean low?"),
    ("unknown target key", changed("scale =", "scael ="), "target.scael is not known", "did you mean scale?"),
    (
        "unknown method key",
        changed("warmup", "warm_up"),
        "method.warm_up is not known",
        "did you mean warmup?",
    ),
    ("unknown run key", changed("seed", "sead"), "run.sead is not known", "did you mean seed?"),
    ("unknown prior kind", changed("uniform", "unifrom"), "prior.kind = unifrom", "did you mean uniform?"),
    ("unknown target kind", changed("gaussian", "gauss"), "target.kind = gauss", "did you mean gaussian?"),
    ("unknown method kind", changed("nuts", "nutz"), "method.kind = nutz", "did you mean nuts?"),
    ("kind is a number", changed('"uniform"', "7"), "prior.kind = 7", "uniform"),
    ("no kind", changed('kind = "uniform"\n', ""), "prior.kind is missing", "uniform, normal"),
    ("no network", changed('network = "net.npz"\n', ""), "network is missing", ""),
    ("no prior", changed(f"[prior]\n{UNIFORM}\n", ""), "prior is missing", ""),
    ("no target", changed(f"[target]\n{GAUSSIAN}\n", ""), "target is missing", ""),
    ("no high", changed("high = 1.0\n", ""), "prior.high is missing", ""),
    ("no scale", changed("scale = 0.1\n", ""), "target.scale is missing", "scale and covariance"),
    (
        "two scales",
        changed("scale = 0.1", "scale = 0.1\ncovariance = [[1.0]]"),
        "target.covariance is one",
        "",
    ),
    (
        "key twice",
        changed("scale = 0.1", "scale = 0.1\nscale = 0.2"),
        "target.scale is given twice",
        "line 12",
    ),
    ("section twice", GOOD + "\n[prior]\n", "prior is given twice", "line 23"),
    ("key twice at the end", GOOD.rstrip() + "\nseed = 4", "run.seed is given twice", "line 22"),
    (
        "inline key twice",
        changed("high = 1.0", "high = 1.0\nfixed = {0 = 1, 0 = 2}"),
        "prior.fixed.0 is given twice",
        "line 7",
    ),
    ("broken syntax", changed("low = -1.0", "low = = 1"), "spec.toml is not valid TOML", "line 5"),
    ("deep brackets", f"x = {'[' * 50_000}", "spec.toml", "nested too deep"),
    (
        "prior is no table",
        "prior = 1\n" + section("prior", "").replace("[prior]\n", ""),
        "prior must be a table",
        "",
    ),
    ("low is text", changed("-1.0", '"low"'), "prior.low must be numbers", "without quotes"),
    ("low is a date", changed("-1.0", "2020-01-01"), "prior.low must be a number", ""),
    ("low is a flag", changed("-1.0", "true"), "prior.low must be a number", "got True"),
    ("low is a table", changed("-1.0", "{a = 1}"), "prior.low must be a number", ""),
    ("low is NaN", changed("-1.0", "nan"), "prior.low holds NaN", ""),
    ("low is infinite", changed("-1.0", "-inf"), "prior.low holds an infinite number", ""),
    ("low overflows", changed("-1.0", "-1e999"), "prior.low holds an infinite number", ""),
    (
        "low is a huge integer",
        changed("-1.0", "-1" + "0" * 400),
        "prior.low holds a number that is too large",
        "",
    ),
    ("low is ragged", changed("-1.0", "[[1, 2], [3]]"), "prior.low is not rectangular", ""),
    ("low is empty", changed("-1.0", "[]"), "prior.low is empty", ""),
    ("low above high", changed("-1.0", "2.0"), "prior.low must be below prior.high", "2 against 1"),
    (
        "one low above high",
        changed("-1.0", "[0.0, 0.0, 1.5]"),
        "prior.low must be below prior.high",
        "entry 2",
    ),
    ("scale is negative", changed("0.1", "-0.1"), "target.scale must be positive", "-0.1"),
    ("scale is zero", changed("0.1", "[0.1, 0]"), "target.scale must be positive", ""),
    ("scale is NaN", changed("0.1", "nan"), "target.scale holds NaN", ""),
    ("y_star is infinite", changed("[0.3, nan]", "[inf, 0]"), "target.y_star holds an infinite number", ""),
    ("y_star is all NaN", changed("[0.3, nan]", "[nan, nan]"), "target.y_star holds only NaN", ""),
    ("y_star is too long", changed("[0.3, nan]", "[0.3, 1, 2]"), "target.y_star has shape (3,)", "(2,)"),
    ("y_star is a number", changed("[0.3, nan]", "0.3"), "target.y_star has shape ()", "(2,)"),
    ("scale is too long", changed("0.1", "[1, 2, 3]"), "target.y_star has shape (2,)", "scale (3,)"),
    ("low has another shape", changed("-1.0", "[0, 0]"), "prior gives inputs of shape (2,)", "(3,)"),
    (
        "low against high",
        section("prior", 'kind = "uniform"\nlow = [0, 0]\nhigh = [1, 1, 1]'),
        "prior.",
        "fit",
    ),
    (
        "shape of another network",
        changed("high = 1.0", "high = 1.0\nshape = [4]"),
        "prior gives inputs",
        "prior.shape",
    ),
    ("shape is zero", changed("high = 1.0", "high = 1.0\nshape = [3, 0]"), "prior.shape must be", ""),
    ("draws is a float", changed("draws = 20", "draws = 1e3"), "method.draws must be a whole number", ""),
    ("draws is negative", changed("draws = 20", "draws = -20"), "method.draws must be a whole number", ""),
    (
        "draws is text",
        changed("draws = 20", 'draws = "20"'),
        "method.draws must be a whole number",
        "without quotes",
    ),
    (
        "flag is text",
        changed("draws = 20", 'dense_mass = "yes"'),
        "method.dense_mass must be true or false",
        "",
    ),
    ("accept is NaN", changed("draws = 20", "target_accept = nan"), "method.target_accept holds NaN", ""),
    (
        "objective is another word",
        section("method", 'kind = "ascent"\nobjective = "posteriro"'),
        'method.objective must be "likelihood" or "posterior"',
        "",
    ),
    ("seed is negative", changed("seed = 3", "seed = -3"), "run.seed must be a whole number", ""),
    (
        "seed is too large",
        changed("seed = 3", "seed = 4294967296"),
        "run.seed must be below 4294967296",
        "",
    ),
    (
        "seed is huge",
        changed("seed = 3", "seed = 9223372036854775808"),
        "run.seed must be a whole number",
        "",
    ),
    ("output is a number", changed('"result.nc"', "3"), "run.output must be a text", ""),
    ("output has no ending", changed('"result.nc"', '"result"'), "output: ", "does not end with .nc"),
    ("output in no folder", changed('"result.nc"', '"no/result.nc"'), "output: there is no folder", ""),
    ("network is missing", changed('"net.npz"', '"no.npz"'), "network: there is no file no.npz", ""),
    ("network is a folder", changed('"net.npz"', '"."'), "network: there is no file", ""),
    ("network is a number", changed('"net.npz"', "3"), "network must be a text", ""),
    (
        "network is the spec",
        changed('"net.npz"', '"spec.toml"'),
        "network: spec.toml is not a network file",
        "",
    ),
    ("array file is missing", changed("-1.0", '"low.npy"'), "prior.low: there is no file low.npy", ""),
    (
        "label has no such class",
        section("target", 'kind = "label"\nk = 2'),
        "target.k = 2 is not a class",
        "(2,)",
    ),
    ("label is a float", section("target", 'kind = "label"\nk = 1.0'), "target.k must be a whole number", ""),
    (
        "on is no place",
        section("target", 'kind = "at_least"\non = 2\nbound = 0\nsoftness = 1'),
        "target.on = 2",
        "(2,)",
    ),
    (
        "on is text",
        section("target", 'kind = "at_least"\non = "y"\nbound = 0\nsoftness = 1'),
        "target.on must be",
        "",
    ),
    (
        "bound has a shape",
        section("target", 'kind = "at_least"\nbound = 0\nsoftness = 1'),
        "target.bound has shape",
        "",
    ),
    (
        "interval upside down",
        section("target", 'kind = "interval"\nlow = [1, 1]\nhigh = [0, 2]\nsoftness = 1'),
        "target.low must be below",
        "",
    ),
    (
        "bound is NaN",
        section("target", 'kind = "interval"\nlow = nan\nhigh = [0, 2]\nsoftness = 1'),
        "target.low holds NaN",
        "",
    ),
    (
        "product of nothing",
        section("target", 'kind = "product"\nparts = []'),
        "target.parts must be a list",
        "",
    ),
    (
        "part of a product",
        section(
            "target", 'kind = "product"\n[[target.parts]]\nkind = "gaussian"\ny_star = [0, 1]\nscale = -1'
        ),
        "target.parts[0].scale must be positive",
        "",
    ),
    ("no named input", section("prior", "[prior.inputs]"), "prior.inputs is empty", ""),
    (
        "named input",
        section("prior", '[prior.inputs.a]\nkind = "normal"\nscale = -1'),
        "prior.inputs.a.scale must be positive",
        "",
    ),
    (
        "too few named inputs",
        section("prior", '[prior.inputs.a]\nkind = "normal"'),
        "prior gives inputs of shape (1,)",
        "(3,)",
    ),
    (
        "reserved name",
        section("prior", '[prior.inputs.y]\nkind = "normal"'),
        "prior.inputs.y cannot be used",
        "",
    ),
    (
        "name is no name",
        section("prior", '[prior.inputs."a b"]\nkind = "normal"'),
        "prior.inputs.'a b' cannot",
        "",
    ),
    ("fixed name", changed("high = 1.0", "high = 1.0\nfixed = {a = 1}"), "prior.fixed.a names no input", ""),
    (
        "fixed index",
        changed("high = 1.0", "high = 1.0\nfixed = {3 = 1}"),
        'prior.fixed."3" is not an entry',
        "(3,)",
    ),
    ("fixed to NaN", changed("high = 1.0", "high = 1.0\nfixed = {0 = nan}"), "prior.fixed.0 holds NaN", ""),
    ("data is missing", section("prior", 'kind = "empirical"'), "prior.data is missing", ""),
]


@pytest.fixture(autouse=True)
def _without_building(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the part that imports JAX fails: what is refused is refused before it."""
    monkeypatch.setitem(sys.modules, "probinv.cli._build", None)


@pytest.mark.parametrize(
    ("spec", "begins", "says"), [case[1:] for case in HOSTILE], ids=[c[0] for c in HOSTILE]
)
def test_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: str, begins: str, says: str
) -> None:
    assert call("invert", write(tmp_path, spec)) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"probinv: {begins}")
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "result.nc").exists()


def test_the_good_spec_gets_as_far_as_building(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="_build"):
        call("invert", write(tmp_path))


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert call("invert", *words) == 2
    return capsys.readouterr().err


def test_a_spec_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no spec file nowhere.toml" in refusal(capsys, "nowhere.toml")


def test_a_spec_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spec.toml"
    path.write_bytes(b"network = \xff\xfe")
    assert "is not text: byte 10 is not UTF-8" in refusal(capsys, path)


def test_a_spec_that_is_too_large(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "at most 1 MiB" in refusal(capsys, write(tmp_path, GOOD + "#" * 2**20))


def test_a_result_that_is_there_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    (tmp_path / "result.nc").write_text("precious")
    assert "exists already" in refusal(capsys, path)
    assert "exists already" in refusal(capsys, path, "--dry-run")
    assert (tmp_path / "result.nc").read_text() == "precious"


def test_a_page_that_is_there_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.html").write_text("precious")
    assert "report: " in refusal(capsys, write(tmp_path), "--report")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--draws", "many"], "--draws must be a whole number"),
        (["--draws", "0.5"], "--draws must be a whole number"),
        (["--draws", "1\nx = 2"], "--draws must be a whole number"),
        (["--target-accept", "nan"], "--target-accept holds NaN"),
        (["--optimiser", "adam"], "--optimiser is not a setting of nuts"),
        (["--method", "nutz"], "method.kind = nutz is not known"),
        (["--method", "map", "--draws", "5"], "--draws is not a setting of map"),
        (["--output", "here"], "output: here does not end with .nc"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "4294967296"], "argument --seed: '4294967296' is not a whole number from 0 to"),
        (["--seed", "1.5"], "argument --seed: '1.5' is not a whole number"),
        (["--image", "8by8"], "argument --image: '8by8' is not a shape"),
        (["--drawz", "5"], "unrecognized arguments: --drawz"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, list) else "",
)
def test_words_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert says in refusal(capsys, write(tmp_path), *words)


def test_array_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, changed("-1.0", '"low.npy"'))

    def says(text: str) -> None:
        assert f"prior.low{text}" in refusal(capsys, path)

    np.save(tmp_path / "low.npy", np.array([0.0, np.nan, 0.0]))
    says(" holds NaN")
    np.save(tmp_path / "low.npy", np.array(["a", "b"]))
    says(": low.npy does not hold real numbers")
    np.save(tmp_path / "low.npy", np.array([{}, None], object), allow_pickle=True)
    says(": low.npy holds a pickle")
    (tmp_path / "low.npy").write_bytes(b"not an array")
    says(": low.npy cannot be read")
    np.save(tmp_path / "low.npy", np.zeros(3))
    whole = (tmp_path / "low.npy").read_bytes()
    (tmp_path / "low.npy").write_bytes(whole[:-1])
    says(": low.npy is damaged")
    (tmp_path / "low.npy").write_bytes(whole.replace(b"(3,), ", b"(3000000000000,), "))
    says(": low.npy ")


def test_array_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, changed("-1.0", '"both.npz"'))
    np.savez(tmp_path / "both.npz", one=np.zeros(3), two=np.ones(3))
    assert "prior.low: both.npz holds 2 arrays: its entries are one, two" in refusal(capsys, path)
    path = write(tmp_path, changed("-1.0", '"both.npz:three"'))
    assert "prior.low: both.npz has no entry 'three'" in refusal(capsys, path)
    (tmp_path / "both.npz").write_bytes(b"PK\x03\x04 nothing")
    assert "prior.low: both.npz cannot be read" in refusal(capsys, path)


def test_network_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)

    def says(text: str) -> None:
        assert f"network: net.npz is not a network file of probinv: {text}" in refusal(capsys, path)

    np.savez(tmp_path / "net.npz", weight=np.zeros(3))
    says("There is no item named 'header.json'")
    (tmp_path / "net.npz").write_bytes(b"\x80\x04K\x01.")
    says("File is not a zip file")
    for header in (
        "[]",
        "{}",
        json.dumps({"format": "probinv network"}),
        "{",
        json.dumps({"format": "other"}),
    ):
        with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
            archive.writestr("header.json", header)
        says("")


def run(*words: object) -> tuple[subprocess.CompletedProcess[str], float]:
    """A process of its own, without coverage, and the CPU seconds that it took."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHON"))}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-X", "importtime", "-m", "probinv", *map(str, words)]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_a_refusal_takes_less_than_a_second(tmp_path: Path) -> None:
    done, seconds = run("invert", write(tmp_path, changed("0.1", "-0.1")))
    message = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert message == [
        "probinv: target.scale must be positive: its smallest entry is -0.1",
        "  -> give numbers above zero",
    ]
    assert "jax" not in done.stderr
    assert seconds < 1.0


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["methods"], ["invert", "--help"]], ids=" ".join
)
def test_help_needs_no_jax(words: list[str]) -> None:
    done, seconds = run(*words)
    assert done.returncode == 0
    assert done.stdout
    assert not {"jax", "numpyro", "xarray", "sklearn"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }
    assert seconds < 1.0
