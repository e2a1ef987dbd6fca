"""Depth-first search over the pieces of the activations for those on which a wish can be met."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from probinv.forward.regions._bounds import OPEN, Problem, Reach, reach
from probinv.forward.regions._simplex import INSIDE, highest

MARGIN = 10 * INSIDE


class Node(NamedTuple):
    """Solutions with rows z <= ends, in the box, with these pieces; `tips`: where they touch its sides."""

    pieces: list[np.ndarray]
    rows: np.ndarray
    ends: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tips: np.ndarray


class Search:
    """The patterns that may hold a solution, one by one; `nodes` counts what was looked at."""

    def __init__(self, problem: Problem, nodes_most: int) -> None:
        self.problem, self.nodes_most, self.nodes, self.cut = problem, nodes_most, 0, False

    def patterns(self) -> Iterator[list[np.ndarray]]:
        """Each pattern on which C z + d = Y* and the rows can be met, to within the tolerance."""
        size = self.problem.scale.shape[1]
        pieces = [np.full(stage.bias.size, OPEN) for stage in self.problem.stages]
        one = np.ones(size)
        stack = [Node(pieces, np.zeros((0, size)), np.zeros(0), -one, one, np.full((2 * size, size), np.nan))]
        while stack:
            if self.nodes >= self.nodes_most:
                self.cut = True
                return
            self.nodes += 1
            node = stack.pop()
            found = reach(self.problem, node.pieces, node.low, node.high)
            tighter = self._tightened(node, found)
            if tighter is None:
                continue
            if not np.array_equal(tighter.low, node.low) or not np.array_equal(tighter.high, node.high):
                found = reach(self.problem, found.pieces, tighter.low, tighter.high)
            if found.spread.any():
                stack += self._split(tighter._replace(pieces=found.pieces), found)
            else:
                yield found.pieces

    def _tightened(self, node: Node, found: Reach) -> Node | None:
        """The smallest box that holds the solutions, as far as f is known; None where there are none."""
        wish = self.problem.target - found.at
        middle, half = (node.low + node.high) / 2, (node.high - node.low) / 2
        size = np.abs(found.out).sum(axis=1)
        spare = found.off + INSIDE * size + self.problem.wobble
        if (np.abs(wish - found.out @ middle) > np.abs(found.out) @ half + spare).any():
            return None
        sloped = size > self.problem.noise[-1]
        norm = np.linalg.norm(found.out[sloped], axis=1)
        cut, at, off = found.out[sloped] / norm[:, None], wish[sloped] / norm, spare[sloped] / norm
        rows = np.concatenate([node.rows, cut, -cut])
        ends = np.concatenate([node.ends, at + off, off - at])
        return self._boxed(node, rows, ends)

    def _boxed(self, node: Node, rows: np.ndarray, ends: np.ndarray) -> Node | None:
        size = node.low.size
        low, high, tips = node.low.copy(), node.high.copy(), node.tips.copy()
        if size == 0:
            return node if (ends >= -INSIDE).all() else None
        for side in range(2 * size):
            place, sign = side % size, 1.0 if side < size else -1.0
            if _holds(tips[side], rows, ends, low, high):
                continue
            c = np.zeros(size)
            c[place] = sign
            best = highest(c, rows, ends, node.low, node.high)
            if best is None:
                return None
            tips[side] = best
            if sign > 0:
                high[place] = max(min(high[place], best[place] + MARGIN), low[place])
            else:
                low[place] = min(max(low[place], best[place] - MARGIN), high[place])
        return node._replace(low=low, high=high, tips=tips)

    def _split(self, node: Node, found: Reach) -> Iterator[Node]:
        """A child for each piece of the open unit that the box splits most evenly."""
        unit, number = int(np.argmax(found.spread)), found.stage
        knots = self.problem.stages[number].pieces.knots
        norm = np.linalg.norm(found.matrix[unit])
        row, ends = found.matrix[unit] / norm, (knots - found.shift[unit]) / norm
        for piece in range(knots.size + 1):
            below, above = ends[piece : piece + 1], ends[max(piece - 1, 0) : piece]
            pieces = [part.copy() for part in node.pieces]
            pieces[number][unit] = piece
            yield node._replace(
                pieces=pieces,
                rows=np.concatenate(
                    [node.rows, np.outer(np.ones(below.size), row), -np.outer(np.ones(above.size), row)]
                ),
                ends=np.concatenate([node.ends, below, -above]),
            )


def _holds(z: np.ndarray, rows: np.ndarray, ends: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether z is still a point of the set, to within the tolerance: then that side cannot move."""
    within = (z >= low - INSIDE).all() and (z <= high + INSIDE).all()
    return bool(within and (rows @ z <= ends + INSIDE).all())
