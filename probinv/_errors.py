"""Errors in three parts: what is wrong, why, and what to do instead."""

from typing import final


class ProbinvError(ValueError):
    """Base of every error that probinv raises on purpose.

    Args:
        what: the field and what is wrong with it.
        why: the reason.
        instead: what to do.
    """

    def __init__(self, what: str, why: str = "", instead: str = "") -> None:
        self.what, self.why, self.instead = what, why, instead
        super().__init__(" ".join(_sentence(part) for part in (what, why, instead) if part))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", ":")) else text + "."


@final
class InputError(ProbinvError):
    """A value that the user gave cannot be used."""


@final
class ViewError(ProbinvError):
    """The posterior does not have the mathematical object that a method needs."""


@final
class NumericalError(ProbinvError):
    """No finite value could be computed where one is needed."""


@final
class ResourceError(ProbinvError):
    """The run cannot fit into the memory of this machine."""


@final
class FileError(ProbinvError):
    """A file is damaged, too large, or not what it should be."""
