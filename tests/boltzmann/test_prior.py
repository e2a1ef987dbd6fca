"""MachinePrior against the mixture written out, finite differences, SciPy and a grid; and its verdict.

The oracle is the mixture of normal laws that the parameters say, summed by NumPy over every state of the
hidden units, with nothing of the machine's own code.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from scipy.special import logsumexp

from probinv import InputError
from probinv._checks import double_precision
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.prior import MachinePrior, components, count_states, machines, mode_of, state_of
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax
from probinv.prior import Fixed, Named, Normal, Uniform
from tests.prior import test_laws as laws
from tests.prior.zoo import ZOO, Case, Mixture, free_entries

RNG = np.random.default_rng(11)


def states_of(units: AbstractUnits) -> np.ndarray:
    """Every h, written out."""
    if isinstance(units, Bernoulli):
        return np.array([bits[::-1] for bits in itertools.product([0.0, 1.0], repeat=units.size)])
    if isinstance(units, Softmax):
        return np.array(list(itertools.product(np.eye(units.classes), repeat=units.groups))).reshape(
            -1, units.size
        )
    assert isinstance(units, Joined)
    return np.array([np.concatenate(parts) for parts in itertools.product(*map(states_of, units.parts))])


class Written:
    """p(x) = sum_h w_h N(x; mu_h, sigma^2), by completing the square in -E(x, h)."""

    def __init__(self, machine: Machine) -> None:
        a, b, w = (np.asarray(p, float) for p in (machine.visible_bias, machine.hidden_bias, machine.weight))
        self.sigma = np.exp(np.asarray(machine.visible.log_sigma, float))  # type: ignore[attr-defined]
        self.h = states_of(machine.hidden)
        self.mu = self.sigma**2 * (a + self.h @ w.T)
        # int exp(-x^2 / 2 s^2 + x t) dx = s sqrt(2 pi) exp(s^2 t^2 / 2), t = mu / s^2
        height = 0.5 * np.sum((self.mu / self.sigma) ** 2, axis=1)
        log_weight = self.h @ b + height + np.sum(np.log(self.sigma * np.sqrt(2 * np.pi)))
        self.log_z = float(logsumexp(log_weight))
        self.weight = np.exp(log_weight - self.log_z)

    def log_prob(self, x: np.ndarray) -> float:
        return float(logsumexp(self.each(x)))

    def each(self, x: np.ndarray) -> np.ndarray:
        return np.log(self.weight) + st.norm(self.mu, self.sigma).logpdf(x.ravel()).sum(axis=1)

    def marginals(self) -> tuple[Mixture, ...]:
        parts = zip(self.mu.T, self.sigma, strict=True)
        return tuple(Mixture(tuple(self.weight), tuple(st.norm(m, s) for m in mu)) for mu, s in parts)


def machine_of(hidden: AbstractUnits, nv: int, shift: float = 0.0, seed: int = 5) -> Machine:
    """Every parameter another number, and every sigma other than 1."""
    rng = np.random.default_rng(seed)
    visible = Gaussian(nv, np.linspace(-0.7, 0.4, nv))
    weight = rng.normal(size=(nv, hidden.size))
    return Machine(visible, hidden, weight, rng.normal(size=nv) + shift, rng.normal(size=hidden.size))


def case(make: Callable[[float], Machine], shape: Any = None) -> Case:
    known = Written(make(0.0))
    return Case(lambda s: MachinePrior(make(s), shape), known.log_prob, known.marginals())


@cache
def float32(shift: float) -> Machine:
    machine = machine_of(Bernoulli(3), 2, shift)
    return jax.tree.map(lambda array: array.astype(np.float32), machine)


CASES = {
    "machine": case(lambda s: machine_of(Bernoulli(3), 2, s)),
    "machine_1d": case(lambda s: machine_of(Bernoulli(2), 1, s)),
    "machine_image": case(lambda s: machine_of(Bernoulli(5), 6, s), (2, 3)),
    "machine_softmax": case(lambda s: machine_of(Softmax(3, 2), 2, s)),
    "machine_joined": case(lambda s: machine_of(Joined([Bernoulli(2), Softmax(3)]), 3, s)),
    "machine_float32": case(float32),
}
LAWS = [
    laws.test_shapes,
    laws.test_the_inverse_inverts,
    laws.test_the_latent_density_is_the_pushforward,
    laws.test_the_density_is_that_of_scipy,
    laws.test_standard_means_standard_normal,
    laws.test_the_gradient_is_the_slope,
    laws.test_leaves_are_host_arrays_of_double_precision,
    laws.test_split_names_every_entry_once,
    laws.test_nan_is_not_taken_for_an_excluded_input,
]


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[None]:
    """The machines are cases of the zoo while this file runs."""
    ZOO.update(CASES)
    yield
    for name in CASES:
        del ZOO[name]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", CASES)
def test_law(name: str, law: Callable[[str], None]) -> None:
    law(name)


@pytest.mark.parametrize("name", ["machine_image", "machine_joined", "machine_float32"])
def test_other_laws(name: str, key: jax.Array) -> None:
    for double in (True, False):
        laws.test_no_z_leaves_the_bounds(name, double)
    laws.test_single_precision_leaves_no_trace(name, key)
    with double_precision():
        laws.test_other_parameters_do_not_recompile(name, None)
        laws.test_draws_follow_the_distribution(name, key, None)


@pytest.mark.parametrize("name", ["machine", "machine_1d", "machine_softmax"])
def test_the_density_is_normalised(name: str, x64: None) -> None:
    laws.test_the_latent_density_is_normalised(name, None)


@pytest.mark.parametrize("name", CASES)
def test_log_z_and_centre_are_those_of_the_mixture(name: str) -> None:
    prior = ZOO[name].make(0.0)
    assert isinstance(prior, MachinePrior)
    known = Written(prior.machine)
    assert prior.normalised
    np.testing.assert_allclose(prior.log_z, known.log_z, rtol=1e-12)
    np.testing.assert_allclose(prior.centre, known.weight @ known.mu, rtol=1e-10, atol=1e-12)


def test_the_score_is_the_slope_of_the_mixture(x64: None) -> None:
    """d log p / dx by autodiff against central differences of the written-out mixture: 5e-10 of rounding."""
    prior = MachinePrior(machine_of(Bernoulli(5), 4))
    known = Written(prior.machine)
    for x in RNG.normal(size=(5, 4)):
        slope = [(known.log_prob(x + e) - known.log_prob(x - e)) / 2e-5 for e in 1e-5 * np.eye(4)]
        np.testing.assert_allclose(jax.grad(prior.log_prob)(jnp.asarray(x)), slope, rtol=1e-8, atol=1e-8)


def test_a_component_is_a_unit_normal_in_z(x64: None) -> None:
    """One hidden unit that is always off: z ~ N(0, I) after the shift to the centre."""
    off = Machine(Gaussian(3, [-1.0, 0.3, 0.9]), Bernoulli(1), np.zeros((3, 1)), np.arange(3.0), np.zeros(1))
    prior = MachinePrior(off)
    for z in jnp.asarray(RNG.normal(size=(4, 3))):
        np.testing.assert_allclose(prior.log_latent(z), st.norm.logpdf(z).sum(), rtol=1e-12)


UNITS = [Bernoulli(4), Softmax(3, 2), Joined([Softmax(3), Bernoulli(2), Softmax(2, 2)])]


@pytest.mark.parametrize("units", UNITS, ids=repr)
def test_states_by_their_number(units: AbstractUnits, x64: None) -> None:
    states = units.states()
    assert count_states(units) == len(states)
    found = jax.vmap(lambda index: state_of(units, index))(jnp.arange(len(states)))
    np.testing.assert_array_equal(found, states)
    np.testing.assert_array_equal(states, states_of(units))
    theta = jnp.asarray(np.random.default_rng(2).normal(size=(20, units.size)))
    most = states[np.argmax(theta @ states.T, axis=1)]
    np.testing.assert_array_equal(jax.vmap(lambda t: mode_of(units, t))(theta), most)


def test_components_are_the_most_probable_ones(x64: None) -> None:
    prior = MachinePrior(machine_of(Bernoulli(5), 4))
    known = Written(prior.machine)
    z = 8 * RNG.normal(size=(50, 4))
    x = np.asarray(jax.vmap(prior.transform)(jnp.asarray(z)))
    wanted = np.array([np.argmax(known.each(row)) for row in x])
    np.testing.assert_array_equal(components(prior, z), wanted)  # h_j counts 2^j, as in `states`
    assert len(set(wanted)) > 5
    named = Named({"a": Normal(), "machine": prior, "b": Uniform(0, 1)})
    wide = np.concatenate([z[:, :1], z, z[:, :1]], axis=1)
    np.testing.assert_array_equal(components(named, wide), wanted)
    assert components(Normal(shape=(4,)), z) is None


def test_components_of_many_units_have_other_numbers(x64: None) -> None:
    prior = MachinePrior(machine_of(Bernoulli(60), 3))
    z = 20 * RNG.normal(size=(200, 3))
    patterns = np.asarray(jax.vmap(prior.pattern)(jnp.asarray(z)))
    found = components(prior, z)
    assert found is not None
    assert (found < 0).all()
    assert len(np.unique(found)) == len(np.unique(patterns, axis=0)) > 20
    assert (np.abs(found) <= 2**52).all()


def test_the_noise_of_a_draw_does_not_depend_on_its_component(key: jax.Array, x64: None) -> None:
    """Far components, so that each draw tells its own: how often by the weights, and where by N(0, I).

    Kolmogorov-Smirnov for 2 entries in each of 4 components and 4 binomial tests, 1e-6 each.
    """
    edges, corner, sigma = np.array([[2.2, 0.4], [-0.3, 2.5]]), np.array([-1.2, -1.1]), 0.25
    visible = Gaussian(2, np.log(sigma))
    far = Machine(visible, Bernoulli(2), edges / sigma**2, corner / sigma**2, np.zeros(2))
    height = 0.5 * np.sum((Written(far).mu / sigma) ** 2, axis=1)
    bias = np.array([height[0] - height[1], height[0] - height[2]])
    far = Machine(visible, Bernoulli(2), far.weight, far.visible_bias, bias)
    known, prior = Written(far), MachinePrior(far)
    x = np.asarray(jax.jit(jax.vmap(prior.sample))(jax.random.split(key, 2000)))
    nearest = np.argmin(np.sum((x[:, None] - known.mu) ** 2, axis=-1), axis=1)
    for component, weight in enumerate(known.weight):
        own = x[nearest == component]
        assert st.binomtest(len(own), len(x), weight).pvalue > 1e-6
        assert len(own) > 100
        for entry in ((own - known.mu[component]) / sigma).T:
            assert st.kstest(entry, st.norm.cdf).pvalue > 1e-6


def test_long_gibbs_chains_where_states_are_too_many(key: jax.Array, x64: None) -> None:
    """24 hidden units, of which 21 do nothing: the law is that of the other three.

    Kolmogorov-Smirnov, 1000 draws of 60 sweeps, false alarms 1e-6 for each of two entries.
    """
    few = machine_of(Bernoulli(3), 2)
    zero = np.zeros((2, 21))
    many = Machine(
        few.visible,
        Bernoulli(24),
        np.concatenate([few.weight, zero], axis=1),
        few.visible_bias,
        np.append(few.hidden_bias, zero[0]),
    )
    known, prior = Written(few), MachinePrior(many, sweeps=60)
    assert machines(prior)[0] is prior
    assert not prior.exact
    assert prior.cumulative is None
    draws = np.asarray(jax.jit(jax.vmap(prior.sample))(jax.random.split(key, 1000)))
    for marginal, column in zip(known.marginals(), draws.T, strict=True):
        assert st.kstest(column, marginal.cdf).pvalue > 1e-6
    x = jnp.asarray([0.3, -0.4])
    assert not prior.normalised
    told = MachinePrior(many, log_z=known.log_z + 21 * np.log(2))
    assert told.normalised
    np.testing.assert_allclose(told.log_prob(x), known.log_prob(np.asarray(x)), rtol=1e-12)
    np.testing.assert_allclose(prior.log_prob(x) - told.log_prob(x), told.log_z, rtol=1e-12)


def test_some_inputs_held(x64: None) -> None:
    """log p(x_free | x_fixed) = log p(x) - log p(x_fixed), the latter a mixture of the same weights."""
    prior = MachinePrior(machine_of(Bernoulli(4), 4), (2, 2))
    known, held = Written(prior.machine), [0, 3]
    x = np.array([0.4, -1.0, 0.2, 0.7])
    values = np.full(4, np.nan)
    values[held] = x[held]
    fixed = Fixed(prior, values.reshape(2, 2))
    part = st.norm(known.mu[:, held], known.sigma[held]).logpdf(x[held]).sum(axis=1)
    wanted = known.log_prob(x) - logsumexp(np.log(known.weight) + part)
    np.testing.assert_allclose(fixed.log_prob(jnp.asarray(x.reshape(2, 2))), wanted, rtol=1e-10)
    z = np.asarray(fixed.inverse(jnp.asarray(x.reshape(2, 2))))[None]
    np.testing.assert_array_equal(components(fixed, z), np.argmax(known.each(x)))
    assert free_entries(fixed, x).shape == (2,)


@pytest.mark.parametrize(
    ("visible", "hidden", "words"),
    [
        (Bernoulli(2), Bernoulli(2), "not densities on continuous x.*DecoderPrior"),
        (Softmax(2), Bernoulli(2), "not densities on continuous x.*DecoderPrior"),
        (Rectified(2), Bernoulli(2), "Rectified.*Gaussian visible units"),
        (Joined([Gaussian(1), Gaussian(1)]), Bernoulli(2), "Joined.*Gaussian visible units"),
        (Gaussian(2), Gaussian(2), "hidden units are Gaussian.*infinitely many"),
        (Gaussian(2), Rectified(2), "hidden units are Rectified.*infinitely many"),
    ],
)
def test_wrong_units_are_refused(visible: AbstractUnits, hidden: AbstractUnits, words: str) -> None:
    with pytest.raises(InputError, match=words):
        MachinePrior(Machine(visible, hidden, np.zeros((2, 2)), np.zeros(2), np.zeros(2)))


def test_wrong_arguments_are_refused() -> None:
    machine = machine_of(Bernoulli(3), 2)
    with pytest.raises(InputError, match="not a Machine"):
        MachinePrior(np.zeros(3))
    with pytest.raises(InputError, match="2 visible units"):
        MachinePrior(machine, (2, 2))
    with pytest.raises(InputError, match="not needed"):
        MachinePrior(machine, log_z=0.0)
    with pytest.raises(InputError, match="sweeps"):
        MachinePrior(machine, sweeps=0)
