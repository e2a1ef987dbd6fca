"""Simulation-based calibration: are the draws of a method draws of the posterior?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.infer.hmc import HMCState
from scipy import stats

from probinv._checks import as_count, double_precision
from probinv._errors import InputError
from probinv._typing import PRNGKey, Scalar, Z
from probinv.bench.result import Result
from probinv.forward import Function, Layered
from probinv.likelihood import AbstractResidualLikelihood, Gaussian
from probinv.methods import HMC, NUTS, AbstractMethod, Draws, LiftedHMC, ParallelTempering, TemperedSMC
from probinv.methods.kernels.hamiltonian import AXES, Settings, advance, initialise
from probinv.posterior import Density, Posterior, Residual, sample_prior, simulate
from probinv.prior import Normal

PER_BIN = 25


class Mistake(NamedTuple):
    """An error to plant: a log p(z) - sum_j (w_j r_j)^2 / 2 in place of log p(z) - sum_j r_j^2 / 2.

    Attributes:
        prior: a.
        weights: w, for each entry of the residual r; the last is repeated for the others.
    """

    prior: float
    weights: tuple[float, ...]


MISTAKES = {
    "none": Mistake(1.0, (1.0,)),
    "likelihood ignored": Mistake(1.0, (0.0,)),
    "one output ignored": Mistake(1.0, (0.0, 1.0)),
    "sigma x 2": Mistake(1.0, (0.5,)),
    "prior dropped": Mistake(0.0, (1.0,)),
}


@final
class Mistaken(eqx.Module):
    """The view Density with a planted mistake; all mistakes run one compiled program."""

    posterior: Posterior
    prior: Float[Array | np.ndarray, ""]
    weights: Float[Array | np.ndarray, " m"]

    @staticmethod
    def of(posterior: Posterior, mistake: Mistake) -> "Mistaken":
        """The view; a ViewError where the likelihood is not a sum of squares."""
        residual = Residual.of(posterior).residual
        size = eqx.filter_eval_shape(residual, jax.ShapeDtypeStruct((posterior.size,), float)).size
        weights = np.array([*mistake.weights, *[mistake.weights[-1]] * size], float)[:size]
        return Mistaken(posterior, np.asarray(mistake.prior), weights)

    @property
    def size(self) -> int:
        """n, the number of coordinates z."""
        return self.posterior.size

    def sample_prior(self, key: PRNGKey) -> Z:
        """One draw of z from the prior."""
        return self.posterior.prior.sample_latent(key)

    def log_likelihood(self, z: Z) -> Scalar:
        """-sum_j (w_j r_j)^2 / 2."""
        return -0.5 * jnp.sum((self.weights * Residual(self.posterior).residual(z)) ** 2)

    def log_density(self, z: Z) -> Scalar:
        """a log p(z) - sum_j (w_j r_j)^2 / 2."""
        return jnp.asarray(self.prior) * self.posterior.log_prior(z) + self.log_likelihood(z)


@final
@dataclass(frozen=True)
class Calibration:
    """Ranks of what is true among what was drawn.

    Args:
        ranks: name of a test quantity -> (replications,), each rank from 0 to `draws`.
        draws: L, the draws of one replication.
    """

    ranks: dict[str, np.ndarray]
    draws: int

    def p_values(self) -> dict[str, float]:
        """For each quantity, of the chi-squared test that its ranks are uniform on 0 ... L.

        In equal bins of at least 25 expected counts, a power of two of them that divides L + 1.
        """
        return {name: self._p_value(ranks) for name, ranks in self.ranks.items()}

    @property
    def p_value(self) -> float:
        """Of all quantities together: min(1, k min p), k the number of quantities (Bonferroni)."""
        values = self.p_values().values()
        return float(min(1.0, len(values) * min(values)))

    def _p_value(self, ranks: np.ndarray) -> float:
        bins = 2
        while (self.draws + 1) % (2 * bins) == 0 and len(ranks) >= PER_BIN * 2 * bins:
            bins *= 2
        counts = np.bincount(ranks * bins // (self.draws + 1), minlength=bins)
        return float(stats.chisquare(counts).pvalue)


def calibrate(
    posterior: Posterior,
    method: AbstractMethod,
    key: PRNGKey,
    *,
    replications: int = 200,
    draws: int = 63,
    mistake: Mistake | None = None,
    at_once: bool = False,
) -> Calibration:
    r"""rank of q(z*, Y*) among q(z_1, Y*), ..., q(z_L, Y*), (z*, Y*) ~ p(z) p(Y* | f(T(z))), z_l ~ p(z | Y*).

    If the method draws from the posterior, independently, each rank is uniform on 0 ... L (Talts et al. 2018,
    arXiv 1804.06788). The test quantities q are z_i, log p(z), log p(Y* | f(T(z))) and the residuals r_j:
    those that depend on Y* are needed, because without them a sampler that ignores the likelihood passes
    (Modrák et al. 2022, arXiv 2211.02383). Dependent draws count as an error: thin until they are nearly
    independent.

    Args:
        posterior: prior, network and likelihood; its own Y* only says which outputs matter.
        method: any method that draws, with its settings. One run for each target, and nothing is compiled
            again; a population should be some times larger than L, as copies of a particle are one draw.
        key: typed PRNG key.
        replications: targets Y* that are simulated and inverted.
        draws: L, taken at equal distances from all chains' draws; L + 1 a multiple of 8.
        mistake: an error to plant into the density that NUTS or HMC sees, to learn whether this check would
            find it.
        at_once: NUTS and HMC only: one chain for each target, all in one program, from a prior draw. Many
            times faster; leaves out how the method finds its starting points.

    Returns:
        The ranks, and the p-value of their uniformity.

    Raises:
        InputError: the method does not draw, or not enough, or a mistake is to be planted into another view.
        ViewError: Y* cannot be simulated, or a mistake is to be planted and there is no residual.
    """
    _check(method, draws, mistake, at_once)
    as_count("replications", replications)
    key_truth, key_draws, key_ties = jax.random.split(key, 3)
    with double_precision():
        z_true, _, targets = simulate(posterior, key_truth, replications)
        sample = _at_once if at_once else _one_by_one
        z = sample(posterior, method, key_draws, targets, draws, mistake)
        ranks = _ranks(posterior, targets, z_true, jnp.asarray(z), key_ties)
        return Calibration({name: np.asarray(value) for name, value in ranks.items()}, draws)


def _check(method: Any, draws: int, mistake: Mistake | None, at_once: bool) -> None:
    as_count("draws", draws)
    if not hasattr(method, "chains"):
        raise InputError(
            f"{type(method).__name__} does not draw", "its results are points", "use NUTS or HMC"
        )
    if at_once and not isinstance(method, NUTS | HMC):
        raise InputError("at_once is for NUTS and HMC", f"got {type(method).__name__}", "leave it out")
    if mistake is not None and method.view is not Density:
        raise InputError(
            "a mistake is planted into a density",
            f"{type(method).__name__} works on the view {method.view.__name__}",
            "use NUTS or HMC",
        )
    if not at_once and method.points < draws:
        raise InputError(
            f"draws={draws} is more than the method gives", f"it gives {method.points}", "let it draw more"
        )


def _view(posterior: Posterior, method: AbstractMethod, mistake: Mistake | None) -> Any:
    return method.view.of(posterior) if mistake is None else Mistaken.of(posterior, mistake)


def _aimed(view: Any, target: Any) -> Any:
    """The same view with another Y*."""
    wish = view.posterior.likelihood.at(target)
    view = eqx.tree_at(lambda v: v.posterior.likelihood, view, wish)
    if getattr(view, "constraint", None) is None:
        return view
    return eqx.tree_at(lambda v: v.constraint.posterior.likelihood, view, wish)


class _Silent:
    def update(self, steps: int, phase: str) -> None:
        pass


def _one_by_one(
    posterior: Posterior, method: Any, key: PRNGKey, targets: Any, draws: int, mistake: Mistake | None
) -> np.ndarray:
    view, found = _view(posterior, method, mistake), []
    places = np.linspace(0, method.points - 1, draws).astype(int)
    host = jax.tree.map(np.asarray, targets)
    for k, key_one in enumerate(jax.random.split(key, len(jax.tree.leaves(host)[0]))):
        target = jax.tree.map(lambda leaf, k=k: leaf[k], host)
        result: Draws = method.run(_aimed(view, target), key_one, _Silent())
        found.append(result.z.reshape(method.points, -1)[places])
    return np.stack(found)


def _at_once(
    posterior: Posterior, method: Any, key: PRNGKey, targets: Any, draws: int, mistake: Mistake | None
) -> Array:
    key_start, key_chains = jax.random.split(key)
    count = len(jax.tree.leaves(targets)[0])
    start = sample_prior(posterior, key_start, count)
    key_init, key_chain = (jax.random.split(k, count) for k in jax.random.split(key_chains))
    settings, view = method.kernel, _view(posterior, method, mistake)
    state = _begin(settings, view, targets, start, key_init)
    for steps, thin in ((settings.warmup, 1), (draws, method.thin)):
        how_far = jnp.asarray(steps), jnp.asarray(thin)
        state, z = _go_on(settings, view, targets, state, key_chain, how_far, draws)
    return z


@eqx.filter_jit
def _begin(settings: Settings, view: Any, targets: Any, start: Array | np.ndarray, keys: Array) -> HMCState:
    def one(target: Any, z: Z, key: PRNGKey) -> HMCState:
        return initialise(settings, _aimed(view, target), z[None], key[None])

    return jax.vmap(one, out_axes=AXES)(targets, jnp.asarray(start), keys)


@eqx.filter_jit
def _go_on(
    settings: Settings,
    view: Any,
    targets: Any,
    state: HMCState,
    keys: Array,
    how_far: tuple[Array, Array],
    rows: int,
) -> tuple[HMCState, Float[Array, "replications rows n"]]:
    def one(target: Any, state: HMCState, key: PRNGKey) -> tuple[HMCState, Array]:
        state, out = advance(settings, _aimed(view, target), key[None], state, *how_far, rows)
        return state, out["z"][:, 0]

    return jax.vmap(one, in_axes=(0, AXES, 0), out_axes=(AXES, 0))(targets, state, keys)


@eqx.filter_jit
def _ranks(
    posterior: Posterior, targets: Any, z_true: Array, z: Float[Array, "r draws n"], key: PRNGKey
) -> dict[str, Array]:
    """Draws below the truth, and of those equal to it a random number."""

    def one(target: Any, z_true: Z, z: Array, key: PRNGKey) -> dict[str, Array]:
        aimed = _aimed(Density(posterior), target).posterior
        true = _quantities(aimed, z_true)
        drawn = jax.vmap(lambda z: _quantities(aimed, z))(z)
        ranks = {}
        for key_one, (name, value) in zip(jax.random.split(key, len(true)), true.items(), strict=True):
            below, equal = (jnp.sum(drawn[name] < value), jnp.sum(drawn[name] == value))
            ranks[name] = below + jax.random.randint(key_one, (), 0, equal + 1)
        return ranks

    return jax.vmap(one)(targets, z_true, z, jax.random.split(key, len(z)))


def _quantities(posterior: Posterior, z: Z) -> dict[str, Scalar]:
    found = {f"z[{i}]": z[i] for i in range(posterior.size)}
    y = posterior.y(z)
    found |= {"log_prior": posterior.log_prior(z), "log_likelihood": posterior.likelihood.log_prob(y)}
    if isinstance(posterior.likelihood, AbstractResidualLikelihood):
        r = posterior.likelihood.residual(y)
        found |= {f"r[{j}]": r[j] for j in range(r.size)}
    return found


def _linear() -> Posterior:
    matrix = np.random.default_rng(0).standard_normal((3, 3))
    return Posterior(
        Normal(np.zeros(3), [0.5, 1.0, 2.0]),
        Function(_product, matrix),
        Gaussian(np.zeros(3), [0.3, 0.6, 1.0]),
    )


def _product(matrix: Array, x: Array) -> Array:
    return matrix @ x


def _tanh() -> Posterior:
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal((8, 3)), rng.standard_normal((2, 8)) / 2]
    network = Layered.from_arrays(weights, [rng.standard_normal(8) / 2, np.zeros(2)], "tanh")
    return Posterior(Normal(0.0, 1.0, 3), network, Gaussian(np.zeros(2), [0.3, 0.6]))


PROBLEMS: dict[str, Callable[[], Posterior]] = {"linear 3-3": _linear, "tanh 3-8-2": _tanh}
# a short tree: without its prior the density of the tanh network cannot be normalised, and draws run away
SAMPLER = NUTS(warmup=300, thin=5, max_tree_depth=6)
OTHERS: tuple[AbstractMethod, ...] = (
    LiftedHMC(draws=16, warmup=60, chains=4, thin=5),
    TemperedSMC(draws=128, chains=1),
)
FURTHER: tuple[AbstractMethod, ...] = (
    HMC(draws=63, warmup=200, chains=1, thin=5),
    ParallelTempering(draws=16, warmup=100, chains=4, thin=8),
)
"""Of the bench only: the tests leave them out for time's sake."""


