"""Whether an output depends on a random key: a network that is random in inference is no function of x."""

from collections.abc import Callable
from typing import Any

import jax
from jax.interpreters import partial_eval

from probinv._errors import InputError


def check_no_noise(call: Callable[..., Any], keys: Any, x: Any) -> None:
    """Traces call(keys, x) and raises an InputError if its output depends on any of the keys.

    Keys that are split but never used for a draw (dropout in inference) are fine.
    """
    closed = jax.make_jaxpr(call)(keys, x)
    count = len(jax.tree.leaves(keys))
    _, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    if any(used[:count]):
        raise InputError(
            "the network draws random numbers in inference",
            "its output is then not a function of x alone",
            "remove the noise, or fix its key inside a function of x",
        )
