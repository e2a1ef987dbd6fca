"""LayerInverse: points through the layers, what is said of each, and what is refused."""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import probinv
from probinv import InputError, ViewError
from probinv.forward import Activation, Affine, Dense, Layered
from probinv.forward.layers import AbstractLayer
from probinv.likelihood import (
    Argmax,
    AtLeast,
    Bernoulli,
    Exactly,
    Gaussian,
    Interval,
    Label,
    On,
    Product,
)
from probinv.methods import LayerInverse, Optima
from probinv.posterior import Chain, Posterior
from probinv.prior import Fixed, Normal, Uniform
from probinv.results.tree import provenance
from tests.methods.problems import Interrupt, Silent

QUIET: dict[str, Any] = {"progress": False, "verdict": False}


def network(output: str = "identity", sizes: tuple[int, ...] = (6, 4, 2)) -> Layered:
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal((b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    return Layered.from_arrays(weights, [0.1 * rng.standard_normal(len(w)) for w in weights], "tanh", output)


NETWORK = network()
WISH = np.array([0.3, -0.2])
NORMAL = Posterior(Normal(0.0, 1.0, 6), NETWORK, Gaussian(WISH, 0.1))
BOX = Posterior(Uniform(-1.0, 1.0, 6), NETWORK, Exactly(WISH))


def run(method: LayerInverse, posterior: Posterior, key: jax.Array, progress: Any = None) -> Optima:
    with jax.enable_x64(True):
        return method.run(Chain.of(posterior), key, progress or Silent())


def test_every_point_gives_the_output(key: jax.Array) -> None:
    found = run(LayerInverse(draws=40), NORMAL, key)
    x, raw = found.inputs or (np.zeros(0), np.zeros(0))
    assert x.shape == raw.shape == (40, 6)
    assert len(np.unique(x[:, 0])) == 40  # of two blocks
    with jax.enable_x64(True):
        y = np.stack([np.asarray(NETWORK(jnp.asarray(row))) for row in x])
    np.testing.assert_allclose(y, np.tile(WISH, (40, 1)), atol=1e-13)
    np.testing.assert_allclose(found.stats["forward_error"], np.abs(y - WISH).max(axis=1), atol=1e-15)
    assert not found.stats["projected"].any()
    notes = found.notes
    assert (notes["rank"], notes["free_dimensions"], notes["projected_layers"]) == (2, 4, [])
    conditions = [np.linalg.cond(layer.weight) for layer in NETWORK.layers if isinstance(layer, Dense)]
    assert np.isclose(notes["condition"], np.prod(conditions))
    assert [layer["kind"] for layer in notes["layers"]] == ["Dense", "Activation"] * 2
    assert not found.interrupted


def test_the_first_point_is_the_preimage_and_the_key_decides_the_others(key: jax.Array) -> None:
    method = LayerInverse(draws=5)
    one, same = run(method, NORMAL, key), run(method, NORMAL, key)
    other = run(method, NORMAL, jax.random.fold_in(key, 1))
    assert one.inputs is not None
    assert same.inputs is not None
    assert other.inputs is not None
    np.testing.assert_array_equal(one.inputs[0], same.inputs[0])
    np.testing.assert_allclose(one.inputs[0][0], probinv.preimage(NETWORK, WISH).point, atol=1e-14)
    np.testing.assert_allclose(other.inputs[0][0], one.inputs[0][0], atol=1e-14)
    assert np.abs(other.inputs[0][1:] - one.inputs[0][1:]).max() > 0.1
    near = run(LayerInverse(draws=5, spread=0.01), NORMAL, key)
    assert near.inputs is not None
    assert 0 < np.abs(near.inputs[0] - one.inputs[0][:1]).max() < 0.2


def test_a_run_leaves_optima_and_a_verdict() -> None:
    tree = probinv.invert(NORMAL, LayerInverse(draws=30), **QUIET)
    optima = tree["optima"]
    assert set(tree.children) == {"optima", "prior", "prior_predictive", "observed_data", "constant_data"}
    assert optima.sizes["optimum"] == 30
    assert optima["in_support"].all()
    assert optima["reached"].all()
    assert float(optima["forward_error"].max()) < 1e-12
    np.testing.assert_allclose(optima["x"], optima["z"], atol=1e-12)  # T is the identity here
    assert np.allclose(optima["log_prior"], -0.5 * (optima["z"] ** 2).sum("z_dim_0") - 3 * np.log(2 * np.pi))
    assert float(optima["distance_from_start"].max()) == 0
    verdict = probinv.diagnose(tree)
    assert verdict.verdict is probinv.Verdict.UNKNOWN
    assert "30 of 30 points reach Y*" in str(verdict)
    assert "NaN" not in str(verdict)
    facts = provenance(tree)
    assert facts["exact"] is False
    assert facts["settings"] == {"draws": 30, "spread": 1.0, "polish": 20}
    assert facts["notes"]["free_dimensions"] == 4
    assert facts["gradients"] == 0  # every point was exact: nothing was polished


def test_an_exact_wish_in_a_box_and_a_file(tmp_path: Any) -> None:
    """A wish without a density, points kept in the box, and saved."""
    tree = probinv.invert(BOX, LayerInverse(draws=20, spread=0.5), **QUIET)
    optima = tree["optima"]
    inside = optima["in_support"].values
    assert inside.mean() > 0.8
    assert (inside == (np.abs(optima["x"].values) <= 1).all(axis=1)).all()
    assert float(optima["forward_error"].max()) < 1e-10
    assert "log_likelihood" not in optima
    loaded = probinv.load(probinv.save(tree, tmp_path / "run.nc"))
    np.testing.assert_array_equal(loaded["optima"]["x"], optima["x"])
    assert probinv.plot_optima(tree).axes


def test_points_outside_the_prior_are_kept_and_counted() -> None:
    """Outputs that only large inputs give, under a box that is too small for them."""
    posterior = Posterior(Uniform(-0.05, 0.05, 6), NETWORK, Gaussian(WISH, 0.1))
    tree = probinv.invert(posterior, LayerInverse(draws=4), **QUIET)
    optima, verdict = tree["optima"], probinv.diagnose(tree)
    assert not optima["in_support"].any()
    assert float(optima["forward_error"].max()) < 1e-12
    assert float(np.abs(optima["x"]).max()) > 0.05
    assert np.isnan(optima["z"]).all()
    assert np.isneginf(optima["log_prior"]).all()
    assert verdict.verdict is probinv.Verdict.UNKNOWN
    assert "4 of 4 points lie outside the prior's support" in str(verdict)
    assert "infinities" not in str(verdict)


def test_inputs_that_are_held_stay_held() -> None:
    """Known inputs move into the bias of the first layer: four dimensions less two."""
    prior = Fixed(Normal(0.0, 1.0, 6), {0: 0.3, 4: -1.0})
    tree = probinv.invert(Posterior(prior, NETWORK, Gaussian(WISH, 0.1)), LayerInverse(draws=6), **QUIET)
    optima = tree["optima"]
    assert optima["in_support"].all()
    np.testing.assert_array_equal(optima["x"][:, [0, 4]], np.tile([0.3, -1.0], (6, 1)))
    assert float(optima["forward_error"].max()) < 1e-12
    assert provenance(tree)["notes"]["free_dimensions"] == 2


def test_a_projected_network_is_repaired_by_polish(key: jax.Array) -> None:
    tall = network(sizes=(4, 9, 2))
    y = np.asarray(tall(jnp.full(4, 0.3)))
    posterior = Posterior(Normal(0.0, 1.0, 4), tall, Gaussian(y, 0.01))
    rough, fine = (run(LayerInverse(draws=6, polish=steps), posterior, key) for steps in (0, 30))
    assert rough.stats["projected"].all()
    assert fine.stats["projected"].all()
    assert np.median(rough.stats["forward_error"]) > 0.01
    assert np.median(fine.stats["forward_error"]) < 1e-10
    assert fine.inputs is not None
    assert rough.inputs is not None
    np.testing.assert_allclose(fine.inputs[1], rough.inputs[0], atol=1e-12)
    assert fine.notes["projected_layers"] == [0]
    # each of 2 outputs, for every Jacobian of 6 points with 1 to 30 steps
    assert rough.cost.gradients == 0
    assert fine.cost.gradients % 2 == 0
    assert 6 * 2 <= fine.cost.gradients <= 6 * 2 * 30
    assert run(LayerInverse(draws=6, polish=1), posterior, key).cost.gradients == 6 * 2


def test_an_interrupt_leaves_a_prefix(key: jax.Array) -> None:
    method = LayerInverse(draws=100)
    whole, part = run(method, NORMAL, key), run(method, NORMAL, key, Interrupt(2))
    assert part.interrupted
    assert part.inputs is not None
    assert whole.inputs is not None
    assert len(part.inputs[0]) in (32, 64)
    np.testing.assert_allclose(part.inputs[0], whole.inputs[0][: len(part.inputs[0])], atol=1e-14)


TARGETS: dict[str, tuple[Any, Any]] = {
    "gaussian": (Gaussian(WISH, 0.1), WISH),
    "exactly": (Exactly(WISH), WISH),
    "interval": (Interval([0.0, 0.1], [0.2, 0.3]), [0.1, 0.2]),
    "at least": (AtLeast([0.1, 0.2]), [0.1, 0.2]),
    "not all": (Gaussian([0.1, np.nan], 0.1), [0.1, np.nan]),
    "on": (On([1], Gaussian([0.1], 0.1)), [np.nan, 0.1]),
    "product": (Product([On([0], Gaussian([0.1], 0.1)), On([1], Exactly([0.4]))]), [0.1, 0.4]),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_of_a_wish(name: str, key: jax.Array) -> None:
    likelihood, target = TARGETS[name]
    view = Chain.of(Posterior(Normal(0.0, 1.0, 6), NETWORK, likelihood))
    np.testing.assert_array_equal(view.target, target)
    assert view.preimage().residual < 1e-13


class Unknown(AbstractLayer):
    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "a function": (lambda x: x[:2], Gaussian(WISH, 0.1), "needs a Layered network, and this is a Function"),
    "argmax": (NETWORK, Argmax(0), "Argmax names no single output"),
    "logits": (NETWORK, Label(0), "Label names no single output"),
    "an unknown layer": (
        Layered([*NETWORK.layers, Unknown()], 6),
        Gaussian(WISH, 0.1),
        r"layers\[4\], a Unknown",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_layers_or_no_target_is_refused(name: str) -> None:
    forward, likelihood, words = REFUSED[name]
    with pytest.raises(ViewError, match=words) as caught:
        probinv.invert(Posterior(Normal(0.0, 1.0, 6), forward, likelihood), LayerInverse(), **QUIET)
    assert caught.value.why
    assert "NUTS" in caught.value.instead


def test_probabilities_have_targets() -> None:
    soft = Posterior(Normal(0.0, 1.0, 6), network("softmax"), Label(1, outputs="probabilities"))
    np.testing.assert_array_equal(Chain.of(soft).target, [0.0, 1.0])
    shares = Posterior(Normal(0.0, 1.0, 6), network("logistic"), Bernoulli([0.6, 0.4], count=100))
    assert Chain.of(shares).preimage().residual < 1e-13


def test_settings_that_cannot_be_used_are_named(key: jax.Array) -> None:
    for settings, name in (({"draws": 0}, "draws"), ({"spread": -1.0}, "spread"), ({"polish": -1}, "polish")):
        with pytest.raises(InputError, match=name):
            LayerInverse(**settings)
    with pytest.raises(InputError, match="keeps no state"):
        LayerInverse().run(Chain.of(NORMAL), key, Silent(), {})
    assert LayerInverse(draws=200).memory(10) == 2 * LayerInverse().memory(10) == 2 * 8 * 6 * 1000
    assert LayerInverse(draws=7).points == LayerInverse(draws=7).steps == 7


def test_a_scaler_is_part_of_the_network(key: jax.Array) -> None:
    """Points come in the units of the input, and the prior's bounds are those."""
    scaled = Layered([Affine(0.01, -3.0), *NETWORK.layers, Activation("identity")], 6)
    posterior = Posterior(Uniform(200.0, 400.0, 6), scaled, Gaussian(WISH, 0.01))
    found = run(LayerInverse(draws=10), posterior, key)
    assert found.inputs is not None
    assert found.stats["forward_error"].max() < 1e-10
    inside = ((found.inputs[0] >= 200) & (found.inputs[0] <= 400)).all(axis=1)
    assert inside.mean() >= 0.5
    assert found.cost.gradients > 0  # the steps of points that were exact and outside count too
    rough = run(LayerInverse(draws=10, polish=0), posterior, key)
    assert rough.inputs is not None
    assert ((rough.inputs[0] >= 200) & (rough.inputs[0] <= 400)).all(axis=1).mean() < inside.mean()
