"""What the plots draw is what the tree holds, in 1 dimension and in 784, on good trees and on broken ones."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from scipy.special import expit, softmax

from probinv._errors import FileError, InputError
from probinv.results.plots import (
    plot_all,
    plot_convergence,
    plot_energy,
    plot_forest,
    plot_images,
    plot_modes,
    plot_optima,
    plot_pair,
    plot_predictive,
    plot_trace,
)
from probinv.results.plots._reading import Reading
from probinv.results.plots._style import BAD, CHAINS, POSTERIOR, PRIOR, TARGET
from probinv.results.plots.everything import suitable
from probinv.results.tree import with_provenance

from .plot_trees import draws_tree, modal_tree, optima_tree

OF_DRAWS = {
    "trace": plot_trace,
    "pair": plot_pair,
    "forest": plot_forest,
    "convergence": plot_convergence,
    "energy": plot_energy,
    "predictive": plot_predictive,
    "modes": plot_modes,
}
OF_OPTIMA = {"pair": plot_pair, "forest": plot_forest, "predictive": plot_predictive, "optima": plot_optima}


@pytest.fixture(scope="module")
def ten() -> Reading:
    return Reading(draws_tree(10))


@pytest.fixture(scope="module")
def many() -> Reading:
    """784 entries as a vector. A Reading computes R-hat once for all tests of this module."""
    return Reading(draws_tree(784, draws=50))


@pytest.fixture(scope="module")
def square() -> xr.DataTree:
    return draws_tree(64, shape=(8, 8), draws=30)


def title(figure: Figure) -> str:
    return figure.get_suptitle().replace("\n", " ").replace("\u00a0", " ")


def note(figure: Figure) -> str:
    return figure.get_supxlabel().replace("\n", " ")


def colour(artist: object) -> str:
    get = getattr(artist, "get_facecolor", None) or artist.get_color  # type: ignore[attr-defined]
    return mpl.colors.to_hex(np.atleast_2d(mpl.colors.to_rgba_array(get()))[0])


def scatters(axes: Axes, which: str) -> np.ndarray:
    """The points of the scatter of that colour."""
    found = [c for c in axes.collections if isinstance(c, PathCollection) and colour(c) == which]
    assert len(found) == 1
    return np.asarray(found[0].get_offsets())


def segments(axes: Axes, width: float) -> np.ndarray:
    """(row, 2): the ends of the horizontal lines of that width."""
    found = [c for c in axes.collections if isinstance(c, LineCollection) and c.get_linewidth()[0] == width]
    assert len(found) == 1
    return np.array([line[:, 0] for line in found[0].get_segments()])


def flat(tree: xr.DataTree, group: str = "posterior", name: str = "x") -> np.ndarray:
    values = tree[group][name].values
    return values.reshape(values.shape[0] * values.shape[1], -1)


def ecdf_difference(values: np.ndarray, chain: int, at: np.ndarray) -> np.ndarray:
    """F_c(u) - u of the relative ranks of one chain."""
    ranks = np.argsort(np.argsort(values.ravel())).reshape(values.shape)[chain] / values.size
    return np.searchsorted(np.sort(ranks), at, side="right") / values.shape[1] - at


class TestEveryPlot:
    @pytest.mark.parametrize("n", [1, 2, 10])
    @pytest.mark.parametrize("name", OF_DRAWS)
    def test_states_a_finding_and_leaves_matplotlib_alone(self, n: int, name: str) -> None:
        own = plt.figure()
        before = dict(mpl.rcParams)
        figure = OF_DRAWS[name](draws_tree(n, draws=60))
        figure.draw_without_rendering()
        assert dict(mpl.rcParams) == before
        assert len(title(figure)) > 10
        assert plt.get_fignums() == [own.number, figure.number]

    @pytest.mark.parametrize("name", OF_DRAWS)
    def test_784_entries(self, many: Reading, name: str) -> None:
        figure = OF_DRAWS[name](many)
        assert len(title(figure)) > 10
        assert len(figure.axes) <= 16
        assert figure.get_figheight() < 9

    @pytest.mark.parametrize("name", OF_OPTIMA)
    @pytest.mark.parametrize("n", [1, 10, 784])
    def test_optima(self, name: str, n: int) -> None:
        figure = OF_OPTIMA[name](optima_tree(n))
        assert "optima" in title(figure)
        assert figure.get_figheight() < 9

    def test_a_name_is_never_read_as_a_formula(self) -> None:
        tree = draws_tree(2, names={"price_$": (), "$\\nonsense$": ()}, draws=60)
        for plot in (plot_trace, plot_pair, plot_forest, plot_convergence):
            figure = plot(tree)
            figure.draw_without_rendering()
            words = {text.get_text() for text in figure.findobj(mpl.text.Text)}
            assert {"price_$", "$\\nonsense$"} <= words


def held(tree: xr.DataTree) -> None:
    """x[7] is fixed in prior and posterior, x[3] stands still at another value in every chain."""
    tree["prior"]["x"].values[..., 7] = 2.0
    tree["posterior"]["x"].values[..., 7] = 2.0
    tree["posterior"]["x"].values[..., 3] = np.arange(tree.sizes.get("chain", 4))[:, None]


def not_finite(tree: xr.DataTree) -> None:
    tree["posterior"]["x"].values[0, 3, 5] = np.nan
    tree["posterior"]["x"].values[..., 6] = np.inf
    tree["posterior_predictive"]["y"].values[0, 0] = np.nan
    tree["sample_stats"]["energy"].values[1, 1] = np.nan


def other_kinds(tree: xr.DataTree) -> None:
    shape = tree["posterior"]["x"].shape[:2]
    count = np.arange(np.prod(shape)).reshape(shape)
    for name, values in (("on", count % 2 == 0), ("step", count % 3), ("word", np.full(shape, "a"))):
        tree["posterior"][name] = xr.DataArray(values, dims=("chain", "draw"))


def bare(tree: xr.DataTree) -> None:
    for group in ("prior", "prior_predictive", "observed_data", "constant_data", "log_likelihood"):
        del tree[group]
    tree.attrs.clear()


BROKEN: dict[str, tuple[dict[str, int], Callable[[xr.DataTree], None]]] = {
    "held": ({}, held),
    "not finite": ({}, not_finite),
    "other kinds": ({}, other_kinds),
    "bare": ({}, bare),
    "one chain": ({"chains": 1}, lambda tree: None),
    "three draws": ({"draws": 3}, lambda tree: None),
    "one draw": ({"chains": 1, "draws": 1}, lambda tree: None),
}


class TestBrokenTrees:
    @pytest.mark.parametrize("how", BROKEN)
    def test_every_plot_can_be_drawn(self, how: str) -> None:
        sizes, spoil = BROKEN[how]
        tree = draws_tree(10, **{"draws": 60, **sizes})
        spoil(tree)
        reading = Reading(tree)
        for plot in OF_DRAWS.values():
            figure = plot(reading)
            figure.draw_without_rendering()
            assert len(title(figure)) > 10
            plt.close(figure)

    @pytest.mark.parametrize(
        ("plot", "group"),
        [
            (plot_trace, "posterior"),
            (plot_pair, "posterior"),
            (plot_forest, "posterior"),
            (plot_convergence, "posterior"),
            (plot_images, "posterior"),
            (plot_energy, "sample_stats"),
            (plot_optima, "optima"),
        ],
    )
    def test_a_missing_group_is_named(self, plot: Callable[..., Figure], group: str) -> None:
        tree = draws_tree(2, draws=20)
        for name in {"posterior", "sample_stats"} & set(tree.children):
            del tree[name]
        with pytest.raises(InputError, match=f"the tree has no group {group}"):
            plot(tree)

    def test_a_tree_without_outputs(self) -> None:
        tree = draws_tree(2, draws=20)
        del tree["posterior_predictive"]
        del tree["prior_predictive"]
        with pytest.raises(InputError, match="no outputs y"):
            plot_predictive(tree)

    def test_draws_of_an_optima_tree(self) -> None:
        with pytest.raises(InputError, match=r"no group posterior.*plot_optima"):
            plot_trace(optima_tree(3))

    @pytest.mark.parametrize("wanted", ["x[10]", "z", 10, -1, ["x[0]", "x[0]", "nothing"]])
    def test_an_entry_that_is_not_there(self, wanted: str | int | list[str]) -> None:
        with pytest.raises(InputError, match=r"there are x\[0\], x\[1\]|there are x\[0\]"):
            plot_forest(draws_tree(10, draws=20), wanted)

    def test_too_many_entries(self) -> None:
        with pytest.raises(InputError, match="names 10 entries"):
            plot_pair(draws_tree(10, draws=20), "x")


class TestTrace:
    def test_lines_are_the_draws(self, ten: Reading) -> None:
        figure = plot_trace(ten, ["x[3]", 5])
        axes = figure.axes
        assert [ax.get_ylabel() for ax in axes[::2]] == ["x[3]", "x[5]", "log likelihood", "energy"]
        tree = ten.tree
        rows = [
            tree["posterior"]["x"].values[..., 3],
            tree["posterior"]["x"].values[..., 5],
            tree["log_likelihood"]["y_star"].values,
            tree["sample_stats"]["energy"].values,
        ]
        for ax, values in zip(axes[::2], rows, strict=True):
            np.testing.assert_array_equal([line.get_ydata() for line in ax.lines], values)
            np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(250))

    def test_long_chains_are_thinned_evenly(self) -> None:
        tree = draws_tree(1, draws=1100, chains=2)
        figure = plot_trace(tree)
        line = figure.axes[0].lines[1]
        np.testing.assert_array_equal(line.get_xdata(), np.arange(0, 1100, 3))
        np.testing.assert_array_equal(line.get_ydata(), tree["posterior"]["x"].values[1, ::3, 0])
        assert "One draw in 3 is shown" in note(figure)

    def test_ranks_are_those_of_each_chain(self, ten: Reading) -> None:
        figure = plot_trace(ten, "x[2]")
        values = ten.tree["posterior"]["x"].values[..., 2]
        curves = [line for line in figure.axes[1].lines if len(line.get_xdata()) > 2]
        assert len(curves) == 4
        for chain, line in enumerate(curves):
            at, drawn = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            # ArviZ's grid of u is coarse: a rank may fall to either side of it
            np.testing.assert_allclose(drawn, ecdf_difference(values, chain, at), atol=2.5 / 250)

    def test_the_worst_come_first_and_are_marked(self) -> None:
        tree = draws_tree(10, draws=100)
        x = tree["posterior"]["x"].values
        x[1, :, 4] += 1.5
        held(tree)
        figure = plot_trace(tree)
        names = [ax.get_ylabel() for ax in figure.axes[::2]]
        assert names[:2] == ["x[3]", "x[4]"]
        assert "x[7]" not in names
        assert "disagree" in title(figure)
        assert "2 of 9" in title(figure)
        marks = [
            np.ma.count(np.ma.masked_invalid(ax.collections[0].get_offsets())) for ax in figure.axes[1::2]
        ]
        assert marks[1] > 0
        assert colour(figure.axes[3].collections[0]) == BAD

    def test_an_input_that_never_moves_is_called_so(self) -> None:
        tree = draws_tree(4, draws=50)
        tree["posterior"]["x"].values[..., 2] = 0.25
        figure = plot_trace(tree)
        assert figure.axes[0].get_ylabel() == "x[2]"
        assert "1 of 4 inputs never moved" in title(figure)
        assert "always 0.25" in figure.axes[1].texts[0].get_text()

    def test_divergences(self) -> None:
        tree = draws_tree(1, draws=50)
        tree["sample_stats"]["diverging"].values[2, [10, 40]] = True
        figure = plot_trace(tree)
        np.testing.assert_array_equal(figure.axes[0].lines[-1].get_xdata(), [10, 40])
        assert "Red ticks" in note(figure)

    def test_one_chain_is_compared_with_itself(self) -> None:
        figure = plot_trace(draws_tree(1, chains=1, draws=101))
        curves = [line for line in figure.axes[1].lines if len(line.get_xdata()) > 2]
        assert len(curves) == 2
        assert "One chain" in title(figure)
        assert "first half" in note(figure)


class TestPair:
    def test_dots_are_draws_of_posterior_and_prior(self, ten: Reading) -> None:
        figure = plot_pair(ten, ["x[4]", "x[1]"])
        ax = figure.axes[2]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x[4]", "x[1]")
        np.testing.assert_array_equal(scatters(ax, POSTERIOR), flat(ten.tree)[:, [4, 1]])
        np.testing.assert_array_equal(scatters(ax, PRIOR), flat(ten.tree, "prior")[:, [4, 1]])

    def test_points_bounds_the_dots_and_takes_all_chains(self, ten: Reading) -> None:
        figure = plot_pair(ten, [0, 1], points=100)
        drawn = scatters(figure.axes[2], POSTERIOR)
        values = ten.tree["posterior"]["x"].values
        chains = [int(np.argwhere((values[..., :2] == point).all(-1))[0, 0]) for point in drawn]
        assert len(drawn) == 100
        assert np.bincount(chains).tolist() == [25, 25, 25, 25]
        assert "100 of 1000" in note(figure)

    def test_the_strongest_correlation_is_chosen(self) -> None:
        tree = draws_tree(12, draws=60)
        x = tree["posterior"]["x"].values
        x[..., 9] = -x[..., 11] + 0.05 * np.arange(60) / 60
        figure = plot_pair(tree)
        names = [ax.get_xlabel() for ax in figure.axes[-4:]]
        assert len(names) == 4
        assert {"x[9]", "x[11]"} <= set(names)
        assert title(figure) == "x[9] and x[11] trade off: correlation -1.00"

    def test_diagonal_counts_the_draws(self, ten: Reading) -> None:
        figure = plot_pair(ten, "x[2]")
        heights = [patch.get_data() for patch in figure.axes[0].patches]
        for drawn, group in zip(heights, ("prior", "posterior"), strict=True):
            values = flat(ten.tree, group)[:, 2]
            counts = np.histogram(values, drawn.edges)[0]
            np.testing.assert_allclose(drawn.values, counts / counts.max())
            assert counts.sum() == len(values)

    def test_the_view_follows_the_posterior(self) -> None:
        tree = draws_tree(2, draws=50)
        tree["posterior"]["x"].values[..., 0] *= 1e-3
        low, high = plot_pair(tree).axes[2].get_xlim()
        draws = flat(tree)[:, 0]
        assert low < draws.min() < draws.max() < high
        assert high - low < 4 * np.ptp(draws)

    def test_optima_lie_on_top(self, ten: Reading) -> None:
        other = optima_tree(10)
        figure = plot_pair(ten, [0, 1], optima=other)
        np.testing.assert_array_equal(scatters(figure.axes[2], "#000000"), other["optima"]["x"].values[:, :2])

    def test_optima_of_other_inputs(self, ten: Reading) -> None:
        with pytest.raises(InputError, match=r"optima has no entry x\[8\]"):
            plot_pair(ten, [8, 9], optima=optima_tree(3))


class TestForest:
    def test_lines_are_quantiles(self, ten: Reading) -> None:
        figure = plot_forest(ten)
        ax = figure.axes[0]
        own, prior = flat(ten.tree), flat(ten.tree, "prior")
        np.testing.assert_allclose(segments(ax, 1.6), np.quantile(own, [0.05, 0.95], axis=0).T)
        np.testing.assert_allclose(segments(ax, 5), np.quantile(own, [0.25, 0.75], axis=0).T)
        np.testing.assert_allclose(segments(ax, 9), np.quantile(prior, [0.05, 0.95], axis=0).T)
        np.testing.assert_allclose(ax.lines[0].get_xdata(), np.median(own, axis=0))
        assert [label.get_text() for label in ax.get_yticklabels()] == [f"x[{k}]" for k in range(10)]

    def test_the_finding_names_the_entry_with_the_most_information(self) -> None:
        tree = draws_tree(6, draws=60)
        x = tree["posterior"]["x"].values
        x[:] = np.random.default_rng(1).normal(size=x.shape)
        x[..., 4] = 3.0 + 0.5 * x[..., 4]
        text = title(plot_forest(tree))
        assert text.startswith("The wish says most about x[4]: it moves up by")
        assert text.endswith("5 of 6 inputs hardly change")

    def test_different_scales_are_drawn_in_units_of_the_prior(self) -> None:
        tree = draws_tree(3, draws=60)
        for group in ("prior", "posterior"):
            tree[group]["x"].values[..., 1] *= 1000.0
        ax = plot_forest(tree).axes[0]
        np.testing.assert_allclose(segments(ax, 9), [[0.0, 1.0]] * 3, atol=1e-12)
        low, high = np.quantile(flat(tree, "prior")[:, 1], [0.05, 0.95])
        expected = (np.quantile(flat(tree)[:, 1], [0.05, 0.95]) - low) / (high - low)
        np.testing.assert_allclose(segments(ax, 1.6)[1], expected)

    def test_numbers_stand_beside_in_their_own_units(self, ten: Reading) -> None:
        words = [text.get_text() for text in plot_forest(ten, ["x[2]"]).axes[0].texts]
        low, middle, high = np.quantile(flat(ten.tree)[:, 2], [0.05, 0.5, 0.95])
        assert f"{middle:.3g}  [{low:.3g}, {high:.3g}]" in words

    def test_fixed_and_not_finite_entries_are_named(self) -> None:
        tree = draws_tree(10, draws=60)
        held(tree)
        not_finite(tree)
        words = [text.get_text() for text in plot_forest(tree).axes[0].texts]
        assert words[7] == "always 2"
        assert words[6] == "not finite"

    def test_bands_over_784_entries(self, many: Reading) -> None:
        figure = plot_forest(many)
        ax, below = figure.axes
        own, prior = flat(many.tree), flat(many.tree, "prior")
        for band, (values, levels) in zip(
            ax.collections, [(prior, (0.05, 0.95)), (own, (0.05, 0.95)), (own, (0.25, 0.75))], strict=True
        ):
            corners = {(int(x), round(y, 9)) for x, y in band.get_paths()[0].vertices}
            for level in np.quantile(values, levels, axis=0):
                assert {(k, round(float(v), 9)) for k, v in enumerate(level)} <= corners
        np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(own, axis=0))
        ratio = np.subtract(*np.quantile(own, [0.95, 0.05], axis=0)) / np.subtract(
            *np.quantile(prior, [0.95, 0.05], axis=0)
        )
        np.testing.assert_allclose(below.lines[1].get_ydata(), ratio)


class TestConvergence:
    def test_dots_are_the_numbers_of_arviz(self, ten: Reading) -> None:
        import arviz_stats

        figure = plot_convergence(ten)
        left, right = figure.axes
        names = [label.get_text() for label in left.get_yticklabels()]
        dataset = ten.tree["posterior"].to_dataset()
        rhat = arviz_stats.rhat(dataset)["x"].values
        bulk = arviz_stats.ess(dataset)["x"].values
        tail = arviz_stats.ess(dataset, method="tail", prob=(0.05, 0.95))["x"].values
        order = [int(name[2:-1]) for name in names]
        np.testing.assert_allclose(left.lines[0].get_xdata(), rhat[order])
        assert (np.diff(rhat[order]) <= 0).all()
        np.testing.assert_allclose(right.lines[0].get_xdata(), bulk[order])
        np.testing.assert_allclose(right.lines[1].get_xdata(), tail[order])
        assert title(figure).startswith(f"All 10 inputs pass: R-hat at most {rhat.max():.3f}")

    def test_histograms_count_784_entries(self, many: Reading) -> None:
        left, right = plot_convergence(many).axes
        assert sum(bar.get_height() for bar in left.patches) == 784
        assert sum(bar.get_height() for bar in right.patches if hasattr(bar, "get_width")) == 784
        assert left.get_xlim()[1] > 1.01
        assert right.get_xlim()[1] > 400

    def test_what_has_no_number_is_not_drawn(self) -> None:
        tree = draws_tree(10, draws=100)
        held(tree)
        tree["posterior"]["x"].values[0, 3, 5] = np.nan
        figure = plot_convergence(tree)
        left, right = figure.axes
        names = [label.get_text() for label in left.get_yticklabels()]
        drawn = {
            names[int(9 - y)]: float(x)
            for line in left.lines[:2]
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
            if np.isfinite(x)
        }
        assert set(drawn) == {f"x[{k}]" for k in range(10)} - {"x[5]", "x[7]"}
        assert drawn["x[3]"] == 2.0
        assert {text.get_text() for text in right.texts} == {"no number", "fixed"}
        assert "1 with R-hat above 1.01" in title(figure)
        assert "1 without a number" in title(figure)

    @pytest.mark.parametrize(
        ("sizes", "words"),
        [({"chains": 1, "draws": 60}, "10 with fewer than 400"), ({"draws": 3}, "only 3 draws a chain")],
    )
    def test_what_cannot_be_known(self, sizes: dict[str, int], words: str) -> None:
        figure = plot_convergence(draws_tree(10, **sizes))
        assert words in title(figure)
        assert "no R-hat" in figure.axes[0].texts[0].get_text()


class TestEnergy:
    def test_fraction_of_each_chain(self, ten: Reading) -> None:
        figure = plot_energy(ten)
        energy = ten.tree["sample_stats"]["energy"].values
        expected = (np.diff(energy, axis=1) ** 2).mean(axis=1) / energy.var(axis=1)
        drawn = np.asarray(figure.axes[1].collections[1].get_offsets())
        # ArviZ divides by n - 1 in one place and by n in the other
        np.testing.assert_allclose(drawn[:, 0], expected, rtol=0.01)
        assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == [
            f"chain {k}" for k in range(4)
        ]
        assert "explored well" in title(figure)

    def test_laws_are_centred_and_normalised(self, ten: Reading) -> None:
        ax = plot_energy(ten, chains=[2]).axes[0]
        bars = [patch for patch in ax.patches if hasattr(patch, "get_width")]
        energy = ten.tree["sample_stats"]["energy"].values[2]
        left = np.array([bar.get_x() for bar in bars])
        edges = np.append(left, left[-1] + bars[-1].get_width())
        counts = np.histogram(energy - energy.mean(), edges, density=True)[0]
        np.testing.assert_allclose([bar.get_height() for bar in bars], counts)

    def test_a_slow_chain_is_red(self) -> None:
        tree = draws_tree(2, draws=200)
        tree["sample_stats"]["energy"].values[1] = np.linspace(0.0, 30.0, 200)
        figure = plot_energy(tree)
        colours = [mpl.colors.to_hex(c) for c in figure.axes[1].collections[1].get_facecolors()]
        assert [c == BAD for c in colours] == [False, True, False, False]
        assert title(figure).startswith("1 of 4 chains")

    def test_a_chain_that_is_not_there(self, ten: Reading) -> None:
        with pytest.raises(InputError, match="chains asks for 4"):
            plot_energy(ten, chains=[4])


class TestModes:
    @pytest.mark.parametrize("n", [2, 10, 100])
    def test_the_axes_part_the_modes(self, n: int) -> None:
        tree = modal_tree(n)
        figure = plot_modes(tree)
        left, right = figure.axes
        assert (left.get_xlabel(), left.get_ylabel()) == ("x[0]", "x[1]")
        points = np.asarray(left.collections[0].get_offsets())
        colours = [mpl.colors.to_hex(c) for c in left.collections[0].get_facecolors()]
        assert len(points) == 2000
        first = points.sum(axis=1) > 0
        assert {c for c, side in zip(colours, first, strict=True) if side} == {CHAINS[0]}
        assert {c for c, side in zip(colours, first, strict=True) if not side} == {CHAINS[1]}
        share = (flat(tree)[:, :2].sum(axis=1) > 0).mean()
        weights = np.asarray(right.collections[-1].get_offsets())
        np.testing.assert_allclose(weights[:, 0], [share, 1 - share])
        ticks = np.array([line.get_xdata() for line in right.lines])
        np.testing.assert_allclose(
            ticks[0], (tree["posterior"]["x"].values[..., :2].sum(-1) > 0).mean(axis=1)
        )
        assert title(figure).startswith("2 modes with 70 % ± 1 %")

    def test_a_combination_where_no_pair_of_inputs_parts_them(self) -> None:
        tree, rng = draws_tree(6, draws=500), np.random.default_rng(0)
        x = tree["posterior"]["x"].values
        side = np.where(rng.uniform(size=(4, 500)) < 0.5, -1.5, 1.5) + 0.1 * rng.normal(size=(4, 500))
        x[:] = x - x.mean(-1, keepdims=True) + side[..., None] / np.sqrt(6)
        tree["unconstrained_posterior"]["z"].values[:] = x
        figure = plot_modes(tree)
        left = figure.axes[0]
        assert left.get_xlabel().count("x[") == 3
        assert "combinations of inputs" in note(figure)
        points = np.asarray(left.collections[0].get_offsets())[:, 0]
        first = np.array([mpl.colors.to_hex(c) == CHAINS[0] for c in left.collections[0].get_facecolors()])
        assert (points[first].min() > points[~first].max()) or (points[first].max() < points[~first].min())

    def test_chains_that_disagree_are_named(self) -> None:
        figure = plot_modes(modal_tree(3, apart=True))
        assert title(figure) == "2 modes, on whose weights the chains disagree"
        bar = figure.axes[1].collections[0].get_segments()[0][:, 0]
        assert np.ptp(bar) > 0.3

    def test_replicates_are_called_so(self) -> None:
        tree = modal_tree(3)
        ancestor = np.arange(2000).reshape(4, 500) % 100
        tree["sample_stats"] = (
            tree["sample_stats"].to_dataset().assign(ancestor=(("chain", "draw"), ancestor))
        )
        figure = plot_modes(tree)
        words = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
        assert words[1] == "each replicate"
        assert "energy" not in suitable(Reading(tree))

    def test_entries_that_are_asked_for(self) -> None:
        figure = plot_modes(modal_tree(6), ["x[4]", "x[0]"])
        assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("x[4]", "x[0]")
        with pytest.raises(InputError, match="names 3 entries"):
            plot_modes(modal_tree(6), [0, 1, 2])

    def test_one_entry_is_a_histogram(self) -> None:
        tree = draws_tree(1, draws=500)
        x = tree["posterior"]["x"].values
        x[:] = np.where(np.random.default_rng(0).uniform(size=x.shape) < 0.3, 2.0, -2.0) + 0.2 * x
        tree["unconstrained_posterior"]["z"].values[:] = x
        figure = plot_modes(tree)
        assert sum(p.get_height() for p in figure.axes[0].patches) == 2000
        assert len({colour(p) for p in figure.axes[0].patches}) == 2

    def test_one_mode_is_said_to_be_one(self, ten: Reading) -> None:
        assert title(plot_modes(ten)) == "One mode: no valley was found among the draws"

    def test_more_modes_than_colours(self) -> None:
        tree = draws_tree(5, draws=1000)
        z = tree["unconstrained_posterior"]["z"].values
        z[...] = np.where(np.random.default_rng(0).uniform(size=z.shape) < 0.5, 1.0, -1.0) + 0.1 * z
        tree["posterior"]["x"].values[:] = z
        figure = plot_modes(tree)
        figure.draw_without_rendering()
        assert title(figure).startswith("32 modes, with 2 % to 4 % of the draws each")
        assert len({mpl.colors.to_hex(c) for c in figure.axes[0].collections[0].get_facecolors()}) == 32

    def test_draws_that_are_not_finite(self) -> None:
        tree = draws_tree(3, draws=50)
        tree["unconstrained_posterior"]["z"].values[0, 0, 0] = np.nan
        assert title(plot_modes(tree)) == "Nothing can be said about modes"

    def test_only_several_modes_are_drawn_by_themselves(self, ten: Reading) -> None:
        assert "modes" not in suitable(ten)
        names = list(suitable(Reading(modal_tree(3))))
        assert names.index("modes") == names.index("pair") + 1


class TestPredictive:
    def test_density_of_draws_and_wish(self) -> None:
        tree = draws_tree(10, m=2, draws=60, sigma=0.2)
        figure = plot_predictive(tree)
        for k, ax in enumerate(figure.axes):
            steps = {colour(p) if p.get_fill() else POSTERIOR: p.get_data() for p in ax.patches[:2]}
            for group, which in (("posterior_predictive", POSTERIOR), ("prior_predictive", PRIOR)):
                values = flat(tree, group, "y")[:, k]
                counts = np.histogram(values, steps[which].edges)[0]
                assert counts.sum() == len(values)
                np.testing.assert_allclose(steps[which].values, counts / counts.max())
            band = ax.patches[2]
            assert colour(band) == TARGET
            # the tolerance is not stored: it follows from the residuals
            np.testing.assert_allclose([band.get_x(), band.get_x() + band.get_width()], [0.8, 1.2])
            np.testing.assert_allclose(ax.lines[0].get_xdata(), [1.0, 1.0])

    def test_the_finding_is_the_share_that_reaches(self) -> None:
        tree = draws_tree(3, draws=100)
        tree["sample_stats"]["reached"].values[:] = False
        tree["sample_stats"]["reached"].values[0, :40] = True
        tree["prior_predictive"]["reached"].values[:] = False
        figure = plot_predictive(tree)
        assert title(figure) == "10 % of the draws reach the wish; none of the prior's draws does"

    def test_an_output_that_does_not_matter(self) -> None:
        tree = draws_tree(3, m=2, draws=40)
        tree["observed_data"]["y_star"].values[1] = np.nan
        del tree["sample_stats"]["residual_norm"]
        left, right = plot_predictive(tree).axes
        assert (left.get_xlabel(), right.get_xlabel()) == ("y[0]", "y[1] (free)")
        assert len(left.lines) == len(right.lines) + 1

    def test_many_outputs_are_bands(self, many: Reading) -> None:
        tree = draws_tree(10, m=12, draws=60)
        ax = plot_predictive(tree).axes[0]
        np.testing.assert_allclose(
            ax.lines[0].get_ydata(), np.median(flat(tree, "posterior_predictive", "y"), 0)
        )
        wish = ax.containers[0]
        np.testing.assert_allclose(wish.lines[0].get_ydata(), np.ones(12))
        bars = np.array([segment[:, 1] for segment in wish.lines[2][0].get_segments()])
        np.testing.assert_allclose(bars, [[0.9, 1.1]] * 12)

    def test_a_stored_tolerance_is_used(self) -> None:
        tree = draws_tree(10, m=7, draws=40)
        tree["constant_data"]["y_tolerance"] = xr.DataArray(np.linspace(0.1, 0.7, 7), dims="o")
        segments_of = plot_predictive(tree).axes[0].containers[0].lines[2][0].get_segments()
        half = [0.5 * np.ptp(segment[:, 1]) for segment in segments_of]
        np.testing.assert_allclose(half, np.linspace(0.1, 0.7, 7))

    def test_a_class_is_drawn_as_probabilities(self) -> None:
        tree = draws_tree(10, m=5, draws=60, softmax=True)
        with_provenance(tree, question="y says class 3 (logits)")
        figure = plot_predictive(tree)
        bars = np.array([bar.get_height() for bar in figure.axes[0].patches[:10]])
        expected = [
            softmax(flat(tree, group, "y"), axis=1).mean(axis=0)
            for group in ("prior_predictive", "posterior_predictive")
        ]
        np.testing.assert_allclose(bars, np.concatenate(expected))
        wished = figure.axes[0].patches[10]
        assert wished.get_x() == 2.5
        assert colour(wished) == TARGET
        assert "class 3" in title(figure)

    def test_probabilities_are_taken_as_they_are(self) -> None:
        tree = draws_tree(10, m=5, draws=60, softmax=True)
        for group in ("prior_predictive", "posterior_predictive"):
            tree[group]["y"].values[:] = softmax(tree[group]["y"].values, axis=-1)
        with_provenance(tree, question="y says class 0 (probabilities)")
        bars = np.array([bar.get_height() for bar in plot_predictive(tree).axes[0].patches[5:10]])
        np.testing.assert_allclose(bars, flat(tree, "posterior_predictive", "y").mean(axis=0))

    def test_of_many_classes_the_probable_ones_and_the_wished(self) -> None:
        tree = draws_tree(10, m=60, draws=40, softmax=True)
        least = int(softmax(flat(tree, "posterior_predictive", "y"), axis=1).mean(axis=0).argmin())
        with_provenance(tree, question=f"y says class {least} (logits)")
        names = [label.get_text() for label in plot_predictive(tree).axes[0].get_xticklabels()]
        assert len(names) == 20
        assert str(least) in names

    def test_logits_of_shares_are_drawn_as_shares(self) -> None:
        tree = draws_tree(3, draws=40)
        with_provenance(tree, likelihood="Bernoulli", question="sigmoid(y) = 0.99 as a share of yes")
        tree["observed_data"]["y_star"].values[:] = np.log(0.99 / 0.01)
        ax = plot_predictive(tree).axes[0]
        line = next(line for line in ax.lines if colour(line) == TARGET)
        np.testing.assert_allclose(line.get_xdata(), 0.99)
        edges = ax.patches[1].get_data().edges
        y = expit(flat(tree, "posterior_predictive", "y"))
        np.testing.assert_allclose(edges[[0, -1]], [y.min(), y.max()])

    def test_optima_are_marked(self) -> None:
        tree = optima_tree(10, m=2)
        for k, ax in enumerate(plot_predictive(tree).axes):
            np.testing.assert_array_equal(ax.lines[-1].get_xdata(), tree["optima"]["y"].values[:, k])

    def test_optima_of_another_network(self, ten: Reading) -> None:
        with pytest.raises(InputError, match="y of the optima has shape"):
            plot_predictive(ten, optima=optima_tree(10, m=3))


class TestImages:
    def test_images_are_draws_of_all_chains(self, square: xr.DataTree) -> None:
        figure = plot_images(square, draws=12)
        shown = [ax for ax in figure.axes if ax.get_title().startswith("chain ")]
        assert len(shown) == 12
        chains = []
        for ax in shown:
            chain, draw = (int(word.split()[1]) for word in ax.get_title().split(", "))
            np.testing.assert_array_equal(
                ax.images[0].get_array(), square["posterior"]["x"].values[chain, draw]
            )
            chains.append(chain)
        assert np.bincount(chains).tolist() == [3, 3, 3, 3]
        assert len({ax.images[0].norm for ax in shown}) == 1

    def test_mean_and_spread(self, square: xr.DataTree) -> None:
        panels = {ax.get_title(): ax for ax in plot_images(square, draws=1).axes}
        for who in ("posterior", "prior"):
            rows = flat(square, who).reshape(-1, 8, 8)
            np.testing.assert_allclose(panels[f"{who} mean"].images[0].get_array(), rows.mean(axis=0))
            np.testing.assert_allclose(panels[f"{who} spread"].images[0].get_array(), rows.std(axis=0))
        assert panels["posterior spread"].images[0].norm is panels["prior spread"].images[0].norm
        assert panels["posterior mean"].images[0].norm is panels["chain 0, draw 0"].images[0].norm

    def test_the_scale_is_that_of_the_bounds(self) -> None:
        tree = draws_tree(64, shape=(8, 8), draws=10)
        tree["constant_data"]["lower_x"].values[:] = -4.0
        tree["constant_data"]["upper_x"].values[:] = 6.0
        norm = next(ax for ax in plot_images(tree).axes if ax.get_title() == "chain 0, draw 0").images[0].norm
        assert (norm.vmin, norm.vmax) == (-4.0, 6.0)

    def test_no_image_twice(self) -> None:
        tree = draws_tree(64, shape=(8, 8), draws=10)
        x = tree["posterior"]["x"].values
        x[0] = x[0, 0]
        x[1] = x[0, 0]
        shown = [
            ax.images[0].get_array() for ax in plot_images(tree, draws=40).axes if "chain" in ax.get_title()
        ]
        assert len(shown) == 21
        assert len({image.tobytes() for image in shown}) == 21

    def test_a_vector_with_a_shape(self, ten: Reading) -> None:
        figure = plot_images(ten, (2, 5), draws=2)
        image = next(ax for ax in figure.axes if ax.get_title() == "chain 1, draw 0").images[0]
        np.testing.assert_array_equal(
            image.get_array(), ten.tree["posterior"]["x"].values[1, 0].reshape(2, 5)
        )

    def test_a_channel_axis_of_one(self) -> None:
        tree = draws_tree(16, shape=(1, 4, 4), draws=5)
        image = next(ax for ax in plot_images(tree).axes if ax.get_title() == "chain 0, draw 0").images[0]
        assert image.get_array().shape == (4, 4)

    def test_pixels_that_are_not_finite_are_masked(self) -> None:
        tree = draws_tree(16, shape=(4, 4), draws=5)
        tree["posterior"]["x"].values[0, 0, 1, 2] = np.nan
        figure = plot_images(tree)
        image = next(ax for ax in figure.axes if ax.get_title() == "chain 0, draw 0").images[0]
        assert np.argwhere(np.ma.getmaskarray(image.get_array())).tolist() == [[1, 2]]
        assert "not finite" in title(figure)

    def test_optima_are_shown_best_first(self) -> None:
        tree = optima_tree(16, shape=(4, 4))
        shown = [ax for ax in plot_images(tree).axes if ax.get_title().startswith("optimum")]
        np.testing.assert_array_equal([ax.images[0].get_array() for ax in shown], tree["optima"]["x"].values)

    @pytest.mark.parametrize(
        ("shape", "words"),
        [(None, "no input is an image"), ((3, 3), "does not fit"), ((-2, -5), "does not fit")],
    )
    def test_what_is_no_image(self, ten: Reading, shape: tuple[int, int] | None, words: str) -> None:
        with pytest.raises(InputError, match=words):
            plot_images(ten, shape)

    def test_a_variable_that_is_not_there(self, square: xr.DataTree) -> None:
        with pytest.raises(InputError, match="variable 'w' is not there"):
            plot_images(square, variable="w")


class TestOptima:
    def test_numbers_of_every_optimum(self) -> None:
        tree = optima_tree(10)
        density, fit, weight, _ = plot_optima(tree).axes
        group = tree["optima"]
        for ax, name in ((density, "objective"), (fit, "residual_norm"), (weight, "laplace_weight")):
            np.testing.assert_allclose(ax.lines[0].get_xdata(), group[name].values)
            np.testing.assert_array_equal(ax.lines[0].get_ydata(), np.arange(6))

    def test_bands_are_those_of_the_draws(self, ten: Reading) -> None:
        density, fit, _, place = plot_optima(optima_tree(10), draws=ten).axes
        for ax, name in ((density, "lp"), (fit, "residual_norm")):
            values = ten.tree["sample_stats"][name].values
            band = ax.patches[0]
            expected = np.quantile(values, [0.05, 0.95])
            np.testing.assert_allclose([band.get_x(), band.get_x() + band.get_width()], expected)
        own = np.ptp(segments(place, 3), axis=1)
        spread = np.ptp(np.quantile(flat(ten.tree), [0.05, 0.95], axis=0), axis=0)
        np.testing.assert_allclose(own * spread[0] / own[0], spread, rtol=0.2)

    def test_positions_are_in_deviations_of_the_prior(self) -> None:
        tree = optima_tree(10)
        place = plot_optima(tree).axes[3]
        low, middle, high = np.quantile(flat(tree, "prior"), [0.05, 0.5, 0.95], axis=0)
        expected = (tree["optima"]["x"].values[0] - middle) / ((high - low) / 3.2897)
        np.testing.assert_allclose(place.lines[-1].get_xdata(), expected)

    def test_of_784_entries_those_far_from_the_prior(self) -> None:
        tree = optima_tree(784)
        tree["optima"]["x"].values[2, 555] = 9.0
        figure = plot_optima(tree)
        names = [label.get_text() for label in figure.axes[3].get_yticklabels()]
        assert len(names) == 10
        assert "x[555]" in names
        assert "10 of 784" in note(figure)

    def test_without_weights_the_distance_is_shown(self) -> None:
        tree = optima_tree(4)
        tree["optima"]["laplace_weight"].values[:] = np.nan
        ax = plot_optima(tree).axes[2]
        assert ax.get_xlabel() == "distance from its start"
        np.testing.assert_allclose(ax.lines[0].get_xdata(), tree["optima"]["distance_from_start"].values)

    def test_draws_of_another_problem(self) -> None:
        with pytest.raises(InputError, match="draws has other inputs"):
            plot_optima(optima_tree(4), draws=draws_tree(3, draws=10))


class TestPlotAll:
    def test_writes_what_suits_and_closes_only_its_own(self, tmp_path: Path) -> None:
        own = plt.figure()
        paths = plot_all(draws_tree(16, shape=(4, 4), draws=20), tmp_path / "new" / "folder")
        names = ["predictive", "forest", "images", "pair", "convergence", "trace", "energy"]
        assert [path.name for path in paths] == [f"{name}.png" for name in names]
        assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == sorted(
            p.name for p in paths
        )
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
        assert plt.get_fignums() == [own.number]

    def test_what_suits_optima(self) -> None:
        assert list(suitable(Reading(optima_tree(3)))) == ["predictive", "pair", "optima"]

    def test_pixels_of_a_large_image_are_not_bands(self) -> None:
        reading = Reading(draws_tree(64, draws=10))
        assert "forest" in suitable(reading)
        assert "images" not in suitable(reading)
        assert "forest" not in suitable(reading, (8, 8))
        assert "images" in suitable(reading, (8, 8))

    def test_nothing_to_draw(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="neither posterior nor optima"):
            plot_all(xr.DataTree(), tmp_path)

    def test_a_shape_that_does_not_fit(self, tmp_path: Path, ten: Reading) -> None:
        with pytest.raises(InputError, match="does not fit"):
            plot_all(ten, tmp_path, shape=(3, 3))

    def test_a_folder_that_is_a_file(self, tmp_path: Path, ten: Reading) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(FileError, match="cannot be written to"):
            plot_all(ten, tmp_path / "file")
