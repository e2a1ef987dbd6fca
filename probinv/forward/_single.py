"""One example through a callable, and the check that one real array comes out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError
from probinv._typing import X, Y


def one_input(x: X, shape: tuple[int, ...] | None) -> X:
    """x as floats, in the precision of now: float64 inside `double_precision`, else float32.

    Raises:
        InputError: it is not of the shape, where that is known.
    """
    x = jnp.asarray(x, dtype=float)
    if shape not in (None, x.shape):
        raise InputError(
            f"x has shape {x.shape}",
            f"the network takes inputs of shape {shape}",
            "give one input without a batch axis, or use jax.vmap",
        )
    return x


def single(call: Callable[[Any], Any], x: X, *, batched: bool) -> Y:
    """y = call(x), or y = call(x[None])[0] for a callable that takes a batch.

    Args:
        call: the network.
        x: one input.
        batched: whether `call` takes and returns a leading batch axis.

    Raises:
        InputError: the callable did not return one array of real numbers, or not a batch of one.
    """
    if not batched:
        return _real_array(call(x))
    y = _real_array(call(jnp.asarray(x)[None]))
    if y.ndim == 0 or y.shape[0] != 1:
        raise InputError(
            f"the network returned shape {y.shape} for a batch of one",
            "with batched=True its output needs a leading axis of length 1",
            "leave batched=True out if the network takes one example",
        )
    return y[0]


def _real_array(output: Any) -> Y:
    """The output as a JAX array, or an InputError that names what it is."""
    if not isinstance(output, jax.Array | np.ndarray | np.floating):
        raise InputError(
            f"the network returned {_describe(output)}",
            "an output must be one array of real numbers",
            "wrap the network in a function that returns one array",
        )
    if not jnp.issubdtype(output.dtype, jnp.floating):
        raise InputError(
            f"the network returned an array of dtype {output.dtype}",
            "an output must be one array of real numbers, in floating point, to have a gradient",
            "return logits, probabilities or real and imaginary parts as floating-point numbers",
        )
    return jnp.asarray(output)


def _describe(output: Any) -> str:
    name = type(output).__name__
    article = "an" if name[0] in "aeiou" else "a"
    if isinstance(output, dict):
        return f"a dict with keys {list(output)[:5]}"
    if isinstance(output, tuple | list):
        return f"a {name} of {len(output)} items"
    return "nothing (None)" if output is None else f"{article} {name}"
