"""Ascent: gradient descent on the input, and what it is equal to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

from probinv import InputError
from probinv.likelihood import Gaussian
from probinv.methods import Ascent, Optima
from probinv.posterior import Posterior, Tempered
from probinv.prior import Fixed, Normal, Uniform
from tests.compiling import compilations
from tests.methods.problems import Interrupt, Silent, gauss
from tests.posterior.zoo import arrays

pytestmark = pytest.mark.usefixtures("x64")
KNOWN = gauss(2, 3)  # more outputs than inputs: the likelihood alone has one maximum


def run(method: Ascent, key: jax.Array, posterior: Posterior = KNOWN.posterior) -> Optima:
    return method.run(Tempered.of(posterior), key, Silent())


def least_squares() -> np.ndarray:
    """argmin |(f(x) - Y*) / sigma|, in coordinates z, by linear algebra."""
    posterior = KNOWN.posterior
    prior, wish = posterior.prior, posterior.likelihood
    assert isinstance(prior, Normal)
    assert isinstance(wish, Gaussian)
    sigma = wish.noise.scale  # type: ignore[attr-defined]
    slope = posterior.forward.params * prior.scale  # type: ignore[attr-defined]
    offset = wish.y_star - posterior.forward.params @ prior.loc  # type: ignore[attr-defined]
    return np.linalg.lstsq(slope / sigma[:, None], offset / sigma, rcond=None)[0]


def test_it_converges_on_a_quadratic(key: jax.Array) -> None:
    """To least squares with the likelihood alone, to the posterior's mean with the prior."""
    likelihood = run(Ascent(iterations=2000), key)
    assert likelihood.z.shape == (8, 2)
    assert np.allclose(likelihood.z, least_squares(), atol=1e-4)
    assert (likelihood.stats["gradient_norm"] < 1e-2).all()
    assert (np.diff(likelihood.stats["objective"]) <= 0).all()
    posterior = run(Ascent(iterations=2000, objective="posterior"), key)
    assert np.allclose(posterior.z, KNOWN.mean, atol=1e-4)
    assert not np.allclose(KNOWN.mean, least_squares(), atol=1e-2)
    assert likelihood.notes == {"objective": "likelihood", "iterations_done": 2000}
    assert likelihood.cost.gradients == 16000


def test_random_starts_are_prior_draws_and_kept_beside_their_answers(key: jax.Array) -> None:
    found = run(Ascent(iterations=1, learning_rate=1e-3), key)
    assert len(np.unique(found.start)) == found.start.size
    assert np.allclose(np.abs(found.z - found.start), 1e-3, rtol=1e-3)  # one step of Adam is its rate


def test_a_given_start_is_where_it_begins(key: jax.Array) -> None:
    x = np.array([0.3, -0.2])
    prior = KNOWN.posterior.prior
    found = run(Ascent(start=x, iterations=50, learning_rate=1e-3), key)
    assert found.z.shape == found.start.shape == (1, 2)
    assert np.allclose(prior.transform(jnp.asarray(found.start[0])), x, atol=1e-12)
    assert 0 < np.abs(found.z - found.start).max() < 0.051
    other = run(Ascent(start=x, iterations=50, learning_rate=1e-3), jax.random.fold_in(key, 1))
    assert np.array_equal(found.z, other.z)  # nothing random is left


OPTIMISERS: dict[str, Any] = {
    "sgd": optax.sgd(0.01),
    "momentum": optax.sgd(0.005, momentum=0.9),
    "schedule": optax.adam(optax.cosine_decay_schedule(0.1, 1000)),
    "chain": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.02)),
    "adamw": optax.adamw(0.03, weight_decay=0.0),
    "lbfgs": optax.lbfgs(),
    "extra arguments": optax.contrib.prodigy(),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_any_optax_optimiser_reaches_the_optimum(name: str, key: jax.Array) -> None:
    iterations = 50 if name == "lbfgs" else 2000
    found = run(Ascent(optimiser=OPTIMISERS[name], iterations=iterations, starts=2), key)
    assert np.allclose(found.z, least_squares(), atol=1e-3)


def test_an_optimiser_compiles_once(key: jax.Array) -> None:
    for name in ("adam", OPTIMISERS["sgd"]):
        run(Ascent(optimiser=name, starts=2), key)
        with compilations() as compiled:
            run(Ascent(optimiser=name, starts=2, iterations=7), jax.random.fold_in(key, 1))
        assert compiled == []


def test_blocks_do_not_change_the_answer(key: jax.Array) -> None:
    """120 iterations are two blocks of 50 and one of 20; the same as optax in one loop by hand."""
    view, rate = Tempered.of(KNOWN.posterior), 0.02
    found = run(Ascent(start=[0.0, 0.0], iterations=120, learning_rate=rate), key)
    z = jnp.asarray(found.start[0])
    optimiser = optax.adam(rate)
    state = optimiser.init(z)
    slope = jax.jit(jax.grad(view.log_likelihood))
    for _ in range(120):
        update, state = optimiser.update(-slope(z), state)
        z = z + update
    assert np.allclose(found.z[0], z, rtol=1e-10)


