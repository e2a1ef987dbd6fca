"""preimage: f(x) = Y* on every member, the classical inverse where there is one, and honesty elsewhere."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinv
from probinv._errors import InputError, ResourceError
from probinv.forward import Members, _preimage, joined, preimage
from probinv.forward._backward import normal_noise
from probinv.forward._polish import polish
from probinv.forward.layered import Layered
from probinv.forward.layers import (
    AbstractLayer,
    Activation,
    Affine,
    Convolution,
    Coupling,
    Dense,
    Permutation,
    Reshape,
)

KEY = jax.random.key(3)


def orthogonal(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, n)))[0] * rng.uniform(0.7, 1.4, n)


def net(*sizes: int, activation: str = "tanh", output: str = "identity", seed: int = 0) -> Layered:
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    biases = [0.2 * rng.standard_normal(len(weight)) for weight in weights]
    return Layered.from_arrays(weights, biases, activation, output)


def value(network: Layered, x: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(network(jnp.asarray(x)))


def values(network: Layered, x: np.ndarray) -> np.ndarray:
    return np.stack([value(network, row) for row in x])


SQUARE: dict[str, Callable[[], Activation]] = {
    "leaky_relu": lambda: Activation("leaky_relu", 0.5),
    "tanh": lambda: Activation("tanh"),
    "softplus": lambda: Activation("softplus"),
    "elu": lambda: Activation("elu"),
    "logistic": lambda: Activation("logistic"),
}


@pytest.mark.parametrize("name", SQUARE)
def test_square_layers_give_the_input_back(name: str) -> None:
    """10 and 100 units, 4 layers: x to 1e-10 where weights and slopes are well conditioned."""
    for n in (10, 100):
        rng = np.random.default_rng(n)
        layers: list[AbstractLayer] = []
        for _ in range(4):
            layers += [Dense(orthogonal(n, rng), 0.1 * rng.standard_normal(n)), SQUARE[name]()]
        network = Layered(layers, n)
        x = 0.5 * rng.standard_normal(n)
        found = preimage(network, value(network, x))
        assert np.linalg.norm(found.point - x) < 1e-10 * np.linalg.norm(x)
        assert found.residual < 1e-13
        assert (found.rank, found.free, found.projected) == (n, 0, ())
        assert found.basis.shape == (n, 0)
        weights = [np.linalg.cond(layer.weight) for layer in layers if isinstance(layer, Dense)]
        slopes = 2.0**4 if name == "leaky_relu" else 1.0
        assert np.isclose(found.condition, np.prod(weights) * slopes, rtol=1e-9)
        assert [fact.kind for fact in found.layers] == ["Dense", "Activation"] * 4
        again = found.sample(KEY, 2)
        np.testing.assert_allclose(again, np.tile(found.point, (2, 1)), atol=1e-11)


def test_an_ill_conditioned_layer_says_so() -> None:
    """The forward error stays at rounding, x is off by the condition number."""
    rng = np.random.default_rng(0)
    left, right = orthogonal(20, rng), orthogonal(20, rng)
    weight = left @ np.diag(np.logspace(0, -9, 20)) @ right
    network, x = Layered([Dense(weight)], 20), rng.standard_normal(20)
    found = preimage(network, value(network, x))
    assert found.residual < 1e-14
    assert 1e8 < found.condition < 1e11
    assert np.isclose(found.condition, np.linalg.cond(weight), rtol=1e-5)
    error = np.linalg.norm(found.point - x) / np.linalg.norm(x)
    assert 1e-12 < error < 1e-15 * found.condition


WIDE = net(12, 7, 3, seed=1)


def test_every_member_of_a_wide_network_gives_the_output() -> None:
    """The preimage law: 9 free dimensions, x + N w exact, and members that differ in all of them."""
    x = np.random.default_rng(0).standard_normal(12)
    y = value(WIDE, 0.5 * x)
    found = preimage(WIDE, y)
    assert (found.rank, found.free, found.projected) == (3, 9, ())
    assert found.residual < 1e-14
    np.testing.assert_allclose(found.output, y, atol=1e-14)
    members = found.members(KEY, 40)
    assert members.error.max() < 1e-13
    assert not members.projected.any()
    assert np.abs(members.x - found.point).max(axis=1).min() > 1e-3  # the point itself is none of them
    np.testing.assert_allclose(values(WIDE, members.x), np.tile(y, (40, 1)), atol=1e-13)
    assert np.linalg.matrix_rank(members.x - members.x.mean(axis=0)) == 12  # curved: 9 dimensions in all 12
    np.testing.assert_array_equal(members.x, members.raw)
    np.testing.assert_array_equal(found.sample(KEY, 40), members.x)
    basis = found.basis
    assert basis.shape == (12, 5)
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-13)
    moved = found.point + 3 * np.random.default_rng(1).standard_normal((5, 5)) @ basis.T
    np.testing.assert_allclose(values(WIDE, moved), np.tile(y, (5, 1)), atol=1e-13)


def test_the_point_is_that_of_least_norm() -> None:
    """Of one linear layer: NumPy's pseudo-inverse, members being longer by their null-space part."""
    rng = np.random.default_rng(2)
    weight, bias, y = rng.standard_normal((3, 6)), rng.standard_normal(3), rng.standard_normal(3)
    found = preimage(Layered([Dense(weight, bias)], 6), y)
    np.testing.assert_allclose(found.point, np.linalg.pinv(weight) @ (y - bias), atol=1e-13)
    drawn = found.sample(KEY, 4000, spread=2.0) - found.point
    np.testing.assert_allclose(drawn @ weight.T, 0, atol=1e-12)
    # 2 N w with w ~ N(0, I_3): variance 4 in each direction, within 6 standard errors of 4 sqrt(2 / 4000)
    np.testing.assert_allclose((drawn @ found.basis).var(axis=0), 4, atol=0.55)


