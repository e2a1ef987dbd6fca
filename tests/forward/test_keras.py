"""Keras models: the same numbers in double precision, in inference mode, the user's model untouched."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv._errors import InputError, NumericalError
from probinv.forward import agreement, as_forward, as_layered, fingerprint, load, output_struct
from probinv.forward.loaders.keras.program import Program, in_precision
from tests.forward.keras_models import MODELS, keras, layers, mlp, sequence, shaken

# Keras 3.15 reads its own variables in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def _biases_are_added() -> Iterator[None]:
    """Keras adds biases of a lower rank, also while a model is built."""
    with jax.numpy_rank_promotion("allow"):
        yield


def weights(model: Any) -> list[np.ndarray]:
    return [np.asarray(variable.value).astype(np.float64) for variable in model.weights]


def test_it_is_its_formula_in_double_precision() -> None:
    model = mlp()
    mean, variance, _, w1, b1, gamma, beta, moving_mean, moving_variance, w2, b2 = weights(model)
    x = np.linspace(-1, 1, 3)
    y = np.tanh((x - mean) / np.sqrt(variance) @ w1 + b1)
    y = (y - moving_mean) / np.sqrt(moving_variance + 1e-3) * gamma + beta
    y = 2 * (y @ w2 + b2) + 0.1
    with double_precision():
        found = as_forward(model)(jnp.asarray(x))
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, y, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_a_recurrent_model_is_its_loop() -> None:
    model = sequence()
    kernel, recurrent, bias, w, b = weights(model)
    x, h, c = np.linspace(-1, 1, 10).reshape(5, 2), np.zeros(3), np.zeros(3)
    for x_t in x:
        i, f, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    np.testing.assert_allclose(as_forward(model)(jnp.asarray(x)), h @ w + b, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_the_laws_and_what_keras_predicts(name: str, key: jax.Array) -> None:
    make, shape = MODELS[name]
    model = make()
    forward = as_forward(model)
    assert forward.input_shape == shape
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    single = forward(jnp.asarray(x))
    assert single.dtype == np.float32
    predicted = model.predict(x[None], verbose=0)[0]
    tolerance = 2e-2 if name == "mlp" else 1e-6  # one of its layers computes in bfloat16
    np.testing.assert_allclose(single, predicted, rtol=tolerance, atol=tolerance)
    with double_precision():
        program = str(jax.make_jaxpr(forward)(jnp.asarray(x, float)))
        np.testing.assert_allclose(forward(jnp.asarray(x, float)), single, rtol=1e-5, atol=1e-6)
    assert "f32[" not in program
    assert "bf16[" not in program
    found = agreement(forward, shape, key, count=2)
    assert (found.dtype, found.finite) == ("float64", 1.0)
    assert max(found.jit, found.vmap) < 1e-14
    assert found.gradient < 1e-8


def test_the_model_and_keras_are_untouched() -> None:
    model = mlp()
    before, config = weights(model), model.get_config()
    seeds = [np.asarray(v.value) for v in model.variables if v.dtype == "uint32"]
    number = int(layers.Dense(1).name.split("_")[-1])
    with double_precision():
        forward = as_forward(model)
        forward(jnp.ones(3))
        assert [layer.mean for layer in forward.program.copy().cached] == [None]  # nothing of a trace is kept
    assert int(layers.Dense(1).name.split("_")[-1]) == number + 1
    assert model.get_config() == config
    assert (keras.config.floatx(), keras.config.dtype_policy().name) == ("float32", "float32")
    assert keras.backend.result_type("float64", "float32") == "float32"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(seeds, (v.value for v in model.variables if v.dtype == "uint32"), strict=True):
        np.testing.assert_array_equal(old, new)
    assert isinstance(model.layers[0].mean, jax.Array)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)  # it can still be trained


def test_what_was_read_does_not_change_with_the_model_and_other_weights_do_not_retrace() -> None:
    traces = []

    @jax.jit
    def value(forward: Any, x: jax.Array) -> jax.Array:
        traces.append(x.shape)
        return forward(x)

    model = mlp()
    first = as_forward(model)
    found = fingerprint(first, (3,))
    bias = next(v for v in model.weights if v.path.endswith("dense_1/bias") or v.shape == (2,))
    bias.assign(bias + 1.0)
    other = as_forward(model)
    assert fingerprint(first, (3,)) == found
    assert fingerprint(other, (3,)) != found
    with double_precision():
        x = jnp.ones(3)
        np.testing.assert_allclose(value(other, x) - value(first, x), 2.0, rtol=1e-6)
    assert len(traces) == 1


class Scale(keras.layers.Layer):
    """A layer of the user's own, with a weight."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.factor


