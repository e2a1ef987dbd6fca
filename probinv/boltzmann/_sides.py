"""What the rows of a user are for a machine: the units of its sides, real rows scaled, labels beside them."""

from typing import Any, NamedTuple

import jax
import numpy as np

from probinv._checks import as_count
from probinv._errors import InputError
from probinv.boltzmann._estimator import places_of
from probinv.boltzmann._scaling import Scaling
from probinv.boltzmann.labels import one_hot
from probinv.boltzmann.machine import Machine, new_machine
from probinv.boltzmann.training._rows import dense
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Joined, Softmax

AT_ONCE = 10_000


class Sides(NamedTuple):
    """How X and y become the rows of a machine.

    Attributes:
        visible: units of a row of X.
        hidden: units.
        scaling: of real rows, or None.
        classes: the labels, or None.
    """

    visible: AbstractUnits
    hidden: AbstractUnits
    scaling: Scaling | None
    classes: np.ndarray | None

    def rows(self, X: Any, labels: np.ndarray | None, seed: Any) -> Any:
        """Rows to train on: X, scaled where it is real, and beside it the labels as one-hot rows.

        Raises:
            InputError: values outside the units' support, or labels that are not among the classes.
        """
        rows = X.astype(np.float32, copy=False) if self.scaling is None else self.scaling.scaled(X, seed)
        for first in range(0, rows.shape[0], AT_ONCE):
            self.visible.check("X", dense(rows[first : first + AT_ONCE]))
        if self.classes is None or labels is None:
            return rows
        beside = one_hot(places_of(labels, self.classes), len(self.classes))
        if not hasattr(rows, "tocsr"):
            return np.concatenate([rows, beside], axis=1)
        from scipy.sparse import hstack

        return hstack([rows, beside], format="csr", dtype=np.float32)

    def machine(self, rows: Any, seed: int) -> Machine:
        """Where a training on these rows begins."""
        labels = [] if self.classes is None else [Softmax(len(self.classes))]
        visible = Joined([self.visible, *labels]) if labels else self.visible
        mean = _mean(rows)
        return new_machine(visible, self.hidden, jax.random.key(seed), mean=mean)

    def mean(self, rows: Any) -> np.ndarray:
        """Of training rows, in the units of the data."""
        mean, n = _mean(rows), self.visible.size
        if self.scaling is not None:
            mean[:n] = self.scaling.shift + self.scaling.scale * mean[:n]
        return mean

    def to_data(self, machine: Machine) -> Machine:
        """The machine of unscaled rows."""
        return machine if self.scaling is None else self.scaling.to_data(machine)

    def from_data(self, machine: Machine) -> Machine:
        """The machine of scaled rows."""
        return machine if self.scaling is None else self.scaling.from_data(machine)


def sides_of(visible: Any, hidden: Any, rows: Any, classes: np.ndarray | None) -> Sides:
    """The sides by name, by number or as units.

    Raises:
        InputError: something else, or units of another number than there are columns.
    """
    count = rows.shape[1]
    hidden = hidden if isinstance(hidden, AbstractUnits) else Bernoulli(as_count("hidden", hidden))
    if isinstance(visible, AbstractUnits):
        if visible.size != count:
            raise InputError(
                f"X has {count} columns", f"visible has {visible.size} units", "give units of that size"
            )
        return Sides(visible, hidden, None, classes)
    if not isinstance(visible, str) or visible not in ("bernoulli", "gaussian"):
        raise InputError(
            f"visible is {visible!r}", "it names the units of X", 'give "bernoulli", "gaussian", or units'
        )
    if visible == "bernoulli":
        return Sides(Bernoulli(count), hidden, None, classes)
    return Sides(Gaussian(count), hidden, Scaling.of(rows), classes)


def _mean(rows: Any) -> np.ndarray:
    return np.asarray(rows.mean(axis=0, dtype=np.float64)).ravel()
