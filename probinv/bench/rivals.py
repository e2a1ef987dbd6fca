"""What a user would run instead: a NumPyro model written by hand, and constrained HMC of mici."""

import importlib.util
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from probinv._checks import double_precision
from probinv.bench.clock import compiling
from probinv.bench.metrics import Worth, worth
from probinv.forward import Layered


class Rival(NamedTuple):
    """A run of another sampler.

    Attributes:
        worth: of x, the energy and the log likelihood.
        seconds: of sampling, warm-up included, compiling not.
        seconds_compile: what was taken off.
        steps: leapfrogs of the draws.
        x: (chain, draw, n).
    """

    worth: Worth
    seconds: float
    seconds_compile: float
    steps: int
    x: np.ndarray

    @property
    def draws(self) -> int:
        """Of all chains together."""
        return self.x.shape[0] * self.x.shape[1]


def numpyro_nuts(
    network: Layered,
    y_star: np.ndarray,
    sigma: float,
    *,
    draws: int = 1000,
    warmup: int = 500,
    chains: int = 4,
    seed: int = 0,
) -> Rival:
    """NUTS with its defaults on x ~ N(0, I), Y* ~ N(f(x), sigma^2), as a user would write it; float64."""
    size = network.input_shape[0]

    def model(y: Any) -> None:
        x = numpyro.sample("x", dist.Normal(0.0, 1.0).expand([size]).to_event(1))
        numpyro.sample("y", dist.Normal(network(x), sigma).to_event(1), obs=y)

    with double_precision(), compiling() as compiled:
        began = time.perf_counter()
        mcmc = numpyro.infer.MCMC(
            numpyro.infer.NUTS(model),
            num_warmup=warmup,
            num_samples=draws,
            num_chains=chains,
            chain_method="vectorized",
            progress_bar=False,
        )
        mcmc.run(jax.random.key(seed), jnp.asarray(y_star), extra_fields=("num_steps", "energy"))
        x = np.asarray(mcmc.get_samples(group_by_chain=True)["x"])
        seconds = time.perf_counter() - began
        taken = compiled.seconds
        extra = {
            name: np.asarray(value) for name, value in mcmc.get_extra_fields(group_by_chain=True).items()
        }
        residual = (np.asarray(jax.jit(jax.vmap(jax.vmap(network)))(x)) - y_star) / sigma
    quantities = {
        "x": x,
        "energy": extra["energy"],
        "log likelihood": -0.5 * np.sum(residual**2, axis=2),
    }
    return Rival(worth(quantities), seconds - taken, taken, int(extra["num_steps"].sum()), x)


def has_mici() -> bool:
    """Whether mici is installed."""
    return importlib.util.find_spec("mici") is not None


def mici_loop(
    sigma: float, y_star: float, *, draws: int = 300, warmup: int = 200, chains: int = 4, seed: int = 0
) -> Rival:
    """Constrained HMC of mici, with its defaults, on the toy F(x) = x1^2 + x0^2 (x0^2 - 1/2).

    q = (x0, x1, eta) ~ N(0, I) on F(x) + sigma eta = Y*. All derivatives are given in closed form, in NumPy:
    automatic ones would be slower.
    """
    import mici

    def slope(q: np.ndarray) -> np.ndarray:
        return np.array([[4 * q[0] ** 3 - q[0], 2 * q[1], sigma]])

    def curvature(q: np.ndarray) -> Any:
        return lambda m: m[0] * np.array([12 * q[0] ** 2 - 1, 2.0, 0.0])

    def constraint(q: np.ndarray) -> np.ndarray:
        return np.array([q[1] ** 2 + q[0] ** 4 - 0.5 * q[0] ** 2 + sigma * q[2] - y_star])

    rng = np.random.default_rng(seed)
    start = [_on_loop(rng, y_star) for _ in range(chains)]
    began = time.perf_counter()
    found = mici.sample_constrained_hmc_chains(
        warmup,
        draws,
        start,
        neg_log_dens=lambda q: 0.5 * np.sum(q**2),
        grad_neg_log_dens=lambda q: q,
        constr=constraint,
        jacob_constr=slope,
        mhp_constr=curvature,
        dens_wrt_hausdorff=False,
        seed=rng,
        display_progress=False,
    )
    seconds = time.perf_counter() - began
    q = np.stack(found.traces["pos"])
    quantities = {
        "x": q[..., :2],
        "energy": np.stack(found.traces["hamiltonian"]),
        "log likelihood": -0.5 * q[..., 2] ** 2,
    }
    steps = int(np.sum([np.sum(one) for one in found.statistics["n_step"]]))
    return Rival(worth(quantities), seconds, 0.0, steps, q[..., :2])


def _on_loop(rng: np.random.Generator, y_star: float) -> np.ndarray:
    """A point of F(x) = Y* with eta = 0."""
    x0 = rng.uniform(-1.0, 1.0)
    return np.array([x0, rng.choice([-1, 1]) * np.sqrt(y_star - x0**4 + 0.5 * x0**2), 0.0])
