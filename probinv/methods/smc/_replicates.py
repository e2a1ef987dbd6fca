"""Finished replicates as arrays by name, from which an interrupted run goes on."""

from typing import Any

import jax
import numpy as np

from probinv._errors import InputError


def save_replicates(done: list[Any]) -> dict[str, np.ndarray]:
    """Every leaf of every replicate, under its number and its name."""
    return {
        _name(number, path): np.asarray(leaf)
        for number, one in enumerate(done)
        for path, leaf in jax.tree_util.tree_leaves_with_path(one)
    }


def load_replicates(like: Any, saved: dict[str, np.ndarray] | None, particles: int) -> list[Any]:
    """The replicates that `save_replicates` has kept; none where there is nothing saved.

    Raises:
        InputError: they have another number of particles, or are not such replicates at all.
    """
    if saved is None:
        return []
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    done: list[Any] = []
    while all(_name(len(done), path) in saved for path, _ in paths):
        leaves = [saved[_name(len(done), path)] for path, _ in paths]
        plain = [leaf.item() if leaf.ndim == 0 else leaf for leaf in leaves]
        done.append(jax.tree_util.tree_unflatten(structure, plain))
    if not done:
        raise InputError(
            "resume is not a state of this method", "it holds no finished population", "start anew"
        )
    sizes = {len(leaf) for name, leaf in saved.items() if name.endswith("_ancestor")}
    if sizes - {particles}:
        raise InputError(
            f"resume holds populations of {min(sizes)} particles",
            f"draws={particles} asks for others, and particles cannot be added",
            "use the same draws, or start anew",
        )
    return done


def _name(number: int, path: Any) -> str:
    return f"replicate_{number}_" + jax.tree_util.keystr(path, simple=True, separator="_")
