"""The way back through each kind of layer, against linear algebra and against the layer itself."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError, ResourceError
from probinv.forward.layers import (
    AbstractInvertible,
    Activation,
    Affine,
    Convolution,
    Coupling,
    Dense,
    Permutation,
    Reshape,
    _factor,
)
from probinv.forward.layers._box import Box, Range
from probinv.forward.layers._factor import Deficient, Square, Tall, Wide, factorise
from probinv.forward.layers.activation import PLAIN, SLOPED

pytestmark = pytest.mark.usefixtures("x64")
RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(math.prod(shape) + len(shape)).standard_normal(shape)


def deficient() -> np.ndarray:
    return normal(5, 3) @ normal(3, 7)


MATRICES: dict[str, tuple[np.ndarray, type, int]] = {
    "square": (normal(6, 6), Square, 6),
    "wide": (normal(4, 9), Wide, 4),
    "tall": (normal(9, 4), Tall, 4),
    "deficient": (deficient(), Deficient, 3),
    "singular": (np.outer(normal(4), normal(4)), Deficient, 1),
    "deficient tall": (deficient().T, Deficient, 3),
    "zero": (np.zeros((2, 3)), Deficient, 0),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_factor_is_the_pseudo_inverse(name: str) -> None:
    """W^+ of NumPy, whatever the factor; N spans the null space; condition and rank are those of NumPy."""
    matrix, kind, rank = MATRICES[name]
    factor, pseudo = factorise(matrix), np.linalg.pinv(matrix, rcond=1e-12)
    assert type(factor) is kind
    assert factor.rank == rank == np.linalg.matrix_rank(matrix)
    m, n = matrix.shape
    y, x = normal(3, m), normal(3, n)
    np.testing.assert_allclose(factor.solve(y), y @ pseudo.T, atol=1e-11)
    np.testing.assert_allclose(factor.apply(x), x @ matrix.T, atol=1e-13)
    np.testing.assert_allclose(factor.unseen(x), x @ (np.eye(n) - pseudo @ matrix).T, atol=1e-12)
    null = factor.null_space()
    assert null.shape == (n, n - rank)
    assert np.abs(matrix @ null).max(initial=0) < 1e-13
    np.testing.assert_allclose(null.T @ null, np.eye(n - rank), atol=1e-13)
    values = np.linalg.svd(matrix, compute_uv=False)[: max(rank, 1)]
    if rank:
        assert np.isclose(factor.condition, values[0] / values[-1], rtol=1e-10)


@pytest.mark.parametrize("shape", [(30, 30), (20, 40), (40, 20)])
def test_the_condition_of_a_large_matrix_is_that_of_numpy(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Lanczos, from a limit that is lowered here; ill-conditioned, orthogonal, and plain."""
    monkeypatch.setattr(_factor, "EXACT_MOST", 10)
    left, right = (np.linalg.qr(normal(n, n))[0] for n in shape)
    least = min(shape)
    for values in (np.linspace(1, 3, least), np.logspace(0, -6, least), np.ones(least)):
        matrix = left[:, :least] * values @ right[:, :least].T
        assert np.isclose(factorise(matrix).condition, np.linalg.cond(matrix), rtol=1e-8)


def test_a_basis_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    factor = factorise(normal(2, 50))
    monkeypatch.setattr(_factor, "memory_available", lambda: 1000)
    with pytest.raises(ResourceError, match="48 directions in 50 dimensions"):
        factor.null_space()
    assert np.abs(factor.apply(factor.unseen(normal(1, 50)))).max() < 1e-13


