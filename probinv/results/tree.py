"""Draws -> DataTree, with the groups and names of the ArviZ schema."""

import json
from typing import Any

import numpy as np
import xarray as xr

ATTRIBUTE = "probinv"
SAMPLED = ("chain", "draw")
LEADING = {
    "posterior": SAMPLED,
    "unconstrained_posterior": SAMPLED,
    "posterior_predictive": SAMPLED,
    "log_likelihood": SAMPLED,
    "sample_stats": SAMPLED,
    "prior": SAMPLED,
    "prior_predictive": SAMPLED,
    "optima": ("optimum",),
}


def build_tree(groups: dict[str, dict[str, np.ndarray]], provenance: dict[str, Any]) -> xr.DataTree:
    """A DataTree of the named groups.

    Args:
        groups: group -> variable -> array. Empty groups are left out. Arrays begin with the dimensions
            that `LEADING` names for their group.
        provenance: facts about the run, kept as one JSON string in the attribute `probinv` of the root
            (netCDF cannot hold dictionaries, booleans or None).

    Returns:
        The tree. Further dimensions are named `<variable>_dim_<k>`, as ArviZ does.
    """
    datasets = {
        name: _dataset(variables, LEADING.get(name, ())) for name, variables in groups.items() if variables
    }
    tree = xr.DataTree.from_dict(datasets)
    tree.attrs[ATTRIBUTE] = json.dumps(provenance, default=_plain)
    return tree


def provenance(tree: xr.DataTree) -> dict[str, Any]:
    """The facts about the run that the tree carries; empty for a tree that probinv did not make."""
    return json.loads(tree.attrs.get(ATTRIBUTE, "{}"))


def with_provenance(tree: xr.DataTree, **facts: Any) -> xr.DataTree:
    """The same tree with facts added to its provenance (in place)."""
    tree.attrs[ATTRIBUTE] = json.dumps(provenance(tree) | facts, default=_plain)
    return tree


def _dataset(variables: dict[str, np.ndarray], lead: tuple[str, ...]) -> xr.Dataset:
    arrays = {}
    for name, value in variables.items():
        value = np.asarray(value)
        dims = lead + tuple(f"{name}_dim_{k}" for k in range(value.ndim - len(lead)))
        arrays[name] = xr.DataArray(value, dims=dims)
    dataset = xr.Dataset(arrays)
    coords = {dim: np.arange(size) for dim, size in dataset.sizes.items()} if lead else {}
    return dataset.assign_coords(coords)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
