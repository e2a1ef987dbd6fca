"""What a likelihood is: p(Y* | y), what counts as reaching the wish."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, PyTree

from probinv._errors import ViewError
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
    """A wish that is an equation: r(y) + s eta = 0 with eta ~ N(0, I).

    s = 1 where there is a tolerance and s = 0 where there is none; of an exact output that does not matter
    r = 0 and s = 1.
    """

    @abstractmethod
    def constraint(self, y: Y) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """r(y), and s, which does not depend on y."""

    @property
    @abstractmethod
    def exact_outputs(self) -> int:
        """How many entries of s are zero. Host only."""

    @property
    @abstractmethod
    def mixed(self) -> bool:
        """Whether some equations are to hold exactly and others within a tolerance."""


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

    @property
    def mixed(self) -> bool:
        """All have a tolerance."""
        return False

    @abstractmethod
    def residual(self, y: Y) -> Float[Array, " m"]:
        """r(y), whitened: zero where y meets the wish, of unit scale at its tolerance."""


class AbstractRegionLikelihood(AbstractLikelihood):
    """p(Y* | y) = 1 if margin(y) >= 0, and 0 otherwise: a wish with hard edges, which y meets or does not.

    log p(Y* | y) is 0 inside and -inf outside, so its gradient is zero wherever it exists and leads nowhere;
    `SubsetSimulation` climbs the levels of the margin instead. y counts as reached if it is inside.
    """

    @abstractmethod
    def margin(self, y: Y, unit: Y | None = None) -> Scalar:
        """How deep inside the region y lies: continuous, >= 0 exactly where y is inside, larger when deeper.

        `unit`, of the shape of y and positive, says what counts as one unit of each output (None: 1), so
        that wishes on outputs of different units can be compared. It moves the levels on the way to the
        region and never the region itself. NaN where y is NaN in an output that matters.
        """

    def log_prob(self, y: Y) -> Scalar:
        """0 inside, -inf outside, NaN where the margin is."""
        margin = self.margin(y)
        return jnp.where(jnp.isnan(margin), jnp.nan, jnp.where(margin >= 0, 0.0, -jnp.inf)).astype(y.dtype)

    def reached(self, y: Y) -> Flag:
        """margin(y) >= 0."""
        return self.margin(y) >= 0

    def simulate(self, key: PRNGKey, y: Y) -> YStar:
        """Raises a ViewError: a region says which y are good, not how regions come about."""
        raise ViewError(
            f"{type(self).__name__} cannot simulate Y*",
            "it says which y are good, not how such wishes come about",
            "use Gaussian, Student, Label or Bernoulli where Y* has to be drawn",
        )


def strict_margin(difference: Scalar, unit: Scalar | float = 1.0) -> Scalar:
    """difference / unit, except that 0 becomes the largest negative number: >= 0 then means difference > 0.

    Networks give equal outputs with positive probability (units that are off), so it matters which side a tie
    is on.
    """
    least = jnp.finfo(difference.dtype).tiny
    scaled = difference / unit
    return jnp.where(difference > 0, jnp.maximum(scaled, 0.0), jnp.minimum(scaled, -least))


def holds_region(likelihood: AbstractLikelihood) -> bool:
    """Whether the wish, or a part of it, has hard edges."""
    leaves = jax.tree.leaves(likelihood, is_leaf=lambda part: isinstance(part, AbstractRegionLikelihood))
    return any(isinstance(leaf, AbstractRegionLikelihood) for leaf in leaves)


def has_density(likelihood: AbstractLikelihood) -> bool:
    """Whether p(Y* | y) is a function that can be computed: False where a part is to hold exactly."""
    exact = isinstance(likelihood, AbstractConstraintLikelihood)
    return not exact or isinstance(likelihood, AbstractResidualLikelihood)
