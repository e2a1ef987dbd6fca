"""Posteriors under a machine: against a grid, by two methods and in the words of the verdict.

p(x) is a mixture of four normal laws that lie 8 and more standard deviations apart, y = x_1 x_2 + sin 2 x_1.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import probinv
from probinv._invert.choose import choose
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.prior import MachinePrior
from probinv.boltzmann.units import Bernoulli, Gaussian
from probinv.forward import Function
from probinv.likelihood import Exactly, Interval
from probinv.methods import NUTS, AbstractMethod, ParallelTempering, SubsetSimulation, TemperedSMC
from probinv.posterior import Posterior
from probinv.prior import Fixed, Named, Normal
from probinv.results import Verdict, diagnose

WEIGHT = np.array([0.3, 0.1, 0.2])  # of h = 00, 10, 01, as parts of one another; that of 11 follows
SIGMA, CORNER, EDGES = 0.25, np.array([-1.2, -1.1]), np.array([[2.2, 0.4], [-0.3, 2.5]])
MEANS = CORNER + np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ EDGES.T
METHODS = [TemperedSMC(chains=8), ParallelTempering(chains=8, draws=500, warmup=200)]


@cache
def machine() -> Machine:
    """The machine with these means and weights."""
    height = 0.5 * np.sum((MEANS / SIGMA) ** 2, axis=1)
    bias = [np.log(WEIGHT[k] / WEIGHT[0]) - height[k] + height[0] for k in (1, 2)]
    return Machine(
        Gaussian(2, np.log(SIGMA)), Bernoulli(2), EDGES / SIGMA**2, CORNER / SIGMA**2, np.array(bias)
    )


def curved(x: jax.Array) -> jax.Array:
    return jnp.stack([0.3 * (x[0] * x[1] + jnp.sin(2 * x[0]))])


@cache
def posterior(tolerance: float = 0.3) -> Posterior:
    return Posterior(
        MachinePrior(machine()), Function(curved, input_shape=2), probinv.Gaussian([0.3], tolerance)
    )


def quantities(x: np.ndarray) -> np.ndarray:
    """x, x^2, x_1 x_2 and in which component x is (the nearest), of (..., 2) points."""
    nearest = np.argmin(np.sum((x[..., None, :] - MEANS) ** 2, axis=-1), axis=-1)
    member = nearest[..., None] == np.arange(4)
    return np.concatenate([x, x**2, x[..., :1] * x[..., 1:], member], axis=-1)


@cache
def by_grid(tolerance: float = 0.3) -> np.ndarray:
    """Means by a grid of steps of .03 sigma, the prior and the last of its weights written out."""
    axis = np.linspace(-3.2, 3.2, 801)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    height = 0.5 * np.sum((MEANS / SIGMA) ** 2, axis=1)
    last = np.log(WEIGHT[1] * WEIGHT[2] / WEIGHT[0]) + height[3] - height[1] - height[2] + height[0]
    weight = np.append(WEIGHT, np.exp(last))
    square = np.sum((x[:, None] - MEANS) ** 2, axis=-1)
    prior = np.exp(-0.5 * square / SIGMA**2) @ weight
    y = 0.3 * (x[:, 0] * x[:, 1] + np.sin(2 * x[:, 0]))
    p = prior * np.exp(-0.5 * ((y - 0.3) / tolerance) ** 2)
    return p @ quantities(x) / p.sum()


@cache
def run(method: AbstractMethod | None, tolerance: float = 0.3) -> xr.DataTree:
    return probinv.invert(posterior(tolerance), method, progress=False, verdict=False)


@pytest.mark.slow
@pytest.mark.optimised
@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_means_and_weights_are_those_of_the_grid(method: Any) -> None:
    """8 independent chains or replicates: 9 scores of Student's law with 7 degrees, |t| < 12: 6e-6 each.

    And known well: the weights to .02, the means and second moments to .05. They are not those of a tolerance
    that is wrong by a third.
    """
    tree = run(method)
    x, component = tree["posterior"]["x"].values, tree["sample_stats"]["component"].values
    means = quantities(x).mean(axis=1)
    error = means.std(axis=0, ddof=1) / np.sqrt(8)
    assert error.max() < 0.05
    assert error[-4:].max() < 0.02
    assert np.abs((means.mean(axis=0) - by_grid()) / error).max() < 12
    assert np.abs((means.mean(axis=0) - by_grid(0.4)) / error).max() > 12
    assert np.mean(quantities(x)[..., -4:].argmax(axis=-1) == component) > 0.999
    diagnosis = diagnose(tree)
    assert diagnosis.verdict is Verdict.OK
    assert diagnosis.numbers["components"] == 4


@pytest.mark.slow
def test_the_verdict_names_components_that_were_not_mixed() -> None:
    diagnosis = diagnose(run(NUTS(draws=300, warmup=200)))
    found = {reason.code: reason for reason in diagnosis.reasons}
    assert diagnosis.verdict is Verdict.NOT_CONVERGED
    assert (
        "The components of the prior were not mixed: the component of the prior with"
        in found["components"].what
    )
    assert "TemperedSMC" in found["components"].advice
    assert diagnosis.numbers["component_rhat_max"] > 1.5


@pytest.mark.slow
@pytest.mark.parametrize("tolerance", [0.3, 0.003])
def test_one_chain_in_one_component_is_never_ok(tolerance: float) -> None:
    """A chain cannot know of the others, whose weights prior draws tell or do not tell."""
    diagnosis = diagnose(run(NUTS(draws=2000, chains=1), tolerance))
    codes = {reason.code for reason in diagnosis.reasons}
    assert diagnosis.verdict is not Verdict.OK
    assert codes & {"missed components", "one component"}


def test_what_is_chosen() -> None:
    key = jax.random.key(0)
    kinds = [type(choice.method) for choice in choose(posterior(), key)]
    assert kinds == [TemperedSMC, ParallelTempering]
    prior = MachinePrior(machine())
    network = Function(curved, input_shape=2)
    for other in (
        Posterior(prior, network, Exactly([0.3])),
        Posterior(Fixed(prior, [np.nan, 0.4]), network, probinv.Gaussian([0.3], 0.1)),
        Posterior(Named({"m": prior, "x_3": Normal()}), Function(curved, input_shape=3), Exactly([0.3])),
    ):
        assert isinstance(choose(other, key)[0].method, TemperedSMC)
        assert "mixture" in choose(other, key)[0].why
    hard = Posterior(prior, network, Interval([0.2], [0.4]))
    assert isinstance(choose(hard, key)[0].method, SubsetSimulation)
