"""Handwritten digits to learn from, and a judge of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from probinv._errors import InputError

FULL_INK = 16.0
TEST_SHARE = 0.25


@final
@dataclass(frozen=True)
class Images:
    """Gray images in [0, 1] as rows, their labels, and somebody who tells them apart.

    Attributes:
        train, test: (count, pixels), float32.
        train_labels, test_labels: (count,).
        shape: of one image.
        judge: classifies rows; it has learned from the training images too, and knows of no network.
        judge_name: who that is.
        about: the data in a sentence, without a full stop.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    shape: tuple[int, int]
    judge: Callable[[np.ndarray], np.ndarray]
    judge_name: str
    about: str


def images(folder: Path | None, seed: int) -> Images:
    """MNIST from a folder, or the digits that scikit-learn ships where there is none.

    Raises:
        InputError: scikit-learn is not installed, or the folder does not hold the files.
        FileError: a file is damaged.
    """
    try:
        from sklearn.neighbors import KNeighborsClassifier
    except ImportError as error:
        raise InputError(
            "imagining digits needs scikit-learn",
            f"its digits and its classifier ({error})",
            "pip install probinv[sklearn]",
        ) from None
    train, train_labels, test, test_labels, about = _scikit(seed) if folder is None else _mnist(folder)
    rows = [part.reshape(len(part), -1).astype(np.float32) for part in (train, test)]
    neighbours = KNeighborsClassifier(3).fit(rows[0], train_labels)
    shape = (train.shape[1], train.shape[2])
    name = "A classifier by the 3 nearest training images"
    return Images(rows[0], train_labels, rows[1], test_labels, shape, neighbours.predict, name, about)


def _scikit(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        digits.images / FULL_INK,
        digits.target,
        test_size=TEST_SHARE,
        random_state=seed,
        stratify=digits.target,
    )
    about = f"scikit-learn's handwritten digits, 8 x 8 pixels: {len(train)} to learn, {len(test)} to test"
    return train, train_labels, test, test_labels, about


def _mnist(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    from probinv.bench.mnist import mnist

    found = mnist(folder)
    about = (
        f"MNIST from {folder}, 28 x 28 pixels: {len(found.train)} images to learn, {len(found.test)} to test"
    )
    return found.train / 255, found.train_labels, found.test / 255, found.test_labels, about
