"""Every solution of f(x) = Y* of a small network of straight pieces, a polytope per linear region."""

from dataclasses import dataclass, replace
from typing import Any, final

import jax
import numpy as np

from probinv._checks import as_count, double_precision
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.forward._preimage import as_bounds, chain_and_wish, outputs
from probinv.forward.layered import Layered
from probinv.forward.regions._bounds import Problem, problem_of
from probinv.forward.regions._pieces import stages_of
from probinv.forward.regions._polytope import Region, region_of
from probinv.forward.regions._search import Search
from probinv.forward.regions._walk import walk

SAME = 1e-7
"""Of half the box: how far outside of another region a point on the edge of its own may seem to lie."""
BLOCK = 64


@final
@dataclass(frozen=True)
class Regions:
    """{ x in the box : f(x) = Y* } as a union of polytopes.

    Attributes:
        regions: those that were found, none a part of another.
        complete: whether these are all. Where it is False there may be more, also if there are none here.
        nodes: how many sets of patterns were looked at.
        members: (count, *x), one point well inside each region.
        error: (count,), max |f(x) - Y*| of each.
    """

    regions: tuple[Region, ...]
    complete: bool
    nodes: int
    network: Layered
    wish: np.ndarray

    @property
    def members(self) -> np.ndarray:
        """(count, *x), one point well inside each region."""
        points = [region.point for region in self.regions]
        return np.stack(points) if points else np.zeros((0, *self.network.input_shape))

    @property
    def error(self) -> np.ndarray:
        """(count,), max |f(x) - Y*| of each member."""
        return np.array([region.error for region in self.regions])

    def walk(
        self, key: PRNGKey, number: int, count: int, *, steps: int = 50
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points of region `number`, (count, *x), by hit and run, and the forward error of each.

        Uniform over this one region once the walk has forgotten where it began; it keeps every `steps`-th
        point, and long narrow regions want more. They are not draws from the union: how often each region
        would come up depends on its volume, which is not computed.

        Raises:
            InputError: there is no such region.
        """
        number, count = as_count("number", number, least=0), as_count("count", count)
        if number >= len(self.regions):
            raise InputError(
                f"there is no region {number}", f"{len(self.regions)} were found", "they count from 0"
            )
        words = [int(word) for word in np.ravel(jax.random.key_data(key))]
        rng = np.random.default_rng([*words, number])
        x = walk(self.regions[number], rng, count, as_count("steps", steps))
        x = x.reshape(count, *self.network.input_shape)
        return x, _errors(self.network, self.wish, x)


def solution_regions(
    network: Any, y: Any, *, bounds: Any, regions_most: int = 10_000, nodes_most: int = 100_000
) -> Regions:
    """{ x : f(x) = Y*, low <= x <= high } = union of { A_s x = b_s, C_s x <= d_s } over patterns s.

    A network of straight pieces (relu, leaky_relu, relu6, hard_tanh, and affine layers) is affine for each
    pattern s, the pieces that its units are on, on a polytope of inputs. The search goes through the patterns
    unit by unit, depth first. A unit that its bounds over the inputs still in question keep on one piece
    has no choice; a set of patterns is left where these bounds, or a linear program over the wish, leave no
    solution. Bounds by affine arithmetic (Singh et al. 2018, DeepZ). That is exact, and exponential at worst:
    for small networks.

    A last activation that is one to one (tanh, logistic, softmax, ...) is undone first. Solutions that lie
    on the edge of several patterns are given once: a region that is a part of another is left out. Solution
    sets thinner than 1e-8 of the box count as flat. Of fixed inputs, give low = high.

    Args:
        network: a `Layered`, or what `as_forward` makes one of.
        y: Y*, of the shape of y; NaN where an output does not matter.
        bounds: (low, high) of the inputs, finite.
        regions_most: the search ends with so many regions, `complete` being False.
        nodes_most: or when it has looked at so many sets of patterns.

    Returns:
        The regions, each with its dimension, a point, directions, bounds, equations and inequalities.

    Raises:
        InputError: a layer is neither affine nor of straight pieces, y is not of the output's shape, or a
            bound is infinite.
    """
    layered, target = chain_and_wish(network, y)
    box = as_bounds(bounds, layered.input_shape)
    if not (np.isfinite(box.low).all() and np.isfinite(box.high).all()):
        raise InputError(
            "the bounds of some inputs are infinite",
            "regions are looked for inside a box",
            "give (low, high), finite",
        )
    regions_most = as_count("regions_most", regions_most)
    nodes_most = as_count("nodes_most", nodes_most)
    stages, wish = stages_of(layered, target)
    if wish is None:
        return Regions((), True, 0, layered, target)
    problem = problem_of(stages, wish, box.low.ravel(), box.high.ravel())
    return _found(layered, target, problem, regions_most, Search(problem, nodes_most))


def _found(network: Layered, target: np.ndarray, problem: Problem, most: int, search: Search) -> Regions:
    """The regions of the search, without those that are a part of another, and their forward errors."""
    kept: list[Region] = []
    more = False
    for pattern in search.patterns():
        region = region_of(problem, pattern)
        if region is None or (region.on_edge and _within(problem, region, kept)):
            continue
        kept = [one for one in kept if not (one.on_edge and _within(problem, one, [region]))]
        more = len(kept) >= most
        if more:
            break
        kept.append(region)
    shaped = [_shaped(region, network.input_shape) for region in kept]
    if shaped:
        errors = _errors(network, target, np.stack([region.point for region in shaped]))
        shaped = [replace(one, error=float(error)) for one, error in zip(shaped, errors, strict=True)]
    return Regions(tuple(shaped), not (more or search.cut), search.nodes, network, target)


def _within(problem: Problem, region: Region, others: list[Region]) -> bool:
    """Whether a region on an edge is a part of one of the others.

    Its point is an inner point of it, where the units that are on a knot are so all over the region. If
    another pattern allows the point, it differs in these units only, and allows the whole region.
    """
    x = region.point.ravel()
    for other in others:
        norm = np.maximum(np.linalg.norm(other.rows @ problem.scale, axis=1), problem.wobble)
        if (other.rows @ x <= other.ends + SAME * norm).all():
            return True
    return False


def _shaped(region: Region, shape: tuple[int, ...]) -> Region:
    point, low, high = (part.reshape(shape) for part in (region.point, region.low, region.high))
    return replace(region, point=point, low=low, high=high)


def _errors(network: Layered, target: np.ndarray, x: np.ndarray) -> np.ndarray:
    """max |f(x) - Y*| of each row, by the network itself; in blocks of one size, which compile once."""
    wanted, found = ~np.isnan(target), np.zeros(len(x))
    for begin in range(0, len(x), BLOCK):
        part = x[begin : begin + BLOCK]
        filled = np.concatenate([part, np.repeat(part[-1:], BLOCK - len(part), axis=0)])
        with double_precision():
            y = np.asarray(outputs(network, filled))[: len(part)]
        off = np.abs(y[:, wanted] - target[wanted])
        found[begin : begin + len(part)] = off.max(axis=1, initial=0.0)
    return found
