"""Any NumPyro distribution as a prior."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Bool, Float
from numpyro.distributions import Distribution, biject_to
from numpyro.distributions.transforms import Transform

from probinv._checks import double_precision
from probinv._errors import InputError
from probinv._typing import PRNGKey, Scalar, X, Z
from probinv.prior._base import AbstractArrayPrior, log_standard_normal
from probinv.prior._edges import inside_only, inward
from probinv.prior._leaf import leaf
from probinv.prior._numpyro_checks import broadcasting, checked, edges, entrywise, quantile_works, support_of


@final
class FromNumPyro(AbstractArrayPrior):
    """p(x) of a NumPyro distribution; the shape of x is its batch shape followed by its event shape.

    On a bounded interval, where the distribution has an inverse distribution function,

        x = F^-1(Phi(z)),                                   z ~ N(0, I);

    on every other support, with NumPyro's bijection b from R^n to it,

        x = b(z),          log p(z) = log p(x) + log |det db/dz|.

    On a simplex the density is with respect to the first n - 1 entries of each x, on Cholesky factors
    and correlation matrices with respect to their strictly lower triangle, as in NumPyro. Entries of an
    interval, a half-line or a simplex are kept strictly inside it; where rounding puts a matrix or an
    ordered vector on the edge of its support, log p(z) is -inf, and `inverse` is not finite there.

    Args:
        distribution: continuous and proper. Its parameters are taken as float64; those which NumPyro made
            outside double precision have been rounded to float32 already.

    Raises:
        InputError: the distribution is discrete, improper, a point mass or censored, has a parameter
            outside its domain, or has a support for which NumPyro knows no bijection.
    """

    distribution: Any
    support: Any
    by_quantile: bool = eqx.field(static=True)

    def __init__(self, distribution: Any) -> None:
        self.distribution = checked(distribution)
        # found here and kept: under jit NumPyro takes the scale of an affine transform for positive
        self.support = support_of(self.distribution)
        self.by_quantile = quantile_works(self.distribution)

    def __check_init__(self) -> None:
        name = type(entrywise(self.distribution)).__name__
        try:
            with double_precision():
                x, density = jax.jit(_centre)(self)
                jax.eval_shape(self.sample_latent, jax.random.key(0))
        except (ImportError, NotImplementedError, TypeError, ValueError) as error:
            raise InputError(
                f"{name} cannot be used",
                f"NumPyro fails on it: {str(error).splitlines()[0]}",
                "give all parameters one shape, or another distribution",
            ) from error
        if not (np.isfinite(x).all() and np.isfinite(density)):
            raise InputError(
                f"{name} cannot be used",
                f"at z = 0 its log density is {float(density):g}",
                "look at its parameters",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.distribution.batch_shape, *self.distribution.event_shape)

    @property
    def latent_size(self) -> int:
        return int(np.prod(self._latent_shape))

    @property
    def standard(self) -> bool:
        return self.by_quantile

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        low, high, _ = edges(self.support)
        return np.array(np.broadcast_to(low, self.shape)), np.array(np.broadcast_to(high, self.shape))

    @broadcasting
    def transform(self, z: Z) -> X:
        z = z.reshape(self._latent_shape)
        if self.by_quantile:
            return self._inside(entrywise(self._fresh()).icdf(_between(ndtr(z))))
        return self._inside(self._bijection()(z))

    @broadcasting
    def inverse(self, x: X) -> Z:
        x = self._inside(x)
        if self.by_quantile:
            return ndtri(_between(entrywise(self._fresh()).cdf(x))).ravel()
        return self._bijection().inv(x).ravel()

    @broadcasting
    def log_latent(self, z: Z) -> Scalar:
        if self.by_quantile:
            return log_standard_normal(z)
        inside = self._contains(self.transform(z))
        z_inside = jnp.where(inside, z, 0.0)  # the unused branch must have a finite gradient too
        x = self.transform(z_inside)
        log_det = self._bijection().log_abs_det_jacobian(z_inside.reshape(self._latent_shape), x)
        return inside_only(inside, z, self._fresh().log_prob(x).sum() + jnp.sum(log_det))

    @broadcasting
    def log_prob(self, x: X) -> Scalar:
        inside = self._contains(x)
        distribution = self._fresh()
        x_inside = jnp.where(inside, x, self.transform(jnp.zeros(self.latent_size, x.dtype)))
        return inside_only(inside, x, distribution.log_prob(x_inside).sum())

    @broadcasting
    def sample_latent(self, key: PRNGKey) -> Z:
        if self.by_quantile:
            return jax.random.normal(key, (self.latent_size,))
        return self.inverse(self._fresh().sample(key))

    @property
    def _latent_shape(self) -> tuple[int, ...]:
        return self.shape if self.by_quantile else self._bijection().inverse_shape(self.shape)

    def _fresh(self) -> Distribution:
        """A copy: NumPyro keeps derived parameters on the object, which would keep their precision too."""
        return jax.tree.map(leaf, self.distribution)

    def _bijection(self) -> Transform:
        return biject_to(jax.tree.map(leaf, self.support))

    def _contains(self, x: X) -> Bool[Array, ""]:
        inside = jnp.all(jax.tree.map(leaf, self.support)(x)) & jnp.all(jnp.isfinite(x))
        # a matrix may pass NumPyro's check and still have no Cholesky factor in this precision
        return inside & jnp.all(jnp.isfinite(self.inverse(x)))

    def _inside(self, x: X) -> X:
        low, high, can_clip = edges(jax.tree.map(leaf, self.support))
        if not can_clip:
            return x
        low, high = (jnp.broadcast_to(jnp.asarray(bound, x.dtype), self.shape) for bound in (low, high))
        return jnp.clip(x, *inward(low, high, x.dtype))


def _between(level: Float[Array, "*x"]) -> Float[Array, "*x"]:
    """A probability kept strictly between 0 and 1."""
    finfo = jnp.finfo(level.dtype)
    return jnp.clip(level, finfo.tiny, 1 - finfo.epsneg)


def _centre(prior: FromNumPyro) -> tuple[X, Scalar]:
    z = jnp.zeros(prior.latent_size)
    x = prior.transform(z)
    return x, prior.log_latent(z) + prior.log_prob(x)
