"""An input that has a property: searched by gradients and by levels, and checked in both precisions."""

import time
from dataclasses import dataclass
from itertools import chain
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import double_precision, fresh
from probinv._errors import InputError
from probinv._invert.climb import climb, margins, outputs, spread
from probinv._invert.run import as_key
from probinv._progress import Bar
from probinv._typing import PRNGKey
from probinv.forward.flat import Flat
from probinv.methods import SubsetSimulation
from probinv.posterior import Case, Property, Region

DRAWS, STARTS, ROUNDS = 4096, 256, 3
NUMBERS_MOST = 2**24
"""Numbers of all draws together: of large inputs there are fewer."""
CHECKED = 256
"""Candidates, the deepest first, that are checked in both precisions."""
NEAR = 0.03
"""Half of the starts of a second round lie within so much of the box's width around the best of the first."""


@final
@dataclass(frozen=True, eq=False)
class Witness:
    """An input that has the property.

    Attributes:
        x: the input, of shape (inputs,), each entry a float32 number wherever one lies inside its bounds.
        y: what the network gives for it in float64.
        y_single: what it gives in float32.
        case: index of the case that it meets.
        margin: how deep inside the wish y lies in both precisions, the smaller one (units of y).
    """

    x: Float[np.ndarray, " inputs"]
    y: Float[np.ndarray, " outputs"]
    y_single: Float[np.ndarray, " outputs"]
    case: int
    margin: float

    @property
    def text(self) -> str:
        """((X_0 0.5) ... (Y_0 ...)): the counterexample as VNN-LIB's competition writes it."""
        pairs = [
            f"({name}_{i} {value!r})"
            for name, values in (("X", self.x), ("Y", self.y))
            for i, value in enumerate(values.tolist())
        ]
        return f"({'\n '.join(pairs)})\n"

    @property
    def narrow(self) -> bool:
        """Whether another order of the sums in a network of single precision might give another answer."""
        return self.margin < 2 * float(np.abs(self.y - self.y_single).max()) + 1e-6 * float(
            np.abs(self.y).max()
        )


@final
@dataclass(frozen=True, eq=False)
class Search:
    """What a search for a witness has found.

    Attributes:
        witness: an input that has the property, or None where none was found; there may be one all the same.
        nearest: the largest margin that was met; below 0 where the wish was not reached (units of y).
        evaluations: of the network.
        seconds: of the search, with compiling.
    """

    witness: Witness | None
    nearest: float
    evaluations: int
    seconds: float

    def __str__(self) -> str:
        spent = f"{self.evaluations} evaluations of the network, {self.seconds:.1f} s"
        if self.witness is None:
            missed = f"the nearest missed it by {-self.nearest:.3g}"
            if self.nearest >= 0:
                missed = "some met the property in one precision and not in the other"
            return (
                f"not found: no input with the property among {spent}; {missed}. This does not show that "
                "there is none."
            )
        close = "; so close to the edge that another order of summation may decide otherwise"
        return (
            f"found: an input with the property, checked in float64 and in float32, with a margin of "
            f"{self.witness.margin:.3g}{close * self.witness.narrow} ({spent})"
        )


def find_witness(network: Any, property: Any, *, seed: int = 0, progress: bool = True) -> Search:
    """An x in one of the boxes with y = f(x) inside its wish, if one is found.

    For each case: draws from the box; from the deepest and from some others the margin is climbed by steps
    along the sign of its gradient, or along the gradient, that shrink (projected gradient ascent; Madry et
    al. 2018, arXiv 1706.06083), twice anew around the best that were found. Where that gives nothing, for
    each case `SubsetSimulation`, which needs no gradient, and a climb from where it ends. What is claimed
    has been checked: x rounded to float32 into the box, the network in float64 and in float32, and every
    comparison of the file as it is written. Where no float32 lies between the bounds of an input, x keeps
    the float64 number, which a runtime of single precision rounds.

    Args:
        network: whatever `as_forward` accepts, with as many inputs and outputs as the property.
        property: by `load_property`.
        seed: a whole number.
        progress: show a progress bar on standard error.

    Raises:
        InputError: the numbers of inputs or outputs differ.
    """
    if not isinstance(property, Property):
        raise InputError(
            "property is not a Property", f"got {type(property).__name__}", "use load_property(path)"
        )
    flat, key = fresh(property.flat(network)), as_key(seed)
    began = time.perf_counter()
    with double_precision(), Bar(len(property.cases) * (ROUNDS + 1), progress) as bar:
        hunts = [
            _Hunt(property, flat, number, case, jax.random.fold_in(key, number), bar)
            for number, case in enumerate(property.cases)
        ]
        # Levels cost more than a climb: they begin when no case was easy.
        steps = chain((hunt.climb for hunt in hunts), (hunt.levels for hunt in hunts))
        witness = next((found for step in steps if (found := step()) is not None), None)
    nearest, spent = max(hunt.nearest for hunt in hunts), sum(hunt.evaluations for hunt in hunts)
    return Search(witness, nearest, spent, time.perf_counter() - began)


