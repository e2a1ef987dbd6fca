"""Seconds that JAX spends on compiling, so that they can be told from seconds of computing."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, final

import jax.monitoring

STAGES = "/jax/core/compile/"
"""Events of tracing, lowering and compiling: each names how long a stage took when it is over."""


@final
class Compiling:
    """The stretches of time that were spent on tracing, lowering and compiling."""

    def __init__(self) -> None:
        self.stretches: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        """Length of the union of all stretches: what is traced inside of a trace counts once."""
        total, reached = 0.0, float("-inf")
        for begin, end in sorted(self.stretches):
            total += max(0.0, end - max(begin, reached))
            reached = max(reached, end)
        return total

    def heard(self, event: str, duration_secs: float, **_: Any) -> None:
        """Called by JAX at the end of a stage."""
        if event.startswith(STAGES):
            now = time.perf_counter()
            self.stretches.append((now - duration_secs, now))


@contextlib.contextmanager
def compiling() -> Iterator[Compiling]:
    """What JAX compiles inside the block; a program fetched from a cache on disk counts too."""
    found = Compiling()
    jax.monitoring.register_event_duration_secs_listener(found.heard)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(found.heard)
