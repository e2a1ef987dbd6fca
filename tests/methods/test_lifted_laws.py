"""Laws of the constrained dynamics: on the manifold, reversible, volume-preserving, in detailed balance."""

from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv.forward import Function
from probinv.likelihood import Exactly, Gaussian
from probinv.methods.kernels import lifted
from probinv.methods.kernels.gram import across, across_between, gram, independent, log_det, whitened_norm
from probinv.methods.kernels.lifted import Momentum, Point
from probinv.methods.kernels.projected import projected_start, shortest_way
from probinv.methods.manifold._independence import independent_move
from probinv.posterior import Constraint, Posterior
from probinv.prior import Normal
from tests.methods.problems import linear
from tests.methods.surfaces import TOY, curve
from tests.posterior.zoo import tanh_network

pytestmark = pytest.mark.usefixtures("x64")
TIME, POINTS = 0.3, 16
WISHES: dict[str, Any] = {
    "wide": lambda y: Gaussian(y, 0.1),
    "narrow": lambda y: Gaussian(y, 1e-6),
    "exact": Exactly,
}


@cache
def view(wish: str) -> Constraint:
    y_star = np.asarray(tanh_network(4, 6, 2)(jnp.full(4, 0.4)))
    return Constraint.of(Posterior(Normal(0.0, 1.0, 4), tanh_network(4, 6, 2), WISHES[wish](y_star)))


@cache
def starts(wish: str) -> tuple[Point, Momentum]:
    """Points of the manifold, far apart, and momenta."""
    key_start, key_momentum = jax.random.split(jax.random.key(1))
    at = projected_start(view(wish), key_start, POINTS, 0)[0].at
    return at, jax.vmap(lifted.draw_momentum)(at, jax.random.split(key_momentum, POINTS))


@jax.jit
def step(v: Any, at: Point, p: Momentum, time: float) -> Any:
    return jax.vmap(lifted.step, in_axes=(None, 0, 0, None))(v, at, p, time)


def misfit(wish: str, at: Point) -> np.ndarray:
    c = jax.vmap(view(wish).residual)(at.z) + at.gram.slack * at.eta
    return np.asarray(jax.vmap(whitened_norm)(at.gram, c))


@pytest.mark.parametrize("wish", WISHES)
def test_starts_and_steps_are_on_the_manifold(wish: str) -> None:
    at, p = starts(wish)
    assert misfit(wish, at).max() <= 1e-10
    new, q, found, reversible, _ = step(view(wish), at, p, TIME)
    assert found.sum() >= POINTS - 2
    good = np.asarray(found & reversible)
    assert misfit(wish, new)[good].max() <= 1e-10
    assert np.linalg.norm(np.asarray(new.z - at.z)[good], axis=1).min() > 1e-3
    for place, momentum in ((at, p), (new, q)):
        across = jnp.einsum("bmn,bn->bm", place.gram.jacobian, momentum.z) + place.gram.slack * momentum.eta
        scale = jnp.linalg.norm(place.gram.jacobian, axis=(1, 2))[:, None] + 1
        assert np.abs(np.asarray(across / scale))[good].max() < 1e-12


@pytest.mark.parametrize("wish", WISHES)
def test_a_step_is_reversible(wish: str) -> None:
    at, p = starts(wish)
    new, q, found, reversible, _ = step(view(wish), at, p, TIME)
    back, p_back, *_ = step(view(wish), new, Momentum(-q.z, -q.eta), TIME)
    good = np.asarray(found & reversible)
    assert good.sum() >= POINTS - 3
    for there, here in ((back.z, at.z), (back.eta, at.eta), (-p_back.z, p.z), (-p_back.eta, p.eta)):
        np.testing.assert_allclose(np.asarray(there)[good], np.asarray(here)[good], atol=1e-8)


@pytest.mark.parametrize("wish", WISHES)
def test_the_energy_error_is_of_second_order(wish: str) -> None:
    at, p = starts(wish)
    before = jax.vmap(lifted.energy)(at, p)
    errors = []
    for count in (2, 4):
        here, q, good = at, p, np.ones(POINTS, bool)
        for _ in range(count):
            here, q, found, reversible, _ = step(view(wish), here, q, 0.2 / count)
            good &= np.asarray(found & reversible)
        errors.append(np.where(good, np.abs(np.asarray(jax.vmap(lifted.energy)(here, q) - before)), np.nan))
    ratio = np.nanmedian(errors[0] / errors[1])
    assert 3.0 < ratio < 5.0  # 4 for an error of second order
    assert np.nanmedian(errors[1]) < 1e-2


