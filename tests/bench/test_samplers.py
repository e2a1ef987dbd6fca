"""What the benches of samplers measure with: clocks, rivals, and answers that are known otherwise."""

import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

from probinv.bench import BENCHES, kinematics, modes, resim, samplers, sbibm, tolerances, toy, waiting
from probinv.bench.clock import Compiling, compiling
from probinv.bench.metrics import worth
from probinv.bench.problems import random_network, reachable
from probinv.bench.result import Result
from probinv.bench.rivals import has_mici, mici_loop, numpyro_nuts
from probinv.bench.tolerances import networks


def test_stretches_of_compiling_count_once() -> None:
    found = Compiling()
    found.stretches = [(0.0, 2.0), (0.5, 1.0), (1.5, 3.0), (5.0, 6.0)]
    assert found.seconds == 4.0


def test_a_new_program_is_compiled_and_an_old_one_is_not() -> None:
    program = jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))
    x, began = jnp.ones(7), time.perf_counter()
    with compiling() as first:
        program(x).block_until_ready()
    with compiling() as second:
        program(x).block_until_ready()
    assert 0 < first.seconds < time.perf_counter() - began
    assert second.seconds == 0


def test_random_networks_are_reproducible_and_different() -> None:
    first, again, other = (random_network((10, 4, 2), seed) for seed in (0, 0, 1))
    assert np.array_equal(reachable(first), reachable(again))
    assert not np.array_equal(reachable(first), reachable(other))
    assert [network.output_shape for network in networks()[:4]] == [(1,), (2,), (3,), (1,)]


@pytest.mark.slow
def test_numpyro_by_hand_draws_from_our_posterior() -> None:
    """x ~ N(0, 1), Y* = a x + b within s: mean and variance in closed form, within 4.5 deviations."""
    network = random_network((1, 1), 3)
    slope, offset = (float(part.ravel()[0]) for part in (network.layers[0].weight, network.layers[0].bias))
    began = time.perf_counter()
    found = numpyro_nuts(network, np.array([1.0]), 0.5, draws=500, warmup=200)
    assert 0 < found.seconds < found.seconds + found.seconds_compile < time.perf_counter() - began
    assert found.draws == 2000
    variance = 1 / (1 + (slope / 0.5) ** 2)
    mean = variance * slope * (1.0 - offset) / 0.25
    assert abs(found.x.mean() - mean) < 4.5 * np.sqrt(variance / found.worth.ess)
    assert abs(found.x.var() / variance - 1) < 4.5 * np.sqrt(2 / found.worth.ess)


@pytest.mark.slow
@pytest.mark.skipif(not has_mici(), reason="mici is not installed")
@pytest.mark.filterwarnings("ignore")  # of mici, which overflows in trajectories that it rejects
def test_mici_draws_the_same_loop() -> None:
    """The mean of |x0| within 4.5 deviations of that by quadrature."""
    found = mici_loop(0.1, toy.Y_STAR, draws=150, warmup=100)
    grid, level = toy.margin(0.1)
    mean = np.sum(0.5 * (grid[1:] + grid[:-1]) * np.diff(level))
    values = np.abs(found.x[..., 0])
    assert values.shape == (4, 150)
    assert abs(values.mean() - mean) < 4.5 * values.std() / np.sqrt(worth({"|x0|": values}).ess)


@pytest.mark.parametrize("sigma", [1.0, 0.1])
def test_the_margin_of_the_loop_is_that_of_adaptive_quadrature(sigma: float) -> None:
    def density(x1: float, x0: float) -> float:
        misfit = (x1**2 + x0**2 * (x0**2 - 0.5) - 1) / sigma
        return float(np.exp(-0.5 * (x0**2 + x1**2 + misfit**2)))

    grid, level = toy.margin(sigma)
    total = integrate.dblquad(density, 0, 3, 0, 3, epsabs=1e-6)[0]
    for place in (0.3, 0.9):
        below = integrate.dblquad(density, 0, place, 0, 3, epsabs=1e-6)[0]
        assert np.interp(place, grid, level) == pytest.approx(below / total, abs=2e-3)


def test_the_margin_of_the_exact_loop_is_the_limit() -> None:
    grid, level = toy.margin(0.0)
    narrow, narrow_level = toy.margin(1e-3)
    place = np.linspace(0.1, 1.1, 11)
    assert np.allclose(np.interp(place, grid, level), np.interp(place, narrow, narrow_level), atol=1e-3)


def test_distance_from_the_loop_is_that_of_kolmogorov_and_smirnov() -> None:
    """Draws by the inverse of the distribution function pass; draws of another tolerance do not."""
    grid, level = toy.margin(0.1)
    rng = np.random.default_rng(0)
    x0 = np.interp(rng.random(4000), level, grid)
    x = np.stack([rng.choice([-1, 1], 4000) * x0, x0], axis=1).reshape(4, 1000, 2)
    assert toy.distance(x, 0.1) < stats.kstwobign.isf(1e-4) / np.sqrt(4000)
    assert toy.distance(x, 1.0) > 0.05
    exact = stats.kstest(x0, lambda value: np.interp(value, grid, level)).statistic
    assert toy.distance(x, 0.1) == pytest.approx(exact)


@pytest.mark.parametrize("shift", [0.0, 0.3, -0.5])
def test_weights_of_modes_have_a_limit_in_closed_form(shift: float) -> None:
    """As sigma -> 0: N(1 - c) / (N(1 - c) + N(-1 - c)) = 1 / (1 + exp(-2 c)), as |dy/dx| = 2 at both."""
    assert modes.upper((shift,), 1e-3)[0] == pytest.approx(1 / (1 + np.exp(-2 * shift)), abs=1e-4)


