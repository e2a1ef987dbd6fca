"""Tempering against enumeration: the swap, its laws, far modes, log Z along the ladder."""

from functools import cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from probinv._errors import InputError, NumericalError
from probinv.boltzmann import _swap, tempering
from probinv.boltzmann.gibbs import last_state
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.tempering import (
    base_machine,
    choose_rungs,
    interpolated_ladder,
    ladder_state,
    log_partition_along,
    rung,
    stack,
    temper,
    temper_step,
    with_top,
)
from probinv.boltzmann.units import Bernoulli, Gaussian, Joined, Softmax
from tests.boltzmann.test_gibbs import distance, free_energy, law, limit, machine_of

CHAINS = 20_000


@cache
def far_modes() -> Machine:
    """p(v) has a third of its mass at all-off, two thirds at all-on, 2e-4 in between: 8 + 4 units."""
    visible, hidden = Bernoulli(8), Bernoulli(4)
    weight = np.full((8, 4), 3.0)
    return Machine(visible, hidden, weight, np.full(8, -6.0), np.full(4, -11.85))


@cache
def trajectory() -> Machine:
    """Thirty machines saved along an exact gradient ascent to the two modes, the base in front."""
    top = far_modes()
    states = jnp.asarray(top.visible.states(), jnp.float32)
    data = jnp.asarray(law(top, np.asarray(states, np.float64)), jnp.float32)

    def loss(machine: Machine) -> jax.Array:
        energy = machine.free_energy(states)
        return jnp.sum(data * energy) + jax.nn.logsumexp(-energy)

    @jax.jit
    def updated(machine: Machine, steps: int) -> Machine:
        def one(_: Any, machine: Machine) -> Machine:
            return jax.tree.map(lambda x, g: x - 0.1 * g, machine, jax.grad(loss)(machine))

        return jax.lax.fori_loop(0, steps, one, machine)

    mean = np.asarray(data @ states, np.float64)
    machine = jax.tree.map(jnp.asarray, base_machine(top, mean))
    saved = [machine]
    start = machine_of(top.visible, top.hidden, scale=0.2)
    machine = Machine(
        top.visible, top.hidden, jnp.asarray(start.weight), machine.visible_bias, machine.hidden_bias
    )
    for i in range(30):
        saved.append(machine := updated(machine, 10 * (2 * i + 1)))
    return stack(saved)


@cache
def small_ladder() -> Machine:
    """Five unlike machines of 3 label-and-pixel units, the first without weights: every law can be listed."""
    units = Joined([Bernoulli(2), Softmax(3)])
    machines = [machine_of(units, Bernoulli(2), seed, scale=0.9) for seed in range(5)]
    return stack([base_machine(machines[0]), *machines[1:]])


def rows_of(ladder: Machine) -> np.ndarray:
    return ladder.visible.states()


def energies(ladder: Machine) -> np.ndarray:
    """F of every rung at every state, (rungs, states)."""
    with jax.enable_x64(True):
        host = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), ladder)
        rows = jnp.asarray(rows_of(ladder))
        return np.stack([free_energy(rung(host, i), rows) for i in range(len(host.weight))])


def laws(ladder: Machine, rows: np.ndarray) -> list[np.ndarray]:
    host = jax.tree.map(np.asarray, ladder)
    return [law(rung(host, i), rows) for i in range(len(host.weight))]


def exact_state(ladder: Machine, rows: np.ndarray, count: int = CHAINS, seed: int = 5) -> np.ndarray:
    """Independent draws from every rung's law on the rows, by enumeration."""
    rng = np.random.default_rng(seed)
    return np.stack([rows[rng.choice(len(rows), count, p=own)] for own in laws(ladder, rows)])


def swap_probability(ladder: Machine) -> np.ndarray:
    """E min(1, exp(F_i(v_i) + F_j(v_j) - F_i(v_j) - F_j(v_i))) over p_i p_j, for neighbours."""
    energy, own = energies(ladder), laws(ladder, rows_of(ladder))
    found = []
    for i in range(len(energy) - 1):
        gap = energy[i] - energy[i + 1]
        ratio = gap[:, None] - gap[None, :]
        found.append(float(own[i] @ np.exp(np.minimum(0, ratio)) @ own[i + 1]))
    return np.array(found)


