"""One of every kind of prior, with what SciPy says of it, for the laws that all of them obey."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import scipy.special as sp
import scipy.stats as st

from probinv.prior import (
    AbstractPrior,
    Fixed,
    KernelDensity,
    LogNormal,
    MultivariateNormal,
    Named,
    Normal,
    Uniform,
    as_prior,
    fit_gaussian,
)

RNG = np.random.default_rng(7)
LOW, HIGH = np.array([[0.1, -3.0, 0.0], [5.0, 1e6, -1e-3]]), np.array([[0.7, -1.0, 1.0], [5.5, 1e6 + 1, 0.0]])
FACTOR = np.array([[0.7, 0.0, 0.0], [-0.4, 0.5, 0.0], [1.2, 0.3, 2.0]])
COVARIANCE = FACTOR @ FACTOR.T
CLOUD = RNG.normal(size=(30, 2)) @ np.array([[1.0, 0.5], [0.0, 0.3]]) + 4.0
IMAGES = RNG.normal(size=(6, 2, 3)) * np.arange(1.0, 7.0).reshape(2, 3)


@dataclass(frozen=True)
class Case:
    """One kind of prior.

    Args:
        make: the prior; another number gives other parameters of the same shapes.
        log_prob: log p(x) by SciPy.
        marginals: distribution of each entry of x.ravel().
        square: whether x has as many entries as z.
        open: whether T(z) is inside the support, and not on its edge, also for |z| = 40.
    """

    make: Callable[[float], AbstractPrior]
    log_prob: Callable[[np.ndarray], float]
    marginals: tuple[Any, ...] = ()
    square: bool = True
    open: bool = True


def c(*numbers: float) -> np.ndarray:
    return np.array(numbers)


def independent(*marginals: Any, square: bool = True) -> dict[str, Any]:
    """The oracle of independent entries, each a frozen SciPy distribution."""

    def log_prob(x: np.ndarray) -> float:
        return sum(m.logpdf(entry) for m, entry in zip(marginals, x.ravel(), strict=True))

    return {"log_prob": log_prob, "marginals": marginals, "square": square}


def box(low: np.ndarray, high: np.ndarray) -> list[Any]:
    return [st.uniform(a, b - a) for a, b in zip(np.ravel(low), np.ravel(high), strict=True)]


def normals(loc: np.ndarray, scale: np.ndarray) -> list[Any]:
    return [st.norm(a, b) for a, b in zip(np.ravel(loc), np.ravel(scale), strict=True)]


def gaussian(loc: Any, covariance: np.ndarray) -> dict[str, Any]:
    loc = np.broadcast_to(np.ravel(loc), len(covariance))
    law = st.multivariate_normal(loc, covariance)
    return {
        "log_prob": lambda x: law.logpdf(x.ravel()),
        "marginals": tuple(normals(loc, np.sqrt(np.diagonal(covariance)))),
    }


def kernels(data: np.ndarray) -> dict[str, Any]:
    law = st.gaussian_kde(data.T)
    one = KernelMarginal(law) if data.shape[1] == 1 else None
    return {"log_prob": lambda x: law.logpdf(x.ravel()).item(), "marginals": (one,) if one else ()}


@dataclass(frozen=True)
class KernelMarginal:
    law: Any

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return np.array([self.law.integrate_box_1d(-np.inf, entry) for entry in x])


@dataclass(frozen=True)
class Mixture:
    weights: tuple[float, ...]
    parts: tuple[Any, ...]

    def logpdf(self, x: Any) -> Any:
        return np.log(sum(w * p.pdf(x) for w, p in zip(self.weights, self.parts, strict=True)))

    def cdf(self, x: Any) -> Any:
        return sum(w * p.cdf(x) for w, p in zip(self.weights, self.parts, strict=True))


def conditional(x: np.ndarray) -> float:
    """log p(x_free | x_fixed) = log p(x) - log p(x_fixed), for FIXED below."""
    known = [1]
    joint = st.multivariate_normal(c(1, 2, 3), COVARIANCE).logpdf(x)
    return joint - st.multivariate_normal(c(1, 2, 3)[known], COVARIANCE[np.ix_(known, known)]).logpdf(
        x[known]
    )


def lkj(x: np.ndarray, eta: float = 1.5) -> float:
    """Lewandowski, Kurowicka and Joe (2009), J. Multivariate Analysis 100, 1989-2001, equation 16."""
    gap = len(x) - np.arange(1, len(x))
    shape = eta + (gap - 1) / 2
    norm = np.log(2) * np.sum((2 * eta - 2 + gap) * gap) + np.sum(gap * sp.betaln(shape, shape))
    return (eta - 1) * np.linalg.slogdet(x)[1] - norm


def ordered(x: np.ndarray) -> float:
    """x_1 = z_1, x_k = x_{k-1} + exp(z_k), z ~ N(0, 4 I)."""
    gaps = np.log(np.diff(x))
    return float(st.norm(0, 2).logpdf(c(x[0], *gaps)).sum() - gaps.sum())


def mixture(s: float) -> AbstractPrior:
    parts = dist.Normal(c(-1, 1.5 + s), c(1.0, 0.5))
    return as_prior(dist.MixtureSameFamily(dist.Categorical(c(0.3, 0.7)), parts))


NAMED = {"zeta": Uniform(0.1, 0.7), "alpha": Normal([0.0, 2.0], 1.5)}
NAN = np.nan

ZOO: dict[str, Case] = {
    "uniform_scalar": Case(lambda s: Uniform(0.1, 0.7 + s), **independent(*box(c(0.1), c(0.7)))),
    "uniform": Case(lambda s: Uniform(LOW - s, HIGH), **independent(*box(LOW, HIGH))),
    "normal": Case(
        lambda s: Normal([[0.0, 1.0], [2.0, 3.0]], 1.5 + s, (2, 2)),
        **independent(*normals(c(0, 1, 2, 3), np.full(4, 1.5))),
    ),
    "log_normal": Case(
        lambda s: LogNormal(0.5, [1.0, 2.0 + s]),
        **independent(st.lognorm(1.0, scale=np.exp(0.5)), st.lognorm(2.0, scale=np.exp(0.5))),
    ),
    "multivariate": Case(
        lambda s: MultivariateNormal([1.0, 2.0, 3.0 + s], COVARIANCE), **gaussian(c(1, 2, 3), COVARIANCE)
    ),
    "multivariate_image": Case(
        lambda s: MultivariateNormal(s, np.kron(COVARIANCE, np.eye(2)), (2, 3)),
        **gaussian(0.0, np.kron(COVARIANCE, np.eye(2))),
    ),
    "named": Case(
        lambda s: Named(NAMED | {"last": Normal(s)}),
        **independent(*box(c(0.1), c(0.7)), *normals(c(0, 2, 0), c(1.5, 1.5, 1.0))),
    ),
    "named_mixed": Case(
        lambda s: Named({"zeta": Uniform(0.1, 0.7), "alpha": dist.Gamma(2.0, 3.0 + s)}),
        **independent(*box(c(0.1), c(0.7)), st.gamma(2.0, scale=1 / 3)),
    ),
    "fixed_uniform": Case(
        lambda s: Fixed(Uniform(LOW, HIGH), {(0, 1): -2.5 + s, (1, 2): 0.0}),
        **independent(*box(LOW.ravel()[[0, 2, 3, 4]], HIGH.ravel()[[0, 2, 3, 4]]), square=False),
    ),
    "fixed_multivariate": Case(
        lambda s: Fixed(MultivariateNormal([1.0, 2.0, 3.0], COVARIANCE), [NAN, 2.5 + s, NAN]),
        conditional,
        square=False,
    ),
    "fixed_named": Case(
        lambda s: Fixed(NAMED, {"alpha": [NAN, 2.3 + s]}),
        **independent(*box(c(0.1), c(0.7)), st.norm(0.0, 1.5), square=False),
    ),
    "fit_gaussian": Case(
        lambda s: fit_gaussian(IMAGES + s), **gaussian(IMAGES.mean(axis=0), fit_gaussian(IMAGES).covariance)
    ),
    "kernels": Case(lambda s: KernelDensity(CLOUD + s), **kernels(CLOUD)),
    "kernels_1d": Case(lambda s: KernelDensity(CLOUD[:, :1] + s), **kernels(CLOUD[:, :1])),
    "numpyro_gamma": Case(
        lambda s: as_prior(dist.Gamma(jnp.asarray(2.0 + s), 3.0)),  # float32, as a user would have it
        **independent(st.gamma(2.0, scale=1 / 3)),
    ),
    "numpyro_beta": Case(lambda s: as_prior(dist.Beta(2.0 + s, 1.5)), **independent(st.beta(2.0, 1.5))),
    "numpyro_half_line": Case(
        lambda s: as_prior(dist.TruncatedNormal(0.5 + s, 2.0, low=5.1)),
        **independent(st.truncnorm(2.3, np.inf, 0.5, 2.0)),
    ),
    "numpyro_interval": Case(
        lambda s: as_prior(dist.TruncatedNormal(0.5 + s, 2.0, low=c(0.1, -0.2), high=c(3.3, 0.7))),
        **independent(st.truncnorm(-0.2, 1.4, 0.5, 2.0), st.truncnorm(-0.35, 0.1, 0.5, 2.0)),
    ),
    "numpyro_dirichlet": Case(
        lambda s: as_prior(dist.Dirichlet(c(1.5, 2.0 + s, 3.0))),
        lambda x: st.dirichlet.logpdf(x / x.sum(), c(1.5, 2, 3)),
        tuple(st.beta(a, 6.5 - a) for a in (1.5, 2.0, 3.0)),
        square=False,
    ),
    "numpyro_lkj": Case(lambda s: as_prior(dist.LKJ(3, 1.5 + s)), lkj, square=False, open=False),
    "numpyro_ordered": Case(
        lambda s: as_prior(
            dist.TransformedDistribution(
                dist.Normal(np.full(2, s), 2.0).to_event(1), dist.transforms.OrderedTransform()
            )
        ),
        ordered,
        open=False,
    ),
    "numpyro_student": Case(
        lambda s: as_prior(dist.StudentT(3.0, 1.0 + s, 0.5).expand([2]).to_event(1)),
        **independent(st.t(3.0, 1.0, 0.5), st.t(3.0, 1.0, 0.5)),
    ),
    "numpyro_von_mises": Case(
        lambda s: as_prior(dist.VonMises(0.3 + s, 2.0)), **independent(st.vonmises(2.0, loc=0.3))
    ),
    "numpyro_mixture": Case(mixture, **independent(Mixture((0.3, 0.7), (st.norm(-1, 1), st.norm(1.5, 0.5))))),
}


@cache
def prior_of(name: str) -> AbstractPrior:
    """The prior of a case, made once in each process (and outside double precision)."""
    return ZOO[name].make(0.0)


def free_entries(prior: AbstractPrior, x: np.ndarray) -> np.ndarray:
    """x, or its free entries where some are fixed."""
    return x.ravel()[prior.index] if isinstance(prior, Fixed) else x
