"""The handwritten digits of scikit-learn, a classifier of them, and others to ask for a second opinion."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import jax
import numpy as np

from probinv._errors import InputError
from probinv._typing import X, Y
from probinv.forward import Function, Layered, as_forward

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

FULL_INK = 16.0
HIDDEN = 32
TEST_SHARE = 0.25


@final
@dataclass(frozen=True)
class Lesson:
    """What was learned from the digits.

    Attributes:
        network: the classifier, of 64 pixels in [0, 1].
        forward: the same, of an image (8, 8).
        train, test: images (count, 8, 8) in [0, 1].
        test_labels: (count,).
        judges: name -> a function that classifies rows of 64 pixels; none of them is the network.
        distance: from rows of 64 pixels to the nearest training image.
        about: the classifier in a sentence.
    """

    network: Layered
    forward: Function
    train: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    judges: dict[str, Callable[[np.ndarray], np.ndarray]]
    distance: Callable[[np.ndarray], np.ndarray]
    about: str

    @property
    def shape(self) -> tuple[int, int]:
        """Of one image."""
        return self.train.shape[1], self.train.shape[2]


def study(seed: int) -> Lesson:
    """Trains the classifier and the judges on three quarters of the digits.

    Raises:
        InputError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split
        from sklearn.neighbors import KNeighborsClassifier
    except ImportError as error:
        raise InputError(
            "the demo needs scikit-learn",
            f"its digits and its training ({error})",
            "pip install probinv[sklearn]",
        ) from None
    digits = load_digits()
    images, labels = digits.images / FULL_INK, digits.target
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=TEST_SHARE, random_state=seed, stratify=labels
    )
    rows = _flat(train)
    classifier = _perceptron(rows, train_labels, seed)
    network = as_forward(classifier)
    assert isinstance(network, Layered)
    neighbours = KNeighborsClassifier(3).fit(rows, train_labels)
    judges = {
        "a second network, from another random start": _perceptron(rows, train_labels, (seed + 1) % 2**32),
        "logistic regression": LogisticRegression(max_iter=1000).fit(rows, train_labels),
        "the 3 nearest training images": neighbours,
    }
    right = classifier.score(_flat(test), test_labels)
    return Lesson(
        network,
        Function(_of_image, network),
        train,
        test,
        test_labels,
        {name: judge.predict for name, judge in judges.items()},
        lambda rows: neighbours.kneighbors(rows, 1)[0][:, 0],
        f"{rows.shape[1]}-{HIDDEN}-10, trained on {len(train)} images; right on {right:.1%} of {len(test)} "
        "others.",
    )


def _perceptron(rows: np.ndarray, labels: np.ndarray, seed: int) -> "MLPClassifier":
    from sklearn.neural_network import MLPClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says so when it stops at max_iter; the test score tells the rest
        model = MLPClassifier(
            (HIDDEN,), activation="tanh", alpha=1e-3, tol=1e-3, max_iter=200, random_state=seed
        )
        return model.fit(rows, labels)


def _of_image(network: Any, image: X) -> Y:
    return network(image.ravel())


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def probabilities(lesson: Lesson, images: np.ndarray) -> np.ndarray:
    """What the classifier says of images (count, 8, 8): (count, 10)."""
    from probinv._checks import double_precision

    with double_precision():
        return np.asarray(jax.jit(jax.vmap(lesson.forward))(images))
