"""A training killed at any moment goes on bit for bit; a checkpoint of another training is refused."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.sparse as sp

from probinv._errors import FileError
from probinv.boltzmann.machine import new_machine
from probinv.boltzmann.stack import Layer
from probinv.boltzmann.training import Course, Learning, Trained, Training
from probinv.boltzmann.training._checkpoint import Checkpoint, pack_history, unpack_history
from probinv.boltzmann.units import Bernoulli, Gaussian, Joined
from tests.boltzmann.test_training import Interrupt, Silent, same

ROOT = Path(__file__).parents[2]
ROWS = np.random.default_rng(0).random((120, 5)).round(2).astype(np.float32)
SETTINGS = Training(epochs=6, batch_size=20, momentum=0.3, snapshots=6, seed=2)


def begun(settings: Training = SETTINGS, rows: Any = ROWS) -> Course:
    """The same in the process that is killed and in this one."""
    visible = Joined([Bernoulli(3), Gaussian(2, -0.5)])
    machine = new_machine(visible, Bernoulli(4), jax.random.key(1), mean=ROWS.mean(axis=0))
    return Course(Learning(machine), rows, settings, ROWS[:7])


def without_seconds(trained: Trained) -> list[list[tuple[str, float]]]:
    return [[(n, v) for n, v in epoch.items() if n != "seconds"] for epoch in trained.history]


def equal(one: Trained, other: Trained) -> bool:
    return (
        same(one.model, other.model)
        and same(one.state, other.state)
        and same(one.snapshots, other.snapshots)
        and repr(without_seconds(one)) == repr(without_seconds(other))
        and one.stopped == other.stopped
    )


@pytest.fixture(scope="module")
def whole() -> Trained:
    return begun().run(Silent())


KILLED = """
import sys, time
from pathlib import Path
from tests.boltzmann import test_checkpoint as own

class Slow:
    def update(self, steps, phase):
        print("updated", flush=True)
        time.sleep(0.2)

course = own.begun()
course.run(Slow(), own.Checkpoint(course, Path(sys.argv[1]), seconds=0.0))
"""


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_bit_for_bit(whole: Trained, tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        for _ in range(3):
            assert child.stdout.readline() == "updated\n"
        time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    course = begun()
    file = Checkpoint(course, path)
    assert file.resume(course)
    assert 0 < course.done < course.total
    assert equal(course.run(Silent(), file), whole)


@pytest.mark.parametrize("at", [1, 3])
def test_an_interrupted_training_goes_on(at: int, whole: Trained, tmp_path: Path) -> None:
    first = begun()
    file = Checkpoint(first, tmp_path / "c", seconds=0.0)
    assert first.run(Interrupt(at), file).stopped == "interrupted"
    file.save(first)
    again = begun()
    assert Checkpoint(again, tmp_path / "c").resume(again)
    assert again.done == first.done
    assert again.seconds == first.seconds
    assert equal(again.run(Silent()), whole)


def test_a_finished_training_is_there_at_once(whole: Trained, tmp_path: Path) -> None:
    course = begun()
    course.run(Silent(), Checkpoint(course, tmp_path / "c", seconds=1e9))  # saved at the end
    again = begun()
    assert Checkpoint(again, tmp_path / "c").resume(again)
    assert again.done == again.total
    assert equal(again.run(Silent()), whole)


def test_without_a_file_nothing_is_resumed(tmp_path: Path) -> None:
    course = begun()
    assert not Checkpoint(course, tmp_path / "none").resume(course)
    assert course.done == 0


def test_the_ladder_of_earlier_machines_is_kept(tmp_path: Path) -> None:
    settings = replace(SETTINGS, swaps=2, momentum=0.0)
    first = begun(settings)
    file = Checkpoint(first, tmp_path / "c", seconds=0.0)
    first.run(Interrupt(6), file)
    file.save(first)
    again = begun(settings)
    assert Checkpoint(again, tmp_path / "c").resume(again)
    assert equal(again.run(Silent()), begun(settings).run(Silent()))


def other(settings: Training) -> Any:
    return lambda: begun(settings)


OTHERS: dict[str, Any] = {
    "epochs": other(replace(SETTINGS, epochs=7)),
    "rate": other(replace(SETTINGS, rate=0.11)),
    "seed": other(replace(SETTINGS, seed=3)),
    "rows": lambda: begun(rows=ROWS[::-1].copy()),
    "one number": lambda: begun(rows=np.where(np.arange(600).reshape(120, 5) == 333, 0.123, ROWS)),
    "fewer rows": lambda: begun(rows=ROWS[:100]),
    "sparse": lambda: begun(rows=sp.csr_array(ROWS)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_checkpoint_of_another_training_is_refused(what: str, tmp_path: Path) -> None:
    course = begun()
    Checkpoint(course, tmp_path / "c").save(course)
    strange = OTHERS[what]()
    with pytest.raises(FileError, match="another training"):
        Checkpoint(strange, tmp_path / "c").resume(strange)
    assert strange.done == 0


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    course = begun()
    path = Checkpoint(course, tmp_path / "c").save(course)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match="damaged"):
        Checkpoint(course, path).resume(course)
    with pytest.raises(FileError, match="cannot be written"):
        Checkpoint(course, tmp_path / "no folder" / "c").save(course)


def test_history_with_nan_comes_back() -> None:
    history = [{"epoch": 1.0, "gap": float("nan")}, {"epoch": 2.0, "gap": 0.5}]
    assert repr(unpack_history(*pack_history(history))) == repr(history)
    assert unpack_history(*pack_history([])) == []


def test_a_checkpoint_above_other_layers_is_refused(tmp_path: Path) -> None:
    """The rows are the same, what goes up from them is not."""

    def above(seed: int) -> Course:
        last = new_machine(Bernoulli(5), Bernoulli(4), jax.random.key(seed))
        machine = new_machine(Bernoulli(4), Bernoulli(2), jax.random.key(1))
        return Course(Learning(machine, below=(Layer.of(last),)), ROWS, SETTINGS)

    one, same_one, other_one = above(0), above(0), above(1)
    Checkpoint(one, tmp_path / "c").save(one)
    assert Checkpoint(same_one, tmp_path / "c").resume(same_one)
    with pytest.raises(FileError, match="another training"):
        Checkpoint(other_one, tmp_path / "c").resume(other_one)
