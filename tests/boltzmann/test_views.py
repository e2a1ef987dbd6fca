"""Views of hidden units against closed forms on networks small enough to compute by hand."""

from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import expit

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax
from probinv.boltzmann.views import backward_pattern, filters, recognised_pattern, sampled_patterns
from probinv.forward import Activation, Affine, Dense, Function, Layered
from probinv.forward.layers.activation import PLAIN, SLOPED

ALARM = 1e-6  # of each test on draws; one entry each, 6 entries, so 6e-6 for all

FIRST, FIRST_BIAS = np.array([[1.0, 2.0, -0.5], [0.5, -1.0, 3.0]]), np.array([0.25, -0.5])
SECOND, SECOND_BIAS = np.array([[2.0, 1.0], [1.0, 3.0], [-1.0, 0.5]]), np.array([0.1, 0.2, 0.3])
NETWORK = Layered([Dense(FIRST, FIRST_BIAS), Activation("tanh"), Dense(SECOND, SECOND_BIAS)], 3)
HIDDEN = Joined([Bernoulli(1), Gaussian(2, [0.3, -0.4]), Rectified(1), Softmax(2)])
MACHINE = Machine(
    Bernoulli(3),
    HIDDEN,
    np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32),
    np.zeros(3, np.float32),
    np.linspace(-0.5, 0.5, 6, dtype=np.float32),
)


def test_the_folklore_by_hand() -> None:
    found = recognised_pattern(NETWORK, 0, activation=0.5, layer=0)
    s = np.arctanh(0.5) - 0.25
    np.testing.assert_allclose(found, s / 2.5 * FIRST[0], rtol=1e-14)
    # 0.9 of the last layer, without an activation
    np.testing.assert_allclose(recognised_pattern(NETWORK, 1), (0.9 - 0.2) / 4 * SECOND[1], rtol=1e-14)


def test_the_folklore_misses_by_the_factor_that_is_documented() -> None:
    weights = FIRST[1]
    fed = weights @ recognised_pattern(NETWORK, 1, activation=0.5, layer=0)
    s = np.arctanh(0.5) + 0.5
    assert fed == pytest.approx(s * np.sum(weights**2) / np.sum(weights), rel=1e-14)


def test_the_exact_form_is_the_shortest_that_gives_the_activation() -> None:
    found = recognised_pattern(NETWORK, 1, activation=0.5, layer=0, divide_by="squares")
    assert np.tanh(FIRST[1] @ found + FIRST_BIAS[1]) == pytest.approx(0.5, rel=1e-14)
    s = np.arctanh(0.5) - FIRST_BIAS[1]
    np.testing.assert_allclose(found, np.linalg.pinv(FIRST[1:]) @ [s], rtol=1e-12)


def wished(name: str) -> list[float]:
    """Values on either side of a bend, where there are two."""
    if name in ("identity", "leaky_relu", "softsign", "tanh", "hard_tanh", "elu", "selu"):
        return [-0.9, -0.2, 0.0, 0.7]
    return [1e-6, 0.3, 0.9]


INVERTIBLE = set(PLAIN | SLOPED) - {"silu", "mish", "gelu", "gelu_tanh", "sin", "softmax", "log_softmax"}


@pytest.mark.parametrize("name", sorted(INVERTIBLE))
def test_the_inverse_activation_inverts(name: str) -> None:
    """The exact form, fed back through the network itself."""
    network = Layered([Dense(FIRST, FIRST_BIAS), Activation(name)], 3)
    with double_precision():
        for y in wished(name):
            x = recognised_pattern(network, 1, activation=y, divide_by="squares")
            assert float(network(jax.numpy.asarray(x))[1]) == pytest.approx(y, rel=1e-9, abs=1e-12)


def test_the_inverse_of_a_machine_inverts() -> None:
    with double_precision():
        mean = jax.jit(lambda x: HIDDEN.mean(MACHINE.up(x)))
        for unit in range(4):
            for y in (1e-2, 0.2, 0.9):
                x = recognised_pattern(MACHINE, unit, activation=y, divide_by="squares")
                # the sum that is the mean of rectified units cancels where it is small
                assert float(mean(jax.numpy.asarray(x))[unit]) == pytest.approx(y, rel=1e-7)


