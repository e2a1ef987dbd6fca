"""Re-simulation error: what the true simulator makes of inputs that were found by asking a network."""

import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import double_precision
from probinv._typing import PRNGKey, Scalar, Y, Z
from probinv.bench.result import Result
from probinv.bench.simulators import SIMULATORS, Simulator, train_surrogate
from probinv.forward import AbstractForward
from probinv.likelihood import Exactly
from probinv.methods.kernels.gram import across, gram
from probinv.methods.kernels.lifted import Point, jacobian, move, point
from probinv.posterior import Constraint, Posterior, sample_prior

TARGETS, PROPOSALS, MANY = 200, 250, 50
POOL, EXACT_POOL, EXACT_NEAREST = 100_000, 1_000_000, 2000
POLISH, FOUND = 8, 1e-8
MOVES, STEPS, STEP = 1, 2, 0.15
"""Transitions, steps of each, and their length where z has deviation 1 under the prior."""
RARE = 0.01
AT_ONCE = 500


class Proposals(NamedTuple):
    """Inputs for every target, the network's favourite first.

    Attributes:
        x: (target, proposal, n).
        misfit: (target, proposal), the largest |f(x) - Y*| of the network.
        acceptance: of the transitions that moved them.
    """

    x: np.ndarray
    misfit: np.ndarray
    acceptance: float


def propose(
    network: AbstractForward, simulator: Simulator, targets: Float[np.ndarray, "targets m"], key: PRNGKey
) -> Proposals:
    r"""x ~ p(x | f(x) = Y*) for each of many targets, ranked by p(z), without asking the simulator.

    One pool of draws of the prior serves all targets: those whose output lies nearest to Y* are draws of the
    posterior of a small tolerance; Gauss-Newton steps of least norm in z bring them to f(x) = Y*, and
    transitions of the kernel of LiftedHMC, which leave the exact posterior as it is, move them on. What does
    not arrive is ranked last.
    """
    key_pool, key_moves = jax.random.split(key)
    with double_precision():
        posterior = Posterior(simulator.prior(), network, Exactly(targets[0]))
        view = Constraint.of(posterior)
        z = sample_prior(posterior, key_pool, POOL)
        y = np.asarray(_outputs(posterior, z))
        start = np.stack([z[_nearest(y, one, PROPOSALS)] for one in targets])
        keys = jax.random.split(key_moves, (len(targets), PROPOSALS))
        z, x, misfit, moved = (np.asarray(part) for part in _on_target(view, start, targets, keys))
    score = np.where(misfit < FOUND, -0.5 * np.sum(z**2, axis=2), -np.inf)
    order = np.argsort(-score, axis=1, kind="stable")
    x, misfit = np.take_along_axis(x, order[..., None], 1), np.take_along_axis(misfit, order, 1)
    return Proposals(x, misfit, float(moved.mean()))


