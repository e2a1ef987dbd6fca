"""What holds for every forward: it computes the same however it is called, in the precision of the run."""

import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv.forward import AbstractForward, Function, agreement, as_forward, fingerprint, output_struct
from tests.forward.zoo import ZOO

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=ZOO)
def case(request: pytest.FixtureRequest) -> tuple[AbstractForward, tuple[int, ...]]:
    make, shape = ZOO[request.param]
    return make(), shape


def test_jit_vmap_and_gradient_agree(case: tuple[AbstractForward, tuple[int, ...]], key: jax.Array) -> None:
    forward, shape = case
    found = agreement(forward, shape, key, count=3)
    assert found.jit < 1e-14
    assert found.vmap < 1e-14
    assert found.gradient < 1e-8
    assert found.finite == 1
    assert found.dtype == "float64"
    assert found.shape == output_struct(forward, shape).shape


def test_the_shape_is_known_or_not_said(case: tuple[AbstractForward, tuple[int, ...]]) -> None:
    forward, shape = case
    assert forward.input_shape in (None, shape)
    assert as_forward(forward) is forward


def test_leaves_are_host_arrays(case: tuple[AbstractForward, tuple[int, ...]]) -> None:
    """Made outside double precision, a JAX array would be rounded, and other leaves would not pass jit."""
    for leaf in jax.tree.leaves(case[0]):
        assert isinstance(leaf, np.ndarray)
        assert leaf.dtype in (np.float64, np.float32)


def test_single_precision_outside(case: tuple[AbstractForward, tuple[int, ...]], key: jax.Array) -> None:
    forward, shape = case
    x = jax.random.normal(key, shape)
    y = forward(x)
    assert y.dtype == np.float32
    with double_precision():
        exact = forward(jnp.asarray(np.asarray(x, np.float64)))
    assert exact.dtype == np.float64
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_other_weights_do_not_retrace(case: tuple[AbstractForward, tuple[int, ...]]) -> None:
    forward, shape = case
    traces = []

    @jax.jit
    def value(forward: AbstractForward, x: jax.Array) -> jax.Array:
        traces.append(x.shape)
        return forward(x)

    x = jnp.full(shape, 0.3)
    first = value(forward, x)
    other = jax.tree.map(lambda leaf: leaf + 1, forward)
    second = value(other, x)
    assert len(traces) == 1
    np.testing.assert_allclose(second, other(x), rtol=1e-13)
    if jax.tree.leaves(forward):
        assert not np.allclose(first, second)


def test_a_program_in_single_precision_does_not_round_a_later_run(
    case: tuple[AbstractForward, tuple[int, ...]], key: jax.Array
) -> None:
    """A user compiles f in single precision and keeps it; JAX 0.12 then remembers constants as float32."""
    forward, shape = case
    with double_precision():
        x = jax.random.normal(key, shape, np.float64)
        expected = jax.tree.map(np.copy, forward)(x)
    compiled = jax.jit(lambda x: forward(x))
    assert compiled(np.asarray(x, np.float32)).dtype == np.float32
    with double_precision():
        np.testing.assert_allclose(forward(x), expected, rtol=1e-13)
        np.testing.assert_allclose(jax.jit(lambda forward, x: forward(x))(forward, x), expected, rtol=1e-13)
    del compiled


def test_a_new_object_of_equal_structure_does_not_retrace() -> None:
    traces = []

    @jax.jit
    def value(forward: AbstractForward, x: jax.Array) -> jax.Array:
        traces.append(x.shape)
        return forward(x)

    for name in ("params", "layered", "equinox mlp", "equinox dropout"):
        before = len(traces)
        make, shape = ZOO[name]
        value(make(), jnp.zeros(shape))
        value(make(), jnp.zeros(shape))
        assert len(traces) == before + 1, name


def test_a_fingerprint_is_that_of_the_weights(case: tuple[AbstractForward, tuple[int, ...]]) -> None:
    forward, shape = case
    found = fingerprint(forward, shape)
    assert len(found) == 64
    assert found == fingerprint(jax.tree.map(np.copy, forward), shape)
    leaves, structure = jax.tree.flatten(forward)
    for i, leaf in enumerate(leaves):
        changed = leaf.copy()
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.inf)
        other = jax.tree.unflatten(structure, [*leaves[:i], changed, *leaves[i + 1 :]])
        assert fingerprint(other, shape) != found


