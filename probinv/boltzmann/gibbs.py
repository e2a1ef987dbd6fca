"""Block Gibbs chains of a machine, with any visible units held."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from probinv._checks import as_array, as_count, memory_available
from probinv._errors import InputError, ResourceError
from probinv._typing import PRNGKey
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.units import AbstractUnits, Joined, Softmax

type Chains = Float[Array, "chains nv"]
type Known = Bool[Array | np.ndarray, "*chains nv"] | None

MEMORY_SHARE = 0.8


def sweeps(
    machine: Machine, key: PRNGKey, v: Chains, steps: Any, known: Known = None, first: Any = 0
) -> Chains:
    """v <- v' ~ p(v' | h), h ~ p(h | v), `steps` times; where `known`, v stays.

    The kernel leaves p(v) as it is, and with known units p(v_unknown | v_known): then it is block Gibbs on
    (h, v_unknown), of which the known units are a part of the condition. Pure: to be called inside compiled
    code. Step i uses fold_in(key, first + i), so a run in pieces equals a run in one.

    Args:
        machine: its arrays may be traced.
        key: of the whole run.
        v: (chains, nv).
        steps: how many; may be traced.
        known: (nv,) for every chain, or (chains, nv); None for none.
        first: number of steps already made with this key; may be traced.
    """

    def step(i: Int[Array, ""], v: Chains) -> Chains:
        return held(known, v, machine.gibbs(jax.random.fold_in(key, i), v))

    return jax.lax.fori_loop(first, first + steps, step, v)


def held(
    known: Known, v: Float[Array, "*batch nv"], moved: Float[Array, "*batch nv"]
) -> Float[Array, "*batch nv"]:
    """The moved state, but the old one where known."""
    return moved if known is None else jnp.where(jnp.broadcast_to(known, v.shape), v, moved)


def chains(
    machine: Machine, key: PRNGKey, start: Any, steps: int, *, known: Any = None, every: int = 1
) -> Float[Array, "chains draws nv"]:
    """Draws of v ~ p(v), or of p(v_unknown | v_known), by block Gibbs: v' ~ p(v' | h), h ~ p(h | v).

    Steps are compiled once for every number of draws; another machine of the same kind, another `every` or
    other known units compile nothing.

    Args:
        machine: the machine; its weights' dtype is that of the draws.
        key: of the run; the same key gives the same draws.
        start: (chains, nv), one row for each chain, from `random_states` or `rows_at_random` or of one's own.
        steps: Gibbs steps of each chain.
        known: boolean mask of the entries that stay as in `start`: (nv,) for all chains, or (chains, nv).
        every: steps from one draw to the next; steps // every draws are kept, and the start is not one.

    Raises:
        InputError: NaN, shapes that do not fit, values outside of the units' support, a group of softmax
            units of which only a part is known, fewer steps than `every`.
        ResourceError: draws that do not fit into memory.
    """
    v, mask = checked(machine, start, known)
    count = as_count("steps", steps) // as_count("every", every)
    if count == 0:
        raise InputError(
            f"steps = {steps} is less than every = {every}", "no draw would be kept", "take more steps"
        )
    require_memory(count * v.size * v.dtype.itemsize)
    return _chains(machine, key, v, mask, every, count)


def last_state(machine: Machine, key: PRNGKey, start: Any, steps: int, *, known: Any = None) -> Chains:
    """Where the chains of `chains` are after `steps`: its last draw, with nothing else kept.

    Arguments and errors as for `chains`; another number of steps compiles nothing.
    """
    v, mask = checked(machine, start, known)
    return _sweeps(machine, key, v, as_count("steps", steps), mask)


def random_states(
    units: AbstractUnits, key: PRNGKey, count: int, *, theta: Any = None, dtype: Any = None
) -> Chains:
    """s ~ p(s | theta), `count` independent rows; with theta = 0 they follow the units' base law.

    Args:
        units: of which to draw, `machine.visible` for a start.
        key: of the draws.
        count: number of rows.
        theta: natural parameters (n,); a machine's visible bias gives the law that it has without weights.
        dtype: of the rows; float32 if None.

    Raises:
        InputError: a theta of the wrong shape, or not finite.
    """
    row = as_array("theta", 0.0 if theta is None else theta, shape=(units.size,))
    natural = np.broadcast_to(row, (as_count("count", count), units.size))
    return units.sample(key, jnp.asarray(natural, np.float32 if dtype is None else dtype))


def rows_at_random(rows: Any, key: PRNGKey, count: int) -> Float[np.ndarray, "count nv"]:
    """`count` of the rows, each at most once where there are enough of them: data to start chains at."""
    values = as_array("rows", rows)
    if values.ndim != 2 or not len(values):
        raise InputError(f"rows has shape {values.shape}", "rows of a data set are needed", "give (rows, nv)")
    again = as_count("count", count) > len(values)
    return values[np.asarray(jax.random.choice(key, len(values), (count,), replace=again))]


def checked(machine: Machine, start: Any, known: Any) -> tuple[Chains, Bool[np.ndarray, "*chains nv"] | None]:
    """The start in the machine's dtype, and the mask, or an InputError."""
    size = machine.visible.size
    values = as_array("start", start)
    if values.ndim != 2 or values.shape[1] != size or not len(values):
        raise InputError(
            f"start has shape {values.shape}",
            f"one row of {size} visible units is needed for each chain",
            f"give (chains, {size})",
        )
    machine.visible.check("start", values)
    mask = None if known is None else as_mask(machine.visible, known, len(values))
    return jnp.asarray(values, dtype_of(machine)), mask


