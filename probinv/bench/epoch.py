"""Seconds of one epoch of PCD-1, against scikit-learn and PyTorch: each in a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from probinv.bench.result import Result

ROWS, VISIBLE, HIDDEN, BATCH = 60_000, 784, 500, 100
TORCH = "PROBINV_TORCH"
"""Names a Python that has PyTorch, where this one has not."""
COLUMNS = (
    "one epoch, 60,000 x 784, 500 hidden, batch 100",
    "cores",
    "CPU s",
    "wall s",
    "probinv is faster by",
)
REPEATS = 3


def images() -> np.ndarray:
    """Rows of 0 and 1, a fifth of them 1, as MNIST's are: what they show does not matter for the time."""
    return (np.random.default_rng(0).random((ROWS, VISIBLE), np.float32) < 0.19).astype(np.float32)


def probinv_epoch() -> list[tuple[float, float]]:
    """(CPU, wall) seconds of epochs with the defaults: centred, averaged, rows drawn anew."""
    import jax

    from probinv.bench.machines import Silent
    from probinv.boltzmann.machine import new_machine
    from probinv.boltzmann.training import Course, Learning, Training
    from probinv.boltzmann.units import Bernoulli

    machine = new_machine(Bernoulli(VISIBLE), Bernoulli(HIDDEN), jax.random.key(0))
    course = Course(Learning(machine), images(), Training(epochs=1 + REPEATS))
    found: list[tuple[float, float]] = []
    mark = [time.process_time(), time.perf_counter()]

    def keep(course: Course) -> None:
        if len(course.history) > len(found):
            now = [time.process_time(), time.perf_counter()]
            found.append((now[0] - mark[0], now[1] - mark[1]))
            mark[:] = now

    course.run(Silent(), keep)
    return found[1:]  # the first compiles


def sklearn_epoch() -> list[tuple[float, float]]:
    """The same of scikit-learn's BernoulliRBM in float32."""
    from sklearn.neural_network import BernoulliRBM

    rows = images()
    machine = BernoulliRBM(HIDDEN, learning_rate=0.1, batch_size=BATCH, n_iter=1, random_state=0)
    found = []
    for _ in range(REPEATS):
        busy, began = time.process_time(), time.perf_counter()
        machine.fit(rows)
        found.append((time.process_time() - busy, time.perf_counter() - began))
    return found


TORCH_EPOCH = """
import json, sys, time
import torch
cores = int(sys.argv[1]); torch.set_num_threads(cores); torch.manual_seed(0)
rows, nv, nh, batch, repeats = map(int, sys.argv[2:])
x = (torch.rand(rows, nv) < 0.19).float()
W, a, b = 0.01 * torch.randn(nv, nh), torch.zeros(nv), torch.zeros(nh)
h = torch.bernoulli(torch.full((batch, nh), 0.5))
def epoch():
    global W, a, b, h
    order = torch.randperm(rows)
    for k in range(rows // batch):
        v = x[order[k * batch:(k + 1) * batch]]
        up = torch.sigmoid(torch.addmm(b, v, W))
        dream = torch.bernoulli(torch.sigmoid(torch.addmm(a, h, W.T)))
        again = torch.sigmoid(torch.addmm(b, dream, W))
        rate = 0.1 / batch
        W.addmm_(v.T, up, alpha=rate).addmm_(dream.T, again, alpha=-rate)
        a += rate * (v.sum(0) - dream.sum(0)); b += rate * (up.sum(0) - again.sum(0))
        h = torch.bernoulli(again)
found = []
with torch.no_grad():
    for _ in range(repeats + 1):
        busy, began = time.process_time(), time.perf_counter()
        epoch()
        found.append((time.process_time() - busy, time.perf_counter() - began))
print(json.dumps(found[1:]))
"""


def alone(command: list[str], cores: int) -> tuple[float, float]:
    """The fastest (CPU, wall) of a command that prints a list of them, held to some cores."""
    held = sorted(os.sched_getaffinity(0))[:cores] if hasattr(os, "sched_getaffinity") else None
    environment = os.environ | {
        name: str(cores) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }

    def hold() -> None:
        if held is not None:
            os.sched_setaffinity(0, held)

    done = subprocess.run(
        command, env=environment, preexec_fn=hold, capture_output=True, text=True, check=True
    )
    busy, wall = min(json.loads(done.stdout.splitlines()[-1]))
    return float(busy), float(wall)


def torch_python() -> str | None:
    """A Python that can import PyTorch: this one, or the one that PROBINV_TORCH names."""
    for python in (sys.executable, os.environ.get(TORCH)):
        if python and Path(python).exists():
            tried = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
            if tried.returncode == 0:
                return python
    return None


def bench_epoch() -> Result:
    """One epoch of PCD-1, against scikit-learn on one core and PyTorch on two."""
    code = "import json; from probinv.bench import epoch as e; print(json.dumps(e.{}()))"
    figures: dict[str, Any] = {}
    for name, cores in (("probinv", 1), ("sklearn", 1), ("probinv", 2)):
        figures[f"{name} {cores}"] = alone([sys.executable, "-c", code.format(f"{name}_epoch")], cores)
    if (python := torch_python()) is not None:
        for cores in (1, 2):
            sizes = map(str, (cores, ROWS, VISIBLE, HIDDEN, BATCH, REPEATS))
            figures[f"torch {cores}"] = alone([python, "-c", TORCH_EPOCH, *sizes], cores)
    rows = []
    for name, (busy, wall) in figures.items():
        who, held = name.split()
        kind = 0 if held == "1" else 1
        ratio = "" if who == "probinv" else (busy, wall)[kind] / figures[f"probinv {held}"][kind]
        rows.append((who, held, busy, wall, ratio))
    return Result(
        {name: {"cpu": busy, "wall": wall} for name, (busy, wall) in figures.items()},
        COLUMNS,
        rows,
        [
            "The fastest of three epochs after the first, which compiles; each in a process of its own that "
            "is held to its cores.",
            "probinv: with its defaults, which draw the rows anew, centre and average. scikit-learn: "
            "BernoulliRBM.fit, float32. PyTorch: the plain update written by hand.",
            "Faster by: the ratio of CPU-seconds on one core, of wall seconds on two.",
            *([] if python else [f"PyTorch is not installed, and {TORCH} names no Python that has it."]),
        ],
    )
