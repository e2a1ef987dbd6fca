"""What the pictures of machines draw is what was given, and their titles are true of it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probinv._errors import InputError
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.stack import Layer, Stack
from probinv.boltzmann.units import Bernoulli, Joined, Softmax
from probinv.results.plots import (
    plot_chains,
    plot_filters,
    plot_imagined,
    plot_overlap,
    plot_reconstructions,
    plot_training,
)
from probinv.results.plots._style import BAD, POSTERIOR, PRIOR
from probinv.results.plots.imagined import late
from probinv.results.plots.overlap import absent
from probinv.results.tree import build_tree

RNG = np.random.default_rng(3)


def title(figure: Figure) -> str:
    return figure.get_suptitle().replace("\n", " ").replace("\u00a0", " ")


def note(figure: Figure) -> str:
    return figure.get_supxlabel().replace("\n", " ").replace("\u00a0", " ")


def tiles(axes: Axes) -> np.ndarray:
    """The images on the axes, in the order of drawing."""
    return np.array([image.get_array() for image in axes.images])


def tree_of(
    chains: int = 4,
    draws: int = 100,
    labels: Any = (0, 1, 2),
    shape: tuple[int, ...] = (3, 2),
    verdict: dict[str, Any] | None = None,
) -> xr.DataTree:
    """A tree as `imagine` builds it, of independent draws; labels None for none."""
    rng = np.random.default_rng(0)
    many = 1 if labels is None else len(labels)
    groups = {
        "posterior": {"x": rng.uniform(size=(chains, draws, many, *shape))},
        "sample_stats": {"free_energy": rng.normal(size=(chains, draws, many))},
    }
    if labels is not None:
        groups["constant_data"] = {"label": np.asarray(labels)}
    return build_tree(groups, {"verdict": verdict} if verdict else {})


def energy(tree: xr.DataTree) -> np.ndarray:
    return tree["sample_stats"]["free_energy"].values


class TestFilters:
    def test_rows_come_by_their_norm_on_one_symmetric_scale(self) -> None:
        weights = RNG.normal(size=(7, 6)) * np.arange(1, 8)[:, None]
        figure = plot_filters(weights, (2, 3), count=5)
        order = np.argsort(-np.linalg.norm(weights, axis=1))
        drawn = figure.axes[0]
        np.testing.assert_array_equal(tiles(drawn), weights[order[:5]].reshape(5, 2, 3))
        low, high = drawn.images[0].norm.vmin, drawn.images[0].norm.vmax
        assert low == -high
        assert len({id(image.norm) for image in drawn.images}) == 1
        norms = [line.get_ydata() for line in figure.axes[1].lines[:2]]
        np.testing.assert_allclose(norms[0], np.linalg.norm(weights, axis=1)[order])
        assert len(norms[1]) == 5
        assert "The 5 strongest of 7 units" in note(figure)

    def test_tiles_stand_upright_in_reading_order(self) -> None:
        figure = plot_filters(np.diag(np.arange(4.0, 0, -1)), (2, 2))
        places = [image.get_extent() for image in figure.axes[0].images]
        assert all(bottom > top for _, _, bottom, top in places)
        assert figure.axes[0].get_ylim()[0] > figure.axes[0].get_ylim()[1]
        reading = [(top, left) for left, _, _, top in places]
        assert reading == sorted(reading)

    def test_units_that_hardly_listen_are_counted(self) -> None:
        weights = np.ones((10, 4))
        weights[[2, 5, 6]] = 0.09
        assert "3 of 10 units hardly listen" in title(plot_filters(weights))
        weights[[2, 5, 6]] = 0.5
        assert title(plot_filters(weights)) == (
            "All 10 units are in use: the weakest has 50 % of the strongest one's norm"
        )
        assert "All weights of 3 units are zero" in title(plot_filters(np.zeros((3, 4))))

    def test_of_a_machine_without_its_labels(self) -> None:
        machine = Machine(
            Joined([Bernoulli(4), Softmax(3)]),
            Bernoulli(2),
            RNG.normal(size=(7, 2)),
            np.zeros(7),
            np.zeros(2),
        )
        for given in (machine, SimpleNamespace(machine_=machine), SimpleNamespace(stack_=Stack((), machine))):
            drawn = tiles(plot_filters(given).axes[0])
            expected = np.asarray(machine.weight)[:4].T
            order = np.argsort(-np.linalg.norm(expected, axis=1))
            np.testing.assert_allclose(drawn, expected[order].reshape(2, 2, 2))

    def test_of_each_layer_of_a_stack(self) -> None:
        up, top = RNG.normal(size=(9, 4)), RNG.normal(size=(4, 5))
        layer = Layer(Bernoulli(9), Bernoulli(4), up, np.zeros(4), up, np.zeros(9))
        stack = Stack((layer,), Machine(Bernoulli(4), Bernoulli(5), top, np.zeros(4), np.zeros(5)))
        assert tiles(plot_filters(stack).axes[0]).shape == (4, 3, 3)
        second = tiles(plot_filters(stack, layer=1).axes[0]).reshape(5, 4)
        np.testing.assert_allclose(second, top.T[np.argsort(-np.linalg.norm(top, axis=0))])
        for wrong in (2, -1):
            with pytest.raises(InputError, match=r"layer"):
                plot_filters(stack, layer=wrong)

    @pytest.mark.parametrize(("units", "inputs"), [(1, 1), (1, 64), (3000, 10)])
    def test_from_one_unit_to_thousands(self, units: int, inputs: int) -> None:
        figure = plot_filters(RNG.normal(size=(units, inputs)))
        assert len(figure.axes[0].images) == min(units, 100)
        assert 1 < figure.get_figheight() < 9

    @pytest.mark.parametrize(
        ("given", "settings", "words"),
        [
            (np.ones(4), {}, "shape"),
            (np.ones((0, 4)), {}, "shape"),
            (np.full((2, 4), np.nan), {}, "NaN"),
            ("weights", {}, "not an array of real numbers"),
            (np.ones((2, 4)), {"shape": (2, 3)}, "does not fit"),
            (np.ones((2, 4)), {"shape": (-2, -2)}, "does not fit"),
            (np.ones((2, 4)), {"count": 0}, "count"),
        ],
    )
    def test_bad_input(self, given: Any, settings: dict[str, Any], words: str) -> None:
        with pytest.raises(InputError, match=words):
            plot_filters(given, **settings)


class TestImagined:
    def test_a_row_is_a_label_and_its_columns_are_late_draws_of_all_chains(self) -> None:
        tree = tree_of(labels=["a", "b"])
        figure = plot_imagined(tree, count=8)
        chosen = late(4, 100, 8)
        assert [chain for chain, _ in chosen] == [0, 0, 1, 1, 2, 2, 3, 3]
        assert min(draw for _, draw in chosen) >= 50
        x = tree["posterior"]["x"].values
        expected = [x[chain, draw, label] for label in (0, 1) for chain, draw in chosen]
        np.testing.assert_array_equal(tiles(figure.axes[0]), expected)
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b"]
        words = [text.get_text() for text in figure.axes[0].texts]
        assert words[2:] == [f"chain {chain}" for chain in range(4)]

    @pytest.mark.parametrize(
        ("chains", "draws", "most", "expected"),
        [
            (1, 1, 12, [(0, 0)]),
            (2, 4, 12, [(0, 2), (0, 3), (1, 2), (1, 3)]),
            (9, 10, 3, [(0, 9), (4, 9), (8, 9)]),
        ],
    )
    def test_late_draws(self, chains: int, draws: int, most: int, expected: list[tuple[int, int]]) -> None:
        assert late(chains, draws, most) == expected

    def test_the_title_is_the_verdict_of_the_tree(self) -> None:
        told = {"verdict": "not converged", "reasons": ["the chains of 1 have not met"]}
        assert title(plot_imagined(tree_of(verdict=told))) == "Not converged. The chains of 1 have not met"

    def test_without_a_verdict_the_chains_are_judged_here(self) -> None:
        tree = tree_of()
        assert "The chains of every label agree" in title(plot_imagined(tree))
        energy(tree)[1, :, 1] += 5
        figure = plot_imagined(tree)
        assert "The chains of 1 of 3 labels have not met" in title(figure)
        colours = [mpl.colors.to_hex(text.get_color()) for text in figure.axes[0].texts[:3]]
        assert [colour == BAD for colour in colours] == [False, True, False]

    def test_labels_may_be_chosen(self) -> None:
        tree = tree_of(labels=[3, 7, 9])
        figure = plot_imagined(tree, labels=[9, "3"], count=4)
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["9", "3"]
        np.testing.assert_array_equal(tiles(figure.axes[0])[:4], tree["posterior"]["x"].values[:, 99, 2])
        assert "2 of 3 labels are shown" in note(figure)

    def test_without_labels_a_row_is_a_chain(self) -> None:
        tree = tree_of(labels=None, shape=(9,))
        figure = plot_imagined(tree, count=2)
        x = tree["posterior"]["x"].values.reshape(4, 100, 3, 3)
        np.testing.assert_array_equal(tiles(figure.axes[0]), x[:, [50, 99]].reshape(8, 3, 3))
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()][3] == "chain 3"
        assert title(figure).startswith("The chains agree: R-hat")
        with pytest.raises(InputError, match="no labels in this tree"):
            plot_imagined(tree, labels=[1])

    @pytest.mark.parametrize(("chains", "draws", "many"), [(1, 1, 1), (1, 40, 200), (300, 5, 2)])
    def test_from_one_to_many(self, chains: int, draws: int, many: int) -> None:
        figure = plot_imagined(tree_of(chains, draws, range(many), (4, 1)))
        figure.draw_without_rendering()
        assert len(figure.axes[0].get_yticks()) == min(many, 20)
        assert len(title(figure)) > 10

    def test_what_is_not_finite_is_said(self) -> None:
        tree = tree_of(verdict={"verdict": "ok", "reasons": ["all agree"]})
        tree["posterior"]["x"].values[2, 99, 1] = np.nan
        assert "not finite" in title(plot_imagined(tree))

    def test_bad_input(self) -> None:
        without = tree_of()
        del without["sample_stats"]
        other = build_tree({"posterior": {"x": np.ones((2, 3, 4))}}, {})
        wrong = tree_of()
        wrong["sample_stats"] = xr.Dataset({"free_energy": (("chain", "draw"), np.zeros((4, 100)))})
        short = tree_of()
        short["constant_data"] = xr.Dataset({"label": ("label_dim_0", [1])})
        bad: list[tuple[Any, dict[str, Any], str]] = [
            (without, {}, "made by imagine"),
            (other, {}, "made by imagine"),
            (wrong, {}, "made by imagine"),
            (short, {}, "1 labels"),
            (tree_of(), {"labels": [5]}, "there are 0, 1, 2"),
            (tree_of(), {"labels": []}, "no label is named"),
            (tree_of(), {"shape": (2, 2)}, "does not fit"),
            (tree_of(), {"cmap": "nothing"}, "cmap"),
            (tree_of(), {"count": 0}, "count"),
        ]
        for tree, settings, words in bad:
            with pytest.raises(InputError, match=words):
                plot_imagined(tree, **settings)


class TestChains:
    def test_pictures_stand_over_their_draws(self) -> None:
        tree = tree_of()
        film, below = plot_chains(tree, 1, chain=2, frames=10).axes
        at = np.arange(5, 100, 10)
        np.testing.assert_array_equal(tiles(film), tree["posterior"]["x"].values[2, at, 1])
        middles = [np.mean(image.get_extent()[:2]) for image in film.images]
        np.testing.assert_allclose(middles, np.arange(10) + 0.5)
        dots = below.lines[-1]
        np.testing.assert_array_equal(dots.get_xdata(), at)
        np.testing.assert_array_equal(dots.get_ydata(), energy(tree)[2, at, 1])

    def test_every_chain_is_a_line(self) -> None:
        tree = tree_of()
        below = plot_chains(tree, 0, chain=1).axes[1]
        drawn = np.array([line.get_ydata() for line in below.lines[:-1]])
        np.testing.assert_array_equal(drawn, energy(tree)[[0, 2, 3, 1], :, 0])

    def test_the_label_that_agrees_least_and_the_chain_that_is_apart(self) -> None:
        tree = tree_of()
        energy(tree)[3, :, 1] += 4
        figure = plot_chains(tree)
        assert title(figure).startswith("The chains of label 1 have not met: R-hat")
        assert "chain 3" in note(figure)
        energy(tree)[:, :, 2] = 1.0
        assert title(plot_chains(tree)) == "The chains of label 2 never move"

    @pytest.mark.parametrize(
        ("sizes", "spoil", "words"),
        [
            ((4, 100), lambda e: None, "The chains agree: R-hat"),
            ((1, 100), lambda e: None, "whether another would agree is not known"),
            ((4, 3), lambda e: None, "too short to judge"),
            ((4, 14), lambda e: None, "hold few independent draws"),
            ((4, 100), lambda e: e.__setitem__((0, 3), np.nan), "not finite"),
            ((4, 100), lambda e: e.fill(np.nan), "not finite"),
            ((3, 50), lambda e: e.__setitem__(slice(None), np.arange(3.0)[:, None, None]), "never move"),
        ],
    )
    def test_findings(self, sizes: tuple[int, int], spoil: Callable[[np.ndarray], None], words: str) -> None:
        tree = tree_of(*sizes, labels=None)
        spoil(energy(tree))
        figure = plot_chains(tree)
        figure.draw_without_rendering()
        assert words in title(figure)

    @pytest.mark.parametrize(("chains", "draws"), [(1, 1), (200, 30), (2, 3000)])
    def test_from_one_draw_to_thousands(self, chains: int, draws: int) -> None:
        figure = plot_chains(tree_of(chains, draws, labels=None, shape=(5,)))
        figure.draw_without_rendering()
        assert len(figure.axes[1].lines) <= 22
        assert len(figure.axes[1].lines[0].get_xdata()) <= 1000

    @pytest.mark.parametrize("settings", [{"label": 8}, {"chain": 4}, {"chain": True}, {"frames": 0}])
    def test_bad_input(self, settings: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            plot_chains(tree_of(), **settings)


class TestReconstructions:
    def test_pairs_by_their_error(self) -> None:
        x = RNG.uniform(size=(40, 2, 3))
        again = np.clip(x + 0.3 * RNG.normal(size=x.shape), 0, 1)
        axes = plot_reconstructions(x, again.reshape(40, 6), count=5).axes[0]
        errors = ((x - again) ** 2).sum(axis=(1, 2))
        order = np.argsort(errors)[[0, 9, 19, 29, 39]]
        np.testing.assert_array_equal(tiles(axes), np.concatenate([x[order], again[order]]))
        assert [text.get_text() for text in axes.texts] == [f"{errors[k]:.3g}" for k in order]

    def test_the_finding_is_the_mean_squared_error(self) -> None:
        x = RNG.normal(size=(30, 4))
        again = x + 0.1 * np.where(RNG.uniform(size=x.shape) < 0.5, -1, 1)
        figure = plot_reconstructions(x, again)
        kept = 1 - 0.01 / ((x - x.mean(axis=0)) ** 2).mean()
        assert title(figure) == (
            f"{100 * kept:.0f} % of the variance of x comes back: "
            "mean squared error 0.01 for each entry, 0.04 for each x"
        )
        assert "median 0.04, largest 0.04" in note(figure)

    def test_worse_than_one_picture_for_all(self) -> None:
        x = RNG.normal(size=(30, 4))
        assert "Worse than one picture for all" in title(plot_reconstructions(x, -x))

    @pytest.mark.parametrize(("rows", "n"), [(1, 1), (1, 16), (2000, 7)])
    def test_from_one_to_thousands(self, rows: int, n: int) -> None:
        x = RNG.uniform(size=(rows, n))
        figure = plot_reconstructions(x, 0.5 * x)
        figure.draw_without_rendering()
        assert len(figure.axes[0].images) == 2 * min(rows, 24)
        assert "ean squared error" in title(figure)

    @pytest.mark.parametrize(
        ("x", "again", "settings"),
        [
            (np.ones((3, 4)), np.ones((3, 5)), {}),
            (np.ones((3, 4)), np.ones((2, 4)), {}),
            (np.ones((3, 4)), np.full((3, 4), np.inf), {}),
            (np.ones(4), np.ones(4), {}),
            (np.ones((3, 4)), np.ones((3, 4)), {"shape": (3, 3)}),
            (np.ones((3, 4)), np.ones((3, 4)), {"count": 0}),
        ],
    )
    def test_bad_input(self, x: np.ndarray, again: np.ndarray, settings: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            plot_reconstructions(x, again, **settings)


def history_of(epochs: int = 5, **columns: Any) -> list[dict[str, float]]:
    """A history as a training leaves it: columns by name, a number for all epochs or one for each."""
    own = {"reconstruction": np.linspace(4.0, 1.0, epochs), "gap": np.nan, "runaway": 0.1} | columns
    rows = {name: np.broadcast_to(value, epochs) for name, value in own.items()}
    return [
        {"epoch": k + 1, "seconds": 2.0 * (k + 1)} | {name: float(row[k]) for name, row in rows.items()}
        for k in range(epochs)
    ]


class TestTraining:
    def test_a_row_for_each_figure_that_is_a_number(self) -> None:
        history = history_of(pseudo_likelihood=np.nan, loss=3.0)
        figure = plot_training(history)
        assert [ax.get_ylabel().split("\n")[0] for ax in figure.axes] == [
            "squared error",
            "chains minus data,",
            "loss",
        ]
        line = figure.axes[0].lines[0]
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
        np.testing.assert_array_equal(line.get_ydata(), [epoch["reconstruction"] for epoch in history])
        assert "10 seconds" in note(figure)

    def test_a_column_for_each_stage(self) -> None:
        figure = plot_training([history_of(4), history_of(6, wrong=0.2)])
        lines = [len(ax.lines[0].get_xdata()) if ax.lines else 0 for ax in figure.axes]
        assert lines == [4, 6, 4, 6, 0, 6]
        assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["stage 1", "stage 2"]

    def test_brackets(self) -> None:
        given = [(20, -84.0, -83.5), (10, -87.0, -86.0)]
        for history in (history_of(), [history_of(), history_of()]):
            figure = plot_training(history, given)
            axes = figure.axes[-1]
            bars = np.array([np.asarray(line) for line in axes.collections[0].get_segments()])
            np.testing.assert_array_equal(bars[:, :, 0], [[10, 10], [20, 20]])
            np.testing.assert_array_equal(bars[:, :, 1], [[-87, -86], [-84, -83.5]])
            assert title(figure) == "After 20 epochs the log likelihood lies between -84.00 and -83.50 nats"
        later = [*given, (30, -86, -85)]
        assert title(plot_training(history_of(), later)).endswith("; it was higher after 20 epochs")

    @pytest.mark.parametrize(
        ("history", "words"),
        [
            (history_of(), "The error of reconstruction fell from 4 to 1 in 5 epochs"),
            (history_of(reconstruction=[1, 2, 3, 4, 5]), "rose from 1 to 5"),
            (history_of(reconstruction=2.0), "stayed at 2"),
            (history_of(1), "After one epoch"),
            (history_of(gap=[0, 1, 2, 3, 4]), "better known than held-out ones, by 4 nats"),
            (history_of(reconstruction=np.nan), "without a figure of reconstruction"),
            ([history_of(), history_of()], "went from 4 to 1, then from 4 to 1"),
            ([history_of(), history_of(reconstruction=[1, 1, 1, 1, 3])], "rose in stage 2 of 2"),
            ([history_of()] * 5, "did not rise in any of 5 stages"),
            (SimpleNamespace(history_=[history_of()], stopped_="interrupted"), "ended early: interrupted"),
        ],
    )
    def test_findings(self, history: Any, words: str) -> None:
        figure = plot_training(history)
        figure.draw_without_rendering()
        assert words in title(figure)

    def test_thousands_of_epochs(self) -> None:
        assert plot_training(history_of(3000)).axes[0].lines[0].get_marker() == "None"

    @pytest.mark.parametrize(
        ("history", "likelihood"),
        [
            ([], None),
            ([[]], None),
            (None, None),
            ("history", None),
            ([1, 2], None),
            ([{"reconstruction": 1.0}], None),
            ([{"epoch": 1, "reconstruction": "small"}], None),
            ([{"epoch": 1, "gap": np.nan}], None),
            ([history_of(), {"epoch": 1}], None),
            (history_of(), [(1, -80.0, -81.0)]),
            (history_of(), [(1, -80.0)]),
            (history_of(), [(1, -80.0, np.inf)]),
        ],
    )
    def test_bad_input(self, history: Any, likelihood: Any) -> None:
        with pytest.raises(InputError):
            plot_training(history, likelihood)


def three_modes(rows: int, seed: int, modes: int = 3) -> np.ndarray:
    """Rows in 6 dimensions about three centres in a plane."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((3, 6))
    centres[:, :2] = [(0, 0), (6, 0), (0, 6)]
    return centres[rng.integers(modes, size=rows)] + 0.5 * rng.normal(size=(rows, 6))