def closing_over(weight: np.ndarray, number: float = 0.5) -> Function:
    inner = jax.jit(lambda x: jnp.asarray(weight) @ x)
    return Function(lambda x: number * jax.nn.relu(inner(x)))


def test_a_fingerprint_sees_constants_of_inner_programs() -> None:
    """Of a constant the text of a program shows at most some digits."""
    weight = np.arange(6.0).reshape(2, 3)
    found = fingerprint(closing_over(weight), (3,))
    assert found == fingerprint(closing_over(weight.copy()), (3,))
    changed = weight.copy()
    changed[1, 2] = np.nextafter(5, 6)
    assert fingerprint(closing_over(changed), (3,)) != found
    assert fingerprint(closing_over(weight, np.nextafter(0.5, 1)), (3,)) != found


def test_a_fingerprint_sees_the_operations() -> None:
    prints = {fingerprint(Function(f), (3,)) for f in (jnp.sin, jnp.cos, lambda x: jnp.cos(x) + 1)}
    assert len(prints) == 3


SCRIPT = """
from probinv.forward import fingerprint
from tests.forward.zoo import ZOO
for make, shape in ZOO.values():
    print(fingerprint(make(), shape))
"""


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_another_process() -> None:
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [fingerprint(make(), shape) for make, shape in ZOO.values()]


class Swapped(AbstractForward):
    """f(x) = x under jit or vmap, -x otherwise: what an impure network can do."""

    @property
    def input_shape(self) -> None:
        return None

    def __call__(self, x: jax.Array) -> jax.Array:
        return x if isinstance(x, jax.core.Tracer) else -x


@jax.custom_jvp
def wrong_slope(x: jax.Array) -> jax.Array:
    return jnp.sin(x)


wrong_slope.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), 1.1 * jnp.cos(primals[0]) * tangents[0]))


def test_agreement_sees_what_does_not_agree(key: jax.Array) -> None:
    swapped = agreement(Swapped(), (3,), key)
    assert swapped.jit > 0.1
    assert swapped.vmap > 0.1
    assert agreement(Function(wrong_slope), (3,), key).gradient > 1e-3


def test_agreement_tells_single_precision(key: jax.Array) -> None:
    found = agreement(Function(lambda x: jnp.tanh(x.astype(jnp.float32))), (3,), key)
    assert found.dtype == "float32"
    assert found.gradient < 1e-2


def not_above(x: jax.Array) -> jax.Array:
    """NaN for x_0 > 0."""
    return jnp.sqrt(-x) * jnp.ones(2)


def test_nan_in_a_region_is_a_value(key: jax.Array) -> None:
    found = agreement(Function(lambda x: not_above(x[0])), (3,), key, count=16)
    assert found.jit < 1e-14
    assert found.vmap < 1e-14
    assert 0 < found.finite < 1
    assert found.gradient < 1e-7
    nowhere = agreement(Function(lambda x: x * jnp.nan), (3,), key, count=2)
    assert nowhere.finite == 0
    assert np.isnan(nowhere.gradient)


def test_nan_against_a_number_is_no_agreement(key: jax.Array) -> None:
    class Half(AbstractForward):
        @property
        def input_shape(self) -> None:
            return None

        def __call__(self, x: jax.Array) -> jax.Array:
            return x if isinstance(x, jax.core.Tracer) else x * jnp.nan

    found = agreement(Half(), (2,), key, count=2)
    assert found.jit == np.inf


def test_keys_in_a_forward_are_part_of_its_fingerprint() -> None:
    class Keyed(AbstractForward):
        key: jax.Array
        name: str = eqx.field(static=True)

        @property
        def input_shape(self) -> None:
            return None

        def __call__(self, x: jax.Array) -> jax.Array:
            return x + jax.random.normal(self.key, x.shape)

    first, second = (fingerprint(Keyed(jax.random.key(seed), "n"), (2,)) for seed in (0, 1))
    assert first != second
