"""The bench of layers: what it counts, on problems whose answers are known, and the networks it asks."""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv._errors import ViewError
from probinv.bench import BENCHES, layers
from probinv.bench import layer_functions as functions
from probinv.bench.layer_measures import (
    ANSWERS,
    Found,
    Targets,
    ask,
    condition,
    distinct,
    dropout,
    free_dimensions,
    miss,
    nearest,
    singular_values,
    summary,
    targets_of,
)
from probinv.bench.layer_networks import HIDDEN, KINDS, trained
from probinv.bench.layer_picture import WAYS
from probinv.forward import Function, Layered
from probinv.methods import Ascent, LayerInverse, LiftedHMC

rng = np.random.default_rng(0)
WIDE = Layered.from_arrays([rng.normal(size=(3, 7))])


def squares(x: Any) -> Any:
    return x**2


def test_a_miss_is_that_of_the_worst_output_in_its_deviations() -> None:
    y = np.array([[1.0, 2.0], [1.5, 2.0], [1.0, 1.0], [np.nan, 2.0], [np.inf, 2.0]])
    off = miss(y, np.array([1.0, 2.0]), np.array([0.5, 4.0]))
    assert off.tolist() == [0.0, 1.0, 0.25, np.inf, np.inf]


def test_distinct_answers_are_counted_one_by_one() -> None:
    x = np.array([[0.0, 0.0], [0.6, 0.0], [0.0, 0.8], [1.5, 0.0], [1.5, 0.8], [0.0, 0.0]])
    assert (
        distinct(x) == 4
    )  # those at 0, .8, 1.5 and both: farther than .5 sqrt(2) = .707; .6 is too near to 0
    assert distinct(x, 0.1) == 5
    assert distinct(x[:0]) == 0
    assert distinct(x.reshape(6, 1, 2)) == 4


def test_the_distance_to_where_a_target_came_from_is_that_of_an_entry() -> None:
    assert nearest(np.array([[3.0, 4.0], [6.0, 8.0]]), np.zeros(2)) == pytest.approx(5 / np.sqrt(2))
    assert np.isnan(nearest(np.zeros((0, 2)), np.zeros(2)))


def test_free_dimensions_of_linear_maps_are_exact() -> None:
    x = rng.normal(size=(4, 7))
    values = singular_values(WIDE, x)
    assert values.shape == (4, 3)
    assert free_dimensions(values, 7).tolist() == [4, 4, 4, 4]
    np.testing.assert_allclose(condition(values), np.linalg.cond(WIDE.layers[0].weight), rtol=1e-9)
    weight = rng.normal(size=(3, 1)) @ rng.normal(size=(1, 7))
    lacking = singular_values(Layered.from_arrays([weight]), x)
    assert free_dimensions(lacking, 7).tolist() == [6, 6, 6, 6]
    np.testing.assert_allclose(condition(lacking), 1.0)
    nothing = singular_values(Layered.from_arrays([np.zeros((3, 7))]), x)
    assert free_dimensions(nothing, 7).tolist() == [7, 7, 7, 7]
    assert np.isnan(condition(nothing)).all()


def test_targets_are_outputs_of_the_prior() -> None:
    targets = targets_of(WIDE, (7,), 5)
    weight = np.asarray(WIDE.layers[0].weight)
    np.testing.assert_allclose(targets.y, targets.x @ weight.T, atol=1e-12)
    # 4000 draws: a deviation is known to 1.1 %; 5 of these
    np.testing.assert_allclose(targets.spread, np.linalg.norm(weight, axis=1), rtol=0.056)
    assert not np.allclose(targets.x, targets_of(WIDE, (7,), 5, seed=1).x)


def test_two_known_answers_are_two_and_what_cannot_be_reached_is_not() -> None:
    """x^2 = 1.44 has the answers 1.2 and -1.2; x^2 = -1 has none, and 0 is nearest to it."""
    targets = Targets(np.array([[1.2], [0.0]]), np.array([[1.44], [-1.0]]), np.array([0.5]))
    both, none = ask(Function(squares, input_shape=1), (1,), targets, Ascent(starts=ANSWERS))
    assert (both.distinct, both.share) == (2, 1.0)
    assert both.best < 1e-3
    assert both.nearest < 1e-3
    assert (none.distinct, none.share) == (0, 0.0)
    assert np.isnan(none.nearest)
    assert none.best == pytest.approx(2.0, abs=1e-3)
    assert both.gradients == none.gradients == ANSWERS * 500
    assert min(none.seconds, both.seconds) > 0
    few = ask(Function(squares, input_shape=1), (1,), targets, Ascent(starts=ANSWERS, iterations=10))[0]
    assert few.best < 0.3  # from the start that lay nearest; most are still far
    assert few.share < 0.5
    figures = summary([both, none])
    assert (figures["reached"], figures["share"], figures["distinct"]) == (0.5, 0.5, 1.0)
    assert figures["nearest"] == both.nearest
    assert figures["worst_best"] == none.best


