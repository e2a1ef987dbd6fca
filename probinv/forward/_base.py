"""What a forward network is: y = f(x), one example in, one out."""

from abc import abstractmethod

import equinox as eqx

from probinv._typing import X, Y


class AbstractForward(eqx.Module):
    """y = f(x). Weights are leaves of the pytree, so that other weights do not recompile."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of one input, or None where the network does not say."""

    @abstractmethod
    def __call__(self, x: X) -> Y:
        """The output for one input."""
