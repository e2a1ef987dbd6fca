"""NumPyro's functional HMC and NUTS kernels, vectorised over chains, with the keys outside of the state.

NumPyro's kernel is used rather than our own because it is well tested; one `MCMC` object per query is not,
because each costs seconds of compiling. Here the compiled program depends on the shapes and settings only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.hmc_util import HMCAdaptState
from numpyro.infer.util import ParamInfo

from probinv._typing import Scalar, Z


class Settings(NamedTuple):
    """What the compiled program depends on besides the shapes."""

    algorithm: str
    warmup: int
    target_accept: float
    dense_mass: bool
    max_tree_depth: int = 1
    """Of NUTS."""
    trajectory_length: float = 0.0
    """Of HMC."""
    max_steps: int = 1
    """Of HMC."""


@final
class _Potential(eqx.Module):
    """U(z) = -log p(z | Y*)."""

    view: Any

    def __call__(self, z: Z) -> Scalar:
        return -self.view.log_density(z)


# The iteration count and the adaptation window are the same in every chain. Left without a batch axis,
# the kernel's conditionals stay conditionals: the mass matrix is factorised at the end of a window only,
# not in every step.
AXES = HMCState(
    i=None,
    z=0,
    z_grad=0,
    potential_energy=0,
    energy=0,
    r=None,
    trajectory_length=None,
    num_steps=0,
    accept_prob=0,
    mean_accept_prob=0,
    diverging=0,
    adapt_state=HMCAdaptState(0, 0, 0, 0, 0, 0, None, 0),
    rng_key=0,
)


def _kernel(settings: Settings, view: Any, z: Z | ParamInfo, key: Array) -> tuple[HMCState, Callable]:
    init, sample = hmc(potential_fn_gen=_Potential, algo=settings.algorithm)
    state = init(
        z,
        num_warmup=settings.warmup,
        target_accept_prob=settings.target_accept,
        max_tree_depth=settings.max_tree_depth,
        trajectory_length=settings.trajectory_length,
        dense_mass=settings.dense_mass,
        model_args=(view,),
        rng_key=key,
    )
    return state, sample


@eqx.filter_jit
def initialise(settings: Settings, view: Any, z: Float[Array, "chains n"], keys: Array) -> HMCState:
    """The state of every chain at its starting point."""
    return jax.vmap(lambda z, key: _kernel(settings, view, z, key)[0], out_axes=AXES)(z, keys)


@eqx.filter_jit
def advance(
    settings: Settings,
    view: Any,
    keys: Array,
    state: HMCState,
    count: Array,
    thin: Array,
    rows: int,
) -> tuple[HMCState, dict[str, Array]]:
    """`count` <= `rows` more draws of every chain, each after `thin` transitions.

    Step i of a chain uses `fold_in(key of the chain, i)`: the draws do not depend on how a run is cut into
    calls, nor on being interrupted and resumed. `count` is traced, so that one compiled program serves
    warm-up, every block and the timing of the compilation (count = 0).

    Returns:
        The state, and for every name an array (rows, chains, ...) of which the first `count` rows are filled.
    """

    def transition(state: HMCState) -> HMCState:
        def one(state: HMCState, key: Array) -> HMCState:
            key = jax.random.fold_in(key, state.i)
            # only for the kernel's closures: with the known value and gradient nothing is computed
            known = ParamInfo(state.z, state.potential_energy, state.z_grad)
            _, sample = _kernel(settings, view, known, key)
            if settings.algorithm == "NUTS":
                return sample(state._replace(rng_key=key), (view,))
            # NumPyro has no limit: where the step size collapses, one trajectory would take hours
            length = state.trajectory_length
            shorter = jnp.minimum(length, settings.max_steps * state.adapt_state.step_size)
            moved = sample(state._replace(rng_key=key, trajectory_length=shorter), (view,))
            return moved._replace(trajectory_length=length)

        return jax.vmap(one, in_axes=(AXES, 0), out_axes=AXES)(state, keys)

    def draw(row: Array, carry: tuple[HMCState, dict[str, Array]]) -> tuple[HMCState, dict[str, Array]]:
        state, out = carry

        def inner(_: Array, pair: tuple[HMCState, Array]) -> tuple[HMCState, Array]:
            state = transition(pair[0])
            return state, pair[1] + state.num_steps

        state, steps = jax.lax.fori_loop(0, thin, inner, (state, jnp.zeros_like(state.num_steps)))
        new = _record(state) | {"n_steps": steps}
        return state, {name: out[name].at[row].set(new[name]) for name in out}

    out = {name: jnp.zeros((rows, *value.shape), value.dtype) for name, value in _record(state).items()}
    return jax.lax.fori_loop(0, count, draw, (state, out))


def _record(state: HMCState) -> dict[str, Array]:
    return {
        "z": state.z,
        "energy": state.energy,
        "lp": -state.potential_energy,
        "acceptance_rate": state.accept_prob,
        "diverging": state.diverging,
        "step_size": state.adapt_state.step_size,
        "n_steps": state.num_steps,
    }


@eqx.filter_jit
def count_not_finite(
    view: Any, z: Z, momentum: Z, step_size: Scalar, inverse_mass: Array, steps: Array
) -> Array:
    """How many of `steps` leapfrog steps from z, with the given momentum, meet a value or gradient that is
    not finite. NumPyro turns NaN into a divergence; this tells the two apart.
    """

    def gradient(z: Z) -> tuple[Scalar, Z]:
        return jax.value_and_grad(_Potential(view))(z)

    def leap(_: Array, carry: tuple[Z, Z, Z, Array]) -> tuple[Z, Z, Z, Array]:
        z, r, g, bad = carry
        r = r - 0.5 * step_size * g
        velocity = inverse_mass @ r if inverse_mass.ndim == 2 else inverse_mass * r
        z = z + step_size * velocity
        value, g = gradient(z)
        good = jnp.isfinite(value) & jnp.isfinite(g).all()
        g = jnp.where(good, g, jnp.zeros_like(g))
        return z, r - 0.5 * step_size * g, g, bad + ~good

    start = (z, momentum, gradient(z)[1], jnp.zeros((), int))
    return jax.lax.fori_loop(0, steps, leap, start)[-1]
