"""preimage: which x give f(x) = y, through the inverses of the layers."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinv._checks import as_array, as_count, double_precision, memory_available
from probinv._errors import InputError, ResourceError
from probinv._typing import PRNGKey
from probinv.forward._backward import (
    Step,
    backward_steps,
    normal_noise,
    null_directions,
    on_outputs,
    pull_back,
)
from probinv.forward._load import as_forward
from probinv.forward._polish import polish
from probinv.forward.layered import Layered
from probinv.forward.layers._box import Range
from probinv.forward.layers._linear import LinearInverse

BLOCK_NUMBERS = 5_000_000
FOUND = 1e-11


class LayerFacts(NamedTuple):
    """What the inverse of one layer is like: see `layers.AbstractInverse`."""

    number: int
    kind: str
    condition: float
    rank: int
    free: int


class Members(NamedTuple):
    """Members of a solution set.

    Attributes:
        x: (count, *x).
        raw: (count, *x), before polishing.
        y: f(x), (count, *y).
        error: (count,), max |f(x) - Y*| over the outputs that matter.
        projected: (count,), whether at some layer no value in its range or domain gave what was wished.
        layers: numbers of these layers.
        jacobians: how many of f were computed for polishing, in all.
    """

    x: np.ndarray
    raw: np.ndarray
    y: np.ndarray
    error: np.ndarray
    projected: np.ndarray
    layers: tuple[int, ...]
    jacobians: int


def joined(parts: list[Members]) -> Members:
    """All members of several."""
    return Members(
        x=np.concatenate([part.x for part in parts]),
        raw=np.concatenate([part.raw for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        error=np.concatenate([part.error for part in parts]),
        projected=np.concatenate([part.projected for part in parts]),
        layers=tuple(sorted({number for part in parts for number in part.layers})),
        jacobians=sum(part.jacobians for part in parts),
    )


@final
@dataclass(frozen=True)
class Preimage:
    """{ x : f(x) = Y* } as the layers of f give it: a point, and its family.

    Attributes:
        point: x of the shape of one input: of least norm in every layer, where the ranges allow it.
        output: f(point).
        residual: max |f(point) - Y*|, the forward error.
        condition: product of the condition numbers of the layers: relative errors of y grow by as much at
            most on their way through the weights (activations come on top).
        rank: the smallest rank of a linear layer.
        free: dimensions of the solution set, where all outputs lie in the range of their layer.
        projected: the layers, by number, at which nothing in their range gave what was wished.
        layers: kind, condition number, rank and free dimensions of each layer.
    """

    point: np.ndarray
    output: np.ndarray
    residual: float
    condition: float
    rank: int
    free: int
    projected: tuple[int, ...]
    layers: tuple[LayerFacts, ...]
    solver: "Solver"

    @property
    def basis(self) -> np.ndarray:
        """N (n, k), orthonormal, the null space of the first linear layer: f(x + N w) = f(x) for all x and w.

        Raises:
            ResourceError: an (n, n) matrix would not fit into memory; `sample` needs none.
        """
        return null_directions(self.solver.steps)

    def sample(self, key: PRNGKey, count: int, *, spread: float = 1.0) -> np.ndarray:
        """(count, *x): members with null-space coordinates drawn from N(0, spread^2) at each layer."""
        return self.members(key, count, spread=spread).x

    def members(self, key: PRNGKey, count: int, *, spread: float = 1.0) -> Members:
        """As `sample`, with the forward error of each and whether it was projected."""
        count = as_count("count", count)
        with double_precision():
            return self.solver.members(key, 1, count, spread)


@final
class Solver:
    """A network, Y*, and the factorised layers."""

    def __init__(self, network: Layered, target: np.ndarray, bounds: Range, steps: int) -> None:
        kept = ~np.isnan(target)
        self.network = network if kept.all() else on_outputs(network, kept)
        self.whole, self.kept = network, kept
        self.target = target if kept.all() else target[kept]
        self.bounds, self.polishing = bounds, steps
        _require_memory(self.network)
        self.steps: list[Step] = backward_steps(self.network, bounds)

    @property
    def facts(self) -> tuple[LayerFacts, ...]:
        """Of each layer."""
        return tuple(
            LayerFacts(step.number, step.kind, step.inverse.condition, step.inverse.rank, step.inverse.free)
            for step in self.steps
        )

    def members(self, key: PRNGKey, first: int, count: int, spread: float) -> Members:
        """Members `first` to `first` + `count`; number 0 is the one without random coordinates."""
        width = max(math.prod(self.network.input_shape), self.target.size, 1)
        block = max(1, BLOCK_NUMBERS // width)
        parts = [
            self._block(key, place, min(block, first + count - place), spread)
            for place in range(first, first + count, block)
        ]
        return joined(parts)

    def _block(self, key: PRNGKey, first: int, count: int, spread: float) -> Members:
        target = np.broadcast_to(self.target, (count, *self.target.shape))
        raw, missed = pull_back(self.steps, target, normal_noise(key, first, spread))
        x, jacobians = self._polished(raw) if self.polishing else (raw, 0)
        y = np.asarray(outputs(self.whole, x))
        off = np.abs(y - np.where(self.kept, self.target_whole, 0.0))[:, self.kept]
        error = off.reshape(count, -1).max(axis=1, initial=0.0)
        numbers = tuple(self.steps[k].number for k in np.flatnonzero(missed.any(axis=1)))
        return Members(x, raw, y, error, missed.any(axis=0), numbers, jacobians)

    def _polished(self, raw: np.ndarray) -> tuple[np.ndarray, int]:
        """Members that are not exact improved; those out of bounds moved inside, if exact there."""
        ends = self.bounds.low, self.bounds.high
        outside = ~self.bounds.holds(raw).reshape(len(raw), -1).all(axis=1)
        x, counts = polish(self.network, raw, self.target, ends, self.polishing)
        if outside.any():
            clipped = np.clip(raw[outside], *ends)
            inside, more = polish(self.network, clipped, self.target, ends, self.polishing)
            counts[outside] += more
            off = np.abs(np.asarray(outputs(self.network, inside)) - self.target[None])
            good = off.reshape(len(off), -1).max(axis=1) <= FOUND * (1 + np.abs(self.target).max())
            x[np.flatnonzero(outside)[good]] = inside[good]
        return x, int(counts.sum())

    @property
    def target_whole(self) -> np.ndarray:
        """Y* with NaN where an output does not matter."""
        whole = np.full(self.kept.shape, np.nan)
        whole[self.kept] = np.ravel(self.target)
        return whole


def preimage(network: Any, y: Any, *, bounds: Any = None, polish: int = 0) -> Preimage:
    r"""x = W^+ (s^-1(y) - b) + N w through every layer, the last one first: { x : f(x) = y }.

    Exact where layers are invertible (square weights, monotone activations, couplings, permutations,
    circular and 1x1 convolutions). Where a layer has more inputs than outputs, the member of least norm is
    the first candidate; if it lies outside the range of the layer before, members that lie inside are looked
    for. Where there is none, or y is outside the range of an activation, it is projected to the nearest and
    the layer named. The forward error is that of the network itself, whatever happened on the way.

    Args:
        network: a `Layered`, or what `as_forward` makes one of.
        y: the wished output, of the shape of y; NaN where an output does not matter.
        bounds: (low, high) of the inputs, numbers or arrays. Members inside are looked for; a point for which
            there is none stays outside.
        polish: at most so many Gauss-Newton steps on x, where f(x) is not Y* or x not inside the bounds.

    Returns:
        The point with its forward error, condition number and rank, and the family: `basis`, `sample`.

    Raises:
        InputError: the network has no layers, one of them no known inverse, or y not its output's shape.
        ResourceError: the factors would not fit into memory.
    """
    layered, target = chain_and_wish(network, y)
    as_count("polish", polish, least=0)
    solver = Solver(layered, target, as_bounds(bounds, layered.input_shape), polish)
    with double_precision():
        first = solver.members(jax.random.key(0), 0, 1, 0.0)
    facts = solver.facts
    linear = [step.inverse.rank for step in solver.steps if isinstance(step.inverse, LinearInverse)]
    return Preimage(
        point=first.x[0],
        output=first.y[0],
        residual=float(first.error[0]),
        condition=math.prod(fact.condition for fact in facts),
        rank=min(linear, default=math.prod(layered.input_shape)),
        free=sum(fact.free for fact in facts),
        projected=first.layers,
        layers=facts,
        solver=solver,
    )


def chain_and_wish(network: Any, y: Any) -> tuple[Layered, np.ndarray]:
    """The network as layers, and Y* as an array of its output's shape, NaN where an entry does not matter.

    Raises:
        InputError: it has no layers, or Y* another shape or no number.
    """
    layered = as_forward(network)
    if not isinstance(layered, Layered):
        raise InputError(
            f"a {type(layered).__name__} has no layers to go back through",
            "only a Layered network is known layer by layer",
            "make one with probinv.as_layered or Layered.from_arrays, or sample with probinv.invert",
        )
    target = as_array("y", y, allow_nan=True)
    if target.shape != layered.output_shape or np.isnan(target).all():
        raise InputError(
            f"y has shape {target.shape} and {int(np.isfinite(target).sum())} numbers",
            f"the network gives outputs of shape {layered.output_shape}",
            "give one output without a batch axis, NaN where an entry does not matter",
        )
    return layered, target


def as_bounds(bounds: Any, shape: tuple[int, ...]) -> Range:
    """(low, high) as arrays of that shape; no bounds for None."""
    if bounds is None:
        return Range.everything(shape)
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise InputError(
            "bounds are not a pair", f"got {bounds!r}"[:80], "give (low, high), numbers or arrays"
        ) from None
    ends = [as_array(name, end, shape=shape, allow_inf=True) for name, end in (("low", low), ("high", high))]
    if not (ends[0] <= ends[1]).all():
        raise InputError("bounds are empty", "low must not exceed high in any entry", "swap them")
    return Range(ends[0], ends[1], True, soft=True)


@eqx.filter_jit
def outputs(network: Layered, x: Any) -> jax.Array:
    return jax.lax.map(network, jnp.asarray(x))


def _require_memory(network: Layered) -> None:
    """Factors are as large as the weights, and twice that while they are made."""
    need = 3 * 8 * sum(np.size(leaf) for leaf in jax.tree.leaves(network))
    have = memory_available()
    if have is not None and need > have:
        raise ResourceError(
            f"the factors of the layers need about {need / 1e9:.1f} GB",
            f"{have / 1e9:.1f} GB are free",
            "use Ascent or MAP, which need gradients only",
        )