def network(x: jax.Array) -> jax.Array:
    first, second = arrays((6, 4), (2, 6), seed=3)
    return jnp.asarray(second) @ jnp.tanh(jnp.asarray(first) @ x)


@pytest.mark.parametrize("ones", [1, 5])
def test_a_trainable_layer_fed_with_ones_is_the_same_computation(ones: int, key: jax.Array) -> None:
    """x = W 1 with a vector 1 of K ones, W <- W - rate dL/dW: then x <- x - K rate dL/dx.

    dL/dW = dL/dx 1' by the chain rule, so W 1 moves by -rate dL/dx (1' 1) = -K rate dL/dx. Training the layer
    with some rate is gradient descent on the input with K times that rate, step by step.
    """
    y_star, sigma, rate, steps = np.array([0.4, -0.7]), 0.5, 0.002, 200
    feed = jnp.ones(ones)

    # the folklore, written out: a dense layer W (4, K) before the frozen network, its input always 1
    def loss(weight: jax.Array) -> jax.Array:
        y = network(weight @ feed)
        return 0.5 * jnp.sum(((y - y_star) / sigma) ** 2)

    weight = jax.random.normal(key, (4, ones)) / np.sqrt(ones)
    x_start = np.asarray(weight @ feed)
    descend = jax.jit(lambda weight: weight - rate * jax.grad(loss)(weight))
    for _ in range(steps):
        weight = descend(weight)

    # the same with Ascent: prior N(0, 1), so that z is x; the log likelihood is -loss and a constant
    posterior = Posterior(Normal(0.0, 1.0, 4), network, Gaussian(y_star, sigma))
    method = Ascent(start=x_start, optimiser="sgd", learning_rate=ones * rate, iterations=steps)
    found = run(method, key, posterior)
    assert np.abs(found.z[0] - np.asarray(weight @ feed)).max() < 1e-10
    assert np.abs(found.z[0] - x_start).max() > 0.1


@pytest.mark.parametrize(
    ("prior", "start", "words"),
    [
        (Uniform(0.0, 1.0, 3), [0.5, 1.2, -0.1], "2 of its entries"),
        (dist.Gamma(jnp.full(3, 2.0), 1.0), [0.5, 1.2, -0.1], "1 of its entries"),
        (Fixed(Normal(0.0, 1.0, 3), {1: 0.5}), [0.0, 0.4, 0.0], "1 of its entries"),
        (dist.Dirichlet(jnp.ones(3)), [0.5, 0.4, 0.3], "support"),
    ],
    ids=["box", "half line", "fixed", "simplex"],
)
def test_a_start_outside_the_support_is_refused(
    prior: Any, start: list[float], words: str, key: jax.Array
) -> None:
    posterior = Posterior(prior, lambda x: jnp.sum(x), Gaussian(1.0, 0.1))
    with pytest.raises(InputError, match=words) as caught:
        run(Ascent(start=start), key, posterior)
    assert "start" in caught.value.what
    assert caught.value.instead


@pytest.mark.parametrize("start", [[0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
def test_a_start_on_the_edge_is_accepted(start: list[float], key: jax.Array) -> None:
    posterior = Posterior(Uniform(0.0, 1.0, 3), lambda x: jnp.sum(x), Gaussian(1.0, 0.1))
    found = run(Ascent(start=start, iterations=5), key, posterior)
    assert np.isfinite(found.z).all()
    assert np.allclose(posterior.prior.transform(jnp.asarray(found.start[0])), start, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimiser": "newton"}, "newton.*adam"),
        ({"optimiser": 3}, "not an optax optimiser"),
        ({"starts": 0}, "starts"),
        ({"iterations": 0}, "iterations"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"start": [np.nan]}, "start holds NaN"),
        ({"start": "zero"}, "start is not an array"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Ascent(**settings)


def test_a_start_of_another_shape_is_refused(key: jax.Array) -> None:
    with pytest.raises(InputError, match=r"start has shape \(3,\)"):
        run(Ascent(start=[0.0, 0.0, 0.0]), key)


def test_resume_is_refused(key: jax.Array) -> None:
    with pytest.raises(InputError, match="resume"):
        Ascent().run(Tempered.of(KNOWN.posterior), key, Silent(), {})


def test_an_interrupt_keeps_the_steps_that_were_done(key: jax.Array) -> None:
    view = Tempered.of(KNOWN.posterior)
    found = Ascent(iterations=500).run(view, key, Interrupt(2))
    assert found.interrupted
    assert found.notes["iterations_done"] == 100
    whole = run(Ascent(iterations=100), key)
    assert np.array_equal(found.z, whole.z)
