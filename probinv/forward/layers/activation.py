"""Activation functions, by name."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward.layers._base import AbstractInvertible
from probinv.forward.layers._entrywise import ScalarInverse, SoftmaxInverse
from probinv.forward.layers._scalar import scalar_inverse

PLAIN: dict[str, Callable[[X], Y]] = {
    "identity": lambda x: x,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "selu": jax.nn.selu,
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "tanh": jnp.tanh,
    "hard_tanh": jax.nn.hard_tanh,
    "logistic": jax.nn.sigmoid,
    "exp": jnp.exp,
    "sin": jnp.sin,
    "softmax": lambda x: jax.nn.softmax(x, axis=-1),
    "log_softmax": lambda x: jax.nn.log_softmax(x, axis=-1),
}
"""Activations without a setting. The last two act along the last axis, all others on each entry."""

SLOPED: dict[str, tuple[Callable[[X, float], Y], float]] = {
    "leaky_relu": (jax.nn.leaky_relu, 0.01),
    "elu": (jax.nn.elu, 1.0),
}
"""Activations with a slope below zero, and its usual value."""

ALIASES = {"linear": "identity", "sigmoid": "logistic", "swish": "silu"}


@final
class Activation(AbstractInvertible):
    """y = h(x), with h named.

        identity  x                       softplus  log(1 + e^x)
        relu      max(x, 0)               softsign  x / (1 + |x|)
        relu6     min(max(x, 0), 6)       tanh      tanh(x)
        leaky_relu  x, slope x for x < 0  hard_tanh min(max(x, -1), 1)
        elu       x, slope (e^x - 1) for x < 0      logistic  1 / (1 + e^-x), also named sigmoid
        selu      1.0507 elu(x; 1.6733)   exp, sin  e^x, sin(x)
        silu      x logistic(x), also named swish   softmax   e^x / sum(e^x), along the last axis
        mish      x tanh(softplus(x))     log_softmax  log softmax(x)
        gelu      x Phi(x), exact         gelu_tanh  its approximation by tanh

    Hendrycks and Gimpel 2016, arXiv 1606.08415 (gelu, silu); Klambauer et al. 2017, arXiv 1706.02515 (selu);
    Misra 2019, arXiv 1908.08681 (mish).

    Args:
        name: one of the above.
        slope: for leaky_relu (0.01 if None) and elu (1 if None) only.

    Raises:
        InputError: the name is unknown, or it has no slope.
    """

    name: str = eqx.field(static=True)
    slope: float | None = eqx.field(static=True)

    def __init__(self, name: Any, slope: Any = None) -> None:
        name = ALIASES.get(name, name) if isinstance(name, str) else name
        if not isinstance(name, str) or name not in PLAIN | SLOPED:
            raise InputError(
                f"activation {name!r} is unknown",
                "",
                f"use one of {', '.join(sorted(PLAIN | SLOPED | ALIASES))}",
            )
        if slope is not None and name not in SLOPED:
            raise InputError(
                f"slope is given for {name}", "it has none", f"only {' and '.join(SLOPED)} have a slope"
            )
        self.name = name
        self.slope = _slope(slope, SLOPED[name][1]) if name in SLOPED else None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.name in ("softmax", "log_softmax") and not shape:
            raise InputError(f"{self.name} cannot take a scalar", "it acts along an axis", "give it a vector")
        return shape

    def __call__(self, x: X) -> Y:
        if self.slope is None:
            return PLAIN[self.name](x)
        return SLOPED[self.name][0](x, self.slope)

    def inverse(self, shape: tuple[int, ...]) -> ScalarInverse | SoftmaxInverse:
        scalar = scalar_inverse(self.name, self.slope)
        return (
            SoftmaxInverse(shape, self.name == "log_softmax")
            if scalar is None
            else ScalarInverse(scalar, shape)
        )


def _slope(slope: Any, usual: float) -> float:
    if slope is None:
        return usual
    if isinstance(slope, bool) or not isinstance(slope, Real) or not math.isfinite(slope):
        raise InputError("slope is not a finite number", f"got {slope!r}", f"for example {usual}")
    return float(slope)
