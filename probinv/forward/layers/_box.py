"""Sets of values entry by entry: what is allowed of an array, and where an array may lie."""

from typing import NamedTuple

import numpy as np

EDGE = 1e-12
"""How far inside an open end a value beyond it is put (of the width, where that is finite)."""


class Box(NamedTuple):
    """low <= u <= high, and one `at` in it; arrays (count, *shape). Where low = high there is one u only."""

    low: np.ndarray
    at: np.ndarray
    high: np.ndarray

    @staticmethod
    def point(at: np.ndarray) -> "Box":
        """The box of one value."""
        return Box(at, at, at)

    @property
    def single(self) -> bool:
        """Whether nothing is free."""
        return self.low is self.high or bool((self.low == self.high).all())

    def map(self, function: "np.ufunc | object") -> "Box":
        """The box of rearranged entries: the function permutes or reshapes."""
        assert callable(function)
        if self.single:
            return Box.point(function(self.at))
        return Box(function(self.low), function(self.at), function(self.high))


class Range(NamedTuple):
    """Where values may lie: from low to high, of the shape of one x; `closed`: finite ends belong to it.

    `soft`: where no member inside is found one outside is kept, as for the bounds of the inputs; outputs
    of an activation cannot lie outside of its range, and there the nearest inside is taken.
    """

    low: np.ndarray
    high: np.ndarray
    closed: bool
    soft: bool = False

    @staticmethod
    def everything(shape: tuple[int, ...]) -> "Range":
        """No bounds."""
        return Range(np.full(shape, -np.inf), np.full(shape, np.inf), True)

    @property
    def bounded(self) -> bool:
        """Whether there is any bound."""
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    @property
    def width(self) -> np.ndarray:
        """high - low, and 1 where that is infinite."""
        with np.errstate(invalid="ignore"):
            width = self.high - self.low
        return np.where(np.isfinite(width), width, 1.0)

    def holds(self, x: np.ndarray) -> np.ndarray:
        """Whether each entry lies inside."""
        if self.closed:
            return (x >= self.low[None]) & (x <= self.high[None])
        return (x > self.low[None]) & (x < self.high[None])

    def shrunk(self, margin: float) -> "Range":
        """Moved inwards by a fraction of the width at each end."""
        step = margin * self.width
        return Range(self.low + step, self.high - step, self.closed, self.soft)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """Each entry that does not lie inside moved to the nearest end, or just inside of an open one."""
        ends = self if self.closed else self.shrunk(EDGE)
        return np.where(self.holds(x), x, np.clip(x, ends.low[None], ends.high[None]))

    def map(self, function: object) -> "Range":
        """The range of rearranged entries."""
        assert callable(function)
        return Range(function(self.low), function(self.high), self.closed, self.soft)