LAYERS: dict[str, tuple[Callable[[], AbstractInvertible], tuple[int, ...], tuple[float, int, int] | None]] = {
    "dense square": (lambda: Dense(normal(5, 5), normal(5)), (5,), (np.linalg.cond(normal(5, 5)), 5, 0)),
    "dense wide": (lambda: Dense(normal(3, 5), normal(3)), (5,), (np.linalg.cond(normal(3, 5)), 3, 2)),
    "dense tall": (lambda: Dense(normal(8, 5), normal(8)), (5,), (np.linalg.cond(normal(8, 5)), 5, 0)),
    "affine": (lambda: Affine([2.0, -3.0, 0.5], [1.0, 0.0, -4.0]), (3,), (6.0, 3, 0)),
    "affine dead": (lambda: Affine([2.0, 0.0, 0.5], 1.0), (3,), (4.0, 2, 1)),
    "reshape": (lambda: Reshape([3, -1]), (2, 6), (1.0, 12, 0)),
    "flatten": (lambda: Reshape(), (2, 3), (1.0, 6, 0)),
    "permutation": (lambda: Permutation([2, 0, 3, 1, 5, 4]), (2, 3), (1.0, 6, 0)),
    "coupling": (
        lambda: Coupling(normal(4, 2), normal(4), normal(6, 4), normal(6)),
        (5,),
        (1.0, 5, 0),
    ),
    "convolution 1x1": (lambda: Convolution(normal(3, 3, 1, 1), normal(3)), (3, 4, 2), None),
    "convolution 1x1 wide": (lambda: Convolution(normal(2, 3, 1)), (3, 4), None),
    "convolution circular": (
        lambda: Convolution(normal(2, 2, 3, 3), normal(2), padding="circular"),
        (2, 4, 5),
        None,
    ),
    "convolution circular wide": (lambda: Convolution(normal(2, 3, 4), padding="circular"), (3, 6), None),
    "convolution valid": (lambda: Convolution(normal(2, 1, 3), normal(2)), (1, 7), None),
    "convolution same": (lambda: Convolution(normal(2, 2, 3), normal(2), padding="same"), (2, 5), None),
    "convolution strided": (
        lambda: Convolution(normal(2, 2, 4), normal(2), stride=2, padding="circular"),
        (2, 6),
        None,
    ),
}


def through(layer: AbstractInvertible, x: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(layer(jnp.asarray(row))) for row in x])


def matrix_of(layer: AbstractInvertible, shape: tuple[int, ...]) -> np.ndarray:
    size = math.prod(shape)
    zero = np.asarray(layer(jnp.zeros(shape))).ravel()
    return np.stack(
        [np.asarray(layer(jnp.eye(size)[k].reshape(shape))).ravel() - zero for k in range(size)], 1
    )


def noise(shape: tuple[int, ...]) -> np.ndarray:
    rows = np.random.default_rng(1).standard_normal(shape)
    rows[0] = 0
    return rows


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_and_its_inverse(name: str) -> None:
    """l(x') = l(x) for every member x'; x' = x where nothing is free; x' is shortest without coordinates."""
    make, shape, known = LAYERS[name]
    layer, x = make(), normal(3, *shape)
    inverse = layer.inverse(shape)
    y, everywhere = through(layer, x), Range.everything(shape)
    box, missed = inverse.pull(Box.point(y), everywhere, noise)
    assert not missed.any()
    assert box.at.shape == x.shape
    assert box.single == (inverse.free == 0 or "affine" not in name)
    np.testing.assert_allclose(through(layer, box.at), y, atol=1e-12)
    linear = "coupling" not in name
    if linear:
        values = np.linalg.svd(matrix_of(layer, shape), compute_uv=False)
        rank = int((values > 1e-12 * values[0]).sum())
        found = known or (values[0] / values[rank - 1], rank, math.prod(shape) - rank)
        assert (inverse.rank, inverse.free) == found[1:] == (rank, math.prod(shape) - rank)
        assert np.isclose(inverse.condition, found[0], rtol=1e-9)
        offset = y[0].ravel() - np.asarray(layer(jnp.zeros(shape))).ravel()
        shortest = np.linalg.pinv(matrix_of(layer, shape), rcond=1e-12) @ offset
        np.testing.assert_allclose(box.at[0].ravel(), shortest, atol=1e-11)
    if inverse.free == 0:
        np.testing.assert_allclose(box.at, x, atol=1e-11)
    else:
        assert np.abs(box.at[1] - inverse.pull(Box.point(y), everywhere, None)[0].at[1]).max() > 0.1


