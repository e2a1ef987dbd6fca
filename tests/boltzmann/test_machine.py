"""The machine's formulas against sums over h written out, for every pair of units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from probinv import InputError
from probinv.boltzmann.labels import label_scores, label_units
from probinv.boltzmann.machine import Machine, new_machine
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax

UNITS: dict[str, AbstractUnits] = {
    "bernoulli": Bernoulli(3),
    "softmax": Softmax(3),
    "gaussian": Gaussian(1, -0.3),
    "rectified": Rectified(1),
    "joined": Joined([Bernoulli(2), Gaussian(1, 0.2)]),
}
PAIRS = [(visible, hidden) for visible in UNITS for hidden in UNITS]
GRID = np.linspace(-30.0, 30.0, 6001)


def nodes(units: AbstractUnits) -> tuple[np.ndarray, np.ndarray]:
    """Values of the units and weights, so that a sum over them is the sum or the integral over all values."""
    if isinstance(units, Joined):
        (first, weight), (second, other) = (nodes(part) for part in units.parts)
        rows = np.concatenate(
            [np.repeat(first, len(second), axis=0), np.tile(second, (len(first), 1))], axis=1
        )
        return rows, np.repeat(weight, len(second)) * np.tile(other, len(first))
    if isinstance(units, Bernoulli | Softmax):
        states = units.states()
        return states, np.ones(len(states))
    s = GRID[GRID >= 0] if isinstance(units, Rectified) else GRID
    weight = np.where(np.arange(s.size) % 2 == 1, 4.0, 2.0)
    weight[[0, -1]] = 1.0
    return s[:, None], weight * (s[1] - s[0]) / 3


def log_base(units: AbstractUnits, s: np.ndarray) -> np.ndarray:
    """By hand."""
    if isinstance(units, Joined):
        return sum(
            log_base(part, s[:, place]) for part, place in zip(units.parts, units.slices(), strict=True)
        )
    if isinstance(units, Gaussian):
        return -0.5 * ((s / np.exp(np.asarray(units.log_sigma))) ** 2).sum(axis=1)
    return -0.5 * (s**2).sum(axis=1) if isinstance(units, Rectified) else np.zeros(len(s))


def machine_of(visible: AbstractUnits, hidden: AbstractUnits, seed: int = 0) -> Machine:
    rng = np.random.default_rng(seed)
    shape = (visible.size, hidden.size)
    return Machine(
        visible, hidden, 0.7 * rng.normal(size=shape), rng.normal(size=shape[0]), rng.normal(size=shape[1])
    )


def some(units: AbstractUnits) -> np.ndarray:
    """Three values of the units."""
    rows, _ = nodes(units)
    inside = rows[(np.abs(rows) < 2).all(axis=1)]
    return inside[np.random.default_rng(3).integers(len(inside), size=3)]


@jax.jit
def formulas(machine: Machine, v: jax.Array, h: jax.Array) -> dict[str, jax.Array]:
    paired = jnp.repeat(v, len(h), axis=0), jnp.tile(h, (len(v), 1))
    return {
        "energy": machine.energy(*paired).reshape(len(v), len(h)),
        "free_energy": machine.free_energy(v),
        "up": machine.up(v),
        "down": machine.down(h),
    }


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("visible", "hidden"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_free_energy_is_the_sum_over_h(visible: str, hidden: str) -> None:
    machine = machine_of(UNITS[visible], UNITS[hidden])
    weight, a, b = (np.asarray(x) for x in (machine.weight, machine.visible_bias, machine.hidden_bias))
    v = some(machine.visible)
    h, quadrature = nodes(machine.hidden)
    found = {name: np.asarray(value) for name, value in formulas(machine, v, h).items()}
    up, down = b + v @ weight, a + h @ weight.T
    assert np.allclose(found["up"], up, rtol=1e-12)
    assert np.allclose(found["down"], down, rtol=1e-12)
    energy = (
        -log_base(machine.visible, v)[:, None] - log_base(machine.hidden, h) - (v @ a)[:, None] - up @ h.T
    )
    assert np.allclose(found["energy"], energy, rtol=1e-10, atol=1e-10)
    summed = -logsumexp(-energy, axis=1, b=quadrature)
    assert np.allclose(found["free_energy"], summed, rtol=1e-8)


@pytest.mark.usefixtures("x64")
def test_flipped_exchanges_the_sides() -> None:
    machine = machine_of(UNITS["joined"], UNITS["softmax"])
    v, h = jnp.asarray(some(machine.visible)), jnp.asarray(some(machine.hidden))
    there, back = machine.energy(v, h), machine.flipped.energy(h, v)
    assert np.allclose(there, back)
    assert jax.tree.all(jax.tree.map(np.array_equal, machine.flipped.flipped, machine))


def test_it_computes_in_the_dtype_of_its_argument() -> None:
    machine = machine_of(Bernoulli(3), Gaussian(2))
    assert machine.weight.dtype == np.float64
    assert machine.free_energy(jnp.ones((2, 3), jnp.float32)).dtype == np.float32
    assert machine.free_energy(jnp.ones(3, jnp.float32)).shape == ()
    assert machine.gibbs(jax.random.key(0), jnp.ones((2, 4, 3), jnp.float32)).shape == (2, 4, 3)


def test_a_gibbs_step_uses_two_keys() -> None:
    """h and v of one step are independent given their parameters: with W = 0 they know nothing of another."""
    machine = Machine(
        Bernoulli(4000), Bernoulli(4000), np.zeros((4000, 4000), np.float32), *[np.zeros(4000)] * 2
    )
    key = jax.random.key(1)
    v = machine.gibbs(key, jnp.zeros((1, 4000)))
    h = [machine.hidden.sample(own, jnp.zeros((1, 4000))) for own in (key, *jax.random.split(key))]
    agreement = [float((v == other).mean()) for other in h]
    assert agreement[2] == 1.0  # the second key is that of v
    assert max(agreement[:2]) < 0.6


def test_a_new_machine_has_the_mean_of_the_data() -> None:
    mean = np.array([0.2, 0.9, 0.0, 1 / 3, 2 / 3])
    units = Joined([Bernoulli(3), Softmax(2)])
    machine = new_machine(units, Bernoulli(4), jax.random.key(0), mean=mean, scale=1e-3)
    assert machine.weight.dtype == np.float32
    assert 0 < np.abs(machine.weight).max() < 1e-2
    assert np.allclose(units.mean(jnp.asarray(machine.visible_bias)), mean, atol=2e-3)
    assert not machine.hidden_bias.any()


def test_label_scores_are_free_energies() -> None:
    machine = machine_of(Joined([Bernoulli(2), Softmax(3)]), Bernoulli(4))
    s = jnp.asarray([[0.0, 1.0], [1.0, 1.0]])
    free = [
        machine.free_energy(jnp.concatenate([s, jnp.tile(jnp.eye(3)[k][None], (2, 1))], axis=1))
        for k in range(3)
    ]
    scores = np.asarray(label_scores(machine, s))
    found = scores - scores[:, :1]
    assert np.allclose(found, -np.stack(free, axis=1) + np.asarray(free[0])[:, None], atol=1e-5)
    assert label_units(machine.visible) is machine.visible.parts[1]
    assert label_units(Bernoulli(3)) is None
    with pytest.raises(InputError, match="no label units"):
        label_scores(machine_of(Bernoulli(2), Bernoulli(2)), s)


BAD: dict[str, dict[str, Any]] = {
    "transposed": {"weight": np.zeros((2, 3)), "visible_bias": np.zeros(2), "hidden_bias": np.zeros(3)},
    "fewer hidden": {"weight": np.zeros((3, 1)), "hidden_bias": np.zeros(1)},
    "NaN": {"weight": np.full((3, 2), np.nan)},
    "infinite": {"hidden_bias": np.array([0.0, np.inf])},
}


@pytest.mark.parametrize("what", BAD)
def test_a_machine_that_cannot_be(what: str) -> None:
    parts = {"weight": np.zeros((3, 2)), "visible_bias": np.zeros(3), "hidden_bias": np.zeros(2)} | BAD[what]
    with pytest.raises(InputError, match=r"has shape|is not finite"):
        Machine(Bernoulli(3), Bernoulli(2), **parts)
