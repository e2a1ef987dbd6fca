"""The view of a layered network, layer by layer, and of one wished output."""

from typing import final

import numpy as np

from probinv._errors import ViewError
from probinv.forward import AbstractInvertible, Layered, Preimage, preimage
from probinv.posterior._posterior import Posterior
from probinv.posterior._views import AbstractView

INSTEAD = "use MAP or Ascent for points, NUTS or LiftedHMC for draws"


@final
class Chain(AbstractView):
    """f = l_m o ... o l_1, one by one, with one Y* = f(x) and the bounds of the prior on x.

    Of the prior nothing but its bounds is used on the way back.
    """

    posterior: Posterior

    @staticmethod
    def of(posterior: Posterior) -> "Chain":
        """The view, or a ViewError where the network has no layers or the wish names no output."""
        forward = posterior.forward
        if not isinstance(forward, Layered):
            raise ViewError(
                f"the view Chain needs a Layered network, and this is a {type(forward).__name__}",
                "its layers are not known one by one",
                f"make it with Layered or Layered.from_arrays, or {INSTEAD}",
            )
        for number, layer in enumerate(forward.layers):
            if not isinstance(layer, AbstractInvertible):
                raise ViewError(
                    f"layers[{number}], a {type(layer).__name__}, has no inverse that is known",
                    "the view Chain goes back through every layer",
                    INSTEAD,
                )
        if not np.isfinite(Chain(posterior).target).any():
            raise ViewError(
                f"{type(posterior.likelihood).__name__} names no single output Y*",
                "layers are gone back through from one value of the last",
                f"use Gaussian or Exactly with a target, or {INSTEAD}",
            )
        return Chain(posterior)

    @property
    def target(self) -> np.ndarray:
        """Y*, of the shape of y; NaN where an output does not matter. Of an interval the midpoint."""
        target = self.posterior.likelihood.target_for(self.posterior.output_shape)
        return np.asarray(target, np.float64)

    def preimage(self, polish: int = 0) -> Preimage:
        """The family of x with f(x) = Y*; every layer is factorised."""
        return preimage(
            self.posterior.forward, self.target, bounds=self.posterior.prior.bounds, polish=polish
        )
