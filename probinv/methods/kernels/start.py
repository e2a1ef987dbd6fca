"""Where chains begin: optimised points as far apart as the prior and the wish allow, never one point."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from probinv._errors import NumericalError
from probinv._typing import PRNGKey, Scalar, Z

RATE_FIRST, RATE_LAST = 0.1, 0.001
SMALLEST_TEMPERATURE = 0.03
SLACK_NATS = 20.0
JITTER = 0.01


class Start(NamedTuple):
    """Starting points and how they were found.

    Attributes:
        z: (chains, n).
        gradients: gradient evaluations used.
        finite: fraction of the candidates' prior draws at which log p(z | Y*) and its gradient are finite.
    """

    z: np.ndarray
    gradients: int
    finite: float


def overdispersed_start(
    view: Any, key: PRNGKey, chains: int, *, candidates: int = 32, steps: int = 200
) -> Start:
    r"""z_k = argmin |(z - z0_k) / s|^2 / 2 - t_k log p(Y* | f(T(z))),  z0_k ~ p(z), s the spread of the z0_k.

    Each candidate stays as near to its own prior draw as the wish allows, so the set keeps the prior's spread
    wherever the wish does not decide (randomize-then-optimize without the noise: Bardsley, Solonen, Haario &
    Laine 2014). Where it decides, the temperatures t_k, from 1 down to 0.03, spread the set: a linear wish
    that shrinks the variance by the factor c leaves the standard deviation 1 / (1 + t (1 / c - 1)), which
    meets the posterior's sqrt(c) at t of about sqrt(c). Minimised by Adam with the rate falling from 0.1 to
    0.001, in units of s. `chains` of those whose log likelihood lies within 20 nats of the best are taken at
    random, then jittered by s / 100.

    Raises:
        NumericalError: log p(z | Y*) or its gradient is not finite at any of the prior draws.
    """
    candidates = max(candidates, 2 * chains)
    key_prior, key_pick, key_jitter = jax.random.split(key, 3)
    z, log_likelihood, spread, finite = (
        np.asarray(part) for part in _candidates(view, jax.random.split(key_prior, candidates), steps)
    )
    if not np.isfinite(log_likelihood).any():
        raise NumericalError(
            f"log p(z | Y*) or its gradient is NaN or infinite at all of {candidates} draws from the prior",
            "the network returns no finite value there, or the wish has probability zero",
            "check the network on inputs drawn from the prior, and the prior's bounds",
        )
    picked = _pick(log_likelihood, chains, np.asarray(jax.random.permutation(key_pick, candidates)))
    jitter = np.asarray(jax.random.normal(key_jitter, (chains, z.shape[1])))
    return Start(z[picked] + JITTER * spread * jitter, candidates * (steps + 1), float(finite.mean()))


@eqx.filter_jit
def _candidates(view: Any, keys: Array, steps: int) -> tuple[Array, Array, Array, Array]:
    origin = jax.vmap(view.sample_prior)(keys)
    spread = jnp.std(origin, axis=0) + 1e-6
    temperature = jnp.geomspace(1.0, SMALLEST_TEMPERATURE, len(origin))
    value_and_grad = jax.vmap(jax.value_and_grad(_anchored, argnums=1), in_axes=(None, 0, 0, None, 0))
    value, gradient = value_and_grad(view, jnp.zeros_like(origin), origin, spread, temperature)
    finite = jnp.isfinite(value) & jnp.isfinite(gradient).all(axis=1)
    adam = optax.adam(optax.cosine_decay_schedule(RATE_FIRST, steps, RATE_LAST / RATE_FIRST))

    def step(_: Any, carry: tuple[Array, Any]) -> tuple[Array, Any]:
        moved, state = carry
        _, gradient = value_and_grad(view, moved, origin, spread, temperature)
        gradient = jnp.where(jnp.isfinite(gradient), gradient, 0.0)
        update, state = adam.update(gradient, state)
        return moved + update, state

    moved, _ = jax.lax.fori_loop(0, steps, step, (jnp.zeros_like(origin), adam.init(origin)))
    z = origin + spread[None] * moved
    log_likelihood = jax.vmap(view.log_likelihood)(z)
    usable = finite & jnp.isfinite(log_likelihood)
    return z, jnp.where(usable, log_likelihood, -jnp.inf), spread, finite


def _anchored(view: Any, moved: Z, origin: Z, spread: Float[Array, " n"], temperature: Scalar) -> Scalar:
    return 0.5 * jnp.sum(moved**2) - temperature * view.log_likelihood(origin + spread * moved)


def _pick(log_likelihood: np.ndarray, chains: int, order: np.ndarray) -> np.ndarray:
    """Indices of `chains` candidates: those near the best in random order, then the next best."""
    best = log_likelihood.max()
    near = [k for k in order if log_likelihood[k] >= best - SLACK_NATS]
    rest = [k for k in np.argsort(-log_likelihood) if best - SLACK_NATS > log_likelihood[k] > -np.inf]
    return np.resize(np.array(near + rest), chains)
