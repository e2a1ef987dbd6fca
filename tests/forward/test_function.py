"""Any function as a network, and what it may return."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError
from probinv.forward import Function, output_struct
from tests.forward.zoo import PARAMS, RECURRENT, affine_tanh, recurrent


@pytest.mark.usefixtures("x64")
def test_it_computes_fn() -> None:
    x = jnp.array([0.1, -0.2, 0.3])
    expected = np.tanh(PARAMS["w"] @ np.asarray(x) + PARAMS["b"])
    np.testing.assert_allclose(Function(affine_tanh, PARAMS)(x), expected, rtol=1e-15)
    np.testing.assert_allclose(Function(lambda x: affine_tanh(PARAMS, x))(x), expected, rtol=1e-15)


@pytest.mark.usefixtures("x64")
def test_a_batched_function_gets_a_batch_of_one() -> None:
    shapes = []

    def fn(params: jax.Array, x: jax.Array) -> jax.Array:
        shapes.append(x.shape)
        return x @ params

    weight = np.arange(6.0).reshape(3, 2)
    forward = Function(fn, weight, batched=True, input_shape=(3,))
    np.testing.assert_allclose(forward(jnp.ones(3)), weight.sum(0))
    x = jnp.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(jax.vmap(forward)(x), x @ weight)
    assert set(shapes) == {(1, 3)}


@pytest.mark.usefixtures("x64")
def test_a_recurrent_network_is_its_loop() -> None:
    x = np.linspace(-1, 1, 12).reshape(6, 2)
    h = np.zeros(4)
    for x_t in x:
        h = np.tanh(RECURRENT["a"] @ h + RECURRENT["b"] @ x_t)
    found = Function(recurrent, RECURRENT)(jnp.asarray(x))
    np.testing.assert_allclose(found, RECURRENT["c"] @ h, rtol=1e-13)


def test_params_become_double_and_stay_what_they_are() -> None:
    params = {
        "f32": jnp.ones(2),
        "bf16": jnp.ones(2, jnp.bfloat16),
        "f16": np.ones(2, np.float16),
        "number": 0.1,
        "int": np.arange(2),
        "none": None,
    }
    kept = Function(lambda p, x: x, params).params
    dtypes = {name: leaf.dtype.name for name, leaf in kept.items() if leaf is not None}
    assert dtypes == {
        "f32": "float64",
        "bf16": "float64",
        "f16": "float64",
        "number": "float64",
        "int": "int64",
    }
    assert kept["number"] == 0.1
    assert kept["none"] is None


@pytest.mark.usefixtures("x64")
def test_params_may_be_traced() -> None:
    """A derivative with respect to the weights passes through the constructor."""

    def loss(w: jax.Array) -> jax.Array:
        return Function(lambda p, x: p * x, w)(jnp.array(3.0))

    assert jax.grad(loss)(2.0) == 3.0


@pytest.mark.usefixtures("x64")
def test_a_scalar_stays_a_scalar() -> None:
    assert Function(jnp.sum)(jnp.ones(3)).shape == ()
    assert Function(lambda x: jnp.sum(x, axis=1), batched=True)(jnp.ones(3)).shape == ()
    assert output_struct(Function(jnp.sum), (2, 2)).shape == ()


BAD_OUTPUTS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: (x, x), "returned a tuple of 2 items"),
    (lambda x: [x], "returned a list of 1 items"),
    (lambda x: {"mean": x, "std": x}, r"returned a dict with keys \['mean', 'std'\]"),
    (lambda x: None, r"returned nothing \(None\)"),
    (lambda x: jnp.argmax(x), "array of dtype int"),
    (lambda x: x > 0, "array of dtype bool"),
    (lambda x: x + 1j, "array of dtype complex"),
    (lambda x: 1.0, "returned a float"),
    (lambda x: 3, "returned an int"),
]


@pytest.mark.parametrize(("fn", "message"), BAD_OUTPUTS, ids=[text for _, text in BAD_OUTPUTS])
def test_an_output_that_is_no_real_array_is_named(fn: Callable[[Any], Any], message: str) -> None:
    for use in (lambda: Function(fn)(jnp.ones(3)), lambda: output_struct(Function(fn), (3,))):
        with pytest.raises(InputError, match=message):
            use()


def test_a_batch_of_one_must_come_back() -> None:
    with pytest.raises(InputError, match=r"shape \(\) for a batch of one.*batched=True"):
        Function(jnp.sum, batched=True)(jnp.ones(3))
    with pytest.raises(InputError, match=r"shape \(3,\) for a batch of one"):
        Function(lambda x: x[0], batched=True)(jnp.ones(3))


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Function(3), "fn is not a function"),
        (lambda: Function(dict), "fn is a class"),
        (lambda: Function(Unhashable()), "fn cannot be hashed"),
        (lambda: Function(affine_tanh, {"w": "text"}), r"params\['w'\] is a str"),
        (lambda: Function(affine_tanh, {"w": [1.0, np.nan]}), r"params\['w'\]\[1\] holds NaN"),
        (lambda: Function(jnp.sin, input_shape=(3, -1)), r"input_shape\[1\] must be a whole number"),
        (lambda: Function(jnp.sin, input_shape=(2.5,)), r"input_shape\[0\] must be a whole number"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def host_only(x: jax.Array) -> jax.Array:
    return jnp.asarray(np.tanh(np.asarray(x)))


@pytest.mark.parametrize(
    ("forward", "shape", "reason"),
    [
        (Function(affine_tanh, PARAMS), (4,), "TypeError|ValueError"),
        (Function(affine_tanh, PARAMS), (2, 3), "network cannot take an input of shape"),
        (Function(lambda x: x[7:8, 0]), (3,), "IndexError"),
        (Function(lambda x: x.no_such_name), (3,), "AttributeError"),
        (Function(host_only), (3,), "TracerArrayConversionError"),
        (Function(lambda x: 1 / 0), (3,), "ZeroDivisionError: division by zero"),
        (Function(jnp.sin, input_shape=(3,)), (4,), r"takes inputs of shape \(3,\)"),
    ],
)
def test_why_a_network_cannot_take_an_input(forward: Function, shape: tuple[int, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        output_struct(forward, shape)
    text = str(caught.value)
    assert text.startswith(f"network cannot take an input of shape {shape}: ")
    assert "\n" not in text


def test_single_precision_inside_is_seen() -> None:
    single = output_struct(Function(lambda x: x.astype(jnp.float32) * 2), (3,))
    assert (single.shape, single.dtype) == ((3,), np.float32)
    assert output_struct(Function(lambda x: x * 2), (3,)).dtype == np.float64


def test_nothing_is_computed_for_the_shape() -> None:
    """An output of 8 TB has a shape all the same."""
    struct = output_struct(Function(lambda x: jnp.zeros((10**6, 10**6)) + x), ())
    assert struct.shape == (10**6, 10**6)
