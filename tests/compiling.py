"""What JAX traced and compiled inside a block of code."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax.monitoring

COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """The names of the programs that are compiled (or fetched from the cache on disk) inside the block."""
    names: list[str] = []

    def listen(event: str, _: float, **facts: Any) -> None:
        if event == COMPILED:
            names.append(str(facts.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
