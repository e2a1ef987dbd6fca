"""The benches of machines, on a few made-up images."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probinv
from probinv.bench import epoch, imagination, machines
from probinv.bench.judge import pixels
from probinv.bench.mnist import Digits
from probinv.boltzmann import Training
from probinv.boltzmann.exact import exact_log_likelihood

ROOT = Path(__file__).parents[2]


def test_images_are_drawn_once_with_their_gray_values() -> None:
    rows = np.tile(np.linspace(0, 1, 5, dtype=np.float32), (4000, 1))
    drawn = machines.binary(rows)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), rows[0], atol=0.04)
    np.testing.assert_array_equal(drawn, machines.binary(rows))


@pytest.mark.slow
def test_the_figures_hold_the_exact_likelihood() -> None:
    """A machine of 6 x 4 units, which can be summed up: the middle of the bracket within 0.05 nat."""
    rng = np.random.default_rng(0)
    rows = (rng.random((200, 6)) < np.linspace(0.2, 0.8, 6)).astype(np.float32)
    found = machines.learn(rows, 4, Training(epochs=5, batch_size=20))
    figures = machines.figures_of(found, rows, rows, chains=50, temperatures=50)
    exact = float(np.mean(exact_log_likelihood(found.machine, rows)))
    assert figures["log_likelihood"] == pytest.approx(exact, abs=0.05)
    assert figures["seconds_training"] > 0
    assert figures["stopped"] == ""
    above = machines.learn(rows, 6, Training(epochs=1, batch_size=20), found.machine)
    assert above.machine.weight.shape == (4, 6)


def test_what_is_imagined_is_judged_by_label() -> None:
    """A network that answers with the image of the label, and a judge that reads it."""
    images = np.zeros((40, 28, 28), np.uint8)
    labels = np.repeat(np.arange(10), 4).astype(np.uint8)
    images[np.arange(40), labels] = 255
    images[np.arange(40), 20, np.arange(40) % 28] = 255  # no two alike
    digits = Digits(images, labels, images, labels)

    class Mirror:
        def imagine(self, label, n=10, *, steps=1000, sure=0.0, seed=0):
            own = pixels(images[labels == label])
            return own[np.arange(n) % (2 if sure else len(own))]

        def score(self, X, y):
            return 0.75

    found = imagination.measure(
        Mirror(),
        digits,
        each=4,
        steps=1,
        judge=lambda rows: rows.reshape(-1, 28, 28)[:, :10, 0].argmax(axis=1),
    )
    assert found["recognised"] == [1.0] * 10
    np.testing.assert_allclose(found["diversity"], 1.0)
    assert found["recognised_sure"] == [1.0] * 10
    np.testing.assert_allclose(found["diversity_sure"], 2 / 3)  # 4 of 6 pairs differ, all by as much
    assert found["error"] == 0.25
    assert found["judge"] == 1.0


def test_the_network_of_the_bench_is_a_network() -> None:
    model = imagination.network()
    assert model.hidden == imagination.HIDDEN
    assert isinstance(model.tuning, Training)


def test_docs_show_the_recipe_of_the_bench() -> None:
    page = (ROOT / "docs" / "machines.md").read_text()
    shown: dict[str, Any] = {"probinv": probinv}
    exec(next(code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "large =" in code), shown)
    assert shown["large"].get_params() == imagination.network().get_params()


def test_the_rows_of_the_epoch_are_binary() -> None:
    rows = epoch.images()
    assert rows.shape == (60_000, 784)
    assert 0.18 < rows.mean() < 0.2
