"""Block Gibbs against enumeration: the kernel, its draws, and what is held."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError, ResourceError
from probinv.boltzmann import gibbs
from probinv.boltzmann.gibbs import chains, last_state, random_states, rows_at_random
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax

KINDS = {
    "label": (Joined([Bernoulli(3), Softmax(3)]), Bernoulli(3)),
    "softmax": (Softmax(3, 2), Softmax(2, 2)),
}


free_energy = jax.jit(Machine.free_energy)


def machine_of(visible: AbstractUnits, hidden: AbstractUnits, seed: int = 0, scale: float = 1.0) -> Machine:
    rng = np.random.default_rng(seed)
    shape = (visible.size, hidden.size)
    return Machine(visible, hidden, *(rng.normal(0, scale, size) for size in (shape, shape[:1], shape[1:])))


def law(machine: Machine, rows: np.ndarray) -> np.ndarray:
    """p of the rows, normalised over them: the conditional law where they agree in the known units."""
    with jax.enable_x64(True):
        energy = np.asarray(free_energy(machine, jnp.asarray(rows)))
    weight = np.exp(-(energy - energy.min()))
    return weight / weight.sum()


def frequency(draws: Any, rows: np.ndarray) -> np.ndarray:
    """How often each of the rows is among the draws; every draw is one of them."""
    code = 2.0 ** np.arange(rows.shape[1])
    order = np.argsort(rows @ code)
    codes = np.asarray(draws, np.float64).reshape(-1, rows.shape[1]) @ code
    place = np.clip(np.searchsorted((rows @ code)[order], codes), 0, len(rows) - 1)
    assert ((rows @ code)[order][place] == codes).all()
    return np.bincount(order[place], minlength=len(rows)) / len(codes)


def distance(draws: Any, rows: np.ndarray, probability: np.ndarray) -> float:
    """Total variation."""
    return 0.5 * float(np.abs(frequency(draws, rows) - probability).sum())


def limit(probability: np.ndarray, count: int) -> float:
    """What the total variation of independent draws exceeds once in a million: its mean + 4.8 deviations."""
    mean = np.sqrt(probability * (1 - probability) / (2 * np.pi * count)).sum()
    return float(mean + 4.8 * 0.5 * np.sqrt((1 - 2 / np.pi) / count))


@jax.jit
def conditional_law(units: AbstractUnits, natural: Any, rows: Any) -> jax.Array:
    """p(s | theta) from the definition of the exponential family."""
    s, natural = jnp.broadcast_arrays(rows[None], natural[:, None])
    return jnp.exp(units.log_base(s) + jnp.sum(s * natural, axis=-1) - units.log_partition(natural))


@pytest.mark.parametrize("kind", KINDS)
def test_the_two_conditionals_leave_the_law(kind: str, x64: None) -> None:
    """pi K = pi and detailed balance, K(v, v') = sum_h p(h | v) p(v' | h), without a draw."""
    machine = machine_of(*KINDS[kind])
    v, h = machine.visible.states(), machine.hidden.states()
    up = conditional_law(machine.hidden, machine.up(jnp.asarray(v)), h)
    down = conditional_law(machine.visible, machine.down(jnp.asarray(h)), v)
    np.testing.assert_allclose(up.sum(axis=1), 1, rtol=1e-12)
    kernel, pi = up @ down, law(machine, v)
    np.testing.assert_allclose(pi @ kernel, pi, rtol=1e-11)
    flow = pi[:, None] * kernel
    np.testing.assert_allclose(flow, flow.T, rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hold", [False, True], ids=["free", "held"])
def test_one_step_draws_from_the_kernel(kind: str, hold: bool, key: jax.Array) -> None:
    """From one v, 50,000 times: total variation from that row of K."""
    machine = machine_of(*KINDS[kind])
    v, h = machine.visible.states(), machine.hidden.states()
    known = np.arange(machine.visible.size) < 3 if hold else None
    row = v[-2]
    near = v if known is None else v[(v == row)[:, known].all(axis=1)]
    with jax.enable_x64(True):
        up = np.asarray(conditional_law(machine.hidden, machine.up(jnp.asarray(row[None])), h))
        down = np.asarray(conditional_law(machine.visible, machine.down(jnp.asarray(h)), near))
    expected = (up @ (down / down.sum(axis=1, keepdims=True)))[0]
    found = last_state(machine, key, np.tile(row, (50_000, 1)), 1, known=known)
    assert distance(found, near, expected) < limit(expected, 50_000)


@pytest.mark.optimised
def test_the_conditional_law_given_known_units(key: jax.Array) -> None:
    """12 + 8 units, 7 of them known, 100,000 draws: total variation at most .01 (.006 if independent)."""
    machine = machine_of(Bernoulli(12), Bernoulli(8), scale=0.7)
    known = np.isin(np.arange(12), [0, 1, 3, 4, 7, 8, 11])
    held = np.array([1, 0, 1, 1, 0, 0, 1])
    states = machine.visible.states()
    rows = states[(states[:, known] == held).all(axis=1)]
    start = np.tile(rows[0], (1000, 1))
    start = np.asarray(last_state(machine, key, start, 50, known=known))
    draws = chains(machine, key, start, 500, known=known, every=5)
    assert draws.shape == (1000, 100, 12)
    assert draws.dtype == np.float32
    assert (np.asarray(draws)[..., known] == held).all()
    assert distance(draws, rows, law(machine, rows)) <= 0.01


@pytest.mark.optimised
def test_every_chain_may_hold_its_own(key: jax.Array) -> None:
    """Two groups of chains with other masks and values; expected total variation .007, at most .012."""
    machine = machine_of(Bernoulli(6), Bernoulli(4))
    states = machine.visible.states()
    known = np.repeat([np.arange(6) < 3, np.arange(6) >= 2], 1000, axis=0)
    values = np.repeat([[1.0, 0, 1, 0, 0, 0], [0.0, 0, 0, 1, 1, 0]], 1000, axis=0)
    draws = np.asarray(chains(machine, key, values, 120, known=known, every=4))[:, 5:]
    for own in (slice(0, 1000), slice(1000, 2000)):
        mask, value = known[own][0], values[own][0]
        rows = states[(states == value)[:, mask].all(axis=1)]
        assert distance(draws[own], rows, law(machine, rows)) < 0.012


@pytest.mark.optimised
def test_gaussian_pixels_and_a_label(key: jax.Array) -> None:
    """Given the label, v is a mixture over h: its mean, within 5 standard errors; and p(label) when free."""
    units = Joined([Gaussian(2, [0.1, -0.2]), Softmax(3)])
    machine = machine_of(units, Bernoulli(3), scale=0.8)
    h = machine.hidden.states()
    with jax.enable_x64(True):
        theta = np.asarray(machine.down(jnp.asarray(h)))
    scale = np.exp([0.1, -0.2])
    pixels = theta[:, :2] * scale**2  # E[v | h]
    half = 0.5 * (theta[:, :2] ** 2 * scale**2).sum(axis=1) + h @ machine.hidden_bias
    joint = np.exp(half[:, None] + theta[:, 2:])  # p(h, label), without v
    joint /= joint.sum()
    start = np.concatenate([np.zeros((4000, 2)), np.tile([0.0, 1, 0], (4000, 1))], axis=1)
    known = np.array([False, False, True, True, True])
    held = np.asarray(last_state(machine, key, start, 60, known=known), np.float64)
    assert (held[:, 2:] == [0, 1, 0]).all()
    expected = joint[:, 1] @ pixels / joint[:, 1].sum()
    error = held[:, :2].std(axis=0) / np.sqrt(4000)
    assert (np.abs(held[:, :2].mean(axis=0) - expected) < 5 * error).all()
    second = joint[:, 1] @ (pixels**2 + scale**2) / joint[:, 1].sum()
    spread = (held[:, :2] ** 2).std(axis=0) / np.sqrt(4000)
    assert (np.abs((held[:, :2] ** 2).mean(axis=0) - second) < 5 * spread).all()
    free = np.asarray(last_state(machine, key, start, 60), np.float64)
    label = joint.sum(axis=0)
    assert (np.abs(free[:, 2:].mean(axis=0) - label) < 5 * np.sqrt(label * (1 - label) / 4000)).all()


def test_draws_and_pieces_are_one_run(key: jax.Array) -> None:
    machine = machine_of(*KINDS["label"])
    start = random_states(machine.visible, key, 7)
    draws = chains(machine, key, start, 13, every=3)
    assert draws.shape == (7, 4, 6)
    for i in range(4):
        np.testing.assert_array_equal(draws[:, i], last_state(machine, key, start, 3 * i + 3))
    assert not (draws[:, 0] == draws[:, 1]).all()


def test_nothing_is_compiled_twice(key: jax.Array) -> None:
    start = np.tile(LABEL, (5, 1))
    known = np.array([True, False, False, True, True, True])
    for seed, steps in ((0, 2), (1, 9)):
        machine = machine_of(*KINDS["label"], seed=seed)
        last_state(machine, key, start, steps, known=known)
        chains(machine, key, start, 3 * steps, every=steps, known=known)
        known = np.concatenate([~known[:3], known[3:]])
        if seed == 0:
            sizes = gibbs._sweeps._cache_size(), gibbs._chains._cache_size()
    assert (gibbs._sweeps._cache_size(), gibbs._chains._cache_size()) == sizes


@pytest.mark.parametrize("units", [Bernoulli(5), Gaussian(5, 0.3), Softmax(5), Rectified(5)])
def test_random_states_follow_the_base_law(units: AbstractUnits, key: jax.Array) -> None:
    """Their mean, within 5 standard errors, at theta = 0 and at another."""
    for theta in (None, [-0.5, 0, 0.5, 1, -1]):
        rows = np.asarray(random_states(units, key, 4000, theta=theta), np.float64)
        assert rows.shape == (4000, 5)
        units.check("rows", rows)
        expected = units.mean(jnp.asarray(np.zeros(5) if theta is None else theta, jnp.float32))
        assert (np.abs(rows.mean(axis=0) - expected) < 5 * rows.std(axis=0) / np.sqrt(4000)).all()


def test_rows_at_random(key: jax.Array) -> None:
    rows = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(np.sort(rows_at_random(rows, key, 6), axis=0), rows)
    assert rows_at_random(rows, key, 50).shape == (50, 2)
    with pytest.raises(InputError, match="rows has shape"):
        rows_at_random(rows[0], key, 3)


LABEL = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"start": [[np.nan, *LABEL[1:]]]}, "start holds NaN"),
    "one row": ({"start": LABEL}, "start has shape"),
    "too few": ({"start": [LABEL[1:]]}, "6 visible units"),
    "no chains": ({"start": np.zeros((0, 6))}, "start has shape"),
    "support": ({"start": [[2.0, *LABEL[1:]]]}, r"outside \[0, 1\]"),
    "label": ({"start": [[1.0, 0, 1, 1, 1, 0]]}, "no categories"),
    "known shape": ({"known": [True]}, "known is bool of shape"),
    "known rows": ({"known": np.ones((2, 6), bool)}, "known is bool of shape"),
    "known index": ({"known": np.arange(6)}, "known is int64"),
    "half a label": ({"known": [False, False, False, True, False, False]}, "cannot be held one by one"),
    "steps": ({"steps": 0}, "steps must be"),
    "every": ({"every": 0}, "every must be"),
    "few steps": ({"every": 9}, "less than every"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, key: jax.Array) -> None:
    changes, message = BAD[case]
    settings: dict[str, Any] = {"start": [LABEL], "steps": 4} | changes
    machine = machine_of(*KINDS["label"])
    with pytest.raises(InputError, match=message):
        chains(machine, key, settings.pop("start"), settings.pop("steps"), **settings)


def test_draws_that_do_not_fit(key: jax.Array) -> None:
    with pytest.raises(ResourceError, match="GB"):
        chains(machine_of(*KINDS["label"]), key, [LABEL], 10**12)
