"""How large a ReLU network may be for all solutions of f(x) = Y* to be had, region by region."""

import time
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np

from probinv._checks import double_precision
from probinv.bench.result import Result
from probinv.forward import Layered, solution_regions

SIZES: tuple[tuple[int, ...], ...] = (
    (1, 300, 300, 1),
    (2, 128, 128, 2),
    (2, 200, 200, 1),
    (3, 32, 32, 2),
    (3, 50, 50, 3),
    (3, 20, 20, 1),
    (5, 12, 12, 5),
    (3, 32, 32, 1),
    (5, 16, 1),
    (5, 10, 10, 1),
    (5, 16, 16, 4),
    (10, 12, 1),
)
BIAS, INPUT, NODES_MOST = 0.3, 0.3, 30_000
SHOWN = ("network", "regions", "complete", "dimension", "nodes", "error", "seconds")
COLUMNS = ("network", "regions", "complete", "dimension", "sets looked at", "error", "CPU s")


def random_network(sizes: tuple[int, ...], seed: int = 0) -> Layered:
    """ReLU layers with weights of variance 2 / inputs (He et al. 2015, arXiv 1502.01852), biases of 0.3."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((b, a)) * np.sqrt(2 / a) for a, b in pairwise(sizes)]
    return Layered.from_arrays(weights, [BIAS * rng.standard_normal(len(w)) for w in weights], "relu")


def look(sizes: tuple[int, ...], nodes_most: int = NODES_MOST) -> dict[str, Any]:
    """Figures of one network, for Y* = f(0.3, ..., 0.3), which can be met, in the box [-1, 1]."""
    network = random_network(sizes)
    with double_precision():
        wish = np.asarray(network(jnp.full(sizes[0], INPUT)))
    began = time.process_time()
    found = solution_regions(network, wish, bounds=(-1.0, 1.0), nodes_most=nodes_most)
    return {
        "network": "-".join(map(str, sizes)),
        "regions": len(found.regions),
        "complete": found.complete,
        "dimension": max((region.dimension for region in found.regions), default=-1),
        "nodes": found.nodes,
        "error": float(found.error.max(initial=0.0)),
        "seconds": time.process_time() - began,
    }


def bench_regions(sizes: tuple[tuple[int, ...], ...] = SIZES) -> Result:
    """Regions, and seconds to find all of them, of twelve random ReLU networks."""
    figures = [look(one) for one in sizes]
    rows = [tuple(one[key] for key in SHOWN) for one in figures]
    return Result(
        {"networks": figures},
        COLUMNS,
        rows,
        [
            "Random ReLU networks, a wish that is met, x in the box [-1, 1]; sets of patterns looked at, "
            f"{NODES_MOST} at most.",
            "dimension: of the largest region. error: max |f(x) - Y*| over one point of each region.",
        ],
    )
