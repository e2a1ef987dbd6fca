"""ESS per second against hand-written NumPyro NUTS, on four networks at a wide and a narrow tolerance."""

from typing import Any

import numpy as np

from probinv._invert import invert
from probinv.bench.metrics import worth_of
from probinv.bench.problems import random_network, reachable
from probinv.bench.result import Result
from probinv.bench.rivals import numpyro_nuts
from probinv.forward import Layered
from probinv.likelihood import Gaussian
from probinv.methods import AbstractMethod, LiftedHMC
from probinv.posterior import Posterior
from probinv.prior import Normal
from probinv.results.tree import provenance

NETWORKS = ((10, 32, 32, 1), (10, 64, 64, 3), (400, 100, 25, 6), (1024, 8, 8, 2))
ALONE = (10_000, 256, 10)
"""A network on which NumPyro, 1023 leapfrogs a draw in 10,000 dimensions, would take hours."""
SIGMAS = (0.1, 1e-3)
PLAN = {0.1: (500, 1000), 1e-3: (200, 200)}
"""Warm-up and draws of NumPyro: few at the narrow tolerance, where each costs up to 1023 leapfrogs."""
COLUMNS = (
    "network",
    "sigma",
    "sampler",
    "s compile",
    "s sampling",
    "min ESS",
    "worst in",
    "R-hat",
    "steps/draw",
    "accepted",
    "ESS/s",
    "ratio",
)


def run(
    network: Layered, y_star: np.ndarray, sigma: float, method: AbstractMethod, *, seed: int = 0
) -> dict[str, Any]:
    """Figures of probinv on x ~ N(0, I), Y* ~ N(f(x), sigma^2)."""
    posterior = Posterior(Normal(0.0, 1.0, network.input_shape), network, Gaussian(y_star, sigma))
    tree = invert(posterior, method, seed=seed, progress=False, verdict=False)
    facts, found = provenance(tree), worth_of(tree)
    return {
        "min_ess": found.ess,
        "worst_quantity": found.quantity,
        "worst_rhat": found.rhat,
        "seconds_compile": facts["seconds_compile"],
        "seconds_sampling": facts["seconds_sampling"],
        "ess_per_second": found.ess / facts["seconds_sampling"],
        "ess_per_1000_gradients": 1000 * found.ess / facts["gradients"],
        "steps_per_draw": float(tree["sample_stats"]["n_steps"].mean()),
        "independent_accepted": facts["notes"]["independent_accepted"],
        "verdict": facts["verdict"]["verdict"],
    }


def run_numpyro(network: Layered, y_star: np.ndarray, sigma: float, *, seed: int = 0) -> dict[str, Any]:
    """The same figures of hand-written NumPyro NUTS with its defaults."""
    warmup, draws = PLAN[sigma]
    found = numpyro_nuts(network, y_star, sigma, warmup=warmup, draws=draws, seed=seed)
    return {
        "min_ess": found.worth.ess,
        "worst_quantity": found.worth.quantity,
        "worst_rhat": found.worth.rhat,
        "seconds_compile": found.seconds_compile,
        "seconds_sampling": found.seconds,
        "ess_per_second": found.worth.ess / found.seconds,
        "steps_per_draw": found.steps / found.draws,
    }


def bench_samplers() -> Result:
    """min ESS per second of sampling on four tanh networks, at sigma .1 and .001, against NumPyro's NUTS."""
    figures, rows = {}, []
    for sizes in NETWORKS:
        network = random_network(sizes)
        y_star = reachable(network)
        for sigma in SIGMAS:
            ours = run(network, y_star, sigma, LiftedHMC())
            theirs = run_numpyro(network, y_star, sigma)
            ratio = ours["ess_per_second"] / theirs["ess_per_second"]
            name = "-".join(map(str, sizes))
            figures[f"{name}, {sigma:g}"] = {"probinv": ours, "numpyro": theirs, "ratio": ratio}
            rows.append(_row(name, sigma, "LiftedHMC", ours, ratio))
            rows.append(_row(name, sigma, "NumPyro", theirs, ""))
    network, name = random_network(ALONE), "-".join(map(str, ALONE))
    alone = run(network, reachable(network), SIGMAS[-1], LiftedHMC())
    figures[f"{name}, {SIGMAS[-1]:g}"] = {"probinv": alone}
    rows.append(_row(name, SIGMAS[-1], "LiftedHMC", alone, ""))
    notes = [
        "Random tanh networks, x ~ N(0, I), Y* = f(x*) of one such x; 4 chains, float64, one process.",
        "min ESS: the smallest over all x, the energy and the log likelihood. Seconds of sampling include "
        "the warm-up of both, and of neither what is compiled (and the search of LiftedHMC for its starts, "
        "which is all of its compiling at the second sigma).",
        "LiftedHMC with its defaults; NumPyro with its defaults and 4 x (500 + 1000) steps, at "
        f"{SIGMAS[-1]:g} only 4 x (200 + 200), for time's sake. A run with an R-hat above 1.01 is worth "
        "less than its ESS says.",
        "accepted: of the independent proposals of LiftedHMC.",
        f"{name} has no rival here: NumPyro would take hours.",
    ]
    return Result(figures, COLUMNS, rows, notes)


def _row(name: str, sigma: float, sampler: str, found: dict[str, Any], ratio: float | str) -> tuple[Any, ...]:
    return (
        name,
        f"{sigma:g}",
        sampler,
        found["seconds_compile"],
        found["seconds_sampling"],
        found["min_ess"],
        found["worst_quantity"],
        f"{found['worst_rhat']:.3f}",
        found["steps_per_draw"],
        found.get("independent_accepted", ""),
        found["ess_per_second"],
        ratio,
    )