class Net(keras.Model):
    """A model in Python, without a graph."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = keras.layers.Dense(width, activation=cubed)
        self.scale = Scale()

    def get_config(self) -> dict[str, Any]:
        return {"width": self.width}

    def call(self, x: Any, training: bool = True) -> Any:
        return self.scale(self.first(x)) + (1.0 if training else 0.0)


def cubed(x: Any) -> Any:
    return x**3


@pytest.mark.usefixtures("x64")
def test_classes_of_the_user() -> None:
    own = shaken(keras.Sequential([keras.Input((3,)), layers.Dense(2, activation=cubed), Scale()]))
    net = Net(2)
    net(np.ones((1, 3), np.float32))
    net.set_weights(own.get_weights())
    w, b, factor = weights(own)
    x = np.linspace(-1, 1, 3)
    for model, shape in ((own, (3,)), (net, None)):
        forward = as_forward(model)
        assert forward.input_shape == shape
        np.testing.assert_allclose(forward(jnp.asarray(x)), (x @ w + b) ** 3 * factor, rtol=1e-12)


class Hidden(keras.layers.Layer):
    """Keeps what its configuration does not say."""

    factor, count = 1.0, 1

    def build(self, shape: Any) -> None:
        del shape
        self.add_weight(shape=(self.count,), name="unused")

    def call(self, x: Any) -> Any:
        return self.factor * x


def seq(*parts: Any, shape: tuple[int | None, ...] = (3,), **settings: Any) -> Any:
    return keras.Sequential([keras.Input(shape, **settings), *parts])


def two_inputs() -> Any:
    a, b = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    return keras.Model([a, b], a + b)


def two_outputs() -> Any:
    x = keras.Input((2,))
    return keras.Model(x, [layers.Dense(1)(x), layers.Dense(2)(x)])


class Noise(keras.layers.Layer):
    """Random in inference too."""

    def build(self, shape: Any) -> None:
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        return x + keras.random.normal((3,), seed=self.seeds)


def diverged() -> Any:
    model = seq(layers.Dense(2, name="last"))
    model.layers[0].bias.assign([np.nan, 0.0])
    return model


def quantised() -> Any:
    model = seq(layers.Dense(2))
    model.layers[0].quantize("int8")
    return model


def of_more_weights() -> Any:
    layer = Hidden()
    layer.count = 2
    return seq(layer)


REFUSED: dict[str, tuple[Any, str]] = {
    "layer": (lambda: layers.Dense(2), "Dense is a layer of Keras.*keras.Sequential"),
    "not built": (
        lambda: keras.Sequential([layers.Dense(2)], name="bare"),
        "'bare' is not built.*call it once",
    ),
    "inputs": (two_inputs, "2 inputs.*'left', 'right'"),
    "outputs": (two_outputs, "2 outputs"),
    "integers": (lambda: seq(layers.Embedding(5, 2), dtype="int32"), "is of int32.*real numbers"),
    "batches": (lambda: seq(layers.Dense(2), batch_size=8), "batches of 8 only"),
    "stateful": (lambda: seq(layers.LSTM(2, stateful=True), shape=(4, 2), batch_size=1), "is stateful"),
    "lambda": (lambda: seq(layers.Lambda(lambda x: 2 * x, name="twice")), "'twice' is a Lambda.*Function"),
    "nan": (diverged, "last/bias.* holds NaN"),
    "quantised": (quantised, "quantised layers.*before quantisation"),
    "weights": (of_more_weights, "made anew has other weights.*of other shapes"),
    "noise": (lambda: seq(Noise()), "draws random numbers in inference"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_so(name: str) -> None:
    make, message = REFUSED[name]
    model = make()
    with pytest.raises(InputError, match=message):
        as_forward(model)


def test_a_model_that_is_not_its_configuration_is_noticed() -> None:
    layer = Hidden()
    layer.factor = 1.01
    with pytest.raises(NumericalError, match=r"made anew differs from .* by"):
        as_forward(seq(layer))


def test_programs_are_equal_where_their_content_is() -> None:
    """Whatever a model was compiled with for its training; and user's classes count."""
    model = seq(layers.Dense(2))
    program = Program(keras.saving.serialize_keras_object(model), {})
    model.compile("adam", "mse")
    assert program == Program(keras.saving.serialize_keras_object(model), {})
    assert program != Program(program.config, {"cubed": cubed})
    assert program != Program(keras.saving.serialize_keras_object(seq(layers.Dense(3))), {})


