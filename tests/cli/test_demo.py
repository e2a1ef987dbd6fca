"""`probinv demo` leaves what it promises, says what it found, and its questions can be asked again."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv.cli import demo
from probinv.cli._build import build
from probinv.cli._comparison import beyond, distances, gather, table
from probinv.cli._digits import Lesson, study
from probinv.cli._spec import read_spec
from probinv.results.files import load
from probinv.results.tree import provenance
from tests.cli.specs import call

FILES = {
    "classifier.npz",
    "training_images.npy",
    "question_plain.toml",
    "question_learned.toml",
    "result_plain.nc",
    "result_learned.nc",
    "result_plain.html",
    "result_learned.html",
    "images_plain.png",
    "images_learned.png",
    "comparison.png",
}


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return study(0)


def test_the_classifier_has_learned_and_the_judges_are_others(lesson: Lesson) -> None:
    assert lesson.train.shape == (1347, 8, 8)
    assert lesson.test.shape == (450, 8, 8)
    assert 0.0 <= lesson.train.min() < lesson.train.max() <= 1.0
    flat = lesson.test.reshape(450, -1)
    answers = {name: judge(flat) for name, judge in lesson.judges.items()}
    with double_precision():
        answers["itself"] = np.asarray(jax.vmap(lesson.forward)(lesson.test)).argmax(axis=1)
    assert len({answer.tobytes() for answer in answers.values()}) == len(answers) == 4
    for answer in answers.values():
        assert np.mean(answer == lesson.test_labels) > 0.93
    right = np.mean(answers["itself"] == lesson.test_labels)
    assert f"right on {right:.1%} of 450" in lesson.about


def test_distances_are_those_to_the_nearest_training_image(lesson: Lesson) -> None:
    images = {
        "shifted": lesson.train[:5] * 0.5,
        "trained": lesson.train[:5],
        "clipped": 2.0 * lesson.train[:5] - 0.5,
    }
    found = distances(images, lesson)
    for own, far in zip(images.values(), found, strict=True):
        gaps = np.clip(own, 0, 1)[:, None] - lesson.train[None]
        assert far == pytest.approx(np.median(np.sqrt((gaps**2).sum(axis=(2, 3))).min(axis=1)), abs=1e-6)
    assert found[1] == 0.0
    assert beyond(images) == [0.0, 0.0, np.mean((images["clipped"] < 0) | (images["clipped"] > 1))]


def test_the_table_counts_what_the_judges_say(lesson: Lesson) -> None:
    threes = lesson.test[lesson.test_labels == 3]
    others = lesson.test[lesson.test_labels != 3]
    columns = gather(3, {"true": threes[None], "false": others[None]}, lesson)
    assert [len(own) for own in columns.values()] == [len(threes), len(others), len(threes)]
    text = table(3, columns, lesson, ["ok", "not converged"])
    assert re.search(r"verdict on the draws +ok +not converged\n", text)
    for name, judge in lesson.judges.items():
        true, false = (f"{np.mean(judge(own.reshape(len(own), -1)) == 3):.1%}" for own in (threes, others))
        assert re.search(rf"{re.escape(name)} +{true} +{false} +{true}", text)
    assert re.search(r"pixels below no ink or above full ink +0.0% +0.0% +0.0%", text)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert call("demo", "--folder", "new") == 2
    err = capsys.readouterr().err
    assert err.startswith("probinv: the demo needs scikit-learn")
    assert "pip install" in err
    assert not Path("new").exists()


class Done(NamedTuple):
    """What a quick demo printed, and where it left its files."""

    folder: Path
    out: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    import contextlib
    import io

    folder, out = tmp_path_factory.mktemp("demo") / "deep" / "er", io.StringIO()
    with contextlib.redirect_stdout(out):
        assert call("demo", "--quick", "--folder", folder, "--digit", 8) == 0
    return Done(folder, out.getvalue())


@pytest.mark.slow
def test_quick_leaves_everything(done: Done) -> None:
    assert {path.name for path in done.folder.iterdir()} == FILES
    for name in FILES:
        assert (done.folder / name).stat().st_size > 100
    for which in demo.PRIORS:
        tree = load(done.folder / f"result_{which}.nc")
        assert tree["posterior"]["x"].shape == (4, demo.QUICK, 8, 8)
        assert provenance(tree)["question"].startswith("y[8] at least 0.95")
        assert (done.folder / f"result_{which}.html").read_text("utf-8").count("data:image/png") >= 6


@pytest.mark.slow
def test_quick_says_what_it_found(done: Done) -> None:
    assert done.out.count("\nverdict: ") == 2
    assert "What does the digit 8 look like" in done.out
    row = re.search(r"the classifier itself +([\d.]+)% +([\d.]+)% +([\d.]+)%", done.out)
    assert row is not None
    assert all(float(share) > 90 for share in row.groups())
    assert str(done.folder) in done.out.splitlines()[-1]
    seconds = [float(found) for found in re.findall(r"^\[ *([\d.]+) s\]", done.out, re.MULTILINE)]
    assert len(seconds) >= 7
    assert seconds == sorted(seconds)


@pytest.mark.slow
@pytest.mark.parametrize("which", demo.PRIORS)
def test_the_question_can_be_asked_again(done: Done, which: str) -> None:
    posterior, method = build(read_spec(done.folder / f"question_{which}.toml"))
    assert method is None  # invert chooses
    tree = load(done.folder / f"result_{which}.nc")
    with double_precision():
        z = jnp.asarray(tree["unconstrained_posterior"]["z"].values[0, :5])
        x = jax.vmap(posterior.x)(z)
        log_likelihood = jax.vmap(posterior.log_likelihood)(z)
    np.testing.assert_allclose(x.reshape(5, 8, 8), tree["posterior"]["x"].values[0, :5], atol=1e-12)
    np.testing.assert_allclose(
        log_likelihood, tree["log_likelihood"]["y_star"].values[0, :5], rtol=1e-9, atol=1e-12
    )


@pytest.mark.slow
def test_ctrl_c_keeps_the_draws(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.cli.test_invert import interrupt

    interrupt(monkeypatch, "sampling", 1)
    assert call("demo", "--quick", "--folder", "stopped") == 130
    assert "interrupted: the draws so far are in stopped/result_plain.nc" in capsys.readouterr().err
    assert provenance(load("stopped/result_plain.nc"))["interrupted"] is True
