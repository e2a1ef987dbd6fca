"""What a run shows: a progress bar, and how it hears Ctrl-C."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """Lets one Ctrl-C pass: the draws are there, and what is made of them takes seconds. A second stops."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():  # no handler can be set
        yield
        return

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        print("the draws are there; finishing (Ctrl-C again to lose them)", file=sys.stderr)

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Bar:
    """A progress bar on standard error, and silence where none is wanted."""

    def __init__(self, steps: int, shown: bool) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=steps, disable=not shown, file=sys.stderr, desc="compiling", leave=False)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, steps: int, phase: str) -> None:
        self.bar.set_description(phase, refresh=False)
        self.bar.update(steps)
