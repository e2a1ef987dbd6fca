"""The estimator: what it says against enumeration, what it keeps, and what it refuses."""

import copy
import pickle
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp

from probinv import InputError
from probinv._errors import FileError, ProbinvError
from probinv.boltzmann import rbm as module
from probinv.boltzmann._estimator import NoLabelsError, UnfittedError
from probinv.boltzmann._scaling import Scaling
from probinv.boltzmann.exact import exact_log_partition
from probinv.boltzmann.likelihood import LogPartition
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.rbm import RBM
from probinv.boltzmann.rbm_files import load_rbm
from probinv.boltzmann.units import Bernoulli, Gaussian, Joined, Rectified, Softmax

RNG = np.random.default_rng(0)
LABELS = np.array(["ape", "bee", "cat"])[RNG.integers(3, size=240)]
PATTERNS = {
    "ape": [0.9, 0.9, 0.1, 0.1, 0.5],
    "bee": [0.1, 0.9, 0.9, 0.1, 0.5],
    "cat": [0.1, 0.1, 0.9, 0.9, 0.5],
}
X = (RNG.random((240, 5)) < np.array([PATTERNS[label] for label in LABELS])).astype(np.float64)
REAL = np.array([3.0, -2e4, 0.0, 7.0]) + np.array([1e-3, 3e3, 1.0, 0.0]) * RNG.normal(size=(240, 4))
SHORT: dict[str, Any] = {"hidden": 4, "epochs": 60, "batch_size": 40, "rate": 1.0}
ALARM = 5.0  # standard errors; about 20 such tests, 1e-5 for all


@cache
def plain() -> RBM:
    return RBM(**SHORT, snapshots=3, held_out=0.1).fit(X)


@cache
def labelled() -> RBM:
    return RBM(**SHORT).fit(X, LABELS)


@cache
def real() -> RBM:
    return RBM(hidden=4, visible="gaussian", epochs=20, batch_size=40).fit(REAL)


