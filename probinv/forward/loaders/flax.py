"""Flax modules: NNX here, Linen in `linen`."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._leaves import device_leaf, host_leaf
from probinv.forward._single import single
from probinv.forward.loaders._noise import check_no_noise
from probinv.forward.loaders.linen import load_bound


def load(obj: Any, *, batched: bool = False) -> AbstractForward:
    """y = model(x), in evaluation mode and in double precision.

    Args:
        obj: a callable `nnx.Module`, or a Linen module bound to its variables; it stays as it is.
        batched: it takes and returns a leading batch axis. Dense, convolution and recurrent layers of
            NNX take one example; a model that reshapes or reduces over its batch does not.

    Raises:
        InputError: it cannot be called, is a Linen module without variables, or has weights that are NaN.
    """
    from flax import nnx

    if not isinstance(obj, nnx.Module):
        return load_bound(obj, batched=batched)
    if not callable(obj):
        raise InputError(
            f"{type(obj).__name__} cannot be called",
            "an NNX module needs a __call__ to be a network",
            "add one",
        )
    copy = nnx.clone(obj)
    copy.eval()
    _in_default_precision(copy)
    graph, state = nnx.split(copy)
    state = jax.tree_util.tree_map_with_path(
        lambda path, leaf: host_leaf(type(obj).__name__ + jax.tree_util.keystr(path), leaf), state
    )
    return FlaxForward(graph, state, bool(batched))


@final
class FlaxForward(AbstractForward):
    """y = model(x), with the model merged anew from its graph and its state at every call.

    Args:
        graph: `nnx.GraphDef` of the model in evaluation mode, static.
        state: `nnx.State`, its arrays are leaves, floats as float64 NumPy.
        batched: it takes and returns a leading batch axis.
    """

    graph: Any = eqx.field(static=True)
    state: Any
    batched: bool = eqx.field(static=True)

    @property
    def input_shape(self) -> None:
        return None

    def __call__(self, x: X) -> Y:
        from flax import nnx

        leaves, structure = jax.tree.flatten(jax.tree.map(device_leaf, self.state))

        def call(leaves: list[Any], x: X) -> Y:
            # copy=True: variables of this trace level, which recurrent cells and dropout count on
            model = nnx.merge(self.graph, jax.tree.unflatten(structure, leaves), copy=True)
            return single(model, x, batched=self.batched)

        is_key = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
        if any(is_key):

            def with_keys(keys: list[Any], x: X) -> Y:
                new = iter(keys)
                return call([next(new) if k else leaf for leaf, k in zip(leaves, is_key, strict=True)], x)

            check_no_noise(with_keys, [leaf for leaf, k in zip(leaves, is_key, strict=True) if k], x)
        return call(leaves, x)


def _in_default_precision(model: Any) -> None:
    """Replaces the floating dtypes fixed in the layers by `float`: float64 inside `double_precision`.

    Without it a recurrent cell starts from a float32 carry and its scan fails in double precision.
    """
    from flax import nnx

    for _, module in nnx.iter_modules(model):
        for name in ("dtype", "param_dtype"):
            dtype = getattr(module, name, None)
            if dtype is not None and jnp.issubdtype(dtype, jnp.floating):
                setattr(module, name, float)
