"""Chains in blocks: a compiled call advances all chains by some draws, and the host hears of each block.

What NUTS, HMC and LiftedHMC share: plan, progress, interrupt, and the arrays from which a run continues.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from probinv.methods._base import Progress

SECONDS_PER_BLOCK = 0.5
ROWS_MOST = 200
BLOCK_BYTES = 100_000_000

type Advance = Callable[[Any, Array, Array, int], tuple[Any, dict[str, Array]]]
"""(state, count, thin, rows) -> the state `count` draws later, and the draws in buffers of `rows` rows."""


class Plan(NamedTuple):
    """How much to run."""

    draws: int
    warmup: int
    chains: int
    thin: int


def rows_of_block(plan: Plan, size: int) -> int:
    """Rows of the buffer in which one compiled call leaves its draws."""
    return int(np.clip(BLOCK_BYTES // (8 * plan.chains * size), 1, ROWS_MOST))


class Blocks:
    """The blocks of a run. Every block takes about half a second, so that an interrupt is soon heard.

    `state.i` counts the transitions, those of the warm-up included.
    """

    def __init__(self, advance: Advance, plan: Plan, size: int, state: Any, progress: Progress) -> None:
        self.advance, self.plan, self.progress = advance, plan, progress
        self.rows = rows_of_block(plan, size)
        # state and draws change in one assignment, so that an interrupt never finds one without the other
        self.kept: tuple[Any, list[dict[str, np.ndarray]]] = (state, [])
        self.totals: dict[str, int] = {}
        self.seconds_per_transition = 0.0

    @property
    def state(self) -> Any:
        """The state after the last draw that is kept."""
        return self.kept[0]

    def drawn(self) -> dict[str, np.ndarray]:
        """name -> (chain, draw, ...) of all draws that are kept."""
        blocks = self.kept[1]
        if not blocks:
            raise KeyboardInterrupt("interrupted during warm-up: there is no draw to keep")
        return {name: np.concatenate([block[name] for block in blocks]).swapaxes(0, 1) for name in blocks[0]}

    def step(self, count: int, thin: int, keep: bool) -> None:
        """`count` draws, each after `thin` transitions; the state moves on only when they are all there."""
        began = time.perf_counter()
        state, out = self.advance(self.state, jnp.asarray(count), jnp.asarray(thin), self.rows)
        block = {name: np.asarray(value)[:count] for name, value in out.items()}
        self.kept = (state, [*self.kept[1], block] if keep else self.kept[1])
        for name in ("n_steps", "n_gradients"):
            if name in block:
                self.totals[name] = self.totals.get(name, 0) + int(block[name].sum())
        if count:
            self.seconds_per_transition = (time.perf_counter() - began) / (count * thin)

    def run(self) -> bool:
        """Warm-up and draws; True if interrupted."""
        plan = self.plan
        try:
            while (done := int(self.state.i)) < plan.warmup:
                count = self._count(plan.warmup - done, 1)
                self.step(count, 1, keep=False)
                self.progress.update(count, "warm-up")
            while (done := (int(self.state.i) - plan.warmup) // plan.thin) < plan.draws:
                count = self._count(plan.draws - done, plan.thin)
                self.step(count, plan.thin, keep=True)
                self.progress.update(count, "sampling")
        except KeyboardInterrupt:
            return True
        return False

    def _count(self, left: int, thin: int) -> int:
        if self.seconds_per_transition == 0.0:
            return min(left, self.rows, 10)
        fitting = SECONDS_PER_BLOCK / (self.seconds_per_transition * thin)
        return int(min(left, self.rows, max(1, fitting)))