@pytest.mark.parametrize("y", [1e-9, 0.99e-4, 1.01e-4, 1e-3])
def test_the_inverse_of_a_tiny_rectified_mean_is_that_of_its_tail(y: float) -> None:
    """The mean at -t is 1/t - 2/t^3 + 10/t^5 - ..."""
    x = recognised_pattern(MACHINE, 3, activation=y, divide_by="squares")
    t = -(float(MACHINE.hidden_bias[3]) + float(MACHINE.weight[:, 3].astype(np.float64) @ x))
    assert 1 / t - 2 / t**3 + 10 / t**5 == pytest.approx(y, rel=1e-7)


def test_a_machine_is_its_weights_turned() -> None:
    weight = MACHINE.weight.astype(np.float64)
    np.testing.assert_array_equal(filters(MACHINE), weight.T)
    assert filters(MACHINE).flags.c_contiguous
    found = recognised_pattern(MACHINE, 0, activation=0.75)
    s = np.log(3) - float(MACHINE.hidden_bias[0])
    np.testing.assert_allclose(found, s / weight[:, 0].sum() * weight[:, 0], rtol=1e-12)
    h = np.random.default_rng(1).normal(size=(2, 5, 6))
    np.testing.assert_allclose(backward_pattern(MACHINE, h), h @ weight.T, rtol=1e-12)


def test_filters_are_rows_and_a_copy() -> None:
    np.testing.assert_array_equal(filters(NETWORK), FIRST)
    np.testing.assert_array_equal(filters(NETWORK, -1), SECOND)
    filters(NETWORK)[:] = 0
    np.testing.assert_array_equal(NETWORK.layers[0].weight, FIRST)


def test_backwards_through_all_layers() -> None:
    a = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(backward_pattern(NETWORK, a), a @ SECOND @ FIRST, rtol=1e-14)
    np.testing.assert_allclose(backward_pattern(NETWORK, a[:, :2], 0), a[:, :2] @ FIRST, rtol=1e-14)
    np.testing.assert_allclose(backward_pattern(NETWORK, a[0], -1), a[0] @ SECOND @ FIRST, rtol=1e-14)


def test_backwards_is_the_gradient_where_all_slopes_are_one() -> None:
    linear = Layered([Dense(FIRST, FIRST_BIAS), Activation("identity"), Dense(SECOND)], 3)
    a = np.array([1.0, -2.0, 0.5])
    with double_precision():
        gradient = jax.grad(lambda x: a @ linear(x))(jax.numpy.ones(3))
    np.testing.assert_allclose(backward_pattern(linear, a), gradient, rtol=1e-12)


@pytest.mark.parametrize("scale", ["sigmoid", "normalised"])
def test_sampled_patterns_have_the_probabilities(scale: Any, key: jax.Array) -> None:
    """Means of 20000 draws, each entry within the exact standard deviation, false alarms as stated."""
    count = 20_000
    draws = sampled_patterns(NETWORK, 0, key, count, layer=0, scale=scale)
    assert draws.shape == (count, 3)
    assert set(np.unique(draws)) == {0.0, 1.0}
    weights = FIRST[0]
    p = expit(weights) if scale == "sigmoid" else (weights + 0.5) / 2.5
    wide = 4.9 * np.sqrt(p * (1 - p) / count)  # two-sided, a normal law leaves it with probability 1e-6
    assert (np.abs(draws.mean(axis=0) - p) <= wide).all()
    if scale == "sigmoid":  # entries are drawn apart: correlations of 0 +- 1 / sqrt(count)
        off = np.corrcoef(draws.T)[np.triu_indices(3, 1)]
        assert (np.abs(off) < 4.9 / np.sqrt(count)).all()


def test_one_key_gives_the_same_patterns_and_another_others(key: jax.Array) -> None:
    first, again = (sampled_patterns(MACHINE, 2, key, 50) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != sampled_patterns(MACHINE, 2, jax.random.split(key)[0], 50)).any()


def machine_with(hidden: AbstractUnits) -> Machine:
    return Machine(Bernoulli(2), hidden, np.ones((2, hidden.size)), np.zeros(2), np.zeros(hidden.size))


def behind(name: str, slope: float | None = None) -> Layered:
    return Layered([Dense(FIRST), Activation(name, slope)], 3)


