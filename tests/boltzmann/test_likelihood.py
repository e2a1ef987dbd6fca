"""Brackets of log Z by annealing, against enumeration.

Stochastic tests have a fixed key and stand at five standard errors: a false alarm in 6e-7 of all keys.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from probinv import InputError, NumericalError
from probinv._checks import double_precision
from probinv.boltzmann import _annealing as annealing
from probinv.boltzmann import exact, likelihood
from probinv.boltzmann.likelihood import LogPartition
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax

SIGMAS = 5.0
KINDS = {
    "bernoulli": (Bernoulli(6), Bernoulli(4)),
    "labels": (Joined([Bernoulli(4), Softmax(3)]), Bernoulli(4)),
    "softmax": (Bernoulli(5), Softmax(3, 2)),
    "gaussian": (Gaussian(4, -0.3), Bernoulli(4)),
    "gaussian_hidden": (Bernoulli(5), Gaussian(3, -0.2)),
    "rectified": (Rectified(3), Bernoulli(4)),
}


def machine_of(visible: AbstractUnits, hidden: AbstractUnits, scale: float = 1.0, seed: int = 0) -> Machine:
    rng = np.random.default_rng(seed)
    shape = (visible.size, hidden.size)
    return Machine(
        visible, hidden, *(scale * rng.normal(size=size) for size in (shape, shape[:1], shape[1:]))
    )


def draws_of(machine: Machine, count: int, seed: int = 0) -> np.ndarray:
    """Exact independent draws of v, by listing whichever side can be."""
    rng = np.random.default_rng(seed)
    try:
        states, p = exact.exact_probabilities(machine)
        return states[rng.choice(len(p), count, p=p)]
    except InputError:
        states, p = exact.exact_probabilities(machine.flipped)
    h = jnp.asarray(states[rng.choice(len(p), count, p=p)], jnp.float32)
    return np.asarray(machine.visible.sample(jax.random.key(seed), machine.down(h)), np.float64)


def log_f(machine: Machine, base: np.ndarray, t: float, v: np.ndarray) -> np.ndarray:
    """log f_t(v) = -F_t(v), of a machine built for that t."""
    bias = (1 - t) * base + t * machine.visible_bias
    at = Machine(machine.visible, machine.hidden, t * machine.weight, bias, t * machine.hidden_bias)
    return -exact.free_energies(at, v)


CHAINS = 10_000
POWERS = np.array([0.0, 1.0, 0.0, 0.3, 0.3001, 0.5, 0.4])
MEAN = 0.3


@pytest.mark.optimised
@pytest.mark.parametrize("kind", KINDS)
def test_one_step_weighs_by_the_ratio_of_densities(kind: str) -> None:
    """A step has the weight f_after(v) / f_before(v) of the state it finds: no chance in it, up and down."""
    machine = machine_of(*KINDS[kind])
    mean = np.full(machine.visible.size, MEAN)
    base = machine.visible.natural(mean)
    v = draws_of(machine, CHAINS)
    with double_precision():
        path = annealing.new_path(machine, mean)
        states, none, one = jnp.asarray(v, jnp.float32), jnp.zeros(CHAINS), jnp.asarray(1)
        found = [
            annealing._walk(path, jax.random.key(0), states, none, jnp.asarray(POWERS), jnp.asarray(k), one)[
                1
            ]
            for k in range(6)
        ]
    v = v.astype(np.float32).astype(np.float64)
    values = [log_f(machine, base, t, v) for t in POWERS]
    for k in range(6):
        width = abs(POWERS[k + 1] - POWERS[k])
        np.testing.assert_allclose(found[k], values[k + 1] - values[k], rtol=1e-5, atol=width * 3e-5)


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_the_rise_of_bernoulli_units_keeps_its_digits(size: float) -> None:
    """Against float64, at steps fine and coarse, up and down, and where exp overflows."""
    x = (size * np.random.default_rng(0).normal(size=(4, 50))).astype(np.float32)
    for before, after in ((0.2, 0.2 + 1e-5), (0.5, 0.4), (0.0, 1.0), (1.0, 0.0)):
        wide = np.float64(x)
        expected = np.sum(np.logaddexp(0, after * wide) - np.logaddexp(0, before * wide), axis=1)
        with double_precision():
            found = annealing._rise(Bernoulli(50), jnp.asarray(x), jnp.asarray(before), jnp.asarray(after))
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=3e-6 * size * abs(after - before))


@pytest.mark.optimised
@pytest.mark.parametrize("kind", KINDS)
def test_the_bracket_holds_the_exact_value(kind: str) -> None:
    """Few temperatures and many chains: the weights' means are unbiased however short the walk."""
    machine = machine_of(*KINDS[kind])
    true, mean = exact.exact_log_partition(machine), np.full(machine.visible.size, MEAN)
    settings = {"chains": CHAINS, "temperatures": len(POWERS) - 1, "equilibration": 0, "mean": mean}
    found = likelihood.log_partition(machine, draws_of(machine, CHAINS), key=jax.random.key(1), **settings)
    assert min(found.forward_error, found.reverse_error) > 1e-4
    assert max(found.forward_error, found.reverse_error) < 0.05
    assert found.forward == pytest.approx(true, abs=SIGMAS * found.forward_error)
    assert found.reverse == pytest.approx(true, abs=SIGMAS * found.reverse_error)


