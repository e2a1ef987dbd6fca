"""The scores of the benches on draws whose score is known."""

import builtins
import sys
from typing import Any

import numpy as np
import pytest
import xarray as xr

from probinv import InputError
from probinv.bench.metrics import c2st, evenly, worth, worth_of

pytest.importorskip("sklearn")


@pytest.mark.parametrize(
    ("shift", "low", "high"),
    # 1000 rows a side: an accuracy of one half has a standard deviation of 0.011, over folds a bit more
    [(0.0, 0.45, 0.55), (1.0, 0.64, 0.74), (20.0, 1.0, 1.0)],
)
def test_c2st_of_normal_laws_is_the_best_accuracy_there_is(shift: float, low: float, high: float) -> None:
    """Phi(shift / 2) for laws `shift` standard deviations apart: .5, .69, 1; 4.5 deviations each way."""
    rng = np.random.default_rng(0)
    reference, draws = rng.normal(size=(2, 1000, 2))
    draws[:, 1] += shift
    assert low <= c2st(reference, draws) <= high


def test_c2st_sees_more_than_means() -> None:
    """A standard normal against one with correlation .9: same margins; the best accuracy is about .77."""
    rng = np.random.default_rng(1)
    reference, draws = rng.normal(size=(2, 1000, 2))
    draws[:, 1] = 0.9 * draws[:, 0] + np.sqrt(1 - 0.9**2) * draws[:, 1]
    assert c2st(reference, draws) > 0.68


def test_c2st_does_not_depend_on_units() -> None:
    """Two laws 3 deviations apart, in units in which that is a millionth."""
    reference, draws = np.random.default_rng(2).normal(size=(2, 200, 1))
    draws += 3.0
    found = c2st(1e-6 * reference + 1e-3, 1e-6 * draws + 1e-3)
    assert found > 0.9
    assert found == pytest.approx(c2st(reference, draws), abs=0.01)


@pytest.mark.parametrize(
    ("reference", "draws", "words"),
    [
        (np.zeros((10, 2)), np.zeros((10, 3)), "draws have shape"),
        (np.zeros((10, 2)), np.zeros((11, 2)), "draws have shape"),
        (np.zeros((10, 2)), np.zeros((10, 2)), "constant"),
        (np.full((10, 2), np.nan), np.zeros((10, 2)), "NaN"),
    ],
)
def test_c2st_refuses_what_it_cannot_score(reference: Any, draws: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        c2st(reference, draws)


def test_c2st_names_the_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.split(".")[0] == "sklearn":
            raise ImportError(name)
        return real(name, *args, **more)

    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    rng = np.random.default_rng(3)
    with pytest.raises(InputError, match=r"probinv\[sklearn\]"):
        c2st(*rng.normal(size=(2, 20, 1)))


def test_worth_is_that_of_the_worst_quantity() -> None:
    """An autoregression with coefficient .9 is worth 1/19 of its draws."""
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(4, 2000, 2))
    slow = np.empty_like(noise)
    slow[:, 0] = noise[:, 0]
    for k in range(1, 2000):
        slow[:, k] = 0.9 * slow[:, k - 1] + np.sqrt(1 - 0.9**2) * noise[:, k]
    slow[..., 0] = noise[..., 0]  # one entry of it is not
    both = worth({"fast": noise, "slow": slow})
    assert both.quantity == "slow"
    assert 8000 / 19 * 0.6 < both.ess < 8000 / 19 * 1.6
    assert both.rhat < 1.05
    apart = noise + np.array([0, 0, 0, 5.0]).reshape(4, 1, 1)
    assert worth({"fast": noise, "apart": apart}).rhat > 1.5


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_what_stands_still_is_worth_nothing(value: float) -> None:
    """ArviZ alone gives 4000 for a constant."""
    draws = np.random.default_rng(5).normal(size=(4, 1000, 2))
    draws[..., 1] = value
    assert worth({"x": draws})[:2] == (0.0, np.inf)


def test_worth_needs_something() -> None:
    with pytest.raises(InputError, match="empty"):
        worth({})


def tree_of(x: np.ndarray, log_likelihood: np.ndarray, **stats: np.ndarray) -> xr.DataTree:
    lead = ("chain", "draw")
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"x": (("chain", "draw", "i"), x)}),
            "log_likelihood": xr.Dataset({"y_star": (lead, log_likelihood)}),
            "sample_stats": xr.Dataset({name: (lead, value) for name, value in stats.items()}),
        }
    )


def test_worth_of_a_result_counts_energy_and_log_likelihood() -> None:
    rng = np.random.default_rng(6)
    x, other = rng.normal(size=(4, 500, 3)), rng.normal(size=(4, 500))
    frozen = other.copy()
    frozen[2] = frozen[2, 0]  # one chain of four
    assert worth_of(tree_of(x, other, energy=other)).ess > 1000
    assert worth_of(tree_of(x, frozen, energy=other)).quantity == "log likelihood"
    assert worth_of(tree_of(x, other, energy=frozen)).quantity == "energy"
    exact = tree_of(x, other, energy=other)  # an exact wish has no density
    del exact["log_likelihood"]
    assert worth_of(exact).ess > 1000


def test_draws_are_taken_evenly() -> None:
    x = np.arange(24.0).reshape(2, 6, 2)
    rows = evenly(tree_of(x, np.zeros((2, 6))), 4)
    assert rows[:, 0].tolist() == [0.0, 6.0, 14.0, 22.0]
