"""Shape and dtype of an output, found without computing it."""

import equinox as eqx
import jax
import jax.numpy as jnp

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv.forward._base import AbstractForward


def output_struct(forward: AbstractForward, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    """Shape and dtype of y = f(x) for a float64 x of that shape.

    A dtype other than float64 says that the network rounds to single precision inside.

    Args:
        forward: the network.
        shape: shape of one input.

    Raises:
        InputError: the network cannot take such an input, with the reason it gives, or does not
            return one array of real numbers.
    """
    shape = tuple(int(size) for size in shape)
    wanted = forward.input_shape
    if wanted is not None and wanted != shape:
        raise _cannot_take(shape, f"it takes inputs of shape {wanted}")
    with double_precision():
        try:
            struct = eqx.filter_eval_shape(_call, forward, jax.ShapeDtypeStruct(shape, jnp.float64))
        except InputError:
            raise
        except Exception as error:
            raise _cannot_take(shape, _reason(error)) from error
    if not isinstance(struct, jax.ShapeDtypeStruct) or not jnp.issubdtype(struct.dtype, jnp.floating):
        raise InputError(
            f"the network returned {struct}",
            "an output must be one array of real numbers",
            "return one array",
        )
    return struct


def _call(forward: AbstractForward, x: jax.Array) -> jax.Array:
    return forward(x)


def _cannot_take(shape: tuple[int, ...], reason: str) -> InputError:
    return InputError(
        f"network cannot take an input of shape {shape}: {reason}",
        "",
        "check the shape of one input (no batch axis, or batched=True where the network needs one)",
    )


def _reason(error: Exception) -> str:
    """The first line of an error, with its type where the text alone says little."""
    lines = str(error).strip().splitlines()
    first = lines[0].rstrip(".:") if lines else ""
    if len(first) > 300:
        first = first[:297] + "..."
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
