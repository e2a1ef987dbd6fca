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
from probinv.forward.loaders._chain import KNOWN
from probinv.forward.loaders.keras import KerasForward
from probinv.forward.loaders.keras.chain import ACTIVATIONS, _activation
from probinv.forward.loaders.keras.program import Program

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
                layers.Rescaling(4.0, 0.5),
                layers.ReLU(6.0),
                layers.Dense(3),
                layers.ELU(0.5),
                layers.Reshape((3, 1)),
                layers.Rescaling(-0.5, 1.0),
                layers.ReLU(),
                layers.Reshape((3,)),
                layers.Softmax(),
            ]
        )
    )


def keras_graph() -> Any:
    from tests.forward.keras_models import keras, layers

    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="softsign")])
    return keras.Model(x, layers.Dense(2, activation="elu")(inner(layers.Dense(4, activation="tanh")(x))))


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
            linen.Dense(4, dtype=jnp.bfloat16),
            linen.relu,
            linen.BatchNorm(use_running_average=True, epsilon=0.1),
            linen.Dropout(0.1, deterministic=True),
            linen.Dense(2, name="last"),
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
    y: list[np.ndarray] = []
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=shape) * 2
        y.append(np.asarray(forward(jnp.asarray(x))))
        np.testing.assert_allclose(layered(jnp.asarray(x.ravel())), y[-1], rtol=1e-12, atol=1e-14)
    assert np.abs(y[0] - y[1]).max() > 1e-3  # nothing in the chain hides what comes before it
    assert load_network(save_network(layered, tmp_path / "net.npz")).input_shape == layered.input_shape


def test_a_network_is_taken_as_it_is() -> None:
    mlp = eqx.nn.MLP(3, 2, 4, 1, key=KEY)
    layered = as_layered(mlp)
    assert as_layered(layered) is layered
    np.testing.assert_array_equal(layered.layers[0].weight, mlp.layers[0].weight)


def test_activations_are_found_by_their_names() -> None:
    """Those of Keras by name, those of JAX by the function: one program for all of each."""
    from tests.forward.keras_models import keras

    names = [*ACTIVATIONS, "leaky_relu", "elu"]
    found = {name: _activation(None, name) for name in names if "softmax" not in name}
    found |= {name: [Activation(ACTIVATIONS[name])] for name in ("softmax", "log_softmax")}
    x = jnp.asarray([[-3.0, -0.5, 0.25, 2.0, 7.0]], jnp.float32)
    theirs = jax.jit(lambda x: {name: keras.activations.get(name)(x) for name in names})(x)
    ours = jax.jit(lambda x: {name: Layered(layers, 5)(x[0]) for name, layers in found.items()})(x)
    for name in names:
        np.testing.assert_allclose(ours[name], theirs[name][0], rtol=1e-5, atol=1e-6, err_msg=name)
    theirs = jax.jit(lambda x: [function(x) for function, _, _ in KNOWN])(x[0])
    ours = jax.jit(lambda x: [Activation(name, slope)(x) for _, name, slope in KNOWN])(x[0])
    for (_, name, _), one, other in zip(KNOWN, ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=name)


def bare(model: Any) -> KerasForward:
    """A Keras model as a forward that was not compared with it."""
    from tests.forward.keras_models import keras

    program = Program(keras.saving.serialize_keras_object(model), {})
    weights = tuple(np.asarray(v.value, np.float64) for v in model.weights)
    return KerasForward(weights, program, model.input_shape[1:])


def test_a_normalization_keeps_small_variances_from_zero() -> None:
    from tests.forward.keras_models import keras, layers

    norm = layers.Normalization()
    model = keras.Sequential([keras.Input((2,)), norm])
    norm.adapt_mean.assign([1.0, 0.0])
    norm.adapt_variance.assign([0.0, 4.0])
    found = as_layered(bare(model))(jnp.asarray([1.5, 3.0]))
    np.testing.assert_allclose(found, [0.5e7, 1.5], rtol=1e-12)  # by its formula, max(sqrt(variance), 1e-7)
    forward = bare(model)
    thirds = KerasForward(tuple(w / 3 for w in forward.weights), forward.program, (2,))
    found = as_layered(thirds)(jnp.asarray([1.5, 3.0]))  # no float32 is a third
    np.testing.assert_allclose(found[1], 3 / np.sqrt(4 / 3), rtol=1e-14)


def test_the_number_of_inputs_is_that_of_the_first_array() -> None:
    linen = pytest.importorskip("flax.linen", reason="Flax is tested where it is installed")
    norm = linen.BatchNorm(use_running_average=True)
    variables = {"params": {"scale": np.ones(3), "bias": np.ones(3)}}
    variables["batch_stats"] = {"mean": np.ones(3), "var": np.ones(3)}
    assert as_layered((norm, variables)).input_shape == (3,)
    with pytest.raises(InputError, match="number of inputs is not known"):
        as_layered((linen.Sequential((jnp.tanh,)), {"params": {}}))


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


