"""A Gaussian-Bernoulli machine as p(x) in a posterior."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from probinv._checks import as_array, as_count, double_precision
from probinv._errors import InputError
from probinv._typing import Count, PRNGKey, Scalar, X, Z
from probinv.boltzmann.exact import hidden_weights
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Softmax
from probinv.prior import AbstractArrayPrior, AbstractPrior, Fixed, Named, condition
from probinv.prior._leaf import leaf
from probinv.prior._shapes import Shape, as_shape

STATES_MOST = 2**20
"""States of the hidden side up to which they are all visited."""
CODES = 2**52
"""Numbers of components are below it, so that they are exact in float64."""


@final
class MachinePrior(AbstractArrayPrior):
    r"""p(x) = exp(-F(x)) / Z = sum_h w_h N(x; mu_h, sigma^2), with x = m + sigma z.

        F(x) = |x / sigma|^2 / 2 - x . a - A_h(b + x W)
        mu_h = sigma^2 (a + W h),  log w_h = log_base(h) + h . b + A_v(a + W h) - log Z
        m    = sigma^2 (a + W E[h])

    A machine with Gaussian visible units is a mixture with one component for every state of its hidden units;
    in the coordinates z every component is N(c_h, I). Up to 2^20 states (20 Bernoulli units) are all visited:
    Z, E[h] and draws are exact. Beyond, draws come from `sweeps` block-Gibbs steps from a random state of h,
    exact only where these mix; E[h] is its mean at x = sigma^2 a, and densities are up to a constant unless
    `log_z` is given (the constant cancels in every method); the verdict on a run that began with such draws
    says that it is not known whether they mixed.

    Where components lie far apart, NUTS and HMC stay in the one in which they begin. TemperedSMC and
    ParallelTempering begin with the whole prior and weigh the components; `invert` takes the first by itself.

    Some inputs can be held by `Fixed`: given x_k, the others are a machine with hidden biases b + x_k W_k.

    Source: Welling, Rosen-Zvi and Hinton (2004), Exponential family harmoniums, NIPS 17.

    Args:
        machine: with `Gaussian` visible units, in the units of x, and Bernoulli or softmax hidden units.
        shape: shape of x, of as many entries as visible units; by default a vector.
        log_z: log of the integral of exp(-F(x)), where there are more than 2^20 hidden states.
        sweeps: Gibbs steps for a draw, where there are more than 2^20 hidden states; used there only.

    Raises:
        InputError: units of another kind, a shape of another size, or a `log_z` that is not needed.
    """

    machine: Machine
    centre: Float[Array | np.ndarray, " nv"]
    log_z: Float[Array | np.ndarray, ""]
    cumulative: Float[Array | np.ndarray, " states"] | None
    """sum_{h' <= h} w_h', or None where the states are too many."""
    normalised: bool = eqx.field(static=True)
    """Whether log_prob and log_latent are."""
    sweeps: int = eqx.field(static=True)
    _shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, machine: Any, shape: Shape = None, *, log_z: Any = None, sweeps: int = 500) -> None:
        _check_units(machine)
        self.machine = jax.tree.map(lambda array: np.asarray(array, np.float64), machine)
        self.sweeps = as_count("sweeps", sweeps)
        self._shape = _as_shape(shape, machine.visible.size)
        few = count_states(machine.hidden) <= STATES_MOST
        if few and log_z is not None:
            raise InputError(
                "log_z is given, and not needed",
                f"the {count_states(machine.hidden)} states of the hidden units are summed over exactly",
                "leave it out",
            )
        self.normalised = few or log_z is not None
        self.cumulative, self.log_z = None, as_array("log_z", 0.0 if log_z is None else log_z, shape=())
        with double_precision():
            if few:
                self.cumulative, self.log_z, mean = _enumerated(self.machine)
            else:
                mean = _mean_field(self.machine)
            own = _double(self.machine)
            self.centre = np.asarray(own.visible.mean(own.down(jnp.asarray(mean))))

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def latent_size(self) -> int:
        return self.machine.visible.size

    @property
    def standard(self) -> bool:
        return False

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.full(self.shape, -np.inf), np.full(self.shape, np.inf)

    @property
    def exact(self) -> bool:
        """Whether draws follow the law itself, and not that of Gibbs steps which may not have mixed."""
        return self.cumulative is not None

    def transform(self, z: Z) -> X:
        return (leaf(self.centre) + jnp.exp(self._log_sigma) * z).reshape(self.shape)

    def inverse(self, x: X) -> Z:
        return (x.ravel() - leaf(self.centre)) * jnp.exp(-self._log_sigma)

    def log_latent(self, z: Z) -> Scalar:
        return self.log_prob(self.transform(z)) + jnp.sum(self._log_sigma)

    def log_prob(self, x: X) -> Scalar:
        """log p(x), normalised where `normalised` says so, else up to a constant."""
        return -_double(self.machine).free_energy(x.ravel()) - leaf(self.log_z)

    def sample_latent(self, key: PRNGKey) -> Z:
        key_hidden, key_visible = jax.random.split(key)
        machine = _double(self.machine)
        if self.cumulative is not None:
            cumulative = leaf(self.cumulative)
            place = jnp.searchsorted(cumulative, jax.random.uniform(key_hidden), side="right")
            h = state_of(self.machine.hidden, jnp.minimum(place, cumulative.size - 1))
        else:
            h = self._gibbs(key_hidden)
        return self.inverse(machine.visible.sample(key_visible, machine.down(h.astype(float))))

    def pattern(self, z: Z) -> Float[Array, " nh"]:
        """argmax_h p(h | x = T(z)): the state of the hidden units whose component z most probably is from."""
        return mode_of(self.machine.hidden, _double(self.machine).up(self.transform(z).ravel()))

    def _gibbs(self, key: PRNGKey) -> Float[Array, " nh"]:
        """h after `sweeps` steps from a state in which every value is as probable as any other."""
        key_start, key_sweeps = jax.random.split(key)
        flipped = _double(self.machine).flipped
        start = self.machine.hidden.sample(key_start, jnp.zeros(self.machine.hidden.size))

        def step(i: Array, h: Float[Array, " nh"]) -> Float[Array, " nh"]:
            return flipped.gibbs(jax.random.fold_in(key_sweeps, i), h)

        return jax.lax.fori_loop(0, self.sweeps, step, start)

    @property
    def _log_sigma(self) -> Float[Array, " nv"]:
        visible = self.machine.visible
        assert isinstance(visible, Gaussian)
        return leaf(visible.log_sigma)


def components(prior: AbstractPrior, z: Float[np.ndarray, "rows n"]) -> Int[np.ndarray, " rows"] | None:
    """Which component of a machine every row of z most probably is from; None where there is no machine.

    A component is named by the number sum_j h_j 2^j of its hidden units, of all machines one after the other.
    With more than 52 units it is a negative number, the same for the same state only. Call inside
    `double_precision`.
    """
    patterns = _patterns(prior, z)
    if patterns is None:
        return None
    size = patterns.shape[1]
    if 2**size <= CODES:
        return (patterns.astype(np.int64) << np.arange(size)).sum(axis=1)
    factors = np.random.default_rng(0).integers(1, CODES, size) | 1
    with np.errstate(over="ignore"):
        return -1 - (patterns.astype(np.int64) * factors).sum(axis=1) % CODES


def machines(prior: AbstractPrior) -> list[MachinePrior]:
    """The prior if it is a machine, or those among its parts."""
    if isinstance(prior, Fixed):
        return machines(prior.free)
    if isinstance(prior, Named):
        return [machine for part in prior.parts for machine in machines(part)]
    return [prior] if isinstance(prior, MachinePrior) else []


def _patterns(prior: AbstractPrior, z: Float[np.ndarray, "rows n"]) -> np.ndarray | None:
    if isinstance(prior, Fixed):
        return _patterns(prior.free, z)
    if isinstance(prior, Named):
        cuts = np.cumsum([part.latent_size for part in prior.parts])[:-1]
        pieces = zip(prior.parts, np.split(z, cuts, axis=1), strict=True)
        known = [found for part, piece in pieces if (found := _patterns(part, piece)) is not None]
        return np.concatenate(known, axis=1) if known else None
    return np.asarray(_all_patterns(prior, jnp.asarray(z))) if isinstance(prior, MachinePrior) else None


@eqx.filter_jit
def _all_patterns(prior: MachinePrior, z: Float[Array, "rows n"]) -> Float[Array, "rows nh"]:
    return jax.lax.map(prior.pattern, z, batch_size=min(len(z), 500))


def uncountable(units: AbstractUnits) -> InputError:
    """What is raised where s is no state among finitely many."""
    return InputError(
        f"hidden units are {type(units).__name__}",
        "the prior is a mixture with one component for every state of the hidden units, and these have "
        "infinitely many",
        "use a machine with Bernoulli or Softmax hidden units",
    )


def count_states(units: AbstractUnits) -> int:
    """How many values s has."""
    match units:
        case Bernoulli():
            return 2**units.size
        case Softmax():
            return units.classes**units.groups
        case Joined():
            return math.prod(count_states(part) for part in units.parts)
    raise uncountable(units)


def state_of(units: AbstractUnits, index: Count) -> Int[Array, " n"]:
    """The value of s with this number, in the order of `units.states()`."""
    match units:
        case Bernoulli():
            return index >> jnp.arange(units.size) & 1
        case Softmax():
            places = index // units.classes ** jnp.arange(units.groups)[::-1] % units.classes
            return jax.nn.one_hot(places, units.classes, dtype=int).ravel()
        case Joined():
            counts = [count_states(part) for part in units.parts]
            strides = [math.prod(counts[k + 1 :]) for k in range(len(counts))]
            parts = zip(units.parts, counts, strides, strict=True)
            return jnp.concatenate([state_of(part, index // stride % count) for part, count, stride in parts])
    raise uncountable(units)


def mode_of(units: AbstractUnits, theta: Float[Array, " n"]) -> Float[Array, " n"]:
    """The most probable value of s."""
    match units:
        case Bernoulli():
            return (theta > 0).astype(theta.dtype)
        case Softmax():
            chosen = jnp.argmax(theta.reshape(units.groups, units.classes), axis=-1)
            return jax.nn.one_hot(chosen, units.classes, dtype=theta.dtype).ravel()
        case Joined():
            pairs = zip(units.parts, units.slices(), strict=True)
            return jnp.concatenate([mode_of(part, theta[place]) for part, place in pairs])
    raise uncountable(units)


def _enumerated(machine: Machine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cumulative weights of all components, log Z, and E[h]."""
    states, log_weight = hidden_weights(machine)
    most = log_weight.max()
    cumulative = np.cumsum(np.exp(log_weight - most))
    mean = np.exp(log_weight - most) @ states / cumulative[-1]
    return cumulative / cumulative[-1], np.asarray(most + np.log(cumulative[-1])), mean


def _mean_field(machine: Machine) -> np.ndarray:
    """E[h | x = sigma^2 a]."""
    visible = machine.visible.mean(jnp.asarray(machine.visible_bias))
    return np.asarray(machine.hidden.mean(machine.up(visible)))


def _double(machine: Machine) -> Machine:
    """The machine with its fields in the precision of now (see `leaf`)."""
    return jax.tree.map(leaf, machine)


def _as_shape(shape: Shape, size: int) -> tuple[int, ...]:
    found = (size,) if shape is None else as_shape(shape)
    if math.prod(found) != size:
        raise InputError(
            f"x has shape {found}, {math.prod(found)} entries",
            f"the machine has {size} visible units",
            "give a shape of as many entries, or None for a vector",
        )
    return found


def _check_units(machine: Any) -> None:
    if not isinstance(machine, Machine):
        raise InputError(
            "machine is not a Machine",
            f"got {type(machine).__name__}",
            "give a Machine with Gaussian visible units",
        )
    kind = type(machine.visible).__name__
    if kind in ("Bernoulli", "Softmax"):
        raise InputError(
            f"the visible units are {kind}",
            f"{kind} machines are not densities on continuous x: they give probabilities to the corners of a "
            "cube, and an input between these has none",
            "use DecoderPrior(autoencoder.decoder), the decoder of a stack, for gray images, or train a "
            "machine with Gaussian visible units",
        )
    if kind != "Gaussian":
        raise InputError(
            f"the visible units are {kind}",
            "a MachinePrior is a mixture of normal laws, one for every state of the hidden units",
            "train a machine with Gaussian visible units, or use DecoderPrior(autoencoder.decoder)",
        )
    count_states(machine.hidden)


@condition.register(MachinePrior)
def _(prior: MachinePrior, fixed: np.ndarray, values: np.ndarray) -> MachinePrior:
    """The machine of the free units, with hidden biases b + x_k W_k."""
    known, machine = fixed.ravel(), prior.machine
    assert isinstance(machine.visible, Gaussian)
    weight, log_sigma = np.asarray(machine.weight), np.asarray(machine.visible.log_sigma)
    free = Machine(
        Gaussian(int(np.sum(~known)), log_sigma[~known]),
        machine.hidden,
        weight[~known],
        np.asarray(machine.visible_bias)[~known],
        np.asarray(machine.hidden_bias) + values.ravel()[known] @ weight[known],
    )
    return MachinePrior(free, sweeps=prior.sweeps)
