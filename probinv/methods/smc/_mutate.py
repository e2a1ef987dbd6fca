"""Moves of a population at one temperature: lifted where the wish is an equation, else preconditioned."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import PRNGKey, Scalar, Z
from probinv.methods.kernels.gram import gram, independent
from probinv.methods.kernels.lifted import STEP_MOST, jacobian, move, point
from probinv.methods.kernels.preconditioned import At, at_point, leap_and_judge
from probinv.methods.kernels.projected import ON_TARGET, shortest_way
from probinv.posterior import Path

LIFTED_MOST = 50
"""Outputs (or coordinates, if fewer) up to which moves are lifted."""
BATCH_MOST, BATCH_NUMBERS = 32, 5_000_000
TRAJECTORY = 2.6
"""Mean length, before its steps are shortened."""
STEPS_MOST = 50
SHORTER = 2.0
"""Nats by which a step is shortened at most."""
GAIN = 0.5
STEP_LEAST = 1e-8


class Settings(NamedTuple):
    """What the compiled program depends on besides the shapes."""

    lifted: bool
    target_accept: float
    batch: int
    """Particles that are moved side by side; the rest waits."""


def settings_for(view: Path, target_accept: float, particles: int) -> Settings:
    """Lifted moves where they can be had, and particles in batches in which none waits long for another."""
    rows = 0 if view.constraint is None else min(view.constraint.outputs, view.constraint.size)
    lifted = view.exact or 0 < rows <= LIFTED_MOST
    return Settings(lifted, float(target_accept), batch_of(view.size, particles))


def batch_of(size: int, particles: int) -> int:
    """A divisor of the number of particles, bounded by memory; of a number without one, a rest is left.

    A rest is one more program to compile, batches of one particle are slow.
    """
    most = int(np.clip(BATCH_NUMBERS // (size * min(size, 50)), 1, min(BATCH_MOST, particles)))
    divisor = max(k for k in range(1, most + 1) if particles % k == 0)
    return divisor if 4 * divisor >= most else most


class Moved(NamedTuple):
    """A population after its moves.

    Attributes:
        z: (particle, n).
        step: the step size, adapted on the way.
        acceptance: mean probability of the last transition.
        steps, gradients, failed: totals; failed are trajectories that lost the manifold.
    """

    z: Float[Array, "p n"]
    step: Scalar
    acceptance: Scalar
    steps: Array
    gradients: Array
    failed: Array


@eqx.filter_jit
def fit(view: Path, z: Float[Array, "p n"], batch: int) -> Array:
    """a(z) of every particle; -inf where it is NaN."""
    value = jax.lax.map(view.fit, z, batch_size=batch)
    return jnp.where(jnp.isnan(value), -jnp.inf, value)


@eqx.filter_jit
def prior_draws(view: Path, keys: Array, batch: int) -> Float[Array, "p n"]:
    """The first population."""
    return jax.lax.map(view.sample_prior, keys, batch_size=batch)


@eqx.filter_jit
def residuals(view: Path, z: Float[Array, "p n"], batch: int) -> Float[Array, "p m"]:
    """r(z) of every particle."""
    assert view.constraint is not None
    return jax.lax.map(view.constraint.residual, z, batch_size=batch)


@eqx.filter_jit
def projected(view: Path, z: Float[Array, "p n"], batch: int) -> tuple[Array, Array]:
    """Every particle brought to { r(z) = 0 }, and whether it is there and J J^T can be inverted."""
    constraint = view.constraint
    assert constraint is not None

    def one(z: Z) -> tuple[Z, Array]:
        slack = constraint.slack
        z, eta = shortest_way(constraint, slack, z, jnp.zeros_like(slack))
        r, j = jacobian(constraint, z)
        there = (jnp.abs(r + slack * eta) <= ON_TARGET * jnp.asarray(view.unit)).all()
        return z, there & independent(gram(j, slack))

    return jax.lax.map(one, z, batch_size=batch)


@eqx.filter_jit
def mutate(
    settings: Settings,
    view: Path,
    power: Scalar,
    root: Array,
    z: Float[Array, "p n"],
    key: PRNGKey,
    count: Array,
    step: Scalar,
) -> Moved:
    """`count` transitions of every particle that leave p_b unchanged; b = inf is the exact wish.

    All particles share one step size, corrected after every transition by 0.5 (acceptance - target) in its
    logarithm: with hundreds of particles the mean acceptance is known well enough for that.
    """

    def everywhere(function: Any, *arrays: Any) -> Any:
        return jax.lax.map(lambda one: function(*one), arrays, batch_size=settings.batch)

    begin = lifted_point if settings.lifted else plain_point
    transition = lifted_move if settings.lifted else plain_move
    at = everywhere(partial(begin, view, power), z)

    def body(i: Array, carry: tuple[Any, Scalar, Scalar, Array]) -> tuple[Any, Scalar, Scalar, Array]:
        at, step, _, totals = carry
        key_length, key_moves = jax.random.split(jax.random.fold_in(key, i))
        length = 2 * TRAJECTORY * jax.random.uniform(key_length)
        steps = jnp.clip(jnp.round(length / step), 1, STEPS_MOST).astype(int)
        keys = jax.random.split(key_moves, len(z))
        at, probability, counts = everywhere(
            lambda at, key: transition(view, power, root, at, *shortened(step, key), steps), at, keys
        )
        acceptance = probability.mean()
        factor = jnp.exp(GAIN * (acceptance - settings.target_accept))
        step = jnp.clip(step * factor, STEP_LEAST, STEP_MOST)
        return at, step, acceptance, totals + counts.sum(axis=0)

    start = (at, step, jnp.zeros(()), jnp.zeros(3, int))
    at, step, acceptance, totals = jax.lax.fori_loop(0, count, body, start)
    return Moved(at.z, step, acceptance, *totals)


def shortened(step: Scalar, key: PRNGKey) -> tuple[PRNGKey, Scalar]:
    """A key, and the step times exp(-2 U), U uniform on [0, 1].

    One step size serves all modes, and its mean acceptance can be right while a mode of a fifth of the weight
    accepts nothing: there the residual would stay what it is while the tolerance narrows, and the mode would
    be lost. The factor depends on nothing, so p_b stays unchanged (Neal 2011, section 5.4.2.2).
    """
    key, key_factor = jax.random.split(key)
    return key, step * jnp.exp(-SHORTER * jax.random.uniform(key_factor))


def lifted_point(view: Path, power: Scalar, z: Z) -> Any:
    constraint = view.constraint
    assert constraint is not None
    slack = jnp.where(jnp.isinf(power), constraint.slack, view.slack(power))
    open_ = slack > 0
    r = constraint.residual(z)
    return point(constraint, slack, z, jnp.where(open_, -r / jnp.where(open_, slack, 1.0), 0.0))


def lifted_move(
    view: Path, power: Scalar, root: Array, at: Any, key: PRNGKey, step: Scalar, steps: Array
) -> tuple[Any, Scalar, Array]:
    constraint = view.constraint
    assert constraint is not None
    at, probability, _, met = move(constraint, at, key, step, steps)
    rows = min(constraint.outputs, constraint.size)
    failed = met.not_projected + met.not_reversible
    return at, probability, jnp.stack([met.steps, rows * met.jacobians, failed])


def plain_point(view: Path, power: Scalar, z: Z) -> At:
    return at_point(view, power, z)


def plain_move(
    view: Path, power: Scalar, root: Array, at: At, key: PRNGKey, step: Scalar, steps: Array
) -> tuple[At, Scalar, Array]:
    at, probability = leap_and_judge(view, power, root, at, key, step, steps)
    return at, probability, jnp.stack([steps, steps, jnp.zeros_like(steps)])
