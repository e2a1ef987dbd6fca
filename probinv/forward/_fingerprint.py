"""A hash of a network, for provenance."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from probinv._checks import double_precision
from probinv.forward._base import AbstractForward
from probinv.forward._leaves import is_array
from probinv.forward._struct import output_struct

_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+|\bid=\d+")


def fingerprint(forward: AbstractForward, shape: tuple[int, ...]) -> str:
    """sha256(program of f, its constants, its weights), in hexadecimal.

    Equal networks have equal fingerprints in any process with the same version of JAX; another weight,
    constant or operation gives another one. The body of a host callback inside a network (`pure_callback`)
    is not seen, only its place.

    Args:
        forward: the network.
        shape: shape of one input.

    Raises:
        InputError: the network cannot take such an input.
    """
    output_struct(forward, shape)
    arrays, rest = eqx.partition(forward, is_array)
    leaves, structure = jax.tree.flatten(arrays)

    def call(leaves: list[Any], x: jax.Array) -> jax.Array:
        return eqx.combine(jax.tree.unflatten(structure, leaves), rest)(x)

    with double_precision():
        structs = [jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for leaf in leaves]
        program = jax.make_jaxpr(call)(structs, jax.ShapeDtypeStruct(shape, jnp.float64))
    digest = hashlib.sha256(_ADDRESS.sub("", str(program)).encode())
    for array in [*_constants(program), *leaves]:
        _update(digest, array)
    return digest.hexdigest()


def _constants(value: Any) -> Iterator[Any]:
    """Every constant of a program in the order of its text, those of inner programs included.

    The text shows scalars only, and of inner programs not even how many constants there are.
    """
    if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
        # in some versions of JAX the two are one class, whose `jaxpr` is itself
        yield from getattr(value, "consts", ())
        jaxpr = getattr(value, "jaxpr", value)
        for equation in jaxpr.eqns:
            yield from (atom.val for atom in equation.invars if isinstance(atom, core.Literal))
            for _, inner in sorted(equation.params.items()):
                yield from _constants(inner)
        yield from (atom.val for atom in jaxpr.outvars if isinstance(atom, core.Literal))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _constants(item)
    elif isinstance(value, np.ndarray):
        yield value


def _update(digest: Any, array: Any) -> None:
    if jnp.issubdtype(getattr(array, "dtype", np.float64), jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    host = np.asarray(array)
    digest.update(f"{host.dtype.name}{host.shape}".encode())
    digest.update(np.ascontiguousarray(host).tobytes())
