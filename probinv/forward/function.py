"""Any JAX-traceable callable as a forward network."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._leaves import device_leaf, host_leaf
from probinv.forward._single import single


@final
class Function(AbstractForward):
    """y = fn(x), or y = fn(params, x).

    `fn` is static: another function compiles again. `params` are leaves of the pytree: other values
    of the same shapes do not. Arrays that `fn` closes over are constants of the compiled program.

    Args:
        fn: takes one x (or params and one x) and returns one array of real numbers, scalars included.
        params: any pytree of arrays; floating leaves are kept as float64, integers as they are.
        batched: fn takes and returns a leading batch axis; it is then called with a batch of one.
        input_shape: shape of one x, if known.

    Raises:
        InputError: fn is no function, params hold something other than numbers, or, when called, the
            output is not one array of real numbers.
    """

    params: Any
    fn: Callable[..., Any] = eqx.field(static=True)
    batched: bool = eqx.field(static=True)
    _input_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        fn: Any,
        params: Any = None,
        batched: bool = False,
        input_shape: Any = None,
    ) -> None:
        _check_callable(fn)
        self.fn = fn
        self.params = jax.tree_util.tree_map_with_path(
            lambda path, leaf: host_leaf("params" + jax.tree_util.keystr(path), leaf), params
        )
        self.batched = bool(batched)
        self._input_shape = as_shape("input_shape", input_shape)

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        return self._input_shape

    def __call__(self, x: X) -> Y:
        if self.params is None:
            return single(self.fn, x, batched=self.batched)
        params = jax.tree.map(device_leaf, self.params)
        return single(lambda batch: self.fn(params, batch), x, batched=self.batched)


def as_shape(name: str, shape: Any) -> tuple[int, ...] | None:
    """A shape as a tuple of whole numbers; a single number stands for a vector of that length."""
    if shape is None:
        return None
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    return tuple(as_count(f"{name}[{axis}]", size) for axis, size in enumerate(sizes))


def _check_callable(fn: Any) -> None:
    if not callable(fn) or isinstance(fn, type):
        what = "is a class" if isinstance(fn, type) else "is not a function"
        raise InputError(f"fn {what}", f"got {fn!r}"[:80], "give a function of x, or of params and x")
    try:
        hash(fn)
    except TypeError as error:
        raise InputError(
            "fn cannot be hashed",
            f"{error}, and compiled programs are found by it",
            "wrap it: lambda x: fn(x)",
        ) from None