def test_a_step_preserves_volume() -> None:
    """det of the map in tangent coordinates of the cotangent bundle, by finite differences: 1."""
    v = view("wide")
    at, p = (jax.tree.map(lambda leaf: leaf[0], tree) for tree in starts("wide"))
    n, m = v.size, v.outputs

    # the lifted manifold is the graph eta = -r(z), so z and p_z are coordinates of it and of the momentum;
    # in them the invariant volume has the density det(I + J^T J), twice its root: once for z, once for p
    def flow(q: jax.Array) -> jax.Array:
        z, pz = q[:n], q[n:]
        here = lifted.point(v, v.slack, z, -v.residual(z))
        momentum = Momentum(pz, -here.gram.jacobian @ pz)
        new, out, *_ = lifted.step(v, here, momentum, jnp.asarray(TIME))
        return jnp.concatenate([new.z, out.z])

    begin = jnp.concatenate([at.z, p.z])
    shift = 1e-5 * jnp.eye(2 * n)
    ahead, behind = (jax.jit(jax.vmap(flow))(begin[None] + sign * shift) for sign in (1, -1))
    slope = np.asarray(ahead - behind) / 2e-5
    end = np.asarray(ahead + behind).mean(axis=0) / 2

    def density(z: jax.Array) -> float:
        jacobian = lifted.jacobian(v, jnp.asarray(z))[1]
        return float(jnp.linalg.slogdet(jnp.eye(n) + jacobian.T @ jacobian)[1])

    _, log_volume = np.linalg.slogdet(slope)
    assert m == 2
    assert abs(density(end[:n]) - density(begin[:n])) > 0.05  # the density matters here
    assert abs(log_volume + density(end[:n]) - density(begin[:n])) < 1e-5


@pytest.mark.parametrize(
    ("shape", "whole"),
    [((1, 3), False), ((2, 5), False), ((3, 3), False), ((5, 2), False), ((5, 2), True), ((6, 7), False)],
)
def test_gram_algebra_is_that_of_dense_matrices(shape: tuple[int, int], whole: bool) -> None:
    m, n = shape
    rng = np.random.default_rng(m)
    j, other = rng.standard_normal((2, m, n))
    s, c = rng.uniform(0.5, 2.0, m), rng.standard_normal(m)
    full = j @ j.T + np.diag(s**2)
    g = gram(jnp.asarray(j), jnp.asarray(s), whole)
    assert g.factor.shape[0] == (m if whole else min(m, n))
    full_row = np.concatenate([j, np.diag(s)], axis=1)
    found = np.concatenate(across(g, jnp.asarray(c)))
    np.testing.assert_allclose(found, full_row.T @ np.linalg.solve(full, c), rtol=1e-10)
    np.testing.assert_allclose(log_det(g), 0.5 * np.linalg.slogdet(full)[1], rtol=1e-10)
    np.testing.assert_allclose(whitened_norm(g, jnp.asarray(c)) ** 2, c @ np.linalg.solve(full, c), rtol=1e-9)
    mixed = full_row.T @ np.linalg.solve(other @ j.T + np.diag(s**2), c)
    found = np.concatenate(across_between(jnp.asarray(other), g, jnp.asarray(c)))
    np.testing.assert_allclose(found, mixed, rtol=1e-8)


def test_more_outputs_than_coordinates_lose_no_digits() -> None:
    """Five outputs of two inputs in tolerances of 1e-7: a momentum is made tangent to rounding of J p.

    G^-1 by Woodbury's formula would lose |J|^2 = 1e14 of them.
    """
    rng = np.random.default_rng(0)
    j, s, p, q = 1e7 * rng.standard_normal((5, 2)), np.ones(5), rng.standard_normal(2), rng.standard_normal(5)
    z, eta = across(gram(jnp.asarray(j), jnp.asarray(s)), jnp.asarray(j @ p + q))
    left = j @ (p - np.asarray(z)) + (q - np.asarray(eta))
    assert np.abs(left).max() < 1e-7
    assert np.linalg.norm(p - np.asarray(z)) < 1e-6  # what is left of p lies along J z + eta = 0