def test_a_family_gives_many_answers_and_other_networks_have_no_layers() -> None:
    targets = targets_of(WIDE, (7,), 1)
    found = ask(WIDE, (7,), targets, LayerInverse(draws=ANSWERS, polish=0))[0]
    assert found.share == 1.0
    assert found.best < 1e-12
    assert found.distinct > 10
    with pytest.raises(ViewError):
        ask(Function(squares, input_shape=7), (7,), targets_of(Function(squares), (7,), 1), LayerInverse())


@pytest.mark.slow
def test_of_draws_as_many_are_judged_as_of_points() -> None:
    """Of x^2 within half of what counts as reached: that holds for 95 % of the draws of a perfect sampler."""
    targets = Targets(np.array([[1.2]]), np.array([[1.44]]), np.array([0.5]))
    network = Function(squares, input_shape=1)
    found = ask(network, (1,), targets, LiftedHMC(draws=50, warmup=100, thin=1))[0]
    assert found.share * ANSWERS == pytest.approx(round(found.share * ANSWERS))
    assert 0.7 < found.share <= 1.0
    assert found.distinct in (1, 2)  # the chains may begin on one side


def test_every_kind_gives_what_it_says() -> None:
    for name, kind in KINDS.items():
        weights = kind.begin(np.random.default_rng(0))
        for build in (kind.build, kind.asked or kind.build):
            with double_precision():
                out = jax.eval_shape(build(weights), jax.ShapeDtypeStruct(kind.shape, jnp.float64))
            assert out.shape == (kind.outputs,), name
        assert ("square" in name) == (kind.size == kind.outputs), name
    assert {"max pooling", "average pooling", "LSTM", "batch norm", "softmax head"} < set(KINDS)


def test_training_is_reproducible_and_learns() -> None:
    kind = KINDS["dense, ReLU"]
    first, again, other = (trained(kind, seed, steps=60) for seed in (0, 0, 1))
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert not np.allclose(first.weights["w0"], other.weights["w0"])
    begin = kind.begin(np.random.default_rng(0))
    assert all(not np.allclose(first.weights[name], begin[name]) for name in begin)
    assert 0.1 < first.learned < 1
    assert first.learned == again.learned


def test_masks_leave_units_out_and_scale_the_others() -> None:
    kind = KINDS["dropout, mean of masks"]
    weights, x = kind.begin(np.random.default_rng(0)), jnp.asarray(rng.normal(size=12), jnp.float32)
    plain, mean = kind.build(weights), kind.asked(weights)
    everything = jnp.full((2, HIDDEN), functions.KEPT)
    np.testing.assert_allclose(functions.masked(weights, x, everything), plain(x), rtol=1e-4)
    nothing = functions.masked(weights, x, jnp.zeros((2, HIDDEN)))
    np.testing.assert_allclose(nothing, weights["b2"], atol=1e-6)
    masks = mean.params["masks"]
    assert masks.shape == (functions.MASKS, 2, HIDDEN)
    assert masks.dtype == bool
    assert 0.7 < masks.mean() < 0.9
    each = [functions.masked(weights, x, one) for one in jnp.asarray(masks, float)]
    np.testing.assert_allclose(mean(x), np.mean(each, axis=0), rtol=1e-4)


def test_new_masks_miss_what_a_network_without_them_reaches() -> None:
    kind = KINDS["dropout, switched off"]
    weights = kind.begin(np.random.default_rng(0))
    network = kind.build(weights)
    found = dropout(weights, targets_of(network, (12,), 3))
    assert found["single_miss"] > 0.2 > 0.05 > found["single_reached"]
    assert 0.01 < found["mean_miss"] < found["single_miss"]
    constant = Targets(np.ones((2, 12)), np.zeros((2, 3)), np.ones(3))
    still = dropout({**weights, "w0": np.zeros((HIDDEN, 12))}, constant)
    assert still == {"single_miss": 0.0, "single_reached": 1.0, "mean_miss": 0.0}


