"""The bench of autoencoders, on scikit-learn's digits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from probinv import InputError
from probinv.bench.autoencoder import bench_autoencoder, measure
from probinv.bench.mnist import Digits


def test_the_figures_of_small_digits() -> None:
    images, labels = load_digits(return_X_y=True)
    images = (images * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)
    small = Digits(images[:1500], labels[:1500], images[1500:], labels[1500:])
    found = measure(small, (40, 8), epochs=3)
    train, test = images[:1500].reshape(-1, 64) / 255, images[1500:].reshape(-1, 64) / 255
    pca = PCA(8).fit(train)
    expected = np.sum((pca.inverse_transform(pca.transform(test)) - test) ** 2, axis=1).mean()
    assert found["error_pca"] == pytest.approx(expected, rel=1e-5)
    assert found["error"] == pytest.approx(found["epochs"][-1], rel=1e-4)
    assert len(found["epochs"]) == 3
    assert found["stopped"] == ""
    assert found["epochs"][-1] < found["epochs"][0] < np.sum(test.var(axis=0)) * 1.2


def test_without_the_files_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBINV_DATA", raising=False)
    with pytest.raises(InputError, match="MNIST"):
        bench_autoencoder()
