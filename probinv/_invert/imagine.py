"""imagine: what a generative model draws -> DataTree, with R-hat and ESS over its chains."""

import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._progress import Bar
from probinv.boltzmann import DBN, RBM
from probinv.boltzmann.imagining import walk
from probinv.results._statistics import chain_statistics
from probinv.results.thresholds import IMAGINED_ESS_LEAST, IMAGINED_RHAT_MOST
from probinv.results.tree import build_tree


def imagine(
    model: Any,
    labels: Sequence[Any] | None = None,
    *,
    draws: int = 100,
    chains: int = 4,
    every: int = 10,
    warmup: int = 500,
    shape: tuple[int, ...] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.DataTree:
    """What a machine or a network imagines, for each label, as chains that can be judged.

    Each chain begins at a random state of the memory; with labels these are clamped.

    Args:
        model: a trained `RBM` or `DBN`.
        labels: which; None for chains without a clamped label.
        draws: kept of each chain.
        chains: for each label, at least 2 for an R-hat.
        every: Gibbs steps from one draw to the next.
        warmup: Gibbs steps before the first.
        shape: of one x, for example (8, 8); a vector if None.
        seed: of the chains.
        progress: show a progress bar on standard error.

    Returns:
        A DataTree with the groups posterior (x: chain, draw, label, *shape), sample_stats (free_energy, in
        nats: chain, draw, label) and constant_data (label). Its provenance holds for each label R-hat and
        ESS of the free energy, and a verdict: whether the chains of every label have met.

    Raises:
        InputError: a model that is not trained, a label that it does not know, a shape that does not fit.
    """
    if not isinstance(model, RBM | DBN):
        raise InputError("model cannot imagine", f"got {type(model).__name__}", "give a trained RBM or DBN")
    wanted = [None] if labels is None else list(labels)
    if not wanted:
        raise InputError("labels is empty", "nothing would be imagined", "name labels, or leave them out")
    asked = {"chains": chains, "draws": draws, "every": every}
    counts = {name: as_count(name, value) for name, value in asked.items()}
    as_count("warmup", warmup, least=0)
    key = jax.random.key(seed)
    places = [None if label is None else model.place(label) for label in wanted]
    size = model.network.visible.size if model.network.layers else model.network.features
    if shape is not None and math.prod(shape) != size:
        raise InputError(f"shape {shape} does not fit", f"x has {size} entries", "give another shape")
    began = time.perf_counter()
    walks = []
    with Bar(len(wanted), progress) as bar:
        for number, (label, place) in enumerate(zip(wanted, places, strict=True)):
            key_walk = jax.random.fold_in(key, number)
            walks.append(walk(model.network, key_walk, label=place, warmup=warmup, **counts))
            bar.update(1, "imagining" if label is None else f"imagining {label}")
    x = np.stack([found.x for found in walks], axis=2)
    energy = np.stack([found.free_energy for found in walks], axis=2)
    groups = {
        "posterior": {"x": x if shape is None else x.reshape(*x.shape[:3], *shape)},
        "sample_stats": {"free_energy": energy},
    }
    if labels is not None:
        groups["constant_data"] = {"label": np.asarray(wanted)}
    settings, seconds = counts | {"warmup": warmup}, time.perf_counter() - began
    facts = {"model": repr(model), "settings": settings, "seed": str(seed), "seconds_sampling": seconds}
    return build_tree(groups, facts | _judged(wanted, energy))


def _judged(labels: list[Any], energy: np.ndarray) -> dict[str, Any]:
    """R-hat and ESS of the free energy for each label, and what they say."""
    found = chain_statistics(energy)
    return {
        "method": "block Gibbs",
        "labels": [str(label) for label in labels],
        "rhat": found.rhat.tolist(),
        "ess": found.ess_bulk.tolist(),
        "verdict": _verdict(labels, found.rhat, found.ess_bulk),
    }


def _verdict(labels: list[Any], rhat: np.ndarray, ess: np.ndarray) -> dict[str, Any]:
    """Whether chains that began apart have met, in words. NaN is no agreement."""
    bad = [
        str(name)
        for name, r, n in zip(labels, rhat, ess, strict=True)
        if not (r <= IMAGINED_RHAT_MOST and n >= IMAGINED_ESS_LEAST)
    ]
    if not bad:
        sentence = f"the chains of every label agree: R-hat of the free energy is at most {np.max(rhat):.3f}"
        return {"verdict": "ok", "reasons": [sentence]}
    which = "the chains" if labels == [None] else f"the chains of {', '.join(bad)}"
    sentence = f"{which} have not met, or hold few independent draws: take more steps with every and warmup"
    return {"verdict": "not converged", "reasons": [sentence]}
