"""Exact values against sums over v and h written out in NumPy."""

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from probinv import InputError
from probinv.boltzmann import exact
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import Bernoulli, Gaussian, Joined, Softmax

STEP = 1e-5


def machine_of(name: str, seed: int = 0) -> Machine:
    visible, hidden = {
        "bernoulli": (Bernoulli(5), Bernoulli(4)),
        "flipped": (Bernoulli(3), Bernoulli(5)),
        "labels": (Joined([Bernoulli(3), Softmax(3)]), Bernoulli(4)),
        "softmax": (Bernoulli(4), Softmax(3, groups=2)),
        "gaussian": (Gaussian(3, [-0.4, 0.1, 0.3]), Bernoulli(4)),
        "gaussian_hidden": (Bernoulli(4), Gaussian(3, 0.2)),
    }[name]
    rng = np.random.default_rng(seed)
    shape = (visible.size, hidden.size)
    parts = rng.normal(size=shape), rng.normal(size=shape[0]), rng.normal(size=shape[1])
    return Machine(visible, hidden, *parts)


DISCRETE = ("bernoulli", "flipped", "labels", "softmax")
ALL = (*DISCRETE, "gaussian", "gaussian_hidden")


def joint(machine: Machine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every v, every h and p(v, h), from the energy alone."""
    v, h = machine.visible.states(), machine.hidden.states()
    weight, a, b = (np.asarray(x) for x in (machine.weight, machine.visible_bias, machine.hidden_bias))
    log_weight = v @ weight @ h.T + (v @ a)[:, None] + (h @ b)[None, :]
    return v, h, log_weight


def log_partition_of(machine: Machine) -> float:
    """log Z with discrete sides summed by force and a Gaussian side integrated by hand."""
    if isinstance(machine.hidden, Gaussian):
        return log_partition_of(machine.flipped)
    if not isinstance(machine.visible, Gaussian):
        return float(logsumexp(joint(machine)[2]))
    h, sigma = machine.hidden.states(), np.exp(np.asarray(machine.visible.log_sigma))
    theta = np.asarray(machine.visible_bias) + h @ np.asarray(machine.weight).T
    log_norm = np.log(sigma).sum() + 0.5 * sigma.size * np.log(2 * np.pi)
    return float(
        logsumexp(h @ np.asarray(machine.hidden_bias) + 0.5 * ((sigma * theta) ** 2).sum(axis=1)) + log_norm
    )


@pytest.mark.parametrize("name", ALL)
def test_log_partition(name: str) -> None:
    machine = machine_of(name)
    assert exact.exact_log_partition(machine) == pytest.approx(log_partition_of(machine), abs=1e-11)
    assert exact.exact_log_partition(machine.flipped) == pytest.approx(log_partition_of(machine), abs=1e-11)


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_and_likelihood(name: str) -> None:
    machine = machine_of(name)
    v, _, log_weight = joint(machine)
    expected = np.exp(logsumexp(log_weight, axis=1) - logsumexp(log_weight))
    states, found = exact.exact_probabilities(machine)
    np.testing.assert_array_equal(states, v)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    np.testing.assert_allclose(np.exp(exact.exact_log_likelihood(machine, v)), expected, rtol=1e-11)


@pytest.mark.parametrize("name", DISCRETE)
def test_moments(name: str) -> None:
    machine = machine_of(name)
    v, h, log_weight = joint(machine)
    p = np.exp(log_weight - logsumexp(log_weight))
    found = exact.exact_moments(machine)
    np.testing.assert_allclose(found.product, v.T @ p @ h, atol=1e-12)
    np.testing.assert_allclose(found.visible, p.sum(axis=1) @ v, atol=1e-12)
    np.testing.assert_allclose(found.hidden, p.sum(axis=0) @ h, atol=1e-12)


def test_the_density_of_gaussian_units_integrates_to_one() -> None:
    """Trapezoidal rule, exact to rounding for a mixture of normal laws."""
    weight = np.array([[1.0, -2.0, 0.5]])
    machine = Machine(Gaussian(1, -0.3), Bernoulli(3), weight, np.array([0.4]), np.array([0.3, -0.2, 0.1]))
    v = np.linspace(-12, 12, 2401)
    density = np.exp(exact.exact_log_likelihood(machine, v[:, None]))
    assert density.sum() * (v[1] - v[0]) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_the_gradient_is_the_slope(name: str) -> None:
    """Central differences along a direction in every parameter, the variances too."""
    machine = machine_of(name)
    rows = np.random.default_rng(2).integers(0, 2, (6, machine.visible.size)).astype(float)
    arrays, rest = eqx.partition(machine, eqx.is_inexact_array_like)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), arrays)  # noqa: B023

        def value(step: float) -> float:
            moved = jax.tree.map(lambda leaf, along: leaf + step * along, arrays, direction)  # noqa: B023
            return float(exact.exact_log_likelihood(eqx.combine(moved, rest), rows).mean())

        gradient = exact.exact_gradient(machine, rows)
        products = jax.tree.map(lambda slope, along: float(np.sum(slope * along)), gradient, direction)
        slope = sum(jax.tree.leaves(products))
        assert slope == pytest.approx((value(STEP) - value(-STEP)) / (2 * STEP), abs=1e-8)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = machine_of("bernoulli")
    whole = exact.exact_log_partition(machine), exact.exact_moments(machine)
    monkeypatch.setattr(exact, "CHUNK", 7)
    assert exact.exact_log_partition(machine) == pytest.approx(whole[0], abs=1e-12)
    np.testing.assert_allclose(exact.exact_moments(machine).product, whole[1].product, atol=1e-12)


def test_double_precision_whatever_the_machine_is_stored_in() -> None:
    machine = machine_of("bernoulli")
    small = jax.tree.map(lambda leaf: leaf.astype(np.float32), machine)
    rounded = jax.tree.map(lambda leaf: leaf.astype(np.float32).astype(np.float64), machine)
    assert exact.exact_log_partition(small) == pytest.approx(log_partition_of(rounded), abs=1e-12)


def test_the_larger_side_is_summed_in_closed_form() -> None:
    """300 independent units: log Z = sum log(1 + e^b)."""
    machine = Machine(Bernoulli(300), Bernoulli(2), np.zeros((300, 2)), np.linspace(-1, 1, 300), np.ones(2))
    expected = np.log1p(np.exp(np.linspace(-1, 1, 300))).sum() + 2 * np.log1p(np.e)
    assert exact.exact_log_partition(machine) == pytest.approx(expected, rel=1e-13)


def test_what_cannot_be_listed_is_refused() -> None:
    large = Machine(Bernoulli(21), Bernoulli(22), np.zeros((21, 22)), np.zeros(21), np.zeros(22))
    real = Machine(Gaussian(2), Gaussian(2), np.zeros((2, 2)), np.zeros(2), np.zeros(2))
    for machine in (large, real):
        with pytest.raises(InputError, match="neither side"):
            exact.exact_log_partition(machine)
    with pytest.raises(InputError, match="Gaussian"):
        exact.exact_probabilities(machine_of("gaussian"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros(5), "shape"),
        (np.zeros((2, 4)), "shape"),
        (np.zeros((0, 5)), "shape"),
        (np.full((2, 5), 0.5), "binarise"),
        (np.full((2, 5), 2.0), "outside"),
        (np.full((2, 5), np.nan), "NaN"),
    ],
)
def test_rows_that_are_no_states_are_refused(rows: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        exact.exact_log_likelihood(machine_of("bernoulli"), rows)


def test_gray_labels_are_refused() -> None:
    with pytest.raises(InputError, match="binarise"):
        exact.free_energies(machine_of("labels"), [[1, 0, 1, 0.5, 0.5, 0.0]])
