"""Dual averaging of a step size towards an acceptance (Nesterov 2009; Hoffman & Gelman 2014, section 3.2)."""

import math
from typing import NamedTuple

import jax.numpy as jnp

from probinv._typing import Scalar

SHRINKAGE, DELAY, DECAY = 0.1, 10.0, 0.75


class StepSize(NamedTuple):
    """log of the step size in use, its weighted mean, the mean error of the acceptance, and their number."""

    log_step: Scalar
    log_mean: Scalar
    error: Scalar
    tries: Scalar


def first_step(step: float) -> StepSize:
    """Begins at `step`."""
    log_step = jnp.full((), math.log(step), float)  # strongly typed, as what a compiled call returns
    return StepSize(log_step, log_step, jnp.zeros(()), jnp.zeros(()))


def adapted(now: StepSize, acceptance: Scalar, target: float, first: float, most: float) -> StepSize:
    """x_{t+1} = log first - sqrt(t) / 0.1 H_t,  H_t = (1 - w) H_{t-1} + w (target - acceptance).

    w = 1 / (t + 10); the weighted mean of the x_t is what is used once adaptation ends.
    """
    tries = now.tries + 1
    weight = 1 / (tries + DELAY)
    error = (1 - weight) * now.error + weight * (target - acceptance)
    log_step = jnp.minimum(jnp.log(first) - jnp.sqrt(tries) / SHRINKAGE * error, jnp.log(most))
    share = tries**-DECAY
    return StepSize(log_step, share * log_step + (1 - share) * now.log_mean, error, tries)
