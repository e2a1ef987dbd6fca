"""Machines of MNIST: what likelihood is reached in how many seconds, told from both sides."""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from probinv.bench.judge import pixels
from probinv.bench.mnist import mnist
from probinv.bench.result import Result
from probinv.boltzmann.likelihood import log_likelihood, log_partition
from probinv.boltzmann.machine import Machine, machine_above, new_machine
from probinv.boltzmann.stack import Layer, Stack, variational_bound
from probinv.boltzmann.training import Course, Learning, Trained, Training, means_of_rows
from probinv.boltzmann.units import Bernoulli

CHAINS, TEMPERATURES, EQUILIBRATION = 500, 20_000, 5_000
MEANS = 10_000
EPOCHS, EPOCHS_LONG = 95, 350
EPOCHS_MEMORY, RATE_MEMORY, CHAINS_MEMORY = 30, 0.01, 100
COLUMNS = (
    "machine",
    "test log-likelihood",
    "forward",
    "reverse",
    "apart",
    "+- rows",
    "CPU s training",
    "CPU s log Z",
)


class Silent:
    """A progress that nobody watches."""

    def update(self, steps: int, phase: str) -> None:
        """Nothing."""


class Learned(NamedTuple):
    """A trained machine and what it took."""

    trained: Trained
    seconds: float

    @property
    def machine(self) -> Machine:
        """The averaged parameters."""
        machine: Machine = self.trained.model
        return machine


def learn(rows: np.ndarray, hidden: int, settings: Training, last: Machine | None = None) -> Learned:
    """A machine of Bernoulli units trained on rows in [0, 1], or on draws of the hidden units of the last
    machine given these, and CPU-seconds, compiling included."""
    began = time.process_time()
    key, below = jax.random.key(settings.seed), () if last is None else (Layer.of(last),)
    if last is None:
        machine = new_machine(Bernoulli(rows.shape[1]), Bernoulli(hidden), key, mean=rows.mean(axis=0))
    else:
        machine = machine_above(last, last.hidden, Bernoulli(hidden), key)
    trained = Course(Learning(machine, below=below), rows, settings).run(Silent())
    return Learned(trained, time.process_time() - began)


def binary(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """0 or 1, drawn once with the gray values as probabilities (Salakhutdinov and Murray 2008)."""
    return (np.random.default_rng(seed).random(rows.shape) < rows).astype(np.float32)


def weigh(found: Learned, rows: np.ndarray, chains: int, temperatures: int) -> dict[str, Any]:
    """The bracket of log Z of a machine, from its persistent chains, and CPU-seconds."""
    began, machine = time.process_time(), found.machine
    start = np.asarray(
        machine.visible.sample(jax.random.key(1), machine.down(jnp.asarray(found.trained.state.chain)))
    )
    bracket = log_partition(
        machine,
        start,
        key=jax.random.key(2),
        chains=chains,
        temperatures=temperatures,
        equilibration=EQUILIBRATION,
        mean=rows[:MEANS].mean(axis=0),
    )
    return {"bracket": bracket, "seconds": time.process_time() - began}


def figures_of(
    found: Learned, rows: np.ndarray, test: np.ndarray, chains: int = CHAINS, temperatures: int = TEMPERATURES
) -> dict[str, Any]:
    """Test log-likelihood of a machine, as a bracket."""
    known = weigh(found, rows, chains, temperatures)
    bracket = known["bracket"]
    result = log_likelihood(found.machine, test, bracket)
    return {
        "log_likelihood": result.middle,
        "optimistic": result.optimistic,
        "pessimistic": result.pessimistic,
        "error_rows": result.rows_error,
        "log_partition": bracket._asdict(),
        "warnings": bracket.warnings,
        "seconds_training": found.seconds,
        "seconds_log_partition": known["seconds"],
        "epochs": len(found.trained.history),
        "stopped": found.trained.stopped,
    }


@functools.cache
def first_machine(epochs: int) -> tuple[Learned, dict[str, Any]]:
    """The machine 784-500 and its figures; two benches of one command share it."""
    digits = mnist()
    rows, test = pixels(digits.train), binary(pixels(digits.test))
    found = learn(rows, 500, Training(epochs=epochs))
    return found, figures_of(found, rows, test)


def bench_rbm(epochs: int = EPOCHS) -> Result:
    """Test log-likelihood of a machine 784-500 after 400 CPU-seconds; needs MNIST (PROBINV_DATA)."""
    figures = first_machine(epochs)[1]
    return Result(
        figures, COLUMNS, [_row(f"784-500, {epochs} epochs", figures)], _notes(figures, f"{CHAINS} chains")
    )


def bench_rbm_long() -> Result:
    """The same with up to an hour of training; needs MNIST (PROBINV_DATA)."""
    return bench_rbm(EPOCHS_LONG)


def bench_dbn() -> Result:
    """Variational bound of a network 784-500-2000 beside its first machine; needs MNIST (PROBINV_DATA)."""
    digits = mnist()
    rows, test = pixels(digits.train), binary(pixels(digits.test))
    first, below = first_machine(EPOCHS)
    how = Training(epochs=EPOCHS_MEMORY, rate=RATE_MEMORY)
    memory = learn(rows, 2000, how, first.machine)
    features = means_of_rows((Layer.of(first.machine),), rows[:MEANS])
    known = weigh(memory, np.asarray(features), CHAINS_MEMORY, TEMPERATURES)
    bracket, stack = known["bracket"], Stack((Layer.of(first.machine),), memory.machine)
    bound = variational_bound(stack, jax.random.key(3), jnp.asarray(test), draws=20)
    figures = {
        "first": below,
        "bound": bound.value - bracket.middle,
        "optimistic": bound.value - bracket.forward,
        "pessimistic": bound.value - bracket.reverse,
        "error_rows": bound.error,
        "log_partition": bracket._asdict(),
        "warnings": bracket.warnings,
        "seconds_training": memory.seconds,
        "seconds_log_partition": known["seconds"],
    }
    whole = figures | {"log_likelihood": figures["bound"]}
    rows_of_table = [_row("784-500 alone", below), _row("784-500-2000, lower bound", whole)]
    return Result(
        figures, COLUMNS, rows_of_table, _notes(figures, f"{CHAINS} chains ({CHAINS_MEMORY} in the memory)")
    )


def _row(name: str, found: dict[str, Any]) -> tuple[Any, ...]:
    return (
        name,
        f"{found['log_likelihood']:.2f}",
        f"{found['optimistic']:.2f}",
        f"{found['pessimistic']:.2f}",
        f"{abs(found['optimistic'] - found['pessimistic']):.2f}",
        found["error_rows"],
        found["seconds_training"],
        found["seconds_log_partition"],
    )


def _notes(figures: dict[str, Any], chains: str) -> list[str]:
    return [
        f"Nats per image. log Z by annealing from both ends, {chains} x {TEMPERATURES} temperatures; "
        f"the reverse chains go on from the persistent ones for {EQUILIBRATION} Gibbs steps first. The "
        "middle of both is given.",
        "The 10,000 test images are made 0 or 1 once, with their gray values as probabilities; training "
        "images anew in every update. +- rows: standard error over the test images.",
        "CPU s: of this process, compiling included.",
        *(f"Warning: {warning}." for warning in figures["warnings"]),
    ]
