"""The networks of the benchmarks and examples are what they say."""

import jax
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv.bench import BENCHES
from probinv.bench.problems import difficulty_patterns, roman_numerals, train_network, xs_and_os
from probinv.bench.result import Result


def test_data_are_reproducible_and_in_range():
    for make, shape in (
        (difficulty_patterns, (20, 10)),
        (roman_numerals, (20, 20, 20)),
        (xs_and_os, (20, 32, 32)),
    ):
        x, y = make(20, seed=3)
        again, _ = make(20, seed=3)
        other, _ = make(20, seed=4)
        assert x.shape == shape
        assert len(y) == 20
        assert x.min() >= 0
        assert x.max() <= 1
        assert np.array_equal(x, again)
        assert not np.array_equal(x, other)


def test_difficulty_is_its_formula():
    x, y = difficulty_patterns(5)
    jumps = np.mean((x[:, 1:] - x[:, :-1]) ** 2, axis=1)
    assert np.allclose(y[:, 0], 24 * jumps + 2 * np.sin(3 * x[:, 0]) * x[:, 9])


@pytest.mark.parametrize(("loss", "final"), [("squared", "identity"), ("binary_cross_entropy", "logistic")])
def test_training_learns(loss, final):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = (x[:, :1] > 0).astype(float)
    network = train_network(x, y, (3, 8, 1), output_activation=final, loss=loss, steps=300, rate=1e-2)
    with double_precision():
        predicted = np.asarray(jax.vmap(network)(x))
    assert np.mean((predicted > 0.5) == (y > 0.5)) > 0.95
    assert network.layers[0].weight.dtype == np.float64


def test_classes_are_learned_from_their_numbers():
    images, labels = roman_numerals(300)
    network = train_network(images, labels, (400, 20, 6), loss="cross_entropy", steps=150)
    with double_precision():
        named = np.asarray(jax.vmap(network)(images.reshape(300, -1))).argmax(axis=1)
    assert np.mean(named == labels) > 0.95


def test_result_is_a_table():
    text = Result({}, ("what", "s"), [("a", 1.23456), ("longer", 12345.6)], ["how"]).text().splitlines()
    assert text == ["what        s", "a        1.23", "longer  12346", "", "how"]


def test_every_bench_says_what_it_measures():
    assert all((bench.__doc__ or "").strip() for bench in BENCHES.values())