def tree_of(x: np.ndarray) -> xr.DataTree:
    return xr.DataTree.from_dict({"posterior": xr.Dataset({"x": (("chain", "draw", "i"), x)})})


def test_weights_of_modes_are_those_of_the_draws() -> None:
    """Of exact draws they are as far off as chance says; of draws that miss a mode, farther."""
    shift = modes.SHIFTS["unequal"]
    wanted = modes.upper(shift)
    above = np.random.default_rng(0).random((4, 4096, 5)) < wanted
    x = np.where(above, 1.0, -1.0) - np.array(shift)
    found = modes.weights(tree_of(x), shift)
    assert found.visited == 32
    assert found.margins < 0.01
    assert found.joint < 0.03
    x[..., 0] = np.abs(x[..., 0])
    missed = modes.weights(tree_of(x), shift)
    assert missed.visited == 16
    assert missed.margins == pytest.approx((1 - wanted[0]) / 5, abs=0.01)
    assert missed.joint == pytest.approx(1 - wanted[0], abs=0.03)


def test_tolerances_judge_a_run() -> None:
    right = {"worst_rhat": 1.004, "reached_by_worst_chain": 0.999, "verdict": "ok"}
    assert tolerances._right(right)
    assert not tolerances._vouched_wrongly(right)
    apart = right | {"worst_rhat": 1.4}
    assert not tolerances._right(apart)
    assert tolerances._vouched_wrongly(apart)
    assert not tolerances._vouched_wrongly(apart | {"verdict": "not converged"})
    assert not tolerances._right(right | {"reached_by_worst_chain": 0.7})


ONE = {
    "min_ess": 1000.0,
    "worst_quantity": "x",
    "worst_rhat": 1.002,
    "seconds_compile": 2.0,
    "seconds_sampling": 1.0,
    "ess_per_second": 1000.0,
    "ess_per_1000_gradients": 5.0,
    "steps_per_draw": 12.0,
    "reached_by_worst_chain": 1.0,
    "verdict": "ok",
}


def test_samplers_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "run", lambda *_: ONE)
    monkeypatch.setattr(samplers, "run_numpyro", lambda *_: ONE | {"ess_per_second": 8.0})
    result = complete(samplers.bench_samplers())
    assert len(result.rows) == 17
    assert result.figures["10-32-32-1, 0.001"]["ratio"] == 125.0


def test_tolerances_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(network: Any, y_star: Any, sigma: float, *, seed: int) -> dict[str, Any]:
        return ONE | {"ess_per_1000_gradients": 4.0 if sigma == 1e-4 else 5.0}

    monkeypatch.setattr(tolerances, "draw_at", one)
    result = complete(tolerances.bench_tolerances())
    assert result.figures["worst_against_best_sigma"] == pytest.approx(0.8)
    assert [row[6] for row in result.rows] == ["20/20"] * 6


def test_kinematics_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"c2st": 0.5, "worst_rhat": 1.0, "min_ess": 1.0, "c": 1.0, "s": 1.0, "verdict": "ok"}
    monkeypatch.setattr(kinematics, "exact_draws", lambda *_: np.zeros((2, 4)))
    monkeypatch.setattr(kinematics, "c2st", lambda *_: 0.5)
    monkeypatch.setattr(kinematics, "train_arm", lambda: (random_network((4, 4, 2)), 0.001))
    monkeypatch.setattr(kinematics, "score", lambda *_: score)
    assert len(complete(kinematics.bench_kinematics()).rows) == 11


def test_resim_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("validation_mse", "r_1", "r_50", "hit", "hit_by_exact", "weight_error", "weight_error_of_exact")
    more = ("held", "seconds_training", "seconds_proposing")
    monkeypatch.setattr(resim, "resimulate", lambda _: dict.fromkeys(names + more, 0.5))
    assert [row[0] for row in complete(resim.bench_resim()).rows] == ["sine", "arm", "ballistics"]


def test_sbibm_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbibm, "tasks_folder", lambda: None)
    monkeypatch.setattr(sbibm, "compare", lambda task, number, _: ONE | {"c2st": 0.5 + number / 100})
    result = complete(sbibm.bench_sbibm())
    assert result.figures["mean"] == pytest.approx(0.53)
    assert result.figures["worst"] == pytest.approx(0.55)
    assert result.rows[0][-1] == "5/5"


def test_waiting_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_fresh", lambda _: dict.fromkeys(waiting.NAMES, 1.0))
    assert len(complete(waiting.bench_waiting()).rows) == 3


def complete(result: Result) -> Result:
    """A result whose figures are JSON, and whose rows fit its columns and a terminal."""
    assert json.loads(json.dumps(result.figures))
    assert all(len(row) == len(result.columns) for row in result.rows)
    assert result.notes
    assert max(map(len, result.text().splitlines()[: len(result.rows)])) <= 160
    return result


def test_the_benches_of_samplers_are_registered() -> None:
    names = {"samplers", "tolerances", "toy", "modes", "waiting", "kinematics", "resim", "sbibm"}
    machines = {"rbm", "rbm-long", "dbn", "imagine", "autoencoder", "epoch"}
    names |= {"foundation", "calibration", "acasxu", "loaders", "layers", "regions"}
    names |= {f"boltzmann-{name}" for name in machines}
    assert names == BENCHES.keys()