@pytest.mark.parametrize("odd", [0, 1])
def test_swaps_are_in_detailed_balance(odd: int, key: jax.Array) -> None:
    """p_i(v) p_j(v') a(v, v') = p_i(v') p_j(v) a(v', v) for every pair of states, without a draw."""
    ladder = small_ladder()
    rows = rows_of(ladder)
    here, there = (index.ravel() for index in np.meshgrid(*[np.arange(len(rows))] * 2, indexing="ij"))
    partner = _swap.partners(5, odd)
    lower = [i for i in range(5) if partner[i] > i]
    assert lower == list(range(odd, 4, 2))
    v = np.empty((5, len(here), rows.shape[1]))
    for i in range(5):
        v[i] = rows[here] if i in lower or partner[i] == i else rows[there]
    state = ladder_state(ladder, key, len(here), start=v)
    swapped = jax.jit(_swap.swapped)
    after, fields, work = swapped(ladder, key, state, _swap.fields_of(ladder, state.v), partner)
    np.testing.assert_allclose(fields, jax.vmap(Machine.up)(ladder, after.v), rtol=1e-5, atol=1e-5)
    own = laws(ladder, rows)
    for i in lower:
        a = np.exp(np.minimum(0, -np.asarray(work[i] + work[i + 1]))).reshape(len(rows), -1)
        flow = own[i][:, None] * own[i + 1][None, :] * a
        np.testing.assert_allclose(flow, flow.T, rtol=2e-5)
        stays = (after.v[i] == v[i]).all(axis=1) & (after.v[i + 1] == v[i + 1]).all(axis=1)
        swaps = (after.v[i] == v[i + 1]).all(axis=1) & (after.v[i + 1] == v[i]).all(axis=1)
        assert (stays | swaps).all()
        assert (~stays).any()
        assert swaps[a.ravel() == 1].all()
    # how often a swap is made is its probability: 5 standard deviations
    again = jax.vmap(lambda own: swapped(ladder, own, state, _swap.fields_of(ladder, state.v), partner)[0].v)(
        jax.random.split(key, 400)
    )
    for i in lower:
        a = np.exp(np.minimum(0, -np.asarray(work[i] + work[i + 1], np.float64)))
        unlike = here != there
        made = (np.asarray(again[:, i]) == v[i + 1]).all(axis=-1).mean(axis=0)
        assert (np.abs(made - a)[unlike] < 5 * np.sqrt(a * (1 - a) / 400)[unlike] + 1e-6).all()


@pytest.mark.parametrize("hold", [False, True], ids=["free", "held"])
def test_rounds_leave_the_law_of_every_rung(hold: bool, key: jax.Array) -> None:
    """From exact draws, 3 rounds: total variation on 5 rungs, 20,000 chains."""
    ladder = small_ladder()
    rows = rows_of(ladder)
    known = np.array([False, False, True, True, True]) if hold else None
    if hold:
        rows = rows[(rows[:, 2:] == [0, 1, 0]).all(axis=1)]
    state = ladder_state(ladder, key, CHAINS, start=exact_state(ladder, rows))
    run = temper(ladder, key, state, 3, known=known, sweeps_per_swap=2)
    for i, own in enumerate(laws(ladder, rows)):
        assert distance(run.state.v[i], rows, own) < limit(own, CHAINS)
    np.testing.assert_array_equal(run.draws[:, -1], run.state.v[-1])
    assert run.clamped == hold
    if not hold:  # 3 rounds of 20,000 pairs: 5 standard deviations of a number between 0 and 1
        np.testing.assert_allclose(run.acceptance, swap_probability(ladder), atol=5 * 0.5 / np.sqrt(60_000))


def test_the_first_rung_forgets_at_once(key: jax.Array) -> None:
    """Without weights a sweep is an exact draw, whatever was there and whatever is swapped in."""
    ladder = small_ladder()
    rows = rows_of(ladder)
    state = ladder_state(ladder, key, CHAINS, start=np.tile(rows[0], (5, CHAINS, 1)))
    state = jax.jit(temper_step)(ladder, key, state)
    own = laws(ladder, rows)[0]
    assert distance(state.v[0], rows, own) < limit(own, CHAINS)


def share_on(draws: Any) -> float:
    return float((np.asarray(draws).sum(axis=-1) > 4).mean())


@pytest.mark.optimised
@pytest.mark.parametrize("way", ["between", "trajectory"])
def test_plain_gibbs_stays_in_its_mode(way: str, key: jax.Array) -> None:
    """A third and two thirds of the mass are at two modes; 500 chains of 1000 steps stay where they began."""
    machine = far_modes() if way == "between" else jax.tree.map(np.asarray, rung(trajectory(), -1))
    rows = machine.visible.states()
    p = law(machine, rows)
    assert 0.6 < p[rows.sum(axis=1) > 4].sum() < 0.7
    assert p[(rows.sum(axis=1) > 1) & (rows.sum(axis=1) < 7)].sum() < 1e-3
    found = last_state(machine, key, np.zeros((500, 8)), 1000)
    assert share_on(found) < 0.02
    found = last_state(machine, key, np.ones((500, 8)), 1000)
    assert share_on(found) > 0.98


