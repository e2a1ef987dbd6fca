"""Files that appear whole or not at all, and what is checked of a file before a byte is believed."""

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from probinv._errors import FileError


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, and vanishes when it does not.

    It lies beside the path until it has reached the disk. A link stays a link.

    Raises:
        FileError: it cannot be written.
    """
    try:
        place = Path(os.path.realpath(path))
        beside = place.with_name(f".{place.name[:80]}.{secrets.token_hex(4)}.part")
    except ValueError as error:
        raise _unwritable(path, str(error)) from None
    try:
        with open(beside, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, place)
        _flush_folder(place.parent)
    except OSError as error:
        raise _unwritable(path, str(error)) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def check_file(path: Path, limit: int) -> int:
    """The size in bytes.

    Raises:
        FileError: there is none, it is no regular file, or it has more than `limit` bytes.
    """
    try:
        about = os.stat(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"{path} cannot be opened", reason, "check the path") from None
    if not stat.S_ISREG(about.st_mode):
        raise FileError(f"{path} is not a file", "it is a folder, a pipe or a device", "check the path")
    if about.st_size > limit:
        raise FileError(
            f"{path} is too large", f"it has {about.st_size} bytes, the limit is {limit}", "raise limit"
        )
    return about.st_size


def strict_json(text: str | bytes) -> Any:
    """What the text says in UTF-8; a ValueError for a key that appears twice, NaN or infinity."""
    whole = text if isinstance(text, str) else text.decode("utf-8")
    return json.loads(whole, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in the header")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} in the header")


def _unwritable(path: Path, reason: str) -> FileError:
    return FileError(f"{path} cannot be written", reason, "check the folder and the space left")


def _flush_folder(folder: Path) -> None:
    """The rename itself reaches the disk; not every system can open a directory."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
