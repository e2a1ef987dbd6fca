"""How a run hears Ctrl-C."""

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
