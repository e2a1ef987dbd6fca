"""Layers and their chain."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from probinv._errors import InputError
from probinv.forward import Activation, Affine, Dense, Layered
from probinv.forward.layers.activation import ALIASES, PLAIN, SLOPED
from tests.forward.zoo import arrays, layered

ORACLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.where(x > 0, x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    # Klambauer et al. 2017, eq. (2) and section 2
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "silu": lambda x: x * special.expit(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "tanh": np.tanh,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "logistic": special.expit,
    "exp": np.exp,
    "sin": np.sin,
    "softmax": lambda x: special.softmax(x, axis=-1),
    "log_softmax": lambda x: special.log_softmax(x, axis=-1),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [*PLAIN, *SLOPED])
def test_an_activation_is_its_formula(name: str) -> None:
    x = np.linspace(-8, 8, 33).reshape(3, 11)
    np.testing.assert_allclose(Activation(name)(jnp.asarray(x)), ORACLES[name](x), rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("x64")
def test_slopes_and_other_names() -> None:
    x = np.array([-2.0, -0.5, 0.0, 3.0])
    leaky, elu = Activation("leaky_relu", 0.3), Activation("elu", np.float64(0.3))
    np.testing.assert_allclose(leaky(jnp.asarray(x)), np.where(x > 0, x, 0.3 * x), rtol=1e-15)
    np.testing.assert_allclose(elu(jnp.asarray(x)), np.where(x > 0, x, 0.3 * np.expm1(x)), rtol=1e-15)
    for other, name in ALIASES.items():
        assert Activation(other) == Activation(name)


@pytest.mark.usefixtures("x64")
def test_saturated_activations_have_finite_gradients() -> None:
    """exp overflows beyond 709: a formula written naively gives NaN there."""
    names = sorted({*PLAIN, *SLOPED} - {"exp"})

    @jax.jit
    def slopes(x: jax.Array) -> list[jax.Array]:
        layers = [Activation(name) for name in names]
        return [jax.vmap(jax.grad(lambda x, layer=layer: layer(x[None])[0]))(x) for layer in layers]

    for name, slope in zip(names, slopes(jnp.array([-1e3, 0.0, 1e3])), strict=True):
        assert np.isfinite(slope).all(), name


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("sizes", [(1024, 8, 8, 2), (3, 7), (5, 1, 4)])
def test_from_arrays_is_the_chain_of_products(sizes: tuple[int, ...]) -> None:
    weights = arrays(*[(b, a) for a, b in pairwise(sizes)])
    biases = arrays(*[(b,) for b in sizes[1:]], seed=1)
    network = Layered.from_arrays(weights, biases, "sigmoid", "softmax")
    assert network.input_shape == (sizes[0],)
    assert network.output_shape == (sizes[-1],)
    x = np.random.default_rng(2).standard_normal(sizes[0])
    y = x
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        y = special.expit(weight @ y + bias)
    logits = weights[-1] @ y + biases[-1]
    np.testing.assert_allclose(network(jnp.asarray(x)), special.softmax(logits), rtol=1e-12)
    np.testing.assert_allclose(network.logits(jnp.asarray(x)), logits, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_no_bias_is_a_zero_bias() -> None:
    (weight,) = arrays((2, 3))
    x = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(Layered.from_arrays([weight])(x), weight @ x, rtol=1e-14)


@pytest.mark.usefixtures("x64")
def test_float32_weights_compute_in_float64() -> None:
    network = layered("tanh", "identity", np.float32)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(network))
    double = jax.tree.map(lambda leaf: leaf.astype(np.float64), network)
    x = jnp.linspace(-1, 1, 5)
    assert network(x).dtype == np.float64
    np.testing.assert_array_equal(network(x), double(x))
    np.testing.assert_array_equal(network(x.astype(np.float32)).dtype, np.float64)


@pytest.mark.usefixtures("x64")
def test_affine_acts_on_each_entry() -> None:
    x = np.arange(6.0).reshape(2, 3)
    scale, shift = arrays((2, 3), (2, 3))
    network = Layered([Affine(scale, shift), Affine(2.0)], (2, 3))
    np.testing.assert_allclose(network(jnp.asarray(x)), 2 * (scale * x + shift), rtol=1e-15)


def test_logits_need_a_probability_at_the_end() -> None:
    for name in ("softmax", "log_softmax", "sigmoid"):
        network = layered(output=name)
        assert network.logits.layers == network.layers[:-1]
        assert network.logits.input_shape == network.input_shape
    for last, found in ((Activation("tanh"), "tanh"), (Affine(2.0), "Affine")):
        with pytest.raises(InputError, match=f"no logits.*last layer is {found}"):
            _ = Layered([last], 3).logits
    with pytest.raises(InputError, match="no logits"):
        _ = Layered([], 3).logits


def test_weights_given_are_copied() -> None:
    weight = np.ones((2, 3))
    layer = Dense(weight)
    weight[:] = 7
    np.testing.assert_array_equal(layer.weight, 1)


def refused(make: Callable[[], Any], message: str) -> Any:
    return pytest.param(make, message, id=message)


W = np.ones((2, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        refused(lambda: Layered.from_arrays([W, W]), r"weights\[1\] has shape \(2, 3\).*layer 0 gives 2"),
        refused(lambda: Layered.from_arrays([W.T, W.T], [np.ones(3)] * 2), r"weights\[1\].*transpose"),
        refused(lambda: Layered.from_arrays([W], [np.ones(3)]), r"biases\[0\]: bias has shape \(3,\)"),
        refused(lambda: Layered.from_arrays([W], []), "biases has 0 entries.*1 weights"),
        refused(lambda: Layered.from_arrays([]), "weights is empty"),
        refused(lambda: Layered.from_arrays([np.ones(3)]), r"weight has shape \(3,\).*2 dimensions"),
        refused(lambda: Layered.from_arrays([[[1.0, 2.0], [3.0]]]), "weight is not an array"),
        refused(lambda: Layered.from_arrays([W * 1j]), "not an array of real numbers.*complex128"),
        refused(lambda: Layered.from_arrays([np.array([["a"]])]), "not an array of real numbers"),
        refused(lambda: Layered.from_arrays([W * np.nan]), "NaN or an infinite.*6 of its 6"),
        refused(lambda: Layered.from_arrays([np.ones((0, 3))]), r"shape \(0, 3\)"),
        refused(lambda: Activation("reluu"), "activation 'reluu' is unknown.*leaky_relu"),
        refused(lambda: Activation(3), "activation 3 is unknown"),
        refused(lambda: Activation("tanh", 0.1), "slope is given for tanh"),
        refused(lambda: Activation("elu", float("nan")), "slope is not a finite number"),
        refused(lambda: Layered([Dense(W)], 4), r"layers\[0\]: a dense layer of 3 inputs.*shape \(4,\)"),
        refused(lambda: Layered([Dense(W)], (3, 3)), r"cannot take shape \(3, 3\)"),
        refused(lambda: Layered([Affine(np.ones(2))], 3), r"layers\[0\]: the scale.*shape \(2,\)"),
        refused(lambda: Layered([jnp.tanh], 3), r"layers\[0\] is not a layer"),
        refused(lambda: Layered([Activation("softmax")], ()), "softmax cannot take a scalar"),
        refused(lambda: Layered([], None), "input_shape is None"),
        refused(lambda: Layered([Dense(W)], 3)(jnp.ones((5, 3))), r"x has shape \(5, 3\).*jax.vmap"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_layers_are_modules_of_their_own_arrays() -> None:
    network = layered()
    assert len(jax.tree.leaves(network)) == 6
    other = eqx.tree_at(lambda n: n.layers[0].bias, network, np.zeros(8))
    assert not np.array_equal(other.layers[0].bias, network.layers[0].bias)