def dtype_of(machine: Machine) -> Any:
    """The dtype of the weights as JAX holds them: float64 only in double precision."""
    return jax.dtypes.canonicalize_dtype(machine.weight.dtype)


def as_mask(units: AbstractUnits, known: Any, count: int) -> Bool[np.ndarray, "*chains nv"]:
    """The mask of known units, (nv,) or (chains, nv), or an InputError."""
    mask = np.asarray(known)
    if mask.dtype != bool or mask.shape not in {(units.size,), (count, units.size)}:
        raise InputError(
            f"known is {mask.dtype} of shape {mask.shape}",
            "it says of every visible unit whether it is held",
            f"give booleans of shape {(units.size,)}, or {(count, units.size)} for a mask of each chain",
        )
    for place, classes in _groups(units):
        group = mask[..., place].reshape(-1, classes)
        if (group.any(axis=-1) != group.all(axis=-1)).any():
            raise InputError(
                f"known holds a part of a group of {classes} softmax units",
                "exactly one unit of a group is on, so its units cannot be held one by one",
                "hold the whole group or none of it",
            )
    return mask


def require_memory(needed: int) -> None:
    """A ResourceError where this many bytes of draws are not to be had."""
    free = memory_available()
    if free is not None and needed > MEMORY_SHARE * free:
        raise ResourceError(
            f"the draws take {needed / 1e9:.1f} GB, of {free / 1e9:.1f} GB that are free",
            "every kept draw of every chain stays in memory",
            "keep fewer with every=, or only the last state",
        )


def _groups(units: AbstractUnits) -> Iterator[tuple[slice, int]]:
    if isinstance(units, Softmax):
        yield slice(0, units.size), units.classes
    if isinstance(units, Joined):
        for part, place in zip(units.parts, units.slices(), strict=True):
            for inner, classes in _groups(part):
                yield slice(place.start + inner.start, place.start + inner.stop), classes


_sweeps = jax.jit(sweeps)


@partial(jax.jit, static_argnums=5)
def _chains(
    machine: Machine, key: PRNGKey, v: Chains, known: Known, every: Any, count: int
) -> Float[Array, "chains draws nv"]:
    def draw(v: Chains, i: Int[Array, ""]) -> tuple[Chains, Chains]:
        v = sweeps(machine, key, v, every, known, first=i * every)
        return v, v

    return jnp.swapaxes(jax.lax.scan(draw, v, jnp.arange(count))[1], 0, 1)
