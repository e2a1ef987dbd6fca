"""Ridge reduction: a network that sees x only through a few combinations of its entries."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import fresh
from probinv._typing import PRNGKey, X, Y, Z
from probinv.forward import AbstractForward, Affine, Dense, Layered
from probinv.posterior._posterior import Posterior
from probinv.prior import AbstractPrior, Normal, is_affine

RANK = 1e-12
"""Singular values below this fraction of the largest are rounding."""
SEARCH_LEAST, SEARCH_MOST = 20, 4096
"""Coordinates from which and up to which Jacobians are searched for a common row space."""
PROBES = 64
AGREES, ROUNDING = 1e-10, 1e-14
"""Of the spread of an output, and of its size."""
BLOCK_NUMBERS, ROWS_MOST = 20_000_000, 256


@final
class Ridge(eqx.Module):
    r"""p(z | Y*) = p(w | Y*) N(xi; 0, I - Q Q^T),  z = Q w + xi,  f(T(z)) = g(w),  w in R^k, Q^T Q = I.

    Where x = T(z) is affine in z ~ N(0, I) and f begins with a dense layer of rank k < n, f(T(z)) depends on
    z through w = Q^T z only (a ridge function: Pinkus 2015). Then w ~ N(0, I_k) a priori, and given w the
    rest of z is as under the prior, independent of Y*. Sampling w in k dimensions and drawing the rest is
    exact, whatever the sampler.

    Attributes:
        reduced: the posterior of w.
        basis: Q, of shape (n, k).
        found: how it was recognised: "first dense layer" or "Jacobians".
    """

    reduced: Posterior
    basis: Float[Array | np.ndarray, "n k"]
    found: str = eqx.field(static=True)

    @property
    def sentence(self) -> str:
        """What was done, for the result."""
        n, k = self.basis.shape
        how = "its first dense layer has" if self.found == "first dense layer" else "its Jacobians have"
        return (
            f"The network sees its {n} coordinates through {k} combinations only ({how} rank {k}); these "
            "were sampled, and the rest drawn exactly from the prior given them."
        )

    def complete(self, w: Float[np.ndarray, "chains draws k"], key: PRNGKey, first: int = 0) -> np.ndarray:
        """z = Q w + (I - Q Q^T) xi, xi ~ N(0, I), of shape (chains, draws, n).

        Draw j of chain i uses a key of its own, `first` + j being its place in the whole run. Blocks begin at
        multiples of their length in the whole run: however it is cut, a draw is computed in the same row of
        the same product, and so to the same bit.
        """
        draws = w.shape[1]
        rows = int(np.clip(BLOCK_NUMBERS // len(self.basis), 1, ROWS_MOST))
        chains = []
        for i, chain in enumerate(w):
            key_chain, parts = jax.random.fold_in(key, i), []
            for begin in range(first // rows * rows, first + draws, rows):
                place = begin + np.arange(rows)
                there = (place >= first) & (place < first + draws)
                padded = np.zeros((rows, w.shape[2]))
                padded[there] = chain[place[there] - first]
                z = _complete(self.basis, padded, key_chain, jnp.asarray(begin))
                parts.append(np.asarray(z)[there])
            chains.append(np.concatenate([np.zeros((0, len(self.basis))), *parts]))
        return np.stack(chains)


def find_ridge(posterior: Posterior) -> Ridge | None:
    """The reduction of a posterior, or None where the prior is not Gaussian or the rank not below n.

    Of a `Layered` network that begins with a dense layer (scalers before it allowed) the rank is that of the
    layer. Of other networks with 20 to 4096 coordinates the rows of Jacobians at prior draws are collected
    until their rank no longer grows, and f(T(z)) = f(T(Q Q^T z)) is verified at 64 other points, to 1e-10 of
    the spread of each output. Call inside `double_precision`.
    """
    posterior = fresh(posterior)
    if not is_affine(posterior.prior):
        return None
    first = _first_dense(posterior)
    return _by_layer(posterior, first) if first is not None else _by_jacobians(posterior)


def _first_dense(posterior: Posterior) -> int | None:
    """Place of the dense layer before which there are scalers only."""
    forward = posterior.forward
    if not isinstance(forward, Layered):
        return None
    for place, layer in enumerate(forward.layers):
        if isinstance(layer, Dense):
            return place
        if not isinstance(layer, Affine):
            return None
    return None


def _by_layer(posterior: Posterior, place: int) -> Ridge | None:
    forward, n = posterior.forward, posterior.size
    assert isinstance(forward, Layered)
    dense = forward.layers[place]
    assert isinstance(dense, Dense)
    if len(dense.bias) >= n and np.linalg.matrix_rank(np.asarray(dense.weight, float)) >= n:
        return None
    bias, rows = _linear_part(posterior, Layered(forward.layers[: place + 1], forward.input_shape))
    basis, values = _row_space(np.asarray(rows))
    if basis.shape[1] in (0, n):
        return None
    first = Dense(values, np.asarray(bias))
    network = Layered([first, *forward.layers[place + 1 :]], (basis.shape[1],))
    return Ridge(Posterior(_normal(basis), network, posterior.likelihood), basis, "first dense layer")


@eqx.filter_jit
def _linear_part(posterior: Posterior, layers: Layered) -> tuple[Array, Array]:
    """(value at z = 0, Jacobian) of what the first layers make of T(z), which is affine."""
    value, pull = jax.vjp(lambda z: layers(posterior.x(z)), jnp.zeros(posterior.size))
    return value, jax.vmap(lambda row: pull(row)[0])(jnp.eye(value.size))


def _row_space(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Q, B) with rows = B Q^T and orthonormal columns of Q, as many as the rank."""
    q, r = np.linalg.qr(rows.T)
    left, values, right = np.linalg.svd(r.T)
    rank = int(np.sum(values > RANK * values.max(initial=0.0)))
    return q @ right[:rank].T, left[:, :rank] * values[:rank]


