"""Deep belief networks: trained layer by layer, fine-tuned as a whole, and asked to imagine."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._progress import Bar
from probinv.boltzmann._estimator import (
    AbstractEstimator,
    classes_of,
    labels_of,
    places_of,
    with_labels,
)
from probinv.boltzmann.imagining import completed, imagined
from probinv.boltzmann.labels import one_hot
from probinv.boltzmann.machine import Machine, machine_above, new_machine
from probinv.boltzmann.stack import Bound, Layer, Stack, variational_bound
from probinv.boltzmann.stack_files import load_stack, save_stack
from probinv.boltzmann.training import Course, FineTuning, Learning, Trained, Training, as_rows, means_of_rows
from probinv.boltzmann.training._checkpoint import Checkpoint
from probinv.boltzmann.training._rows import dense
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Joined, Softmax

ROWS_AT_ONCE = 2000


@final
class DBN(AbstractEstimator):
    """p(x, t_1, ..., t_L) = p(x | t_1) ... p(t_(L-1) | t_L) p(t_L, label): a deep belief network.

    Each machine but the last is trained on draws of the hidden units of the one below; the last, the
    associative memory, has label units beside them. `tuning` then trains all layers together with the up-down
    algorithm (Hinton, Osindero and Teh 2006, Neural Computation 18). A scikit-learn estimator.

    Args:
        hidden: units of each hidden layer, from below; the last is the memory's.
        visible: "bernoulli" for data in [0, 1], or units.
        layers: how the machines below the memory are trained.
        memory: how the memory is trained.
        tuning: how all are trained together in the end; None for not at all.
        checkpoint: folder in which every stage is saved every 30 seconds, and from which `fit` goes on, bit
            for bit, if it holds stages of the same training.
        progress: show a progress bar on standard error.

    Attributes:
        stack_: the network. After an interrupt or a training that diverged, the machines above are as they
            begin: upside down what lies below, where the sizes allow it.
        classes_: the labels, in the order of the label units; absent without labels.
        history_: one list for each stage, of a dictionary for each epoch.
        stopped_: "" or why the training ended early.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (500, 500, 2000),
        *,
        visible: Any = "bernoulli",
        layers: Training = Training(),  # noqa: B008
        memory: Training = Training(),  # noqa: B008
        tuning: Training | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: bool = False,
    ) -> None:
        self.hidden, self.visible = hidden, visible
        self.layers, self.memory, self.tuning = layers, memory, tuning
        self.checkpoint, self.progress = checkpoint, progress

    def fit(self, X: Any, y: Any = None) -> "DBN":
        """Trains on rows X (rows, *x), with labels y (rows,) if there are some.

        Raises:
            InputError: a value outside the units' support, NaN, one row, or labels of another length.
            FileError: a checkpoint is damaged, or belongs to another training.
        """
        rows = as_rows("X", X, least=2)
        sizes = [as_count(f"hidden[{k}]", size) for k, size in enumerate(self.hidden)]
        if not sizes:
            raise InputError(
                "hidden is empty", "a network needs a layer", "for example hidden=(500, 500, 2000)"
            )
        visible = self._units(rows)
        labels = None
        if y is not None:
            given = labels_of(y, rows.shape[0])
            self.classes_ = classes_of(given)
            labels = one_hot(places_of(given, self.classes_), len(self.classes_))
        elif hasattr(self, "classes_"):
            del self.classes_
        self.history_: list[list[dict[str, float]]] = []
        self.stopped_ = ""
        below: tuple[Layer, ...] = ()
        machine = None
        for size in sizes[:-1]:
            machine = self._learn(below, machine, visible, size, rows, self.layers)
            below, visible = (*below, Layer.of(machine)), machine.hidden
        whole = rows
        if labels is not None:
            whole = np.concatenate([dense(rows), labels], axis=1)
            visible = Joined([visible, Softmax(labels.shape[1])])
        self.stack_ = Stack(below, self._learn(below, machine, visible, sizes[-1], whole, self.memory))
        if self.tuning is not None and not self.stopped_:
            self.stack_ = self._run(FineTuning(self.stack_), whole, self.tuning).model
        self.n_features_in_ = rows.shape[1]
        return self

    @property
    def network(self) -> Stack:
        """The trained network."""
        self._require_fitted()
        return self.stack_

    def transform(self, X: Any) -> np.ndarray:
        """E[t_L | x], the features under the memory, of shape (rows, features)."""
        return self._each(X, lambda stack, x: stack.recognise(x))

    def reconstruct(self, X: Any, *, seed: int = 0) -> np.ndarray:
        """One pass up and one down: E[x | t_1], of shape (rows, nx)."""
        key = jax.random.key(seed)
        return self._each(X, lambda stack, x: stack.generate(key, stack.recognise(x)))

    @with_labels
    def predict_proba(self, X: Any) -> np.ndarray:
        """p(label | t_L = E[t_L | x]) = softmax of -F(t_L, label), exact in the memory; (rows, classes)."""
        return self._each(X, lambda stack, x: jax.nn.softmax(stack.scores(x), axis=1))

    @with_labels
    def predict(self, X: Any) -> np.ndarray:
        """The label of the smallest free energy for each row."""
        places = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[places]

    @with_labels
    def score(self, X: Any, y: Any) -> float:
        """Share of rows whose label is given back."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def sample(self, n: int = 1, *, steps: int = 1000, seed: int = 0) -> np.ndarray:
        """`n` rows E[x | t_1] after `steps` Gibbs steps in the memory from random states, of any label."""
        return imagined(self.network, jax.random.key(seed), n, as_count("steps", steps))

    @with_labels
    def imagine(
        self, label: Any, n: int = 10, *, steps: int = 1000, sure: float = 0.0, seed: int = 0
    ) -> np.ndarray:
        """`n` rows E[x | t_1] that the network imagines for a label, each from a chain of its own, (n, nx).

        Args:
            label: one of `classes_`.
            n: rows.
            steps: Gibbs steps in the memory with the label clamped, from random states.
            sure: keep rows only in which the network itself gives the label this probability; see `imagined`.
            seed: of the chains.

        Raises:
            InputError: a label that was not trained, or a network without labels.
        """
        places = np.full(as_count("n", n), self.place(label))
        return imagined(self.network, jax.random.key(seed), n, as_count("steps", steps), places, sure)

    def complete(self, X: Any, known: Any, *, rounds: int = 20, steps: int = 10, seed: int = 0) -> np.ndarray:
        """X with its unknown entries imagined; see `imagining.completed`.

        Args:
            X: rows; what stands at unknown entries is ignored, NaN too.
            known: boolean, (nx,) or of the shape of X.
            rounds: passes up, through the memory, and down.
            steps: Gibbs steps in the memory in each round.
            seed: of the draws.
        """
        mask = np.asarray(known)
        if mask.dtype != bool:
            raise InputError("known is not boolean", f"its dtype is {mask.dtype}", "True where X is known")
        x = np.asarray(X, np.float64)
        mask = np.broadcast_to(mask.reshape(-1, *x.shape[1:]) if mask.size != x.size else mask, x.shape)
        rows = self._rows(np.where(mask, x, 0.0))
        stack, key = self.network, jax.random.key(seed)
        return completed(stack, key, rows, mask.reshape(len(rows), -1), as_count("rounds", rounds), steps)

    def bound(self, X: Any, *, draws: int = 10, seed: int = 0) -> Bound:
        """The variational bound of mean log p(x), but for the memory's log Z: see `variational_bound`."""
        return variational_bound(self.network, jax.random.key(seed), jnp.asarray(self._rows(X)), draws=draws)

    def save(self, path: Any) -> Path:
        """Writes the trained network; settings of its training are not kept. See `save_stack`."""
        return save_stack(self.network, path, classes=getattr(self, "classes_", None))

    @staticmethod
    def load(path: Any) -> "DBN":
        """The trained network that `save` wrote. See `load_stack`."""
        stack, classes = load_stack(path)
        network = DBN([layer.above.size for layer in stack.layers] + [stack.top.hidden.size])
        network.stack_, network.history_, network.stopped_ = stack, [], ""
        network.n_features_in_ = stack.layers[0].below.size if stack.layers else stack.features
        if classes is not None:
            network.classes_ = np.asarray(classes)
        return network

    def _learn(
        self,
        below: tuple[Layer, ...],
        last: Machine | None,
        visible: AbstractUnits,
        size: int,
        rows: Any,
        settings: Training,
    ) -> Machine:
        key = jax.random.fold_in(jax.random.key(settings.seed), len(self.history_))
        hidden = Bernoulli(size)
        if last is None:
            mean = np.asarray(rows[:10_000].mean(axis=0)).ravel()
            machine = new_machine(visible, hidden, key, mean=mean)
        else:
            mean = in_parts(means_of_rows, below, rows[:10_000]).mean(axis=0)
            machine = machine_above(last, visible, hidden, key, mean=mean)
        task = Learning(machine, below=below)
        return machine if self.stopped_ else self._run(task, rows, settings).model

    def _run(self, task: Any, rows: Any, settings: Training) -> Trained:
        course, file = Course(task, rows, settings), None
        if self.checkpoint is not None:
            file = Checkpoint(course, Path(self.checkpoint) / f"stage-{len(self.history_)}.safetensors")
            file.path.parent.mkdir(parents=True, exist_ok=True)
            file.resume(course)
        with Bar(course.total - course.done, self.progress) as bar:
            trained = course.run(bar, file)
        if file is not None:
            file.save(course)
        self.history_.append(trained.history)
        self.stopped_ = self.stopped_ or trained.stopped
        return trained

    def _units(self, rows: Any) -> AbstractUnits:
        units = Bernoulli(rows.shape[1]) if self.visible == "bernoulli" else self.visible
        if not isinstance(units, AbstractUnits):
            raise InputError(
                f"visible is {self.visible!r}", "it names the units", 'give "bernoulli", or units'
            )
        if units.size != rows.shape[1]:
            raise InputError(
                f"X has {rows.shape[1]} columns", f"visible has {units.size} units", "make them equal"
            )
        units.check("X", dense(rows))
        return units

    def _rows(self, X: Any) -> np.ndarray:
        rows = dense(self._input(X))
        if self.stack_.layers:
            self.stack_.visible.check("X", rows)
        return rows.astype(np.float32, copy=False)

    def _each(self, X: Any, fn: Any) -> np.ndarray:
        """fn(stack, rows) for all rows, some at a time."""
        return in_parts(fn, self.network, self._rows(X))


def in_parts(fn: Any, model: Any, rows: Any) -> np.ndarray:
    """fn(model, rows) as one array, computed for a bounded number of rows at once."""
    run = eqx.filter_jit(fn)
    count = math.ceil(rows.shape[0] / ROWS_AT_ONCE)
    places = [slice(k * ROWS_AT_ONCE, (k + 1) * ROWS_AT_ONCE) for k in range(count)]
    return np.concatenate([np.asarray(run(model, jnp.asarray(dense(rows[own])))) for own in places])
