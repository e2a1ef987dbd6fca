"""Posteriors of several kinds of prior, forward and likelihood, to be put through every law."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from probinv.forward import Function, Layered
from probinv.likelihood import AtLeast, Bernoulli, Gaussian, Label, On, Product, Student
from probinv.posterior import Posterior
from probinv.prior import Fixed, MultivariateNormal, Normal, Uniform


def arrays(*shapes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def linear(matrix: Any, x: jax.Array) -> jax.Array:
    return matrix @ x


def image_sum(x: jax.Array) -> jax.Array:
    return jnp.sum(jnp.tanh(x), axis=0)


def tanh_network(size: int, hidden: int, out: int, seed: int = 0) -> Layered:
    first, second = arrays((hidden, size), (out, hidden), seed=seed)
    return Layered.from_arrays([first / np.sqrt(size), second / np.sqrt(hidden)], activation="tanh")


COVARIANCE = np.array([[0.5, 0.2], [0.2, 0.3]])
NAMED = {"thickness": Uniform(1.0, 2.0), "angle": Normal(0.0, 0.1, 2)}

MAKERS: dict[str, Callable[[], Posterior]] = {
    "linear": lambda: Posterior(
        Normal([0.0, 1.0, -1.0], [1.0, 2.0, 0.5]),
        Function(linear, arrays((2, 3))[0]),
        Gaussian([1.0, -1.0], [0.1, 0.5]),
    ),
    "correlated": lambda: Posterior(
        Uniform(-1.0, 3.0, 3), tanh_network(3, 4, 2), Gaussian([0.3, np.nan], covariance=COVARIANCE)
    ),
    "student": lambda: Posterior(NAMED, tanh_network(3, 4, 2), Student([0.3, 0.1], 0.2, 4.0)),
    "image": lambda: Posterior(
        MultivariateNormal(np.zeros((2, 2)), np.eye(4) + 0.3), image_sum, On(0, Gaussian(0.5, 0.1))
    ),
    "label": lambda: Posterior(dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])), tanh_network(3, 4, 3), Label(1)),
    "scalar": lambda: Posterior(
        dist.Gamma(2.0, 1.0), Function(jnp.square, input_shape=()), AtLeast(1.0, 0.1)
    ),
    "product": lambda: Posterior(
        Fixed(Normal(0.0, 1.0, 3), {1: 0.5}),
        tanh_network(3, 4, 2),
        Product([Gaussian([0.1, 0.2], 0.3), Gaussian([np.nan, 0.1], 0.2)]),
    ),
    "shares": lambda: Posterior(
        Normal(0.0, 1.0, 3), tanh_network(3, 4, 2), Bernoulli([0.99, 0.01], 10, outputs="logits")
    ),
}
WITH_RESIDUAL = ("linear", "correlated", "image", "product")


@cache
def posterior(name: str) -> Posterior:
    return MAKERS[name]()