def _normal(basis: np.ndarray) -> Normal:
    return Normal(0.0, 1.0, basis.shape[1])


@final
class Along(AbstractForward):
    """w -> f(T(Q w)): a network as a function of its few combinations."""

    forward: AbstractForward
    prior: AbstractPrior
    basis: Float[Array | np.ndarray, "n k"]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.basis.shape[1],)

    def __call__(self, x: X) -> Y:
        return self.forward(self.prior.transform(jnp.asarray(self.basis, x.dtype) @ x))


def _by_jacobians(posterior: Posterior) -> Ridge | None:
    n = posterior.size
    if not SEARCH_LEAST <= n <= SEARCH_MOST:
        return None
    outputs = max(int(np.prod(posterior.output_shape)), 1)
    if outputs > n // 2:
        return None
    at_once, rank = max(4, -(-32 // outputs)), -1
    keys = jax.random.split(jax.random.key(0), n // (2 * at_once * outputs) + 3)
    rows = np.zeros((0, n))
    for key in keys[1:]:
        rows = np.concatenate([rows, np.asarray(_jacobians(posterior, jax.random.split(key, at_once)))])
        if not np.isfinite(rows).all():
            return None
        basis, values = _row_space(rows)
        before, rank = rank, basis.shape[1]
        if rank == 0 or rank > n // 2:
            return None
        rows = values[np.linalg.norm(values, axis=1) > 0] @ basis.T
        if rank == before and _verified(posterior, basis, keys[0]):
            network = Along(posterior.forward, posterior.prior, basis)
            return Ridge(Posterior(_normal(basis), network, posterior.likelihood), basis, "Jacobians")
    return None


@eqx.filter_jit
def _jacobians(posterior: Posterior, keys: Array) -> Float[Array, "rows n"]:
    def one(key: PRNGKey) -> Array:
        y, pull = jax.vjp(posterior.y, posterior.prior.sample_latent(key))
        unit = jnp.eye(y.size).reshape(-1, *y.shape)
        return jax.vmap(lambda row: pull(row)[0])(unit)

    return jax.vmap(one)(keys).reshape(-1, posterior.size)


def _verified(posterior: Posterior, basis: np.ndarray, key: PRNGKey) -> bool:
    """Whether f(T(z)) = f(T(Q Q^T z)) at prior draws, half of them twice as far out."""
    y, along = (np.asarray(part) for part in _compare(posterior, basis, jax.random.split(key, PROBES)))
    y, along = y.reshape(len(y), -1), along.reshape(len(y), -1)
    rounding = ROUNDING * np.abs(y).max(axis=0)
    return bool((np.abs(y - along) <= AGREES * y.std(axis=0) + rounding).all())


@eqx.filter_jit
def _compare(posterior: Posterior, basis: Array | np.ndarray, keys: Array) -> tuple[Array, Array]:
    def one(key: PRNGKey, scale: Array) -> tuple[Y, Y]:
        z = scale * posterior.prior.sample_latent(key)
        return posterior.y(z), posterior.y(jnp.asarray(basis) @ (basis.T @ z))

    return jax.vmap(one)(keys, 1.0 + jnp.arange(len(keys)) % 2)


@eqx.filter_jit
def _complete(
    basis: Array | np.ndarray, w: Float[Array | np.ndarray, "draws k"], key: PRNGKey, first: Array
) -> Float[Array, "draws n"]:
    basis = jnp.asarray(basis)

    def one(w: Float[Array, " k"], place: Array) -> Z:
        noise = jax.random.normal(jax.random.fold_in(key, place), basis.shape[:1])
        return noise + basis @ (w - basis.T @ noise)

    return jax.vmap(one)(jnp.asarray(w), first + jnp.arange(len(w)))
