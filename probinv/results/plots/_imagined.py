"""A tree of imagined draws, read: pictures and free energies by label, and whether chains have met."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from probinv._errors import InputError
from probinv.results._statistics import Statistics, chain_statistics
from probinv.results.plots._reading import Reading, as_reading
from probinv.results.plots._style import number
from probinv.results.plots._tiles import image_shape
from probinv.results.thresholds import IMAGINED_ESS_LEAST, IMAGINED_RHAT_MOST


class Imagined(NamedTuple):
    """What `imagine` drew.

    Attributes:
        x: (chain, draw, label, h, w).
        energy: free energy in nats, (chain, draw, label).
        labels: their names; [] for draws without a label, whose axis has length 1.
        found: R-hat and ESS of the free energy, one for each label.
        verdict: "" where the tree holds none, else as `imagine` said it.
        reason: the sentence beside it.
    """

    x: np.ndarray
    energy: np.ndarray
    labels: list[str]
    found: Statistics
    verdict: str
    reason: str

    def agree(self, place: int) -> bool:
        """Whether the chains of a label have met. NaN is no agreement."""
        rhat, ess = self.found.rhat[place], self.found.ess_bulk[place]
        return bool(rhat <= IMAGINED_RHAT_MOST and ess >= IMAGINED_ESS_LEAST)

    def words(self, place: int) -> str:
        """R-hat and ESS of a label."""
        rhat, ess = self.found.rhat[place], self.found.ess_bulk[place]
        if np.isnan(ess):
            return "no R-hat"
        return f"R-hat {rhat:.2f}, ESS {ess:.0f}" if np.isfinite(rhat) else f"ESS {ess:.0f}"


def imagined_of(tree: xr.DataTree | Reading, shape: tuple[int, int] | None) -> Imagined:
    """The draws of a tree that `imagine` made; an InputError for another."""
    reading = as_reading(tree)
    x, energy = _array(reading, "posterior", "x"), _array(reading, "sample_stats", "free_energy")
    if energy.ndim != 3 or x.ndim < 4 or x.shape[:3] != energy.shape:
        raise InputError(
            f"x has shape {x.shape} and free_energy {energy.shape}",
            "they are (chain, draw, label, *x) and (chain, draw, label) of the same chains",
            "give a tree made by imagine",
        )
    if not x.size:
        raise InputError(
            "the tree holds no draw", f"x has shape {x.shape}", "imagine with draws of 1 or more"
        )
    labels = _labels(reading, energy.shape[2])
    place = image_shape("x", x.shape[3:], shape)
    told = reading.facts.get("verdict")
    told = told if isinstance(told, dict) else {}
    reasons = told.get("reasons") or [""]
    return Imagined(
        x.reshape(*x.shape[:3], *place),
        energy,
        labels,
        chain_statistics(energy),
        str(told.get("verdict", "")),
        str(reasons[0]),
    )


def places_of(imagined: Imagined, wanted: Any) -> list[int]:
    """Places of the labels that the user names: one, or a list of them."""
    names = [wanted] if isinstance(wanted, str) or not np.iterable(wanted) else list(wanted)
    places = []
    for name in names:
        if str(name) not in imagined.labels:
            known = ", ".join(imagined.labels[:20]) or "no labels in this tree"
            raise InputError(f"the label {name!r} is not there", f"there are {known}", "name one of them")
        places.append(imagined.labels.index(str(name)))
    if not places:
        raise InputError("no label is named", "nothing would be drawn", "name some, or leave them out")
    return places


def _array(reading: Reading, group: str, variable: str) -> np.ndarray:
    if not reading.has(group, variable) or not {"chain", "draw"} <= set(reading.tree[group][variable].dims):
        present = ", ".join(reading.tree.children) or "no groups at all"
        raise InputError(
            f"the tree has no {variable} with chains in {group}",
            f"it holds {present}",
            "give a tree made by imagine",
        )
    values = reading.tree[group][variable].transpose("chain", "draw", ...).values
    if values.dtype.kind not in "fiub":
        raise InputError(f"{variable} has dtype {values.dtype}", "it holds no real numbers", "imagine again")
    return np.asarray(values, np.float64)


def _labels(reading: Reading, many: int) -> list[str]:
    if not reading.has("constant_data", "label"):
        return [] if many == 1 else [str(k) for k in range(many)]
    labels = [str(label) for label in reading.tree["constant_data"]["label"].values.ravel().tolist()]
    if len(labels) != many:
        raise InputError(
            f"the tree has {len(labels)} labels", f"its draws are of {many}", "give a tree made by imagine"
        )
    return labels


def meeting(imagined: Imagined, place: int) -> str:
    """A clause on the chains of one label: whether they have met."""
    energy = imagined.energy[:, :, place]
    rhat, ess = float(imagined.found.rhat[place]), float(imagined.found.ess_bulk[place])
    if not np.isfinite(energy).all():
        return "have a free energy that is not finite"
    if (energy == energy[:, :1]).all():
        return "never move"
    if np.isnan(ess):
        return "are too short to judge"
    if len(energy) == 1:
        return f"are one chain: whether another would agree is not known (ESS {ess:.0f})"
    if not rhat <= IMAGINED_RHAT_MOST:
        return f"have not met: R-hat {number(rhat) if rhat > 10 else f'{rhat:.2f}'}"
    few = "" if ess >= IMAGINED_ESS_LEAST else ", but hold few independent draws"
    return f"agree{few}: R-hat {rhat:.2f}, ESS {ess:.0f}"
