"""h^-1(y): what must come into a unit so that it gives y."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfcx, logit

from probinv._errors import InputError
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified
from probinv.forward import Activation
from probinv.forward.layers import scalar_inverse

TINY = 1e-4


class _Inverse(NamedTuple):
    """h^-1, and the open interval of the values that h takes at exactly one place."""

    low: float
    high: float
    function: Callable[[Any], Any]


def of_activation(activation: Activation, unit: int, y: float) -> float:
    """h^-1(y) of an elementwise activation; the unit does not matter.

    Raises:
        InputError: h acts on all units together, is not monotone, or takes the value nowhere or at many
            places.
    """
    name, slope = activation.name, activation.slope
    scalar = scalar_inverse(name, slope)
    if scalar is None:
        raise _no_inverse(name, "its outputs depend on all units of the layer; look at network.logits")
    if not scalar.unique or slope == 0:
        what = name if slope is None else f"{name} with slope {slope:g}"
        raise _no_inverse(what, "it is not monotone")
    return _apply(_Inverse(scalar.low, scalar.high, lambda y: scalar.inverse(np.array([y]))[0]), name, y)


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
            return _apply(_Inverse(0, 1, logit), mean, y)
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


def _no_inverse(name: str, why: str) -> InputError:
    return InputError(f"{name} has no inverse", why, "use filters or backward_pattern, which need none")
