"""The package keras, on its JAX backend."""

import os
import sys
from typing import Any

from probinv._errors import InputError

SET_IT = "set the environment variable KERAS_BACKEND=jax before keras is imported for the first time"


def require_keras() -> Any:
    """The module keras, of version 3 and computing with JAX.

    Where nothing has imported it yet and KERAS_BACKEND is not set, it is set for this import only.

    Raises:
        InputError: it is not installed, too old, or has another backend.
    """
    unset = "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ
    if unset:
        os.environ["KERAS_BACKEND"] = "jax"
    try:
        import keras
    except ImportError as error:
        raise InputError(
            "the package keras cannot be imported",
            f"Keras models are computed by it ({error})",
            "pip install 'probinv[keras]', and " + SET_IT,
        ) from None
    finally:
        if unset:
            del os.environ["KERAS_BACKEND"]
    if int(keras.__version__.split(".")[0]) < 3:
        raise InputError(
            f"keras is of version {keras.__version__}", "only Keras 3 computes with JAX", "update keras"
        )
    if keras.backend.backend() != "jax":
        raise InputError(
            f"keras computes with {keras.backend.backend()}",
            "a network needs derivatives by JAX",
            f"{SET_IT}; a file saved under another backend can be read then",
        )
    return keras