@pytest.mark.parametrize("name", [name for name in LAYERS if "convolution" in name])
def test_a_structured_null_space(name: str) -> None:
    make, shape, _ = LAYERS[name]
    layer = make()
    inverse = layer.inverse(shape)
    null = inverse.factor.null_space()  # type: ignore[attr-defined]
    assert null.shape == (math.prod(shape), inverse.free)
    np.testing.assert_allclose(null.T @ null, np.eye(inverse.free), atol=1e-12)
    assert np.abs(matrix_of(layer, shape) @ null).max(initial=0) < 1e-12


def test_a_convolution_is_that_of_its_formula() -> None:
    """y_o(p) = sum_i sum_k w_oi(k) x_i(stride p + k - offset) + b_o, in plain loops."""
    weight, bias, x = normal(2, 3, 4), normal(2), normal(3, 7)
    for stride in (1, 2):
        for padding, offset, places in (("valid", 0, 4), ("same", 1, 7), ("circular", 1, 7)):
            layer = Convolution(weight, bias, stride, padding)
            count = (places - 1) // stride + 1
            expected = np.tile(bias[:, None], (1, count))
            for p in range(count):
                for k in range(4):
                    place = stride * p + k - offset
                    if padding == "circular" or 0 <= place < 7:
                        expected[:, p] += weight[:, :, k] @ x[:, place % 7]
            assert layer.output_shape(x.shape) == expected.shape
            np.testing.assert_allclose(layer(jnp.asarray(x)), expected, atol=1e-12)


ACTIVATIONS = [*((name, None) for name in PLAIN), ("leaky_relu", 0.2), ("elu", 0.5), ("leaky_relu", -0.5)]


@pytest.mark.parametrize(("name", "slope"), ACTIVATIONS)
def test_an_activation_and_its_inverse(name: str, slope: float | None) -> None:
    """h(h^-1(y)) = y to rounding of h for y = h(u), and h^-1(h(u)) = u where h is one to one."""
    layer = Activation(name, slope)
    u = np.concatenate([normal(1, 12), np.linspace(-2.5, 2.5, 12)[None], 0.01 * normal(1, 12)])
    y = through(layer, u)
    box, missed = layer.inverse((12,)).pull(Box.point(y), Range.everything((12,)), noise)
    assert not missed.any()
    np.testing.assert_allclose(through(layer, box.at), y, rtol=1e-12, atol=1e-14)
    if name in ("identity", "tanh", "logistic", "softplus", "softsign", "exp", "selu", "elu") or slope == 0.2:
        assert box.single
        np.testing.assert_allclose(box.at, u, rtol=1e-12, atol=1e-13)
    if name in ("relu", "relu6", "hard_tanh"):
        assert (box.low <= u).all()
        assert (u <= box.high).all()
        assert np.isinf(box.low[1, 0])
        assert (box.at[1:, :][y[1:] == y.min()] <= box.high[1:][y[1:] == y.min()]).all()


PROJECTED: dict[str, tuple[Any, float, float]] = {
    "tanh": (Activation("tanh"), 1.5, 1 - 2e-12),
    "logistic": (Activation("logistic"), 0.0, 1e-12),
    "relu": (Activation("relu"), -0.5, 0.0),
    "relu6": (Activation("relu6"), 7.0, 6.0),
    "softplus": (Activation("softplus"), -1.0, 1e-12),
    "elu": (Activation("elu", 0.5), -0.7, -0.5 + 1e-12),
    "sin": (Activation("sin"), 2.0, 1.0),
    "exp": (Activation("exp"), -2.0, 1e-12),
}


