"""The house obeys its rules, and the rules catch what they are for."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import architecture as rules

ROOT = Path(__file__).parent.parent
MAX_IMPORT_SECONDS = 0.3

# What no import of probinv, or of any of its rooms, may load.
FRAMEWORKS = {*rules.OPTIONAL}
# What `import probinv` itself may not load either.
HEAVY = FRAMEWORKS | rules.HOST | {"equinox", "jax", "jaxlib", "numpy", "numpyro", "optax", "scipy"}

EQX = "import equinox as eqx\nfrom abc import abstractmethod\nfrom typing import final\n"


def long_function(lines: int, doc: int = 0) -> str:
    head = ["def f():"] + (['    """A', *["    line"] * (doc - 2), '    """'] if doc else [])
    return "\n".join(head + ["    x = 1"] * (lines - 1)) + "\n"


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_house_obeys(rule: Callable[[Path], list[str]]) -> None:
    assert rules.sources(ROOT)
    assert rule(ROOT) == []


# rule, file, text, what the complaint must say
PLANTED = [
    ("import_order", "prior/a.py", "from probinv.methods import NUTS", "prior may not import methods"),
    ("import_order", "prior/a.py", "from probinv.forward._base import X", "prior may not import forward"),
    ("import_order", "results/a.py", "import probinv.methods.mcmc", "results may not import methods"),
    ("import_order", "methods/a.py", "from ..results import tree", "methods may not import results"),
    (
        "import_order",
        "boltzmann/__init__.py",
        "from ..posterior import P",
        "boltzmann may not import posterior",
    ),
    ("import_order", "posterior/a.py", "def f():\n    from probinv.cli import main", "may not import cli"),
    ("import_order", "posterior/a.py", "import importlib\nimportlib.import_module('probinv.bench')", "bench"),
    ("import_order", "likelihood/a.py", "from probinv import invert", "from the front page"),
    ("import_order", "likelihood/a.py", "import probinv", "from the front page"),
    ("import_order", "_typing.py", "from probinv.prior import Normal", "_typing may not import prior"),
    ("import_order", "_invert/run.py", "from probinv.bench import problems", "_invert may not import bench"),
    ("import_order", "helpers/a.py", "", "no such room"),
    ("families", "methods/mcmc/a.py", "from probinv.methods.smc import step", "mcmc may not import smc"),
    ("families", "methods/mcmc/a.py", "from ..optimise.map import MAP", "mcmc may not import optimise"),
    (
        "families",
        "methods/smc/a.py",
        "def f():\n    from probinv.methods import NUTS",
        "smc may not import NUTS",
    ),
    ("families", "methods/kernels/a.py", "from probinv.methods.mcmc import x", "kernels may not import mcmc"),
    ("families", "methods/_base.py", "from probinv.methods import mcmc", "_base may not import mcmc"),
    ("host_world", "methods/a.py", "def f():\n    import xarray as xr", "xarray belongs to results"),
    ("host_world", "prior/a.py", "from matplotlib import pyplot", "matplotlib belongs to results"),
    ("host_world", "forward/loaders/a.py", "import sklearn", "import it inside the function"),
    ("host_world", "results/a.py", "def f():\n    import flax", "belongs to forward/loaders"),
    ("file_length", "prior/a.py", "x = 1\n" * 401, "401 lines, at most 400"),
    ("file_length", "../examples/a.py", "x = 1\n" * 100, "100 lines, at most 99"),
    ("function_length", "prior/a.py", long_function(51), "f has 51 lines"),
    ("function_length", "prior/a.py", long_function(51, doc=20), "f has 51 lines"),
    ("no_code_from_files", "results/a.py", "def f():\n    import pickle", "imports pickle"),
    ("no_code_from_files", "results/a.py", "from joblib import load", "imports joblib"),
    ("no_code_from_files", "results/a.py", "np.load(path, allow_pickle=True)", "passes allow_pickle"),
    ("no_code_from_files", "results/a.py", "np.load(path, allow_pickle=flag)", "passes allow_pickle"),
    ("no_code_from_files", "cli/a.py", "eval(text)", "calls eval"),
    ("no_code_from_files", "cli/a.py", "subprocess.run(line, shell=True)", "passes shell"),
    (
        "abstract_or_final",
        "prior/a.py",
        EQX + "class A(eqx.Module):\n    x: int",
        "either final or named Abstract",
    ),
    (
        "abstract_or_final",
        "prior/a.py",
        EQX + "@final\nclass AbstractA(eqx.Module):\n    x: int",
        "either final or",
    ),
    (
        "abstract_or_final",
        "prior/a.py",
        EQX + "class AbstractA(eqx.Module): ...\nclass B(AbstractA): ...",
        "B must be either final",
    ),
    (
        "abstract_or_final",
        "prior/a.py",
        EQX + "@final\nclass A(eqx.Module): ...\n@final\nclass B(A): ...",
        "B inherits from A, which is final",
    ),
    (
        "abstract_or_final",
        "prior/a.py",
        EQX + "class AbstractA(eqx.Module):\n    def f(self): ...\n"
        "@final\nclass B(AbstractA):\n    def f(self): ...",
        "B overrides f of AbstractA, which is concrete",
    ),
    (
        "no_super",
        "prior/a.py",
        EQX + "@final\nclass A(eqx.Module):\n    def __init__(self):\n        super().__init__()",
        "A calls super()",
    ),
    ("no_places", "prior/a.py", "# see py" + "pi.org\n", "prior/a.py:1"),
    ("no_places", "../docs/a.md", "\n\nin /ro" + "ot/x\n", "docs/a.md:3"),
    ("no_places", "../README.md", "see ../sha" + "red/DESIGN.md\n", "README.md:1"),
]

# rule, file, text: near the edge, and allowed
ALLOWED = [
    (
        "import_order",
        "posterior/a.py",
        "from probinv.prior import Normal\nfrom .b import c\nfrom probinv import prior",
    ),
    ("import_order", "_checks.py", "from probinv._errors import InputError"),
    ("import_order", "__init__.py", "from probinv.cli import main"),
    ("families", "methods/mcmc/a.py", "from ..kernels import hmc\nfrom .._base import A\nfrom . import b"),
    ("families", "methods/__init__.py", "from .mcmc import NUTS\nfrom .smc import SMC"),
    ("host_world", "forward/loaders/a.py", "def f():\n    import sklearn"),
    ("host_world", "methods/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import xarray"),
    ("host_world", "results/a.py", "import xarray"),
    ("file_length", "prior/a.py", "x = 1\n" * 400),
    ("function_length", "prior/a.py", long_function(50, doc=30)),
    ("no_code_from_files", "results/a.py", "np.load(path, allow_pickle=False)\nmodel.eval()"),
    (
        "abstract_or_final",
        "prior/a.py",
        EQX + "class AbstractA(eqx.Module):\n    @abstractmethod\n    def f(self): ...\n"
        "@final\nclass B(AbstractA):\n    def f(self): ...\nclass Plain: ...",
    ),
    ("no_super", "prior/a.py", "class E(Exception):\n    def __init__(self):\n        super().__init__()"),
    ("no_places", "prior/a.py", "# in the work/ of others, https://arxiv.org/abs/2003.03950\n"),
]


def plant(root: Path, name: str, text: str) -> None:
    for path in (root / "probinv" / "__init__.py", root / "probinv" / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", "utf-8")
    path.write_text(text, "utf-8")


def ids(cases: list) -> list[str]:
    return [f"{rule}-{number}" for number, (rule, *_) in enumerate(cases)]


@pytest.mark.parametrize(("rule", "name", "text", "complaint"), PLANTED, ids=ids(PLANTED))
def test_a_planted_violation_is_caught(
    tmp_path: Path, rule: str, name: str, text: str, complaint: str
) -> None:
    plant(tmp_path, name, text)
    found = getattr(rules, rule)(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(("rule", "name", "text"), ALLOWED, ids=ids(ALLOWED))
def test_what_is_allowed_passes(tmp_path: Path, rule: str, name: str, text: str) -> None:
    plant(tmp_path, name, text)
    assert getattr(rules, rule)(tmp_path) == []


def test_bases_of_other_files_count(tmp_path: Path) -> None:
    plant(tmp_path, "prior/_base.py", EQX + "class AbstractA(eqx.Module):\n    def f(self): ...")
    (tmp_path / "probinv/prior/b.py").write_text("class B(AbstractA):\n    def f(self):\n        super().f()")
    assert len(rules.abstract_or_final(tmp_path)) == 2
    assert len(rules.no_super(tmp_path)) == 1


def test_each_rule_has_a_planted_violation() -> None:
    assert (
        {rule.__name__ for rule in rules.RULES}
        == {case[0] for case in PLANTED}
        == {case[0] for case in ALLOWED}
    )


def fresh(code: str) -> dict:
    """What a new Python process prints as JSON, without the coverage of this one."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


