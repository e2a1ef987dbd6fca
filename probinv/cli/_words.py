"""Words of the command line that stand for more than a text: types for argparse."""

import argparse
import re
import tomllib
from typing import Any

SEEDS = 2**32


def image_shape(text: str) -> tuple[int, int]:
    """(height, width) of a word such as 8x8, as a type for argparse."""
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 8x8")
    return int(found[1]), int(found[2])


def seed(text: str) -> int:
    """A whole number from 0 to 2^32 - 1, which scikit-learn takes as a seed too."""
    if not re.fullmatch(r"\d{1,10}", text) or int(text) >= SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {SEEDS - 1}")
    return int(text)


def value(text: str) -> Any:
    """A value as TOML writes it; what is not TOML is a text, so that quotes can be left out."""
    try:
        table = tomllib.loads(f"value = {text}")
    except ValueError:
        return text
    return table["value"] if set(table) == {"value"} else text


def count(text: str) -> int:
    """A whole number from 1 to a million."""
    if not re.fullmatch(r"[1-9]\d{0,6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
