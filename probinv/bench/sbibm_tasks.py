"""Six tasks of sbibm as posteriors with their true likelihood, and their published observations.

J.-M. Lueckmann, J. Boelts, D. Greenberg, P. Goncalves, J. Macke: Benchmarking simulation-based inference,
2021, arXiv 2101.04653. Every task is written anew from its definition.
"""

import bz2
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.bench.data import FOLDER, data_folder
from probinv.bench.ode import runge_kutta
from probinv.bench.sbibm_likelihoods import Cloud, Crescent
from probinv.forward import Function
from probinv.likelihood import Bernoulli, Gaussian
from probinv.posterior import Posterior
from probinv.prior import LogNormal, Normal, Uniform

OBSERVATIONS = (1, 2, 3, 4, 5)
BYTES_MOST = 100_000_000

PEOPLE, ASKED = 1e6, 1000
NOISE = float(np.sqrt(0.1))


def two_moons(observation: Float[np.ndarray, " 2"]) -> Posterior:
    """x ~ U[-1, 1]^2; Y* = y + a crescent, y = (-|x1 + x2|, x2 - x1) / sqrt(2). Two modes, x1 + x2 = +-c."""
    return Posterior(Uniform(-1.0, 1.0, 2), Function(_fold), Crescent(observation))


def _fold(x: X) -> Y:
    return jnp.stack([-jnp.abs(x[0] + x[1]), x[1] - x[0]]) / np.sqrt(2)


def slcp(observation: Float[np.ndarray, " 8"]) -> Posterior:
    """x ~ U[-3, 3]^5; four points of a normal law whose mean is (x1, x2), and whose covariance is

        [[x3^4, r x3^2 x4^2], [r x3^2 x4^2, x4^4]] + 1e-6 I,  r = tanh x5.

    The signs of x3 and x4 do not matter: four equal modes.
    """
    return Posterior(Uniform(-3.0, 3.0, 5), Function(_mean_and_root), Cloud(observation.reshape(4, 2)))


def _mean_and_root(x: X) -> Y:
    a, b, r, least = x[2] ** 2, x[3] ** 2, jnp.tanh(x[4]), 1e-6
    first = jnp.sqrt(a**2 + least)
    mixed = r * a * b / first
    # b^2 + least - mixed^2 without the cancellation: 1 - r^2 = 1 / cosh^2, and what `least` adds to `first`
    rest = b**2 * (1 / jnp.cosh(x[4]) ** 2 + r**2 * least / (a**2 + least)) + least
    return jnp.stack([x[0], x[1], first, mixed, jnp.sqrt(rest)])


def sir(observation: Float[np.ndarray, " 10"]) -> Posterior:
    """x = (beta, gamma) ~ LogNormal(log(.4, .125), (.5, .2)); an epidemic among a million people.

    dS/dt = -beta S I / N, dI/dt = beta S I / N - gamma I, from one infected; Y* are the infected among 1000
    asked at t = 0, 17, ..., 153: binomial. y is the log odds of I / N.
    """
    prior = LogNormal(np.log([0.4, 0.125]), [0.5, 0.2])
    return Posterior(prior, Function(_infected), Bernoulli(observation / ASKED, ASKED, "logits"))


def _infected(x: X) -> Y:
    start = jnp.log(jnp.array([1 - 1 / PEOPLE, 1 / PEOPLE]))
    share = runge_kutta(_sir, x, start, step=0.25, inner=68, saves=9)[:, 1]
    return share - jnp.log(-jnp.expm1(share))


def _sir(x: X, log_share: Y) -> Y:
    """d/dt of log S/N and log I/N: neither can become negative."""
    healthy, ill = jnp.exp(log_share[0]), jnp.exp(log_share[1])
    return jnp.stack([-x[0] * ill, x[0] * healthy - x[1]])


def lotka_volterra(observation: Float[np.ndarray, " 20"]) -> Posterior:
    """x = (alpha, beta, gamma, delta) ~ LogNormal((-.125, -3, -.125, -3), .5); hares and lynxes.

    du/dt = alpha u - beta u v, dv/dt = delta u v - gamma v, from (30, 1); Y* is log-normal around u, and
    then around v, with deviation .1 at t = 0, 2.1, ..., 18.9. y is log u, log v, and the wish log Y*.
    """
    prior = LogNormal([-0.125, -3.0, -0.125, -3.0], 0.5)
    return Posterior(prior, Function(_populations), Gaussian(np.log(observation), 0.1))


