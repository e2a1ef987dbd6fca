"""MAP: all optima of targets whose optima are known, and Laplace weights against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import optimize, stats

from probinv import InputError, NumericalError
from probinv.forward import Function
from probinv.likelihood import Gaussian
from probinv.methods import MAP, Optima
from probinv.methods.optimise.map import distinct
from probinv.posterior import Density, Posterior
from probinv.prior import Normal
from tests.methods.problems import Interrupt, Silent, gauss, square

pytestmark = pytest.mark.usefixtures("x64")


def run(posterior: Posterior, key: jax.Array, starts: int = 16) -> Optima:
    return MAP(starts=starts).run(Density.of(posterior), key, Silent())


def test_a_linear_gaussian_has_one_optimum_and_its_weight_is_the_evidence(key: jax.Array) -> None:
    """z* is the posterior's mean, and log p(z*) + n log(2 pi) / 2 - log det(H) / 2 = log p(Y*), exactly."""
    known = gauss(5, 3)
    found = run(known.posterior, key)
    assert found.z.shape == (1, 5)
    assert np.allclose(found.z[0], known.mean, atol=1e-6)
    assert np.isclose(found.stats["laplace_log_weight"][0], known.log_evidence, rtol=1e-9)
    assert found.stats["laplace_weight"] == [1.0]
    assert found.stats["gradient_norm"][0] < 1e-4
    assert found.notes["without_laplace_weight"] == 0
    assert found.start.shape == found.z.shape
    assert not found.interrupted


def test_both_optima_of_a_square_are_found(key: jax.Array) -> None:
    """x^2 = 4 with x ~ N(0.5, 1): two optima of different height, by bounded search on either side."""
    posterior = Posterior(Normal(0.5, 1.0, 1), square, Gaussian([4.0], 0.5))

    def loss(x: float) -> float:
        return 0.5 * (x - 0.5) ** 2 + 0.5 * ((x**2 - 4) / 0.5) ** 2

    wanted = [
        optimize.minimize_scalar(loss, bounds=b, options={"xatol": 1e-12}).x for b in ((1, 3), (-3, -1))
    ]
    found = run(posterior, key)
    assert np.allclose(found.z[:, 0] + 0.5, wanted, atol=1e-6)
    assert (np.diff(found.stats["objective"]) < 0).all()
    # Laplace by hand: exp(-loss) / sqrt(loss'')
    log = [-loss(x) - 0.5 * np.log(1 + (12 * x**2 - 16) / 0.5) for x in wanted]
    by_hand = np.exp(log) / np.exp(log).sum()
    assert np.allclose(found.stats["laplace_weight"], by_hand, atol=1e-6)
    # each begins on its own side
    assert (np.sign(found.start + 0.5) == np.sign(found.z + 0.5)).all()


def test_all_four_optima_are_found(key: jax.Array) -> None:
    """x_i^2 = 4 for two inputs: four optima of equal height and weight, none twice."""
    posterior = Posterior(Normal(0.0, 1.0, 2), square, Gaussian([4.0, 4.0], 0.5))
    found = run(posterior, key, 32)
    size = np.sqrt(4 - 0.5**2 / 2)  # where x + 2 x (x^2 - 4) / s^2 = 0
    assert len(found.z) == 4
    assert np.allclose(np.abs(found.z), size, atol=1e-6)
    assert {tuple(row) for row in np.sign(found.z)} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    assert np.allclose(found.stats["laplace_weight"], 0.25, atol=1e-6)


