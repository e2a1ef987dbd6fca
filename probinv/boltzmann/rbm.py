"""The restricted Boltzmann machine as an estimator."""

import os
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, final

import jax
import numpy as np

from probinv._checks import as_array, as_count
from probinv._errors import InputError
from probinv._progress import Bar
from probinv.boltzmann import _passes as passes
from probinv.boltzmann._estimator import AbstractEstimator, classes_of, labels_of, with_labels
from probinv.boltzmann._sides import Sides, sides_of
from probinv.boltzmann.exact import exact_log_partition, require_states
from probinv.boltzmann.gibbs import last_state, random_states, rows_at_random
from probinv.boltzmann.imagining import imagined
from probinv.boltzmann.labels import one_hot
from probinv.boltzmann.likelihood import LogPartition, log_partition
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.stack import Stack
from probinv.boltzmann.training import Course, Learning, Trained, Training, as_rows
from probinv.boltzmann.training._checkpoint import Checkpoint
from probinv.boltzmann.training._rows import dense
from probinv.boltzmann.units import Gaussian

RATE, RATE_REAL = 0.1, 0.01
CHAINS, TEMPERATURES, EQUILIBRATION = 100, 10_000, 1_000


@final
class RBM(AbstractEstimator):
    """p(v) = exp(-F(v)) / Z, F(v) = -log_base(v) - v . a - A_h(b + v W): a restricted Boltzmann machine.

    A scikit-learn estimator. With labels y the visible side is v = (x, label), so that the machine is a
    generative classifier too: p(label | x) is exact, and `imagine` clamps the label. All other arguments,
    from epochs to seed, are the fields of `Training`; a rate of None is 0.1, and 0.01 for visible="gaussian".

    Args:
        hidden: how many hidden units that are 0 or 1, or units.
        visible: "bernoulli" for X in [0, 1]; "gaussian" for real X, which is trained in units of its standard
            deviations and kept in those of the data; or units, which are taken as they are.
        labels: learn y, where it is given.
        held_out: share of the rows that are not learned, for the "gap" of the history.
        progress: show a progress bar on standard error.
        checkpoint: file in which the training is saved every 30 seconds, and from which `fit` goes on if it
            exists: killed at any moment, it ends with the same weights.

    Attributes:
        machine_: the trained machine.
        history_: a dictionary for each epoch; see `Trained`.
        snapshots_: machines along the way, oldest first.
        stopped_: "" or why the training ended early; the last good weights are kept.
        classes_: the labels, sorted; absent without labels.
        n_features_in_: columns of X.
        n_iter_: epochs done.
    """

    _partition: LogPartition | float | None

    def __init__(
        self,
        hidden: Any = 256,
        visible: Any = "bernoulli",
        *,
        labels: bool = True,
        epochs: int = 30,
        batch_size: int = 100,
        rate: float | None = None,
        decay: bool = True,
        negative: str = "pcd",
        steps: int = 1,
        chains: int | None = None,
        centring: float = 0.01,
        averaging: float = 0.999,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        discriminative: float = 0.0,
        dropout: float = 0.0,
        conditional: bool = False,
        binarise: bool = True,
        swaps: int = 0,
        snapshots: int = 0,
        held_out: float = 0.0,
        seed: int = 0,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        self.hidden, self.visible, self.labels = hidden, visible, labels
        self.epochs, self.batch_size, self.rate, self.decay = epochs, batch_size, rate, decay
        self.negative, self.steps, self.chains = negative, steps, chains
        self.centring, self.averaging = centring, averaging
        self.momentum, self.weight_decay = momentum, weight_decay
        self.discriminative, self.dropout, self.conditional = discriminative, dropout, conditional
        self.binarise = binarise
        self.swaps, self.snapshots = swaps, snapshots
        self.held_out, self.seed = held_out, seed
        self.progress, self.checkpoint = progress, checkpoint

    def fit(self, X: Any, y: Any = None) -> "RBM":
        """Trains on rows X (rows, *x), dense or sparse, with labels y (rows,) if there are some.

        After Ctrl-C the weights so far are kept. A training that diverges is stopped with a RuntimeWarning,
        and its last good weights are kept.

        Raises:
            InputError: a value outside the units' support, NaN, one row, labels that are none, or a setting.
            FileError: the checkpoint is damaged, or belongs to another training.
        """
        settings = self._training()
        given, labels = self._given(X, y, least=2)
        sides = sides_of(self.visible, self.hidden, given, None if labels is None else classes_of(labels))
        rows = sides.rows(given, labels, settings.seed)
        kept, held_out = _split(rows, self.held_out, settings.seed)
        course = Course(Learning(sides.machine(kept, settings.seed)), kept, settings, held_out)
        file = None if self.checkpoint is None else Checkpoint(course, self.checkpoint)
        if file is not None and not file.resume(course):
            file.save(course)
        with Bar(course.total - course.done, self.progress) as bar:
            trained = course.run(bar, file)
        if file is not None:
            file.save(course)
        return self._keep(sides, trained, trained.history, rows)

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> "RBM":
        """One pass over more rows at a constant rate. Chains and averages go on from the call before.

        Args:
            X: rows (rows, *x).
            y: labels; needed where the machine has label units.
            classes: all labels that will come, at the first call; those in y if None.

        Raises:
            InputError: as `fit`; also labels that are not among the classes.
        """
        changes: dict[str, Any] = {"epochs": 1, "decay": False, "swaps": 0, "snapshots": 0}
        settings = self._training(**changes)
        given, labels = self._given(X, y, least=1)
        history: list[dict[str, float]] = []
        if not self.__sklearn_is_fitted__():
            among = labels if classes is None or labels is None else np.asarray(classes)
            found = None if among is None else classes_of(among)
            sides = sides_of(self.visible, self.hidden, given, found)
            rows = sides.rows(given, labels, settings.seed)
            task = Learning(sides.machine(rows, settings.seed))
        else:
            self._require_columns(given)
            sides, history = self._sides, self.history_
            if (labels is None) != (sides.classes is None):
                raise InputError(
                    f"y is {'missing' if labels is None else 'given'}",
                    f"this machine has {'' if labels is None else 'no '}label units",
                    "go on as the training began, with y or without it",
                )
            rows = sides.rows(given, labels, [settings.seed, len(history)])
            task = Learning(sides.from_data(self.machine_), self._state)
        course = Course(task, rows, settings)
        with Bar(course.total, self.progress) as bar:
            trained = course.run(bar)
        more = [epoch | {"epoch": len(history) + 1.0} for epoch in trained.history]
        return self._keep(sides, trained, history + more, rows)

    @property
    def network(self) -> Stack:
        """The machine as a stack without layers."""
        return Stack((), self._machine())

    def transform(self, X: Any) -> np.ndarray:
        """E[h | x], (rows, hidden); labels are summed out. In the precision of X."""
        return self._each(passes.hidden_means, X)

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """`fit`, then `transform`."""
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the hidden units: "rbm0", "rbm1", ..."""
        return np.array([f"rbm{k}" for k in range(self._machine().hidden.size)], dtype=object)

    def reconstruct(self, X: Any) -> np.ndarray:
        """E[x | h = E[h | x]], (rows, columns)."""
        return self._each(passes.reconstructions, X)

    def free_energy(self, X: Any) -> np.ndarray:
        """F(x), (rows,), labels summed out: p(x) = exp(-F(x)) / Z."""
        return self._each(passes.free_energies, X)

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) = -F(x) - log Z, (rows,), in nats and double precision; the middle of `log_partition_`.

        Raises:
            InputError: gray values of units that are 0 or 1: only states have a probability.
        """
        rows = self._input(X).astype(np.float64)
        require_states("X", self._sides.visible, dense(rows))
        z = self.log_partition_
        return -self._each(passes.free_energies, rows) - (z.middle if isinstance(z, LogPartition) else z)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`; y is ignored."""
        return float(self.score_samples(X).mean())

    @property
    def log_partition_(self) -> LogPartition | float:
        """log Z: exact where one side has at most 2^20 states, else a bracket by annealing; computed once.

        The bracket is that of `likelihood.log_partition` from the chains of the training: 100 chains, 10,000
        temperatures, 1,000 steps of equilibration.
        """
        machine = self._machine()
        if self._partition is None:
            try:
                self._partition = exact_log_partition(machine)
            except InputError:
                key = jax.random.fold_in(jax.random.key(self.seed), 1)
                with Bar(2 * TEMPERATURES + EQUILIBRATION, self.progress) as bar:
                    self._partition = log_partition(
                        machine,
                        self._chains(),
                        key=key,
                        chains=CHAINS,
                        temperatures=TEMPERATURES,
                        equilibration=EQUILIBRATION,
                        mean=self._mean,
                        progress=bar,
                    )
        return self._partition

    def sample(self, n: int = 1, *, steps: int = 1000, seed: int = 0) -> np.ndarray:
        """`n` draws of x (n, columns), `steps` Gibbs steps away from chains of the training."""
        key_start, key = jax.random.split(jax.random.key(seed))
        start = rows_at_random(self._chains(), key_start, as_count("n", n))
        return self._walk(start, steps, key)

    def gibbs(self, X: Any, steps: int = 1, *, seed: int = 0) -> np.ndarray:
        """Draws of x, (rows, columns), some Gibbs steps from X. A label is first drawn from p(label | x)."""
        key_label, key = jax.random.split(jax.random.key(seed))
        start = dense(self._input(X))
        if hasattr(self, "classes_"):
            places = jax.random.categorical(key_label, np.log(self.predict_proba(X)), axis=1)
            start = np.concatenate([start, one_hot(np.asarray(places), len(self.classes_))], axis=1)
        return self._walk(start, steps, key)

    def complete(self, X: Any, known: Any, steps: int = 1000, *, seed: int = 0) -> np.ndarray:
        """X with its unknown entries drawn from p(x_unknown | x_known), by Gibbs steps from random states.

        Args:
            X: rows; what stands at unknown entries is ignored, NaN too.
            known: boolean, for one row or of the shape of X.
            steps: Gibbs steps.
            seed: of the draws.
        """
        machine = self._machine()
        rows = np.asarray(X, np.float64)
        mask = np.asarray(known)
        try:
            mask = np.broadcast_to(mask, rows.shape)
        except ValueError:
            mask = np.asarray(False)
        if mask.dtype != bool or mask.shape != rows.shape:
            raise InputError(
                f"known is {np.asarray(known).dtype} of shape {np.shape(known)}",
                "it says of every entry whether it is held",
                f"give booleans of shape {rows.shape[1:]} or {rows.shape}",
            )
        held = self._input(np.where(mask, rows, 0.0))
        mask = mask.reshape(held.shape)
        key_start, key = jax.random.split(jax.random.key(seed))
        start = np.array(random_states(machine.visible, key_start, len(held), theta=machine.visible_bias))
        start[:, : held.shape[1]][mask] = held[mask]
        labels = np.zeros((len(held), start.shape[1] - held.shape[1]), bool)
        found = self._walk(start, steps, key, np.concatenate([mask, labels], axis=1))
        return np.where(mask, held, found)

    @with_labels
    def predict_proba(self, X: Any) -> np.ndarray:
        """p(label | x), (rows, classes): the softmax of -F(x, label), exact."""
        return self._each(passes.label_probabilities, X)

    @with_labels
    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row."""
        places = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[places]

    @with_labels
    def imagine(
        self, label: Any, n: int = 1, *, steps: int = 1000, sure: float = 0.0, seed: int = 0
    ) -> np.ndarray:
        """`n` rows E[x | h], (n, columns), that the machine imagines for a label.

        h is drawn by Gibbs steps with the label clamped, each row from a random state of its own.

        Args:
            label: one of `classes_`.
            n: rows.
            steps: Gibbs steps.
            sure: keep rows only in which the machine itself gives the label this probability; see `imagined`.
            seed: of the chains.
        """
        places = np.full(as_count("n", n), self.place(label))
        return imagined(self.network, jax.random.key(seed), n, as_count("steps", steps), places, sure)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the machine, labels, settings, history and snapshots; see `rbm_files.save_rbm`."""
        from probinv.boltzmann.rbm_files import save_rbm

        return save_rbm(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "RBM":
        """What `save` wrote. A `partial_fit` after it begins with new chains."""
        from probinv.boltzmann.rbm_files import load_rbm

        return load_rbm(path)

    def _machine(self) -> Machine:
        self._require_fitted()
        return self.machine_

    def _each(self, function: Callable[..., Any], X: Any) -> np.ndarray:
        rows = self._input(X)
        return passes.by_parts(function, self._machine(), rows)

    def _training(self, **changes: Any) -> Training:
        own = {field.name: getattr(self, field.name) for field in fields(Training)}
        if self.rate is None:
            real = isinstance(self.visible, Gaussian) or (
                isinstance(self.visible, str) and self.visible == "gaussian"
            )
            own["rate"] = RATE_REAL if real else RATE
        return Training(**(own | changes))

    def _given(self, X: Any, y: Any, least: int) -> tuple[Any, np.ndarray | None]:
        real = isinstance(self.visible, str) and self.visible == "gaussian"
        rows = as_rows("X", X, least=least, dtype=np.float64 if real else np.float32)
        return rows, None if y is None or not self.labels else labels_of(y, rows.shape[0])

    def _keep(self, sides: Sides, trained: Trained, history: list[dict[str, float]], rows: Any) -> "RBM":
        """What a training leaves, all at once."""
        self.machine_ = sides.to_data(trained.model)
        self.snapshots_ = [sides.to_data(machine) for machine in trained.snapshots]
        self.history_, self.stopped_, self.n_iter_ = history, trained.stopped, len(history)
        if sides.classes is not None:
            self.classes_ = sides.classes
        elif hasattr(self, "classes_"):
            del self.classes_
        self._sides = sides
        self._state, self._codes, self._partition = trained.state, trained.state.chain, None
        self._mean = sides.mean(rows)
        self.n_features_in_ = sides.visible.size
        if trained.stopped and trained.stopped != "interrupted":
            kept = "the last good weights are kept; take a smaller rate"
            warnings.warn(f"stopped: {trained.stopped}; {kept}", RuntimeWarning, stacklevel=3)
        return self

    def _chains(self) -> np.ndarray:
        """v of the training's chains, (chains, nv)."""
        machine = self._machine()
        codes = np.asarray(self._codes, np.float32)
        return np.asarray(passes.draws_given(machine, jax.random.key(self.seed), codes))

    def _walk(self, start: Any, steps: int, key: Any, known: Any = None) -> np.ndarray:
        v = last_state(self._machine(), key, start, as_count("steps", steps), known=known)
        return np.asarray(v)[:, : self.n_features_in_]


def _split(rows: Any, share: Any, seed: int) -> tuple[Any, Any]:
    """Rows to learn, and rows that are held out (None for none)."""
    if not 0 <= float(as_array("held_out", share, shape=())) < 1:
        raise InputError("held_out must lie between 0 and 1", f"got {share!r}", "for example 0.1; 0 for none")
    count = int(share * rows.shape[0])
    if not count:
        return rows, None
    order = np.random.default_rng([seed, 1]).permutation(rows.shape[0])
    return rows[np.sort(order[count:])], rows[np.sort(order[:count])]
