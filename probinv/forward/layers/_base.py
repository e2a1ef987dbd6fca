"""What a layer is."""

from abc import abstractmethod

import equinox as eqx

from probinv._typing import X, Y


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
