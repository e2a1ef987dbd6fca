"""The laws of the posterior and of its views, over the zoo."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv.likelihood import AbstractResidualLikelihood
from probinv.posterior import Density, Posterior, Residual, Tempered
from tests.posterior.zoo import MAKERS, WITH_RESIDUAL, posterior

pytestmark = pytest.mark.usefixtures("x64")
COUNT = 5


@pytest.fixture(params=MAKERS)
def case(request: pytest.FixtureRequest) -> Posterior:
    return posterior(request.param)


def points(case: Posterior, key: jax.Array) -> jax.Array:
    return jax.random.normal(key, (COUNT, case.size))


def close(left: Any, right: Any, tolerance: float = 1e-12) -> bool:
    return np.allclose(np.asarray(left), np.asarray(right), rtol=tolerance, atol=tolerance)


def by_parts(case: Posterior, z: jax.Array) -> dict[str, jax.Array]:
    """Everything from prior, forward and likelihood by hand."""

    def one(z: jax.Array) -> dict[str, jax.Array]:
        x = case.prior.transform(z)
        y = case.forward(x)
        return {
            "x": x,
            "y": y,
            "log_prior": case.prior.log_latent(z),
            "log_likelihood": case.likelihood.log_prob(y),
            "reached": case.likelihood.reached(y),
        }

    return jax.vmap(one)(z)


def by_views(case: Posterior, z: jax.Array) -> dict[str, jax.Array]:
    density, tempered = Density(case), Tempered(case)

    def one(z: jax.Array) -> dict[str, jax.Array]:
        return {
            "x": density.x(z),
            "y": case.y(z),
            "log_prior": tempered.log_prior(z),
            "log_likelihood": density.log_likelihood(z),
            "reached": case.reached(z),
            "density": density.log_density(z),
            "tempered": jnp.stack([tempered.log_density(z, t) for t in (0.0, 0.3, 1.0)]),
            "default": tempered.log_density(z),
            "back": density.x(density.latent(density.x(z))),
        }

    return jax.vmap(one)(z)


@eqx.filter_jit
def both(case: Posterior, z: jax.Array) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """One program, which takes less time to compile than two."""
    return by_parts(case, z), by_views(case, z)


def test_the_views_are_prior_forward_and_likelihood(case: Posterior, key: jax.Array) -> None:
    """log_density = log_prior + t log_likelihood, with t = 1 in Density, and T(latent(x)) = x."""
    z = points(case, key)
    wanted, found = both(case, z)
    for name in ("x", "y", "log_prior", "log_likelihood", "reached"):
        assert np.isfinite(np.asarray(wanted[name])).all(), name
        assert close(found[name], wanted[name]), name
    total = wanted["log_prior"] + wanted["log_likelihood"]
    assert close(found["density"], total)
    assert close(found["default"], total)
    assert close(found["tempered"][:, 0], wanted["log_prior"])
    assert close(found["tempered"][:, 1], wanted["log_prior"] + 0.3 * wanted["log_likelihood"])
    assert close(found["tempered"][:, 2], total)
    assert close(found["back"], wanted["x"], 1e-9)
    # the likelihood is felt: without it this test would pass for a view of the prior
    assert np.ptp(wanted["log_likelihood"]) > 1e-3


def test_the_shapes_are_those_of_the_parts(case: Posterior) -> None:
    view = Density.of(case)
    assert view.size == case.size == case.prior.latent_size
    wanted = jax.eval_shape(case.forward, jax.ShapeDtypeStruct(case.prior.shape, jnp.float64))
    assert case.output_shape == wanted.shape


def test_a_prior_draw_of_a_view_is_one_of_the_prior(case: Posterior, key: jax.Array) -> None:
    assert np.array_equal(Tempered.of(case).sample_prior(key), case.prior.sample_latent(key))


@eqx.filter_jit
def by_residual(view: Residual, z: jax.Array, u: jax.Array, v: jax.Array) -> dict[str, jax.Array]:
    case = view.posterior
    assert isinstance(case.likelihood, AbstractResidualLikelihood)
    r = view.residual(z)
    again, pushed = view.jvp(z, v)
    third, pulled = view.vjp(z, u[: r.size])
    return {
        "r": r,
        "of y": case.likelihood.residual(case.y(z)),
        "from jvp": again,
        "from vjp": third,
        "Jv": pushed,
        "JTu": pulled,
        "J": jax.jacfwd(view.residual)(z),
        "slope": jax.grad(Density(case).log_density)(z),
        "slope by hand": jax.grad(view.log_prior)(z) - view.vjp(z, r)[1],
        "log_likelihood": case.log_likelihood(z),
    }


@pytest.fixture(params=WITH_RESIDUAL)
def residuals(request: pytest.FixtureRequest, key: jax.Array) -> list[dict[str, np.ndarray]]:
    """What the view says at two points."""
    view, found = Residual.of(posterior(request.param)), []
    for each in jax.random.split(key):
        key_z, key_u, key_v = jax.random.split(each, 3)
        z, u = jax.random.normal(key_z, (view.size,)), jax.random.normal(key_u, (8,))
        v = jax.random.normal(key_v, (view.size,))
        values = by_residual(view, z, u, v)
        found.append({name: np.asarray(value) for name, value in values.items()})
        found[-1] |= {"u": np.asarray(u)[: len(values["r"])], "v": np.asarray(v)}
    return found


def test_residual_gives_the_likelihood(residuals: list[dict[str, np.ndarray]]) -> None:
    """log p(Y* | f(T(z))) + |r(z)|^2 / 2 is the same for every z, and r = r(f(T(z)))."""
    one, two = (at["log_likelihood"] + 0.5 * np.sum(at["r"] ** 2) for at in residuals)
    assert close(one, two)
    assert not close(residuals[0]["r"], residuals[1]["r"], 1e-3)
    for at in residuals:
        assert close(at["r"], at["of y"])


def test_residual_products_are_those_of_the_jacobian(residuals: list[dict[str, np.ndarray]]) -> None:
    """u . (J v) = (J^T u) . v, and both are products with the Jacobian found column by column."""
    for at in residuals:
        assert close(at["from jvp"], at["r"])
        assert close(at["from vjp"], at["r"])
        assert close(at["Jv"], at["J"] @ at["v"])
        assert close(at["JTu"], at["u"] @ at["J"])
        assert close(at["u"] @ at["Jv"], at["JTu"] @ at["v"])
        assert np.abs(at["J"]).max() > 0.1


def test_residual_gives_the_gradient_of_the_density(residuals: list[dict[str, np.ndarray]]) -> None:
    """d/dz log p(z | Y*) = d/dz log p(z) - J^T r."""
    for at in residuals:
        assert close(at["slope"], at["slope by hand"])
