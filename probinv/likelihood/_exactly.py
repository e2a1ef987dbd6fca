"""Y* = f(x) with no tolerance."""

from typing import Any, NoReturn, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import ViewError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractConstraintLikelihood, Numbers
from probinv.likelihood._target import another_target, as_target, check_shape
from probinv.likelihood._words import words

_ROUNDING = 1e-8


@final
class Exactly(AbstractConstraintLikelihood):
    """p(Y* | y) = delta(y - Y*): y equals Y* in every output that matters.

    The law meant is the limit of `Gaussian` as its scale goes to zero: on { z : f(T(z)) = Y* } the density
    p(z) det(J J^T)^(-1/2) with respect to the Hausdorff measure, J = d f(T(z)) / dz (Diaconis, Holmes &
    Shahshahani 2013; Au, Graham & Thiery 2023, arXiv 2003.03950). It is not the law of "points on that set,
    all alike": a point weighs more where f changes slowly, as it does for any small tolerance.

    Such inputs fill no volume, so there is no density to follow: LiftedHMC and TemperedSMC sample the set
    itself. y counts as reached if it differs from Y* by at most 1e-8 max(1, |Y*|) in every output.

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

    def constraint(self, y: Y) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """r = y - Y* with s = 0; where an output does not matter r = 0 and s = 1."""
        matters = ~jnp.isnan(self.y_star)
        r = jnp.where(matters, y - self.y_star, 0.0)
        return r.ravel(), jnp.where(matters, 0.0, 1.0).astype(r.dtype).ravel()

    @property
    def exact_outputs(self) -> int:
        """The outputs that matter."""
        return int(np.sum(~np.isnan(np.asarray(self.y_star))))

    @property
    def mixed(self) -> bool:
        """None has a tolerance."""
        return False

    def log_prob(self, y: Y) -> Scalar:
        _refuse()

    def reached(self, y: Y) -> Flag:
        """|y - Y*| <= 1e-8 max(1, |Y*|) in every output that matters."""
        near = jnp.abs(y - self.y_star) <= _ROUNDING * jnp.maximum(1.0, jnp.abs(self.y_star))
        return jnp.all(near | jnp.isnan(self.y_star))

    def simulate(self, key: PRNGKey, y: Y) -> Y:
        """Y* = y; NaN where an output does not matter."""
        return jnp.where(jnp.isnan(self.y_star), jnp.nan, y)

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
        "Exactly needs a method that samples { f(x) = Y* } itself",
        "inputs that give exactly Y* fill no volume, so p(Y* | y) is not a function that can be computed",
        "use LiftedHMC or TemperedSMC, or Gaussian with a small scale",
    )
