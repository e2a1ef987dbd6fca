"""What a method is: an object that is its own configuration, and turns a view into draws or points."""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from probinv._progress import Progress as Progress
from probinv._typing import PRNGKey


class Cost(NamedTuple):
    """What a run cost: gradient evaluations of log p(z | Y*), and seconds for compiling and for running."""

    gradients: int
    seconds_compile: float
    seconds_run: float


class Draws(NamedTuple):
    """Draws of z from p(z | Y*).

    Attributes:
        z: (chain, draw, n).
        stats: name -> (chain, draw); names as ArviZ has them.
        cost: gradient evaluations and seconds.
        state: arrays from which the same run continues bit for bit.
        interrupted: the draws are a valid prefix of what was asked for.
        notes: facts about the run that a verdict may use (JSON values).
        whole: of a run that was continued, z and stats hold what there was before, too.
    """

    z: np.ndarray
    stats: dict[str, np.ndarray]
    cost: Cost
    state: dict[str, np.ndarray]
    interrupted: bool
    notes: dict[str, Any]
    whole: bool = False


class Optima(NamedTuple):
    """Points z, which are answers but not draws.

    Attributes:
        z: (optimum, n), best first. NaN in the rows of `inputs` that no z gives.
        start: (optimum, n), where each began.
        stats: name -> (optimum,).
        cost: gradient evaluations and seconds.
        interrupted: the search was stopped before its end.
        notes: facts about the run (JSON values).
        inputs: of a method that works in x: x and where each began, both (optimum, *x), which need not lie in
            the prior's support. In place of T(z) and T(start).
    """

    z: np.ndarray
    start: np.ndarray
    stats: dict[str, np.ndarray]
    cost: Cost
    interrupted: bool
    notes: dict[str, Any]
    inputs: tuple[np.ndarray, np.ndarray] | None = None


class AbstractMethod(eqx.Module):
    """A method: its fields are its settings.

    A final class states `view` (the view of the posterior that it works on) and `exact` (whether its draws
    converge to the posterior), and defines `steps`, `memory`, `points` and `run`.
    """

    view: eqx.AbstractClassVar[Any]
    exact: eqx.AbstractClassVar[bool]

    @property
    @abstractmethod
    def steps(self) -> int:
        """The number of steps that `run` reports to its progress."""

    @abstractmethod
    def memory(self, size: int) -> int:
        """Bytes that a run in `size` coordinates holds at its peak, estimated from the settings."""

    @property
    @abstractmethod
    def points(self) -> int:
        """The number of z that a run returns."""

    @abstractmethod
    def run(
        self, view: Any, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Draws | Optima:
        """Draws, or optima. Called inside `double_precision`.

        Args:
            view: a view of the kind that `view` names.
            key: all randomness of the run comes from it.
            progress: told of every step.
            resume: `Draws.state` of an earlier run with the same key, continued bit for bit.
        """
