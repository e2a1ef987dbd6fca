"""The laws of units: log base, log partition, mean, draws and natural parameters say the same."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from scipy.special import logsumexp

from probinv import InputError
from probinv._checks import double_precision
from probinv.boltzmann.units import KINDS, AbstractUnits, Bernoulli, Gaussian, Joined, Rectified, Softmax

ZOO: dict[str, AbstractUnits] = {
    "bernoulli": Bernoulli(3),
    "gaussian": Gaussian(3, [-1.0, 0.2, 0.9]),
    "softmax": Softmax(3, groups=2),
    "rectified": Rectified(3),
    "joined": Joined([Bernoulli(2), Gaussian(2, [0.3, -0.4]), Softmax(3)]),
}
DRAWS = 30_000
ALARM = 1e-6  # of each statistical test below; about 40 of them
SIGMAS = float(st.norm.isf(ALARM / 2))
GRID = np.linspace(-60.0, 60.0, 24_001)


@pytest.fixture(params=ZOO)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@cache
def found(name: str) -> dict[str, np.ndarray]:
    """All that the laws speak of, at six rows of natural parameters, in double precision."""
    units = ZOO[name]
    theta = np.random.default_rng(1).normal(size=(6, units.size)) * 2

    @jax.jit
    def everything(theta: jax.Array) -> dict[str, jax.Array]:
        return {
            "A": units.log_partition(theta),
            "mean": units.mean(theta),
            "slope": jax.grad(lambda own: units.log_partition(own).sum())(theta),
            "hessian": jax.vmap(jax.hessian(units.log_partition))(theta),
            "draws": units.sample(jax.random.key(5), jnp.repeat(theta, DRAWS // 6, axis=0)),
        }

    with double_precision():
        return {key: np.asarray(value) for key, value in everything(jnp.asarray(theta)).items()} | {
            "theta": theta
        }


def log_partition_by_force(units: AbstractUnits, theta: np.ndarray) -> float:
    """The sum over all states, or the integral of each unit on a fine grid, from the base measure alone."""
    if isinstance(units, Joined):
        parts = zip(units.parts, units.slices(), strict=True)
        return sum(log_partition_by_force(part, theta[place]) for part, place in parts)
    if isinstance(units, Bernoulli | Softmax):
        states = units.states()
        return float(logsumexp(np.asarray(units.log_base(jnp.asarray(states))) + states @ theta))
    sigma = np.exp(np.asarray(units.log_sigma)) if isinstance(units, Gaussian) else np.ones(units.size)
    total = 0.0
    for own, scale in zip(theta, sigma, strict=True):
        # one unit alone: its base measure is what the others at 0 leave
        s = GRID[GRID >= 0] if isinstance(units, Rectified) else GRID
        total += float(logsumexp(-0.5 * (s / scale) ** 2 + s * own, b=simpson(s)))
    return total


def simpson(s: np.ndarray) -> np.ndarray:
    weight = np.where(np.arange(s.size) % 2 == 1, 4.0, 2.0)
    weight[[0, -1]] = 1.0
    return weight * (s[1] - s[0]) / 3


def test_every_kind_is_here() -> None:
    assert set(KINDS) == set(ZOO)
    assert all(type(ZOO[kind]) is KINDS[kind] for kind in KINDS)


@pytest.mark.usefixtures("x64")
def test_log_partition_is_that_of_the_base_measure(name: str) -> None:
    by_force = [log_partition_by_force(ZOO[name], theta) for theta in found(name)["theta"]]
    assert np.allclose(found(name)["A"], by_force, rtol=1e-8)


@pytest.mark.usefixtures("x64")
def test_log_base_of_units_with_one(name: str) -> None:
    """What `log_partition_by_force` writes by hand for real units is their log_base."""
    units = ZOO[name]
    s = np.abs(np.random.default_rng(2).normal(size=(4, units.size)))
    scale = np.full(units.size, np.inf)
    if isinstance(units, Gaussian):
        scale = np.exp(np.asarray(units.log_sigma))
    if isinstance(units, Rectified):
        scale = np.ones(units.size)
    if isinstance(units, Joined):
        scale[2:4] = np.exp(np.asarray(units.parts[1].log_sigma))
    assert np.allclose(units.log_base(jnp.asarray(s)), -0.5 * ((s / scale) ** 2).sum(axis=1), rtol=1e-12)


def test_mean_is_the_slope_of_log_partition(name: str) -> None:
    assert np.allclose(found(name)["mean"], found(name)["slope"], rtol=1e-9, atol=1e-12)


def test_draws_have_the_mean_and_the_covariance(name: str) -> None:
    """E[s] = dA, cov(s) = d2A: within `SIGMAS` exact standard errors (a false alarm in 1e6)."""
    own = found(name)
    draws = own["draws"].reshape(6, -1, ZOO[name].size)
    count = draws.shape[1]
    for s, mean, hessian in zip(draws, own["mean"], own["hessian"], strict=True):
        error = np.sqrt(np.diag(hessian) / count)
        assert (np.abs(s.mean(axis=0) - mean) <= SIGMAS * error + 1e-12).all()
        products = (s - mean)[:, :, None] * (s - mean)[:, None, :]
        spread = products.std(axis=0) / np.sqrt(count)
        rare = 10 / count  # the law of a product of rare events is far from normal
        assert (np.abs(products.mean(axis=0) - hessian) <= SIGMAS * spread + rare).all()


@pytest.mark.parametrize("theta", [-30.0, -9.5, -8.5, -1.0, 0.0, 3.0, 40.0])
def test_draws_of_real_units_have_the_law(theta: float) -> None:
    units = Rectified(1)
    s = np.asarray(units.sample(jax.random.key(3), jnp.full((DRAWS, 1), theta, jnp.float32)), np.float64)
    assert (s >= 0).all()
    low = st.norm.logsf(-theta)  # log Phi(theta)
    cdf = lambda x: -np.expm1(st.norm.logcdf(theta - x) - low)  # noqa: E731
    assert st.kstest(s.ravel(), cdf).pvalue > ALARM


def test_draws_of_a_gaussian_have_the_law() -> None:
    units = Gaussian(1, 0.7)
    s = np.asarray(units.sample(jax.random.key(3), jnp.full((DRAWS, 1), 0.4, jnp.float32)), np.float64)
    variance = np.exp(1.4)
    assert st.kstest(s.ravel(), st.norm(variance * 0.4, np.sqrt(variance)).cdf).pvalue > ALARM


def test_a_far_rectified_unit_keeps_its_digits() -> None:
    """In single precision too the mean is that of the law: 1 / t for theta = -t."""
    theta = np.array([-9.5, -8.5, -30.0, -300.0, -1e4])
    with double_precision():
        exact = np.array([float(Rectified(1).mean(jnp.asarray([t]))[0]) for t in theta[:2]])
    mean = np.asarray(Rectified(5).mean(jnp.asarray(theta, jnp.float32)), np.float64)
    assert np.allclose(mean[:2], exact, rtol=1e-3)
    t = -theta[2:]
    assert np.allclose(mean[2:], 1 / t - 2 / t**3 + 10 / t**5, rtol=1e-4)


def test_natural_inverts_mean(name: str) -> None:
    units, own = ZOO[name], found(name)
    for theta, mean in zip(own["theta"], own["mean"], strict=True):
        found_theta = units.natural(mean)
        with double_precision():
            again = np.asarray(units.mean(jnp.asarray(found_theta)))
        # a rectified unit begins near its mean only: a start needs no more
        near = 0.5 if isinstance(units, Rectified) else 2e-3
        assert np.abs(again - mean).max() <= near * max(1.0, np.abs(mean).max())
        assert np.isfinite(found_theta).all()
        if isinstance(units, Gaussian):
            assert np.allclose(found_theta, theta)


def test_natural_stays_finite_at_the_edge() -> None:
    for units, mean in ((Bernoulli(2), [0.0, 1.0]), (Softmax(2), [0.0, 1.0]), (Rectified(2), [0.0, 0.0])):
        assert np.isfinite(units.natural(np.asarray(mean))).all()


@pytest.mark.usefixtures("x64")
def test_joined_is_its_parts() -> None:
    units, rng = ZOO["joined"], np.random.default_rng(4)
    s, theta = jnp.asarray(rng.random((3, 7))), jnp.asarray(rng.normal(size=(3, 7)))
    assert [(place.start, place.stop) for place in units.slices()] == [(0, 2), (2, 4), (4, 7)]
    parts = list(zip(units.parts, units.slices(), strict=True))
    assert np.allclose(units.log_base(s), sum(part.log_base(s[:, place]) for part, place in parts))
    assert np.allclose(
        units.log_partition(theta), sum(part.log_partition(theta[:, place]) for part, place in parts)
    )
    mean = np.concatenate([part.mean(theta[:, place]) for part, place in parts], axis=1)
    assert np.allclose(units.mean(theta), mean)
    wide = Joined([Bernoulli(400), Bernoulli(400)])
    draw = np.asarray(wide.sample(jax.random.key(0), jnp.zeros((1, 800))))[0]
    assert (draw[:400] != draw[400:]).any()  # not one key for both


def test_bernoulli_draws_are_independent_and_exact_at_the_edge() -> None:
    """Both halves of one random word are used: neighbours, and entries half a row apart, do not know it."""
    p = jnp.full((1, 2**15), 0.3)
    s = np.asarray(Bernoulli(2**15).drawn(jax.random.key(2), p))[0] - 0.3
    for apart in (1, 2, 2**14):
        products = s[:-apart] * s[apart:]
        assert abs(products.mean()) <= SIGMAS * 0.21 / np.sqrt(products.size)
    # an edge that is one of 2^16 values off would be seen 16 times
    edge = np.asarray(Bernoulli(3).drawn(jax.random.key(2), jnp.tile(jnp.array([0.0, 1.0, 0.5]), (2**20, 1))))
    assert not edge[:, 0].any()
    assert edge[:, 1].all()
    assert 0.4 < edge[:, 2].mean() < 0.6


@pytest.mark.parametrize("name", ["bernoulli", "softmax"])
def test_drawn_has_the_mean_of_the_data(name: str) -> None:
    units = ZOO[name]
    mean = found(name)["mean"][:1]
    draws = np.asarray(units.drawn(jax.random.key(6), jnp.asarray(np.repeat(mean, DRAWS, axis=0))))
    assert np.isin(draws, (0, 1)).all()
    error = np.sqrt(mean * (1 - mean) / DRAWS)
    assert (np.abs(draws.mean(axis=0) - mean) <= SIGMAS * error).all()
    # what is 0 or 1 stays
    one = np.asarray(units.sample(jax.random.key(7), jnp.zeros((50, units.size))))
    assert np.array_equal(units.drawn(jax.random.key(8), jnp.asarray(one)), one)


@pytest.mark.parametrize("name", ["gaussian", "rectified"])
def test_real_data_stay_as_they_are(name: str) -> None:
    s = jnp.ones((2, 3))
    assert ZOO[name].drawn(jax.random.key(0), s) is s


def test_states_are_all_the_states() -> None:
    for units, count in ((Bernoulli(3), 8), (Softmax(3, 2), 9), (Joined([Bernoulli(2), Softmax(3)]), 12)):
        states = units.states()
        assert len(np.unique(states, axis=0)) == len(states) == count
        units.check("states", states)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_dtype_stays(name: str, dtype: type) -> None:
    theta = jnp.zeros((2, ZOO[name].size), dtype)
    units = ZOO[name]
    if dtype == np.float16 and name in {"rectified", "joined", "gaussian"}:
        pytest.skip("half precision is no promise of real units")
    for value in (units.mean(theta), units.sample(jax.random.key(0), theta), units.log_partition(theta)):
        assert value.dtype == dtype


BAD = [
    (Bernoulli(2), [[0.5, 1.5]], "outside"),
    (Bernoulli(2), [[0.5, -0.1]], "outside"),
    (Bernoulli(2), [[0.5, np.nan]], "outside"),
    (Softmax(2), [[0.7, 0.7]], "no categories"),
    (Softmax(2), [[1.5, -0.5]], "no categories"),
    (Softmax(2), [[1.0, np.nan]], "no categories"),
    (Rectified(2), [[1.0, -1.0]], "negative"),
    (Rectified(2), [[1.0, np.nan]], "negative"),
    (Joined([Bernoulli(1), Softmax(2)]), [[0.0, 0.0, 0.0]], "no categories"),
]


@pytest.mark.parametrize(("units", "rows", "what"), BAD, ids=[f"{number}" for number in range(len(BAD))])
def test_values_outside_the_support_are_refused(units: AbstractUnits, rows: list, what: str) -> None:
    with pytest.raises(InputError, match=what):
        units.check("rows", np.asarray(rows))


def test_values_inside_the_support_pass() -> None:
    for kind in ZOO.values():
        draw = kind.sample(jax.random.key(0), jnp.zeros((5, kind.size)))
        kind.check("rows", np.asarray(draw))


IMPOSSIBLE = {
    "no bernoulli": lambda: Bernoulli(0),
    "one class": lambda: Softmax(1),
    "no group": lambda: Softmax(3, 0),
    "no gaussian": lambda: Gaussian(0),
    "other size": lambda: Gaussian(2, [0.0, 1.0, 2.0]),
    "NaN": lambda: Gaussian(2, np.nan),
    "negative": lambda: Rectified(-1),
    "nothing joined": lambda: Joined([]),
    "no units joined": lambda: Joined([3]),
    "too many": lambda: Bernoulli(21).states(),
    "too many joined": lambda: Joined([Bernoulli(19), Softmax(5)]).states(),
    "gaussian states": lambda: Gaussian(2).states(),
    "rectified states": lambda: Rectified(2).states(),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_units_that_cannot_be(what: str) -> None:
    with pytest.raises(InputError):
        IMPOSSIBLE[what]()