@pytest.mark.parametrize("name", PROJECTED)
def test_what_an_activation_never_gives_is_projected_and_said_so(name: str) -> None:
    layer, y, nearest = PROJECTED[name]
    rows = np.array([[y, 0.5], [0.5, 0.25]])
    box, missed = layer.inverse((2,)).pull(Box.point(rows), Range.everything((2,)), None)
    assert missed.tolist() == [True, False]
    np.testing.assert_allclose(through(layer, box.at), [[nearest, 0.5], [0.5, 0.25]], rtol=1e-4, atol=1e-15)


def test_values_near_an_end_are_not_moved() -> None:
    """1e-13 from the end of tanh is a value that it gives, though projected values stay 1e-12 away."""
    y = np.tanh(np.array([[14.5, -14.5]]))
    box, missed = Activation("tanh").inverse((2,)).pull(Box.point(y), Range.everything((2,)), None)
    assert not missed.any()
    np.testing.assert_allclose(box.at, [[14.5, -14.5]], rtol=1e-3)


def test_a_softmax_is_known_up_to_a_constant() -> None:
    y = np.array([[0.2, 0.3, 0.5], [0.2, 0.2, 0.2], [0.0, 0.5, 0.5]])
    for layer, given in ((Activation("softmax"), y), (Activation("log_softmax"), np.log(y + 1e-12))):
        inverse = layer.inverse((3,))
        assert (inverse.rank, inverse.free) == (2, 1)
        box, missed = inverse.pull(Box.point(given), Range.everything((3,)), None)
        assert missed.tolist() == [False, True, layer.name == "softmax"]
        np.testing.assert_allclose(box.at.sum(axis=1), 0, atol=1e-12)
        np.testing.assert_allclose(np.asarray(jax.nn.softmax(box.at[:1])), y[:1], rtol=1e-10)
        assert inverse.reach(Range.everything((3,))).high.tolist() == [1.0 if given is y else 0.0] * 3


def test_members_are_looked_for_in_the_domain() -> None:
    """Of all x with x_0 + x_1 + x_2 = 2 some lie in [0, 1]^3; of those with sum 4 none does."""
    inverse = Dense([[1.0, 1.0, 1.0]]).inverse((3,))
    cube = Range(np.zeros(3), np.ones(3), True)
    box, missed = inverse.pull(Box.point(np.array([[2.0]] * 50)), cube, lambda shape: 3 * noise(shape))
    assert not missed.any()
    assert (box.at >= 0).all()
    assert (box.at <= 1).all()
    np.testing.assert_allclose(box.at.sum(axis=1), 2, atol=1e-12)
    assert box.at.std(axis=0).min() > 0.05
    box, missed = inverse.pull(Box.point(np.array([[4.0]])), cube, None)
    assert missed.all()
    np.testing.assert_allclose(box.at, 0.99)


def test_a_half_line_of_a_relu_is_used() -> None:
    """Of relu(W x) with more units than inputs, units that are off may have any input below zero."""
    weight, x = normal(12, 4), normal(3, 4)
    relu, dense = Activation("relu"), Dense(weight)
    everywhere = Range.everything((12,))
    wish, _ = relu.inverse((12,)).pull(Box.point(through(relu, through(dense, x))), everywhere, None)
    box, missed = dense.inverse((4,)).pull(wish, Range.everything((4,)), None)
    assert not missed.any()
    np.testing.assert_allclose(np.maximum(box.at @ weight.T, 0), np.maximum(x @ weight.T, 0), atol=1e-10)


@pytest.mark.parametrize(("name", "end"), [("relu6", 6.0), ("hard_tanh", 1.0), ("relu", 0.0)])
def test_members_use_the_half_line_of_a_unit_that_is_flat(name: str, end: float) -> None:
    """Beyond the knot with noise, of which the first row has none; never where h gives another value."""
    inverse, sign = Activation(name).inverse((2,)), -1.0 if name == "relu" else 1.0
    rows = np.full((4, 2), end)
    box, missed = inverse.pull(Box.point(rows), Range.everything((2,)), noise)
    assert not missed.any()
    assert (sign * (box.at[1:] - end) > 0).all()
    assert len(np.unique(box.at)) == 7
    low, high = sorted([end - sign, end - sign / 2])
    box, _ = inverse.pull(Box.point(rows), Range(np.full(2, low), np.full(2, high), True), noise)
    np.testing.assert_array_equal(box.at, end)