@pytest.mark.slow
@pytest.mark.optimised
@pytest.mark.parametrize("way", ["between", "trajectory"])
def test_far_modes_are_found(way: str, key: jax.Array) -> None:
    """All chains begin in the smaller mode: total variation over all 256 states at most .01, log Z to .01.

    2000 chains x 100 draws; their mode changes about every 10 rounds, so the standard deviation of the share
    of a mode is about .003.
    """
    top = far_modes()
    if way == "between":
        ladder = interpolated_ladder(base_machine(top, np.full(8, 0.6)), top, 8)
    else:
        chosen = choose_rungs(trajectory(), key, acceptance=0.4, chains=400, rounds=10)
        ladder, top = chosen.ladder, rung(trajectory(), -1)
    rows = top.visible.states()
    state = ladder_state(ladder, key, 2000, start=np.zeros((2000, 8)))
    state = temper(ladder, jax.random.fold_in(key, 1), state, 200, every=2).state
    run = temper(ladder, jax.random.fold_in(key, 2), state, 400, every=4)
    assert run.draws.shape == (2000, 100, 8)
    assert distance(run.draws, rows, law(jax.tree.map(np.asarray, top), rows)) <= 0.01
    np.testing.assert_allclose(run.acceptance, swap_probability(ladder), atol=0.01)
    assert run.acceptance.min() > 0.2
    assert run.round_trips.mean() > 5
    found = log_partition_along(ladder, run)
    exact = logsumexp(-energies(ladder)[-1])
    assert found.standard_error < 0.01
    assert abs(found.log_partition - exact) < 4 * found.standard_error


@pytest.mark.optimised
def test_the_partition_function(key: jax.Array) -> None:
    """log Z within 4 standard errors of enumeration, and the error is what it says it is.

    Each state of a chain is used on two pairs and in every draw; 64 groups of 30 chains give the true spread:
    4 standard deviations of its ratio to the claim.
    """
    ladder = small_ladder()
    state = ladder_state(ladder, key, 1920, start=exact_state(ladder, rows_of(ladder), 1920))
    run = temper(ladder, key, state, 40)
    found, exact = log_partition_along(ladder, run), logsumexp(-energies(ladder), axis=1)[-1]
    assert found.standard_error < 0.01
    assert abs(found.log_partition - exact) < 4 * found.standard_error
    assert abs(found.forward - exact) < 0.05
    assert abs(found.reverse - exact) < 0.05
    # on the host: every other slice of a JAX array is compiled
    run = run._replace(up=np.asarray(run.up), down=np.asarray(run.down))
    groups = [run._replace(up=run.up[:, :, i::64], down=run.down[:, :, i::64]) for i in range(64)]
    parts = [log_partition_along(ladder, group) for group in groups]
    spread = np.std([part.log_partition for part in parts], ddof=1)
    claimed = np.sqrt(np.mean([part.standard_error**2 for part in parts]))
    assert 0.65 < spread / claimed < 1.4
    pairs = [run._replace(up=run.up[:1, :, i::960], down=run.down[:1, :, i::960]) for i in range(200)]
    parts = [log_partition_along(ladder, pair) for pair in pairs]  # of two draws only, so the bracket is wide
    assert np.mean([part.forward for part in parts]) < exact - 0.1
    assert np.mean([part.reverse for part in parts]) > exact + 0.1


@pytest.mark.optimised
def test_a_trajectory_is_thinned(key: jax.Array) -> None:
    """The kept neighbours swap as often as wished, by enumeration, and fewer rungs would not do."""
    snapshots = trajectory()
    chosen = choose_rungs(snapshots, key, acceptance=0.4, chains=400, rounds=10)
    kept = chosen.kept
    assert kept[0] == 0
    assert kept[-1] == 30
    assert 3 <= len(kept) <= 6
    exact = swap_probability(chosen.ladder)
    np.testing.assert_allclose(chosen.acceptance, exact, atol=0.05)
    assert exact.min() > 0.35
    for i, j in pairwise(kept[:-1]):
        assert swap_probability(rung(snapshots, np.array([i, j + 1])))[0] < 0.45
    for i, own in enumerate(laws(chosen.ladder, rows_of(snapshots))):
        assert distance(chosen.state.v[i], rows_of(snapshots), own) < limit(own, 400)