def test_an_overdetermined_layer_is_least_squares() -> None:
    rng = np.random.default_rng(3)
    weight, y = rng.standard_normal((6, 3)), rng.standard_normal(6)
    network = Layered([Dense(weight)], 3)
    found = preimage(network, y)
    best, *_ = np.linalg.lstsq(weight, y, rcond=None)
    np.testing.assert_allclose(found.point, best, atol=1e-13)
    assert np.isclose(found.residual, np.abs(weight @ best - y).max())
    assert found.projected == (0,)
    reachable = preimage(network, weight @ np.ones(3))
    assert (reachable.projected, reachable.residual < 1e-14) == ((), True)


def test_an_expanding_network_is_projected_and_polish_repairs_it() -> None:
    """4-9-2: of 9 hidden values 4 inputs reach a surface only. The forward error is told either way."""
    network = net(4, 9, 2, seed=4)
    y = value(network, np.random.default_rng(0).standard_normal(4))
    rough, fine = preimage(network, y), preimage(network, y, polish=30)
    assert rough.projected == fine.projected == (0,)
    assert rough.residual > 1e-3
    assert np.isclose(rough.residual, np.abs(value(network, rough.point) - y).max())
    assert fine.residual < 1e-12
    members = fine.members(KEY, 10)
    assert members.projected.all()
    assert np.median(members.error) < 1e-12
    assert np.abs(members.x - members.raw).max() > 1e-3


def test_outputs_that_no_input_gives_are_said_to_be_projected() -> None:
    network = net(5, 4, 3, output="tanh")
    found = preimage(network, [1.5, 0.0, 0.0])
    assert 3 in found.projected
    assert found.residual >= 0.5


def test_a_classifier_of_softmax_is_inverted() -> None:
    """softmax does not see a common part of its inputs: centred weights, one dimension more."""
    network = net(10, 6, 3, activation="leaky_relu", output="softmax")
    y = np.array([0.7, 0.2, 0.1])
    found = preimage(network, y)
    assert found.residual < 1e-14
    assert (found.rank, found.free, found.projected) == (2, 9, ())
    assert found.members(KEY, 20).error.max() < 1e-13
    onehot = preimage(network, [1.0, 0.0, 0.0])
    assert onehot.projected == (3,)
    assert onehot.residual < 1e-11


def test_a_dead_relu_layer_is_gone_back_through() -> None:
    """relu takes 0 on a half-line: members use it, and every one gives the output."""
    network = net(9, 6, 4, activation="relu", output="relu", seed=5)
    inputs = np.random.default_rng(5).standard_normal((40, 9))
    y = next(y for y in values(network, 2 * inputs) if 1 <= (y == 0).sum() <= 2)
    off = int(np.argmin(y))
    found = preimage(network, y)
    assert found.projected == ()
    assert found.residual < 1e-13
    members = found.members(KEY, 30)
    assert members.error.max() < 1e-12
    below = np.stack([value(Layered(network.layers[:3], 9), x) for x in members.x])
    assert (below[:, off] <= 1e-12).all()
    assert below[:, off].std() > 0.02


