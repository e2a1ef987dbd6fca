"""Label units: the last part of a machine's visible side, one-hot."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Joined, Softmax


def label_units(units: AbstractUnits) -> Softmax | None:
    """The label units of a visible side, if it has some."""
    last = units.parts[-1] if isinstance(units, Joined) else None
    return last if isinstance(last, Softmax) and last.groups == 1 else None


def require_labels(machine: Machine) -> Softmax:
    """The label units, or an InputError."""
    found = label_units(machine.visible)
    if found is None:
        raise InputError(
            "the machine has no label units",
            "the last part of its visible side is not one group of softmax units",
            "train it with labels: fit(X, y)",
        )
    return found


def label_scores(machine: Machine, s: Float[Array, "rows n"]) -> Float[Array, "rows classes"]:
    """-F(s, label) for every label: log p(label | s) up to a constant that depends on s only.

    Args:
        machine: with label units.
        s: rows of the visible side without its labels.
    """
    classes, n = require_labels(machine).classes, s.shape[1]
    weight = jnp.asarray(machine.weight, s.dtype)
    shared = s @ weight[:n] + jnp.asarray(machine.hidden_bias, s.dtype)[None]
    bias = jnp.asarray(machine.visible_bias, s.dtype)[n:]
    each = [bias[k] + machine.hidden.log_partition(shared + weight[n + k][None]) for k in range(classes)]
    return jnp.stack(each, axis=1)


def one_hot(places: np.ndarray, classes: int) -> Float[np.ndarray, "rows classes"]:
    """Rows of float32 with a 1 at each place."""
    return np.eye(classes, dtype=np.float32)[places]
