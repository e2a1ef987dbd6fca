"""Re-simulation error: what the true simulator makes of inputs that were found by asking a network."""

import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import double_precision
from probinv._typing import PRNGKey, Scalar, Y, Z
from probinv.bench.result import Result
from probinv.bench.simulators import SIMULATORS, Simulator, train_surrogate
from probinv.forward import Layered
from probinv.likelihood import Exactly
from probinv.posterior import Posterior, sample_prior

TARGETS, PROPOSALS, MANY = 200, 250, 50
POOL, EXACT_POOL, EXACT_NEAREST = 100_000, 1_000_000, 2000
POLISH, FOUND = 8, 1e-8
RARE = 0.01
AT_ONCE = 500


class Proposals(NamedTuple):
    """Inputs for every target, the network's favourite first.

    Attributes:
        x: (target, proposal, n).
        misfit: (target, proposal), the largest |f(x) - Y*| of the network.
    """

    x: np.ndarray
    misfit: np.ndarray


def propose(
    network: Layered, simulator: Simulator, targets: Float[np.ndarray, "targets m"], key: PRNGKey
) -> Proposals:
    r"""x ~ p(x | f(x) = Y*) for each of many targets, ranked by p(z), without asking the simulator.

    One pool of draws of the prior serves all targets: those whose output lies nearest to Y* are draws of the
    posterior of a small tolerance, and Gauss-Newton steps of least norm in z bring them to f(x) = Y*. What
    does not arrive is ranked last.
    """
    with double_precision():
        posterior = Posterior(simulator.prior(), network, Exactly(targets[0]))
        z = sample_prior(posterior, key, POOL)
        y = np.asarray(_outputs(posterior, z))
        start = np.stack([z[_nearest(y, one, PROPOSALS)] for one in targets])
        z, x, misfit = (np.asarray(part) for part in _polish(posterior, start, targets))
    score = np.where(misfit < FOUND, -0.5 * np.sum(z**2, axis=2), -np.inf)
    order = np.argsort(-score, axis=1, kind="stable")
    return Proposals(
        np.take_along_axis(x, order[..., None], 1), np.take_along_axis(misfit, order, 1)
    )


def _nearest(y: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    """Rows of y nearest to the target, in units of the spread of each output."""
    return np.argpartition(np.sum(((y - target) / y.std(axis=0)) ** 2, axis=1), count)[:count]


@eqx.filter_jit
def _outputs(posterior: Posterior, z: Array | np.ndarray) -> Float[Array, "rows m"]:
    return jax.lax.map(posterior.y, jnp.asarray(z), batch_size=AT_ONCE)


@eqx.filter_jit
def _polish(
    posterior: Posterior, start: Array | np.ndarray, targets: Array | np.ndarray
) -> tuple[Array, Array, Array]:
    """z, x and misfit of every start after steps z <- z - J^T (J J^T)^-1 (f(T(z)) - Y*), each at most 1/2 long."""

    def one(pair: tuple[Z, Y]) -> tuple[Z, Array, Scalar]:
        z, target = pair

        def newton(_: Any, z: Z) -> Z:
            jacobian = jax.jacrev(posterior.y)(z)
            change = jnp.linalg.lstsq(jacobian, posterior.y(z) - target)[0]
            return z - change * jnp.minimum(1.0, 0.5 / jnp.linalg.norm(change))

        z = jax.lax.fori_loop(0, POLISH, newton, z)
        return z, posterior.x(z), jnp.max(jnp.abs(posterior.y(z) - target))

    rows, each = start.shape[:2]
    flat = jnp.reshape(start, (rows * each, -1)), jnp.repeat(jnp.asarray(targets), each, axis=0)
    found = jax.lax.map(one, flat, batch_size=AT_ONCE)
    return jax.tree.map(lambda leaf: leaf.reshape(rows, each, *leaf.shape[1:]), found)