def test_a_gap_is_marked(key: jax.Array) -> None:
    """Two machines that never swap are both kept, and the number says so."""
    top = far_modes()
    chosen = choose_rungs(stack([base_machine(top, np.full(8, 0.6)), top, top]), key, chains=50, rounds=5)
    assert chosen.kept == (0, 1, 2)
    assert chosen.acceptance[0] < 0.2
    assert chosen.acceptance[1] == 1


@pytest.mark.slow
@pytest.mark.optimised
def test_known_units_are_held_on_every_rung(key: jax.Array) -> None:
    """Far modes of the unknown units given two known ones, in two groups of chains; at most .015."""
    machine = far_modes()
    ladder = interpolated_ladder(base_machine(machine, np.full(8, 0.6)), machine, 8)
    known = np.isin(np.arange(8), [2, 5])
    start = np.zeros((2000, 8))
    start[:1000, 2] = start[1000:, 5] = 1.0
    state = ladder_state(ladder, key, 2000, start=start)
    state = temper(ladder, key, state, 100, every=2, known=known).state
    run = temper(ladder, jax.random.fold_in(key, 1), state, 200, every=4, known=known)
    rows = machine.visible.states()
    for own in (slice(0, 1000), slice(1000, 2000)):
        assert (np.asarray(run.state.v)[:, own][..., known] == start[own][0, known]).all()
        near = rows[(rows == start[own][0])[:, known].all(axis=1)]
        assert 0.1 < law(machine, near)[near.sum(axis=1) > 4].sum() < 0.9
        assert distance(run.draws[own], near, law(machine, near)) < 0.015


@pytest.mark.slow
@pytest.mark.optimised
def test_gaussian_pixels_and_a_label(key: jax.Array) -> None:
    """Mean of v on the last rung, and log Z, both exact by a sum over h and labels: 5 standard errors."""
    units = Joined([Gaussian(2, [-0.5, 0.2]), Softmax(3)])
    top = machine_of(units, Bernoulli(4), scale=1.5)
    ladder = interpolated_ladder(base_machine(top), top, 6)
    state = ladder_state(ladder, key, 1000)
    state = temper(ladder, key, state, 50).state
    run = temper(ladder, jax.random.fold_in(key, 1), state, 100, every=2)
    h = top.hidden.states()
    with jax.enable_x64(True):
        theta = top.down(jnp.asarray(h))
        weight = np.asarray(units.log_partition(theta)) + h @ top.hidden_bias
        mean = np.asarray(units.mean(theta))
    expected = np.exp(weight - logsumexp(weight)) @ mean
    each = np.asarray(run.draws, np.float64).mean(axis=1)
    assert (np.abs(each.mean(axis=0) - expected) < 5 * each.std(axis=0) / np.sqrt(1000)).all()
    found = log_partition_along(ladder, run)
    assert found.standard_error < 0.02
    assert abs(found.log_partition - logsumexp(weight)) < 5 * found.standard_error


def test_round_trips_are_counted(key: jax.Array) -> None:
    """Two like machines always swap: from the second round on one state comes home in every round."""
    machine = machine_of(Bernoulli(3), Bernoulli(2))
    ladder = stack([machine, machine])
    run = temper(ladder, key, ladder_state(ladder, key, 3), 10)
    np.testing.assert_array_equal(run.round_trips, [9, 9, 9])
    ladder = stack([machine] * 4)
    run = temper(ladder, key, ladder_state(ladder, key, 2), 40)
    assert (run.acceptance == 1).all()
    assert len(set(run.round_trips.tolist())) == 1
    # four states go round in circles: each is home every fourth round, after a way up of two rounds
    assert 36 <= run.round_trips[0] <= 40


def test_a_run_in_pieces_counts_its_own(key: jax.Array) -> None:
    ladder = small_ladder()
    state = ladder_state(ladder, key, 6)
    first = temper(ladder, key, state, 8, every=4)
    assert first.draws.shape == (6, 2, 5)
    assert int(first.state.rounds) == 8
    assert int(temper(ladder, key, first.state, 3).state.rounds) == 3
    by_hand, step = state, jax.jit(temper_step)
    for i in range(4):
        by_hand = step(ladder, jax.random.fold_in(key, i), by_hand)
    np.testing.assert_array_equal(first.draws[:, 0], by_hand.v[-1])


