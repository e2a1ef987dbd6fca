"""Factors made of others: the same matrix at each place, circulant ones, and some columns of a matrix."""

import math
from collections.abc import Callable
from typing import final

import numpy as np

from probinv.forward.layers._factor import Factor, Rows, factorise


class AbstractStructured(Factor):
    """A factor known by what it does to rows."""

    def row_space(self) -> np.ndarray:
        """Eigenvectors of the projection W^+ W with the eigenvalue 1."""
        seen = np.eye(self.columns) - self.unseen(np.eye(self.columns))
        return np.linalg.eigh(seen)[1][:, self.columns - self.rank :]


@final
class Pixelwise(AbstractStructured):
    """The same W (out, in) at each of several places: the factor of W, applied there."""

    def __init__(self, factor: Factor, places: int) -> None:
        self.factor, self.places = factor, places
        self.matrix = None
        self.rank, self.condition = factor.rank * places, factor.condition
        self.columns = factor.columns * places

    @property
    def norm(self) -> float:
        return self.factor.norm

    def apply(self, x: Rows) -> Rows:
        return self._each(x, self.factor.apply)

    def solve(self, y: Rows) -> Rows:
        return self._each(y, self.factor.solve)

    def unseen(self, x: Rows) -> Rows:
        return self._each(x, self.factor.unseen)

    def _each(self, x: Rows, function: Callable[[Rows], Rows]) -> Rows:
        count = len(x)
        columns = np.moveaxis(x.reshape(count, -1, self.places), 2, 1)
        done = function(columns.reshape(count * self.places, -1)).reshape(count, self.places, -1)
        return np.moveaxis(done, 2, 1).reshape(count, -1)


@final
class Columns(Factor):
    """Some columns of a matrix: x has the others too, and they stay as they are, with solutions 0 there.

    Args:
        matrix: W, all columns.
        places: numbers of the columns that are solved for.
    """

    def __init__(self, matrix: np.ndarray, places: np.ndarray) -> None:
        self.factor, self.places, self.whole = factorise(matrix[:, places]), places, matrix.shape[1]
        self.matrix, self.columns = None, len(places)
        self.rank, self.condition = self.factor.rank, self.factor.condition

    @property
    def norm(self) -> float:
        return self.factor.norm

    def apply(self, x: Rows) -> Rows:
        return self.factor.apply(x[:, self.places])

    def solve(self, y: Rows) -> Rows:
        return self._placed(self.factor.solve(y))

    def unseen(self, x: Rows) -> Rows:
        return self._placed(self.factor.unseen(x[:, self.places]))

    def row_space(self) -> np.ndarray:
        return self._placed(self.factor.row_space().T).T

    def null_space(self) -> np.ndarray:
        return self._placed(self.factor.null_space().T).T

    def _placed(self, part: Rows) -> Rows:
        whole = np.zeros((len(part), self.whole))
        whole[:, self.places] = part
        return whole


@final
class Circular(AbstractStructured):
    """y = g * x on a torus: for each frequency a matrix (out, in), of which the SVD is taken.

    Args:
        kernel: g of shape (out, in, *places), the response to a pulse at the origin.
    """

    def __init__(self, kernel: np.ndarray) -> None:
        self.matrix = None
        self.space = kernel.shape[2:]
        self.axes = tuple(range(-len(self.space), 0))
        places = math.prod(self.space)
        self.columns = kernel.shape[1] * places
        spectrum = np.fft.fftn(kernel, axes=self.axes).reshape(*kernel.shape[:2], places)
        self.spectrum = np.moveaxis(spectrum, 2, 0)
        left, values, right = np.linalg.svd(self.spectrum, full_matrices=False)
        seen = values > max(self.columns, kernel.shape[0] * places) * np.finfo(float).eps * values.max()
        self.rank = int(seen.sum())
        self.condition = float(values.max() / values[seen].min()) if self.rank else 1.0
        weight = np.where(seen, 1.0 / np.where(seen, values, 1.0), 0.0)
        self.pseudo = np.einsum("pri,pr,por->pio", right.conj(), weight, left.conj())
        self.project = np.einsum("pri,pr,prj->pij", right.conj(), seen.astype(float), right)
        self._norm = float(np.sqrt(np.sum(values**2) / max(self.rank, 1)))

    @property
    def norm(self) -> float:
        return self._norm

    def apply(self, x: Rows) -> Rows:
        return self._filter(self.spectrum, x)

    def solve(self, y: Rows) -> Rows:
        return self._filter(self.pseudo, y)

    def unseen(self, x: Rows) -> Rows:
        return x - self._filter(self.project, x)

    def _filter(self, response: np.ndarray, x: Rows) -> Rows:
        count, channels = len(x), response.shape[2]
        waves = np.fft.fftn(x.reshape(count, channels, *self.space), axes=self.axes)
        made = np.einsum("poi,nip->nop", response, waves.reshape(count, channels, -1))
        back = np.fft.ifftn(made.reshape(count, -1, *self.space), axes=self.axes)
        return back.real.reshape(count, -1)