def test_a_tall_relu_layer_is_solved_by_its_inequalities() -> None:
    """16 units of 3 inputs: those that are on have an equation each, and those that are off an inequality."""
    rng = np.random.default_rng(6)
    network = Layered([Dense(rng.standard_normal((16, 3))), Activation("relu")], 3)
    for x in rng.standard_normal((4, 3)):
        found = preimage(network, value(network, x))
        assert found.projected == ()
        assert found.residual < 1e-10


def test_bounds_are_kept_where_that_is_possible() -> None:
    network = net(20, 3, seed=7)
    y = value(network, np.full(20, 0.4))
    found = preimage(network, y, bounds=(0.0, 1.0))
    members = found.members(KEY, 20, spread=2.0)
    assert found.projected == ()
    assert members.error.max() < 1e-12
    assert members.x.min() >= 0
    assert members.x.max() <= 1
    free = preimage(network, y).sample(KEY, 20, spread=2.0)
    assert free.min() < 0
    outside = preimage(network, y + 50, bounds=(0.0, 1.0), polish=3)  # no member inside: told by its place
    assert outside.projected == ()
    assert outside.residual < 1e-11
    assert outside.point.max() > 1.5


def test_scalers_pictures_and_couplings_are_gone_back_through() -> None:
    """A chain of all kinds that are invertible: x comes back."""
    rng = np.random.default_rng(8)
    layers = [
        Affine(1 / np.linspace(1, 3, 8), 0.5),
        Reshape([2, 4]),
        Convolution(rng.standard_normal((2, 2, 3)), rng.standard_normal(2), padding="circular"),
        Activation("leaky_relu", 0.3),
        Convolution(rng.standard_normal((2, 2, 1))),
        Reshape(),
        Permutation(rng.permutation(8)),
        Coupling(*(rng.standard_normal(shape) for shape in ((5, 3), (5,), (10, 5), (10,)))),
        Dense(orthogonal(8, rng)),
        Activation("softplus"),
    ]
    network, x = Layered(layers, 8), rng.standard_normal(8)
    found = preimage(network, value(network, x))
    np.testing.assert_allclose(found.point, x, atol=1e-10)
    assert found.projected == ()
    assert found.basis.shape == (8, 0)


def test_a_basis_is_in_the_units_of_the_input() -> None:
    """Behind a scaler and a permutation the null space is that of W P diag(1 / s)."""
    network = Layered(
        [Affine(np.linspace(0.5, 2, 6), 1.0), Permutation([3, 1, 0, 2, 5, 4]), *net(6, 2).layers], 6
    )
    y = value(network, np.full(6, 0.1))
    found = preimage(network, y)
    basis = found.basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-13)
    np.testing.assert_allclose(values(network, found.point + 2 * basis.T), np.tile(y, (4, 1)), atol=1e-13)
    assert preimage(Layered([Activation("tanh"), *net(6, 2).layers], 6), y).basis.shape == (6, 0)


def test_outputs_that_do_not_matter_are_left_out() -> None:
    network = Layered([*net(6, 5, 3, output="tanh").layers, Affine([1.0, 2.0, 3.0], 0.5)], 6)
    y = value(network, np.full(6, 0.3))
    wish = np.array([y[0], np.nan, y[2]])
    found = preimage(network, wish)
    assert found.output.shape == (3,)
    assert found.residual < 1e-13
    assert (found.rank, found.free) == (2, 4)
    assert abs(found.output[1] - y[1]) > 1e-3
    with pytest.raises(InputError, match="1 outputs of the wish are NaN"):
        preimage(net(6, 3, output="softmax"), wish)


def test_the_key_and_the_blocks_decide_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    found = preimage(WIDE, np.zeros(3))
    whole = found.sample(KEY, 7)
    monkeypatch.setattr(_preimage, "BLOCK_NUMBERS", 24)
    np.testing.assert_allclose(found.sample(KEY, 7), whole, atol=1e-14)
    assert np.abs(found.sample(jax.random.key(4), 7) - whole).max() > 0.1
    assert len(np.unique(whole.round(6), axis=0)) == 7


def test_each_layer_has_noise_of_its_own() -> None:
    noise = normal_noise(KEY, 0, 1.0)
    one, other = noise(0, (3, 4)), noise(2, (3, 4))
    np.testing.assert_array_equal(one[0], 0)
    assert np.abs(one[1:] - other[1:]).min() > 1e-3
    np.testing.assert_array_equal(normal_noise(KEY, 1, 2.0)(0, (2, 4)), 2 * one[1:])