@pytest.mark.optimised
def test_strong_weights_to_a_twentieth_of_a_nat() -> None:
    """24 visible, 16 hidden units, weights of standard deviation 1: .05 nat, and the bracket surrounds it."""
    machine = machine_of(Bernoulli(24), Bernoulli(16))
    true = exact.exact_log_partition(machine)
    start = np.eye(24)
    found = likelihood.log_partition(
        machine,
        start,
        key=jax.random.key(0),
        chains=400,
        temperatures=1000,
        equilibration=200,
        mean=np.full(24, 0.5),
    )
    assert found.forward == pytest.approx(true, abs=0.05)
    assert found.reverse == pytest.approx(true, abs=0.05)
    assert found.low <= true <= found.high
    assert found.error < 0.02
    assert not found.warnings


@pytest.mark.optimised
def test_on_average_the_ends_lie_on_their_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates from 2 chains each: forward far below on average, reverse far above (Jensen's gap)."""
    machine = machine_of(*KINDS["bernoulli"], 2.0)
    true, pairs = exact.exact_log_partition(machine), []

    def record(log_weight: np.ndarray) -> tuple[float, float, float]:
        pairs.append(logsumexp(log_weight.reshape(-1, 2), axis=1) - np.log(2))
        return 0.0, 0.0, 1.0

    monkeypatch.setattr(likelihood, "_log_mean", record)
    settings = {
        "chains": CHAINS,
        "temperatures": len(POWERS) - 1,
        "equilibration": 0,
        "mean": np.full(6, MEAN),
    }
    base = likelihood.log_partition(
        machine, draws_of(machine, CHAINS), key=jax.random.key(1), **settings
    ).forward
    forward, reverse = base + pairs[0] - true, base - pairs[1] - true
    assert forward.mean() < -2 * SIGMAS * forward.std() / np.sqrt(len(forward))
    assert reverse.mean() > 2 * SIGMAS * reverse.std() / np.sqrt(len(reverse))


def two_modes() -> Machine:
    """All on (90 %) or all off (10 %); Gibbs steps cross in some tens of steps."""
    weight = np.full((10, 3), 1.3)
    return Machine(Bernoulli(10), Bernoulli(3), weight, np.full(10, 0.3 - 1.95), np.full(3, -6.5))


@pytest.mark.optimised
def test_two_modes_need_equilibration() -> None:
    """Chains that all begin in the small mode: an upper end after equilibration, a warning without."""
    machine, start = two_modes(), np.zeros((500, 10))
    true = exact.exact_log_partition(machine)
    common = {"key": jax.random.key(0), "chains": 500, "temperatures": 200, "mean": np.full(10, 0.3)}
    settled = likelihood.log_partition(machine, start, equilibration=600, **common)
    assert settled.reverse > true - SIGMAS * settled.reverse_error
    assert not settled.warnings
    raw = likelihood.log_partition(machine, start, equilibration=0, **common)
    assert raw.reverse < true - 2 * SIGMAS * raw.reverse_error
    assert "not in equilibrium" in str(raw)
    short = likelihood.log_partition(machine, start, equilibration=30, **common)
    assert abs(short.drift) > likelihood.DRIFT_MOST
    assert "drifting" in str(short)


@pytest.mark.optimised
def test_equilibration_reaches_the_law() -> None:
    """E[v] after equilibration from a corner, against enumeration: 5 standard errors of 4000 chains."""
    machine = machine_of(*KINDS["bernoulli"])
    expected = exact.exact_moments(machine).visible
    with double_precision():
        path = annealing.new_path(machine, np.full(6, 0.5))
        states, drift = annealing.equilibrated(
            path, jax.random.key(3), jnp.zeros((4000, 6), jnp.float32), 60, None, "equilibrating"
        )
    error = np.sqrt(expected * (1 - expected) / 4000)
    assert (np.abs(np.asarray(states).mean(axis=0) - expected) < SIGMAS * error).all()
    assert abs(drift) < SIGMAS


def test_noise_of_a_step_is_its_own() -> None:
    """With W = 0 each step draws v anew: chains, steps, and walks of another key are uncorrelated.

    A key used twice gives the same states again. 64 units in 50 chains: two agree in half their entries, +- 5
    standard deviations of a binomial law.
    """
    machine = Machine(Bernoulli(64), Bernoulli(64), np.zeros((64, 64)), np.zeros(64), np.zeros(64))
    with double_precision():
        path = annealing.new_path(machine, np.full(64, 0.5))
        states = path.base_states(jax.random.key(0), 50)
        powers = jnp.linspace(0, 1, 5)
        walks = [states]
        for number in range(3):
            after, _ = annealing._walk(
                path, jax.random.key(0), states, jnp.zeros(50), powers, jnp.asarray(number), jnp.asarray(1)
            )
            walks.append(after)
    for one in range(4):
        for other in range(one):
            agree = float(np.mean(np.asarray(walks[one]) == np.asarray(walks[other])))
            assert abs(agree - 0.5) < SIGMAS * 0.5 / np.sqrt(3200)


def test_hidden_and_visible_noise_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every draw of a run has a key of its own: no two samplers of a traced step are given the same one."""
    seen: list[object] = []
    machine = machine_of(Bernoulli(7), Bernoulli(7))  # of a shape that no other test has compiled

    def record(self: Bernoulli, key: jax.Array, theta: jax.Array) -> jax.Array:
        seen.append(key)
        return jnp.zeros_like(theta)

    monkeypatch.setattr(Bernoulli, "sample", record)
    with double_precision():
        path = annealing.new_path(machine, np.full(7, 0.5))
        annealing.annealed(
            path, jax.random.key(0), jnp.zeros((3, 7), jnp.float32), np.array([0.0, 1.0]), None, "x"
        )
    assert len(seen) == 2
    assert seen[0] is not seen[1]


def test_every_part_of_a_run_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, seen = machine_of(*KINDS["bernoulli"]), []

    def recorded(original: Callable[..., Any], place: int) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            seen.append(tuple(jax.random.key_data(arguments[place]).tolist()))
            return original(*arguments)

        return call

    for name, place in (("annealed", 1), ("equilibrated", 1), ("_chosen", 0)):
        monkeypatch.setattr(likelihood, name, recorded(getattr(likelihood, name), place))
    settings = {"chains": 20, "temperatures": 40, "equilibration": 15}
    likelihood.log_partition(machine, np.zeros((3, 6)), key=jax.random.key(0), **settings)
    assert len(seen) == len(set(seen)) == 4


def test_cutting_the_walk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, start = machine_of(*KINDS["bernoulli"]), np.zeros((3, 6))
    common = {"key": jax.random.key(0), "chains": 20, "temperatures": 40, "equilibration": 15}
    whole = likelihood.log_partition(machine, start, **common)
    monkeypatch.setattr(annealing, "BLOCK", 7 * 20 * 24)
    assert likelihood.log_partition(machine, start, **common) == whole
    with double_precision():
        assert likelihood.log_partition(machine, start, **common) == whole


class Told:
    """Counts steps, and presses Ctrl-C when a phase begins."""

    def __init__(self, until: str = "") -> None:
        self.steps, self.until = 0, until

    def update(self, steps: int, phase: str) -> None:
        if phase == self.until:
            raise KeyboardInterrupt
        self.steps += steps


def test_progress_and_interruption() -> None:
    machine, start = machine_of(*KINDS["bernoulli"]), np.zeros((3, 6))
    common = {"key": jax.random.key(0), "chains": 20, "temperatures": 40, "equilibration": 15}
    told = Told()
    whole = likelihood.log_partition(machine, start, progress=told, **common)
    assert told.steps == 2 * 40 + 15
    with pytest.raises(KeyboardInterrupt, match="no estimate"):
        likelihood.log_partition(machine, start, progress=Told("forward"), **common)
    for phase in ("equilibrating", "reverse"):
        part = likelihood.log_partition(machine, start, progress=Told(phase), **common)
        assert part.forward == whole.forward
        assert part.high == np.inf
        assert "interrupted" in str(part)
        with pytest.raises(InputError, match="no upper end"):
            likelihood.score_samples(machine, start, part)


def test_the_errors_are_those_of_a_mean() -> None:
    """Of four weights 1, 1, 1, 3: mean 1.5, s^2 = 1, standard error of the logarithm s / 2 / 1.5."""
    mean, error, effective = likelihood._log_mean(np.log([1.0, 1.0, 1.0, 3.0]) + 700)
    assert mean == pytest.approx(np.log(1.5) + 700)
    assert error == pytest.approx(1 / 3)
    assert effective == pytest.approx(3)


BRACKET = LogPartition(10.0, 11.0, 0.1, 0.2, 50.0, 60.0, 100, 1000, 10, 0.5)


def test_a_bracket_in_numbers_and_words() -> None:
    assert (BRACKET.low, BRACKET.high, BRACKET.middle) == (9.9, 11.2, 10.5)
    assert BRACKET.error == pytest.approx(0.5 * np.hypot(0.1, 0.2))
    assert str(BRACKET).startswith("log Z between 9.900 and 11.200: forward 10.000 +- 0.100")
    assert not BRACKET.warnings
    crossed = BRACKET._replace(reverse=8.0)
    assert (crossed.low, crossed.high) == (7.8, 10.1)
    assert "not in equilibrium" in str(crossed)
    assert "carry the weight" in str(BRACKET._replace(forward_effective=1.3))


def test_likelihood_and_scores() -> None:
    machine = machine_of(*KINDS["bernoulli"])
    rows = draws_of(machine, 9)
    true = exact.exact_log_likelihood(machine, rows)
    log_z = exact.exact_log_partition(machine)
    known = likelihood.log_likelihood(machine, rows, log_z)
    assert known.low == known.high == known.middle == pytest.approx(true.mean())
    assert known.rows_error == pytest.approx(true.std(ddof=1) / 3)
    around = BRACKET._replace(forward=log_z - 0.4, reverse=log_z + 0.6)
    found = likelihood.log_likelihood(machine, rows, around)
    assert found.low == pytest.approx(true.mean() - 0.8)
    assert found.high == pytest.approx(true.mean() + 0.5)
    assert found.middle == pytest.approx(true.mean() - 0.1)
    assert "choice of the 9 rows" in str(found)
    np.testing.assert_allclose(likelihood.score_samples(machine, rows, around), true - 0.1, atol=1e-10)
    np.testing.assert_allclose(likelihood.score_samples(machine, rows, log_z), true, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chains": 1}, "chains"),
        ({"temperatures": 0}, "temperatures"),
        ({"equilibration": -1}, "equilibration"),
        ({"schedule": "cosine"}, "schedule"),
        ({"schedule": [0, 0.5, 0.4, 1]}, "schedule"),
        ({"schedule": [0.1, 1]}, "schedule"),
        ({"start": np.zeros((2, 5))}, "start"),
        ({"start": np.zeros((0, 6))}, "start"),
        ({"start": np.full((2, 6), 3.0)}, "start"),
        ({"start": np.full((2, 6), np.nan)}, "start"),
        ({"equilibration": 0}, "start has 2 rows"),
        ({"equilibration": 0, "start": np.full((200, 6), 0.5)}, "binarise"),
        ({"mean": np.zeros(5)}, "mean"),
    ],
)
def test_bad_settings(changes: dict[str, object], words: str) -> None:
    settings = {"start": np.zeros((2, 6)), "key": jax.random.key(0)} | changes
    start = settings.pop("start")
    with pytest.raises(InputError, match=words):
        likelihood.log_partition(machine_of(*KINDS["bernoulli"]), start, **settings)


def test_a_machine_without_a_law_is_seen() -> None:
    machine = Machine(Gaussian(2), Gaussian(2), 3 * np.eye(2), np.zeros(2), np.zeros(2))
    with pytest.raises(NumericalError, match="range"):
        likelihood.log_partition(machine, np.zeros((2, 2)), key=jax.random.key(0), chains=4, temperatures=400)
