"""Digits imagined for a clamped label: are they recognised, and are they as diverse as real ones?"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from probinv.bench.judge import pixels, train_judge
from probinv.bench.mnist import LABELS, Digits, mnist
from probinv.bench.result import Result
from probinv.boltzmann.dbn import DBN
from probinv.boltzmann.training import Training

HIDDEN = (500, 500, 2000)
EACH, STEPS = 1000, 1000
COMPARED = 500
SURE = 0.9
MEASURED = ("recognised", "diversity", "recognised_sure", "diversity_sure")
COLUMNS = ("label", "recognised", "diversity", f"recognised, sure={SURE}", f"diversity, sure={SURE}")


def network(
    *, below: int = 30, epochs: int = 20, tuning: int = 40, seed: int = 0, progress: bool = False
) -> DBN:
    """784-500-500-2000 with 10 labels: greedy, then up-down, both with chains that keep their labels.

    Args:
        below: epochs of each layer below the memory.
        epochs: of the memory.
        tuning: of the up-down algorithm; 0 for none.
        seed: of everything.
        progress: show bars.
    """
    memory = Training(epochs=epochs, discriminative=5.0, conditional=True, seed=seed)
    updown = None
    if tuning:
        # a small rate for what it imagines, a large one for the labels: their product
        updown = replace(memory, epochs=tuning, rate=0.01, discriminative=150.0, dropout=0.25)
    layers = Training(epochs=below, seed=seed)
    return DBN(HIDDEN, layers=layers, memory=memory, tuning=updown, progress=progress)


def spread(rows: np.ndarray) -> float:
    """Mean distance between two rows, over pairs of at most 500 of them."""
    return float(pdist(rows[:COMPARED]).mean())


def measure(
    model: Any, digits: Digits, *, each: int = EACH, steps: int = STEPS, judge: Any = None
) -> dict[str, Any]:
    """Shares recognised by an independent classifier, diversity against test images, error of the labels.

    The first two of all imagined rows, and of rows that the network is sure of.
    """
    test = pixels(digits.test)
    judge = judge or train_judge(digits)
    found: dict[str, list[float]] = {}
    for label in range(LABELS):
        real = spread(test[digits.test_labels == label])
        for end, sure in (("", 0.0), ("_sure", SURE)):
            rows = model.imagine(label, each, steps=steps, sure=sure, seed=label)
            found.setdefault("recognised" + end, []).append(float(np.mean(judge(rows) == label)))
            found.setdefault("diversity" + end, []).append(spread(rows) / real)
    return found | {
        "error": 1 - model.score(test, digits.test_labels),
        "judge": float(np.mean(judge(test) == digits.test_labels)),
    }


def bench_imagination(digits: Digits | None = None) -> Result:
    """Recognition and diversity of 1000 imagined digits of each label, and the classification error."""
    digits = digits or mnist()
    began = time.process_time()
    model = network().fit(pixels(digits.train), digits.train_labels)
    seconds = time.process_time() - began
    figures = measure(model, digits) | {"seconds_training": seconds, "stopped": model.stopped_}
    table = np.array([figures[name] for name in MEASURED]).T
    rows: list[tuple[Any, ...]] = [(str(label), *map(float, row)) for label, row in enumerate(table)]
    rows.append(("all", *map(float, table.mean(axis=0))))
    sizes = "-".join(map(str, (digits.train[0].size, *HIDDEN)))
    return Result(
        figures,
        COLUMNS,
        rows,
        [
            f"{sizes} with label units, greedy and then up-down; {seconds:.0f} CPU-seconds of training.",
            f"recognised: by a convolutional network that is right on {figures['judge']:.2%} of the test "
            f"images, of {EACH} for each label after {STEPS} Gibbs steps from random states.",
            f"sure={SURE}: chains go on until the network itself gives the label this probability.",
            "diversity: mean distance between two imagined images of a label over that of test images.",
            f"Its own labels of the test images are wrong in {figures['error']:.2%}.",
        ],
    )
