"""What an operator is, and the registry of those that are understood."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, final

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError

Value = Any
"""A tensor: a NumPy array if it is known before x is (shapes, indices), else a JAX array."""

STATIC_LIMIT = 2**16
"""Most elements that a tensor known in advance may have to be computed with on the host."""
SIZE_LIMIT = 2**28
"""Most elements of any tensor."""


@final
@dataclass(frozen=True, eq=False)
class Node:
    """One operation of a graph, checked against the definition of its operator.

    Args:
        name: how messages call it.
        operator: what computes it.
        version: the opset in which this meaning of the operator began.
        inputs: names of tensors; "" where an optional one is left out.
        outputs: names of tensors; "" where one is not wanted.
        attributes: all of the operator's attributes, with their defaults; None where there is none.
    """

    name: str
    operator: "Operator"
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@final
@dataclass(frozen=True)
class Call:
    """A node that is being computed, with NumPy or with jax.numpy."""

    node: Node
    xp: Any

    def __getitem__(self, name: str) -> Any:
        return self.node.attributes.get(name)

    @property
    def version(self) -> int:
        return self.node.version

    @property
    def folds(self) -> bool:
        """Whether everything is known, so that NumPy computes."""
        return self.xp is np

    def refuse(self, why: str, instead: str = "export the network without it") -> NoReturn:
        """An error that names the node."""
        raise InputError(f"{self.node.name} cannot be computed", why, instead)

    def require(self, holds: bool, why: str) -> None:
        if not holds:
            self.refuse(why, "check how the file was made")

    def bound(self, shape: Iterable[int]) -> tuple[int, ...]:
        """The shape, if a tensor of it is not absurdly large."""
        sizes = tuple(int(size) for size in shape)
        self.require(all(size >= 0 for size in sizes), f"its shape would be {sizes}")
        most = SIZE_LIMIT
        if len(sizes) > 32 or math.prod(sizes) > most:
            self.refuse(
                f"a tensor of shape {str(sizes)[:80]} has more than {most} elements or 32 axes",
                "take a smaller network",
            )
        return sizes

    def axis(self, axis: Any, ndim: int) -> int:
        """An axis counted from the front."""
        number = int(axis)
        self.require(-ndim <= number < max(ndim, 1), f"axis {number} of a tensor with {ndim} axes")
        return number % max(ndim, 1)

    def axes(self, axes: Iterable[Any], ndim: int) -> tuple[int, ...]:
        found = tuple(self.axis(axis, ndim) for axis in axes)
        self.require(len(set(found)) == len(found), f"an axis appears twice in {found}")
        return found

    def integers(self, name: str, value: Value) -> list[int]:
        """A tensor of shape or of axes as whole numbers."""
        self.require(value.dtype.kind in "iu" and value.ndim <= 1, f"its {name} is no list of integers")
        return [int(number) for number in np.atleast_1d(value)]

    def broadcast(self, *values: Value) -> list[Value]:
        """Tensors of one rank, whose shapes fit each other."""
        ndim = max(value.ndim for value in values)
        try:
            self.bound(np.broadcast_shapes(*(value.shape for value in values)))
        except ValueError:
            self.refuse(f"shapes {[value.shape for value in values]} do not fit", "check the file")
        return [value.reshape((1,) * (ndim - value.ndim) + value.shape) for value in values]


type Compute = Callable[..., Value | tuple[Value, ...]]


@final
@dataclass(frozen=True, eq=False)
class Operator:
    """An operator that is understood, in the versions that are understood.

    Args:
        kind: its name.
        versions: opsets in which a meaning begins that `compute` honours.
        attributes: those that `compute` honours; others must have their default.
        compute: (Call, *inputs) -> output or outputs.
        static: numbers of the inputs that must be known before x.
        kept: numbers of the inputs that stay NumPy arrays where they are known.
        folds: it is computed with NumPy where all its inputs are known.
    """

    kind: str
    versions: frozenset[int]
    attributes: frozenset[str]
    compute: Compute
    static: frozenset[int]
    kept: frozenset[int]
    folds: bool


OPERATORS: dict[str, Operator] = {}
"""Every operator of the default domain that is understood."""


def operator(
    kind: str,
    *versions: int,
    attributes: str = "",
    static: tuple[int, ...] = (),
    kept: tuple[int, ...] = (),
    folds: bool = False,
) -> Callable[[Compute], Compute]:
    """Registers a function as an operator, see `Operator`."""

    def register(compute: Compute) -> Compute:
        assert kind not in OPERATORS
        OPERATORS[kind] = Operator(
            kind,
            frozenset(versions),
            frozenset(attributes.split()),
            compute,
            frozenset(static),
            frozenset(kept),
            folds,
        )
        return compute

    return register


def to_device(value: Value) -> Value:
    """A tensor for jax.numpy: floats of every width in the precision of the run, other kinds as they are."""
    if jnp.issubdtype(value.dtype, jnp.floating):
        return jnp.asarray(value, jax.dtypes.canonicalize_dtype(np.float64))
    return jnp.asarray(value, jax.dtypes.canonicalize_dtype(value.dtype))


def is_float(value: Value) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.floating))
