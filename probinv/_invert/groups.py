"""What a run becomes in the tree: the groups of a DataTree, from draws of z and from the posterior."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from probinv._typing import PRNGKey
from probinv.boltzmann.prior import components
from probinv.likelihood import Gaussian
from probinv.likelihood._base import AbstractResidualLikelihood
from probinv.methods import Draws, Optima
from probinv.posterior import Posterior, evaluate, evaluate_inputs, sample_prior

PRIOR_DRAWS = 1000
PRIOR_NUMBERS = 50_000_000


def prior_draws(posterior: Posterior) -> int:
    """1000, or fewer where that many would be more than 50 million numbers (400 MB); at least 100."""
    return int(np.clip(PRIOR_NUMBERS // math.prod(posterior.prior.shape), 100, PRIOR_DRAWS))


def draw_groups(
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
    component = components(posterior.prior, z.reshape(chains * draws, -1))
    if component is not None:
        stats["component"] = shaped(component)
    fit = {} if values.log_likelihood is None else {"y_star": shaped(values.log_likelihood)}
    return {
        "posterior": _split(posterior, shaped(values.x), 2),
        "unconstrained_posterior": {"z": z},
        "posterior_predictive": {"y": shaped(values.y)},
        "log_likelihood": fit,
        "sample_stats": stats,
        "sampler_state": result.state,
    }


def optima_groups(posterior: Posterior, result: Optima) -> dict[str, dict[str, np.ndarray]]:
    z, rows, supported = result.z, len(result.z), None
    if result.inputs is None:
        values, begin = evaluate(posterior, z), evaluate(posterior, result.start).x
    else:
        (values, z, supported), begin = evaluate_inputs(posterior, result.inputs[0]), result.inputs[1]
    moved = np.linalg.norm((values.x - begin).reshape(rows, -1), axis=1)
    named = _split(posterior, values.x, 1)
    begun = {f"start_{name}": value for name, value in _split(posterior, begin, 1).items()}
    facts = {
        "y": values.y,
        "z": z,
        "log_prior": values.log_prior,
        "reached": values.reached,
        "distance_from_start": moved,
    }
    facts |= {} if values.log_likelihood is None else {"log_likelihood": values.log_likelihood}
    facts |= {} if supported is None else {"in_support": supported}
    if isinstance(posterior.likelihood, AbstractResidualLikelihood):
        facts["residual_norm"] = values.residual_norm
    return {"optima": named | begun | facts | result.stats}


def prior_groups(posterior: Posterior, key: PRNGKey) -> dict[str, dict[str, np.ndarray]]:
    z = sample_prior(posterior, key, prior_draws(posterior))
    values, component = evaluate(posterior, z), components(posterior.prior, z)
    fit = {} if values.log_likelihood is None else {"log_likelihood": values.log_likelihood[None]}
    fit |= {} if component is None else {"component": component[None]}
    return {
        "prior": _split(posterior, values.x[None], 2),
        "prior_predictive": {"y": values.y[None], "reached": values.reached[None]} | fit,
    }


def data_groups(posterior: Posterior) -> dict[str, dict[str, np.ndarray]]:
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
