"""Flax NNX models: the same numbers in double precision, in evaluation mode, the user's model untouched."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.forward import agreement, as_forward, fingerprint, output_struct

nnx = pytest.importorskip("flax.nnx")


class Net(nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(4, 2, dtype=jnp.bfloat16, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(self.dropout(jnp.tanh(self.norm(self.first(x)))))


class Sequence(nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.rnn = nnx.RNN(nnx.LSTMCell(2, 3, rngs=rngs))
        self.last = nnx.Linear(3, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(self.rnn(x)[-1])


class Image(nnx.Module):
    """Needs a batch: it flattens all but the first axis."""

    def __init__(self, rngs: Any) -> None:
        self.convolution = nnx.Conv(1, 2, (3, 3), rngs=rngs)
        self.last = nnx.Linear(32, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jnp.tanh(self.convolution(x))
        return self.last(y.reshape(len(y), -1))


def trained() -> Net:
    """With statistics and biases other than those it starts from, and left in training mode."""
    net = Net(nnx.Rngs(0))
    net.norm.mean[...] = jnp.arange(4.0)
    net.norm.var[...] = 1 + jnp.arange(4.0)
    net.first.bias[...] = jnp.linspace(-1, 1, 4)
    return net


def double(variable: Any) -> np.ndarray:
    return np.asarray(variable[...], np.float64)


def expected(net: Net, x: np.ndarray) -> np.ndarray:
    y = x @ double(net.first.kernel) + double(net.first.bias)
    y = (y - double(net.norm.mean)) / np.sqrt(double(net.norm.var) + net.norm.epsilon)
    y = np.tanh(y * double(net.norm.scale) + double(net.norm.bias))
    return y @ double(net.last.kernel) + double(net.last.bias)


def test_it_is_its_formula_in_double_precision() -> None:
    net = trained()
    forward = as_forward(net)
    with double_precision():
        x = np.linspace(-1, 1, 3)
        y = forward(jnp.asarray(x))
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, expected(net, x), rtol=1e-13)


def test_the_model_is_untouched() -> None:
    net = trained()
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(net, nnx.Param)))
    with double_precision():
        as_forward(net)(jnp.ones(3))
    assert net.dropout.deterministic is False
    assert net.norm.use_running_average is False
    assert net.first.param_dtype == jnp.float32
    assert net.last.dtype == jnp.bfloat16
    assert net.dropout.rngs.count[...] == 0
    after = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(net, nnx.Param)))
    jax.tree.map(np.testing.assert_array_equal, before, after)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32"}


def test_what_was_read_does_not_change_with_the_model() -> None:
    net = trained()
    forward = as_forward(net)
    found = fingerprint(forward, (3,))
    net.first.kernel[...] = jnp.zeros((3, 4))
    assert fingerprint(forward, (3,)) == found
    assert fingerprint(as_forward(net), (3,)) != found


@pytest.mark.usefixtures("x64")
def test_a_convolution_with_its_batch_axis(key: jax.Array) -> None:
    net = Image(nnx.Rngs(0))
    forward = as_forward(net, batched=True)
    x = jax.random.normal(key, (4, 4, 1))
    single = net(x.astype(np.float32)[None])[0]
    np.testing.assert_allclose(forward(x), single, rtol=1e-4, atol=1e-5)
    assert forward(x).dtype == np.float64
    with pytest.raises(InputError, match=r"cannot take an input of shape \(4, 4, 1\).*batched=True"):
        output_struct(as_forward(net), (4, 4, 1))


LAWS: dict[str, tuple[Any, tuple[int, ...], bool]] = {
    "net": (trained, (3,), False),
    "sequence": (lambda: Sequence(nnx.Rngs(0)), (5, 2), False),
    "image": (lambda: Image(nnx.Rngs(0)), (4, 4, 1), True),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_laws(name: str, key: jax.Array) -> None:
    make, shape, batched = LAWS[name]
    forward = as_forward(make(), batched=batched)
    found = agreement(forward, shape, key, count=3)
    assert found.jit < 1e-14
    assert found.vmap < 1e-14
    assert found.gradient < 1e-8
    assert found.dtype == "float64"


@pytest.mark.parametrize("name", LAWS)
def test_single_precision_outside(name: str, key: jax.Array) -> None:
    """And compiled there first, it is not rounded in double precision afterwards."""
    make, shape, batched = LAWS[name]
    forward, unused = (as_forward(make(), batched=batched) for _ in range(2))
    x = jax.random.normal(key, shape)
    compiled = jax.jit(lambda x: forward(x))
    single = compiled(x)
    assert single.dtype == np.float32
    with double_precision():
        x64 = jnp.asarray(np.asarray(x, np.float64))
        exact = unused(x64)
        np.testing.assert_allclose(forward(x64), exact, rtol=1e-14)
        np.testing.assert_allclose(single, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_a_recurrent_model_is_its_loop() -> None:
    net = Sequence(nnx.Rngs(0))
    x = np.linspace(-1, 1, 10).reshape(5, 2)
    cell, h, c = net.rnn.cell, np.zeros(3), np.zeros(3)

    def gate(name: str, x_t: np.ndarray, h: np.ndarray) -> np.ndarray:
        into, back = getattr(cell, "if_" if name == "f" else "i" + name), getattr(cell, "h" + name)
        return x_t @ double(into.kernel) + h @ double(back.kernel) + double(back.bias)

    for x_t in x:
        i, f, o = (1 / (1 + np.exp(-gate(name, x_t, h))) for name in "ifo")
        c = f * c + i * np.tanh(gate("g", x_t, h))
        h = o * np.tanh(c)
    y = h @ double(net.last.kernel) + double(net.last.bias)
    np.testing.assert_allclose(as_forward(net)(jnp.asarray(x)), y, rtol=1e-13)


def test_other_weights_do_not_retrace() -> None:
    traces = []

    @jax.jit
    def value(forward: Any, x: jax.Array) -> jax.Array:
        traces.append(x.shape)
        return forward(x)

    net = trained()
    first = as_forward(net)
    net.last.bias[...] = jnp.ones(2)
    other = as_forward(net)
    with double_precision():
        x = jnp.ones(3)
        np.testing.assert_allclose(value(other, x) - value(first, x), 1, rtol=1e-12)
    assert len(traces) == 1


class Noisy(nnx.Module):
    def __init__(self, rngs: Any) -> None:
        self.rngs = rngs.fork()

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.rngs.default.normal(x.shape)


class Bare(nnx.Module):
    pass


def test_what_cannot_be_read_says_so() -> None:
    from flax import linen

    with pytest.raises(InputError, match="draws random numbers in inference"):
        output_struct(as_forward(Noisy(nnx.Rngs(0))), (3,))
    with pytest.raises(InputError, match="Bare cannot be called"):
        as_forward(Bare())
    with pytest.raises(InputError, match=r"Linen module Dense is not bound.*module\.bind\(variables\)"):
        as_forward(linen.Dense(2))
    net = trained()
    net.last.bias[...] = jnp.full(2, jnp.nan)
    with pytest.raises(InputError, match=r"Net\['last'\]\['bias'\].* holds NaN"):
        as_forward(net)