def test_rows_that_depend_on_others_are_seen() -> None:
    """Where they have no slack; whatever their scale."""
    j = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 2.0]])
    none, some = jnp.zeros(3), jnp.array([0.0, 0.0, 1.0])
    for factor in (1.0, 1e-6, 1e6):
        double = np.vstack([j, factor * (j[0] - 2 * j[1])])
        assert not independent(gram(jnp.asarray(double), none))
        assert independent(gram(jnp.asarray(double), some))
        assert independent(gram(jnp.asarray(np.vstack([j, factor * np.array([0.0, 0.0, 1.0])])), none))
    assert not independent(gram(jnp.zeros((1, 3)), jnp.zeros(1)))
    assert not independent(gram(jnp.full((1, 3), jnp.nan), jnp.zeros(1)))


def test_detailed_balance_on_a_circle(key: jax.Array) -> None:
    """One transition from the exact law of |z| = 1 leaves it: uniform angle; 20,000 chains.

    The first three Fourier modes of the angle have standard error 1 / sqrt(40000); |z| > 5 in 4e-6 of keys.
    """
    posterior = Posterior(Normal(0.0, 1.0, 2), lambda x: jnp.sum(x**2, keepdims=True), Exactly([1.0]))
    v, chains = Constraint.of(posterior), 20_000
    key_angle, key_move = jax.random.split(key)
    # an angle that is not uniform, weighted: the pairs (before, after) must be exchangeable
    angle = jax.random.uniform(key_angle, (chains,), maxval=2 * jnp.pi)
    z = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)

    @jax.jit
    def run(z: jax.Array, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        at = jax.vmap(partial(lifted.point, v, v.slack))(z, jnp.zeros((chains, 1)))
        new, probability, *_ = jax.vmap(partial(lifted.move, v), in_axes=(0, 0, None, None))(
            at, keys, jnp.asarray(0.6), jnp.asarray(2)
        )
        return new.z, probability

    after, probability = run(z, jax.random.split(key_move, chains))
    assert np.abs(np.linalg.norm(after, axis=1) - 1).max() < 1e-9
    assert probability.mean() > 0.9
    moved = np.arctan2(after[:, 1], after[:, 0])
    assert np.abs(np.exp(1j * moved) - np.exp(1j * np.asarray(angle))).mean() > 0.3
    for k in (1, 2, 3):
        mode = np.exp(1j * k * moved).mean() * np.sqrt(2 * chains)
        assert max(abs(mode.real), abs(mode.imag)) < 5
    exchange = (np.sin(np.asarray(angle)) ** 3 * np.cos(moved)).mean() - (
        np.sin(moved) ** 3 * np.cos(np.asarray(angle))
    ).mean()
    assert abs(exchange) * np.sqrt(chains) < 5


CHAINS = 20_000
TWO_LOOPS = -0.02
"""A level of the toy; there is one loop at any level above 0."""


@cache
def loops(level: float) -> Constraint:
    return Constraint.of(Posterior(Normal(0.0, 1.0, 2), Function(curve, TOY), Exactly([level])))


def on_loops(level: float, key: jax.Array) -> jax.Array:
    """Exact draws of its law by quadrature."""
    t = (np.arange(200_000) + 0.5) * np.pi / 200_000
    high = np.sqrt(0.25 + np.sqrt(0.0625 + level))
    low = -high if level > 0 else np.sqrt(0.25 - np.sqrt(0.0625 + level))
    x0 = (low + high) / 2 - (high - low) / 2 * np.cos(t)
    x1 = np.sqrt(level + x0**2 / 2 - x0**4)
    weight = np.cumsum(np.exp(-0.5 * (x0**2 + x1**2)) / x1 * np.sin(t))
    draw, side, half = np.asarray(jax.random.uniform(key, (3, CHAINS)))
    place = np.minimum(np.searchsorted(weight, draw * weight[-1]), len(t) - 1)
    return jnp.stack([np.sign(side - 0.5) * x0[place], np.sign(half - 0.5) * x1[place]], axis=1)


def exchangeable(before: jax.Array, after: jax.Array) -> float:
    """The largest of 6 z-scores that the pairs (before, after) are; > 5.5 in 2.4e-7 of keys."""

    def of(z: jax.Array) -> np.ndarray:
        a, b = np.asarray(z).T
        return np.stack([a, np.abs(a), np.abs(b), a * b], axis=1)

    left, right = of(before), of(after)
    gap = np.einsum("ni,nj->nij", left, right) - np.einsum("ni,nj->nij", right, left)
    rows, columns = np.triu_indices(4, 1)
    gap = gap[:, rows, columns]
    gap = gap[:, gap.any(axis=0)]  # of moves that stay on one side a and |a| say the same
    return float(np.abs(gap.mean(axis=0) / gap.std(axis=0)).max() * np.sqrt(len(gap)))


def test_steps_that_cannot_be_retraced_are_rejected(key: jax.Array) -> None:
    """From the exact law on two loops, with steps as long as a loop is wide; 20,000 chains, one step each.

    Newton's method then finds another point of the loop than the one that leads back in a tenth of the steps.
    """
    v = loops(TWO_LOOPS)
    key_place, key_move = jax.random.split(key)
    z = on_loops(TWO_LOOPS, key_place)

    @jax.jit
    def run(z: jax.Array, keys: jax.Array) -> Any:
        at = jax.vmap(partial(lifted.point, v, v.slack))(z, jnp.zeros((CHAINS, 1)))
        move = jax.vmap(partial(lifted.move, v), in_axes=(0, 0, None, None))
        new, _, _, met = move(at, keys, jnp.asarray(0.5), jnp.asarray(1))
        return new.z, met

    after, met = run(z, jax.random.split(key_move, CHAINS))
    assert 0.03 < np.mean(met.not_reversible) < 0.5
    assert np.mean(np.any(after != z, axis=1)) > 0.2
    assert exchangeable(z, after) < 5.5


@pytest.mark.parametrize(
    ("level", "place"), [(TWO_LOOPS, [0.5, 0.3]), (1.0, [1.0, 0.6]), (3.0, [0.5, 0.3])], ids=str
)
def test_independent_proposals_are_in_detailed_balance(
    level: float, place: list[float], key: jax.Array
) -> None:
    """From the exact law on one or two loops, over the planes at several places; 20,000 chains."""
    v = loops(level)
    key_place, key_move = jax.random.split(key)
    z = on_loops(level, key_place)

    @jax.jit
    def run(place: jax.Array, z: jax.Array, keys: jax.Array) -> Any:
        at = jax.vmap(partial(lifted.point, v, v.slack))(z, jnp.zeros((CHAINS, 1)))
        here = lifted.point(v, v.slack, *shortest_way(v, v.slack, place, jnp.zeros(1)))
        new, probability, _ = jax.vmap(partial(independent_move, v, here))(at, keys)
        return new.z, probability

    after, probability = run(jnp.array(place), z, jax.random.split(key_move, CHAINS))
    assert probability.mean() > 0.1
    assert exchangeable(z, after) < 5.5


@eqx.filter_jit
def over_each(v: Any, at: Point, here: Point, keys: jax.Array) -> Any:
    """A proposal from each point over the plane of another; one program for each shape."""
    return jax.vmap(partial(independent_move, v))(here, at, keys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outputs", "sigma"), [(1, 0.3), (1, 0.0), (2, 0.3), (2, 1e-5), (2, 0.0), (6, 0.3), (6, 1e-5)]
)
def test_independent_proposals_of_a_linear_map_are_always_accepted(
    outputs: int, sigma: float, key: jax.Array
) -> None:
    """Its manifold is its tangent plane: from wherever, over whichever plane, the weight is constant."""
    slope = np.random.default_rng(0).normal(size=(outputs, 4))
    y_star = slope @ np.ones(4)
    wish = Gaussian(y_star, sigma) if sigma else Exactly(y_star)
    v = Constraint.of(Posterior(Normal(0.0, 1.0, 4), Function(linear, slope), wish))
    at = projected_start(v, key, POINTS, 0)[0].at
    away = jax.tree.map(lambda leaf: jnp.roll(leaf, 1, axis=0), at)
    new, probability, _ = over_each(v, at, away, jax.random.split(key, POINTS))
    np.testing.assert_allclose(probability, 1.0, atol=1e-6)
    assert np.linalg.norm(new.z - at.z, axis=1).min() > 1e-6
