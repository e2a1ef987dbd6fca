"""Places of files that are to be written, looked at before anything is computed."""

import os
from pathlib import Path

from probinv._errors import InputError


def require_new(field: str, path: Path, ending: str, *, force: bool) -> None:
    """Raises an InputError if no such file can be written there, or one exists and may not be replaced."""
    if path.suffix != ending:
        raise InputError(
            f"{field}: {path} does not end with {ending}", "the ending says what is in it", f"add {ending}"
        )
    if not path.parent.is_dir():
        raise InputError(f"{field}: there is no folder {path.parent}", f"for {path.name}", "make it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{field}: the folder {path.parent} cannot be written to", "", "choose another")
    if path.exists() and not path.is_file():
        raise InputError(
            f"{field}: {path} is not a file", "it is a folder or a device", "choose another name"
        )
    if path.exists() and not force:
        raise InputError(
            f"{field}: {path} exists already", "nothing is replaced unasked", "give another name, or --force"
        )


def page_beside(result: Path) -> Path:
    """The HTML page that belongs to a result."""
    return result.with_suffix(".html")


def pictures_beside(result: Path) -> Path:
    """The folder of pictures that belongs to a result."""
    return result.with_name(f"{result.stem}_pictures")
