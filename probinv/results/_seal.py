"""A checksum behind the end of a file: damage is noticed before any parser meets it."""

import hashlib
import os
from pathlib import Path

from probinv._errors import FileError

MARK = b"\nprobinv sha256 "
LENGTH = len(MARK) + 64 + 1


def seal(path: Path) -> None:
    """Appends the sha256 of all bytes so far, and flushes the file to the disk.

    HDF5 knows where its content ends and ignores what follows. A checksum inside would come too late: one
    flipped bit can make the HDF5 library run for ever (found with HDF5 2.0.0 by flipping bits).
    """
    with open(path, "rb+") as file:
        digest = hashlib.file_digest(file, "sha256")
        file.seek(0, os.SEEK_END)
        file.write(MARK + digest.hexdigest().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def sealed(path: Path) -> bool:
    """Whether the file has a seal.

    Raises:
        FileError: it has one that does not fit, so that some byte has changed.
    """
    size = path.stat().st_size
    if size < LENGTH:
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        left = size - LENGTH
        while left > 0 and (block := file.read(min(left, 2**20))):
            digest.update(block)
            left -= len(block)
        end = file.read()
    if not end.startswith(MARK):
        return False
    if end[len(MARK) :] != digest.hexdigest().encode() + b"\n":
        raise FileError(
            f"{path} is damaged",
            "some of its bytes have changed",
            "take another copy of the file, or run again",
        )
    return True
