"""Equinox modules: the same numbers in double precision, in inference mode, the user's module untouched."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.forward import as_forward, output_struct
from tests.forward.zoo import Dropped, equinox_batched, equinox_dropout, equinox_mlp, equinox_recurrent


def test_an_mlp_is_its_formula_in_double_precision() -> None:
    mlp = equinox_mlp()
    forward = as_forward(mlp)
    with double_precision():
        x = np.linspace(-1, 1, 3)
        y = x
        for i, layer in enumerate(mlp.layers):
            y = np.asarray(layer.weight, np.float64) @ y + np.asarray(layer.bias, np.float64)
            y = np.tanh(y) if i < 2 else y
        np.testing.assert_allclose(forward(jnp.asarray(x)), y, rtol=1e-14)


def test_the_module_is_untouched_and_trainable() -> None:
    module = equinox_dropout()
    before = jax.tree.leaves(module)
    with double_precision():
        as_forward(module)(jnp.ones(3))
    for old, new in zip(before, jax.tree.leaves(module), strict=True):
        assert old is new
    assert module.dropout.inference is False
    assert module.linear.weight.dtype == np.float32


@pytest.mark.usefixtures("x64")
def test_dropout_is_off() -> None:
    module = equinox_dropout()
    x = jnp.array([0.1, 0.2, 0.3])
    weight, bias = (np.asarray(a, np.float64) for a in (module.linear.weight, module.linear.bias))
    np.testing.assert_allclose(as_forward(module)(x), 2 * np.tanh(weight @ x + bias), rtol=1e-14)


@pytest.mark.usefixtures("x64")
def test_a_recurrent_cell_is_its_loop() -> None:
    module = equinox_recurrent()
    cell = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), module.cell)
    x = jnp.linspace(-1, 1, 12).reshape(6, 2)
    h = jnp.zeros(4)
    for x_t in x:
        h = cell(x_t, h)
    found = as_forward(module)(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, h, rtol=1e-13)


@pytest.mark.usefixtures("x64")
def test_a_batched_module_takes_one() -> None:
    forward = equinox_batched()
    assert forward(jnp.ones(3)).shape == (2,)
    assert forward.input_shape is None


@pytest.mark.usefixtures("x64")
def test_methods_and_wrappers_are_modules_too() -> None:
    class Net(eqx.Module):
        mlp: eqx.nn.MLP

        def double(self, x: jax.Array) -> jax.Array:
            return 2 * self.mlp(x)

    net, x = Net(equinox_mlp()), jnp.ones(3)
    expected = 2 * as_forward(net.mlp)(x)
    np.testing.assert_allclose(as_forward(net.double)(x), expected, rtol=1e-15)
    np.testing.assert_allclose(2 * as_forward(eqx.filter_jit(net.mlp))(x), expected, rtol=1e-14)


def test_the_input_shape_is_read_where_it_is_fixed() -> None:
    key = jax.random.key(0)
    linear = eqx.nn.Linear(3, 2, key=key)
    assert as_forward(equinox_mlp()).input_shape == (3,)
    assert as_forward(eqx.nn.Sequential([linear, eqx.nn.Lambda(jnp.tanh)])).input_shape == (3,)
    assert as_forward(eqx.nn.Linear("scalar", 2, key=key)).input_shape == ()
    assert as_forward(equinox_recurrent()).input_shape is None


class Noisy(eqx.Module):
    scale: float

    def __call__(self, x: jax.Array, key: jax.Array) -> jax.Array:
        return x + self.scale * jax.jit(jax.random.normal, static_argnums=1)(key, x.shape)


class Settings(eqx.Module):
    options: Any
    fixed: Any = eqx.field(static=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x * self.fixed["scale"]


class Bare(eqx.Module):
    weight: jax.Array


def test_what_cannot_be_read_says_so() -> None:
    with pytest.raises(InputError, match="draws random numbers in inference"):
        output_struct(as_forward(Noisy(1.0)), (3,))
    with pytest.raises(InputError, match="draws random numbers in inference"):
        as_forward(Noisy(1.0))(jnp.ones(3))
    with pytest.raises(InputError, match="Bare cannot be called"):
        as_forward(Bare(jnp.ones(2)))
    with pytest.raises(InputError, match=r"setting that cannot be hashed.*unhashable type: 'set'"):
        as_forward(Settings({1, 2}, {"scale": 2.0}))
    with pytest.raises(InputError, match="BatchNorm keeps a state"):
        as_forward(eqx.nn.BatchNorm(3, "batch", mode="batch"))
    broken = eqx.tree_at(lambda m: m.linear.weight, equinox_dropout(), jnp.full((2, 3), jnp.nan))
    with pytest.raises(InputError, match=r"Dropped.linear.weight holds NaN"):
        as_forward(broken)
    with pytest.raises(
        InputError, match=r"cannot take an input of shape \(4,\).*takes inputs of shape \(3,\)"
    ):
        output_struct(as_forward(equinox_mlp()), (4,))


def test_a_batch_norm_works_as_a_function() -> None:
    """What the message about the state advises."""
    norm, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", mode="batch")
    forward = as_forward(lambda x: eqx.nn.inference_mode(norm)(x, state)[0])
    assert output_struct(forward, (3,)).shape == (3,)


def test_settings_are_static() -> None:
    """A module with another number in a plain field is another program, not the first one's."""
    linear = eqx.nn.Linear(3, 2, key=jax.random.key(1))
    value = jax.jit(lambda forward, x: forward(x))
    one, two = (value(as_forward(Dropped(linear, eqx.nn.Dropout(0.5), s)), jnp.ones(3)) for s in (1.0, 2.0))
    np.testing.assert_allclose(2 * one, two, rtol=1e-6)
    one, two = (value(as_forward(Settings("any", {"scale": s})), jnp.ones(3)) for s in (1.0, 2.0))
    np.testing.assert_allclose(2 * one, two, rtol=1e-6)
