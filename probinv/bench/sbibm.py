"""sbibm with the true likelihood: do draws and published reference draws have one law?"""

import os
from typing import Any

import numpy as np

from probinv._invert import invert
from probinv.bench.metrics import c2st, evenly, worth_of
from probinv.bench.result import Result
from probinv.bench.sbibm_tasks import OBSERVATIONS, TASKS, load_observation, tasks_folder
from probinv.methods import NUTS, AbstractMethod, TemperedSMC
from probinv.results.tree import provenance

DRAWS = 10_000
COLUMNS = ("task", "method", "mean C2ST", "worst", "published", "s compile", "s sampling", "verdicts ok")


def method_for(task: str) -> AbstractMethod:
    """Tempered SMC where there are several modes, with more moves where they are narrow; else NUTS."""
    if task == "slcp":
        return TemperedSMC(draws=DRAWS, moves=10, last_moves=30, keep=0.8)
    if TASKS[task].modes > 1:
        return TemperedSMC(draws=DRAWS // 4)
    return NUTS(draws=DRAWS // 8, chains=8, thin=2, dense_mass=True)


def compare(task: str, number: int, method: AbstractMethod, *, folder: Any = None) -> dict[str, Any]:
    """Figures of one observation: C2ST against the reference draws, seconds, and what the verdict says.

    Args:
        task: its name.
        number: of the observation, 1 ... 5.
        method: gives as many draws as there are reference draws, or more; they are taken evenly.
        folder: see `tasks_folder`.
    """
    observation = load_observation(task, number, folder)
    posterior = TASKS[task].posterior(observation.y_star)
    tree = invert(posterior, method, seed=number, progress=False, verdict=False)
    facts, found = provenance(tree), worth_of(tree)
    return {
        "c2st": c2st(observation.reference, evenly(tree, len(observation.reference)), jobs=os.cpu_count()),
        "min_ess": found.ess,
        "worst_rhat": found.rhat,
        "seconds_compile": facts["seconds_compile"],
        "seconds_sampling": facts["seconds_sampling"],
        "verdict": facts["verdict"]["verdict"],
    }


def bench_sbibm() -> Result:
    """C2ST against sbibm's reference draws, given the true likelihood: 6 tasks x 5 observations."""
    tasks_folder()
    figures = {
        task: {str(number): compare(task, number, method_for(task)) for number in OBSERVATIONS}
        for task in TASKS
    }
    scores = {task: [one["c2st"] for one in found.values()] for task, found in figures.items()}
    every = np.concatenate(list(scores.values()))
    rows: list[tuple[Any, ...]] = [_row(task, figures[task]) for task in TASKS]
    rows.append(("all", "", float(every.mean()), float(every.max()), "", "", "", ""))
    return Result(
        {"mean": float(every.mean()), "worst": float(every.max()), "tasks": figures},
        COLUMNS,
        rows,
        [
            "C2ST: accuracy of a classifier that tells the draws from 10,000 reference draws; 0.5 is "
            "perfect, and a right sampler gives 0.500 +- 0.007.",
            "published: the best known from 1e5 simulations, without the likelihood that is used here.",
            "seconds: compiling of the first observation (the others compile nothing new) and sampling of "
            "all five.",
        ],
    )


def _row(task: str, found: dict[str, dict[str, Any]]) -> tuple[Any, ...]:
    scores = [one["c2st"] for one in found.values()]
    return (
        task,
        type(method_for(task)).__name__,
        float(np.mean(scores)),
        max(scores),
        TASKS[task].published,
        max(one["seconds_compile"] for one in found.values()),
        sum(one["seconds_sampling"] for one in found.values()),
        f"{sum(one['verdict'] == 'ok' for one in found.values())}/{len(found)}",
    )
