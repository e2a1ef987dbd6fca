"""What a layer is, and what a layer is that can be gone through backwards."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import equinox as eqx
import numpy as np

from probinv._typing import X, Y
from probinv.forward.layers._box import Box, Range

type Noise = Callable[[tuple[int, ...]], np.ndarray]
"""Random coordinates of a layer, of that shape, (count, ...); rows of zeros mean the principal answer."""


class AbstractLayer(eqx.Module):
    """y = l(x), one step of a `Layered` network.

    The array fields of a final class are its weights and its static fields are its settings (numbers,
    text, or lists of these); both are arguments of its constructor under the same names. With that, and
    a line in `layers.KINDS`, a layer can be saved and loaded. It computes in the dtype of x.
    """

    @abstractmethod
    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of y for an x of that shape; an InputError if the layer cannot take it."""

    @abstractmethod
    def __call__(self, x: X) -> Y:
        """The output for one input."""


class AbstractInvertible(AbstractLayer):
    """A layer that knows its (pseudo-)inverse."""

    @abstractmethod
    def inverse(self, shape: tuple[int, ...]) -> "AbstractInverse":
        """{ x : l(x) = y } as an object, for x of that shape; matrices are factorised here. Host only."""


class AbstractInverse(ABC):
    """The way back through one layer, for many y at once: arrays (count, *shape) of NumPy, in float64."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Of the linear part; the number of the layer's inputs where there is none."""

    @property
    def condition(self) -> float:
        """sigma_max / sigma_min of the linear part, over its non-zero singular values; else 1."""
        return 1.0

    @property
    def free(self) -> int:
        """Dimensions of { x : l(x) = y } for a y in the range of the layer."""
        return 0

    @abstractmethod
    def reach(self, domain: Range) -> Range:
        """A box that holds l(x) for every x of a box."""

    @abstractmethod
    def pull(self, wish: Box, domain: Range, noise: Noise | None) -> tuple[Box, np.ndarray]:
        """x with l(x) = y for y of a box, in the domain if that can be had, and which rows were projected.

        Args:
            wish: for each row the y that are allowed, and one of them.
            domain: where x may lie: the range of the layer before, or the bounds of the inputs.
            noise: random coordinates in what is free; None for the principal answer, of least norm.

        Returns:
            The x that are allowed, with one of them, and for each row whether l(x) = y could not be had:
            y was outside the range of the layer, or no x in the domain gives it (x is then the nearest that
            was found).
        """

    def directions(self, of_output: np.ndarray) -> np.ndarray | None:
        """dx for rows dy, where the layer is a linear bijection of entries; None for any other."""
        return None
