"""Weights of 32 separate modes, which are known by quadrature: tempered SMC against many NUTS chains."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from probinv._invert import invert
from probinv._typing import X, Y
from probinv.bench.result import Result
from probinv.forward import Function
from probinv.likelihood import Gaussian
from probinv.methods import NUTS, AbstractMethod, TemperedSMC
from probinv.posterior import Posterior
from probinv.prior import Normal
from probinv.results.tree import provenance

SIGMA, PARTICLES = 0.05, 4096
SHIFTS = {"equal": (0.0, 0.0, 0.0, 0.0, 0.0), "unequal": (0.0, 0.1, 0.2, 0.4, 0.7)}
GRID = 200_001


class Weights(NamedTuple):
    """How far the weights of modes are off.

    Attributes:
        margins: mean over inputs of | share of draws on the upper side - its probability |, averaged over
        chains. joint: total variation distance of the weights of all 32 modes, all draws together.
        visited: modes with a draw.
    """

    margins: float
    joint: float
    visited: int


def posterior(shift: tuple[float, ...], sigma: float = SIGMA) -> Posterior:
    """x ~ N(0, I), y_i = (x_i + c_i)^2, Y* = 1 within sigma: a mode at every choice of signs of x_i + c_i."""
    wish = Gaussian(np.ones(len(shift)), sigma)
    return Posterior(Normal(0.0, 1.0, len(shift)), Function(_squares, np.array(shift)), wish)


def _squares(shift: Array, x: X) -> Y:
    return (x + shift) ** 2


def upper(shift: tuple[float, ...], sigma: float = SIGMA) -> Float[np.ndarray, " n"]:
    """P(x_i + c_i > 0 | Y*) of every input, by quadrature: the inputs are independent."""
    x = np.linspace(-6.0, 6.0, GRID)
    found = []
    for c in shift:
        log_density = -0.5 * x**2 - 0.5 * (((x + c) ** 2 - 1) / sigma) ** 2
        density = np.exp(log_density - log_density.max())
        found.append(density[x + c > 0].sum() / density.sum())
    return np.array(found)


def weights(tree: xr.DataTree, shift: tuple[float, ...], sigma: float = SIGMA) -> Weights:
    """The weights that the draws of a result give to the modes, against those by quadrature."""
    above = tree["posterior"]["x"].values + np.array(shift) > 0
    wanted = upper(shift, sigma)
    modes = (np.arange(2 ** len(shift))[:, None] >> np.arange(len(shift))) % 2 == 1
    joint = np.where(modes, wanted, 1 - wanted).prod(axis=1)
    place = (above * 2 ** np.arange(len(shift))).sum(axis=-1).ravel()
    share = np.bincount(place, minlength=len(joint)) / len(place)
    return Weights(
        float(np.abs(above.mean(axis=1) - wanted).mean()),
        float(0.5 * np.abs(share - joint).sum()),
        int(np.sum(share > 0)),
    )


def bench_modes() -> Result:
    """Weights of 32 modes that are known: TemperedSMC with 4096 particles, NUTS with 64 chains."""
    methods: tuple[AbstractMethod, ...] = (
        TemperedSMC(draws=PARTICLES),
        NUTS(draws=PARTICLES // 64, chains=64),
    )
    figures, rows = {}, []
    for name, shift in SHIFTS.items():
        for method in methods:
            tree = invert(posterior(shift), method, seed=0, progress=False, verdict=False)
            facts, found = provenance(tree), weights(tree, shift)
            one: dict[str, Any] = found._asdict() | {
                "seconds_compile": facts["seconds_compile"],
                "seconds_sampling": facts["seconds_sampling"],
                "verdict": facts["verdict"]["verdict"],
            }
            if isinstance(method, NUTS):  # a chain stays where it begins: all chains together are one answer
                pooled = tree["posterior"]["x"].values + np.array(shift) > 0
                one["margins"] = float(np.abs(pooled.mean(axis=(0, 1)) - upper(shift)).mean())
            figures[f"{name}, {type(method).__name__}"] = one
            rows.append((name, type(method).__name__, *one.values()))
    notes = [
        f"x ~ N(0, I_5), (x_i + c_i)^2 = 1 within {SIGMA}; c = 0, or {SHIFTS['unequal']}.",
        "margins: mean of |share of draws with x_i + c_i > 0 - its probability by quadrature|, of each of 4 "
        f"replicates of {PARTICLES} particles, averaged; of NUTS, of all 64 chains together.",
        "joint: total variation distance of the weights of the 32 modes, of all draws.",
    ]
    return Result(figures, COLUMNS, rows, notes)


COLUMNS = ("weights", "method", "margins off", "joint off", "modes", "s compile", "s sampling", "verdict")
