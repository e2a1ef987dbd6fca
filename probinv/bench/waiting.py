"""How long a user waits: from the call to 4 x 1000 draws with a verdict, in a fresh process."""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from probinv._invert import invert
from probinv.bench.metrics import worth_of
from probinv.bench.problems import random_network, reachable
from probinv.bench.result import Result
from probinv.likelihood import Gaussian
from probinv.methods import LiftedHMC
from probinv.posterior import Posterior
from probinv.prior import Normal
from probinv.results.tree import provenance

SIZES, SIGMA = (10, 32, 32, 1), 1e-3
COLUMNS = (
    "process",
    "s to verdict",
    "CPU s",
    "s compile",
    "s sampling",
    "s after",
    "s imports",
    "min ESS",
    "verdict",
)


def bench_waiting() -> Result:
    """Seconds from `invert` to 4 x 1000 judged draws in fresh processes: with a warm cache and without."""
    with tempfile.TemporaryDirectory() as folder:
        cached = {
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        figures = {
            "no cache": _fresh({"JAX_ENABLE_COMPILATION_CACHE": "false"}),
            "fills the cache": _fresh(cached),
            "warm cache": _fresh(cached),
        }
    return Result(
        figures,
        COLUMNS,
        [(name, *found.values()) for name, found in figures.items()],
        [
            f"{'-'.join(map(str, SIZES))} tanh network, sigma {SIGMA:g}, LiftedHMC with its defaults: 4 x "
            "1000 draws.",
            "s to verdict: from the call of `invert` to its return, prior and predictive draws, DataTree "
            "and verdict included; CPU s: the same in seconds of one core, whatever else the machine does. "
            "s imports: before that, `import probinv` and what building the posterior loads.",
            "warm cache: a folder of compiled programs, JAX_COMPILATION_CACHE_DIR, that an earlier process "
            "has filled.",
        ],
    )


def _fresh(environment: dict[str, str]) -> dict[str, Any]:
    """`wait` in a new process, and what that took before it was called."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    command = [sys.executable, "-m", "probinv.bench.waiting"]
    began = time.time()
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the bench of waiting failed:\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    found["seconds_imports"] = found.pop("began") - began
    return {name: found[name] for name in NAMES}


NAMES = (
    "seconds_to_verdict",
    "seconds_cpu",
    "seconds_compile",
    "seconds_sampling",
    "seconds_after",
    "seconds_imports",
    "min_ess",
    "verdict",
)


def wait() -> dict[str, Any]:
    """Figures of one call of `invert`."""
    network = random_network(SIZES)
    posterior = Posterior(Normal(0.0, 1.0, SIZES[0]), network, Gaussian(reachable(network), SIGMA))
    called, began, busy = time.time(), time.perf_counter(), time.process_time()
    tree = invert(posterior, LiftedHMC(), seed=0, progress=False, verdict=False)
    seconds, facts = time.perf_counter() - began, provenance(tree)
    spent = facts["seconds_compile"] + facts["seconds_sampling"]
    return {
        "began": called,
        "seconds_to_verdict": seconds,
        "seconds_cpu": time.process_time() - busy,
        "seconds_compile": facts["seconds_compile"],
        "seconds_sampling": facts["seconds_sampling"],
        "seconds_after": seconds - spent,
        "min_ess": worth_of(tree).ess,
        "verdict": facts["verdict"]["verdict"],
    }


if __name__ == "__main__":
    print(json.dumps(wait()))
