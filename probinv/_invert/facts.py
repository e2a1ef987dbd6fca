"""Provenance of a result, and what of it has to be the same for a run to be continued."""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import re
from typing import Any

import jax
import numpy as np
import xarray as xr

from probinv._errors import InputError
from probinv.boltzmann.prior import machines
from probinv.forward import fingerprint, output_struct
from probinv.methods import METHODS, AbstractMethod, Draws, Optima
from probinv.posterior import Posterior
from probinv.results.tree import provenance

VERSIONED = ("probinv", "jax", "numpyro", "equinox", "arviz", "numpy")


def facts(
    posterior: Posterior,
    method: AbstractMethod,
    seed: Any,
    result: Draws | Optima,
    resume: xr.DataTree | None,
) -> dict[str, Any]:
    before = provenance(resume) if resume is not None else {}
    return {
        "method": type(method).__name__,
        "settings": _settings(method),
        "exact": method.exact,
        "seed": _seed_text(seed),
        "question": posterior.likelihood.describe(),
        "prior": type(posterior.prior).__name__,
        "prior_draws": "exact" if all(part.exact for part in machines(posterior.prior)) else "Gibbs",
        "likelihood": type(posterior.likelihood).__name__,
        "input_shape": list(posterior.prior.shape),
        "output_shape": list(posterior.output_shape),
        "size": posterior.size,
        "dtype": "float64",
        "network_dtype": str(output_struct(posterior.forward, posterior.prior.shape).dtype),
        "network_hash": fingerprint(posterior.forward, posterior.prior.shape),
        "posterior_hash": posterior_hash(posterior),
        "gradients": result.cost.gradients + before.get("gradients", 0),
        "seconds_compile": result.cost.seconds_compile + before.get("seconds_compile", 0.0),
        "seconds_sampling": result.cost.seconds_run + before.get("seconds_sampling", 0.0),
        "interrupted": result.interrupted,
        "notes": result.notes if resume is None else before.get("notes", {}) | result.notes,
        "versions": {name: _version(name) for name in VERSIONED},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, JAX on {jax.default_backend()}",
    }


def method_of(tree: xr.DataTree) -> AbstractMethod:
    """The method of a result, with its settings."""
    known = provenance(tree)
    for cls in METHODS.values():
        if cls.__name__ == known.get("method"):
            return cls(**known.get("settings", {}))
    raise InputError("resume does not say which method made it", "it has no provenance", "name the method")


def state_of(
    tree: xr.DataTree, posterior: Posterior, method: AbstractMethod, seed: Any
) -> dict[str, np.ndarray]:
    facts = provenance(tree)
    facts["settings"] = facts.get("settings", {}) | {"draws": getattr(method, "draws", None)}
    if "sampler_state" not in tree.children or "unconstrained_posterior" not in tree.children:
        raise InputError("resume holds no sampler state", "it is not the result of a sampler", "start anew")
    same = {
        "seed": _seed_text(seed),
        "method": type(method).__name__,
        "settings": _settings(method),
        "posterior_hash": posterior_hash(posterior),
    }
    for name, now in same.items():
        if (before := facts.get(name)) != now:
            raise InputError(
                f"resume belongs to another run: its {name} differs",
                f"{before} against {now}",
                "use the same posterior, settings and seed (draws may differ), or start anew",
            )
    there = int(tree["unconstrained_posterior"].sizes["draw"])
    if there > (asked := getattr(method, "draws", 0)):
        raise InputError(
            f"resume holds {there} draws already",
            f"draws={asked} asks for fewer",
            f"take draws above {there}",
        )
    return {str(name): value.values for name, value in tree["sampler_state"].data_vars.items()}


def posterior_hash(posterior: Posterior) -> str:
    digest = hashlib.sha256(fingerprint(posterior.forward, posterior.prior.shape).encode())
    leaves, structure = jax.tree_util.tree_flatten((posterior.prior, posterior.likelihood))
    # the kinds of prior and likelihood too: Normal(0, 1) and Uniform(0, 1) hold the same numbers
    digest.update(re.sub(r"0x[0-9a-f]+", "", str(structure)).encode())
    for leaf in leaves:
        digest.update(f"{np.shape(leaf)}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _settings(method: AbstractMethod) -> dict[str, Any]:
    """The fields of a method as JSON values."""
    plain = (str, int, float, bool)
    pairs = ((field.name, getattr(method, field.name)) for field in dataclasses.fields(method))
    return {name: value if value is None or isinstance(value, plain) else str(value) for name, value in pairs}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _seed_text(seed: Any) -> str:
    return str(jax.random.key_data(seed).tolist()) if isinstance(seed, jax.Array) else str(seed)