def linen_part(part: str) -> Callable[[], Any]:
    """Dropout or batch normalisation as in training."""

    def make() -> Any:
        linen = pytest.importorskip("flax.linen", reason="Flax is tested where it is installed")
        last = linen.Dropout(0.5, deterministic=False) if part == "Dropout" else linen.BatchNorm(False)
        statistics = {"layers_1": {"mean": np.ones(2), "var": np.ones(2)}}
        variables = {"params": {"layers_0": {"kernel": np.ones((2, 2))}}, "batch_stats": statistics}
        return linen.Sequential((linen.Dense(2, use_bias=False), last)), variables

    return make


def linen_twice() -> Any:
    linen = pytest.importorskip("flax.linen", reason="Flax is tested where it is installed")
    one = linen.Dense(3)
    net = linen.Sequential((one, one))
    return net, {"params": {"layers_0": {"kernel": np.ones((3, 3)), "bias": np.ones(3)}}}


def keras_part(make: Callable[[Any], list[Any]], shape: tuple[int, ...] = (4,)) -> Callable[[], Any]:
    """Layers of Keras behind an input."""

    def build() -> Any:
        from tests.forward.keras_models import keras, layers

        return bare(keras.Sequential([keras.Input(shape), *make(layers)]))

    return build


def branches() -> Any:
    from tests.forward.keras_models import keras, layers

    x = keras.Input((3,))
    return bare(keras.Model(x, layers.Add()([layers.Dense(2, name=name)(x) for name in ("left", "right")])))


def low_rank() -> Any:
    from tests.forward.keras_models import keras, layers

    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="tuned")])
    model.layers[0].enable_lora(1)
    return bare(model)


def of_another_name() -> Any:
    """The user's own layer, under the name of one of Keras."""
    from tests.forward.keras_models import keras, layers

    class Dense(layers.Dense):  # type: ignore[name-defined, misc]
        """Not that of Keras."""

    model = keras.Sequential([keras.Input((3,)), Dense(2, name="mine")])
    program = Program(keras.saving.serialize_keras_object(model), {"Dense": Dense})
    return KerasForward(tuple(np.asarray(v.value) for v in model.weights), program, (3,))


def in_python() -> Any:
    from tests.forward.keras_models import keras, layers

    class Net(keras.Model):  # type: ignore[name-defined, misc]
        """A model without a graph."""

        def __init__(self) -> None:
            super().__init__(name="net")
            self.first = layers.Dense(2)

        def get_config(self) -> dict[str, Any]:
            return {}

        def call(self, x: Any) -> Any:
            return self.first(x)

    net = Net()
    net(np.ones((1, 3), np.float32))
    return net


BROKEN: dict[str, tuple[Callable[[], Any], str]] = {
    "residual": (residual, "no chain: .* its output is not that of its last layer"),
    "convolution": (convolution, "no chain: 'edge', a Conv2D"),
    "last axis": (on_the_last_axis, "no chain: 'each'.*last axis"),
    "branches": (branches, "no chain: 'right'. it does not take the output of the layer before it"),
    "slope": (keras_part(lambda of: [of.ReLU(negative_slope=0.1)]), "no chain: 're_lu.*, a ReLU"),
    "threshold": (keras_part(lambda of: [of.ReLU(threshold=0.5)]), "no chain: 're_lu.*, a ReLU"),
    "most": (keras_part(lambda of: [of.ReLU(2.0)]), "no chain: 're_lu.*, a ReLU"),
    "softmax axis": (
        keras_part(lambda of: [of.Reshape((2, 2)), of.Softmax(axis=1)]),
        "no chain: 'softmax.*along one axis of .None, 2, 2",
    ),
    "softmax rows": (
        keras_part(lambda of: [of.Reshape((2, 2)), of.Activation("softmax")]),
        "no chain: 'activation.*along one axis of .None, 2, 2",
    ),
    "softmax batch": (keras_part(lambda of: [of.Softmax(axis=0)]), "no chain: 'softmax.*along one axis"),
    "inverted": (keras_part(lambda of: [of.Normalization(invert=True)]), "no chain: .*, a Normalization"),
    "known mean": (
        keras_part(lambda of: [of.Normalization(mean=0.0, variance=1.0)]),
        "no chain: .*, a Normalization",
    ),
    "no axis": (keras_part(lambda of: [of.Normalization(axis=None)]), "no chain: .*, a Normalization"),
    "rows": (keras_part(lambda of: [of.BatchNormalization()], (2, 2)), "no chain: .*, a BatchNormalization"),
    "low rank": (low_rank, "no chain: 'tuned'. it has a LoRA part"),
    "own": (of_another_name, "no chain: 'mine', a Dense"),
    "python": (in_python, "no chain: 'net'. it is a model in Python"),
    "linen twice": (linen_twice, "no chain: Dense.*stand in the chain twice"),
    "linen dropout": (linen_part("Dropout"), "no chain: Dropout"),
    "linen statistics": (linen_part("BatchNorm"), "no chain: BatchNorm"),
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
