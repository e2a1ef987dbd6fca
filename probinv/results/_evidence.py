"""What a verdict looks at, read from a tree that anybody may have made."""

import json
import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import xarray as xr

from probinv.results._membership import Membership, membership
from probinv.results.tree import ATTRIBUTE, SAMPLED


@final
@dataclass(frozen=True)
class Entries:
    """The scalar entries of the variables of a group.

    Attributes:
        draws: (chain, draw, entry), float64.
        labels: one for each entry, such as x[3].
        rounding: spacing of the numbers at 1 in the coarsest of the stored precisions.
    """

    draws: np.ndarray
    labels: tuple[str, ...]
    rounding: float


@final
@dataclass(frozen=True)
class Evidence:
    """The parts of a tree that a verdict on draws uses; None or empty where the tree lacks them."""

    x: Entries | None
    z: Entries | None
    stats: dict[str, np.ndarray]
    log_likelihood: np.ndarray | None
    y: np.ndarray | None
    y_star: np.ndarray | None
    prior: Entries | None
    prior_y: np.ndarray | None
    prior_log_likelihood: np.ndarray | None
    prior_reached: np.ndarray | None
    prior_component: np.ndarray | None
    constants: dict[str, np.ndarray]
    facts: dict[str, Any]

    @property
    def notes(self) -> dict[str, Any]:
        """The method's own facts about its run."""
        notes = self.facts.get("notes")
        return notes if isinstance(notes, dict) else {}

    @property
    def chains(self) -> int:
        """Number of chains."""
        return 0 if self.x is None else self.x.draws.shape[0]

    @property
    def draws(self) -> int:
        """Draws of each chain."""
        return 0 if self.x is None else self.x.draws.shape[1]

    @property
    def ancestors(self) -> np.ndarray | None:
        """(chain, draw) of a population sampler, each chain of whose result is one replicate; else None."""
        return self.stats.get("ancestor")

    @property
    def unit(self) -> str:
        """What one row of the draws is called."""
        return "chain" if self.ancestors is None else "replicate"

    @cached_property
    def modes(self) -> Membership | None:
        """The modes of the draws in z, or in standardised x; computed once."""
        if self.x is None:
            return None
        draws = self.x.draws if self.z is None else self.z.draws
        return membership(draws, scaled=self.z is None, ancestors=self.ancestors)


def gather(tree: xr.DataTree) -> Evidence:
    """The evidence in a tree, whoever made it and whether it lies in memory or in a file."""
    facts = facts_of(tree)
    x, z = entries_of(tree, "posterior"), entries_of(tree, "unconstrained_posterior")
    shape = None if x is None else x.draws.shape[:2]
    stats = {str(name): v.astype(float) for name, v in _drawn(tree, "sample_stats") if v.shape == shape}
    total, y = _total(tree, "log_likelihood"), _array(tree, "posterior_predictive", "y")
    return Evidence(
        x=x,
        z=z if z is not None and z.draws.shape[:2] == shape else None,
        stats=stats,
        log_likelihood=total if total is not None and total.shape == shape else None,
        y=y if y is not None and y.shape[:2] == shape else None,
        y_star=_target(tree, facts),
        prior=entries_of(tree, "prior"),
        prior_y=_array(tree, "prior_predictive", "y"),
        prior_log_likelihood=_flat(_array(tree, "prior_predictive", "log_likelihood")),
        prior_reached=_flat(_array(tree, "prior_predictive", "reached")),
        prior_component=_flat(_array(tree, "prior_predictive", "component")),
        constants={str(name): v.values.astype(float) for name, v in _numeric(tree, "constant_data")},
        facts=facts,
    )


def facts_of(tree: xr.DataTree) -> dict[str, Any]:
    """The provenance, or nothing where there is none or it cannot be read."""
    try:
        facts = json.loads(tree.attrs.get(ATTRIBUTE, "{}"))
    except (TypeError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def entries_of(tree: xr.DataTree, group: str, names: tuple[str, ...] | None = None) -> Entries | None:
    """All numeric entries of a group that has chains and draws; None without one.

    Args:
        tree: any tree.
        group: its name.
        names: only these variables.
    """
    blocks, labels, rounding = [], [], float(np.finfo(np.float64).eps)
    for name, variable in _numeric(tree, group):
        if not set(SAMPLED) <= set(variable.dims) or (names is not None and name not in names):
            continue
        variable = variable.transpose(*SAMPLED, ...)
        if variable.dtype.kind == "f":
            rounding = max(rounding, float(np.finfo(variable.dtype).eps))
        blocks.append(rows_of(variable.values.astype(np.float64)))
        labels += _labels(str(name), variable)
    if not blocks:
        return None
    return Entries(np.concatenate(blocks, axis=2), tuple(labels), rounding)


def rows_of(array: np.ndarray) -> np.ndarray:
    """(chain, draw, ...) as (chain, draw, entry)."""
    return array.reshape(*array.shape[:2], math.prod(array.shape[2:]))


def _labels(name: str, variable: xr.DataArray) -> list[str]:
    ticks = []
    for dim in variable.dims[2:]:
        known = dim in variable.coords and variable.coords[dim].ndim == 1
        ticks.append(variable.coords[dim].values if known else np.arange(variable.sizes[dim]))
    if not ticks:
        return [name]
    shape = tuple(len(tick) for tick in ticks)
    return [
        f"{name}[{', '.join(str(tick[k]) for tick, k in zip(ticks, place, strict=True))}]"
        for place in np.ndindex(shape)
    ]


def _numeric(tree: xr.DataTree, group: str) -> Iterator[tuple[Hashable, xr.DataArray]]:
    if group in tree.children:
        for name, variable in tree[group].data_vars.items():
            if variable.dtype.kind in "fiub":
                yield name, variable


def _drawn(tree: xr.DataTree, group: str) -> Iterator[tuple[Hashable, np.ndarray]]:
    for name, variable in _numeric(tree, group):
        if set(SAMPLED) <= set(variable.dims):
            yield name, variable.transpose(*SAMPLED, ...).values


def _array(tree: xr.DataTree, group: str, name: str) -> np.ndarray | None:
    return next((value.astype(float) for key, value in _drawn(tree, group) if key == name), None)


def _flat(array: np.ndarray | None) -> np.ndarray | None:
    """(draws,) of one number for each draw."""
    return None if array is None or array.ndim != 2 else array.ravel()


def _total(tree: xr.DataTree, group: str) -> np.ndarray | None:
    """log p(Y* | y) of each draw: the sum over everything that was observed."""
    parts = [rows_of(v.astype(float)).sum(axis=2) for _, v in _drawn(tree, group)]
    same = [part for part in parts if part.shape == parts[0].shape]
    return np.sum(same, axis=0) if same else None


def _target(tree: xr.DataTree, facts: dict[str, Any]) -> np.ndarray | None:
    """Y* of a wish for one value of y. Other wishes are for a class, a probability or an interval."""
    if facts.get("likelihood") not in ("Gaussian", "Student", "Exactly"):
        return None
    observed = _numeric(tree, "observed_data")
    return next((value.values.astype(float) for name, value in observed if name == "y_star"), None)
