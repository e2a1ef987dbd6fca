"""A kernel density estimate as a prior."""

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from probinv._checks import as_positive
from probinv._typing import PRNGKey, Scalar, X, Z
from probinv.prior._base import LOG_2PI, AbstractArrayPrior
from probinv.prior._covariance import as_rows, mean_and_factor
from probinv.prior._leaf import leaf


@final
class KernelDensity(AbstractArrayPrior):
    """p(x) = mean_i N(x; d_i, h^2 C), with x = m + L z, C = L L^T and m the covariance and mean of the data.

    In the coordinates z the data are whitened: p(z) = mean_i N(z; c_i, h^2 I), c_i = L^-1 (d_i - m).
    As scipy.stats.gaussian_kde; every evaluation visits all rows.

    Source of the default h = rows^(-1 / (n + 4)): Scott (1992), Multivariate Density Estimation, Wiley.

    Args:
        data: examples d_i (rows, *x); rows of shape (8, 8) give an x of shape (8, 8).
        bandwidth: h, in units of the data's standard deviations (scipy's `factor`); None for Scott's rule.
        shrinkage: of the correlations in C towards 0, as in `fit_gaussian`; None for Ledoit and Wolf's
            estimate, needed where there are fewer rows than columns. A constant column gets 1e-2 of the
            median standard deviation of the others.

    Raises:
        InputError: NaN, one row, no variation, a bandwidth that is not positive, or a singular C.
    """

    mean: Float[Array | np.ndarray, "*x"]
    cholesky: Float[Array | np.ndarray, "n n"]
    centres: Float[Array | np.ndarray, "rows n"]
    bandwidth: Float[Array | np.ndarray, ""]

    def __init__(self, data: Any, bandwidth: Any = None, shrinkage: float | None = 0.0) -> None:
        rows = as_rows(data)
        flat = rows.reshape(len(rows), -1)
        count, size = flat.shape
        mean, self.cholesky = mean_and_factor(flat, shrinkage)
        self.mean = mean.reshape(rows.shape[1:])
        self.centres = np.ascontiguousarray(np.linalg.solve(self.cholesky, (flat - mean).T).T)
        scott = count ** (-1 / (size + 4))
        self.bandwidth = as_positive("bandwidth", scott if bandwidth is None else bandwidth, shape=())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mean.shape

    @property
    def latent_size(self) -> int:
        return self.mean.size

    @property
    def standard(self) -> bool:
        return False

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.full(self.shape, -np.inf), np.full(self.shape, np.inf)

    def transform(self, z: Z) -> X:
        return leaf(self.mean) + (leaf(self.cholesky) @ z).reshape(self.shape)

    def inverse(self, x: X) -> Z:
        return solve_triangular(leaf(self.cholesky), (x - leaf(self.mean)).ravel(), lower=True)

    def log_latent(self, z: Z) -> Scalar:
        rows, size = self.centres.shape
        bandwidth = leaf(self.bandwidth)
        distance = jnp.sum((z[None, :] - leaf(self.centres)) ** 2, axis=1) / bandwidth**2
        norm = size * (jnp.log(bandwidth) + 0.5 * LOG_2PI) + np.log(rows).item()
        return logsumexp(-0.5 * distance) - norm

    def log_prob(self, x: X) -> Scalar:
        log_det = jnp.sum(jnp.log(jnp.diagonal(leaf(self.cholesky))))
        return self.log_latent(self.inverse(x)) - log_det

    def sample_latent(self, key: PRNGKey) -> Z:
        key_row, key_noise = jax.random.split(key)
        row = jax.random.randint(key_row, (), 0, self.centres.shape[0])
        noise = jax.random.normal(key_noise, (self.latent_size,))
        return leaf(self.centres)[row] + leaf(self.bandwidth) * noise