def test_a_training_may_call_it(key: jax.Array) -> None:
    """Another top rung, other keys and states: compiled once."""
    traces = 0

    @jax.jit
    def step(ladder: Machine, top: Machine, key: jax.Array, state: Any) -> Any:
        nonlocal traces
        traces += 1
        return temper_step(with_top(ladder, top), key, state)

    ladder = small_ladder()
    state = ladder_state(ladder, key, 6)
    for seed in range(3):
        state = step(
            ladder, machine_of(ladder.visible, ladder.hidden, seed), jax.random.fold_in(key, seed), state
        )
    assert traces == 1
    assert int(state.rounds) == 3
    temper(ladder, key, state, 4, every=2)
    before = tempering._temper._cache_size()
    other = with_top(ladder, machine_of(ladder.visible, ladder.hidden, 9))
    temper(other, key, state, 6, every=3, sweeps_per_swap=3)
    assert tempering._temper._cache_size() == before


def test_ladders(key: jax.Array) -> None:
    top = machine_of(Bernoulli(3), Bernoulli(2))
    base = base_machine(top, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(base.visible.mean(jnp.asarray(base.visible_bias)), [0.1, 0.5, 0.9], rtol=1e-6)
    ladder = interpolated_ladder(base, top, [0.0, 0.25, 1.0])
    np.testing.assert_allclose(ladder.weight[1], 0.25 * top.weight, rtol=1e-6)
    np.testing.assert_allclose(
        ladder.visible_bias[1], 0.75 * base.visible_bias + 0.25 * top.visible_bias, rtol=1e-6
    )
    for i, machine in ((0, base), (2, top)):
        for leaf, own in zip(jax.tree.leaves(rung(ladder, i)), jax.tree.leaves(machine), strict=True):
            np.testing.assert_array_equal(leaf, np.asarray(own, np.float32))
    lifted = with_top(ladder, base)
    np.testing.assert_array_equal(
        lifted.weight, np.stack([ladder.weight[0], ladder.weight[1], ladder.weight[0]])
    )
    assert interpolated_ladder(base, top, 7).weight.shape == (7, 3, 2)


def bad_input(key: jax.Array) -> dict[str, tuple[Any, str]]:
    """What is called, and what the error says."""
    ladder = small_ladder()
    top, state = rung(ladder, -1), ladder_state(small_ladder(), key, 2)
    run = temper(ladder, key, state, 2)
    other = machine_of(Bernoulli(3), Bernoulli(2))
    label = np.array([False, False, True, True, True])
    return {
        "one machine": (lambda: stack([top]), "at least two"),
        "kinds": (lambda: stack([top, other]), "other units"),
        "kinds between": (lambda: interpolated_ladder(other, top, 3), "other units"),
        "fractions": (lambda: interpolated_ladder(top, top, [0.1, 1]), "increase from 0 to 1"),
        "order": (lambda: interpolated_ladder(top, top, [0, 0.5, 0.5, 1]), "increase from 0 to 1"),
        "no ladder": (lambda: ladder_state(top, key, 2), "stacked on a leading axis"),
        "start": (lambda: ladder_state(ladder, key, 2, start=np.ones((2, 4))), "start has shape"),
        "nan": (lambda: ladder_state(ladder, key, 2, start=np.full((2, 5), np.nan)), "NaN"),
        "support": (lambda: ladder_state(ladder, key, 2, start=np.ones((2, 5))), "no categories"),
        "state": (lambda: temper(rung(ladder, np.arange(3)), key, state, 2), "the state has shape"),
        "half a label": (lambda: temper(ladder, key, state, 2, known=np.arange(5) == 3), "one by one"),
        "known differ": (lambda: temper(ladder, key, state, 2, known=label), "differ between the rungs"),
        "rounds": (lambda: temper(ladder, key, state, 0), "rounds must be"),
        "every": (lambda: temper(ladder, key, state, 2, every=3), "less than every"),
        "sweeps": (lambda: temper(ladder, key, state, 2, sweeps_per_swap=0), "sweeps_per_swap must be"),
        "wish": (lambda: choose_rungs(ladder, key, acceptance=1.0), "between 0 and 1"),
        "weights": (lambda: log_partition_along(stack([top, top]), run), "first rung has weights"),
        "held": (lambda: log_partition_along(ladder, run._replace(clamped=True)), "held known units"),
        "chain": (
            lambda: log_partition_along(ladder, run._replace(up=run.up[..., :1], down=run.down[..., :1])),
            "a single chain",
        ),
    }


def test_bad_input(key: jax.Array) -> None:
    for name, (call, message) in bad_input(key).items():
        with pytest.raises(InputError) as caught:
            call()
        assert message in str(caught.value), name


def test_a_run_that_is_not_finite(key: jax.Array) -> None:
    ladder = small_ladder()
    run = temper(ladder, key, ladder_state(ladder, key, 3), 2)
    with pytest.raises(NumericalError, match="not finite"):
        log_partition_along(ladder, run._replace(up=run.up * np.nan))
