"""A 30-dimensional autoencoder of MNIST: squared error of test images."""

import time
from typing import Any

import numpy as np
from jaxtyping import Float

from probinv.bench.mnist import Digits, mnist
from probinv.bench.result import Result
from probinv.boltzmann._finetune import train_autoencoder

SIZES = (1000, 500, 250, 30)
EPOCHS, BATCH, RATE = 42, 100, 3e-3
PUBLISHED, PUBLISHED_PCA = 3.00, 13.87
COLUMNS = ("30 numbers for 784 pixels", "error", "published", "CPU s")


def measure(digits: Digits, sizes: tuple[int, ...], epochs: int, *, seed: int = 0) -> dict[str, Any]:
    """Squared error of test images (the mean over images of the sum over pixels in [0, 1]), and seconds.

    Args:
        digits: the images.
        sizes: widths up to the code, the code last.
        epochs: of the training.
        seed: of the weights and of the order of the images.
    """
    train, test = (
        (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)
        for images in (digits.train, digits.test)
    )
    busy = time.process_time()
    error = pca_error(train, test, sizes[-1])
    seconds_pca, busy = time.process_time() - busy, time.process_time()
    done = train_autoencoder(
        train, sizes, epochs=epochs, batch_size=BATCH, rate=RATE, held_out=test, seed=seed, progress=False
    )
    seconds = time.process_time() - busy
    found = done.autoencoder
    return {
        "error": float(found.squared_error(test).mean()),
        "error_train": float(found.squared_error(train).mean()),
        "error_pca": error,
        "seconds_cpu": seconds,
        "seconds_cpu_pca": seconds_pca,
        "stopped": done.stopped,
        "epochs": [entry["error"] for entry in done.history],
        "losses": [entry["loss"] for entry in done.history],
    }


def pca_error(
    train: Float[np.ndarray, "train n"], test: Float[np.ndarray, "test n"], components: int
) -> float:
    """The same error of the projection on the principal axes of the training images."""
    mean = train.mean(axis=0, dtype=np.float64)
    axes = np.linalg.eigh(np.cov(train, rowvar=False, dtype=np.float64))[1][:, ::-1][:, :components]
    centred = test - mean
    return float(np.mean(np.sum((centred - centred @ axes @ axes.T) ** 2, axis=1)))


def bench_autoencoder() -> Result:
    """Squared error of MNIST's test images through a code of 30 numbers; needs its files (PROBINV_DATA)."""
    found = measure(mnist(), SIZES, EPOCHS)
    return Result(
        found,
        COLUMNS,
        [
            ("autoencoder", found["error"], PUBLISHED, found["seconds_cpu"]),
            ("the same, training images", found["error_train"], "", ""),
            ("principal components", found["error_pca"], PUBLISHED_PCA, found["seconds_cpu_pca"]),
        ],
        [
            f"784-{'-'.join(map(str, SIZES))} and back, from new weights: silu between the layers, a linear "
            f"code, logistic pixels; least squared error by Adam, {EPOCHS} epochs, batches of {BATCH}, rate "
            f"{RATE:g} falling to 0 as a cosine.",
            "error: |x' - x|^2 summed over 784 pixels in [0, 1], mean over the 10,000 test images. CPU s: of "
            "training, a look at the test images after each epoch included.",
            "published: Hinton and Salakhutdinov 2006, logistic units, a stack of machines fine-tuned.",
        ],
    )
