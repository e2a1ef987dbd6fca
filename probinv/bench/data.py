"""The folder of real data that benches read and that is no part of probinv."""

import os
from pathlib import Path

from probinv._errors import InputError

FOLDER = "PROBINV_DATA"
"""The environment variable that names it."""


def data_folder(name: str, what: str, holds: str, given: str | Path | None = None) -> Path:
    """`given`, or else the folder `name` in the one that the environment names.

    Args:
        name: of the folder.
        what: the data, for a message.
        holds: what the named folder has to hold, for a message.
        given: the folder itself, if it is known.

    Raises:
        InputError: neither is named.
    """
    if given is not None:
        return Path(given)
    if not (root := os.environ.get(FOLDER)):
        raise InputError(
            f"the {what} are not there",
            f"they are no part of probinv, and {FOLDER} is not set",
            f"set {FOLDER} to a folder that holds {holds}",
        )
    return Path(root) / name