def test_every_floating_dtype_of_a_configuration_is_replaced() -> None:
    policy = {"module": "keras", "class_name": "DTypePolicyMap", "config": {"policy_map": {}}}
    given = ["mixed_float16", "bfloat16", "float8_e4m3fn", policy, "int32", "string", None]
    new = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float64"}}
    found = in_precision([{"dtype": said} for said in given], "float64")
    assert [part["dtype"] for part in found] == [
        "float64",
        "float64",
        "float64",
        new,
        "int32",
        "string",
        None,
    ]


def test_an_open_shape_and_a_wrong_one() -> None:
    forward = as_forward(seq(layers.GlobalAveragePooling1D(), shape=(None, 2)))
    assert forward.input_shape is None
    assert output_struct(forward, (7, 2)).shape == (2,)
    with pytest.raises(InputError, match=r"takes inputs of shape \(3,\)"):
        as_forward(seq(layers.Dense(2), batch_size=1))(jnp.ones((1, 3)))


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = seq(layers.Dense(2))
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(InputError, match=r"computes with torch.*KERAS_BACKEND=jax before keras is imported"):
        load(model)
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(InputError, match=r"version 2\.15\.0.*update keras"):
        load(model)


@pytest.mark.usefixtures("x64")
def test_weights_of_double_precision_are_not_rounded(tmp_path: Path) -> None:
    model = seq(layers.Dense(2, dtype="float64"), dtype="float64")
    model.layers[0].bias.assign(np.array([1 / 3, 0.1]))
    model.save(tmp_path / "net.keras")
    with jax.enable_x64(False):
        forward = load(tmp_path / "net.keras")
    np.testing.assert_array_equal(forward.weights[1], [1 / 3, 0.1])
    np.testing.assert_array_equal(as_layered(forward).layers[0].bias, [1 / 3, 0.1])


@pytest.mark.parametrize("name", ["mlp", "attention"])
def test_a_file_is_its_model(name: str, tmp_path: Path) -> None:
    make, shape = MODELS[name]
    model = make()
    model.compile("adam", "mse")
    model.save(tmp_path / "net.keras")
    forward, expected = load(tmp_path / "net.keras"), as_forward(model)
    assert forward.input_shape == shape
    for found, wanted in zip(forward.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
    with double_precision():
        assert all(layer.mean is None for layer in forward.program.copy().cached)
        x = jnp.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
        np.testing.assert_array_equal(forward(x), expected(x))


@pytest.mark.slow
def test_a_file_is_read_where_nothing_was_said_of_a_backend(tmp_path: Path) -> None:
    seq(layers.Dense(2)).save(tmp_path / "net.keras")
    script = f"""
import os, sys
import probinv
assert "keras" not in sys.modules
network = probinv.load({str(tmp_path / "net.keras")!r})
assert network.input_shape == (3,)
assert "KERAS_BACKEND" not in os.environ
"""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, env=environment, check=True)
