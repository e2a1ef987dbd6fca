"""`.ci/setup` takes the first Python that fits and makes .venv once; the pins fit pyproject.toml."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
NAMES = ("python3.12", "python3.13", "python3.14", "python3", "python")

SHIM = "#!/bin/sh\necho 'command not found' >&2\nexit 127\n"
# Stands in for a Python: says yes to every question, writes down what it is to do, and makes an empty .venv.
PYTHON = """#!/bin/sh
case "$*" in
  "-c import ensurepip"*) exit 0 ;;
  -c* | --version) echo {name} ;;
  *) echo "{name} $*" >>{log} ;;
esac
case "$*" in
  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
esac
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what `.ci/setup` reads, and a folder of Pythons none of which runs."""
    copy = tmp_path / "house"
    (copy / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/setup", copy / ".ci/setup")
    for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        (copy / name).write_text("as it was\n", "utf-8")
    for name in NAMES:
        put(copy, name, SHIM)
    return copy


def put(house: Path, name: str, text: str) -> None:
    path = house.parent / "pythons" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(name=name, log=house.parent / "log"), "utf-8")
    path.chmod(0o755)


def setup(house: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{house.parent / 'pythons'}{os.pathsep}{os.defpath}"
    env = {"PATH": path, "HOME": str(house), **env}
    command = [str(house / ".ci/setup"), *words]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def done(house: Path) -> list[str]:
    log = house.parent / "log"
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def test_no_python_that_fits_is_said(house: Path) -> None:
    run = setup(house)
    assert run.returncode == 1
    assert "No Python 3.12 or newer" in run.stderr
    assert not (house / ".venv").exists()


def test_a_python_that_was_named_and_does_not_fit_is_not_replaced(house: Path) -> None:
    put(house, "python3", PYTHON)
    run = setup(house, PYTHON="python3.12")
    assert run.returncode == 1
    assert "PYTHON=python3.12 is not" in run.stderr
    assert not (house / ".venv").exists()


def test_a_shim_that_fails_is_passed_over(house: Path) -> None:
    for name in ("python3.13", "python3"):
        put(house, name, PYTHON)
    run = setup(house)
    assert run.returncode == 0, run.stderr
    assert done(house)[0] == "python3.13 -m venv --clear .venv"


def test_a_python_of_pyenv_is_found(house: Path) -> None:
    put(house, "3.12.1", PYTHON)
    real = house / "root/versions/3.12.1/bin"
    real.mkdir(parents=True)
    (house.parent / "pythons/3.12.1").rename(real / "python")
    assert setup(house).returncode == 1
    assert setup(house, PYENV_ROOT=str(house / "root")).returncode == 0
    assert done(house)[0] == "3.12.1 -m venv --clear .venv"


def test_the_environment_is_made_once(house: Path) -> None:
    put(house, "python3.12", PYTHON)
    assert setup(house).returncode == 0
    made, pins, project = done(house)
    assert made.endswith("-m venv --clear .venv")
    assert "--require-hashes" in pins
    assert pins.endswith("-r requirements.txt -c requirements.txt")
    assert project.endswith("-e .")

    assert setup(house).returncode == 0
    assert done(house) == []
    # the tools of the developers come on top, once
    assert setup(house, "dev").returncode == 0
    pins, project = done(house)
    assert pins.endswith("-r requirements-dev.txt -c requirements-dev.txt")
    for level in ("run", "dev"):
        assert setup(house, level).returncode == 0
        assert done(house) == []


@pytest.mark.parametrize("change", ["requirements.txt", "pyproject.toml", "python", "broken", "moved"])
def test_a_change_makes_it_anew(house: Path, change: str) -> None:
    put(house, "python3.12", PYTHON)
    assert setup(house, "dev").returncode == 0
    done(house)
    if change == "python":
        put(house, "python3.13", PYTHON)
        assert setup(house, "dev", PYTHON="python3.13").returncode == 0
    elif change == "broken":
        (house / ".venv/bin/python").write_text(SHIM, "utf-8")
        assert setup(house, "dev").returncode == 0
    elif change == "moved":
        assert setup(house.rename(house.parent / "elsewhere"), "dev").returncode == 0
    else:
        (house / change).write_text("otherwise\n", "utf-8")
        assert setup(house, "dev").returncode == 0
    assert done(house)[0].endswith("-m venv --clear .venv")


def pins(name: str) -> dict[str, set[Version]]:
    """The pinned versions of each package; there may be several, for different Pythons."""
    found: dict[str, set[Version]] = {}
    for match in re.finditer(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text("utf-8"), re.M):
        found.setdefault(canonicalize_name(match[1]), set()).add(Version(match[2]))
    return found


def asked(table: dict) -> list[Requirement]:
    project, groups = table["project"], table["dependency-groups"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    grouped = [text for texts in groups.values() for text in texts if isinstance(text, str)]
    return [Requirement(text) for text in project["dependencies"] + extras + grouped]


def test_the_pins_are_what_the_project_asks() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    run, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert run.items() <= dev.items()
    for wanted in asked(table):
        versions = dev[canonicalize_name(wanted.name)]
        assert all(version in wanted.specifier for version in versions), wanted
    for wanted in map(Requirement, table["project"]["dependencies"] + table["build-system"]["requires"]):
        assert canonicalize_name(wanted.name) in run, wanted


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_a_hash_and_no_file_names_a_host(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    blocks = re.findall(r"^\S.*?==(?:.*\\\n)+.*$", text, re.M)
    assert len(blocks) == len(re.findall(r"^[\w.-]+(?:\[.*\])?==", text, re.M)) > 40
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|^ *--(index|extra|find|trusted)", text, re.M)
