"""The first query and the second, against the NumPyro model that a user would write by hand."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from arviz_stats.base import array_stats

from probinv._checks import double_precision
from probinv._invert import invert
from probinv.bench.problems import difficulty_patterns, roman_numerals, train_network
from probinv.bench.result import Result
from probinv.forward import Layered
from probinv.likelihood import Gaussian
from probinv.methods import NUTS
from probinv.posterior import Posterior
from probinv.prior import Normal, Uniform
from probinv.prior._base import AbstractPrior
from probinv.results.tree import provenance

DRAWS, WARMUP, CHAINS, SIGMA = 1000, 500, 4, 0.1
KINDS = {"ESS/s to the draws": "ess_per_second", "ESS/s all in": "ess_per_second_all_in"}
SECOND = "second target: seconds to first draw, fraction of the first"


class Problem(NamedTuple):
    """A network, a prior as probinv and as NumPyro write it, and two wishes."""

    network: Layered
    prior: AbstractPrior
    numpyro_prior: dist.Distribution
    first: np.ndarray
    second: np.ndarray


def score() -> Problem:
    """The 10-input, 1-output difficulty score: which random patterns have difficulty 7, and which 5?"""
    x, y = difficulty_patterns(5000)
    network = train_network(x, y, (10, 32, 32, 1), steps=4000, rate=1e-2)
    box = dist.Uniform(0.0, 1.0).expand([10]).to_event(1)
    return Problem(network, Uniform(0.0, 1.0, shape=(10,)), box, np.array([7.0]), np.array([5.0]))


def roman() -> Problem:
    """The 400-100-25-6 classifier of Roman numerals: which inputs give the logits that an X gives, or a V?"""
    x, labels = roman_numerals(3000)
    network = train_network(x, labels, (400, 100, 25, 6), loss="cross_entropy", steps=1000, decay=1e-2)
    normal = dist.Normal(0.5, 0.3).expand([400]).to_event(1)
    with double_precision():
        first, second = (np.asarray(network(x[labels == k][0].reshape(400))) for k in (2, 1))
    return Problem(network, Normal(0.5, 0.3, shape=(400,)), normal, first, second)


PROBLEMS: dict[str, Callable[[], Problem]] = {"score": score, "roman": roman}


def bench_foundation() -> Result:
    """Seconds and ESS per second of a first and a second query, probinv against hand-written NumPyro.

    Each problem runs in a fresh process without a compilation cache; both samplers run there, one after the
    other, in double precision, with 4 chains of 500 + 1000 steps. NumPyro gets one `MCMC` object a query, as
    a user would write it. "all in" adds what follows the draws: for probinv prior and predictive draws, the
    DataTree and its verdict; for NumPyro `arviz.from_numpyro` and `arviz.summary`.
    """
    measured = {}
    for name in PROBLEMS:
        command = [sys.executable, "-m", "probinv.bench.foundation", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the bench of {name} failed:\n{done.stderr}")
        measured[name] = json.loads(done.stdout.splitlines()[-1])
    return Result(
        {"draws": DRAWS, "warmup": WARMUP, "chains": CHAINS, "sigma": SIGMA, "problems": measured},
        COLUMNS,
        [row for name, found in measured.items() for row in _rows(name, found)],
        [
            f"{CHAINS} chains of {WARMUP} + {DRAWS} steps, tolerance {SIGMA}, float64, no compilation cache.",
            "all in: with prior and predictive draws, DataTree and verdict; NumPyro with arviz.summary.",
            *(_sentence(name, found) for name, found in measured.items()),
        ],
    )


COLUMNS = (
    "network, query",
    "sampler",
    "s to first draw",
    "s to draws",
    "s all in",
    "min ESS",
    "R-hat",
    "leapfrogs/draw",
    "ESS/s",
    "ratio",
    "ratio all in",
)


def _rows(name: str, found: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for query in ("first", "second"):
        for sampler in ("probinv", "numpyro"):
            row = found[sampler][query]
            ours = sampler == "probinv"
            ratios = [found["ratios"][f"{kind}, {query} query"] for kind in KINDS] if ours else ["", ""]
            rows.append(
                (
                    f"{name}, {query}",
                    sampler,
                    row.get("seconds_to_first_draw", ""),
                    row["seconds_to_draws"],
                    row["seconds_all_in"],
                    row["min_ess"],
                    f"{row['worst_rhat']:.3f}",
                    row["leapfrogs_per_draw"],
                    row["ess_per_second"],
                    *ratios,
                )
            )
    return rows


def _sentence(name: str, found: dict[str, Any]) -> str:
    wait, seconds = found[SECOND], found["seconds_import"]
    return (
        f"{name}: import probinv {seconds['import probinv']:.2f} s, with invert "
        f"{seconds['probinv.invert']:.1f} s (numpyro {seconds['import numpyro']:.1f} s); a second target "
        f"waits {wait:.2%} of the first to its first draw."
    )


def _measure(problem: Problem) -> dict[str, Any]:
    wishes = {"first": problem.first, "second": problem.second}
    ours = {name: _ours(problem, wish, seed) for seed, (name, wish) in enumerate(wishes.items())}
    theirs = {name: _numpyro(problem, wish, seed) for seed, (name, wish) in enumerate(wishes.items())}
    ratios = {
        f"{kind}, {name} query": ours[name][key] / theirs[name][key]
        for name in wishes
        for kind, key in KINDS.items()
    }
    waits = {name: ours[name]["seconds_to_first_draw"] for name in wishes}
    return {
        "seconds_import": _import_seconds(),
        "probinv": ours,
        "numpyro": theirs,
        "ratios": ratios,
        SECOND: waits["second"] / waits["first"],
    }


def _ours(problem: Problem, wish: np.ndarray, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    posterior = Posterior(problem.prior, problem.network, Gaussian(wish, SIGMA))
    method = NUTS(draws=DRAWS, warmup=WARMUP, chains=CHAINS)
    tree = invert(posterior, method, seed=seed, progress=False, verdict=False)
    all_in = time.perf_counter() - began
    facts = provenance(tree)
    x = tree["posterior"]["x"].values
    stats = tree["sample_stats"]
    to_draws = facts["seconds_compile"] + facts["seconds_sampling"]
    return _row(x, to_draws, all_in, float(stats["n_steps"].mean())) | {
        "seconds_to_first_draw": facts["seconds_compile"],
        "seconds_sampling": facts["seconds_sampling"],
        "gradients": facts["gradients"],
        "verdict": facts["verdict"]["verdict"],
    }


def _numpyro(problem: Problem, wish: np.ndarray, seed: int) -> dict[str, Any]:
    import arviz

    def model(y: Any) -> None:
        x = numpyro.sample("x", problem.numpyro_prior)
        numpyro.sample("y", dist.Normal(problem.network(x), SIGMA).to_event(1), obs=y)

    with double_precision():
        began = time.perf_counter()
        mcmc = numpyro.infer.MCMC(
            numpyro.infer.NUTS(model),
            num_warmup=WARMUP,
            num_samples=DRAWS,
            num_chains=CHAINS,
            chain_method="vectorized",
            progress_bar=False,
        )
        mcmc.run(jax.random.key(seed), jnp.asarray(wish), extra_fields=("num_steps", "diverging", "energy"))
        x = np.asarray(mcmc.get_samples(group_by_chain=True)["x"])
        to_draws = time.perf_counter() - began
        steps = float(np.mean(np.asarray(mcmc.get_extra_fields()["num_steps"])))
        arviz.summary(arviz.from_numpyro(mcmc))
    return _row(x, to_draws, time.perf_counter() - began, steps)


def _row(x: np.ndarray, to_draws: float, all_in: float, steps: float) -> dict[str, Any]:
    ess = float(np.min(array_stats.ess(x, chain_axis=0, draw_axis=1)))
    return {
        "seconds_to_draws": to_draws,
        "seconds_all_in": all_in,
        "min_ess": ess,
        "worst_rhat": float(np.max(array_stats.rhat(x, chain_axis=0, draw_axis=1))),
        "ess_per_second": ess / to_draws,
        "ess_per_second_all_in": ess / all_in,
        "leapfrogs_per_draw": steps,
        "min_ess_per_1000_gradients": 1000 * ess / (steps * DRAWS * CHAINS),
    }


def _import_seconds() -> dict[str, float]:
    """Wall seconds of importing, each in a fresh process; the bare interpreter is subtracted."""

    def wall(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began

    bare = wall("pass")
    return {
        "import probinv": wall("import probinv") - bare,
        "probinv.invert": wall("import probinv; probinv.invert") - bare,
        "import numpyro": wall("import numpyro") - bare,
    }


if __name__ == "__main__":
    jax.config.update("jax_enable_compilation_cache", False)
    print(json.dumps(_measure(PROBLEMS[sys.argv[1]]())))
