"""MAP: all distinct optima of the posterior density that many starts find."""

import time
from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array

from probinv._checks import as_count
from probinv._errors import InputError, NumericalError
from probinv._typing import PRNGKey, Z
from probinv.methods._base import AbstractMethod, Cost, Optima, Progress
from probinv.methods.kernels.start import overdispersed_start
from probinv.posterior import Density
from probinv.prior._base import LOG_2PI

LAPLACE_SIZE_MOST = 1000
CURVATURE_LEAST = 1e-4


@final
class MAP(AbstractMethod):
    r"""z* = argmax log p(z | Y*), from many starts; every distinct optimum is kept.

    Laplace weight of an optimum: exp(log p(z*) + n log(2 pi) / 2 - log det(H) / 2),
    H = -d^2/dz^2 log p(z* | Y*) (Tierney & Kadane 1986), normalised over the optima found. It is NaN where an
    eigenvalue of H is below 1e-4 (a valley of solutions, flat over 100 units of z) or n > 1000, and the
    result says so. Maxima are of the density of z, which depends on the coordinates. Minimised by L-BFGS
    (optimistix) after the anchored start that the samplers use.

    Args:
        starts: number of starting points.
        iterations: at most so many L-BFGS steps for each.
        tolerance: relative and absolute tolerance of the optimiser.
        apart: optima nearer than this, in coordinates z divided by sqrt(n), count as one.
    """

    starts: int = 32
    iterations: int = 500
    tolerance: float = 1e-8
    apart: float = 1e-3
    view: ClassVar[type] = Density
    exact: ClassVar[bool] = False

    def __check_init__(self) -> None:
        as_count("starts", self.starts)
        as_count("iterations", self.iterations)
        for name in ("tolerance", "apart"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise InputError(
                    f"{name} must be positive", f"got {getattr(self, name)!r}", "give a number > 0"
                )

    @property
    def steps(self) -> int:
        """Starts."""
        return self.starts

    @property
    def points(self) -> int:
        """At most so many optima."""
        return self.starts

    def memory(self, size: int) -> int:
        """Bytes at the peak of a run in `size` coordinates: L-BFGS history, and one Hessian at a time."""
        hessian = 4 * size**2 if size <= LAPLACE_SIZE_MOST else 0
        return 8 * (40 * self.starts * size + hessian)

    def run(
        self, view: Density, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Optima:
        """The distinct optima, best first."""
        if resume is not None:
            raise InputError("resume cannot be used", "MAP keeps no state", "run it again")
        began = time.perf_counter()
        start = overdispersed_start(view, key, self.starts, candidates=self.starts, steps=100)
        seconds = time.perf_counter() - began
        found, interrupted = [], False
        try:
            for z in start.z:
                found.append([np.asarray(part) for part in _climb(view, jnp.asarray(z), self._limits)])
                progress.update(1, "optimising")
        except KeyboardInterrupt:
            interrupted = True
            if not found:
                raise
        z, value, slope, used = (np.stack(column) for column in zip(*found, strict=True))
        kept = distinct(z, value, self.apart)
        if not kept:
            raise NumericalError(
                f"log p(z | Y*) is not finite at any of the {len(found)} points found",
                "the search left the region where the network returns finite values",
                "check the network on inputs drawn from the prior, or sample with NUTS",
            )
        weights = np.array([_log_laplace(view, z[k], value[k]) for k in kept])
        stats = {
            "objective": value[kept],
            "gradient_norm": slope[kept],
            "laplace_log_weight": weights,
            "laplace_weight": _normalise(weights),
        }
        cost = Cost(start.gradients + int(used.sum()), seconds, time.perf_counter() - began - seconds)
        notes = {
            "objective": "posterior",
            "starts_done": len(found),
            "finite_under_prior": start.finite,
            "without_laplace_weight": int(np.isnan(weights).sum()),
        }
        return Optima(z[kept], start.z[: len(found)][kept], stats, cost, interrupted, notes)

    @property
    def _limits(self) -> tuple[int, float]:
        return self.iterations, self.tolerance


def distinct(z: np.ndarray, value: np.ndarray, apart: float) -> list[int]:
    """Indices of the optima, best first, leaving out those within `apart` * sqrt(n) of a better one."""
    kept: list[int] = []
    for k in np.argsort(-value, kind="stable"):
        if not np.isfinite(value[k]):
            continue
        if all(np.linalg.norm(z[k] - z[j]) > apart * np.sqrt(z.shape[1]) for j in kept):
            kept.append(int(k))
    return kept


@eqx.filter_jit
def _climb(view: Density, z: Z, limits: tuple[int, float]) -> tuple[Array, ...]:
    iterations, tolerance = limits

    def loss(z: Z, view: Any) -> Array:
        return -view.log_density(z)

    solver: Any = optx.LBFGS(rtol=tolerance, atol=tolerance)
    solution: Any = optx.minimise(loss, solver, z, args=view, max_steps=iterations, throw=False)
    value, gradient = jax.value_and_grad(view.log_density)(solution.value)
    return solution.value, value, jnp.linalg.norm(gradient), solution.stats["num_steps"]


@eqx.filter_jit
def _log_det_hessian(view: Density, z: Z) -> Array:
    curvature = jnp.linalg.eigvalsh(-jax.hessian(view.log_density)(z))
    # along a valley the computed eigenvalue is not 0 but the rounding and the optimiser's error, of any sign
    least = jnp.maximum(CURVATURE_LEAST, 1e-13 * curvature[-1])
    return jnp.sum(jnp.log(jnp.where(curvature > least, curvature, jnp.nan)))


def _log_laplace(view: Density, z: np.ndarray, value: float) -> float:
    if len(z) > LAPLACE_SIZE_MOST:
        return float("nan")
    return float(value + 0.5 * len(z) * LOG_2PI - 0.5 * _log_det_hessian(view, jnp.asarray(z)))


def _normalise(log_weights: np.ndarray) -> np.ndarray:
    if not np.isfinite(log_weights).all():
        return np.full(len(log_weights), np.nan)
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()
