"""One row of numbers for each entry."""

import inspect
import subprocess
import sys
import time

import arviz_base
import numpy as np
import pytest
import xarray as xr
from arviz_stats.base import array_stats

from probinv._errors import InputError
from probinv.results import build_tree, summary

from .runs import FACTS, linear

COLUMNS = ["mean", "sd", "q5", "q50", "q95", "ess_bulk", "ess_tail", "rhat"]


def test_the_numbers_are_those_of_numpy_and_arviz() -> None:
    run, z = linear(draws=200)
    table = summary(run.tree(z))
    assert list(table.columns) == COLUMNS
    assert list(table.index) == ["x[0]", "x[1]", "x[2]"]
    flat = z.reshape(-1, 3)
    np.testing.assert_allclose(table["mean"], flat.mean(axis=0))
    np.testing.assert_allclose(table["sd"], flat.std(axis=0, ddof=1))
    np.testing.assert_allclose(table[["q5", "q50", "q95"]].T, np.quantile(flat, [0.05, 0.5, 0.95], axis=0))
    for k in range(3):
        row = table.iloc[k]
        assert row["rhat"] == array_stats.rhat(z[:, :, k])
        assert row["ess_bulk"] == array_stats.ess(z[:, :, k], method="bulk")
        assert row["ess_tail"] == array_stats.ess(z[:, :, k], method="tail", prob=(0.05, 0.95))


def test_what_means_nothing_is_nan_and_not_the_number_of_draws() -> None:
    run, z = linear(draws=100)
    z[..., 1] = 2.0
    z[2, 5, 2] = np.nan
    table = summary(run.tree(z))
    assert table.loc["x[1]", ["mean", "sd", "q5", "q95"]].tolist() == [2.0, 0.0, 2.0, 2.0]
    assert table.loc[["x[1]", "x[2]"], ["ess_bulk", "ess_tail", "rhat"]].isna().all(axis=None)
    assert table.loc["x[0]"].notna().all()
    assert np.isnan(table.loc["x[2]", "mean"])


def test_one_chain_has_no_rhat() -> None:
    run, z = linear(chains=1)
    table = summary(run.tree(z))
    assert table["rhat"].isna().all()
    assert (table["ess_bulk"] > 500).all()


def test_named_inputs_choose_and_order() -> None:
    rng = np.random.default_rng(0)
    angle, thickness = rng.normal(size=(4, 50)), rng.normal(size=(4, 50, 2, 2))
    tree = build_tree({"posterior": {"angle": angle, "thickness": thickness}}, FACTS)
    assert list(summary(tree).index) == ["angle", *(f"thickness[{i}, {j}]" for i in (0, 1) for j in (0, 1))]
    assert list(summary(tree, "angle").index) == ["angle"]
    assert len(summary(tree, ["thickness"])) == 4
    assert summary(tree, "thickness").loc["thickness[1, 0]", "mean"] == pytest.approx(
        thickness[:, :, 1, 0].mean()
    )


def test_outputs_flags_and_foreign_coordinates() -> None:
    run, z = linear(draws=50)
    tree = run.tree(z)
    assert list(summary(tree, group="posterior_predictive").index) == ["y[0]"]
    assert summary(tree, "reached", group="sample_stats").loc["reached", "mean"] == 1.0
    foreign = arviz_base.from_dict(
        {"posterior": {"theta": np.random.default_rng(0).normal(size=(2, 50, 2))}},
        coords={"school": ["Choate", "Deerfield"]},
        dims={"theta": ["school"]},
    )
    assert list(summary(foreign).index) == ["theta[Choate]", "theta[Deerfield]"]


@pytest.mark.parametrize("names", ["y", ["x", "y"]])
def test_a_name_that_is_not_there(names: str | list[str]) -> None:
    run, z = linear(draws=20)
    with pytest.raises(InputError, match=r"'y'.*posterior has x"):
        summary(run.tree(z), names)


def test_a_tree_without_draws() -> None:
    with pytest.raises(InputError, match=r"no draws.*optima"):
        summary(xr.DataTree.from_dict({"optima": xr.Dataset({"x": ("optimum", [1.0])})}))


def test_the_cost_of_a_table_grows_as_the_entries_do() -> None:
    """8 times as many take 8 times as long, not 64 times, whatever the machine is doing."""
    spent = []
    for n in (3, 98, 784):  # the first imports ArviZ
        run, z = linear(n=n, draws=250)
        tree = run.tree(z)
        began = time.process_time()
        table = inspect.unwrap(summary)(tree)
        spent.append(time.process_time() - began)
    assert table.shape == (784, 8)
    assert spent[2] < 24 * spent[1]


def test_the_room_opens_without_plots_and_without_jax() -> None:
    heavy = "matplotlib", "arviz", "arviz_plots", "arviz_stats", "jax", "h5py"
    code = f"import sys, probinv.results; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
