"""Runs whose verdict is known: draws of exactly known laws, in the form that `invert` gives a tree."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from probinv.results.tree import build_tree

PRIOR_DRAWS = 1000
type Groups = dict[str, dict[str, np.ndarray]]

FACTS: dict[str, Any] = {
    "method": "NUTS",
    "settings": {"draws": 1000, "chains": 4},
    "exact": True,
    "seed": "0",
    "likelihood": "Gaussian",
    "network_dtype": "float64",
    "interrupted": False,
    "notes": {"max_tree_depth": 10, "algorithm": "NUTS", "thin": 1, "finite_under_prior": 1.0},
}


class Run:
    """y = f(z), x = z, z ~ N(0, I), y_star = y + N(0, sigma^2): trees from any draws z."""

    def __init__(
        self, f: Callable[[np.ndarray], np.ndarray], y_star: np.ndarray, sigma: float, n: int, seed: int = 0
    ) -> None:
        self.f, self.y_star, self.sigma, self.n = f, np.asarray(y_star, float), sigma, n
        self.rng = np.random.default_rng(seed)
        self.facts = {**FACTS, "notes": dict(FACTS["notes"])}

    def groups(self, z: np.ndarray) -> Groups:
        """Everything that `invert` puts into a tree for the draws z (chain, draw, n)."""
        chains, draws, n = z.shape
        prior = self.rng.normal(size=(1, PRIOR_DRAWS, n))
        y, fit, norm = self._evaluated(z)
        prior_y, prior_fit, prior_norm = self._evaluated(prior)
        lp = fit - 0.5 * (z**2).sum(-1)
        stats = {
            "energy": -lp + 0.5 * self.rng.chisquare(n, size=(chains, draws)),
            "lp": lp,
            "diverging": np.zeros((chains, draws), bool),
            "n_steps": np.full((chains, draws), 7),
            "nan_count": np.zeros((chains, draws), int),
            "reached": norm < 4.0,
            "residual_norm": norm,
        }
        return {
            "posterior": {"x": z.copy()},
            "unconstrained_posterior": {"z": z.copy()},
            "posterior_predictive": {"y": y},
            "log_likelihood": {"y_star": fit},
            "sample_stats": stats,
            "prior": {"x": prior},
            "prior_predictive": {"y": prior_y, "log_likelihood": prior_fit, "reached": prior_norm < 4.0},
            "observed_data": {"y_star": self.y_star},
            "constant_data": {
                "lower_x": np.full(n, -np.inf),
                "upper_x": np.full(n, np.inf),
                "y_tolerance": np.full(self.y_star.shape, self.sigma),
            },
        }

    def tree(self, z: np.ndarray) -> xr.DataTree:
        return build_tree(self.groups(z), self.facts)

    def _evaluated(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            y = self.f(z)
            r = (y - self.y_star) / self.sigma
            norm = np.sqrt((r**2).sum(-1))
            return y, -0.5 * norm**2, norm


def total(z: np.ndarray) -> np.ndarray:
    """y = z_0 + z_1."""
    return z[..., :2].sum(-1, keepdims=True)


def square(z: np.ndarray) -> np.ndarray:
    """y = z_0^2: two answers."""
    return z[..., :1] ** 2


def linear(
    n: int = 3, chains: int = 4, draws: int = 1000, *, y_star: float = 1.0, sigma: float = 0.1, seed: int = 0
) -> tuple[Run, np.ndarray]:
    """z ~ N(0, I) given z_0 + z_1 = y_star + N(0, sigma^2): independent draws of the exact posterior."""
    run = Run(total, np.array([y_star]), sigma, n, seed)
    z = run.rng.normal(size=(chains, draws, n))
    noise = sigma * run.rng.normal(size=(chains, draws, 1))
    z[..., :2] += (y_star + noise - total(z)) / (2 + sigma**2)
    return run, z


def two_modes(sides: np.ndarray, draws: int = 1000, *, sigma: float, seed: int = 0) -> tuple[Run, np.ndarray]:
    """z_0^2 = 1 + N(0, sigma^2) with the sign of each chain or draw given: exact draws by the inverse cdf."""
    run = Run(square, np.array([1.0]), sigma, 2, seed)
    grid = np.sqrt(np.linspace(max(1 - 8 * sigma, 1e-9), 1 + 8 * sigma, 20001))
    density = np.exp(-0.5 * ((grid**2 - 1) / sigma) ** 2 - 0.5 * grid**2) * np.gradient(grid)
    cdf = np.cumsum(density) / density.sum()
    z = run.rng.normal(size=(len(sides), draws, 2))
    z[..., 0] = np.interp(run.rng.uniform(size=(len(sides), draws)), cdf, grid)
    z[..., 0] *= sides if sides.ndim == 2 else sides[:, None]
    return run, z


def walk(run: Run, chains: int, draws: int, n: int, rho: float) -> np.ndarray:
    """z_t = rho z_{t-1} + sqrt(1 - rho^2) N(0, 1), from its stationary law."""
    z = run.rng.normal(size=(chains, draws, n))
    for t in range(1, draws):
        z[:, t] = rho * z[:, t - 1] + np.sqrt(1 - rho**2) * z[:, t]
    return z
