"""What the configuration in a file may name: layers and functions of Keras itself, and plain numbers."""

import math
import re
from typing import Any, NoReturn

from probinv._errors import FileError, InputError

MODULES = re.compile(
    r"keras\.(src\.)?(layers|models|ops|activations|initializers|regularizers|constraints|dtype_policies|random)"
    r"(\.(?!\w*test)\w+)*"
)
TOP = {"DTypePolicy", "FloatDTypePolicy", "Sequential", "Model", "Functional"}
"""Names that stand right under `keras`."""
VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__"}
"""Names of plain values."""
CODE = {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
"""Layers that hold or fetch code."""
TEXT = {"StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "HashedCrossing"}
"""Layers whose inputs are words or whole numbers; some read files that the configuration names."""

_INTEGER, _ELEMENTS, _NODES = 2**26, 2**28, 10**6
_FREE = {"seed", "shared_object_id"}
_EXPORT = "export it where it was trained: model.export('net.onnx', format='onnx')"


def check_config(path: str, config: dict[str, Any]) -> None:
    """Looks at every part of a configuration, before Keras makes anything of it.

    Raises:
        InputError: it holds code, a layer that is not of Keras, or one with a state between calls.
        FileError: it is no configuration, or makes arrays beyond all measure.
    """
    todo: list[tuple[str, Any]] = [("", {**config, "compile_config": None})]
    count = 0
    while todo:
        key, value = todo.pop()
        count += 1
        if count > _NODES:
            _damaged(path, "it has too many parts")
        if isinstance(value, dict):
            if "class_name" in value:
                _check_class(path, value)
            if value.get("stateful") is True:
                raise InputError(
                    f"{path} has a layer {str(value.get('name'))[:60]!r} that is stateful",
                    "its output depends on earlier calls",
                    f"set stateful=False where it was made, and save it again; or {_EXPORT}",
                )
            todo += value.items()
        elif isinstance(value, list):
            todo += [(key, part) for part in value]
            sizes = [abs(part) for part in value if type(part) is int and part]
            if key not in _FREE and len(sizes) <= 32 and math.prod(sizes) > _ELEMENTS:
                _damaged(path, f"{key!r} is {str(value)[:60]}")
        elif type(value) is int and abs(value) > _INTEGER and key not in _FREE:
            _damaged(path, f"{key!r} is {value}")


def _check_class(path: str, entry: dict[str, Any]) -> None:
    name, module = entry.get("class_name"), entry.get("module")
    if name in VALUES:
        return
    if name in CODE:
        raise InputError(
            f"{path} holds a {str(name).strip('_')}",
            "that is Python code, and code of a file is never run",
            _EXPORT,
        )
    if name in TEXT:
        raise InputError(f"{path} has a layer {name}", "x must be real numbers, to have a gradient", _EXPORT)
    names = (name, entry.get("config")) if name == "function" else (name,)
    known = isinstance(module, str) and (
        MODULES.fullmatch(module) is not None or (module == "keras" and name in TOP)
    )
    if not known or entry.get("registered_name") not in (None, *names):
        raise InputError(
            f"{path} names {str(names[-1])[:60]!r} of {str(module)[:60]!r}",
            "only what Keras itself has is read from a file",
            f"load it yourself if you trust it, and give the model: as_forward(model); or {_EXPORT}",
        )


def _damaged(path: str, why: str) -> NoReturn:
    raise FileError(
        f"{path} is damaged or no Keras model", f"{why} in its configuration", "save the model again"
    )
