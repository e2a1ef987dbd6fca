"""Deep belief networks as a user meets them: small, on images that the test makes."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

import probinv
from probinv._errors import FileError, InputError
from probinv.boltzmann import dbn as module
from probinv.boltzmann.dbn import DBN
from probinv.boltzmann.training import Training

SIDE = 4
FAST = Training(epochs=300, batch_size=10, discriminative=1.0)


@cache
def bars() -> tuple[np.ndarray, np.ndarray]:
    """4 x 4 images of one horizontal or one vertical bar, with some pixels wrong, labelled h or v."""
    rng = np.random.default_rng(0)
    images, labels = np.zeros((300, SIDE, SIDE)), np.array(["h", "v"])[rng.integers(0, 2, 300)]
    for image, label, place in zip(images, labels, rng.integers(0, SIDE, 300), strict=True):
        image[(place, slice(None)) if label == "h" else (slice(None), place)] = 1.0
    return np.where(rng.random(images.shape) < 0.02, 1 - images, images), labels


@cache
def trained() -> DBN:
    images, labels = bars()
    return DBN((24, 32), layers=FAST_BELOW, memory=FAST, tuning=TUNING).fit(images, labels)


FAST_BELOW = Training(epochs=200, batch_size=10)
TUNING = Training(epochs=40, batch_size=10, rate=0.02, discriminative=1.0)


def is_bar(rows: np.ndarray, label: str) -> np.ndarray:
    """Whether an image is one full bar, of that direction, but for one pixel."""
    images = (rows.reshape(-1, SIDE, SIDE) > 0.5).astype(float)
    wanted = [np.eye(SIDE)[k][:, None] * np.ones(SIDE) for k in range(SIDE)]
    wanted = [one if label == "h" else one.T for one in wanted]
    return np.min([np.abs(images - one).sum(axis=(1, 2)) for one in wanted], axis=0) <= 1


@pytest.mark.slow
def test_it_imagines_what_it_was_told() -> None:
    network = trained()
    images, labels = bars()
    assert network.stopped_ == ""
    assert [len(stage) for stage in network.history_] == [200, 300, 40]
    assert network.score(images, labels) > 0.95
    for label in ("h", "v"):
        rows = network.imagine(label, 200, steps=200)
        assert rows.shape == (200, SIDE**2)
        assert is_bar(rows, label).mean() > 0.7
        assert len(np.unique(rows.round(), axis=0)) >= SIDE
        other = "v" if label == "h" else "h"
        assert is_bar(rows, other).mean() < 0.1


@pytest.mark.slow
def test_it_imagines_only_what_it_recognises() -> None:
    """The rows that it recognised at once stay; the others are of the same chains, later."""
    network = trained()
    for label in ("h", "v"):
        place = list(network.classes_).index(label)
        plain = network.imagine(label, 200, steps=200)
        strict = network.imagine(label, 200, steps=200, sure=0.97)
        was, now = (network.predict_proba(rows)[:, place] >= 0.97 for rows in (plain, strict))
        assert 0 < was.sum() < 200
        assert now.all()
        np.testing.assert_array_equal(strict[was], plain[was])
        assert len(np.unique(strict.round(), axis=0)) >= SIDE
    with pytest.raises(InputError, match="sure is 1"):
        network.imagine("h", 2, steps=2, sure=1.0)
    with pytest.warns(RuntimeWarning, match="recognises its label in 0 of 3 imagined rows"):
        assert np.isfinite(network.imagine("h", 3, steps=2, sure=1 - 1e-12)).all()


@pytest.mark.slow
def test_it_reconstructs_and_completes() -> None:
    network = trained()
    images, _ = bars()
    rows = images.reshape(len(images), -1)
    assert np.mean((network.reconstruct(images) - rows) ** 2) < 0.5 * rows.var()
    assert network.transform(images).shape == (300, 24)
    known = np.zeros((SIDE, SIDE), bool)
    known[:, :2] = True
    full = np.zeros((40, SIDE, SIDE))
    full[:, 1] = 1.0
    hidden = np.where(known, full, np.nan)
    done = network.complete(hidden, known).reshape(-1, SIDE, SIDE)
    np.testing.assert_array_equal(done[:, known], full[:, known])
    assert done[:, 1, 2:].mean() > 0.8 > 0.2 > done[:, [0, 2, 3], 2:].mean()
    p = network.predict_proba(images)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (network.predict(images) == network.classes_[p.argmax(axis=1)]).all()


@pytest.mark.slow
def test_what_is_saved_imagines_the_same(tmp_path) -> None:
    network = trained()
    path = network.save(tmp_path / "network.safetensors")
    again = DBN.load(path)
    images, _ = bars()
    np.testing.assert_array_equal(again.predict(images), network.predict(images))
    np.testing.assert_array_equal(again.imagine("v", 3, steps=5), network.imagine("v", 3, steps=5))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError):
        DBN.load(path)


@pytest.mark.slow
def test_imagined_draws_come_as_a_judged_tree() -> None:
    tree = probinv.imagine(trained(), ["h", "v"], draws=60, every=10, warmup=100, shape=(SIDE, SIDE))
    assert tree["posterior"]["x"].shape == (4, 60, 2, SIDE, SIDE)
    assert tree["sample_stats"]["free_energy"].shape == (4, 60, 2)
    facts = probinv.provenance(tree)
    assert facts["labels"] == ["h", "v"]
    assert facts["verdict"]["verdict"] in {"ok", "not converged"}
    assert len(facts["rhat"]) == len(facts["ess"]) == 2
    assert all(np.isfinite(facts["rhat"]))
    x = tree["posterior"]["x"].values
    assert is_bar(x[:, :, 0].reshape(-1, SIDE**2), "h").mean() > 0.7
    assert is_bar(x[:, :, 1].reshape(-1, SIDE**2), "v").mean() > 0.7
    short = probinv.imagine(trained(), ["h"], draws=4, every=1, warmup=0)
    assert probinv.provenance(short)["verdict"]["verdict"] == "not converged"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network() -> None:
    images, labels = bars()
    how = {"layers": Training(epochs=2, batch_size=50), "memory": Training(epochs=2, batch_size=50)}
    first, second = (DBN((5, 6), **how).fit(images, labels).predict_proba(images) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    how["memory"] = Training(epochs=2, batch_size=50, seed=1)
    assert (DBN((5, 6), **how).fit(images, labels).predict_proba(images) != first).any()


BAD = [
    ({"hidden": ()}, {}, "hidden is empty"),
    ({"hidden": (4, 0)}, {}, r"hidden\[1\]"),
    ({"visible": "real"}, {}, "visible is 'real'"),
    ({}, {"X": 2.0}, "outside"),
    ({}, {"X": np.nan}, "NaN"),
    ({}, {"rows": 1}, "1 row"),
    ({}, {"y": np.zeros(7)}, "y has shape"),
    ({}, {"y": np.zeros(300)}, "class"),
]


@pytest.mark.parametrize(("settings", "data", "message"), BAD)
def test_bad_input_is_refused_before_any_training(settings, data, message) -> None:
    images, labels = bars()
    images = images[: data.get("rows", 300)].copy()
    if "X" in data:
        images[0, 0, 0] = data["X"]
    with pytest.raises(InputError, match=message):
        DBN(**({"hidden": (4, 4)} | settings)).fit(images, data.get("y", labels[: len(images)]))


def test_a_network_that_is_not_trained_says_so() -> None:
    with pytest.raises(probinv.ProbinvError, match=r"not (trained|fitted)"):
        DBN((4,)).transform(bars()[0])
    with pytest.raises(InputError, match="cannot imagine"):
        probinv.imagine(object())


@pytest.mark.slow
def test_labels_that_are_not_known_are_refused() -> None:
    with pytest.raises(InputError, match="'x'"):
        trained().imagine("x")
    with pytest.raises(InputError, match="features"):
        trained().predict(np.zeros((2, 5)))
    with pytest.raises(InputError, match="outside"):
        trained().predict(np.full((2, SIDE**2), 7.0))
    with pytest.raises(InputError, match="shape"):
        probinv.imagine(trained(), ["h"], draws=4, warmup=0, shape=(3, 3))


@pytest.mark.slow
def test_a_rate_that_is_too_large_is_named_and_the_weights_stay_finite() -> None:
    images, labels = bars()
    wild = Training(epochs=5, batch_size=10, rate=1e6)
    network = DBN((8, 8), layers=Training(epochs=1), memory=wild).fit(images, labels)
    assert "run away" in network.stopped_ or "finite" in network.stopped_
    assert np.isfinite(network.predict_proba(images)).all()


SHORT = Training(epochs=2, batch_size=50)
STAGES = {"layers": SHORT, "memory": replace(SHORT, discriminative=0.3), "tuning": replace(SHORT, rate=0.02)}


def same(one: DBN, other: DBN) -> bool:
    leaves = [jax.tree.leaves(network.stack_) for network in (one, other)]
    return all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))


@pytest.mark.slow
def test_an_interrupt_leaves_a_network_and_the_checkpoint_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages of 12 updates each, in blocks of 6; the interrupt comes in the second."""
    images, labels = bars()
    whole = DBN((5, 6), **STAGES).fit(images, labels)
    left = iter(range(3))

    def update(self: object, steps: int, phase: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.Bar, "update", update)
        early = DBN((5, 6), **STAGES, checkpoint=tmp_path / "stages").fit(images, labels)
    assert early.stopped_ == "interrupted"
    assert [len(stage) for stage in early.history_] == [2, 2]
    assert not same(early, whole)
    assert early.imagine("h", 2, steps=2).shape == (2, SIDE**2)
    again = DBN((5, 6), **STAGES, checkpoint=tmp_path / "stages").fit(images, labels)
    assert again.stopped_ == ""
    assert same(again, whole)
    assert len(list((tmp_path / "stages").iterdir())) == 3
    with pytest.raises(FileError, match="another training"):
        DBN((5, 6), **STAGES, checkpoint=tmp_path / "stages").fit(images[:100], labels[:100])


@pytest.mark.slow
def test_after_an_interrupt_nothing_above_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def update(self: object, steps: int, phase: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Bar, "update", update)
    images, labels = bars()
    early = DBN((5, 6, 7), **STAGES).fit(images, labels)
    assert early.stopped_ == "interrupted"
    assert len(early.history_) == 1
    assert [layer.above.size for layer in early.stack_.layers] == [5, 6]
    assert np.isfinite(early.predict_proba(images)).all()
