"""The way back through a linear layer: its whole solution set, and members of it that lie in a domain."""

from dataclasses import dataclass
from typing import final

import numpy as np

from probinv.forward.layers._base import AbstractInverse, Noise
from probinv.forward.layers._box import EDGE, Box, Range
from probinv.forward.layers._factor import Factor
from probinv.forward.layers._program import MOST, nearest_member
from probinv.forward.layers._structured import Columns

MARGINS = (0.1, 0.01, 1e-3, 0.0)
"""How far inside the domain members are first looked for, in its width."""
PROJECTED = 0.01
"""How far inside the domain projected values end: at the very end an activation has no slope left."""
STEPS = 200
ROUNDING = 1e-12


@final
@dataclass(frozen=True)
class LinearInverse(AbstractInverse):
    """x = W^+ (u - b) + N w, N the null space of W, for y = W x + b of a box of u.

    Where the domain or the box leaves the first candidate out, alternating projections look for a member
    that lies in both: x <- clip(x), then x <- x + W^+ (clip(W x + b) - W x - b). They end in a member if
    there is one well inside (Bauschke & Borwein 1996). Where they do not, a linear program looks for one, if
    W is a matrix of at most 40,000 entries; and where that finds none, the limit of the projections, near
    which the two sets come nearest, is taken and reported as projected (of a soft domain: is left outside).

    Attributes:
        factor: W, factorised.
        bias: b, flat.
        inputs, outputs: shapes of x and y.
    """

    factor: Factor
    bias: np.ndarray
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def condition(self) -> float:
        return self.factor.condition

    @property
    def rank(self) -> int:
        return self.factor.rank

    @property
    def free(self) -> int:
        return self.factor.free

    def holding(self, domain: Range) -> "LinearInverse":
        """The same layer where inputs that the domain gives one value only are held at it."""
        held, matrix = (domain.low == domain.high).ravel(), self.factor.matrix
        if matrix is None or not held.any() or held.all():
            return self
        bias = self.bias + matrix[:, held] @ domain.low.ravel()[held]
        return LinearInverse(Columns(matrix, np.flatnonzero(~held)), bias, self.inputs, self.outputs)

    def reach(self, domain: Range) -> Range:
        return Range.everything(self.outputs)

    def pull(self, wish: Box, domain: Range, noise: Noise | None) -> tuple[Box, np.ndarray]:
        count = len(wish.at)
        flat = wish.map(lambda part: part.reshape(count, -1))
        x = self.factor.solve(flat.at - self.bias[None])
        if noise is not None and self.free:
            x = x + self.factor.unseen(noise(x.shape))
        x, missed = self._land(x, flat, domain.map(np.ravel))
        return Box.point(x.reshape(count, *self.inputs)), missed

    def member(self, x: np.ndarray, move: np.ndarray) -> np.ndarray:
        """x + N N^T move: rows of other x with the same W x."""
        flat = move.reshape(len(move), -1)
        return x + self.factor.unseen(flat).reshape(len(move), *self.inputs)

    def _land(self, x: np.ndarray, wish: Box, domain: Range) -> tuple[np.ndarray, np.ndarray]:
        """Rows that lie in the domain and give a u of the box, as far as such can be found."""
        bad = ~self._good(x, wish, domain)
        for margin in MARGINS if domain.bounded else MARGINS[-1:]:
            inner = domain.shrunk(margin)
            for _ in range(STEPS):
                if not bad.any():
                    return x, bad
                rows = np.flatnonzero(bad)
                before, part = x[rows], Box(*(bound[rows] for bound in wish))
                clipped = np.clip(before, inner.low[None], inner.high[None])
                x[rows] = clipped + self.factor.solve(self._miss(clipped, part))
                bad[rows] = ~self._good(x[rows], part, domain)
                if np.allclose(x[rows], before, rtol=1e-14, atol=1e-300):
                    break
        self._program(x, wish, domain, bad)
        if domain.soft:
            return x, ~self._good(x, wish, Range.everything(domain.low.shape))
        bad = ~self._good(x, wish, domain)
        x[bad] = domain.shrunk(PROJECTED).nearest(x[bad])
        return x, bad

    def _program(self, x: np.ndarray, wish: Box, domain: Range, bad: np.ndarray) -> None:
        """For rows that projections have not brought there: a member by linear programming, in place."""
        matrix = self.factor.matrix
        limited = domain.bounded or not wish.single
        if matrix is None or not limited or not 0 < matrix.size <= MOST:
            return
        ends = domain if domain.closed else domain.shrunk(EDGE)
        for row in np.flatnonzero(bad):
            between = (wish.low[row] - self.bias, wish.high[row] - self.bias)
            found = nearest_member(matrix, between, (ends.low, ends.high), x[row])
            x[row] = x[row] if found is None else found

    def _miss(self, x: np.ndarray, wish: Box) -> np.ndarray:
        """From W x + b to the nearest u of the box."""
        u = self.factor.apply(x) + self.bias[None]
        return np.clip(u, wish.low, wish.high) - u

    def _good(self, x: np.ndarray, wish: Box, domain: Range) -> np.ndarray:
        size = np.abs(wish.at).max(axis=1, initial=0.0) + self.factor.norm * np.linalg.norm(x, axis=1)
        reached = np.abs(self._miss(x, wish)).max(axis=1, initial=0.0) <= ROUNDING * size
        return reached & domain.holds(x).all(axis=1)
