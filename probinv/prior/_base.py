"""What a prior is: p(x) as a pushforward x = T(z)."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinv._typing import PRNGKey, Scalar, X, Z

LOG_2PI = float(np.log(2 * np.pi))


class AbstractPrior(eqx.Module):
    """p(x), with x = T(z) and z in R^n.

    Everything is for one example. A final class fills the abstract members; arrays are float64 NumPy
    fields (leaves of the pytree), so that another prior of the same shape does not recompile.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of x."""

    @property
    @abstractmethod
    def latent_size(self) -> int:
        """n, the number of coordinates z."""

    @property
    @abstractmethod
    def standard(self) -> bool:
        """True if the law of z is exactly N(0, I)."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound of every entry of x (-inf and inf where there is none), of the shape of x."""

    @abstractmethod
    def transform(self, z: Z) -> X:
        """x = T(z). Never outside the bounds, for any z."""

    @abstractmethod
    def inverse(self, x: X) -> Z:
        """A z with T(z) = x, for x inside the support; finite for x on its edge."""

    @abstractmethod
    def log_latent(self, z: Z) -> Scalar:
        """log p(z), normalised: the density of z with respect to dz."""

    @abstractmethod
    def log_prob(self, x: X) -> Scalar:
        """log p(x), normalised, with respect to dx; -inf outside the support."""

    @abstractmethod
    def sample_latent(self, key: PRNGKey) -> Z:
        """One draw of z."""

    @abstractmethod
    def split(self, x: X) -> dict[str, X]:
        """x as named variables for the result: {"x": x}, or one entry for each named input."""

    def sample(self, key: PRNGKey) -> X:
        """One draw of x."""
        return self.transform(self.sample_latent(key))


class AbstractArrayPrior(AbstractPrior):
    """A prior whose x is one variable, named x in the result."""

    def split(self, x: X) -> dict[str, X]:
        return {"x": x}


class AbstractStandardPrior(AbstractArrayPrior):
    """A prior in whose coordinates z ~ N(0, I)."""

    @property
    def standard(self) -> bool:
        return True

    def log_latent(self, z: Z) -> Scalar:
        return log_standard_normal(z)

    def sample_latent(self, key: PRNGKey) -> Z:
        return jax.random.normal(key, (self.latent_size,))


def log_standard_normal(z: Z) -> Scalar:
    """log N(z; 0, I) = -|z|^2 / 2 - n log(2 pi) / 2."""
    return -0.5 * jnp.sum(z**2) - 0.5 * z.size * LOG_2PI
