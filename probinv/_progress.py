"""Where long work says how far it is, and the bar that shows it."""

import sys
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Where long work reports how far it is. The host side shows it."""

    def update(self, steps: int, phase: str) -> None:
        """`steps` more steps are done, in the named phase."""


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
