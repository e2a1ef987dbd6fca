"""Networks of other frameworks as chains of layers: the same numbers, and what breaks a chain is named."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError
from probinv.forward import (
    Activation,
    Affine,
    Dense,
    Layered,
    as_forward,
    as_layered,
    load_network,
    save_network,
)

pytestmark = [
    pytest.mark.usefixtures("x64", "_biases_are_added"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture
def _biases_are_added() -> Any:
    """Keras adds biases of a lower rank, also while a model is built."""
    with jax.numpy_rank_promotion("allow"):
        yield


KEY = jax.random.key(0)


def keras_chain() -> Any:
    from tests.forward.keras_models import keras, layers, shaken

    inner = keras.Sequential(
        [keras.Input((6,)), layers.Normalization(), layers.Dense(4, activation="gelu"), layers.LeakyReLU(0.3)]
    )
    return shaken(
        keras.Sequential(
            [
                keras.Input((2, 3)),
                layers.Flatten(),
                shaken(inner),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.Dense(4, activation="leaky_relu", use_bias=False),
                layers.Activation("silu"),
                layers.ReLU(6.0),
                layers.Dense(3),
                layers.Reshape((3, 1)),
                layers.Rescaling(0.5, -0.25),
                layers.Reshape((3,)),
                layers.Softmax(),
            ]
        )
    )


def keras_graph() -> Any:
    from tests.forward.keras_models import keras, layers

    x = keras.Input((3,))
    return keras.Model(x, layers.Dense(2, activation="elu")(layers.Dense(4, activation="tanh")(x)))


def nnx_chain() -> Any:
    nnx = pytest.importorskip("flax.nnx", reason="Flax is tested where it is installed")
    rngs = nnx.Rngs(0)
    norm = nnx.BatchNorm(4, rngs=rngs)
    norm.mean[...] = jnp.arange(4, dtype=jnp.float32)
    norm.var[...] = jnp.arange(1, 5, dtype=jnp.float32)
    return nnx.Sequential(
        nnx.Linear(3, 4, rngs=rngs),
        norm,
        nnx.gelu,
        nnx.Dropout(0.5, rngs=rngs),
        nnx.Linear(4, 2, use_bias=False, rngs=rngs),
    )


def linen_chain() -> Any:
    linen = pytest.importorskip("flax.linen", reason="Flax is tested where it is installed")
    net = linen.Sequential(
        [
            linen.Dense(4),
            linen.relu,
            linen.BatchNorm(use_running_average=True),
            linen.Dropout(0.1, deterministic=True),
            linen.Dense(2),
            jnp.tanh,
        ]
    )
    variables = net.init(KEY, jnp.ones(3))
    return net, jax.tree.map(lambda leaf: leaf + 0.25, variables)


def equinox_chain() -> Any:
    mlp = eqx.nn.MLP(3, 4, 5, 2, activation=jax.nn.softplus, final_activation=jnp.tanh, key=KEY)
    return eqx.nn.Sequential(
        [mlp, eqx.nn.Lambda(jax.nn.elu), eqx.nn.Dropout(0.5), eqx.nn.Linear(4, 2, use_bias=False, key=KEY)]
    )


CHAINS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "keras": (keras_chain, (2, 3)),
    "keras graph": (keras_graph, (3,)),
    "nnx": (nnx_chain, (3,)),
    "linen": (linen_chain, (3,)),
    "equinox": (equinox_chain, (3,)),
    "equinox mlp": (lambda: eqx.nn.MLP(3, 2, 4, 1, key=KEY), (3,)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_its_network(name: str, tmp_path: Any) -> None:
    make, shape = CHAINS[name]
    forward = as_forward(make())
    layered = as_layered(forward)
    assert isinstance(layered, Layered)
    assert {type(layer) for layer in layered.layers} <= {Dense, Affine, Activation}
    assert layered.input_shape == (int(np.prod(shape)),)
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=shape) * 2
        np.testing.assert_allclose(
            layered(jnp.asarray(x.ravel())), forward(jnp.asarray(x)), rtol=1e-12, atol=1e-14
        )
    assert load_network(save_network(layered, tmp_path / "net.npz")).input_shape == layered.input_shape


def test_a_network_is_taken_as_it_is() -> None:
    mlp = eqx.nn.MLP(3, 2, 4, 1, key=KEY)
    layered = as_layered(mlp)
    assert as_layered(layered) is layered
    np.testing.assert_array_equal(layered.layers[0].weight, mlp.layers[0].weight)


def residual() -> Any:
    from tests.forward.keras_models import keras, layers

    x = keras.Input((3,))
    return keras.Model(x, layers.Dense(3, name="inner")(x) + x)


def convolution() -> Any:
    from tests.forward.keras_models import keras, layers

    return keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(1, 2, name="edge")])


def on_the_last_axis() -> Any:
    from tests.forward.keras_models import keras, layers

    return keras.Sequential([keras.Input((4, 2)), layers.Dense(3, name="each")])


def nnx_layer_norm() -> Any:
    nnx = pytest.importorskip("flax.nnx", reason="Flax is tested where it is installed")
    return nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.LayerNorm(4, rngs=nnx.Rngs(0)))


def linen_function() -> Any:
    linen = pytest.importorskip("flax.linen", reason="Flax is tested where it is installed")
    net = linen.Sequential([linen.Dense(4), jnp.cosh])
    return net, net.init(KEY, jnp.ones(3))


BROKEN: dict[str, tuple[Callable[[], Any], str]] = {
    "residual": (residual, "no chain: .* its output is not that of its last layer"),
    "convolution": (convolution, "no chain: 'edge', a Conv2D"),
    "last axis": (on_the_last_axis, "no chain: 'each'.*last axis"),
    "nnx": (nnx_layer_norm, "no chain: LayerNorm"),
    "linen": (linen_function, "function 'cosh' is not known"),
    "equinox": (lambda: eqx.nn.Sequential([eqx.nn.LayerNorm(3)]), "no chain: LayerNorm"),
    "prelu": (lambda: eqx.nn.MLP(2, 2, 2, 1, activation=eqx.nn.PReLU(), key=KEY), "no chain: MLP.*not known"),
    "function": (lambda: jnp.tanh, "a Function is no chain"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_chain_is_named(name: str) -> None:
    make, message = BROKEN[name]
    with pytest.raises(InputError, match=message):
        as_layered(make())
