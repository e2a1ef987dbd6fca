"""The way back through layers that only move entries or scale them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from probinv.forward.layers._base import AbstractInverse, Noise
from probinv.forward.layers._box import Box, Range

ROUNDING = 1e-12


@final
@dataclass(frozen=True)
class MovedInverse(AbstractInverse):
    """x is y with its entries in other places; `forward` and `back` do so for batches (count, *shape)."""

    shape: tuple[int, ...]
    forward: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]

    @property
    def rank(self) -> int:
        return math.prod(self.shape)

    def reach(self, domain: Range) -> Range:
        return domain.map(lambda end: self.forward(end[None])[0])

    def pull(self, wish: Box, domain: Range, noise: Noise | None) -> tuple[Box, np.ndarray]:
        return wish.map(self.back), np.zeros(len(wish.at), bool)

    def directions(self, of_output: np.ndarray) -> np.ndarray:
        return self.back(of_output)


@final
@dataclass(frozen=True)
class AffineInverse(AbstractInverse):
    """x_i = (y_i - shift_i) / scale_i; where scale_i = 0, x_i is free and y_i can only be shift_i."""

    scale: np.ndarray
    shift: np.ndarray

    @property
    def condition(self) -> float:
        size = np.abs(self.scale[self.scale != 0])
        return float(size.max() / size.min()) if size.size else 1.0

    @property
    def rank(self) -> int:
        return int(np.count_nonzero(self.scale))

    @property
    def free(self) -> int:
        return self.scale.size - self.rank

    def reach(self, domain: Range) -> Range:
        with np.errstate(invalid="ignore"):
            ends = [
                np.where(self.scale == 0, 0.0, self.scale * end) + self.shift
                for end in (domain.low, domain.high)
            ]
        low, high = np.minimum(*ends), np.maximum(*ends)
        return Range(low, high, domain.closed or bool((self.scale == 0).any()), domain.soft)

    def pull(self, wish: Box, domain: Range, noise: Noise | None) -> tuple[Box, np.ndarray]:
        dead = (self.scale == 0)[None]
        scale = np.where(dead, 1.0, self.scale[None])
        low, at, high = ((part - self.shift[None]) / scale for part in wish)
        low, high = np.where(scale < 0, high, low), np.where(scale < 0, low, high)
        if not dead.any():
            return Box(low, at, high), np.zeros(len(at), bool)
        size = 1.0 + np.abs(wish.at)
        missed = (dead & (np.abs(at) > ROUNDING * size)).reshape(len(at), -1).any(axis=1)
        anything = np.zeros_like(at) if noise is None else noise(at.shape)
        at = np.where(dead, domain.nearest(anything), at)
        return Box(np.where(dead, -np.inf, low), at, np.where(dead, np.inf, high)), missed

    def directions(self, of_output: np.ndarray) -> np.ndarray | None:
        return None if self.free else of_output / self.scale[None]
