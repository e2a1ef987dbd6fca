"""Real data in units of their own standard deviations, where one rate of training suits all columns."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from probinv.boltzmann.machine import Machine
from probinv.boltzmann.training._rows import dense
from probinv.boltzmann.units import Gaussian, Joined

CONSTANT = 1e-2
NOISE = 0.05


class Scaling(NamedTuple):
    """s = (v - shift) / scale, of the first columns of the visible side.

    A machine of s is one of v as well, with

        sigma' = sigma scale,  a' = a / scale + shift / sigma'^2,  W' = W / scale,  b' = b - (shift / scale) W

    so a machine can be trained on s and kept in the units of the data.

    Attributes:
        shift, scale: (n,), in double precision.
    """

    shift: Float[np.ndarray, " n"]
    scale: Float[np.ndarray, " n"]

    @staticmethod
    def of(rows: Any) -> "Scaling":
        """Mean and standard deviation of the rows; a constant column gets 1e-2 of the others' median."""
        data = np.asarray(dense(rows), np.float64)
        shift, scale = data.mean(axis=0), data.std(axis=0)
        varied = scale > 1e-7 * np.abs(shift)
        usual = float(np.median(scale[varied])) if varied.any() else 1.0 / CONSTANT
        return Scaling(shift, np.where(varied, scale, CONSTANT * usual))

    def scaled(self, rows: Any, seed: Any) -> Float[np.ndarray, "rows n"]:
        """s for training, with noise of 5 % of the standard deviations.

        Without it a column that is constant, discrete or a function of others has a density without bound,
        and the learned variance falls to 0.
        """
        data = (np.asarray(dense(rows), np.float64) - self.shift[None]) / self.scale[None]
        noise = np.random.default_rng(seed).standard_normal(data.shape, np.float32)
        return np.asarray(data, np.float32) + np.float32(NOISE) * noise

    def to_data(self, machine: Machine) -> Machine:
        """The machine of v that a machine of s is, in double precision."""
        n = self.shift.size
        weight, a, b = (np.array(x, np.float64) for x in _weights(machine))
        log_sigma = np.asarray(_gaussian(machine).log_sigma, np.float64) + np.log(self.scale)
        b -= (self.shift / self.scale) @ weight[:n]
        weight[:n] /= self.scale[:, None]
        a[:n] = a[:n] / self.scale + self.shift * np.exp(-2 * log_sigma)
        return _with(machine, log_sigma, weight, a, b)

    def from_data(self, machine: Machine) -> Machine:
        """The machine of s that a machine of v is."""
        n = self.shift.size
        weight, a, b = (np.array(x, np.float64) for x in _weights(machine))
        log_sigma = np.asarray(_gaussian(machine).log_sigma, np.float64)
        a[:n] = (a[:n] - self.shift * np.exp(-2 * log_sigma)) * self.scale
        b += self.shift @ weight[:n]
        weight[:n] *= self.scale[:, None]
        return _with(machine, log_sigma - np.log(self.scale), weight, a, b)


def _weights(machine: Machine) -> tuple[Any, Any, Any]:
    return machine.weight, machine.visible_bias, machine.hidden_bias


def _gaussian(machine: Machine) -> Any:
    return machine.visible.parts[0] if isinstance(machine.visible, Joined) else machine.visible


def _with(machine: Machine, log_sigma: Any, weight: Any, a: Any, b: Any) -> Machine:
    own: Any = Gaussian(log_sigma.size, log_sigma)
    visible = Joined([own, *machine.visible.parts[1:]]) if isinstance(machine.visible, Joined) else own
    return Machine(visible, machine.hidden, weight, a, b)
