"""Gradient ascent on the input: the classical answer."""

import functools
import time
from typing import Any, ClassVar, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from probinv._checks import as_array, as_count, as_positive
from probinv._errors import InputError, NumericalError
from probinv._typing import PRNGKey, Scalar, Z
from probinv.methods._base import AbstractMethod, Cost, Optima, Progress
from probinv.posterior import Tempered

OPTIMISERS = ("adam", "sgd", "rmsprop", "adagrad", "adamw", "lion", "nadam", "yogi")
BLOCK = 50


@final
class Ascent(AbstractMethod):
    r"""z_{t+1} = z_t + rate * d/dz log p(Y* | f(T(z_t))), or any other optax optimiser.

    The answer people are told of first: freeze the weights and follow the gradient on the input (Linden &
    Kindermann 1989; Erhan et al. 2009). It is a point and not a draw: it says nothing about other answers.
    The result says how far each answer is from where it began. A trainable dense layer before frozen weights,
    fed with ones, is the same computation; see the example in the documentation.

    Args:
        start: x to begin at, of the prior's shape; None for `starts` draws from the prior.
        starts: number of random starts; ignored with a given start.
        optimiser: an optax optimiser's name, or an optax GradientTransformation.
        learning_rate: step of the optimiser in coordinates z; ignored with a GradientTransformation.
        iterations: number of gradient steps.
        objective: "likelihood" follows the wish alone; "posterior" adds log p(z).
    """

    start: Any = None
    starts: int = 8
    optimiser: Any = eqx.field(static=True, default="adam")
    learning_rate: float = 0.05
    iterations: int = 500
    objective: Literal["likelihood", "posterior"] = "likelihood"
    view: ClassVar[type] = Tempered
    exact: ClassVar[bool] = False

    def __check_init__(self) -> None:
        as_count("starts", self.starts)
        as_count("iterations", self.iterations)
        if self.objective not in ("likelihood", "posterior"):
            raise InputError(
                f"objective {self.objective!r} is unknown", "there are two", 'use "likelihood" or "posterior"'
            )
        if self.start is not None:
            as_array("start", self.start)
        if isinstance(self.optimiser, str):
            if self.optimiser not in OPTIMISERS:
                raise InputError(
                    f"optimiser {self.optimiser!r} is unknown",
                    f"by name there are {', '.join(OPTIMISERS)}",
                    "or give an optax GradientTransformation",
                )
            as_positive("learning_rate", self.learning_rate, shape=())
        elif not isinstance(self.optimiser, optax.GradientTransformation):
            raise InputError(
                "optimiser is not an optax optimiser",
                f"got {type(self.optimiser).__name__}",
                'give a name such as "adam" or an optax GradientTransformation',
            )

    @property
    def steps(self) -> int:
        """Gradient steps."""
        return self.iterations

    @property
    def points(self) -> int:
        """Answers."""
        return 1 if self.start is not None else self.starts

    def memory(self, size: int) -> int:
        """Bytes at the peak of a run in `size` coordinates."""
        return 8 * 8 * self.points * size

    def run(
        self, view: Tempered, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Optima:
        """One answer for each start, best first."""
        if resume is not None:
            raise InputError("resume cannot be used", "Ascent keeps no state", "run it again")
        began = time.perf_counter()
        origin = self._origin(view, key)
        _require_finite(view, self.objective, origin)
        optimiser = self._optimiser()
        state = _begin(optimiser, origin)
        _ascend(view, optimiser, self.objective, origin, state, jnp.asarray(0))
        seconds_compile = time.perf_counter() - began
        began = time.perf_counter()
        z, done, interrupted = origin, 0, False
        try:
            while done < self.iterations:
                count = min(BLOCK, self.iterations - done)
                z, state = jax.block_until_ready(
                    _ascend(view, optimiser, self.objective, z, state, jnp.asarray(count))
                )
                done += count
                progress.update(count, "ascent")
        except KeyboardInterrupt:
            interrupted = True
        value, slope = (np.asarray(part) for part in _final(view, self.objective, z))
        order = np.argsort(-np.where(np.isfinite(value), value, -np.inf), kind="stable")
        stats = {"objective": value[order], "gradient_norm": slope[order]}
        cost = Cost(len(origin) * done, seconds_compile, time.perf_counter() - began)
        notes = {"objective": self.objective, "iterations_done": done}
        return Optima(np.asarray(z)[order], np.asarray(origin)[order], stats, cost, interrupted, notes)

    def _origin(self, view: Tempered, key: PRNGKey) -> Array:
        if self.start is None:
            return jax.vmap(view.sample_prior)(jax.random.split(key, self.starts))
        x = as_array("start", self.start, shape=view.posterior.prior.shape)
        low, high = view.posterior.prior.bounds
        if not ((x >= low) & (x <= high)).all():
            raise InputError(
                "start lies outside the prior's support",
                f"{int(((x < low) | (x > high)).sum())} of its entries are beyond the bounds",
                "move it inside, or widen the prior",
            )
        z = view.latent(jnp.asarray(x))
        # bounds of single entries do not say that the entries of a simplex add up to one
        if not np.allclose(view.x(z), x, rtol=1e-6, atol=1e-6):
            raise InputError(
                "start lies outside the prior's support",
                "no z has T(z) = start",
                "give an x that the prior can draw",
            )
        return z[None]

    def _optimiser(self) -> optax.GradientTransformation:
        if not isinstance(self.optimiser, str):
            return self.optimiser
        return _named_optimiser(self.optimiser, float(self.learning_rate))


@functools.cache
def _named_optimiser(name: str, rate: float) -> optax.GradientTransformation:
    """One object for each (name, rate): optax makes new closures every time, and each would compile anew."""
    return getattr(optax, name)(rate)


def _objective(view: Tempered, objective: str, z: Z) -> Scalar:
    return view.log_likelihood(z) if objective == "likelihood" else view.log_density(z)


def _require_finite(view: Tempered, objective: str, z: Array) -> None:
    value, slope = (np.asarray(part) for part in _final(view, objective, z))
    if not np.isfinite(value + slope).any():
        raise NumericalError(
            f"the objective or its gradient is NaN or infinite at all of {len(z)} starts",
            "the network returns no finite value there, or the wish has probability zero",
            "check the network there, and the prior's bounds",
        )


@eqx.filter_jit
def _begin(optimiser: optax.GradientTransformation, z: Array) -> Any:
    return jax.vmap(optimiser.init)(z)


@eqx.filter_jit
def _ascend(
    view: Tempered,
    optimiser: optax.GradientTransformation,
    objective: str,
    z: Array,
    state: Any,
    count: Array,
) -> tuple[Array, Any]:
    optimiser = optax.with_extra_args_support(optimiser)

    def loss(z: Z) -> Scalar:
        return -_objective(view, objective, z)

    def one(z: Z, state: Any) -> tuple[Z, Any]:
        value, gradient = jax.value_and_grad(loss)(z)
        # the named ones are for optimisers with a line search; the others ignore them
        update, state = optimiser.update(gradient, state, z, value=value, grad=gradient, value_fn=loss)
        return optax.apply_updates(z, update), state

    return jax.lax.fori_loop(0, count, lambda _, carry: jax.vmap(one)(*carry), (z, state))


@eqx.filter_jit
def _final(view: Tempered, objective: str, z: Array) -> tuple[Array, Array]:
    value_and_grad = jax.value_and_grad(_objective, argnums=2)
    value, gradient = jax.vmap(lambda z: value_and_grad(view, objective, z))(z)
    return value, jnp.linalg.norm(gradient, axis=1)
