"""One door for every kind of network."""

from pathlib import Path
from typing import Any

from probinv._errors import InputError
from probinv.forward._base import AbstractForward
from probinv.forward.function import Function
from probinv.forward.loaders import REFUSED, find_loader, of_package


def as_forward(obj: Any, *, batched: bool = False) -> AbstractForward:
    """y = f(x) from a forward, a network of a known framework, or a plain function.

    A forward is returned as it is. A network of a framework goes to its loader (see `loaders`), which
    reads its weights in double precision and leaves the object unchanged. Any other callable becomes
    a `Function`.

    Args:
        obj: the network.
        batched: the network takes and returns a leading batch axis (scikit-learn always does, and
            needs no such word).

    Raises:
        InputError: the object is none of these, or cannot be read; it says what is accepted.
    """
    if isinstance(obj, AbstractForward):
        if batched:
            raise InputError(
                "batched=True is given with a forward", "a forward takes one example", "leave it out"
            )
        return obj
    if isinstance(obj, type):
        raise InputError(
            f"{obj.__name__} is a class", "a trained network is needed", "give an object of that class"
        )
    loader = find_loader(obj)
    if loader is not None:
        return loader(obj, batched=batched)
    for package, instead in REFUSED.items():
        if of_package(obj, package):
            raise InputError(
                f"there is no loader for {package} networks", f"got {type(obj).__name__}", instead
            )
    if isinstance(obj, str | Path):
        raise InputError("the network is a path", f"got {str(obj)!r}"[:80], "read the file first: load(path)")
    if callable(obj):
        return Function(obj, batched=batched)
    raise InputError(
        f"a {type(obj).__name__} is not a network",
        "no loader knows it and it cannot be called",
        "accepted are: a function of JAX arrays, an Equinox module, a Flax module (NNX, or"
        " Linen with its variables), a Keras model, an"
        " onnx.ModelProto, a fitted"
        " scikit-learn MLPRegressor, MLPClassifier or Pipeline of StandardScaler and one of these, and any"
        " AbstractForward",
    )
