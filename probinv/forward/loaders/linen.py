"""Flax Linen modules, with the variables that they need."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._leaves import device_leaf, host_leaf
from probinv.forward._single import single

BIND = "bind it: load(module.bind(variables)), or give both: load((module, variables))"


def load_pair(pair: tuple[Any, Any], *, batched: bool = False) -> "LinenForward":
    """y = module.apply(variables, x) of a pair (module, variables), as for a bound module.

    Args:
        pair: a Linen module and its variables, `{"params": ...}` with other collections if it has any.
        batched: it takes and returns a leading batch axis.

    Raises:
        InputError: it is no such pair, it cannot be called, or has weights that are NaN.
    """
    module, variables = pair
    if not hasattr(variables, "items") or ("params" not in variables and "batch_stats" not in variables):
        raise InputError(
            f"the variables of {type(module).__name__} are a {type(variables).__name__} without 'params'",
            "Linen keeps weights in collections by name",
            "give what module.init returned: {'params': ...}",
        )
    if not callable(module):
        raise InputError(
            f"{type(module).__name__} cannot be called",
            "a Linen module needs a __call__ to be a network",
            "add one",
        )
    name = type(module).__name__
    leaves = jax.tree_util.tree_map_with_path(
        lambda path, leaf: host_leaf(name + jax.tree_util.keystr(path), leaf), _plain(variables)
    )
    plain = _in_default_precision(module.clone(parent=None))
    try:
        hash(plain)
    except TypeError as error:
        raise InputError(
            f"{name} has a setting that cannot be hashed",
            f"{error}, and compiled programs are found by it",
            "keep numbers, text and tuples in its fields",
        ) from None
    return LinenForward(plain, leaves, bool(batched))


def load_bound(module: Any, *, batched: bool = False) -> "LinenForward":
    """y = module(x) of a module that was bound to its variables.

    Raises:
        InputError: it is not bound, or as of `load_pair`.
    """
    if module.scope is None:
        raise InputError(
            f"the Linen module {type(module).__name__} is not bound", "its weights lie outside of it", BIND
        )
    unbound, variables = module.unbind()
    return load_pair((unbound, variables), batched=batched)


@final
class LinenForward(AbstractForward):
    """y = module.apply(variables, x).

    The module is as its fields say: what is different in training (dropout, batch statistics) has to be
    switched off in them, `deterministic=True` and `use_running_average=True`; a module that draws random
    numbers, or would change its variables, is refused when called.

    Args:
        module: the `flax.linen.Module`, static, its fixed dtypes replaced by that of the run.
        variables: its collections; their arrays are leaves, floats as float64 NumPy.
        batched: it takes and returns a leading batch axis.
    """

    module: Any = eqx.field(static=True)
    variables: Any
    batched: bool = eqx.field(static=True)

    @property
    def input_shape(self) -> None:
        return None

    def __call__(self, x: X) -> Y:
        from flax import errors

        variables = jax.tree.map(device_leaf, self.variables)
        try:
            return single(lambda x: self.module.apply(variables, x), x, batched=self.batched)
        except errors.InvalidRngError as error:
            raise InputError(
                "the network draws random numbers in inference",
                str(error).split(" (")[0],
                "switch dropout off in its fields: deterministic=True",
            ) from error
        except errors.ModifyScopeVariableError as error:
            raise InputError(
                "the network would change its variables",
                str(error).split(" (")[0],
                "switch training off in its fields: use_running_average=True",
            ) from error


def _plain(variables: Any) -> dict[str, Any]:
    """The collections as plain dicts, without the boxes that Linen puts around sharded arrays."""
    from flax import linen

    return linen.unbox({name: dict(part) for name, part in variables.items()})


def _in_default_precision(module: Any) -> Any:
    """The module with every floating dtype fixed in its fields, at any depth, replaced by `float`."""
    from flax import linen

    def changed(value: Any) -> Any:
        if isinstance(value, linen.Module):
            return _in_default_precision(value)
        if isinstance(value, list) or (
            isinstance(value, tuple) and any(isinstance(part, linen.Module) for part in value)
        ):
            return tuple(changed(part) for part in value)  # lists cannot be hashed
        return value

    new: dict[str, Any] = {}
    for name in module.__dataclass_fields__:
        if name in ("parent", "name"):
            continue
        value = getattr(module, name, None)
        if name in ("dtype", "param_dtype") and value is not None and jnp.issubdtype(value, jnp.floating):
            new[name] = float
        elif (other := changed(value)) is not value:
            new[name] = other
    return module.clone(**new) if new else module