def test_boxes_go_back_through_scales() -> None:
    """u <= 0 is x >= 1/2 where u = 1 - 2 x; with a scale of 0 only the shift can be had."""
    wish = Box(np.array([[1.0, -np.inf]]), np.array([[1.0, -1.0]]), np.array([[1.0, 0.0]]))
    box, missed = Affine([3.0, -2.0], 1.0).inverse((2,)).pull(wish, Range.everything((2,)), None)
    assert not missed.any()
    found = [box.low[0], box.at[0], box.high[0]]
    np.testing.assert_array_equal(found, [[0.0, 0.5], [0.0, 1.0], [0.0, np.inf]])
    dead = Affine([0.0, 1.0], 1.0).inverse((2,))
    _, missed = dead.pull(Box.point(np.array([[1.0, 5.0], [1.5, 5.0]])), Range.everything((2,)), None)
    assert missed.tolist() == [False, True]


def test_ranges_go_through_layers() -> None:
    box = Range(np.array([-1.0, 0.0]), np.array([1.0, np.inf]), True)
    moved = Affine([-2.0, 3.0], [1.0, 0.0]).inverse((2,)).reach(box)
    assert (moved.low.tolist(), moved.high.tolist(), moved.closed) == ([-1.0, 0.0], [3.0, np.inf], True)
    swapped = Permutation([1, 0]).inverse((2,)).reach(box)
    assert (swapped.low.tolist(), swapped.high.tolist()) == ([0.0, -1.0], [np.inf, 1.0])
    tall = Reshape([2, 1]).inverse((2,)).reach(box)
    assert tall.low.tolist() == [[-1.0], [0.0]]
    ends = Activation("tanh").inverse((2,)).reach(box)
    assert (ends.low.tolist(), ends.high.tolist(), ends.closed) == ([-1, -1], [1, 1], False)


@pytest.mark.parametrize("slope", SLOPED)
def test_the_condition_of_a_sloped_activation(slope: str) -> None:
    assert Activation("leaky_relu", 0.1).inverse((2,)).condition == pytest.approx(10)
    assert Activation("leaky_relu", 4.0).inverse((2,)).condition == 4
    assert Activation(slope).inverse((2,)).condition == {"leaky_relu": 100, "elu": 1}[slope]


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "open twice": (lambda: Reshape([-1, -1]), "more than one -1"),
    "no such size": (lambda: Reshape([2, 5]).output_shape((6,)), "6 entries"),
    "not a size": (lambda: Reshape([2.5]), "whole number"),
    "named twice": (lambda: Permutation([0, 0, 1]), "not a permutation"),
    "too few": (lambda: Permutation([0, 1]).output_shape((3,)), "order has 2"),
    "padding": (lambda: Convolution(np.ones((1, 1, 2)), padding="full"), "padding 'full' is unknown"),
    "no kernel": (lambda: Convolution(np.ones((1, 1))), "needs .out, in, .kernel."),
    "stride": (lambda: Convolution(np.ones((1, 1, 2)), stride=0), "stride"),
    "bias": (lambda: Convolution(np.ones((2, 1, 2)), np.ones(1)), r"bias has shape \(1,\)"),
    "kernel too large": (lambda: Convolution(np.ones((1, 1, 4))).output_shape((1, 3)), "as many places"),
    "channels": (lambda: Convolution(np.ones((1, 2, 1))).output_shape((1, 3)), "2 channels"),
    "coupling": (lambda: Coupling(np.ones((3, 2)), np.ones(3), np.ones((5, 3)), np.ones(5)), "2 m"),
    "vector": (
        lambda: Coupling(np.ones((3, 2)), np.ones(3), np.ones((4, 3)), np.ones(4)).output_shape((5,)),
        "2 and 2 entries",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named(name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(InputError, match=words):
        make()
