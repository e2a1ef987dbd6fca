"""Every example runs with small settings and draws something."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("_"))


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_question_has_its_script():
    asked = {"difficulty", "recurrent", "roman", "surrogate", "xs_and_os"}
    imagined = {"imagining", "roman_imagined", "three_priors"}
    assert set(SCRIPTS) == asked | imagined | {
        "elbows",
        "exact_relu",
        "hidden_failure",
        "layer_by_layer",
        "rarest_wish",
    }


@pytest.mark.parametrize("name", SCRIPTS)
def test_examples_are_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 100


def cases():
    """Those of many inputs, long trajectories or many images spend their time in running."""
    wide = {"recurrent", "roman", "roman_imagined", "xs_and_os"}
    long = {"difficulty", "rarest_wish"}
    return [pytest.param(name, marks=[pytest.mark.optimised] * (name in wide | long)) for name in SCRIPTS]


@pytest.mark.slow
@pytest.mark.parametrize("name", cases())
def test_example_leaves_a_picture(name, monkeypatch, tmp_path, capsys):
    figures = load(name, monkeypatch).main(quick=True)
    assert list(figures) == [name]
    figure = figures[name]
    figure.savefig(tmp_path / "picture.png", dpi=40)
    pixels = sys.modules["matplotlib.pyplot"].imread(tmp_path / "picture.png")
    assert np.std(pixels[..., :3]) > 0.05, "the picture is blank"
    sys.modules["matplotlib.pyplot"].close(figure)
    assert capsys.readouterr().out, "an example says what it found"
