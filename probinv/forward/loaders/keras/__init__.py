"""Keras 3 models, in memory and in .keras files, computed by Keras itself on its JAX backend.

load         a built `keras.Model` as a forward
load_file    a .keras file as a forward; no code of the file is run
"""

from typing import Any

from probinv.forward.loaders.keras.files import LIMIT, load_file
from probinv.forward.loaders.keras.forward import KerasForward
from probinv.forward.loaders.keras.models import from_model

__all__ = ["LIMIT", "KerasForward", "load", "load_file"]


def load(obj: Any, *, batched: bool = False) -> KerasForward:
    """y = model(x), in inference mode and in double precision, for one example.

    The model is made anew from its configuration, and compared with the original on a random input where
    the shape of x is known. The original stays as it is.

    Args:
        obj: a built `keras.Model` of one input and one output.
        batched: no matter; Keras always takes batches and the result takes one example.

    Raises:
        InputError: it is no model or not built, has several inputs or outputs, an input of whole numbers, a
            state between calls, or a layer that cannot be made anew; or Keras does not compute with JAX.
        NumericalError: the model made anew computes something else.
    """
    del batched
    return from_model(obj)