def test_pooling_takes_the_largest_or_the_mean() -> None:
    weights = KINDS["max pooling"].begin(np.random.default_rng(0))
    x = rng.normal(size=(1, 6, 6))
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3))
    places = np.einsum("ijkl,ckl->cij", windows, weights["kernel"][:, 0])
    blocks = np.maximum(places, 0).reshape(4, 2, 2, 2, 2)
    for name, pooled in (("max pooling", blocks.max((2, 4))), ("average pooling", blocks.mean((2, 4)))):
        y = KINDS[name].build(weights)(jnp.asarray(x, jnp.float32))
        np.testing.assert_allclose(y, weights["w0"] @ pooled.ravel() + weights["b0"], rtol=1e-4, atol=1e-5)


def test_an_lstm_forgets_and_keeps() -> None:
    """With the forget gate open and the input gate shut, nothing comes in: h = 0. Else one step by hand."""
    size = functions.STATE
    weights = KINDS["LSTM"].begin(np.random.default_rng(0))
    x = jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)
    shut = {**weights, "cell": weights["cell"] * 0, "bias": np.repeat([-40.0, 40.0, 3.0, 40.0], size)}
    np.testing.assert_allclose(functions.lstm(shut, x), weights["shift"], atol=1e-6)
    i, _, g, o = np.split(weights["cell"][:, :2] @ np.asarray(x[0]), 4)
    h = np.tanh(np.tanh(g) / (1 + np.exp(-i))) / (1 + np.exp(-o))
    np.testing.assert_allclose(functions.lstm(weights, x[:1]), weights["out"] @ h, rtol=1e-4, atol=1e-5)


def test_attention_does_not_know_the_order_of_tokens() -> None:
    weights = KINDS["transformer block"].begin(np.random.default_rng(0))
    x, order = jnp.asarray(rng.normal(size=(4, 4)), jnp.float32), np.array([2, 0, 3, 1])
    for alone, all_of_them in (
        (functions.attention, functions.attention_square),
        (functions.block, functions.block_square),
    ):
        np.testing.assert_allclose(alone(weights, x[order]), alone(weights, x), rtol=1e-3, atol=1e-5)
        y = all_of_them(weights, x).reshape(4, 4)
        np.testing.assert_allclose(
            all_of_them(weights, x[order]).reshape(4, 4), y[order], rtol=1e-3, atol=1e-5
        )
        assert not np.allclose(y[0], y[1])


ONE = Found(0.004, 0.5, 3, 0.1, 200, 0.25)


def figures_of_two() -> dict[str, Any]:
    """As the bench returns them: of one network with layers, and of one without."""
    some = {"inputs": 12, "outputs": 3, "learned": 0.9, "dimension": 9.0, "dimensions": [9], "condition": 2.0}
    found = {"a": {**some, "ways": {way: summary([ONE._replace(seconds=1.75), ONE]) for way in WAYS}}}
    found["b"] = copy.deepcopy(found["a"])
    for way in WAYS[:2]:
        del found["b"]["ways"][way]
    found["b"]["ways"]["NUTS"]["reached"] = 0.0
    return found


def test_the_table_and_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    found = figures_of_two()
    found["b"]["dropout"] = {"single_miss": 0.4, "single_reached": 0.001, "mean_miss": 0.05}
    monkeypatch.setattr(layers, "KINDS", {"a": "a", "b": "b"})
    monkeypatch.setattr(layers, "measure", lambda kind: found[kind])
    result = layers.bench_layers()
    assert [row[0] for row in result.rows] == ["a", "", "", "", "", "b", "", ""]
    assert result.rows[0] == ("a", 12, 3, "9", "layers", "100%", "50%", "0.004", "3", "200", 0.25, 1.5)
    assert len(result.columns) == len(result.rows[0])
    assert "misses by 40% (median) and reaches Y* in 0.1% of 1000 passes" in result.notes[-1]
    assert "reached" in result.text()
    figure = result.draw(result.figures)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("no inverse") == 2
    assert texts.count("100%, 3") == 7
    assert texts.count("0%") == 1
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["a   12 to 3, 9 free", "b   12 to 3, 9 free"]
    points = [line.get_xydata().tolist() for line in figure.axes[1].lines]
    assert points == [[[0.25, 0.0]]] * 2 + [[[0.25, 0.0], [0.25, 1.0]]] * 3


def test_the_registry_knows_it_and_its_ways() -> None:
    assert "layers" in BENCHES
    assert tuple(layers.WAYS) == WAYS
    assert {way.points for way in layers.WAYS.values() if not way.exact} == {ANSWERS}
