"""The way back through activations."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.special import logsumexp

from probinv.forward.layers._base import AbstractInverse, Noise
from probinv.forward.layers._box import EDGE, Box, Range
from probinv.forward.layers._scalar import Scalar

NORMALISED = 1e-9


@final
@dataclass(frozen=True)
class ScalarInverse(AbstractInverse):
    """u = h^-1(y) for each entry: one u, a half-line where h is flat, or the branch on which h rises.

    y outside the range of h is projected to its nearest end (to within 1e-12 of an open one).
    """

    scalar: Scalar
    shape: tuple[int, ...]

    @property
    def condition(self) -> float:
        return self.scalar.condition

    @property
    def rank(self) -> int:
        return math.prod(self.shape)

    def reach(self, domain: Range) -> Range:
        low, high = (np.full(self.shape, end) for end in (self.scalar.low, self.scalar.high))
        return Range(low, high, self.scalar.closed)

    def pull(self, wish: Box, domain: Range, noise: Noise | None) -> tuple[Box, np.ndarray]:
        reach, h = self.reach(domain), self.scalar
        y = reach.nearest(wish.at)
        missed = (y != wish.at).reshape(len(y), -1).any(axis=1)
        at = h.inverse(y)
        low = at if wish.single else self._end(wish.low, reach)
        high = at if wish.single else self._end(wish.high, reach)
        below, above = h.flat_low & (y <= h.low), h.flat_high & (y >= h.high)
        if below.any() or above.any():
            low, high = np.where(below, -np.inf, low), np.where(above, np.inf, high)
            if noise is not None:
                away = np.abs(noise(at.shape))
                at = at - np.where(below, away, 0.0) + np.where(above, away, 0.0)
        if domain.bounded:
            at = np.clip(domain.nearest(at), low, high)
        return Box(low, at, high), missed

    def _end(self, y: np.ndarray, reach: Range) -> np.ndarray:
        """h^-1 of a bound; infinite where it is."""
        inside = np.isfinite(y)
        return np.where(inside, self.scalar.inverse(reach.nearest(np.where(inside, y, 0.0))), y)


@final
@dataclass(frozen=True)
class SoftmaxInverse(AbstractInverse):
    """u = log y - mean(log y), along the last axis: of all u + c the shortest.

    c is free and is not drawn; the dense layer before is gone through backwards with its outputs centred,
    which does not change the softmax. Entries below 1e-12 are projected to that, and sums other than one to
    one.
    """

    shape: tuple[int, ...]
    log: bool

    @property
    def rank(self) -> int:
        return math.prod(self.shape) - self.free

    @property
    def free(self) -> int:
        return math.prod(self.shape[:-1])

    def reach(self, domain: Range) -> Range:
        low, high = (-np.inf, 0.0) if self.log else (0.0, 1.0)
        return Range(np.full(self.shape, low), np.full(self.shape, high), False)

    def pull(self, wish: Box, domain: Range, noise: Noise | None) -> tuple[Box, np.ndarray]:
        y = wish.at if self.log else np.log(np.maximum(wish.at, EDGE))
        off = np.abs(logsumexp(y, axis=-1)) > NORMALISED
        if not self.log:
            off = off | (wish.at < EDGE).any(axis=-1)
        return Box.point(y - y.mean(axis=-1, keepdims=True)), off.reshape(len(y), -1).any(axis=1)
