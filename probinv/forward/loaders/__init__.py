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
    Loader("keras", "keras", "Layer"),
    Loader("onnx", "onnx", "ModelProto"),
    Loader("sklearn", "sklearn", "BaseEstimator"),
)

FILES: dict[str, tuple[str, str]] = {
    ".onnx": ("onnx", "load_file"),
    ".keras": ("keras", "load_file"),
    ".npz": ("layered_file", "load_network"),
}
"""The module and the function that read files with an ending."""

_PICKLE = "such files are pickles, and reading one can run any code"
_TORCH = (
    "export it where it was trained, torch.onnx.export(module.eval(), (example,), 'net.onnx', dynamo=True),"
    " and load that"
)
_SKLEARN = "load it yourself if you trust it, and give the estimator: as_forward(estimator)"
_KERAS = "load it where it was made and save it anew, model.save('net.keras'), and load that"
UNREADABLE: dict[str, tuple[str, str]] = {
    ".pt": (_PICKLE, _TORCH),
    ".pth": (_PICKLE, _TORCH),
    ".pkl": (_PICKLE, _SKLEARN),
    ".pickle": (_PICKLE, _SKLEARN),
    ".joblib": (_PICKLE, _SKLEARN),
    ".h5": ("Keras networks in that format can hold code", _KERAS),
}
"""Endings of files that are not read: why, and what to do instead. `FILES` goes first."""

_AS_FUNCTION = (
    "export its weights to NumPy and give a JAX function: Function(fn, params) or Layered.from_arrays"
)
REFUSED: dict[str, str] = {
    "torch": f"give load(module, example), which exports it to ONNX; or {_AS_FUNCTION}",
    "tensorflow": _AS_FUNCTION,
}
"""Packages whose callable objects are not JAX functions, and what to do instead."""


def find_loader(obj: Any) -> Callable[..., AbstractForward] | None:
    """The `load` function for this object, or None."""
    if isinstance(obj, tuple) and len(obj) == 2 and of_package(obj[0], "flax", "Module"):
        return import_module(f"{__name__}.linen").load_pair
    for module, package, base in LOADERS:
        if of_package(obj, package, base):
            return import_module(f"{__name__}.{module}").load
    return None


def of_package(obj: Any, package: str, base: str | None = None) -> bool:
    """Whether a base class of the object (named `base`, if given) comes from that package."""
    return any(
        cls.__module__.split(".")[0] == package and base in (None, cls.__name__) for cls in type(obj).__mro__
    )