def test_parts_are_joined() -> None:
    rows = np.zeros((1, 2))
    one = Members(rows, rows, rows, rows[0, :1], rows[0, :1] > 0, (3,), 2)
    both = joined([one, one._replace(layers=(1, 3), jacobians=5)])
    assert (both.layers, both.jacobians, both.x.shape) == ((1, 3), 7, (2, 2))


W, OPEN = np.eye(2), np.array([np.inf, np.inf])
SIN = 1.3 + (1.5 - np.sin(1.3)) / np.cos(1.3) / 101
POLISHED: dict[str, tuple[Any, Any, Any, Any, Any]] = {
    "never longer than 1 + |x|": (W, [1.5, 0.0], [0.0, 0.0], OPEN, [-1.0, 0.0]),
    "damped by 10 where less does not come nearer": (W, [1.3, 1.3], [1.5, 1.5], OPEN, [SIN, SIN]),
    "held at a bound": ([[1, 1], [0, 0]], [0.0, 0.0], [0.2, 0.0], np.array([0.0, 1.0]), [0.0, 0.2]),
    "to a bound": ([[1, 1], [0, 0]], [0.0, 0.0], [0.2, 0.0], np.array([0.0, 0.1]), [0.0, 0.1]),
    "along a small singular value": (np.diag([1, 1e-5]), [0.0, 0.0], [0.0, 1e-6], OPEN, [0.0, 0.1]),
    "to rounding": (W, [1e-10, 0.0], [0.0, 0.0], OPEN, [0.0, 0.0]),
}


@pytest.mark.usefixtures("x64")
def test_one_step_of_polish_is_its_formula() -> None:
    """f(x) = sin(W x), one step; a point that is exact has none."""
    for name, (weight, x, y, high, expected) in POLISHED.items():
        network = Layered([Dense(np.asarray(weight, float)), Activation("sin")], 2)
        found, count = polish(network, np.array([x]), np.array(y), (-OPEN, high), 1)
        np.testing.assert_allclose(found, [expected], rtol=1e-9, atol=1e-15, err_msg=name)
        assert count.tolist() == [1], name
    found, count = polish(network, np.array([[1e-13, 0.0]]), np.zeros(2), (-OPEN, OPEN), 1)
    assert count.tolist() == [0]


class Logarithm(AbstractLayer):
    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.log(x)


@pytest.mark.usefixtures("x64")
def test_a_step_to_where_there_is_no_output_is_not_taken() -> None:
    """log x = log 0.2 from x = 1: the whole step ends at -0.61, that damped by 1 at half of the way there."""
    network, open_ends = Layered([Logarithm()], 1), (-OPEN[:1], OPEN[:1])
    found, _ = polish(network, np.array([[1.0]]), np.log([0.2]), open_ends, 1)
    np.testing.assert_allclose(found, [[1 + np.log(0.2) / 2]])


def test_it_is_on_the_front_page_and_leaves_jax_as_it_was() -> None:
    assert probinv.preimage is preimage
    single = net(3, 2)
    assert preimage(single, [0.1, 0.2]).point.dtype == np.float64
    assert not jax.config.jax_enable_x64


class Unknown(AbstractLayer):
    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "a function": (lambda: preimage(lambda x: x, [1.0]), "a Function has no layers"),
    "an unknown layer": (lambda: preimage(Layered([Unknown()], 2), [1.0, 2.0]), r"layers\[0\], a Unknown"),
    "another shape": (lambda: preimage(net(3, 2), [1.0]), r"shape \(1,\).*outputs of shape \(2,\)"),
    "no number": (lambda: preimage(net(3, 2), [np.nan, np.nan]), "0 numbers"),
    "polish": (lambda: preimage(net(3, 2), [0.0, 0.0], polish=-1), "polish"),
    "bounds": (lambda: preimage(net(3, 2), [0.0, 0.0], bounds=3.0), "bounds are not a pair"),
    "empty bounds": (lambda: preimage(net(3, 2), [0.0, 0.0], bounds=(1.0, 0.0)), "bounds are empty"),
    "count": (lambda: preimage(net(3, 2), [0.0, 0.0]).sample(KEY, 0), "count"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_had_is_named(name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(InputError, match=words):
        make()


def test_factors_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_preimage, "memory_available", lambda: 100)
    with pytest.raises(ResourceError, match="factors of the layers"):
        preimage(net(3, 2), [0.0, 0.0])
