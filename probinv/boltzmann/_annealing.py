"""Chains that walk from one law to another along a path of machines, and the weights they gather."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinv._checks import as_array, as_count
from probinv._errors import InputError, NumericalError
from probinv._progress import Progress
from probinv._typing import PRNGKey
from probinv.boltzmann.exact import in_precision
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Bernoulli

LATE = 1.5
BLOCK = 2e10  # chains * nv * nh * steps between two looks at the keyboard: about a second
SCHEDULES = ("late", "linear")

type States = Float[Array, "chains nv"]
type Weights = Float[Array, " chains"]


@final
class AnnealingPath(eqx.Module):
    """p_t(v, h) with W_t = t W, b_t = t b, a_t = (1 - t) a_0 + t a, for t from 0 to 1.

    The laws' log base measures, and with them the variances of Gaussian units, stay as they are, so that with
    x = b + v W

        log f_t(v) = log_base(v) + v . a_t + A_h(t x).

    p_0 has independent units, Z_0 = exp(A_v(a_0) + A_h(0)). Every p_t is proper where p_1 is: with discrete
    units on one side the other side's variances do not change with t, and with Gaussian units on both sides
    the quadratic form 1 - t^2 sigma_v^2 sigma_h^2 W W^T is positive definite if it is so at t = 1.

    Args:
        machine: p_1, arrays of float32.
        base: a_0 (nv,), float32.
    """

    machine: Machine
    base: Float[Array, " nv"]

    @eqx.filter_jit
    def log_partition_base(self) -> Float[Array, ""]:
        """log Z_0, in double precision (inside `double_precision`)."""
        visible, hidden = _double(self.machine.visible), _double(self.machine.hidden)
        zero = jnp.zeros(hidden.size, jnp.float64)
        return visible.log_partition(self.base.astype(jnp.float64)) + hidden.log_partition(zero)

    @eqx.filter_jit
    def base_states(self, key: PRNGKey, chains: int) -> States:
        """v ~ p_0."""
        theta = jnp.broadcast_to(self.base, (chains, self.base.size))
        return self.machine.visible.sample(key, theta)


def new_path(machine: Machine, mean: Float[np.ndarray, " nv"]) -> AnnealingPath:
    """The path to a machine from independent units with that mean (inside `double_precision`)."""
    base = machine.visible.natural(mean)
    return AnnealingPath(in_precision(machine, np.float32), jnp.asarray(base, jnp.float32))


def powers_of(temperatures: int, schedule: Any) -> Float[np.ndarray, " powers"]:
    """0 = t_0 < t_1 < ... < t_K = 1 by name, or the given ones after a check.

    "linear": t_k = k / K. "late": t_k = 1 - (1 - k / K)^1.5, finer where trained machines order themselves:
    on digits the variance of d log f_t / dt grew 20-fold towards t = 1. Of 400 chains there 226 remained
    effective, of "linear" 195, of the logistic schedule of Grosse, Ghahramani and Adams (2015, arXiv
    1511.02543) 146.
    """
    if isinstance(schedule, str):
        count = as_count("temperatures", temperatures)
        steps = np.linspace(0, 1, count + 1)
        if schedule not in SCHEDULES:
            raise InputError(
                f"schedule is {schedule!r}", f"known are {', '.join(SCHEDULES)}", "or give an array"
            )
        return steps if schedule == "linear" else 1 - (1 - steps) ** LATE
    given = as_array("schedule", schedule)
    if given.ndim != 1 or len(given) < 2 or given[0] != 0 or given[-1] != 1 or not (np.diff(given) > 0).all():
        raise InputError("schedule is no path", "it must rise strictly from 0 to 1", "for example 'linear'")
    return given


def annealed(
    path: AnnealingPath,
    key: PRNGKey,
    states: States,
    powers: Float[np.ndarray, " powers"],
    progress: Progress | None,
    phase: str,
) -> Float[np.ndarray, " chains"]:
    """log w of chains that begin in the law of the first power and walk to the last.

        log w = sum_k log f_{k+1}(v_k) - log f_k(v_k),   v_{k+1} ~ T_{k+1}(v_k),

    T_t one Gibbs step, reversible under p_t, so that E[w] = Z_last / Z_first if v_0 ~ p_first (Neal 2001,
    arXiv physics/9803008). Powers may rise or fall. Step k uses `fold_in(key, k)`.
    """
    log_weight = jnp.zeros(len(states), jnp.float64)
    traced = jnp.asarray(powers, jnp.float64)
    for first, count in blocks(path.machine, len(states), len(powers) - 1):
        states, log_weight = _walk(
            path, key, states, log_weight, traced, jnp.asarray(first), jnp.asarray(count)
        )
        _look(states, log_weight, phase)
        if progress is not None:
            progress.update(count, phase)
    return np.asarray(log_weight)


def equilibrated(
    path: AnnealingPath, key: PRNGKey, states: States, steps: int, progress: Progress | None, phase: str
) -> tuple[States, float]:
    """The chains after Gibbs steps under p_1, and how far F still drifted in the second half.

    The drift is the mean change of F over the second half divided by its standard error over chains, about
    N(0, 1) in equilibrium; NaN without steps.
    """
    middle = states
    half = steps // 2
    for first, count in (
        *blocks(path.machine, len(states), half),
        *blocks(path.machine, len(states), steps - half, half),
    ):
        if first == half:
            middle = states
        states = _wander(path.machine, key, states, jnp.asarray(first), jnp.asarray(count))
        _look(states, states, phase)
        if progress is not None:
            progress.update(count, phase)
    if not steps:
        return states, float("nan")
    change = np.asarray(_free_energy(path.machine, states) - _free_energy(path.machine, middle), np.float64)
    error = change.std(ddof=1) / np.sqrt(len(change))
    return states, float(change.mean() / error) if error > 0 else 0.0


def blocks(machine: Machine, chains: int, steps: int, first: int = 0) -> list[tuple[int, int]]:
    """(first, count) of each block of about a second."""
    size = chains * machine.visible.size * machine.hidden.size
    length = int(np.clip(BLOCK / size, 1, 1000))
    return [(first + done, min(length, steps - done)) for done in range(0, steps, length)]


def _look(states: States, values: Array, phase: str) -> None:
    """Waits for the block; a NumericalError where chains have run away."""
    if not (np.isfinite(np.asarray(values)).all() and bool(jnp.isfinite(states).all())):
        raise NumericalError(
            f"the {phase} chains left the range of floating point numbers",
            "the machine has no normalisable law, or its weights are huge",
            "shrink the weights; Gaussian units on both sides need sigma_v sigma_h |W| < 1",
        )


@eqx.filter_jit
def _walk(
    path: AnnealingPath,
    key: PRNGKey,
    states: States,
    log_weight: Weights,
    powers: Float[Array, " powers"],
    first: Int[Array, ""],
    count: Int[Array, ""],
) -> tuple[States, Weights]:
    machine = path.machine
    tilt = jnp.asarray(machine.visible_bias) - path.base

    def step(k: Any, carry: tuple[States, Weights]) -> tuple[States, Weights]:
        v, log_weight = carry
        key_hidden, key_visible = jax.random.split(jax.random.fold_in(key, k))
        before, after = powers[k], powers[k + 1]
        x = machine.up(v)
        rise = _rise(machine.hidden, x, before, after)
        log_weight = log_weight + (after - before) * (v @ tilt).astype(jnp.float64) + rise
        t = after.astype(v.dtype)
        h = machine.hidden.sample(key_hidden, t * x)
        theta = t * machine.down(h) + jnp.broadcast_to((1 - t) * path.base, v.shape)
        return machine.visible.sample(key_visible, theta), log_weight

    return jax.lax.fori_loop(first, first + count, step, (states, log_weight))


@eqx.filter_jit
def _wander(
    machine: Machine, key: PRNGKey, states: States, first: Int[Array, ""], count: Int[Array, ""]
) -> States:
    def step(k: Any, v: States) -> States:
        return machine.gibbs(jax.random.fold_in(key, k), v)

    return jax.lax.fori_loop(first, first + count, step, states)


@eqx.filter_jit
def _free_energy(machine: Machine, states: States) -> Weights:
    return machine.free_energy(states)


def _rise(
    hidden: AbstractUnits, x: Float[Array, "chains nh"], before: Float[Array, ""], after: Float[Array, ""]
) -> Weights:
    """A_h(after x) - A_h(before x), without losing digits where the powers are close.

    A difference of sums over float32 would have an error of 1e-5 at each of thousands of steps. Of Bernoulli
    units the difference is taken unit by unit in a form that is exact to rounding: with low <= high,
    d = (high - low) |x| >= 0,

        log(1 + e^(high x)) - log(1 + e^(low x)) = max((high - low) x, 0) + log1p(s(-low |x|) (e^-d - 1)).

    Other units take double precision.
    """
    if not isinstance(hidden, Bernoulli):
        wide = x.astype(jnp.float64)
        own = _double(hidden)
        return own.log_partition(after * wide) - own.log_partition(before * wide)
    low = jnp.minimum(before, after).astype(x.dtype)
    width = jnp.abs(after - before).astype(x.dtype)
    size = jnp.abs(x)
    fall = jnp.log1p(jnp.expm1(-width * size) / (1 + jnp.exp(low * size)))
    total = jnp.sum(width * jnp.maximum(x, 0) + fall, axis=-1)
    return jnp.sign(after - before) * total.astype(jnp.float64)


def _double(units: AbstractUnits) -> AbstractUnits:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, units)
