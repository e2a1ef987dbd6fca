"""The state of long work as named arrays: what a run is continued from."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError


def save_state(state: Any) -> dict[str, np.ndarray]:
    """The state's arrays by name. Keys are left out: they follow from the seed and the step."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {
        _name(path): np.asarray(leaf)
        for path, leaf in leaves
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    }


def restore_state(state: Any, saved: dict[str, np.ndarray], *, same_shapes: bool = True) -> Any:
    """`state` with the saved arrays in place of its own, of the same shapes unless some may have grown.

    Raises:
        InputError: an array is missing, or of another shape.
    """

    def pick(path: Any, leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        value = saved.get(_name(path))
        if value is None or (same_shapes and value.shape != leaf.shape):
            raise InputError(
                "resume is not a state of this method",
                f"the entry {_name(path)} is missing or has another shape",
                "resume with the method, chains and posterior of the interrupted run",
            )
        return jnp.asarray(value, leaf.dtype)

    return jax.tree_util.tree_map_with_path(pick, state)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="_")
