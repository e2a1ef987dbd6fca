"""h^-1(y): what must come into a unit so that it gives y."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfcx, logit

from probinv._errors import InputError
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified
from probinv.forward import Activation

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
TINY = 1e-4


class _Inverse(NamedTuple):
    """h^-1, and the open interval of the values that h takes at exactly one place."""

    low: float
    high: float
    function: Callable[[float], float]


def of_activation(activation: Activation, unit: int, y: float) -> float:
    """h^-1(y) of an elementwise activation; the unit does not matter.

    Raises:
        InputError: h acts on all units together, is not monotone, or takes the value nowhere or at many
            places.
    """
    name, slope = activation.name, activation.slope
    if slope is not None:
        if slope <= 0:
            raise _no_inverse(f"{name} with slope {slope:g}", "it is not monotone")
        elu = name == "elu"
        low = -slope if elu else -np.inf
        inverse = _Inverse(low, np.inf, lambda y: _elu(y, slope) if elu else y if y >= 0 else y / slope)
    elif name in _PLAIN:
        inverse = _PLAIN[name]
    elif name in ("softmax", "log_softmax"):
        raise _no_inverse(name, "its outputs depend on all units of the layer; look at network.logits")
    else:
        raise _no_inverse(name, "it is not monotone")
    return _apply(inverse, name, y)


def of_units(units: AbstractUnits, unit: int, y: float) -> float:
    """theta with E[s | theta] = y for one of the units.

    Raises:
        InputError: the unit's mean depends on others (softmax), or is never y.
    """
    if isinstance(units, Joined):
        part, start = next(
            (part, place.start)
            for part, place in zip(units.parts, units.slices(), strict=True)
            if unit < place.stop
        )
        return of_units(part, unit - start, y)
    mean = f"the mean of {type(units).__name__} units"
    match units:
        case Bernoulli():
            return _apply(_PLAIN["logistic"], mean, y)
        case Gaussian():
            return y * float(np.exp(-2 * np.asarray(units.log_sigma, np.float64)[unit]))
        case Rectified():
            return _apply(_Inverse(0, np.inf, _rectified), mean, y)
        case _:
            raise _no_inverse(mean, "that of one depends on what goes into the others")


def _apply(inverse: _Inverse, name: str, y: float) -> float:
    if not inverse.low < y < inverse.high:
        raise InputError(
            f"activation is {y:g}",
            f"{name} gives a value at one place only between {inverse.low:g} and {inverse.high:g}",
            "give a value between them, without the ends",
        )
    return float(inverse.function(y))


def _rectified(y: float) -> float:
    """theta with theta + phi(theta) / Phi(theta) = y > 0; it lies between -1 / y and y."""
    if y < TINY:  # the mean is -1 / theta to 2 y^2, and the sum would cancel
        return -1 / y
    return brentq(lambda theta: theta + np.sqrt(2 / np.pi) / erfcx(-theta / np.sqrt(2)) - y, -1 / y, y)


def _elu(y: float, alpha: float) -> float:
    return y if y >= 0 else float(np.log1p(y / alpha))


def _no_inverse(name: str, why: str) -> InputError:
    return InputError(f"{name} has no inverse", why, "use filters or backward_pattern, which need none")


_PLAIN: dict[str, _Inverse] = {
    "identity": _Inverse(-np.inf, np.inf, lambda y: y),
    "relu": _Inverse(0, np.inf, lambda y: y),
    "relu6": _Inverse(0, 6, lambda y: y),
    "selu": _Inverse(-SELU_SCALE * SELU_ALPHA, np.inf, lambda y: _elu(y / SELU_SCALE, SELU_ALPHA)),
    "softplus": _Inverse(0, np.inf, lambda y: y + np.log(-np.expm1(-y))),
    "softsign": _Inverse(-1, 1, lambda y: y / (1 - abs(y))),
    "tanh": _Inverse(-1, 1, np.arctanh),
    "hard_tanh": _Inverse(-1, 1, lambda y: y),
    "logistic": _Inverse(0, 1, logit),
    "exp": _Inverse(0, np.inf, np.log),
}