def _nearest(y: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    """Rows of y nearest to the target, in units of the spread of each output."""
    return np.argpartition(np.sum(((y - target) / y.std(axis=0)) ** 2, axis=1), count)[:count]


@eqx.filter_jit
def _outputs(posterior: Posterior, z: Array | np.ndarray) -> Float[Array, "rows m"]:
    return jax.lax.map(posterior.y, jnp.asarray(z), batch_size=AT_ONCE)


@eqx.filter_jit
def _outputs_of(network: AbstractForward, x: Array | np.ndarray) -> Float[Array, "rows m"]:
    return jax.vmap(network)(jnp.asarray(x))


@eqx.filter_jit
def _on_target(
    view: Constraint, start: Array | np.ndarray, targets: Array | np.ndarray, keys: Array
) -> tuple[Array, Array, Array, Array]:
    """z, x, misfit and acceptance of every start, brought to its target and moved on."""

    def one(row: tuple[Y, Z, PRNGKey]) -> tuple[Z, Array, Scalar, Scalar]:
        target, z, key = row
        aimed = eqx.tree_at(lambda v: v.posterior.likelihood, view, view.posterior.likelihood.at(target))
        z = jax.lax.fori_loop(0, POLISH, lambda _, z: _newton(aimed, z), z)
        at = point(aimed, aimed.slack, z, jnp.zeros_like(target))

        def transition(pair: tuple[Point, Scalar], key: PRNGKey) -> tuple[tuple[Point, Scalar], None]:
            at, probability, _, _ = move(aimed, pair[0], key, jnp.asarray(STEP), jnp.asarray(STEPS))
            return (at, pair[1] + probability / MOVES), None

        (at, accepted), _ = jax.lax.scan(transition, (at, jnp.zeros(())), jax.random.split(key, MOVES))
        misfit = jnp.max(jnp.abs(aimed.residual(at.z)))
        return at.z, view.posterior.x(at.z), misfit, accepted

    rows, each = start.shape[:2]
    goals = jnp.repeat(jnp.asarray(targets), each, axis=0)
    flat = goals, jnp.reshape(jnp.asarray(start), (rows * each, -1)), keys.reshape(-1)
    found = jax.lax.map(one, flat, batch_size=AT_ONCE)
    return jax.tree.map(lambda leaf: leaf.reshape(rows, each, *leaf.shape[1:]), found)


def _newton(view: Constraint, z: Z) -> Z:
    """z - J^T (J J^T)^-1 r(z), at most half a unit away."""
    r, j = jacobian(view, z)
    change = across(gram(j, view.slack), r)[0]
    return z - change * jnp.minimum(1.0, 0.5 / jnp.maximum(jnp.linalg.norm(change), 1e-300))


def errors(proposals: Proposals, simulator: Simulator, targets: np.ndarray) -> Float[np.ndarray, "t p"]:
    """Mean squared error of the simulator's output for every proposal; infinite where it is not valid."""
    rows, each = proposals.misfit.shape
    y = simulator.run(proposals.x.reshape(rows * each, -1)).reshape(rows, each, -1)
    error = np.mean((y - targets[:, None]) ** 2, axis=2)
    return np.where(np.isnan(error), np.inf, error)


class Branches(NamedTuple):
    """The kinds of answer to each target, and how far the proposals agree with them.

    Attributes:
        hit: share of the kinds that hold 1 % of the exact answers or more, which are among the proposals.
        hit_by_exact: the same for as many exact answers.
        weight_error: mean over targets of the total variation distance of the kinds' probabilities.
        weight_error_of_exact: the same for as many exact answers.
    """

    hit: float
    hit_by_exact: float
    weight_error: float
    weight_error_of_exact: float


def branches(proposals: Proposals, simulator: Simulator, targets: np.ndarray, seed: int) -> Branches:
    """Kinds of answer, against those of the 2000 of a million simulated pairs nearest to each target."""
    x = simulator.sample(EXACT_POOL, seed)
    y, rng, found = simulator.run(x), np.random.default_rng(seed), []
    labels = simulator.branch(x)
    for target, proposed in zip(targets, proposals.x, strict=True):
        exact = np.bincount(labels[_nearest(y, target, EXACT_NEAREST)], minlength=labels.max() + 1)
        share = exact / exact.sum()
        drawn = rng.choice(len(share), len(proposed), p=share)
        for own in (simulator.branch(proposed), drawn):
            counts = np.bincount(own, minlength=len(share))[: len(share)] / len(own)
            found += [np.mean(counts[share >= RARE] > 0), 0.5 * np.abs(counts - share).sum()]
    hit, wrong, hit_by_exact, wrong_by_exact = np.reshape(found, (-1, 4)).mean(axis=0)
    return Branches(float(hit), float(hit_by_exact), float(wrong), float(wrong_by_exact))


def held(proposals: Proposals, true: np.ndarray) -> float:
    """Share of the inputs of the targets that lie in the central 90 % of their proposals; right is 0.9."""
    low, high = np.quantile(proposals.x, [0.05, 0.95], axis=1)
    return float(np.mean((true >= low) & (true <= high)))


def resimulate(simulator: Simulator, seed: int = 0) -> dict[str, Any]:
    """Figures of one task: train, propose for 200 new targets, simulate."""
    began = time.perf_counter()
    network = train_surrogate(simulator, seed=seed)
    trained = time.perf_counter()
    true = simulator.sample(TARGETS, seed + 1)
    targets = simulator.run(true)
    proposals = propose(network, simulator, targets, jax.random.key(seed))
    proposed = time.perf_counter()
    error = errors(proposals, simulator, targets)
    with double_precision():
        x = simulator.sample(10_000, seed + 2)
        validation = np.mean((np.asarray(_outputs_of(network, x)) - simulator.run(x)) ** 2)
    return {
        "validation_mse": float(validation),
        "r_1": float(np.mean(error[:, 0])),
        f"r_{MANY}": float(np.mean(error[:, :MANY].min(axis=1))),
        "acceptance": proposals.acceptance,
        "invalid": float(np.mean(np.isinf(error))),
        "not_found": float(np.mean(~(proposals.misfit < FOUND))),
        **branches(proposals, simulator, targets, seed + 3)._asdict(),
        "held": held(proposals, true),
        "seconds_training": trained - began,
        "seconds_proposing": proposed - trained,
    }


def bench_resim() -> Result:
    """Re-simulation error of inputs found through a network, for sine, arm and ballistics; branches found."""
    figures = {name: resimulate(simulator) for name, simulator in SIMULATORS.items()}
    rows = [
        (
            name,
            found["validation_mse"],
            found["r_1"],
            PUBLISHED[name][0],
            found[f"r_{MANY}"],
            PUBLISHED[name][1],
            f"{found['hit']:.1%} ({found['hit_by_exact']:.1%})",
            f"{found['weight_error']:.3f} ({found['weight_error_of_exact']:.3f})",
            f"{found['held']:.1%}",
            found["seconds_training"],
            found["seconds_proposing"],
        )
        for name, found in figures.items()
    ]
    return Result(
        figures,
        COLUMNS,
        rows,
        [
            f"{TARGETS} held-out targets; networks of 3 x 256 GELU units, trained on 10,000 points.",
            f"{PROPOSALS} proposals a target, ranked by p(z), never by the simulator; an invalid one counts "
            "as infinite.",
            "published: the best of Ren, Padilla & Malof 2020, with networks of their own.",
            "branches hit: kinds of answer with 1 % of the exact law or more that are among the proposals.",
            "weights off: total variation distance from the exact probabilities. In brackets the same of as "
            "many exact answers.",
            "held: true inputs within the central 90 % of the proposals.",
        ],
    )


PUBLISHED = {"sine": (9.7e-4, 1.8e-6), "arm": (1.9e-4, 2.7e-6), "ballistics": (3.7e-3, 5e-6)}
"""Mean squared error of the best method, for one proposal and for 50."""
COLUMNS = (
    "task",
    "network's MSE",
    "r_1",
    "published",
    "r_50",
    "published",
    "branches hit",
    "weights off",
    "held",
    "s training",
    "s proposing",
)
