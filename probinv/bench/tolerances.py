"""LiftedHMC as the tolerance vanishes: the same cost at every one, and 20 networks at narrow ones."""

from typing import Any

import numpy as np

from probinv._invert import invert
from probinv.bench.metrics import worth_of
from probinv.bench.problems import random_network, reachable
from probinv.bench.result import Result
from probinv.forward import Layered
from probinv.likelihood import Exactly, Gaussian
from probinv.methods import LiftedHMC
from probinv.posterior import Posterior
from probinv.prior import Normal
from probinv.results.tree import provenance

SIGMAS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 0.0)
NARROW = (1e-3, 1e-4, 1e-6, 0.0)
COUNT, FIRST = 20, 100
MIXED, ON_TARGET = 1.01, 0.99


def draw_at(network: Layered, y_star: np.ndarray, sigma: float, *, seed: int = 0) -> dict[str, Any]:
    """Figures of LiftedHMC with its defaults at one tolerance; 0 is an exact wish."""
    wish = Gaussian(y_star, sigma) if sigma else Exactly(y_star)
    posterior = Posterior(Normal(0.0, 1.0, network.input_shape), network, wish)
    tree = invert(posterior, LiftedHMC(), seed=seed, progress=False, verdict=False)
    facts, found = provenance(tree), worth_of(tree)
    reached = tree["sample_stats"]["reached"].values.mean(axis=1)
    return {
        "min_ess": found.ess,
        "worst_quantity": found.quantity,
        "worst_rhat": found.rhat,
        "reached_by_worst_chain": float(reached.min()),
        "gradients": facts["gradients"],
        "ess_per_1000_gradients": 1000 * found.ess / facts["gradients"],
        "ess_per_second": found.ess / facts["seconds_sampling"],
        "seconds_sampling": facts["seconds_sampling"],
        "verdict": facts["verdict"]["verdict"],
    }


def networks() -> list[Layered]:
    """20 random networks 10-32-32-M, M = 1, 2, 3 in turn."""
    return [random_network((10, 32, 32, 1 + k % 3), FIRST + k) for k in range(COUNT)]


def bench_tolerances() -> Result:
    """ESS per 1000 gradients of LiftedHMC from sigma = .1 to 0, and R-hat, on 20 networks."""
    runs: dict[str, list[dict[str, Any]]] = {f"{sigma:g}": [] for sigma in SIGMAS}
    for k, network in enumerate(networks()):
        y_star = reachable(network, FIRST + k)
        for sigma in SIGMAS:
            runs[f"{sigma:g}"].append(draw_at(network, y_star, sigma, seed=k))
    rows: list[tuple[Any, ...]] = []
    means: list[float] = []
    for label, found in runs.items():
        means.append(_geometric([one["ess_per_1000_gradients"] for one in found]))
        rows.append(
            (
                label,
                means[-1],
                _geometric([one["ess_per_second"] for one in found]),
                f"{np.median([one['worst_rhat'] for one in found]):.3f}",
                f"{max(one['worst_rhat'] for one in found):.3f}",
                min(one["reached_by_worst_chain"] for one in found),
                f"{sum(map(_right, found))}/{COUNT}",
                f"{sum(map(_vouched_wrongly, found))}/{COUNT}",
            )
        )
    ratio = min(means) / max(means)
    return Result(
        {"worst_against_best_sigma": ratio, "runs": runs},
        COLUMNS,
        rows,
        [
            f"{COUNT} random tanh networks 10-32-32-M, M = 1, 2, 3; LiftedHMC with its defaults; geometric "
            "means.",
            f"ESS per 1000 gradients at the worst sigma against the best: {ratio:.2f}.",
            f"right: R-hat <= {MIXED} in x, energy and log likelihood, and in every chain {ON_TARGET:.0%} "
            "of the draws reach Y*. vouched wrongly: the verdict is ok and that does not hold.",
        ],
    )


COLUMNS = (
    "sigma",
    "ESS/1000 gradients",
    "ESS/s",
    "R-hat, median",
    "R-hat, worst",
    "reached, worst chain",
    "right",
    "vouched wrongly",
)


def _geometric(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-12)))))


def _right(found: dict[str, Any]) -> bool:
    return bool(found["worst_rhat"] <= MIXED and found["reached_by_worst_chain"] >= ON_TARGET)


def _vouched_wrongly(found: dict[str, Any]) -> bool:
    return found["verdict"] == "ok" and not _right(found)
