"""Y* = f(x) with no tolerance: named here, computed by a method that is not part of this version."""

from typing import Any, NoReturn, final

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import ViewError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, Numbers
from probinv.likelihood._target import another_target, as_target, check_shape
from probinv.likelihood._words import words


@final
class Exactly(AbstractLikelihood):
    """p(Y* | y) = delta(y - Y*): y equals Y* in every output that matters.

    It can be built and checked; everything that would be computed raises a ViewError until the method
    for it (constrained HMC on the lifted manifold) is built. The law meant is the limit of `Gaussian`
    as its scale goes to zero: on { z : f(T(z)) = Y* } the density prior(z) det(J J^T)^(-1/2) with
    respect to the Hausdorff measure (Au, Graham and Thiery, 2023, arXiv:2003.03950).

    Args:
        y_star: the wish, of the shape of y; NaN where an output does not matter.

    Raises:
        InputError: infinite or all-NaN y_star.
    """

    y_star: Float[Array | np.ndarray, "..."]

    def __init__(self, y_star: Any) -> None:
        self.y_star = as_target("y_star", y_star)

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("y_star", self.y_star.shape, shape)

    def log_prob(self, y: Y) -> Scalar:
        _refuse()

    def reached(self, y: Y) -> Flag:
        _refuse()

    def simulate(self, key: PRNGKey, y: Y) -> Y:
        _refuse()

    def at(self, y_star: Any) -> "Exactly":
        return eqx.tree_at(lambda wish: wish.y_star, self, another_target("y_star", self.y_star, y_star))

    @property
    def target(self) -> Numbers:
        return self.y_star

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.y_star)

    def describe(self, name: str = "y") -> str:
        return f"{name} = {words(self.y_star)} exactly"


def _refuse() -> NoReturn:
    raise ViewError(
        "Exactly needs method LiftedHMC, which is not part of this version",
        "inputs that give exactly Y* fill no volume, so p(Y* | y) is not a function that can be computed",
        "use Gaussian with a small scale",
    )
