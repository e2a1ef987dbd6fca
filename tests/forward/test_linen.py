"""Flax Linen modules with their variables: the same numbers in double precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.forward import agreement, as_forward, fingerprint, load, output_struct

linen = pytest.importorskip("flax.linen", reason="Linen modules are tested where flax is installed")


class Net(linen.Module):
    """A layer with a dtype of its own, batch statistics and dropout."""

    training: bool = False
    inner: Any = linen.Dense(4, dtype=jnp.bfloat16)

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = linen.BatchNorm(use_running_average=not self.training)(self.inner(x))
        y = linen.Dropout(0.5, deterministic=not self.training)(jnp.tanh(y))
        return linen.Dense(2)(y)


def trained() -> tuple[Any, Any]:
    """The net with variables other than those it starts from."""
    net = Net()
    variables = net.init(jax.random.key(0), jnp.ones(3))
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), leaf.dtype), variables)
    return net, drawn


def expected(variables: Any, x: np.ndarray) -> np.ndarray:
    part = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    params, statistics = part["params"], part["batch_stats"]["BatchNorm_0"]
    y = x @ params["inner"]["kernel"] + params["inner"]["bias"]
    y = (y - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5)
    y = np.tanh(y * params["BatchNorm_0"]["scale"] + params["BatchNorm_0"]["bias"])
    return y @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]


def test_a_pair_and_a_bound_module_are_their_formula() -> None:
    net, variables = trained()
    pair, bound = as_forward((net, variables)), load(net.bind(variables))
    with double_precision():
        x = np.linspace(-1, 1, 3)
        for forward in (pair, bound):
            y = forward(jnp.asarray(x))
            assert y.dtype == np.float64
            np.testing.assert_allclose(y, expected(variables, x), rtol=1e-12)
    assert fingerprint(pair, (3,)) == fingerprint(bound, (3,))
    assert net.inner.dtype == jnp.bfloat16
    assert variables["params"]["inner"]["kernel"].dtype == jnp.float32


def test_the_laws_and_single_precision_outside(key: jax.Array) -> None:
    forward = as_forward(trained())
    found = agreement(forward, (3,), key, count=2)
    assert max(found.jit, found.vmap) < 1e-14
    assert found.gradient < 1e-8
    assert found.dtype == "float64"
    assert forward(jnp.ones(3)).dtype == np.float32


def test_other_weights_do_not_retrace() -> None:
    traces = []

    @jax.jit
    def value(forward: Any, x: jax.Array) -> jax.Array:
        traces.append(x.shape)
        return forward(x)

    net, variables = trained()
    other = jax.tree.map(lambda leaf: leaf + 1, variables)
    a, b = (value(as_forward((net, part)), jnp.ones(3)) for part in (variables, other))
    assert len(traces) == 1
    assert not np.allclose(a, b)


@pytest.mark.usefixtures("x64")
def test_a_batch() -> None:
    module = linen.Conv(2, (2,), padding="VALID")
    variables = module.init(jax.random.key(0), jnp.ones((1, 3, 1)))
    forward = as_forward((module, variables), batched=True)
    x = np.linspace(-1, 1, 3)[:, None]
    kernel = np.asarray(variables["params"]["kernel"], np.float64)[:, 0]
    y = np.stack([x[i : i + 2, 0] @ kernel for i in range(2)])
    np.testing.assert_allclose(forward(jnp.asarray(x)), y, rtol=1e-12)


class Two(linen.Module):
    """A tuple of layers, and a setting that no program could be found by."""

    parts: tuple[Any, ...] = (linen.Dense(2, dtype=jnp.bfloat16),)
    table: Any = None

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.parts[0](x)


class Bare(linen.Module):
    """Cannot be called."""


def test_kinds_of_modules_and_of_variables() -> None:
    """Boxed weights, statistics alone, layers in a tuple, a module that is bound already."""
    inner = linen.with_partitioning(linen.initializers.ones, (None, None))
    dense = linen.Dense(2, kernel_init=inner, dtype=jnp.bfloat16)
    boxed = dense.init(jax.random.key(0), jnp.ones(3))
    assert isinstance(boxed["params"]["kernel"], linen.Partitioned)
    forward = as_forward((dense, boxed))
    assert type(forward.variables["params"]["kernel"]) is np.ndarray
    plain = {"params": {"kernel": np.ones((3, 2)), "bias": np.zeros(2)}}
    statistics = {"batch_stats": {"mean": np.full(3, 0.1), "var": np.full(3, 0.5)}}
    norm = linen.BatchNorm(use_running_average=True, use_scale=False, use_bias=False, epsilon=0.0)
    with double_precision():
        x = jnp.asarray([0.1, 0.2, 1 / 3])
        for pair in (
            (dense, boxed),
            (dense.bind(plain), plain),
            (Two(), {"params": {"parts_0": plain["params"]}}),
        ):
            np.testing.assert_allclose(as_forward(pair)(x), np.full(2, 0.3 + 1 / 3), rtol=1e-14)
        np.testing.assert_allclose(as_forward((norm, statistics))(x), (x - 0.1) / np.sqrt(0.5), rtol=1e-14)
    whole = linen.Dense(2, dtype=jnp.complex64)
    assert as_forward((whole, plain)).module.dtype == jnp.complex64
    bound = linen.Sequential((jnp.tanh,)).bind({})
    assert as_forward((bound, {"params": {}})).module.scope is None  # programs hold no variables


def test_what_cannot_be_read_says_so() -> None:
    net, variables = trained()
    with pytest.raises(InputError, match="Bare cannot be called"):
        as_forward((Bare(), variables))
    with pytest.raises(InputError, match="Two has a setting that cannot be hashed"):
        as_forward((Two(table=np.ones(2)), variables))
    with pytest.raises(InputError, match=r"Linen module Net is not bound.*load\(\(module, variables\)\)"):
        as_forward(net)
    with pytest.raises(InputError, match="without 'params'"):
        as_forward((net, variables["params"]))
    with pytest.raises(InputError, match="without 'params'"):
        as_forward((net, 3))
    with pytest.raises(InputError, match=r"would change its variables.*use_running_average"):
        output_struct(as_forward((Net(training=True), variables)), (3,))
    dropout = linen.Dropout(0.5, deterministic=False)
    with pytest.raises(InputError, match=r"draws random numbers in inference.*deterministic=True"):
        output_struct(as_forward((dropout, {"params": {}})), (3,))
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, variables)
    with pytest.raises(InputError, match=r"Net\['batch_stats'\].* holds NaN"):
        as_forward((net, broken))