IMPORT = """
import json, sys, time
before, start = set(sys.modules), time.process_time()
import {module}
seconds = time.process_time() - start
loaded = sorted({{name.split(".")[0] for name in set(sys.modules) - before}})
print(json.dumps({{"seconds": seconds, "loaded": loaded}}))
"""


def test_importing_probinv_is_cheap() -> None:
    runs = [fresh(IMPORT.format(module="probinv")) for _ in range(3)]
    assert "probinv" in runs[0]["loaded"]
    assert not HEAVY & set(runs[0]["loaded"])
    assert min(run["seconds"] for run in runs) <= MAX_IMPORT_SECONDS


def test_an_import_of_jax_would_be_seen() -> None:
    run = fresh(IMPORT.format(module="jax"))
    assert {"jax", "numpy"} <= HEAVY & set(run["loaded"])
    assert run["seconds"] > MAX_IMPORT_SECONDS


@pytest.mark.slow
def test_no_room_loads_an_optional_package() -> None:
    rooms = ", ".join(
        f"probinv.{room}" for room in sorted({source.room for source in rules.sources(ROOT)} - {""})
    )
    run = fresh(IMPORT.format(module=rooms))
    assert "probinv" in run["loaded"]
    assert not FRAMEWORKS & set(run["loaded"])