def bench_calibration() -> Result:
    """p-values on two problems, 200 replications each: of NUTS, as it is and with four errors planted, and of
    every other sampler of densities and equations."""
    figures = {}
    for number, (name, make) in enumerate(PROBLEMS.items()):
        key = jax.random.key(number)
        for mistake, planted in MISTAKES.items():
            found = calibrate(make(), SAMPLER, key, mistake=planted, at_once=True)
            figures[f"{name}, NUTS, {mistake}"] = found.p_values() | {"all": found.p_value}
        for method in (*OTHERS, *FURTHER):
            found = calibrate(make(), method, key)
            figures[f"{name}, {type(method).__name__}, none"] = found.p_values() | {"all": found.p_value}
    rows = []
    for name, values in figures.items():
        worst = min((value, key) for key, value in values.items() if key != "all")[1]
        rows.append((name, values["all"], worst, "passes" if values["all"] > 1e-3 else "caught"))
    notes = [
        "p: that the ranks of z, log p(z), log p(Y* | y) and the residuals are all uniform (Bonferroni); a "
        "correct sampler falls below 0.001 once in 1000 runs.",
        "worst: the quantity with the smallest p-value.",
    ]
    return Result(figures, ("problem, sampler, planted error", "p", "worst", "at level 0.001"), rows, notes)
