"""The loaders: one file per framework, and one line here.

A loader is a module with `load(obj, *, batched) -> AbstractForward`. It is found by the base classes of
the object, by name, so that no framework is imported to look.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from probinv.forward._base import AbstractForward


class Loader(NamedTuple):
    """A loader module, and the base class (package, name) of the objects that it reads."""

    module: str
    package: str
    base: str


LOADERS: tuple[Loader, ...] = (
    Loader("equinox", "equinox", "Module"),
    Loader("flax", "flax", "Module"),
    Loader("sklearn", "sklearn", "BaseEstimator"),
)

_AS_FUNCTION = (
    "export its weights to NumPy and give a JAX function: Function(fn, params) or Layered.from_arrays"
)
REFUSED: dict[str, str] = {"torch": _AS_FUNCTION, "keras": _AS_FUNCTION, "tensorflow": _AS_FUNCTION}
"""Packages whose callable objects are not JAX functions, and what to do instead."""


def find_loader(obj: Any) -> Callable[..., AbstractForward] | None:
    """The `load` function for this object, or None."""
    for module, package, base in LOADERS:
        if of_package(obj, package, base):
            return import_module(f"{__name__}.{module}").load
    return None


def of_package(obj: Any, package: str, base: str | None = None) -> bool:
    """Whether a base class of the object (named `base`, if given) comes from that package."""
    return any(
        cls.__module__.split(".")[0] == package and base in (None, cls.__name__) for cls in type(obj).__mro__
    )