def law(rbm: RBM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every v, every h and p(v, h), by hand."""
    machine = rbm.machine_
    v, h = machine.visible.states(), machine.hidden.states()
    weight, a, b = (
        np.asarray(x, np.float64) for x in (machine.weight, machine.visible_bias, machine.hidden_bias)
    )
    log_weight = v @ weight @ h.T + (v @ a)[:, None] + (h @ b)[None]
    return v, h, np.exp(log_weight - logsumexp(log_weight))


# against enumeration


def test_probabilities_sum_to_one_and_are_those_of_the_law() -> None:
    v, _, p = law(plain())
    found = plain().score_samples(v)
    assert found.dtype == np.float64
    assert np.allclose(found, np.log(p.sum(axis=1)), atol=1e-5)
    assert plain().score(X) == pytest.approx(plain().score_samples(X).mean())
    assert np.allclose(plain().free_energy(v) + found, -plain().log_partition_, atol=1e-5)
    assert plain().log_partition_ == pytest.approx(exact_log_partition(plain().machine_))


def test_hidden_means_and_reconstructions_are_those_of_the_law() -> None:
    v, h, p = law(plain())
    means = p @ h / p.sum(axis=1, keepdims=True)
    assert np.allclose(plain().transform(v), means, atol=1e-6)
    machine = plain().machine_
    again = 1 / (1 + np.exp(-(machine.visible_bias + means @ machine.weight.T)))
    assert np.allclose(plain().reconstruct(v), again, atol=1e-6)


def test_labels_are_summed_out_exactly() -> None:
    v, h, p = law(labelled())
    states = Bernoulli(5).states()
    rows = np.array(
        [[(v[:, :5] == state).all(axis=1) & (v[:, 5 + k] == 1) for k in range(3)] for state in states]
    )
    joint = np.einsum("skv,vh->skh", rows.astype(float), p)
    marginal = joint.sum(axis=(1, 2))
    assert np.allclose(labelled().predict_proba(states), joint.sum(axis=2) / marginal[:, None], atol=1e-5)
    assert np.allclose(labelled().transform(states), joint.sum(axis=1) @ h / marginal[:, None], atol=1e-5)
    assert np.allclose(np.exp(labelled().score_samples(states)), marginal, atol=1e-5)
    assert np.exp(labelled().score_samples(states)).sum() == pytest.approx(1, abs=1e-4)
    chosen = labelled().classes_[np.argmax(joint.sum(axis=2), axis=1)]
    assert np.array_equal(labelled().predict(states), chosen)


def test_it_learns() -> None:
    assert (labelled().predict(X) == LABELS).mean() > 0.7
    entropy_of_independent = plain().score(X)
    means = X.mean(axis=0)
    independent = float((X * np.log(means) + (1 - X) * np.log1p(-means)).sum(axis=1).mean())
    assert entropy_of_independent > independent + 0.2


def test_draws_have_the_law() -> None:
    v, _, p = law(plain())
    mean = (p.sum(axis=1) @ v)[None]
    draws = plain().sample(2000, steps=50, seed=1)
    assert draws.shape == (2000, 5)
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert (np.abs(draws.mean(axis=0) - mean[0]) < ALARM * np.sqrt(mean[0] * (1 - mean[0]) / 2000)).all()
    assert np.array_equal(draws, plain().sample(2000, steps=50, seed=1))
    assert not np.array_equal(draws, plain().sample(2000, steps=50, seed=2))


def test_completions_have_the_conditional_law() -> None:
    """Given two entries the others are elsewhere than without: 58 standard errors for one of them."""
    v, _, p = law(plain())
    known = np.array([True, False, True, False, False])
    weight = p.sum(axis=1) * (v[:, known] == [1, 0]).all(axis=1)
    mean = (weight @ v / weight.sum())[~known]
    assert np.abs(mean - (p.sum(axis=1) @ v)[~known]).max() > 0.3
    rows = np.tile([1.0, np.nan, 0.0, np.nan, np.nan], (2000, 1))
    draws = plain().complete(rows, known, 50, seed=3)
    assert np.array_equal(draws[:, known], rows[:, known])
    assert (np.abs(draws[:, ~known].mean(axis=0) - mean) < ALARM * np.sqrt(mean * (1 - mean) / 2000)).all()
    mixed = plain().complete(rows[:2], np.array([known, [True, True, True, True, False]])[:1], 5)
    assert mixed.shape == (2, 5)


def test_what_is_imagined_has_the_conditional_mean() -> None:
    v, _, p = law(labelled())
    for k, label in enumerate(labelled().classes_):
        weight = p.sum(axis=1) * v[:, 5 + k]
        mean = (weight @ v / weight.sum())[:5]
        rows = labelled().imagine(label, 2000, steps=50, seed=k)
        assert rows.shape == (2000, 5)
        assert ((rows > 0) & (rows < 1)).all()
        assert (np.abs(rows.mean(axis=0) - mean) < ALARM * rows.std(axis=0) / np.sqrt(2000)).all()


def test_gibbs_goes_on_from_the_rows() -> None:
    v, _, p = law(labelled())
    rows = labelled().gibbs(X, 30, seed=2)
    assert rows.shape == X.shape
    mean = (p.sum(axis=1) @ v)[:5]
    assert (np.abs(rows.mean(axis=0) - mean) < ALARM * np.sqrt(mean * (1 - mean) / 240)).all()
    near = plain().gibbs(X, 1)
    assert (near == X).mean() > (near == X[::-1]).mean() + 0.03  # one step does not forget all


def test_a_bracket_where_nothing_can_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = copy.deepcopy(plain())
    exact = rbm.log_partition_
    rbm._partition = None

    def unlisted(machine: Machine) -> float:
        raise InputError("too many")

    monkeypatch.setattr(module, "exact_log_partition", unlisted)
    monkeypatch.setattr(module, "TEMPERATURES", 200)
    monkeypatch.setattr(module, "EQUILIBRATION", 50)
    bracket = rbm.log_partition_
    assert isinstance(bracket, LogPartition)
    assert bracket.low - 0.05 < exact < bracket.high + 0.05
    assert bracket.chains == module.CHAINS
    assert rbm.log_partition_ is bracket
    assert np.allclose(rbm.score_samples(X), plain().score_samples(X) + exact - bracket.middle)


# real rows


def test_real_rows_of_wild_scales_are_learned() -> None:
    assert real().stopped_ == ""
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(real().machine_))
    sigma = np.exp(real().machine_.visible.log_sigma)
    assert (sigma[:3] / REAL.std(axis=0)[:3] < 1.2).all()
    assert (sigma[:3] / REAL.std(axis=0)[:3] > 0.3).all()
    assert np.allclose(
        real().reconstruct(REAL).mean(axis=0)[:3], REAL.mean(axis=0)[:3], atol=0.3 * REAL.std(axis=0)[:3]
    )
    # about as good as the independent normal law that made the rows; the constant column is left out of both
    density = real().score_samples(REAL)
    assert np.isfinite(density).all()
    draws = real().sample(500, steps=20, seed=0)
    assert np.allclose(draws.mean(axis=0)[:3], REAL.mean(axis=0)[:3], atol=0.4 * REAL.std(axis=0)[:3])


def test_a_density_of_real_rows_integrates_to_one() -> None:
    rows = REAL[:, 2:3]
    rbm = RBM(hidden=3, visible="gaussian", epochs=5, batch_size=40).fit(rows)
    grid = np.linspace(-12, 12, 4001)[:, None]
    assert np.exp(rbm.score_samples(grid)).sum() * 24 / 4000 == pytest.approx(1, abs=1e-5)


def test_scaling_there_and_back() -> None:
    scaling = Scaling.of(REAL)
    assert (scaling.scale > 0).all()
    assert scaling.scale[3] == pytest.approx(1e-2 * np.median(REAL.std(axis=0)[:3]))
    units = Joined([Gaussian(4, RNG.normal(size=4)), Softmax(2)])
    s_machine = Machine(units, Bernoulli(3), RNG.normal(size=(6, 3)), RNG.normal(size=6), RNG.normal(size=3))
    machine = scaling.to_data(s_machine)
    s = RNG.normal(size=(7, 4))
    label = np.eye(2)[RNG.integers(2, size=7)]
    with jax.enable_x64(True):
        there = machine.free_energy(
            jax.numpy.asarray(np.concatenate([scaling.shift + scaling.scale * s, label], 1))
        )
        here = s_machine.free_energy(jax.numpy.asarray(np.concatenate([s, label], 1)))
    difference = np.asarray(there - here)
    assert np.allclose(difference, difference[0], rtol=1e-6)  # a constant belongs to Z
    again = scaling.from_data(machine)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-6, atol=1e-5), again, s_machine))


# going on, keeping, saving


def test_partial_fit_goes_on() -> None:
    rbm = RBM(**SHORT)
    for _ in range(3):
        rbm.partial_fit(X[:120], LABELS[:120], classes=["ape", "bee", "cat", "dog"])
        rbm.partial_fit(X[120:], LABELS[120:])
    assert list(rbm.classes_) == ["ape", "bee", "cat", "dog"]
    assert rbm.n_iter_ == 6
    assert [epoch["epoch"] for epoch in rbm.history_] == [1, 2, 3, 4, 5, 6]
    assert rbm._state.step == 18
    chains = rbm._codes
    before = rbm.machine_
    rbm.partial_fit(X[:40], LABELS[:40])
    assert not np.array_equal(rbm.machine_.weight, before.weight)
    assert chains.shape == rbm._codes.shape
    with pytest.raises(InputError, match="unknown"):
        rbm.partial_fit(X[:2], ["ape", "eel"])
    with pytest.raises(InputError, match="y is missing"):
        rbm.partial_fit(X[:2])
    with pytest.raises(InputError, match="expecting 5 features"):
        rbm.partial_fit(X[:2, :3], LABELS[:2])


def test_partial_fit_goes_on_from_fit_and_from_a_file(tmp_path: Path) -> None:
    rbm = RBM(**SHORT, momentum=0.5).fit(X)
    step = int(rbm._state.step)
    rbm.set_params(momentum=0.0).partial_fit(X)
    assert rbm._state.step == step + 6
    for made in (plain(), real()):
        loaded = RBM.load(made.save(tmp_path / "rbm"))
        weight = np.array(loaded.machine_.weight)
        loaded.partial_fit(X if made is plain() else REAL)
        assert not np.array_equal(loaded.machine_.weight, weight)
        assert np.allclose(loaded.machine_.weight, weight, rtol=2, atol=2 * np.abs(weight).max())


@pytest.mark.parametrize("made", [plain, labelled, real], ids=["plain", "labelled", "real"])
def test_a_file_holds_all_that_is_asked_for(made: Any, tmp_path: Path) -> None:
    rbm = made()
    rows = REAL if made is real else X
    loaded = RBM.load(rbm.save(tmp_path / "rbm.safetensors"))
    assert repr(loaded) == repr(rbm)
    assert np.array_equal(loaded.transform(rows), rbm.transform(rows))
    assert np.array_equal(loaded.score_samples(rows), rbm.score_samples(rows))
    assert np.array_equal(loaded.sample(3, steps=4), rbm.sample(3, steps=4))
    assert repr(loaded.history_) == repr(rbm.history_)
    assert (loaded.n_iter_, loaded.n_features_in_) == (20 if made is real else 60, rows.shape[1])
    assert loaded.stopped_ == ""
    assert len(loaded.snapshots_) == len(rbm.snapshots_)
    if made is labelled:
        assert np.array_equal(loaded.predict(rows), rbm.predict(rows))
        assert loaded.classes_.dtype == rbm.classes_.dtype


def test_units_that_were_given_come_back(tmp_path: Path) -> None:
    units = Joined([Bernoulli(3), Rectified(2)])
    rbm = RBM(Softmax(3), units, epochs=1, batch_size=40).fit(X)
    loaded = RBM.load(rbm.save(tmp_path / "rbm"))
    assert jax.tree.structure(loaded.visible) == jax.tree.structure(units)
    assert loaded.hidden == Softmax(3)
    assert np.array_equal(loaded.transform(X), rbm.transform(X))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    from probinv.boltzmann.files import save_machine

    with pytest.raises(FileError, match="is not a probinv rbm file"):
        load_rbm(save_machine(plain().machine_, tmp_path / "machine"))
    with pytest.raises(FileError, match="cannot be opened"):
        RBM.load(tmp_path / "none")


def test_a_checkpoint_is_written_and_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "c"
    rbm = RBM(**SHORT, checkpoint=path).fit(X)
    written = path.read_bytes()
    again = RBM(**SHORT, checkpoint=path).fit(X)  # finished already
    assert np.array_equal(again.machine_.weight, rbm.machine_.weight)
    assert path.read_bytes() == written
    with pytest.raises(FileError, match="another training"):
        RBM(**SHORT, checkpoint=path).fit(X[:200])
    with pytest.raises(FileError, match="cannot be written"):
        RBM(**SHORT, checkpoint=tmp_path / "none" / "c").fit(X)


def test_an_interrupt_keeps_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(range(3))

    def update(self: Any, steps: int, phase: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.Bar, "update", update)
    rbm = RBM(**SHORT).fit(X)
    assert rbm.stopped_ == "interrupted"
    assert 0 < rbm.n_iter_ < 60
    assert rbm.transform(X).shape == (240, 4)


def test_a_rate_that_diverges_is_named() -> None:
    with pytest.warns(RuntimeWarning, match="stopped: .*smaller rate"):
        rbm = RBM(hidden=4, visible=Gaussian(4), rate=10.0, epochs=3).fit(1e4 * X[:, :4])
    assert rbm.stopped_
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(rbm.machine_))


def test_sparse_rows_and_images_are_rows() -> None:
    for form in (sp.csr_array(X), X.reshape(240, 5, 1), X.astype(np.float32), X.astype(bool), X.tolist()):
        rbm = RBM(**SHORT, snapshots=3, held_out=0.1).fit(form)
        assert np.array_equal(rbm.machine_.weight, plain().machine_.weight)
    assert np.allclose(plain().transform(sp.csr_array(X)), plain().transform(X))
    sparse = RBM(**SHORT).fit(sp.csr_array(X), LABELS)
    assert np.array_equal(sparse.machine_.weight, labelled().machine_.weight)
    assert np.allclose(sparse.predict_proba(sp.csr_array(X)), labelled().predict_proba(X))


def test_the_precision_is_that_of_the_rows() -> None:
    single, double = plain().transform(X.astype(np.float32)), plain().transform(X)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.allclose(single, double, atol=1e-5)
    # many rows are taken in parts, and each is as if it were alone
    assert np.allclose(plain().transform(np.tile(X, (30, 1)))[-240:], double, atol=1e-12)


def test_labels_of_any_dtype() -> None:
    codes = np.searchsorted(np.unique(LABELS), LABELS)
    for labels in (
        codes,
        codes.astype(np.float64),
        LABELS.astype(object),
        (codes > 0),
        list(LABELS),
        codes[:, None],
    ):
        rbm = RBM(hidden=2, epochs=1, batch_size=40).fit(X, labels)
        assert rbm.predict(X[:3]).dtype == rbm.classes_.dtype
        assert set(rbm.predict(X[:9])) <= set(np.asarray(labels).ravel())
        assert rbm.imagine(rbm.classes_[0], 2, steps=2).shape == (2, 5)
    ignored = RBM(hidden=2, epochs=1, batch_size=40, labels=False).fit(X, RNG.normal(size=240))
    assert not hasattr(ignored, "classes_")


# what is refused


BAD: dict[str, tuple[dict[str, Any], Any, Any, str]] = {
    "outside": ({}, 2 * X, None, r"outside \[0, 1\]"),
    "NaN": ({}, np.where(X > 0, np.nan, X), None, "NaN"),
    "one row": ({}, X[:1], None, "1 row"),
    "one label": ({}, X, np.zeros(240), "less than 2 classes"),
    "measurements": ({}, X, RNG.normal(size=240), "labels=False"),
    "NaN label": ({}, X, np.where(X[:, 0] > 0, np.nan, 1.0), "no labels"),
    "mixed labels": ({}, X, np.array([1, "a", None] * 80, dtype=object), "several kinds"),
    "fewer labels": ({}, X, LABELS[:5], "one label for each row"),
    "hidden": ({"hidden": 0}, X, None, "hidden"),
    "visible": ({"visible": "binary"}, X, None, "visible is 'binary'"),
    "visible size": ({"visible": Bernoulli(4)}, X, None, "5 columns"),
    "epochs": ({"epochs": 0}, X, None, "epochs"),
    "held out": ({"held_out": 1.0}, X, None, "held_out"),
    "rate": ({"rate": np.nan}, X, None, "rate"),
    "discriminative": ({"discriminative": 0.1}, X, None, "no label units"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(what: str) -> None:
    settings, rows, labels, message = BAD[what]
    rbm = RBM(**(SHORT | settings))
    with pytest.raises(InputError, match=message):
        rbm.fit(rows, labels)
    assert not hasattr(rbm, "machine_")


def test_bad_questions_are_refused() -> None:
    with pytest.raises(InputError, match="expecting 5 features"):
        plain().transform(X[:, :4])
    with pytest.raises(InputError, match="no states"):
        plain().score_samples(0.5 * X)
    with pytest.raises(InputError, match="known is"):
        plain().complete(X, np.ones(4, bool))
    with pytest.raises(InputError, match="known is"):
        plain().complete(X, np.ones(5))
    with pytest.raises(InputError, match="the label 'dog' is unknown"):
        labelled().imagine("dog")
    with pytest.raises(InputError, match="n must be"):
        plain().sample(0)
    with pytest.raises(InputError, match="steps"):
        plain().sample(1, steps=0)
    with pytest.raises(InputError, match="rates is no setting"):
        plain().set_params(rates=0.1)


def test_without_labels_there_is_nothing_to_predict() -> None:
    for name in ("predict", "predict_proba", "imagine"):
        assert not hasattr(plain(), name)
        assert hasattr(labelled(), name)
        assert hasattr(RBM(), name)
    with pytest.raises(NoLabelsError, match="without labels"):
        plain().predict(X)
    assert isinstance(NoLabelsError("x"), AttributeError)


@pytest.mark.parametrize("loaded", [False, True])
def test_before_it_is_fitted(loaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.exceptions import NotFittedError

    if not loaded:
        monkeypatch.delitem(sys.modules, "sklearn.exceptions")
    for name in ("transform", "predict", "sample", "score_samples", "reconstruct"):
        with pytest.raises(UnfittedError, match="call fit") as caught:
            getattr(RBM(), name)(*([] if name == "sample" else [X]))
        assert isinstance(caught.value, ProbinvError)
        assert isinstance(caught.value, NotFittedError) == loaded
    with pytest.raises(UnfittedError):
        _ = RBM().log_partition_


def test_it_is_copied_and_pickled_as_it_is() -> None:
    for again in (copy.deepcopy(labelled()), pickle.loads(pickle.dumps(labelled()))):  # noqa: S301
        assert np.array_equal(again.predict_proba(X), labelled().predict_proba(X))


def test_repr_shows_what_was_changed() -> None:
    assert repr(RBM()) == "RBM()"
    assert repr(RBM(10, rate=0.2, visible=Bernoulli(3))) == "RBM(hidden=10, visible=Bernoulli(n=3), rate=0.2)"
