"""invert: view -> draws -> x and y -> DataTree -> verdict."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import xarray as xr

from probinv._checks import as_count, double_precision, fresh, memory_available
from probinv._errors import InputError, ResourceError
from probinv._invert.choose import choose
from probinv._invert.facts import facts, method_of, state_of
from probinv._invert.groups import data_groups, draw_groups, optima_groups, prior_draws, prior_groups
from probinv._invert.interrupt import finishing
from probinv._progress import Bar
from probinv._typing import PRNGKey
from probinv.likelihood import Gaussian
from probinv.methods import METHODS, AbstractMethod, Draws
from probinv.posterior import Posterior, Ridge, find_ridge
from probinv.results.diagnose import diagnose
from probinv.results.tree import build_tree, provenance, with_provenance
from probinv.results.verdict import SEVERITY, Diagnosis, Verdict

STATISTICS = 60
"""Numbers held for each draw besides x, y and z: sample_stats, and the work arrays of the diagnosis."""


def invert(
    posterior: Posterior,
    method: AbstractMethod | None = None,
    *,
    seed: int | PRNGKey = 0,
    progress: bool = True,
    verdict: bool = True,
    resume: xr.DataTree | None = None,
    reduce: bool = True,
) -> xr.DataTree:
    r"""Draws from p(x | Y*) = p(Y* | f(x)) p(x) / p(Y*), with diagnostics and a verdict.

    Args:
        posterior: prior, forward and likelihood.
        method: how to sample; None chooses one, says why in the provenance ("chosen"), and where its chains
            do not agree tries the next (`docs/choosing.md`).
        seed: a whole number, or a typed JAX key. The same seed gives the same draws on the same machine.
        progress: show a progress bar on standard error.
        verdict: print the verdict when done.
        resume: the result of an interrupted run, or of one with fewer draws, of the same posterior, method
            settings and seed: it is continued bit for bit up to `method.draws`. A population (`TemperedSMC`,
            `SubsetSimulation`) goes on with the replicates that an interrupt has left out.
        reduce: where the prior is Gaussian and the network sees its inputs through fewer combinations than
            there are inputs, sample those and draw the rest exactly (`probinv.posterior.Ridge`).

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
    check(posterior, method)
    query = _Query(fresh(posterior), as_key(seed), seed, progress, resume)
    with double_precision():
        tree, diagnosis = query.answer(method, reduce)
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


@dataclasses.dataclass(frozen=True)
class _Query:
    """One posterior, one seed, and a method after the other until the chains agree."""

    posterior: Posterior
    key: PRNGKey
    seed: int | PRNGKey
    progress: bool
    resume: xr.DataTree | None

    def answer(self, method: AbstractMethod | None, reduce: bool) -> tuple[xr.DataTree, Diagnosis]:
        """Of the method, or of the first one chosen whose chains agree; else the better of both."""
        key_run, key_prior, key_rest, key_choice = jax.random.split(self.key, 4)
        if method is None and self.resume is not None:
            method = method_of(self.resume)
        if method is not None:
            method.view.of(self.posterior)  # refuses before anything is compiled
            require_memory(self.posterior, method)
        ridge = find_ridge(self.posterior) if reduce and (method is None or method.exact) else None
        if method is not None:
            return self._run(method, ridge, key_run, key_prior, key_rest, {})
        reduced = self.posterior if ridge is None else ridge.reduced
        best, before = None, ""
        for choice in choose(reduced, key_choice):
            notes = {"chosen": choice.why.format(before=before)}
            require_memory(self.posterior, choice.method)
            found = self._run(choice.method, ridge, key_run, key_prior, key_rest, notes)
            if best is None or SEVERITY.index(found[1].verdict) >= SEVERITY.index(best[1].verdict):
                best = found
            if found[1].verdict is not Verdict.NOT_CONVERGED or provenance(found[0])["interrupted"]:
                break
            before = type(choice.method).__name__
        assert best is not None
        return best

    def _run(
        self,
        method: AbstractMethod,
        ridge: Ridge | None,
        key_run: PRNGKey,
        key_prior: PRNGKey,
        key_rest: PRNGKey,
        notes: dict[str, str],
    ) -> tuple[xr.DataTree, Diagnosis]:
        """View -> draws -> x and y -> DataTree -> verdict."""
        posterior, seed = self.posterior, self.seed
        state = None if self.resume is None else state_of(self.resume, posterior, method, seed)
        with Bar(method.steps, self.progress) as bar:
            view = method.view.of(posterior if ridge is None else ridge.reduced)
            result = method.run(view, key_run, bar, state)
        with finishing():
            groups = prior_groups(posterior, key_prior) | data_groups(posterior)
            result = result._replace(notes=result.notes | notes)
            if isinstance(result, Draws):
                before = None if result.whole else self.resume
                result = _completed(result, ridge, key_rest, before)
                groups |= draw_groups(posterior, result, before)
            else:
                groups |= optima_groups(posterior, result)
            tree = build_tree(groups, facts(posterior, method, seed, result, self.resume))
            diagnosis = diagnose(tree)
            with_provenance(tree, verdict=diagnosis.as_dict())
        return tree, diagnosis


def _completed(result: Draws, ridge: Ridge | None, key: PRNGKey, resume: xr.DataTree | None) -> Draws:
    """The draws in all coordinates, where they were made in some combinations of them."""
    if ridge is None:
        return result
    first = 0 if resume is None else int(resume["unconstrained_posterior"].sizes["draw"])
    notes = result.notes | {"reduction": ridge.sentence}
    return result._replace(z=ridge.complete(result.z, key, first), notes=notes)


def require_memory(posterior: Posterior, method: AbstractMethod) -> int:
    """Bytes that the run will hold at its peak; a ResourceError that names them if they are not there."""
    width = math.prod(posterior.prior.shape) + math.prod(posterior.output_shape) + 2 * posterior.size
    result = method.points * (2 * width + STATISTICS) + prior_draws(posterior) * width
    need = method.memory(posterior.size) + 8 * result
    have = memory_available()
    if have is not None and need > have:
        raise ResourceError(
            f"the run needs about {need / 1e9:.1f} GB of memory",
            f"{have / 1e9:.1f} GB are free ({method.points} points of {posterior.size} coordinates)",
            "take fewer draws or chains, or keep every k-th with thin=k",
        )
    return need


def check(posterior: Any, method: Any) -> None:
    if not isinstance(posterior, Posterior):
        raise InputError(
            "posterior is not a Posterior",
            f"got {type(posterior).__name__}",
            "write Posterior(prior, network, likelihood), or use query(network, y_star, ...)",
        )
    if method is not None and not isinstance(method, AbstractMethod):
        names = ", ".join(sorted(cls.__name__ for cls in METHODS.values()))
        raise InputError(
            "method is not a method",
            f"got {method!r}; there are {names}",
            "for example method=NUTS(draws=500)",
        )


def as_key(seed: Any) -> PRNGKey:
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
