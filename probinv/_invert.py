"""invert: view -> draws -> x and y -> DataTree -> verdict."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import math
import os
import platform
import re
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from probinv._checks import as_count, double_precision, fresh, memory_available
from probinv._errors import InputError, ResourceError
from probinv._typing import PRNGKey
from probinv.forward import fingerprint, output_struct
from probinv.likelihood import Gaussian
from probinv.likelihood._base import AbstractResidualLikelihood
from probinv.methods import METHODS, NUTS, AbstractMethod, Draws, Optima
from probinv.posterior import Posterior, evaluate, sample_prior
from probinv.results.diagnose import diagnose
from probinv.results.tree import build_tree, provenance, with_provenance

PRIOR_DRAWS = 1000
PRIOR_NUMBERS = 50_000_000
STATISTICS = 60
"""Numbers held for each draw besides x, y and z: sample_stats, and the work arrays of the diagnosis."""
VERSIONED = ("probinv", "jax", "numpyro", "equinox", "arviz", "numpy")


def invert(
    posterior: Posterior,
    method: AbstractMethod | None = None,
    *,
    seed: int | PRNGKey = 0,
    progress: bool = True,
    verdict: bool = True,
    resume: xr.DataTree | None = None,
) -> xr.DataTree:
    r"""Draws from p(x | Y*) = p(Y* | f(x)) p(x) / p(Y*), with diagnostics and a verdict.

    Args:
        posterior: prior, forward and likelihood.
        method: how to sample; None is `NUTS()`.
        seed: a whole number, or a typed JAX key. The same seed gives the same draws on the same machine.
        progress: show a progress bar on standard error.
        verdict: print the verdict when done.
        resume: the result of an interrupted run, or of one with fewer draws, of the same posterior, method
            settings and seed: it is continued bit for bit up to `method.draws`.

    Returns:
        A DataTree with the groups posterior (x, or the named inputs), unconstrained_posterior (z),
        posterior_predictive (y), log_likelihood, sample_stats, prior, prior_predictive, observed_data (Y*),
        constant_data, sampler_state; for methods that give points, `optima` in place of the first five.
        Provenance is one JSON attribute (`probinv.provenance`). Ctrl-C returns what there is, marked
        interrupted.

    Raises:
        InputError: an argument cannot be used.
        ViewError: the posterior lacks what the method needs.
        ResourceError: the run would not fit into memory; names the number.
        NumericalError: the network gives no finite value anywhere in the prior.
    """
    method = NUTS() if method is None else method
    _check(posterior, method)
    key_run, key_prior = jax.random.split(_as_key(seed))
    posterior = fresh(posterior)
    with double_precision():
        view = method.view.of(posterior)
        require_memory(posterior, method)
        state = None if resume is None else _state_of(resume, posterior, method, seed)
        with _Bar(method.steps, progress) as bar:
            result = method.run(view, key_run, bar, state)
        with _finishing():
            groups = _prior_groups(posterior, key_prior) | _data_groups(posterior)
            if isinstance(result, Draws):
                groups |= _draw_groups(posterior, result, resume)
            else:
                groups |= _optima_groups(posterior, result)
            tree = build_tree(groups, _facts(posterior, method, seed, result, resume))
            diagnosis = diagnose(tree)
            with_provenance(tree, verdict=diagnosis.as_dict())
    if verdict:
        print(diagnosis)
    return tree


def query(
    network: Any,
    y_star: Any,
    *,
    prior: Any,
    tolerance: Any,
    method: AbstractMethod | None = None,
    seed: int | PRNGKey = 0,
    progress: bool = True,
    verdict: bool = True,
) -> xr.DataTree:
    """Which inputs x of `network` give y within `tolerance` of `y_star`?

    The same as

        posterior = Posterior(prior, network, Gaussian(y_star, tolerance))
        tree = invert(posterior, method, seed=seed)

    Args:
        network: any forward that `Posterior` takes.
        y_star: the wished output, of the shape of y; NaN where an output does not matter.
        prior: p(x).
        tolerance: standard deviation of y around y_star, one number or one for each output.
        method: see `invert`.
        seed: see `invert`.
        progress: see `invert`.
        verdict: see `invert`.

    Returns:
        The DataTree of `invert`.
    """
    posterior = Posterior(prior, network, Gaussian(y_star, tolerance))
    return invert(posterior, method, seed=seed, progress=progress, verdict=verdict)


def require_memory(posterior: Posterior, method: AbstractMethod) -> int:
    """Bytes that the run will hold at its peak; a ResourceError that names them if they are not there."""
    width = math.prod(posterior.prior.shape) + math.prod(posterior.output_shape) + 2 * posterior.size
    result = method.points * (2 * width + STATISTICS) + _prior_draws(posterior) * width
    need = method.memory(posterior.size) + 8 * result
    have = memory_available()
    if have is not None and need > have:
        raise ResourceError(
            f"the run needs about {need / 1e9:.1f} GB of memory",
            f"{have / 1e9:.1f} GB are free ({method.points} points of {posterior.size} coordinates)",
            "take fewer draws or chains, or keep every k-th with thin=k",
        )
    return need


def _prior_draws(posterior: Posterior) -> int:
    """1000, or fewer where that many would be more than 50 million numbers (400 MB); at least 100."""
    return int(np.clip(PRIOR_NUMBERS // math.prod(posterior.prior.shape), 100, PRIOR_DRAWS))


def _check(posterior: Any, method: Any) -> None:
    if not isinstance(posterior, Posterior):
        raise InputError(
            "posterior is not a Posterior",
            f"got {type(posterior).__name__}",
            "write Posterior(prior, network, likelihood), or use query(network, y_star, ...)",
        )
    if not isinstance(method, AbstractMethod):
        names = ", ".join(sorted(cls.__name__ for cls in METHODS.values()))
        raise InputError(
            "method is not a method",
            f"got {method!r}; there are {names}",
            "for example method=NUTS(draws=500)",
        )


def _as_key(seed: Any) -> PRNGKey:
    if isinstance(seed, jax.Array) and jnp.issubdtype(seed.dtype, jax.dtypes.prng_key) and seed.shape == ():
        return seed
    if isinstance(seed, jax.Array):
        raise InputError(
            "seed is an array but not one typed key", f"dtype {seed.dtype}", "use jax.random.key(0) or seed=0"
        )
    number = as_count("seed", seed, least=0)
    if number >= 2**63:
        raise InputError("seed is too large", f"got {number}", "give a whole number below 2^63")
    with double_precision():  # outside of it JAX would drop all but 32 bits
        return jax.random.key(number)


def _seed_text(seed: Any) -> str:
    return str(jax.random.key_data(seed).tolist()) if isinstance(seed, jax.Array) else str(seed)


def _draw_groups(
    posterior: Posterior, result: Draws, resume: xr.DataTree | None
) -> dict[str, dict[str, np.ndarray]]:
    z, stats = result.z, result.stats
    if resume is not None:
        z = _joined(resume["unconstrained_posterior"]["z"], z)
        stats = {name: _joined(resume["sample_stats"][name], value) for name, value in stats.items()}
    chains, draws = z.shape[:2]
    values = evaluate(posterior, z.reshape(chains * draws, -1))

    def shaped(array: np.ndarray) -> np.ndarray:
        return array.reshape(chains, draws, *array.shape[1:])

    stats = stats | {"reached": shaped(values.reached), "log_prior": shaped(values.log_prior)}
    if isinstance(posterior.likelihood, AbstractResidualLikelihood):
        stats["residual_norm"] = shaped(values.residual_norm)
    return {
        "posterior": _split(posterior, shaped(values.x), 2),
        "unconstrained_posterior": {"z": z},
        "posterior_predictive": {"y": shaped(values.y)},
        "log_likelihood": {"y_star": shaped(values.log_likelihood)},
        "sample_stats": stats,
        "sampler_state": result.state,
    }


def _optima_groups(posterior: Posterior, result: Optima) -> dict[str, dict[str, np.ndarray]]:
    values, begin = evaluate(posterior, result.z), evaluate(posterior, result.start)
    rows = len(result.z)
    moved = np.linalg.norm((values.x - begin.x).reshape(rows, -1), axis=1)
    named = _split(posterior, values.x, 1)
    begun = {f"start_{name}": value for name, value in _split(posterior, begin.x, 1).items()}
    facts = {
        "y": values.y,
        "z": result.z,
        "log_prior": values.log_prior,
        "log_likelihood": values.log_likelihood,
        "reached": values.reached,
        "distance_from_start": moved,
    }
    if isinstance(posterior.likelihood, AbstractResidualLikelihood):
        facts["residual_norm"] = values.residual_norm
    return {"optima": named | begun | facts | result.stats}


def _prior_groups(posterior: Posterior, key: PRNGKey) -> dict[str, dict[str, np.ndarray]]:
    values = evaluate(posterior, sample_prior(posterior, key, _prior_draws(posterior)))
    return {
        "prior": _split(posterior, values.x[None], 2),
        "prior_predictive": {
            "y": values.y[None],
            "log_likelihood": values.log_likelihood[None],
            "reached": values.reached[None],
        },
    }


def _data_groups(posterior: Posterior) -> dict[str, dict[str, np.ndarray]]:
    low, high = posterior.prior.bounds
    bounds = {
        f"{side}_{name}": value
        for side, array in (("lower", low), ("upper", high))
        for name, value in _split(posterior, np.asarray(array), 0).items()
    }
    likelihood = posterior.likelihood
    if isinstance(likelihood, Gaussian):
        bounds["y_tolerance"] = np.asarray(likelihood.tolerance)
    return {
        "observed_data": {"y_star": likelihood.target_for(posterior.output_shape)},
        "constant_data": bounds,
    }


def _split(posterior: Posterior, x: np.ndarray, lead: int) -> dict[str, np.ndarray]:
    """The named inputs of an array of x with `lead` leading axes."""
    flat = jnp.asarray(x.reshape(-1, *posterior.prior.shape))
    parts = jax.vmap(posterior.prior.split)(flat)
    names = posterior.prior.split(flat[0])  # in the order that the user gave: vmap sorts them
    return {
        name: np.asarray(parts[name]).reshape((*x.shape[:lead], *parts[name].shape[1:])) for name in names
    }


def _joined(old: xr.DataArray, new: np.ndarray) -> np.ndarray:
    return np.concatenate([old.values, new], axis=1)


def _state_of(
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
        "posterior_hash": _posterior_hash(posterior),
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


def _posterior_hash(posterior: Posterior) -> str:
    digest = hashlib.sha256(fingerprint(posterior.forward, posterior.prior.shape).encode())
    leaves, structure = jax.tree_util.tree_flatten((posterior.prior, posterior.likelihood))
    # the kinds of prior and likelihood too: Normal(0, 1) and Uniform(0, 1) hold the same numbers
    digest.update(re.sub(r"0x[0-9a-f]+", "", str(structure)).encode())
    for leaf in leaves:
        digest.update(f"{np.shape(leaf)}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _facts(
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
        "likelihood": type(posterior.likelihood).__name__,
        "input_shape": list(posterior.prior.shape),
        "output_shape": list(posterior.output_shape),
        "size": posterior.size,
        "dtype": "float64",
        "network_dtype": str(output_struct(posterior.forward, posterior.prior.shape).dtype),
        "network_hash": fingerprint(posterior.forward, posterior.prior.shape),
        "posterior_hash": _posterior_hash(posterior),
        "gradients": result.cost.gradients + before.get("gradients", 0),
        "seconds_compile": result.cost.seconds_compile + before.get("seconds_compile", 0.0),
        "seconds_sampling": result.cost.seconds_run + before.get("seconds_sampling", 0.0),
        "interrupted": result.interrupted,
        "notes": result.notes if resume is None else before.get("notes", {}) | result.notes,
        "versions": {name: _version(name) for name in VERSIONED},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, JAX on {jax.default_backend()}",
    }


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


@contextlib.contextmanager
def _finishing() -> Iterator[None]:
    """Lets one Ctrl-C pass: the draws are there, and what is made of them takes seconds. A second stops."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():  # no handler can be set
        yield
        return

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        print("the draws are there; finishing (Ctrl-C again to lose them)", file=sys.stderr)

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Bar:
    """A progress bar on standard error, and silence where none is wanted."""

    def __init__(self, steps: int, shown: bool) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=steps, disable=not shown, file=sys.stderr, desc="compiling", leave=False)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, steps: int, phase: str) -> None:
        self.bar.set_description(phase, refresh=False)
        self.bar.update(steps)
