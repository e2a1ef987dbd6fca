"""h^-1 for the activations that act on each entry."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtr

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
BISECTIONS = 80


class Scalar(NamedTuple):
    """h^-1 of one activation, and the values that h takes.

    Attributes:
        low, high: the range of h, or of the branch that is inverted.
        inverse: h^-1 inside of it, for arrays.
        closed: whether h takes its finite ends.
        flat_low, flat_high: whether h takes an end on a half-line of u, which begins at inverse(end).
        unique: whether h takes each value at one u only (flat pieces apart); elsewhere `inverse` takes the
            branch on which h rises.
    """

    low: float
    high: float
    inverse: Callable[[np.ndarray], np.ndarray]
    closed: bool = False
    flat_low: bool = False
    flat_high: bool = False
    unique: bool = True
    condition: float = 1.0
    """Largest slope of h over its smallest, where both are known everywhere."""


def scalar_inverse(name: str, slope: float | None) -> Scalar | None:
    """The inverse of the activation of that name; None for those that act on all entries together."""
    if slope is None:
        return _PLAIN.get(name)
    if slope == 0:
        return _PLAIN["relu"]
    if slope < 0:  # h falls below zero, and takes all its values on the right already
        return Scalar(0, np.inf, _same, closed=True, unique=False)
    if name == "elu":
        return Scalar(-slope, np.inf, lambda y: _elu(y, slope))
    return Scalar(-np.inf, np.inf, lambda y: np.where(y >= 0, y, y / slope), condition=max(slope, 1 / slope))


def _same(y: np.ndarray) -> np.ndarray:
    return np.asarray(y, np.float64)


def _elu(y: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(y >= 0, y, np.log1p(np.minimum(y, 0) / alpha))


def _softplus(y: np.ndarray) -> np.ndarray:
    return y + np.log(-np.expm1(-y))


def _rising(h: Callable[[np.ndarray], np.ndarray]) -> Scalar:
    """The right branch of h with one minimum, between -3 and 0, and u - 1 < h(u) <= u for u > 0."""
    low_end, high_end = -3.0, 0.0
    for _ in range(20):
        ticks = np.linspace(low_end, high_end, 101)
        least = int(np.clip(np.argmin(h(ticks)), 1, 99))
        low_end, high_end = float(ticks[least - 1]), float(ticks[least + 1])
    u_low = 0.5 * (low_end + high_end)

    def inverse(y: np.ndarray) -> np.ndarray:
        low, high = np.full(np.shape(y), u_low), np.maximum(y, 0.0) + 1.0
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            above = h(middle) > y
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return 0.5 * (low + high)

    return Scalar(float(h(np.array([u_low]))[0]), np.inf, inverse, closed=True, unique=False)


def _gelu_tanh(u: np.ndarray) -> np.ndarray:
    return 0.5 * u * (1 + np.tanh(np.sqrt(2 / np.pi) * (u + 0.044715 * u**3)))


_PLAIN: dict[str, Scalar] = {
    "identity": Scalar(-np.inf, np.inf, _same),
    "relu": Scalar(0, np.inf, _same, closed=True, flat_low=True),
    "relu6": Scalar(0, 6, _same, closed=True, flat_low=True, flat_high=True),
    "hard_tanh": Scalar(-1, 1, _same, closed=True, flat_low=True, flat_high=True),
    "selu": Scalar(-SELU_SCALE * SELU_ALPHA, np.inf, lambda y: _elu(y / SELU_SCALE, SELU_ALPHA)),
    "softplus": Scalar(0, np.inf, _softplus),
    "softsign": Scalar(-1, 1, lambda y: y / (1 - np.abs(y))),
    "tanh": Scalar(-1, 1, np.arctanh),
    "logistic": Scalar(0, 1, logit),
    "exp": Scalar(0, np.inf, np.log),
    "sin": Scalar(-1, 1, np.arcsin, closed=True, unique=False),
    "silu": _rising(lambda u: u * expit(u)),
    "mish": _rising(lambda u: u * np.tanh(np.logaddexp(0, u))),
    "gelu": _rising(lambda u: u * ndtr(u)),
    "gelu_tanh": _rising(_gelu_tanh),
}