class TestOverlap:
    def test_a_missing_mode_is_seen(self) -> None:
        data = three_modes(600, 0)
        figure = plot_overlap(data, three_modes(300, 1, modes=2))
        third = data[:, 1] > 3
        share = int(title(figure).split("miss ")[1].split(" ")[0])
        assert abs(share - 100 * third.mean()) < 3
        cloud, _, missed = figure.axes[0].collections
        assert mpl.colors.to_hex(missed.get_facecolor()[0]) == BAD
        assert abs(len(missed.get_offsets()) - third.sum()) < 20
        assert len(cloud.get_offsets()) == 600

    def test_a_mode_that_data_have_not_is_seen(self) -> None:
        assert "of the samples lie where no data are" in title(
            plot_overlap(three_modes(600, 0, modes=2), three_modes(300, 1))
        )

    def test_equal_laws_overlap(self) -> None:
        figure = plot_overlap(three_modes(500, 0), three_modes(800, 1))
        assert title(figure).startswith("Data and samples overlap in the first two components")
        data, samples, missed = figure.axes[0].collections
        assert [mpl.colors.to_hex(c.get_facecolor()[0]) for c in (data, samples)] == [PRIOR, POSTERIOR]
        assert len(missed.get_offsets()) == 0

    @pytest.mark.parametrize(("n", "m"), [(300, 300), (400, 150), (150, 400)])
    def test_the_share_that_chance_has(self, n: int, m: int) -> None:
        """Mean of 40 runs: its standard deviation is below .004, so 4 of them are a false alarm of 1e-4."""
        rng = np.random.default_rng(11)
        runs = [absent(rng.normal(size=(n, 2)), rng.normal(size=(m, 2))) for _ in range(40)]
        assert 0.01 < runs[0].by_chance <= 0.032
        found = [run.share for run in runs]
        assert np.std(found) / np.sqrt(40) < 0.004
        assert abs(np.mean(found) - runs[0].by_chance) < 0.016

    def test_variances_are_shares_of_the_data(self) -> None:
        data, samples = RNG.normal(size=(80, 5)) * [5, 4, 3, 2, 1] + 7.0, RNG.normal(size=(50, 5))
        axes = plot_overlap(data, samples).axes[1]
        values, vectors = np.linalg.eigh(np.cov(data.T, bias=True))
        share = values[::-1] / values.sum()
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], 100 * share)
        along = (samples @ vectors[:, ::-1]).var(axis=0) / values.sum()
        np.testing.assert_allclose(axes.lines[0].get_ydata(), 100 * along)

    def test_axes_are_those_of_the_data(self) -> None:
        data, samples = RNG.normal(size=(60, 4)) * [5, 4, 1, 1], RNG.normal(size=(40, 4)) * [1, 1, 9, 9]
        drawn = np.asarray(plot_overlap(data, samples).axes[0].collections[1].get_offsets())
        axes = np.linalg.svd(data - data.mean(axis=0))[2][:2]
        np.testing.assert_allclose(np.abs(drawn), np.abs((samples - data.mean(axis=0)) @ axes.T), atol=1e-9)

    @pytest.mark.parametrize(
        ("data", "samples"),
        [
            (RNG.normal(size=(2, 3)), RNG.normal(size=(1, 3))),
            (RNG.normal(size=(200, 3)), RNG.normal(size=(1, 3))),
            (RNG.normal(size=(4, 900)), RNG.normal(size=(5, 900))),
        ],
    )
    def test_too_few_are_not_judged(self, data: np.ndarray, samples: np.ndarray) -> None:
        figure = plot_overlap(data, samples)
        figure.draw_without_rendering()
        assert "Too few rows" in title(figure)

    def test_one_direction(self) -> None:
        figure = plot_overlap(RNG.normal(size=(100, 1)), RNG.normal(size=(100, 1)))
        figure.draw_without_rendering()
        assert not figure.axes[1].get_visible()
        flat = plot_overlap(three_modes(100, 0)[:, :1] * [[1.0, 2.0]], RNG.normal(size=(100, 2)))
        assert {title(each).split(" in the ")[1][:3] for each in (figure, flat)} == {"one"}

    def test_many_rows_are_thinned(self) -> None:
        figure = plot_overlap(RNG.normal(size=(9000, 2)), RNG.normal(size=(50, 2)), points=200)
        assert len(figure.axes[0].collections[0].get_offsets()) == 200
        assert "200 of 9000 rows and 50 of 50 samples are used" in note(figure)

    @pytest.mark.parametrize(
        ("data", "samples"),
        [
            (np.ones((5, 2)), np.ones((5, 2))),
            (np.eye(3), np.eye(4)),
            (np.eye(3), np.full((2, 3), np.nan)),
            (np.ones(3), np.ones(3)),
            (np.eye(3)[:1], np.eye(3)),
        ],
    )
    def test_bad_input(self, data: np.ndarray, samples: np.ndarray) -> None:
        with pytest.raises(InputError):
            plot_overlap(data, samples)
