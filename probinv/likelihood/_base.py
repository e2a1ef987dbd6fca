"""What a likelihood is: p(Y* | y), what counts as reaching the wish."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, PyTree

from probinv._typing import Flag, PRNGKey, Scalar, Y

type Numbers = Num[Array | np.ndarray, "..."]
type YStar = PyTree[Num[Array | np.ndarray, "..."]]


class AbstractLikelihood(eqx.Module):
    """p(Y* | y) for one output y = f(x).

    Y*, scales and bounds are float64 NumPy fields (leaves), so that a second wish of the same shape
    does not recompile. `check`, `target`, `target_for` and `describe` are for the host: they need
    concrete values.
    """

    @abstractmethod
    def check(self, shape: tuple[int, ...]) -> None:
        """Raises an InputError if this wish cannot be made of an output of that shape. Host only."""

    @abstractmethod
    def log_prob(self, y: Y) -> Scalar:
        """log p(Y* | y)."""

    @abstractmethod
    def reached(self, y: Y) -> Flag:
        """Whether y counts as having reached the wish (stated in each class); the verdict counts these."""

    @abstractmethod
    def simulate(self, key: PRNGKey, y: Y) -> YStar:
        """One draw of Y* given y; a ViewError where the wish is not a generative model.

        One array, or a tuple of them for a product; NaN where an output does not matter.
        """

    @abstractmethod
    def at(self, y_star: Any) -> "AbstractLikelihood":
        """The same wish with another Y* (of the kind that `simulate` returns).

        Concrete values are checked as at construction; under jit and vmap only their shape can be.
        """

    @property
    @abstractmethod
    def target(self) -> Numbers:
        """Y* as one array, for observed_data; NaN where an output does not matter."""

    @abstractmethod
    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """Y* in the shape and the units of an output y of that shape, to be drawn beside it.

        NaN where the wish names no finite number. For a shape that passes `check`.
        """

    @abstractmethod
    def describe(self, name: str = "y") -> str:
        """The wish in one plain sentence, for the report; `name` is what the output is called."""


class AbstractConstraintLikelihood(AbstractLikelihood):
    """A wish that is an equation: r(y) + s eta = 0 with eta ~ N(0, I); s = 0 where it is to hold exactly."""

    @abstractmethod
    def constraint(self, y: Y) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """r(y), and s, which does not depend on y."""

    @property
    @abstractmethod
    def exact_outputs(self) -> int:
        """How many entries of s are zero. Host only."""


class AbstractResidualLikelihood(AbstractConstraintLikelihood):
    """A likelihood with log p(Y* | y) = const - |r(y)|^2 / 2."""

    def constraint(self, y: Y) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """r(y) and s = 1: the tolerance is the unit of r."""
        r = self.residual(y)
        return r, jnp.ones_like(r)

    @property
    def exact_outputs(self) -> int:
        """None."""
        return 0

    @abstractmethod
    def residual(self, y: Y) -> Float[Array, " m"]:
        """r(y), whitened: zero where y meets the wish, of unit scale at its tolerance."""


def has_density(likelihood: AbstractLikelihood) -> bool:
    """Whether p(Y* | y) is a function that can be computed: False where a part is to hold exactly."""
    exact = isinstance(likelihood, AbstractConstraintLikelihood)
    return not exact or isinstance(likelihood, AbstractResidualLikelihood)
