"""What a way back through a network finds: targets reached, distinct answers, free dimensions, seconds."""

import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import double_precision, fresh
from probinv._progress import Bar
from probinv.bench import layer_functions as functions
from probinv.bench.layer_networks import outputs_of
from probinv.forward import AbstractForward
from probinv.likelihood import Gaussian
from probinv.methods import AbstractMethod, Draws, Optima
from probinv.posterior import Posterior, evaluate
from probinv.prior import Normal

ANSWERS, PRIOR_DRAWS = 32, 4000
REACHED, SIGMA = 0.01, 0.005
"""Parts of an output's deviation under the prior: within the first Y* is reached, the second is the wish's
tolerance."""
APART = 0.5
RANK = 1e-8
MASKS_TRIED = 1000


class Targets(NamedTuple):
    """Wishes that can be met.

    Attributes:
        x: (target, *x), from the prior.
        y: (target, y), f(x).
        spread: (y,), deviation of each output under the prior.
    """

    x: np.ndarray
    y: np.ndarray
    spread: np.ndarray


class Found(NamedTuple):
    """What one way found for one target.

    Attributes:
        best: the smallest miss of all answers, see `miss`.
        share: of the answers that reach Y*.
        distinct: how many of those are different, see `distinct`.
        nearest: root mean square distance per entry from x0 of the nearest answer that reaches Y*, or NaN.
        gradients: evaluated.
        seconds: of the process on one core; of the first target compiling is part of it.
    """

    best: float
    share: float
    distinct: int
    nearest: float
    gradients: int
    seconds: float


def miss(
    y: Float[np.ndarray, "rows y"], target: np.ndarray, spread: np.ndarray
) -> Float[np.ndarray, " rows"]:
    """max_j |y_j - Y*_j| / spread_j of each row; infinite where it is not finite."""
    off = np.abs(y - target) / spread
    return np.where(np.isfinite(off).all(axis=1), off.max(axis=1, initial=0.0), np.inf)


def distinct(x: Float[np.ndarray, "rows *x"], apart: float = APART) -> int:
    """Rows that lie farther than `apart` sqrt(n) from each one counted before.

    With x ~ N(0, I_n) that is a root mean square of `apart` deviations an entry; two draws of the prior are
    1.4 apart.
    """
    kept: list[np.ndarray] = []
    for row in x:
        if all(np.linalg.norm(row - other) > apart * np.sqrt(row.size) for other in kept):
            kept.append(row)
    return len(kept)


def nearest(x: Float[np.ndarray, "rows *x"], x0: np.ndarray) -> float:
    """min |x - x0| / sqrt(n) over the rows; NaN where there is none."""
    return min((float(np.linalg.norm(row - x0)) / np.sqrt(x0.size) for row in x), default=float("nan"))


@eqx.filter_jit
def _jacobians(network: AbstractForward, x: Array) -> Array:
    return jax.vmap(jax.jacrev(network))(x)


def singular_values(network: AbstractForward, x: np.ndarray) -> Float[np.ndarray, "rows k"]:
    """Of J = df/dx at every row of x, the largest first."""
    with double_precision():
        jacobians = np.asarray(_jacobians(fresh(network), jnp.asarray(x)))
    return np.linalg.svd(jacobians.reshape(len(x), -1, x[0].size), compute_uv=False)


def free_dimensions(values: Float[np.ndarray, "rows k"], size: int) -> np.ndarray:
    """n - rank J of n = `size` inputs: singular values below 1e-8 of the largest do not count."""
    return size - _counted(values).sum(axis=1)


def condition(values: Float[np.ndarray, "rows k"]) -> np.ndarray:
    """The largest over the smallest singular value that counts; NaN where there is none."""
    least = np.min(np.where(_counted(values), values, np.inf), axis=1)
    return np.where(np.isfinite(least), values[:, 0] / least, np.nan)


def _counted(values: np.ndarray) -> np.ndarray:
    return values > RANK * values[:, :1]


def targets_of(network: AbstractForward, shape: tuple[int, ...], count: int, seed: int = 0) -> Targets:
    """Y* = f(x) for `count` x ~ N(0, I), and the spread of the outputs of 4000 more."""
    x = np.random.default_rng(seed + 1000).normal(size=(PRIOR_DRAWS + count, *shape))
    with double_precision():
        y = outputs_of(network, x)
    return Targets(x[PRIOR_DRAWS:], y[PRIOR_DRAWS:], y[:PRIOR_DRAWS].std(axis=0))


def ask(
    network: AbstractForward, shape: tuple[int, ...], targets: Targets, way: AbstractMethod, seed: int = 0
) -> list[Found]:
    """What a way finds for each target, one after the other; it compiles for the first only.

    Raises:
        ViewError: the way cannot go back through this network.
    """
    found = []
    for k, target in enumerate(targets.y):
        posterior = fresh(
            Posterior(Normal(0.0, 1.0, shape), network, Gaussian(target, SIGMA * targets.spread))
        )
        with double_precision():
            view = way.view.of(posterior)
            began = time.process_time()
            with Bar(way.steps, False) as bar:
                result = way.run(view, jax.random.key(seed + k), bar)
            spent = time.process_time() - began
            x = answers(posterior, result)
            off = miss(outputs_of(network, x), target, targets.spread)
        reached = off <= REACHED
        found.append(
            Found(
                best=float(off.min()),
                share=float(reached.mean()),
                distinct=distinct(x[reached]),
                nearest=nearest(x[reached], targets.x[k]),
                gradients=result.cost.gradients,
                seconds=spent,
            )
        )
    return found


def answers(posterior: Posterior, result: Draws | Optima) -> np.ndarray:
    """32 of the inputs that were found: all points, or draws at equal distances from all chains in a line."""
    if isinstance(result, Optima) and result.inputs is not None:
        return result.inputs[0]
    z = result.z.reshape(-1, posterior.size)
    places = np.linspace(0, len(z) - 1, ANSWERS).astype(int) if isinstance(result, Draws) else slice(None)
    return evaluate(posterior, z[places]).x


def summary(found: list[Found]) -> dict[str, Any]:
    """Over all targets."""
    columns = [np.array(column) for column in zip(*found, strict=True)]
    best, share, many, near, gradients, seconds = columns
    usual = float(np.median(seconds[1:] if len(seconds) > 1 else seconds))
    return {
        "reached": float(np.mean(best <= REACHED)),
        "best": float(np.median(best)),
        "worst_best": float(best.max()),
        "share": float(share.mean()),
        "distinct": float(np.median(many)),
        "nearest": float(np.median(near[np.isfinite(near)])) if np.isfinite(near).any() else None,
        "gradients": float(np.median(gradients)),
        "seconds": usual,
        "seconds_compile": max(0.0, float(seconds[0]) - usual),
    }


def dropout(weights: Any, targets: Targets, seed: int = 0) -> dict[str, float]:
    """What new masks make of inputs that give Y* without a miss in the network that was asked."""
    keys = jax.random.split(jax.random.key(seed), MASKS_TRIED)
    with double_precision():
        passes = jax.jit(jax.vmap(jax.vmap(functions.dropped, (None, None, 0)), (None, 0, None)))
        y = np.asarray(passes(weights, jnp.asarray(targets.x), keys))
    off = np.array([miss(one, target, targets.spread) for one, target in zip(y, targets.y, strict=True)])
    mean = [
        miss(one.mean(axis=0)[None], target, targets.spread) for one, target in zip(y, targets.y, strict=True)
    ]
    return {
        "single_miss": float(np.median(off)),
        "single_reached": float(np.mean(off <= REACHED)),
        "mean_miss": float(np.median(mean)),
    }