def _populations(x: X) -> Y:
    start = jnp.log(jnp.array([30.0, 1.0]))
    return runge_kutta(_hunt, x, start, step=0.02, inner=105, saves=9).T.ravel()


def _hunt(x: X, log_size: Y) -> Y:
    hares, lynxes = jnp.exp(log_size[0]), jnp.exp(log_size[1])
    return jnp.stack([x[0] - x[1] * lynxes, x[3] * hares - x[2]])


def gaussian_linear(observation: Float[np.ndarray, " 10"]) -> Posterior:
    """x ~ N(0, .1 I), Y* ~ N(x, .1 I): the posterior is N(Y* / 2, .05 I)."""
    return Posterior(Normal(0.0, NOISE, 10), Function(_same), Gaussian(observation, NOISE))


def gaussian_linear_uniform(observation: Float[np.ndarray, " 10"]) -> Posterior:
    """x ~ U[-1, 1]^10, Y* ~ N(x, .1 I): a normal law cut off at the walls of the box."""
    return Posterior(Uniform(-1.0, 1.0, 10), Function(_same), Gaussian(observation, NOISE))


def _same(x: X) -> Y:
    return x


class Task(NamedTuple):
    """A task: its posterior as a function of the observation, whether it has several modes, the best known.

    Attributes:
        posterior: observation -> posterior.
        modes: how many.
        published: the best C2ST from 1e5 simulations without the likelihood.
    """

    posterior: Callable[[np.ndarray], Posterior]
    modes: int
    published: float


TASKS = {
    "two_moons": Task(two_moons, 2, 0.530),
    "slcp": Task(slcp, 4, 0.578),
    "sir": Task(sir, 1, 0.547),
    "lotka_volterra": Task(lotka_volterra, 1, 0.695),
    "gaussian_linear": Task(gaussian_linear, 1, 0.506),
    "gaussian_linear_uniform": Task(gaussian_linear_uniform, 1, 0.506),
}


class Observation(NamedTuple):
    """What was observed, and what was published with it.

    Attributes:
        y_star: the observation.
        true: the parameters that it was simulated from.
        reference: (10000, n) draws of the posterior.
    """

    y_star: np.ndarray
    true: np.ndarray
    reference: np.ndarray


def tasks_folder(folder: str | Path | None = None) -> Path:
    """The folder of the tasks: `folder`, or sbibm/ in the folder that PROBINV_DATA names.

    Raises:
        InputError: neither is given, or the tasks are not there.
    """
    holds = "sbibm/<task>/num_observation_<k>/, the files of its repository"
    place = data_folder("sbibm", "observations of sbibm", holds, folder)
    missing = [task for task in TASKS if not (place / task).is_dir()]
    if missing:
        raise InputError(
            "the observations of sbibm are not there",
            f"{place} has no folder {missing[0]}",
            f"set {FOLDER} to the folder that holds sbibm/",
        )
    return place


def load_observation(task: str, number: int, folder: str | Path | None = None) -> Observation:
    """Observation `number` of a task with its reference draws.

    Raises:
        InputError: there are no such files, or they hold something else than numbers.
    """
    place = tasks_folder(folder) / task / f"num_observation_{number}"
    names = ("observation.csv", "true_parameters.csv", "reference_posterior_samples.csv.bz2")
    y_star, true, reference = (_table(place / name) for name in names)
    return Observation(y_star[0], true[0], reference)


def _table(path: Path) -> np.ndarray:
    """The numbers of a table with one line of headings."""
    try:
        content = path.read_bytes()
        if path.suffix == ".bz2":
            content = bz2.BZ2Decompressor().decompress(content, BYTES_MOST)
        rows = list(csv.reader(io.StringIO(content.decode("utf-8"))))[1:]
        return np.array([[float(cell) for cell in row] for row in rows])
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path.name} cannot be read", f"{type(error).__name__}: {error}", "fetch the files of sbibm anew"
        ) from None
