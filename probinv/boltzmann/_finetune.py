"""Training of an autoencoder by backpropagation."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from probinv._checks import as_count, as_positive
from probinv._errors import InputError
from probinv._progress import Bar, Progress
from probinv.boltzmann._backpropagation import (
    State,
    begin,
    chain_of,
    finite,
    layers_of,
    mean_loss,
    updates,
)
from probinv.boltzmann.autoencoder import Autoencoder, codes_of, new_autoencoder, rows_of
from probinv.boltzmann.training._rows import Batches, as_rows, dense
from probinv.boltzmann.units import Bernoulli
from probinv.forward import Layered

FIRST_ROWS = 1000
"""Rows that say where the layers are centred, and what the loss is at the start."""
BLOCK, BLOCK_NUMBERS = 100, 20_000_000
WARM = 0.05
RUNAWAY, SHARE = 1.25, 0.25
"""An epoch has run away whose mean loss is above 1.25 of that at the start, or of a quarter of what the mean
of the data would give, whichever is more."""


class Finetuned(NamedTuple):
    """What `finetune` leaves.

    Attributes:
        autoencoder: with the last good weights, as float32, and the statistics of the training codes.
        history: a dictionary for each epoch: "epoch", "loss" (mean over its updates), "seconds" so far, and
            "error", the mean squared error of `held_out` where it is given.
        stopped: "" at the end; else why it stopped before.
        state: from which it goes on, as host arrays.
    """

    autoencoder: Autoencoder
    history: list[dict[str, float]]
    stopped: str
    state: State


def finetune(
    autoencoder: Any,
    rows: Any,
    *,
    epochs: int = 30,
    batch_size: int = 100,
    rate: float = 3e-3,
    loss: str = "squared",
    held_out: Any = None,
    seed: int = 0,
    progress: bool | Progress = True,
    resume: State | None = None,
) -> Finetuned:
    """Least mean loss of x' = g(e(x)) over the rows, by Adam: |x' - x|^2, or the cross-entropy of x' with x.

    The rate rises over the first twentieth of the updates and then falls to 0 as a cosine. Dense layers
    learn, in float32, each with its inputs centred; other layers stay as they are. Ctrl-C ends it with the
    weights that are there. Hinton and Salakhutdinov 2006, Science 313; Adam: Kingma and Ba 2015, arXiv
    1412.6980.

    Args:
        autoencoder: where it begins: `unroll(machines)` or `new_autoencoder(...)`.
        rows: training examples (rows, n), or of any shape with n entries; dense or sparse.
        epochs: how often each row is seen.
        batch_size: rows of one update.
        rate: the largest step of Adam.
        loss: "squared", or "cross_entropy" for a logistic output.
        held_out: rows whose squared error is put down after each epoch.
        seed: of the order of the rows.
        progress: True for a bar, or an object with `update(steps, phase)`.
        resume: `state` of a run that was interrupted, with the same arguments: it goes on bit for bit.

    Raises:
        InputError: NaN, another width, values outside [0, 1] for a logistic output, or a setting out of
            range.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        as_count(name, value)
    as_count("seed", seed, least=0)
    as_positive("rate", rate, shape=())
    given = _checked(autoencoder, rows, loss)
    shown = None if held_out is None else rows_of("held_out", held_out, autoencoder.width)
    course = _Course(autoencoder, Batches(given, batch_size, seed), epochs, float(rate), loss, shown, resume)
    if isinstance(progress, bool):
        with Bar(course.total - course.done, progress) as bar:
            stopped = course.run(bar)
    else:
        stopped = course.run(progress)
    found = course.autoencoder()
    found = Autoencoder(found.encoder, found.decoder, codes_of(found, given))
    return Finetuned(found, course.history, stopped, jax.tree.map(np.asarray, course.good))


def train_autoencoder(
    rows: Any,
    sizes: Sequence[int] = (1000, 500, 250, 30),
    *,
    activation: str = "silu",
    output: str = "logistic",
    epochs: int = 30,
    batch_size: int = 100,
    rate: float = 3e-3,
    loss: str = "squared",
    held_out: Any = None,
    seed: int = 0,
    progress: bool | Progress = True,
) -> Finetuned:
    """An autoencoder n-sizes[0]-...-k-...-sizes[0]-n from new weights, without machines.

    Args:
        rows: training examples (rows, n), or of any shape with n entries; in [0, 1] for a logistic output.
        sizes: widths up to the code, the code last.
        activation: of the layers between; smooth ones keep the decoder smooth, as samplers want it.
        output: of the last layer: logistic for rows in [0, 1], identity for real ones.
        epochs, batch_size, rate, loss, held_out, seed, progress: see `finetune`; seed is that of the weights,
            too.

    Raises:
        InputError: see `finetune` and `new_autoencoder`.
    """
    given = as_rows("rows", rows, least=2)
    mean = np.asarray(given.mean(axis=0), np.float64).ravel()
    key = jax.random.key(as_count("seed", seed, least=0))
    first = new_autoencoder(given.shape[1], sizes, key, activation=activation, output=output, mean=mean)
    return finetune(
        first,
        given,
        epochs=epochs,
        batch_size=batch_size,
        rate=rate,
        loss=loss,
        held_out=held_out,
        seed=seed,
        progress=progress,
    )