class _Hunt:
    """The search in one case."""

    def __init__(
        self, property: Property, flat: Flat, number: int, case: Case, key: PRNGKey, bar: Bar
    ) -> None:
        self.property, self.flat, self.number, self.case, self.bar = property, flat, number, case, bar
        self.region = fresh(case.likelihood)
        self.key_draw, self.key_near, self.key_levels = jax.random.split(key, 3)
        self.low, self.high = jnp.asarray(case.low), jnp.asarray(case.high)
        self.unit = jnp.ones(property.outputs)
        self.nearest, self.evaluations = -np.inf, 0

    def climb(self) -> Witness | None:
        """A confirmed input of this case among draws and the points above them, or None."""
        n = self.property.inputs
        draws = int(np.clip(NUMBERS_MOST // n, 32, DRAWS)) if self.case.free else 1
        x = self._drawn(self.key_draw, draws)
        y = outputs(self.flat, x)
        self.unit = spread(y)
        self.evaluations += draws
        best, _ = self._sorted(x, margins(self.region, y, self.unit))
        if not self.case.free:
            self.bar.update(ROUNDS, "one point")
            return self._confirmed(best)
        kept: Witness | None = None  # one at an edge, for want of a deeper one
        for k in range(ROUNDS):
            best, deep = self._climbed(self._starts(best, x, k, min(STARTS, max(draws // 16, 2))))
            self.bar.update(1, f"case {self.number}, climbing")
            found = self._confirmed(best) if deep[0] >= 0 else None
            if found is not None and not found.narrow:
                return found
            if found is not None and (kept is None or found.margin > kept.margin):
                kept = found
        return kept

    def levels(self) -> Witness | None:
        """The same above the points where SubsetSimulation ends: inside the wish, or as near as it comes."""
        self.bar.update(1, f"case {self.number}, levels")
        if not self.case.free:
            return None
        view = Region.of(self.property.posterior(self.flat, self.number))
        found = SubsetSimulation(draws=1000, chains=1).run(view, self.key_levels, Bar(1, False))
        self.evaluations += found.notes["evaluations"]
        z = found.z[0][np.argsort(-found.stats["margin"][0])[:STARTS]]
        best, deep = self._climbed(self._inside(jax.vmap(view.x)(jnp.asarray(z))))
        return self._confirmed(best) if deep[0] >= 0 else None

    def _drawn(self, key: PRNGKey, count: int) -> Array:
        part = jax.random.uniform(key, (count, self.property.inputs))
        return self._inside(self.low[None] + (self.high - self.low)[None] * part)

    def _inside(self, x: Array) -> Array:
        return jnp.clip(x, self.low[None], self.high[None])

    def _starts(self, best: Array, drawn: Array, k: int, count: int) -> Array:
        """The deepest draws and some others; later a cloud around the best points and some new draws."""
        half = count // 2
        if k == 0:
            return jnp.concatenate([best[: count - half], drawn[:half]])
        near, new = jax.random.split(jax.random.fold_in(self.key_near, k))
        chosen = jnp.resize(best[: max(count // 16, 1)], (count - half, best.shape[1]))
        noise = NEAR * jax.random.normal(near, chosen.shape) * (self.high - self.low)[None]
        return jnp.concatenate([self._inside(chosen + noise), self._drawn(new, half)])

    def _climbed(self, start: Array) -> tuple[Array, np.ndarray]:
        x, margin, count = climb(self.flat, self.region, self.low, self.high, self.unit, start)
        self.evaluations += count
        return self._sorted(x, margin)

    def _sorted(self, x: Array, margin: Array) -> tuple[Array, np.ndarray]:
        """The deepest first; NaN last."""
        values = np.where(np.isnan(margin), -np.inf, np.asarray(margin))
        order = np.argsort(-values, kind="stable")
        best = np.asarray(margins(self.region, outputs(self.flat, x[order[:1]]), None))
        if not np.isnan(best[0]):
            self.nearest = max(self.nearest, float(best[0]))
        return x[order], values[order]

    def _confirmed(self, x: Array) -> Witness | None:
        """The deepest of the points that have the property in both precisions."""
        rounded = into_box(np.asarray(x)[:CHECKED], self.case.low, self.case.high)
        y = np.asarray(outputs(self.flat, jnp.asarray(rounded)))
        with jax.enable_x64(False):
            single = np.asarray(outputs(self.flat, jnp.asarray(rounded.astype(np.float32))), np.float64)
        depth = np.minimum(*(np.asarray(margins(self.region, jnp.asarray(one), None)) for one in (y, single)))
        for i in np.argsort(-np.where(np.isnan(depth), -np.inf, depth), kind="stable"):
            if all(self.property.reached(rounded[i], one[i]) for one in (y, single)):
                return Witness(rounded[i], y[i], single[i], self.number, float(depth[i]))
        return None


def into_box(
    x: Float[np.ndarray, "points inputs"],
    low: Float[np.ndarray, " inputs"],
    high: Float[np.ndarray, " inputs"],
) -> Float[np.ndarray, "points inputs"]:
    """x as float32 numbers inside [low, high]; the nearest float64 inside where there is no such number."""
    lowest, highest = low.astype(np.float32), high.astype(np.float32)
    lowest = np.where(lowest < low, np.nextafter(lowest, np.float32(np.inf)), lowest)
    highest = np.where(highest > high, np.nextafter(highest, np.float32(-np.inf)), highest)
    rounded = np.clip(x.astype(np.float32), lowest, np.maximum(lowest, highest)).astype(np.float64)
    return np.where(lowest <= highest, rounded, np.clip(x, low, high))
