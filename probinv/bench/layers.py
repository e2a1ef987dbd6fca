"""Which layers can be gone back through, how, and how well: networks of each kind against five ways back."""

from typing import Any

import numpy as np

from probinv._errors import ViewError
from probinv.bench.layer_measures import (
    ANSWERS,
    APART,
    MASKS_TRIED,
    RANK,
    REACHED,
    SIGMA,
    ask,
    condition,
    dropout,
    free_dimensions,
    singular_values,
    summary,
    targets_of,
)
from probinv.bench.layer_networks import KINDS, STEPS, Kind, trained
from probinv.bench.layer_picture import layers_picture
from probinv.bench.result import Result
from probinv.methods import NUTS, AbstractMethod, Ascent, LayerInverse, LiftedHMC

TARGETS = 10

WAYS: dict[str, AbstractMethod] = {
    "layers": LayerInverse(draws=ANSWERS, polish=0),
    "layers, polished": LayerInverse(draws=ANSWERS),
    "gradient": Ascent(starts=ANSWERS),
    "NUTS": NUTS(draws=25, warmup=100, max_tree_depth=8),
    "lifted": LiftedHMC(draws=25, warmup=75, thin=1),
}


def measure(kind: Kind, seed: int = 0, count: int = TARGETS) -> dict[str, Any]:
    """All figures of one kind of layer."""
    network, weights, learned = trained(kind, seed)
    targets = targets_of(network, kind.shape, count, seed)
    values = singular_values(network, targets.x)
    free = free_dimensions(values, kind.size)
    figures: dict[str, Any] = {
        "inputs": kind.size,
        "outputs": kind.outputs,
        "learned": learned,
        "dimension": float(np.median(free)),
        "dimensions": free.tolist(),
        "condition": float(np.nanmedian(condition(values))),
        "ways": {},
    }
    if kind.noisy is not None:
        figures["dropout"] = dropout(weights, targets, seed)
    for name, way in WAYS.items():
        try:
            found = ask(network, kind.shape, targets, way, seed)
        except ViewError:
            continue
        figures["ways"][name] = summary(found)
    return figures


def bench_layers() -> Result:
    """All kinds of layer against all ways back: targets reached, distinct answers, dimension, seconds."""
    figures = {name: measure(kind) for name, kind in KINDS.items()}
    rows = [row for name, found in figures.items() for row in _rows(name, found)]
    return Result(figures, COLUMNS, rows, [*NOTES, *_dropout_notes(figures)], layers_picture)


COLUMNS = (
    "layers",
    "inputs",
    "outputs",
    "free",
    "way back",
    "reached",
    "answers within",
    "best",
    "distinct",
    "gradients",
    "CPU s a target",
    "compile",
)
NOTES = (
    f"One small network of each kind, trained for {STEPS} steps of Adam to imitate one of its kind with "
    f"other random weights; x ~ N(0, I); {TARGETS} targets Y* = f(x0), x0 from the prior.",
    f"reached: targets of which at least one of {ANSWERS} answers has all outputs within {REACHED:.0%} of "
    "their standard deviation under the prior. answers within: the share of answers for which that holds. "
    "best: the smallest miss of a target, max_j |f_j - Y*_j| / deviation_j; median over targets.",
    f"distinct: of the {ANSWERS} answers those that reach Y* and lie more than {APART:g} sqrt(inputs) from "
    "each other (counted greedily; two draws of the prior are 1.4 sqrt(inputs) apart); median over targets.",
    f"free: dimension of the solution set, inputs - rank J at x0; singular values below {RANK:g} of the "
    "largest count as 0; median over targets.",
    f"layers: LayerInverse without polishing, the least-norm point and {ANSWERS - 1} random members; "
    "polished: up to 20 Gauss-Newton steps on each. Left out where a layer has no inverse. gradient: Ascent "
    f"with its defaults (Adam, 500 steps) from {ANSWERS} prior draws.",
    "NUTS: 4 x (100 + 25) transitions of at most 255 steps; lifted: LiftedHMC, 4 x (75 + 25); of both "
    f"{ANSWERS} draws. Tolerance of the wish: {SIGMA:.1%} of the deviation, so that of the draws of a "
    "perfect sampler about 0.954^outputs lie within.",
    "CPU s a target: of the process, all its threads together; median of all targets but the first. compile: "
    "what the first takes beyond that.",
)


def _dropout_notes(figures: dict[str, Any]) -> list[str]:
    notes = []
    for name, found in figures.items():
        if (one := found.get("dropout")) is not None:
            notes.append(
                f"{name}: at x0, where the network that is asked gives Y* exactly, one pass with new masks "
                f"misses by {one['single_miss']:.0%} (median) and reaches Y* in {one['single_reached']:.1%} "
                f"of {MASKS_TRIED} passes; their mean misses by {one['mean_miss']:.0%}."
            )
    return notes


def _rows(name: str, found: dict[str, Any]) -> list[tuple[Any, ...]]:
    first = (name, found["inputs"], found["outputs"], f"{found['dimension']:g}")
    return [
        (
            *(first if k == 0 else ("", "", "", "")),
            way,
            f"{one['reached']:.0%}",
            f"{one['share']:.0%}",
            f"{one['best']:.1g}",
            f"{one['distinct']:g}",
            f"{one['gradients']:.0f}",
            one["seconds"],
            one["seconds_compile"],
        )
        for k, (way, one) in enumerate(found["ways"].items())
    ]