def test_laplace_weights_of_a_gaussian_mixture_are_those_of_its_parts(key: jax.Array) -> None:
    """x ~ sum_k w_k N(m_k, s_k^2), Y* = x + noise: the parts weigh w_k N(Y*; m_k, s_k^2 + noise^2)."""
    weights, means, scales = np.array([0.3, 0.7]), np.array([-3.0, 4.0]), np.array([0.5, 0.2])
    prior = dist.MixtureSameFamily(
        dist.Categorical(jnp.asarray(weights)), dist.Normal(jnp.asarray(means), jnp.asarray(scales))
    )
    posterior = Posterior(prior, Function(lambda x: x, input_shape=()), Gaussian(0.0, 3.0))
    evidence = weights * stats.norm.pdf(0.0, means, np.sqrt(scales**2 + 9))
    centre = (means / scales**2) / (1 / scales**2 + 1 / 9)
    order = np.argsort(-found_height(weights, means, scales, centre))
    found = run(posterior, key)
    assert np.allclose(found.z[:, 0], centre[order], atol=1e-6)
    assert np.allclose(found.stats["laplace_log_weight"], np.log(evidence[order]), atol=1e-6)
    assert np.allclose(found.stats["laplace_weight"], evidence[order] / evidence.sum(), atol=1e-6)


def found_height(w: np.ndarray, m: np.ndarray, s: np.ndarray, x: np.ndarray) -> np.ndarray:
    return w * stats.norm.pdf(x, m, s) * stats.norm.pdf(0.0, x, 3.0)


def ring(x: jax.Array) -> jax.Array:
    return jnp.sum(x**2)


def test_a_valley_has_no_laplace_weights_and_says_so(key: jax.Array) -> None:
    """x_1^2 + x_2^2 = 4 with a round prior: a circle of optima. Rounding must not make weights of it."""
    posterior = Posterior(Normal(0.0, 1.0, 2), ring, Gaussian(4.0, 0.5))
    found = run(posterior, key)
    assert len(found.z) > 3
    assert np.allclose(np.linalg.norm(found.z, axis=1), np.linalg.norm(found.z[0]), atol=1e-5)
    assert np.isnan(found.stats["laplace_log_weight"]).all()
    assert np.isnan(found.stats["laplace_weight"]).all()
    assert found.notes["without_laplace_weight"] == len(found.z)


def test_a_narrow_optimum_is_no_valley(key: jax.Array) -> None:
    """Tolerance 1e-3: curvatures of 1 and of 1e6 at the same point, and still the exact evidence."""
    known = gauss(2, 1, 1e-3)
    found = run(known.posterior, key, 4)
    assert np.isfinite(found.stats["laplace_log_weight"]).all()
    assert np.isclose(found.stats["laplace_log_weight"][0], known.log_evidence, atol=1e-4)


def test_an_interrupt_keeps_what_was_found(key: jax.Array) -> None:
    posterior = Posterior(Normal(0.0, 1.0, 2), square, Gaussian([4.0, 4.0], 0.5))
    view = Density.of(posterior)
    found = MAP(starts=16).run(view, key, Interrupt(3))
    assert found.interrupted
    assert found.notes["starts_done"] == 3
    assert 1 <= len(found.z) <= 3
    assert np.isfinite(found.z).all()


def test_distinct_keeps_the_best_of_each_group() -> None:
    z = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1e-4], [5.0, 5.0], [0.0, 1e-4]])
    value = np.array([1.0, 2.0, 3.0, np.nan, 0.5])
    assert distinct(z, value, 1e-3) == [2, 0]
    assert distinct(z, value, 1e-6) == [2, 1, 0, 4]
    assert distinct(z, np.full(5, -np.inf), 1e-3) == []


def test_nothing_finite_is_an_error(key: jax.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    from probinv.methods.optimise import map as module

    def lost(view: Density, z: jax.Array, limits: tuple[int, float]) -> tuple[np.ndarray, ...]:
        return np.full(z.shape, np.nan), np.array(np.nan), np.array(np.nan), np.array(1)

    monkeypatch.setattr(module, "_climb", lost)
    with pytest.raises(NumericalError, match="not finite at any of the 16 points"):
        run(gauss(5, 3).posterior, key)


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"starts": 0}, "starts"), ({"iterations": 0}, "iterations"), ({"apart": 0.0}, "apart"),
     ({"tolerance": float("nan")}, "tolerance")],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_named(settings: dict[str, float], name: str) -> None:
    with pytest.raises(InputError, match=name):
        MAP(**settings)  # type: ignore[arg-type]


def test_resume_is_refused(key: jax.Array) -> None:
    with pytest.raises(InputError, match="resume"):
        MAP().run(Density.of(gauss(5, 3).posterior), key, Silent(), {})