class _Course:
    """A fine-tuning in progress; `good` is the last state that is known to be good."""

    def __init__(
        self,
        origin: Autoencoder,
        batches: Batches,
        epochs: int,
        rate: float,
        loss: str,
        held_out: Any,
        resume: State | None,
    ) -> None:
        self.origin, self.batches, self.rate, self.loss, self.held_out = origin, batches, rate, loss, held_out
        self.layers = origin.encoder.layers + origin.decoder.layers
        self.chain = chain_of(self.layers)
        few = dense(batches.rows[:FIRST_ROWS])
        self.state = self.good = _begin(self.layers, few, resume)
        self.done, self.total = int(self.state.step), epochs * batches.per_epoch
        start = float(mean_loss(loss, self.chain, self.state, few))
        self.limit = RUNAWAY * max(start, SHARE * _loss_of_mean(loss, few))
        self.block = int(np.clip(BLOCK_NUMBERS // (batches.size * few.shape[1]), 1, BLOCK))
        self.history: list[dict[str, float]] = []
        self.seconds, self.losses, self.since = 0.0, 0.0, self.done

    def run(self, progress: Progress) -> str:
        """To the end, to an interrupt, or to the first state that is not good: why it stopped."""
        stopped = ""
        try:
            while self.done < self.total and not stopped:
                count, stopped = self.advance()
                progress.update(count, self.words())
        except KeyboardInterrupt:
            stopped = "interrupted"
        return stopped

    def advance(self) -> tuple[int, str]:
        """One block of updates; and what is wrong with it, or ""."""
        began, per_epoch = time.perf_counter(), self.batches.per_epoch
        count = min(self.block, (self.done // per_epoch + 1) * per_epoch - self.done)
        given = self.batches(self.done, count)
        rows = np.zeros((self.block, *given.shape[1:]), np.float32)
        rows[:count] = given
        rates = self.rate * schedule((self.done + np.arange(self.block)) / self.total)
        how = self.loss, self.chain
        state, total = jax.block_until_ready(updates(*how, self.state, rows, rates.astype(np.float32), count))
        mean = float(total) / count
        if not (math.isfinite(mean) and finite(state)):
            return count, f"a weight is no longer finite after {self.done + count} updates; {SMALLER}"
        self.state, self.done, self.losses = state, self.done + count, self.losses + float(total)
        self.seconds += time.perf_counter() - began
        if self.done % per_epoch == 0:
            return count, self.judge()
        if mean <= self.limit:
            self.good = state
        return count, ""

    def judge(self) -> str:
        """At the end of an epoch: keeps the state as good, or says why it is not."""
        mean = self.losses / (self.done - self.since)
        epoch, self.losses, self.since = self.done // self.batches.per_epoch, 0.0, self.done
        found = {"epoch": epoch, "loss": mean, "seconds": self.seconds}
        if self.held_out is not None:
            found["error"] = float(mean_loss("squared", self.chain, self.state, self.held_out))
        self.history.append(found)
        if mean > self.limit:
            return f"the loss has run away: {mean:.3g} in epoch {epoch}, above {self.limit:.3g}; {SMALLER}"
        self.good = self.state
        return ""

    def words(self) -> str:
        """Where it is, for a progress bar."""
        if not self.history:
            return "epoch 1"
        return f"epoch {self.history[-1]['epoch'] + 1:.0f}, loss {self.history[-1]['loss']:.4g}"

    def autoencoder(self) -> Autoencoder:
        """The good weights."""
        layers, half = layers_of(self.layers, self.good), len(self.origin.encoder.layers)
        shapes = self.origin.encoder.input_shape, self.origin.decoder.input_shape
        return Autoencoder(Layered(layers[:half], shapes[0]), Layered(layers[half:], shapes[1]))


SMALLER = "give a smaller rate"


def schedule(share: Any) -> np.ndarray:
    """The rate after that share of the training: it rises over WARM, and falls to 0 as a cosine."""
    share = np.asarray(share, np.float64)
    left = np.clip((share - WARM) / (1 - WARM), 0, 1)
    return np.where(share < WARM, share / WARM, 0.5 + 0.5 * np.cos(np.pi * left))


def _checked(autoencoder: Any, rows: Any, loss: Any) -> Any:
    if not isinstance(autoencoder, Autoencoder):
        raise InputError(
            "autoencoder is not an Autoencoder",
            f"got {type(autoencoder).__name__}",
            "give unroll(machines) or new_autoencoder(...)",
        )
    given = as_rows("rows", rows, least=2)
    if given.shape[1] != autoencoder.width:
        raise InputError(
            f"rows has {given.shape[1]} columns",
            f"the autoencoder takes {autoencoder.width} numbers",
            "give rows of its width",
        )
    logistic = chain_of(autoencoder.decoder.layers).output.name == "logistic"
    if loss not in ("squared", "cross_entropy"):
        raise InputError(f"loss is {loss!r}", "there are two", 'give "squared" or "cross_entropy"')
    if loss == "cross_entropy" and not logistic:
        raise InputError(
            "the cross-entropy needs a logistic output", "it is that of probabilities", 'give loss="squared"'
        )
    if logistic:
        entries = given.data[:, None] if hasattr(given, "tocsr") else given
        Bernoulli(autoencoder.width).check("rows", entries)
    return given


def _begin(layers: Any, few: np.ndarray, resume: State | None) -> State:
    state = begin(layers, few)
    if resume is None:
        return state
    if jax.tree.map(np.shape, resume) != jax.tree.map(np.shape, state):
        raise InputError(
            "resume is not a state of this autoencoder",
            "its arrays are of other shapes",
            "give the state that finetune returned for it",
        )
    return jax.tree.map(lambda leaf, own: jnp.asarray(leaf, own.dtype), resume, state)


def _loss_of_mean(loss: str, rows: np.ndarray) -> float:
    """The loss of a reconstruction that is always the mean of the data."""
    mean = rows.astype(np.float64).mean(axis=0)
    if loss == "squared":
        return float(np.sum((rows - mean) ** 2) / len(rows))
    inside = np.clip(mean, 1e-6, 1 - 1e-6)
    return float(-np.sum(mean * np.log(inside) + (1 - mean) * np.log1p(-inside)))
