"""A training from its rows to parameters: blocks of updates, a look at each epoch, stops."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from probinv._progress import Progress
from probinv._typing import PRNGKey
from probinv.boltzmann.stack import Layer
from probinv.boltzmann.training._monitor import ROWS_MOST
from probinv.boltzmann.training._rows import Batches, dense
from probinv.boltzmann.training._settings import Training

BLOCK = 100
BLOCK_NUMBERS = 20_000_000
LOOKS = 2**31 + 1
"""Where the keys of looks begin: far from those of updates."""
SWAPS = 2**30
LOOK = 1000
"""Updates after which the state is looked at, if no epoch has ended before."""
RUNAWAY = 5.0
"""Nats for each visible unit between data and chains, above which the free energy has run away."""


@runtime_checkable
class Task(Protocol):
    """What is trained, and how one block of it goes.

    Attributes:
        below: parameters that it needs and leaves as they are.
    """

    below: tuple[Layer, ...]

    def begin(self, batches: Batches, settings: Training, key: PRNGKey) -> Any:
        """The state before the first update: with `average`, `chain` and `step` among its fields."""

    def updates(self, *given: Any) -> Any:
        """The state after the first `count` batches: see `_step.updates`."""

    def between(self, state: Any, settings: Training, key: PRNGKey) -> Any:
        """The state after what is done every `settings.swaps` updates."""

    def look(self, state: Any, rows: Any, held_out: Any, key: PRNGKey) -> dict[str, float]:
        """Figures of the parameters now, "runaway" in nats for each visible unit among them."""

    def model(self, state: Any) -> Any:
        """The parameters now."""


class Trained(NamedTuple):
    """What a training leaves.

    Attributes:
        model: the averaged parameters, as host arrays.
        state: from which it goes on, as host arrays.
        history: a dictionary for each epoch: "epoch", "seconds" of training, and what `Task.look` says.
        snapshots: parameters along the way, oldest first.
        stopped: "" at the end; else why it stopped before.
    """

    model: Any
    state: Any
    history: list[dict[str, float]]
    snapshots: list[Any]
    stopped: str


class Course:
    """A training in progress.

    Args:
        task: what is trained.
        rows: as `as_rows` gives them, checked against the units.
        settings: how.
        held_out: rows that are not learned, for the gap of free energies; None for none.
    """

    def __init__(self, task: Task, rows: Any, settings: Training, held_out: Any = None) -> None:
        self.task, self.settings = task, settings
        self.batches = Batches(rows, settings.batch_size, settings.seed)
        self.key = jax.random.key(settings.seed)
        self.total = settings.epochs * self.batches.per_epoch
        self.state = self.good = task.begin(self.batches, settings, self.key)
        self.before = int(self.state.step)
        self.batches.seed += self.before
        self.history: list[dict[str, float]] = []
        self.snapshots: list[Any] = []
        self.seconds = 0.0
        few = dense(rows[:ROWS_MOST])
        self.shown = few, few[:0] if held_out is None else dense(held_out[:ROWS_MOST])
        most = min(BLOCK, settings.swaps or BLOCK)
        self.block = int(np.clip(BLOCK_NUMBERS // (self.batches.size * few.shape[1]), 1, most))
        self.marks = marks(self.total, settings.snapshots)

    @property
    def done(self) -> int:
        """Updates of this training so far; a task may begin with a state that has some behind it."""
        return int(self.state.step) - self.before

    def advance(self) -> int:
        """One block of updates. The new state is there whole or not at all."""
        done, per_epoch = self.done, self.batches.per_epoch
        ends = [done + self.block, (done // per_epoch + 1) * per_epoch, (done // LOOK + 1) * LOOK]
        if self.settings.swaps:
            ends.append((done // self.settings.swaps + 1) * self.settings.swaps)
        count = min(ends + [mark for mark in self.marks if mark > done]) - done
        given = self.batches(done, count)
        rows = given
        if count < self.block:
            rows = np.zeros((self.block, *given.shape[1:]), np.float32)
            rows[:count] = given
        left = 1 - (done + np.arange(self.block)) / self.total if self.settings.decay else np.ones(self.block)
        rates = np.asarray(self.settings.rate * left, np.float32)
        how = self.settings.static, self.settings.knobs
        state = self.task.updates(*how, self.state, rows, rates, count, self.key)
        if self.settings.swaps and (done + count) % self.settings.swaps == 0:
            state = self.task.between(
                state, self.settings, jax.random.fold_in(self.key, SWAPS + done + count)
            )
        self.state = jax.block_until_ready(state)
        return count

    def judge(self) -> str:
        """Keeps the state as good, or says why it is not."""
        if self.good is self.state:
            return ""
        key = jax.random.fold_in(self.key, LOOKS + self.done)
        found = self.task.look(self.state, *self.shown, key)
        history, snapshots = self.history, self.snapshots
        if self.done % self.batches.per_epoch == 0:
            epoch = self.done // self.batches.per_epoch
            history = [*history, {"epoch": float(epoch), "seconds": self.seconds} | found]
        model = self.task.model(self.state)
        why = ""
        if not all(bool(jnp.isfinite(part).all()) for part in jax.tree.leaves(model)):
            why = "a parameter is no longer finite"
        elif not abs(found["runaway"]) <= RUNAWAY:
            lies = f"{found['runaway']:.3g} nats for each visible unit lie between the chains and the data"
            why = f"the free energy has run away: {lies}"
        elif self.done in self.marks:
            snapshots = [*snapshots, on_host(model)]
        # in one assignment, so that an interrupt never finds one without the others
        good = self.good if why else self.state
        self.history, self.snapshots, self.good = history, snapshots, good
        return why

    def resume(
        self, state: Any, history: list[dict[str, float]], snapshots: list[Any], seconds: float
    ) -> None:
        """Goes on from what another course of the same rows and settings came to."""
        self.state = self.good = state
        self.history, self.snapshots, self.seconds = history, snapshots, seconds

    def run(self, progress: Progress, keep: Callable[["Course"], None] | None = None) -> Trained:
        """To the end, to an interrupt, or to the first state that is not good.

        Args:
            progress: told of every update.
            keep: called after every block that is good.
        """
        stopped = ""
        try:
            while self.done < self.total and not stopped:
                began = time.perf_counter()
                count = self.advance()
                self.seconds += time.perf_counter() - began
                if self.done in self.marks or not (self.done % self.batches.per_epoch and self.done % LOOK):
                    stopped = self.judge()
                progress.update(count, self.words())
                if keep is not None and self.good is self.state:
                    keep(self)
        except KeyboardInterrupt:
            stopped = self.judge() or "interrupted"
        good = on_host(self.good)
        return Trained(good.average, good, self.history, self.snapshots, stopped)

    def words(self) -> str:
        """Where it is, for a progress bar."""
        if not self.history:
            return "epoch 1"
        last = self.history[-1]
        return f"epoch {last['epoch'] + 1:.0f}, reconstruction {last['reconstruction']:.3g}"


def marks(total: int, count: int) -> frozenset[int]:
    """So many update numbers from 10 to the end, growing geometrically; fewer where there are not as many."""
    if not count:
        return frozenset()
    return frozenset(np.unique(np.geomspace(min(10, total), total, count).round().astype(int)).tolist())


def on_host(tree: Any) -> Any:
    """The same pytree with NumPy arrays."""
    return jax.tree.map(np.asarray, tree)