KEY = jax.random.key(0)
CANCELLING = Layered([Dense([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])], 3)
REFUSED: dict[str, tuple[Any, str]] = {
    "unit too large": (lambda: recognised_pattern(NETWORK, 3), "no unit 3. the layer has 3"),
    "unit negative": (lambda: recognised_pattern(NETWORK, -1), "no unit -1"),
    "unit of a machine": (lambda: sampled_patterns(MACHINE, 6, KEY, 1), "no unit 6"),
    "layer too large": (lambda: recognised_pattern(NETWORK, 0, layer=2), "no layer 2.*2 dense layers"),
    "layer of a machine": (lambda: filters(MACHINE, 1), "no layer 1.*1 dense layers"),
    "layer negative": (lambda: backward_pattern(NETWORK, np.ones(2), -3), "no layer -3"),
    "no layers": (lambda: filters(Layered([], 3)), "no layer 0.*0 dense"),
    "a function": (lambda: filters(Function(lambda x: x, input_shape=1)), "Function has no layers"),
    "a scaler": (
        lambda: filters(Layered([Affine(2.0), Dense(FIRST)], 3)),
        r"layers\[0\] is Affine after nothing",
    ),
    "two activations": (
        lambda: filters(Layered([Dense(FIRST), Activation("tanh"), Activation("exp")], 3)),
        r"layers\[2\] is Activation after Activation",
    ),
    "an activation first": (lambda: filters(Layered([Activation("tanh")], 3)), r"layers\[0\] is Activation"),
    "beyond tanh": (lambda: recognised_pattern(NETWORK, 0, activation=1.0, layer=0), "activation is 1. tanh"),
    "beyond logistic": (lambda: recognised_pattern(MACHINE, 0, activation=0.0), "activation is 0"),
    "below relu": (lambda: recognised_pattern(behind("relu"), 0, activation=0.0), "between 0 and inf"),
    "below selu": (lambda: recognised_pattern(behind("selu"), 0, activation=-1.76), "-1.758"),
    "below elu": (lambda: recognised_pattern(behind("elu", 0.5), 0, activation=-0.5), "between -0.5"),
    "above relu6": (lambda: recognised_pattern(behind("relu6"), 0, activation=6.0), "between 0 and 6"),
    "below rectified": (lambda: recognised_pattern(MACHINE, 3, activation=0.0), "mean of Rectified units"),
    "not monotone": (lambda: recognised_pattern(behind("gelu"), 0), "gelu has no inverse. it is not mono"),
    "sloped wrongly": (lambda: recognised_pattern(behind("leaky_relu", -1.0), 0), "slope -1 has no inverse"),
    "flat": (lambda: recognised_pattern(behind("leaky_relu", 0.0), 0), "slope 0 has no inverse"),
    "softmax": (lambda: recognised_pattern(behind("softmax"), 0), "softmax has no inverse.*network.logits"),
    "softmax units": (lambda: recognised_pattern(MACHINE, 4), "mean of Softmax units has no inverse"),
    "NaN": (lambda: recognised_pattern(NETWORK, 0, activation=float("nan")), "activation holds NaN"),
    "cancelling": (lambda: recognised_pattern(CANCELLING, 0), 'sum to 0.*divide_by="squares"'),
    "zero": (lambda: recognised_pattern(CANCELLING, 1, divide_by="squares"), "sum to 0.*another unit"),
    "same weights": (
        lambda: sampled_patterns(machine_with(Bernoulli(1)), 0, KEY, 1, scale="normalised"),
        "weights of unit 0 are all 1",
    ),
    "no patterns": (lambda: sampled_patterns(NETWORK, 0, KEY, 0), "count must be"),
    "activations of another layer": (
        lambda: backward_pattern(NETWORK, np.ones(2)),
        r"activations has shape \(2,\).*layer 1 has 3 units",
    ),
    "one number": (lambda: backward_pattern(NETWORK, 1.0), r"activations has shape \(\)"),
    "infinite": (lambda: backward_pattern(NETWORK, [1.0, np.inf, 0.0]), "infinite number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_said(name: str) -> None:
    run, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        run()


def test_a_softmax_at_the_end_does_not_hinder_views_that_need_no_inverse() -> None:
    np.testing.assert_array_equal(filters(behind("softmax")), FIRST)
    np.testing.assert_array_equal(backward_pattern(behind("softmax"), [1.0, 0.0]), FIRST[0])
