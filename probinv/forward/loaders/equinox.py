"""Equinox modules."""

import inspect
from typing import Any, final

import equinox as eqx
import jax

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._leaves import device_leaf, host_leaf, is_array
from probinv.forward._single import single
from probinv.forward.loaders._noise import check_no_noise


def load(obj: Any, *, batched: bool = False) -> "EquinoxForward":
    """y = module(x), in inference mode and in double precision.

    Args:
        obj: a callable `eqx.Module`; it stays as it is.
        batched: it takes and returns a leading batch axis.

    Raises:
        InputError: it cannot be called, keeps a state, or has weights that are NaN.
    """
    return EquinoxForward(obj, batched)


@final
class EquinoxForward(AbstractForward):
    """y = module(x), in inference mode (`eqx.nn.inference_mode`).

    The arrays of the module are leaves, floats as float64 NumPy; everything else in it is static. Arrays
    kept in another static field, or a fixed dtype in the module's code, are out of reach of this: such a
    network shows itself by the dtype of its output. A module whose `__call__` needs a `key` gets a fixed
    one, and is refused when called if its output depends on it.

    Args:
        module: a callable `eqx.Module`.
        batched: it takes and returns a leading batch axis.
    """

    arrays: tuple[Any, ...]
    rest: tuple[Any, ...] = eqx.field(static=True)
    structure: Any = eqx.field(static=True)
    batched: bool = eqx.field(static=True)
    needs_key: bool = eqx.field(static=True)
    _input_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, module: Any, batched: bool = False) -> None:
        _check_module(module)
        path_leaves, self.structure = jax.tree_util.tree_flatten_with_path(eqx.nn.inference_mode(module))
        self.arrays = tuple(
            host_leaf(type(module).__name__ + jax.tree_util.keystr(path), leaf)
            for path, leaf in path_leaves
            if is_array(leaf)
        )
        self.rest = tuple(_Array if is_array(leaf) else leaf for _, leaf in path_leaves)
        _check_hashable(self.rest)
        self.batched = bool(batched)
        self.needs_key = _needs_key(module)
        self._input_shape = None if batched else _input_shape(module)

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        return self._input_shape

    def module(self) -> Any:
        """The module in inference mode, with its arrays as they are kept here."""
        return self._module(list(self.arrays))

    def _module(self, arrays: list[Any]) -> Any:
        left = iter(arrays)
        return jax.tree.unflatten(
            self.structure, [next(left) if leaf is _Array else leaf for leaf in self.rest]
        )

    def __call__(self, x: X) -> Y:
        module = self._module([device_leaf(array) for array in self.arrays])
        if not self.needs_key:
            return single(module, x, batched=self.batched)

        def with_key(key: Any, x: X) -> Y:
            return single(lambda batch: module(batch, key=key), x, batched=self.batched)

        key = jax.random.key(0)
        check_no_noise(with_key, key, x)
        return with_key(key, x)


@final
class _Array:
    """Stands among the static leaves where an array was taken out."""


def _check_module(module: Any) -> None:
    if not callable(module):
        raise InputError(
            f"{type(module).__name__} cannot be called",
            "an Equinox module needs a __call__ to be a network",
            "give one of its methods, such as module.forward",
        )
    leaves = jax.tree.leaves(module, is_leaf=lambda leaf: isinstance(leaf, eqx.nn.StateIndex))
    if any(isinstance(leaf, eqx.nn.StateIndex) for leaf in leaves):
        raise InputError(
            f"{type(module).__name__} keeps a state",
            "its call takes the state as a second argument (batch norm does)",
            "give a function: lambda x: eqx.nn.inference_mode(module)(x, state)[0]",
        )


def _check_hashable(rest: tuple[Any, ...]) -> None:
    try:
        hash(rest)
    except TypeError as error:
        raise InputError(
            "the module has a setting that cannot be hashed",
            f"{error}, and compiled programs are found by it",
            "keep arrays, numbers, text and tuples in its fields",
        ) from None


def _needs_key(module: Any) -> bool:
    """Whether the call has a `key` argument without a default."""
    try:
        key = inspect.signature(module).parameters.get("key")
    except (TypeError, ValueError):
        return False
    return key is not None and key.default is inspect.Parameter.empty


def _input_shape(module: Any) -> tuple[int, ...] | None:
    """The shape that the library's own first layers fix; None for anything else."""
    if isinstance(module, eqx.nn.Sequential) and len(module.layers):
        return _input_shape(module.layers[0])
    if isinstance(module, eqx.nn.MLP):
        size = module.in_size
    elif isinstance(module, eqx.nn.Linear):
        size = module.in_features
    else:
        return None
    return () if size == "scalar" else (size,)
