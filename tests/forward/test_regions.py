"""solution_regions: against every pattern tried, dense grids, and sets that are known."""

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import probinv
from probinv._errors import InputError
from probinv.forward import Region, Regions, regions, solution_regions
from probinv.forward.layered import Layered
from probinv.forward.layers import Activation, Affine, Convolution, Dense, Permutation, Reshape
from probinv.forward.regions import _simplex

KEY = jax.random.key(5)
KNOTS = {"relu": [0.0], "relu6": [0.0, 6.0], "hard_tanh": [-1.0, 1.0], "leaky_relu": [0.0]}
SLOPES = {"relu": [0, 1], "relu6": [0, 1, 0], "hard_tanh": [0, 1, 0], "leaky_relu": [0.01, 1]}
HEIGHTS = {"relu": [0, 0], "relu6": [0, 0, 6], "hard_tanh": [-1, 0, 1], "leaky_relu": [0, 0]}


def net(*sizes: int, activation: str = "relu", output: str = "identity", seed: int = 0) -> Layered:
    rng = np.random.default_rng(seed)
    scale = 4.0 if activation in ("relu6", "hard_tanh") else 1.0
    weights = [scale * rng.standard_normal((b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    biases = [0.5 * rng.standard_normal(len(weight)) for weight in weights]
    return Layered.from_arrays(weights, biases, activation, output)


def numpy_net(network: Layered, x: np.ndarray) -> np.ndarray:
    """f of rows, in NumPy: dense layers and activations of straight pieces."""
    for layer in network.layers:
        if isinstance(layer, Dense):
            x = x @ np.asarray(layer.weight).T + np.asarray(layer.bias)
        elif isinstance(layer, Activation) and layer.name != "identity":
            limits = {"relu": (0, np.inf), "relu6": (0, 6), "hard_tanh": (-1, 1)}
            x = (
                np.where(x < 0, 0.01 * x, x)
                if layer.name == "leaky_relu"
                else np.clip(x, *limits[layer.name])
            )
    return x


def on_pattern(network: Layered, pattern: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """A, c and the rows G x <= h of one pattern, numbers of pieces in the order of the units."""
    n, todo = network.input_shape[0], list(pattern)
    a, c, rows, ends = np.eye(n), np.zeros(n), [], []
    for layer in network.layers:
        if isinstance(layer, Dense):
            a, c = np.asarray(layer.weight) @ a, np.asarray(layer.weight) @ c + np.asarray(layer.bias)
            continue
        assert isinstance(layer, Activation)
        if layer.name == "identity":
            continue
        knots = [-np.inf, *KNOTS[layer.name], np.inf]
        a, c = a.copy(), c.copy()
        for unit in range(len(c)):
            piece = todo.pop(0)
            for sign, knot in ((1, knots[piece + 1]), (-1, knots[piece])):
                if np.isfinite(knot):
                    rows.append(sign * a[unit].copy())
                    ends.append(sign * (knot - c[unit]))
            slope = SLOPES[layer.name][piece]
            a[unit], c[unit] = slope * a[unit], slope * c[unit] + HEIGHTS[layer.name][piece]
    return a, c, np.array(rows), np.array(ends)


def every_pattern(network: Layered, y: np.ndarray, units: int, pieces: int) -> set[tuple[int, ...]]:
    """The patterns inside of which f(x) = y has a solution in [-1, 1]^n, by a linear program for each."""
    found = set()
    for pattern in product(range(pieces), repeat=units):
        a, c, rows, ends = on_pattern(network, pattern)
        norm = np.linalg.norm(rows, axis=1)
        if (ends[norm < 1e-13] < 0).any():
            continue
        rows, ends, norm = rows[norm >= 1e-13], ends[norm >= 1e-13], norm[norm >= 1e-13]
        n = rows.shape[1]
        best = linprog(
            np.append(np.zeros(n), -1.0),
            A_ub=np.column_stack([rows / norm[:, None], np.ones(len(rows))]),
            b_ub=ends / norm,
            A_eq=np.column_stack([a, np.zeros(len(a))]),
            b_eq=y - c,
            bounds=[(-1, 1)] * n + [(-1, 1)],
        )
        if best.status == 0 and best.x[-1] > 1e-6:
            found.add(pattern)
    return found


def pattern_of(region: Region) -> tuple[int, ...]:
    return tuple(int(piece) for part in region.pattern for piece in part)


def holds(region: Region, x: np.ndarray, slack: float = 1e-9) -> bool:
    """Whether x lies in the polytope as it is given."""
    inside = (region.rows @ x <= region.ends + slack).all()
    return bool(inside and np.allclose(region.matrix @ x, region.target, rtol=0, atol=slack))


CASES: dict[str, tuple[tuple[int, ...], str, int]] = {
    "2-8-1": ((2, 8, 1), "relu", 2),
    "2-4-4-1": ((2, 4, 4, 1), "relu", 2),
    "3-4-3-2": ((3, 4, 3, 2), "relu", 2),
    "1-3-4-1 leaky": ((1, 3, 4, 1), "leaky_relu", 2),
    "2-3-2-1 hard": ((2, 3, 2, 1), "hard_tanh", 3),
    "2-5-1 six": ((2, 5, 1), "relu6", 3),
}


@pytest.mark.parametrize("name", CASES)
def test_the_regions_are_those_of_every_pattern_tried(name: str) -> None:
    """2^7 to 3^5 patterns, one linear program each: the same set, every region with what belongs to it."""
    sizes, activation, pieces = CASES[name]
    network = net(*sizes, activation=activation, seed=len(name))
    y = numpy_net(network, np.full((1, sizes[0]), 0.31))[0]
    found = solution_regions(network, y, bounds=(-1.0, 1.0))
    assert found.complete
    wanted = every_pattern(network, y, sum(sizes[1:-1]), pieces)
    assert {pattern_of(region) for region in found.regions} == wanted
    assert len(found.regions) == len(wanted) > 0
    assert found.error.max() < 1e-12
    for region in found.regions:
        a, c, rows, ends = on_pattern(network, pattern_of(region))
        np.testing.assert_allclose(region.matrix, a, atol=1e-12)
        np.testing.assert_allclose(region.target, y - c, atol=1e-12)
        assert len(region.rows) == len(rows) + 2 * sizes[0]
        assert (rows @ region.point < ends).all()
        assert region.dimension == sizes[0] - np.linalg.matrix_rank(a, tol=1e-12)
        np.testing.assert_allclose(region.basis.T @ region.basis, np.eye(region.dimension), atol=1e-12)
        np.testing.assert_allclose(a @ region.basis, 0, atol=1e-12)


def test_all_solutions_of_one_input_are_found() -> None:
    """A grid of 200,001 points: each sign change of f - Y* is one region, a point."""
    network, grid = net(1, 6, 6, 1, seed=2), np.linspace(-3, 3, 200_001)
    y = numpy_net(network, grid[:, None])[:, 0]
    level = float(np.quantile(y, 0.6)) + 1e-4
    off = np.signbit(y - level)
    roots = grid[:-1][off[1:] != off[:-1]]
    found = solution_regions(network, [level], bounds=(-3.0, 3.0))
    assert found.complete
    assert len(roots) >= 3
    np.testing.assert_allclose(np.sort(found.members[:, 0]), roots, atol=4e-5)
    assert found.error.max() < 1e-12


def test_all_solutions_of_two_inputs_are_found() -> None:
    """Roots along 80 lines, bisected: each lies in a region and its bounds; walks stay on the solutions."""
    network = net(2, 12, 8, 1, seed=4)
    level = numpy_net(network, np.array([[0.2, -0.4]]))[0]
    found = solution_regions(network, level, bounds=(-1.0, 1.0))
    assert found.complete
    lines, fine = np.linspace(-0.99, 0.99, 80), np.linspace(-1, 1, 2001)
    points = np.stack(np.meshgrid(lines, fine, indexing="ij"), axis=-1).reshape(-1, 2)
    off = np.signbit(numpy_net(network, points)[:, 0] - level[0]).reshape(80, 2001)
    row, place = np.nonzero(off[:, 1:] != off[:, :-1])
    low, high = fine[place], fine[place + 1]
    for _ in range(45):
        middle = (low + high) / 2
        at = np.column_stack([lines[row], middle])
        same = np.signbit(numpy_net(network, at)[:, 0] - level[0]) == off[row, place]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    assert len(at) > 40
    for x in at:
        having = [r for r in found.regions if holds(r, x, 1e-7)]
        assert having
        assert any((r.low - 1e-7 <= x).all() and (x <= r.high + 1e-7).all() for r in having)
    for number, region in enumerate(found.regions):
        ends = np.stack([region.point + s * region.basis[:, 0] for s in (-1e-3, 1e-3)])
        assert region.dimension == 1
        assert sum(holds(region, x) for x in ends) <= 2
        if number < 3:
            x, error = found.walk(KEY, number, 20, steps=1)
            assert error.max() < 1e-12
            assert all(holds(region, one) for one in x)
            assert np.ptp(x, axis=0).max() > 0.5 * (region.high - region.low).max()


def test_bounds_are_those_of_linear_programs() -> None:
    network = net(4, 7, 2, seed=3)
    y = numpy_net(network, np.full((1, 4), 0.2))[0]
    found = solution_regions(network, y, bounds=(-1.0, 1.0), regions_most=4)
    for region in found.regions:
        for place in range(4):
            for sign, end in ((1.0, region.low), (-1.0, region.high)):
                best = linprog(
                    sign * np.eye(4)[place],
                    A_ub=region.rows,
                    b_ub=region.ends,
                    A_eq=region.matrix,
                    b_eq=region.target,
                    bounds=(None, None),
                )
                assert np.isclose(end[place], best.x[place], atol=1e-6)


def plateau() -> Layered:
    """y = relu(x_1 - 1/2) + relu(x_2 - 1/2)."""
    return Layered.from_arrays([np.eye(2), np.ones((1, 2))], [np.full(2, -0.5), np.zeros(1)])


def test_a_plateau_is_one_region_of_full_dimension() -> None:
    """All off on [-1, 1/2]^2. The patterns with one unit on touch it in an edge, which is left out."""
    found = solution_regions(plateau(), [0.0], bounds=(-1.0, 1.0))
    (region,) = found.regions
    assert (found.complete, region.dimension, region.on_edge) == (True, 2, False)
    np.testing.assert_allclose([region.low, region.high], [[-1, -1], [0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(region.point, [-0.25, -0.25], atol=1e-7)
    x, error = found.walk(KEY, 0, 600, steps=6)
    assert error.max() == 0
    # uniform on a square of side 3/2: within 6 standard errors of independent draws, doubled for the walk
    np.testing.assert_allclose(x.mean(axis=0), -0.25, atol=12 * 1.5 / np.sqrt(12 * 600))
    np.testing.assert_allclose(x.var(axis=0), 1.5**2 / 12, rtol=0.25)
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.3


def test_a_wish_beside_the_plateau_is_not_met_on_it() -> None:
    """1e-7 above it there is a line around it only: met exactly, not to a tolerance."""
    found = solution_regions(plateau(), [1e-7], bounds=(-1.0, 1.0))
    assert [region.dimension for region in found.regions] == [1, 1, 1]
    assert found.error.max() < 1e-15
    assert solution_regions(plateau(), [-1e-10], bounds=(-1.0, 1.0)).regions == ()


def valley() -> Layered:
    """y = relu(|x_1| - relu(x_2)): zero on a cone above, and on the line x_1 = 0 below."""
    first = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    return Layered.from_arrays(
        [first, np.array([[1.0, 1.0, -1.0]])], activation="relu", output_activation="relu"
    )


def test_flat_parts_are_given_once() -> None:
    found = solution_regions(valley(), [0.0], bounds=(-1.0, 1.0))
    assert found.complete
    assert sorted((region.dimension, region.on_edge) for region in found.regions) == [
        (1, True),
        (2, False),
        (2, False),
    ]
    line = min(found.regions, key=lambda region: region.dimension)
    np.testing.assert_allclose([line.low, line.high], [[0, -1], [0, 0]], atol=1e-7)
    np.testing.assert_allclose(np.abs(line.basis[:, 0]), [0, 1], atol=1e-7)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41)), axis=-1).reshape(-1, 2)
    zero = np.maximum(np.abs(grid[:, 0]) - np.maximum(grid[:, 1], 0), 0) < 1e-12
    having = np.array([any(holds(region, x) for region in found.regions) for x in grid])
    np.testing.assert_array_equal(having, zero)


def test_degenerate_networks_on_a_grid() -> None:
    """20 networks of weights and biases -1, 0 and 1: edges that meet, plateaus, constants."""
    grid = np.stack(np.meshgrid(*[np.linspace(-2, 2, 17)] * 2), axis=-1).reshape(-1, 2)
    dimensions = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weights = [rng.integers(-1, 2, shape) for shape in ((4, 2), (3, 4), (1, 3))]
        biases = [rng.integers(-1, 2, len(weight)) for weight in weights]
        network = Layered.from_arrays(weights, biases, output_activation="relu" if seed % 2 else "identity")
        y = numpy_net(network, grid)[:, 0]
        wish = rng.choice(np.unique(y))
        found = solution_regions(network, [wish], bounds=(-2.0, 2.0))
        assert found.complete
        having = [sum(holds(region, x) for region in found.regions) > 0 for x in grid]
        np.testing.assert_array_equal(having, y == wish)
        assert found.error.max() < 1e-9
        for one, other in product(found.regions, repeat=2):
            assert one is other or not holds(other, one.point)
        dimensions |= {region.dimension for region in found.regions}
    assert dimensions >= {1, 2}


def test_a_kink_is_one_point() -> None:
    """|x_1| + |x_2| + |x_3| = 0: on the edge of eight patterns, one point. Of no bias, one as well."""
    sign = np.concatenate([np.eye(3), -np.eye(3)])
    found = solution_regions(Layered.from_arrays([sign, np.ones((1, 6))]), [0.0], bounds=(-1.0, 2.0))
    (region,) = found.regions
    assert (found.complete, region.dimension, region.on_edge) == (True, 0, True)
    np.testing.assert_allclose(region.point, 0, atol=1e-9)
    np.testing.assert_allclose([region.low, region.high], 0, atol=1e-9)
    x, error = found.walk(KEY, 0, 3)
    np.testing.assert_array_equal(x, np.tile(region.point, (3, 1)))
    assert error.max() < 1e-9


def test_dead_units_do_not_multiply_the_regions() -> None:
    """Units that are 0 wherever the layer before is off have no choice there: one region, not 2^4."""
    rng = np.random.default_rng(0)
    network = Layered.from_arrays(
        [-np.ones((2, 2)), rng.standard_normal((4, 2)), rng.standard_normal((1, 4))],
        [np.zeros(2), np.zeros(4), [3.0]],
    )
    found = solution_regions(network, [3.0], bounds=(0.1, 1.0))
    (region,) = found.regions
    assert region.dimension == 2


def test_what_cannot_be_reached_has_no_region() -> None:
    for network, y in (
        (net(2, 10, 1, output="relu"), [-0.5]),
        (net(3, 10, 1), [1e4]),
        (net(2, 5, 1, output="tanh"), [1.5]),
        (net(2, 5, 3, output="softmax"), [0.5, 0.5, 0.5]),
    ):
        found = solution_regions(network, y, bounds=(-1.0, 1.0))
        assert (found.regions, found.complete) == ((), True)
        assert found.members.shape == (0, network.input_shape[0])
        assert found.error.shape == (0,)


def test_a_list_that_was_cut_says_so() -> None:
    network = net(2, 8, 1)
    y = numpy_net(network, np.full((1, 2), 0.31))[0]
    whole = solution_regions(network, y, bounds=(-1.0, 1.0))
    count = len(whole.regions)
    assert count > 3
    assert solution_regions(network, y, bounds=(-1.0, 1.0), regions_most=count).complete
    for cut in (
        solution_regions(network, y, bounds=(-1.0, 1.0), regions_most=3),
        solution_regions(network, y, bounds=(-1.0, 1.0), nodes_most=whole.nodes // 2),
    ):
        assert not cut.complete
        assert 0 < len(cut.regions) < count
        assert {pattern_of(r) for r in cut.regions} < {pattern_of(r) for r in whole.regions}
    assert solution_regions(network, y, bounds=(-1.0, 1.0), nodes_most=whole.nodes).complete
    assert len(solution_regions(network, y, bounds=(-1.0, 1.0), regions_most=3).regions) == 3


OUTPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "logistic": lambda u: 1 / (1 + np.exp(-u)),
    "exp": np.exp,
    "softmax": lambda u: np.exp(u) / np.exp(u).sum(),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_last_activation_is_undone(name: str) -> None:
    """The solutions are those of the outputs before it; of softmax, of their differences."""
    raw, x = net(3, 6, 2, seed=9), np.array([0.2, -0.3, 0.1])
    network = Layered([*raw.layers[:-1], Activation(name)], 3)
    y = OUTPUTS[name](numpy_net(raw, x[None])[0])
    found = solution_regions(network, y, bounds=(-1.0, 1.0))
    assert found.complete
    assert any(holds(region, x) for region in found.regions)
    assert found.error.max() < 1e-12
    assert {region.dimension for region in found.regions} == {2 if name == "softmax" else 1}


def test_layers_that_move_and_scale_take_part() -> None:
    """Scalers, shapes, permutations and convolutions, and inputs that are fixed."""
    rng = np.random.default_rng(1)
    layers = [
        Affine(np.linspace(0.5, 2, 6).reshape(2, 3), 0.1),
        Convolution(rng.standard_normal((2, 2, 3)), rng.standard_normal(2), padding="circular"),
        Activation("relu"),
        Reshape(),
        Permutation([3, 1, 0, 2, 5, 4]),
        Dense(rng.standard_normal((2, 6))),
        Activation("tanh"),
        Affine([2.0, -3.0], 1.0),
    ]
    network, x = Layered(layers, (2, 3)), 0.3 * rng.standard_normal((2, 3))
    low, high = np.full((2, 3), -1.0), np.full((2, 3), 1.0)
    low[0, 1:] = high[0, 1:] = x[0, 1:]
    with jax.enable_x64(True):
        y = np.asarray(network(jnp.asarray(x)))
    found = solution_regions(network, y, bounds=(low, high))
    assert found.complete
    assert any(holds(region, x.ravel()) for region in found.regions)
    assert found.error.max() < 1e-12
    for region in found.regions:
        assert region.point.shape == region.low.shape == (2, 3)
        np.testing.assert_array_equal(region.point[0, 1:], x[0, 1:])
        np.testing.assert_array_equal([region.low[0, 1:], region.high[0, 1:]], [x[0, 1:]] * 2)
        assert region.dimension == 2
    drawn, error = found.walk(KEY, 0, 4)
    assert drawn.shape == (4, 2, 3)
    assert error.max() < 1e-12
    one, wrong = (solution_regions(network, y + off, bounds=(x, x)) for off in (0.0, 0.01))
    assert [region.dimension for region in one.regions] == [0]
    assert wrong.regions == ()


def test_outputs_that_do_not_matter_are_left_out() -> None:
    network, x = net(2, 6, 3, seed=8), np.array([0.3, 0.1])
    y = numpy_net(network, x[None])[0]
    found = solution_regions(network, [y[0], np.nan, np.nan], bounds=([-1.0, -4.0], [1.0, 2.0]))
    assert found.complete
    for region in found.regions:
        np.testing.assert_allclose(region.basis.T @ region.basis, 1, atol=1e-12)
    off = np.abs(numpy_net(network, x[None] + 1)[0, 0] - y[0])
    np.testing.assert_allclose(regions._errors(network, found.wish, x[None] + 1), [off], rtol=1e-12)
    assert any(holds(region, x) for region in found.regions)
    np.testing.assert_allclose(numpy_net(network, found.members)[:, 0], y[0], atol=1e-12)
    assert found.error.max() < 1e-12


def test_programs_agree_with_highs() -> None:
    """80 of 2 to 5 unknowns, some without a solution, many degenerate: the same highest value."""
    rng, empty = np.random.default_rng(0), 0
    for number in range(80):
        n, m = 2 + number % 4, 3 + number % 11
        rows = rng.standard_normal((m, n)).round(number % 3)
        rows = rows[np.linalg.norm(rows, axis=1) > 0]
        norm = np.linalg.norm(rows, axis=1)
        rows, ends = rows / norm[:, None], rng.uniform(-0.3, 0.6, len(rows)).round(1)
        c = np.eye(n)[0] if number % 2 else rng.standard_normal(n)
        z = _simplex.highest(c, rows, ends, -np.ones(n), np.ones(n))
        wanted = linprog(-c, A_ub=rows, b_ub=ends, bounds=(-1, 1))
        assert (z is None) == (wanted.status == 2)
        empty += z is None
        if z is not None:
            assert np.isclose(c @ z, -wanted.fun, atol=1e-7)
            assert (rows @ z <= ends + 1e-8).all()
    assert 10 < empty < 70
    shaved = _simplex.highest(np.eye(2)[0], np.eye(2)[:1], np.array([1 - 1e-6]), -np.ones(2), np.ones(2))
    assert shaved is not None
    assert abs(shaved[0] - (1 - 1e-6)) < 1e-9


def test_programs_that_do_not_end_go_to_highs(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, ends = np.array([[0.6, 0.8], [-0.8, 0.6]]), np.array([0.1, 0.2])
    usual = _simplex.highest(np.ones(2), rows, ends, -np.ones(2), np.ones(2))
    monkeypatch.setattr(_simplex, "STEPS", 0)
    other = _simplex.highest(np.ones(2), rows, ends, -np.ones(2), np.ones(2))
    assert usual is not None
    assert other is not None
    np.testing.assert_allclose(other, usual, atol=1e-8)
    assert _simplex.highest(np.ones(2), rows, ends - 3, -np.ones(2), np.ones(2)) is None


def found_of(network: Any, y: Any, **settings: Any) -> Regions:
    return solution_regions(network, y, **{"bounds": (-1.0, 1.0), **settings})


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "a function": (lambda: found_of(lambda x: x, [1.0]), "a Function has no layers"),
    "curved inside": (
        lambda: found_of(net(2, 3, 1, activation="tanh"), [0.0]),
        r"layers\[2\], a Dense, cannot be undone",
    ),
    "two branches": (lambda: found_of(net(2, 3, 1, output="silu"), [0.5]), "cannot be undone in one way"),
    "another shape": (lambda: found_of(net(3, 2), [1.0]), r"shape \(1,\).*outputs of shape \(2,\)"),
    "open bounds": (lambda: found_of(net(3, 2), [0.0, 0.0], bounds=(0.0, np.inf)), "infinite"),
    "no bounds": (lambda: found_of(net(3, 2), [0.0, 0.0], bounds=None), "infinite"),
    "regions_most": (lambda: found_of(net(3, 2), [0.0, 0.0], regions_most=0), "regions_most"),
    "nodes_most": (lambda: found_of(net(3, 2), [0.0, 0.0], nodes_most=0), "nodes_most"),
    "no such region": (lambda: found_of(net(3, 2), [0.0, 0.0]).walk(KEY, 9, 3), "there is no region 9"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_had_is_named(name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(InputError, match=words):
        make()


def test_it_is_on_the_front_page_and_leaves_jax_as_it_was() -> None:
    assert probinv.solution_regions is solution_regions
    assert not jax.config.jax_enable_x64
