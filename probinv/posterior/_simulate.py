"""What a posterior says about draws of z, and simulation of (x*, Y*) pairs from the prior."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import fresh
from probinv._typing import PRNGKey, Y
from probinv.likelihood._base import AbstractResidualLikelihood, YStar, has_density
from probinv.posterior._posterior import Posterior


class Evaluation(NamedTuple):
    """x, y and the log densities of a batch of z (leading axis: the batch), on the host."""

    x: np.ndarray
    y: np.ndarray
    log_prior: np.ndarray
    log_likelihood: np.ndarray | None
    """None where the wish has no density (`Exactly`)."""
    reached: np.ndarray
    residual_norm: np.ndarray
    """|r(z)| in tolerances; NaN where the likelihood has no residual."""


@eqx.filter_jit
def _evaluate(posterior: Posterior, z: Float[Array | np.ndarray, "b n"]) -> tuple[Array, ...]:
    def one(z: Float[Array, " n"]) -> tuple[Array, ...]:
        x = posterior.prior.transform(z)
        y = posterior.forward(x)
        return x, y, posterior.log_prior(z), *_judged(posterior, y)

    return jax.vmap(one)(jnp.asarray(z))


def _judged(posterior: Posterior, y: Y) -> tuple[Array, Array, Array]:
    """log p(Y* | y), whether y reaches Y*, and |r| of y."""
    likelihood = posterior.likelihood
    norm = jnp.asarray(jnp.nan)
    if isinstance(likelihood, AbstractResidualLikelihood):
        norm = jnp.linalg.norm(likelihood.residual(y))
    fit = likelihood.log_prob(y) if has_density(likelihood) else jnp.zeros(())
    return fit, likelihood.reached(y), norm


def evaluate(posterior: Posterior, z: Float[np.ndarray, "b n"]) -> Evaluation:
    """x = T(z), y = f(x), log p(z), log p(Y* | y) and whether Y* is reached, for every row of z.

    Works through the rows in batches of one fixed size, so that memory is bounded and one compiled
    program serves posterior draws and prior draws alike. Call inside `double_precision`.
    """
    posterior, rows = fresh(posterior), len(z)
    width = posterior.size + int(np.prod(posterior.prior.shape)) + int(np.prod(posterior.output_shape))
    batch = int(np.clip(20_000_000 // width, 1, 500))
    parts = []
    for first in range(0, max(rows, 1), batch):
        chunk = z[first : first + batch]
        padded = np.zeros((batch, posterior.size))
        padded[: len(chunk)] = chunk
        parts.append([np.asarray(part)[: len(chunk)] for part in _evaluate(posterior, padded)])
    values = Evaluation(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return values if has_density(posterior.likelihood) else values._replace(log_likelihood=None)


class Placed(NamedTuple):
    """What a posterior says about x that need not be values of T: their z, and whether there is one."""

    values: Evaluation
    z: np.ndarray
    """NaN in rows that are not supported."""
    supported: np.ndarray


def evaluate_inputs(posterior: Posterior, x: Float[np.ndarray, "b *x"]) -> Placed:
    """y = f(x), log p(Y* | y) and whether Y* is reached for every row of x; and z with T(z) = x.

    x lies in the prior's support if it is within the bounds and T(T^-1(x)) = x, to 1e-6. Elsewhere z is NaN
    and log p(z) is -inf. Call inside `double_precision`.
    """
    posterior = fresh(posterior)
    parts = [np.asarray(part) for part in _evaluate_inputs(posterior, x)]
    z, back, log_prior = parts[:3]
    low, high = posterior.prior.bounds
    entries = (x >= low[None]) & (x <= high[None]) & (np.abs(back - x) <= 1e-6 * (1 + np.abs(x)))
    supported = entries.reshape(len(x), -1).all(axis=1) & np.isfinite(z).all(axis=1)
    z, log_prior = np.where(supported[:, None], z, np.nan), np.where(supported, log_prior, -np.inf)
    y, fit, reached, norm = parts[3:]
    known = fit if has_density(posterior.likelihood) else None
    return Placed(Evaluation(x, y, log_prior, known, reached, norm), z, supported)


@eqx.filter_jit
def _evaluate_inputs(posterior: Posterior, x: Float[Array | np.ndarray, "b *x"]) -> tuple[Array, ...]:
    def one(x: Float[Array, "*x"]) -> tuple[Array, ...]:
        z = posterior.prior.inverse(x)
        y = posterior.forward(x)
        return z, posterior.prior.transform(z), posterior.log_prior(z), y, *_judged(posterior, y)

    # one after the other: a large network would hold all its hidden layers for all rows
    return jax.lax.map(one, jnp.asarray(x))


@eqx.filter_jit
def _sample_prior(posterior: Posterior, keys: Array) -> Float[Array, "b n"]:
    return jax.vmap(posterior.prior.sample_latent)(keys)


def sample_prior(posterior: Posterior, key: PRNGKey, draws: int) -> Float[np.ndarray, "draws n"]:
    """z ~ p(z): `draws` rows. Call inside `double_precision`."""
    return np.asarray(_sample_prior(fresh(posterior), jax.random.split(key, draws)))


@eqx.filter_jit
def _simulate(posterior: Posterior, keys: Array) -> tuple[Array, Array, YStar]:
    def one(key: PRNGKey) -> tuple[Array, Array, YStar]:
        key_z, key_y = jax.random.split(key)
        z = posterior.prior.sample_latent(key_z)
        return z, posterior.x(z), posterior.likelihood.simulate(key_y, posterior.y(z))

    return jax.vmap(one)(keys)


def simulate(posterior: Posterior, key: PRNGKey, draws: int) -> tuple[Array, Array, YStar]:
    """(z, x, Y*) ~ p(z) p(Y* | f(T(z))): pairs from the joint law, for calibration and training.

    Returns:
        z of shape (draws, n), x of shape (draws, *x), and Y* of shape (draws, *y); for a Product a tuple
        of one Y* for each part.

    Raises:
        ViewError: the wish is not a generative model (an Interval, for example).
    """
    return _simulate(fresh(posterior), jax.random.split(key, draws))
