"""The toy of Au, Graham & Thiery 2023: a loop that becomes infinitely thin, LiftedHMC against mici."""

from typing import Any

import numpy as np
from jaxtyping import Float

from probinv._invert import invert
from probinv._typing import X, Y
from probinv.bench.metrics import worth_of
from probinv.bench.result import Result
from probinv.bench.rivals import has_mici, mici_loop
from probinv.forward import Function
from probinv.likelihood import Exactly, Gaussian
from probinv.methods import LiftedHMC
from probinv.posterior import Posterior
from probinv.prior import Normal
from probinv.results.tree import provenance

Y_STAR, SIGMAS, RACE = 1.0, (1.0, 0.1, 1e-2, 1e-3, 1e-4, 0.0), 1e-4
THIN = 4
GRID, FARTHEST = 4001, 4.0


def loop(x: X) -> Y:
    """F(x) = x1^2 + x0^2 (x0^2 - 1/2); F = 1 is one closed loop (arXiv 2003.03950, section 2)."""
    return (x[1] ** 2 + x[0] ** 2 * (x[0] ** 2 - 0.5))[None]


def posterior(sigma: float) -> Posterior:
    """x ~ N(0, I_2), F(x) = 1 within sigma; sigma = 0 is exactly."""
    wish = Gaussian([Y_STAR], sigma) if sigma else Exactly([Y_STAR])
    return Posterior(Normal(0.0, 1.0, 2), Function(loop), wish)


def margin(sigma: float) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, " grid"]]:
    r"""|x0| on a grid, and its distribution function under the posterior, by quadrature.

    With w = x1^2, which is of chi-squared's law with one degree, and the wish Y* = x0^4 - x0^2 / 2 + w +
    sigma e,

        p(x0 | Y*) ~ N(x0) int exp(-w / 2) w^(-1/2) N(Y* - x0^4 + x0^2 / 2 - w; 0, sigma^2) dw,

    in v = sqrt(w), for which the integrand is smooth; for sigma = 0 it is N(x0) exp(-w / 2) w^(-1/2) at
    the w > 0 that is left.
    """
    edge = np.sqrt((0.5 + np.sqrt(0.25 + 4 * Y_STAR)) / 2)
    part = (np.arange(GRID) + 0.5) / GRID
    x0 = edge * np.sin(0.5 * np.pi * part)  # dense at the edge, where the exact law has a root in its density
    if sigma == 0:
        w = Y_STAR - x0**4 + 0.5 * x0**2
        density = np.exp(-0.5 * x0**2 - 0.5 * w) / np.sqrt(w) * np.cos(0.5 * np.pi * part)
        total = np.cumsum(density)
        return x0, (total - 0.5 * density) / total[-1]
    x0 = np.concatenate([[0.0], x0, edge + (FARTHEST - edge) * part**4])
    density = np.array([np.exp(-0.5 * a**2) * _inner(Y_STAR - a**4 + 0.5 * a**2, sigma) for a in x0])
    total = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x0))])
    return x0, total / total[-1]


def _inner(left: float, sigma: float) -> float:
    """int_0^inf exp(-v^2 / 2) exp(-(left - v^2)^2 / (2 sigma^2)) dv, on a grid around where it is large."""
    low, high = (np.sqrt(max(0.0, left + side * 9 * sigma)) for side in (-1, 1))
    v = low + (high - low) * (np.arange(GRID) + 0.5) / GRID
    value = np.exp(-0.5 * v**2 - 0.5 * ((left - v**2) / sigma) ** 2)
    return float(value.mean() * (high - low))


def distance(x: Float[np.ndarray, "chains draws 2"], sigma: float) -> float:
    """Kolmogorov-Smirnov distance of the draws of |x0| from the law of `margin`."""
    grid, exact = margin(sigma)
    drawn = np.sort(np.abs(x[..., 0]).ravel())
    level = np.interp(drawn, grid, exact)
    steps = np.arange(len(drawn) + 1) / len(drawn)
    return float(max(np.max(level - steps[:-1]), np.max(steps[1:] - level)))


def bench_toy() -> Result:
    """A loop of vanishing width: LiftedHMC from sigma = 1 to 0, at 1e-4 against mici's constrained HMC."""
    figures: dict[str, Any] = {}
    for sigma in SIGMAS:
        tree = invert(posterior(sigma), LiftedHMC(thin=THIN), seed=0, progress=False, verdict=False)
        facts, found = provenance(tree), worth_of(tree)
        figures[f"LiftedHMC, {sigma:g}"] = {
            "min_ess": found.ess,
            "worst_rhat": found.rhat,
            "ess_per_1000_gradients": 1000 * found.ess / facts["gradients"],
            "seconds_sampling": facts["seconds_sampling"],
            "ess_per_second": found.ess / facts["seconds_sampling"],
            "ks_distance": distance(tree["posterior"]["x"].values, sigma),
            "verdict": facts["verdict"]["verdict"],
        }
    notes = [
        "x ~ N(0, I_2), x1^2 + x0^2 (x0^2 - 1/2) = 1 within sigma; 4 x 1000 draws, every "
        f"{THIN}th transition; min ESS over x, energy, log likelihood.",
        "KS: distance of the draws of |x0| from its law by quadrature; for n independent draws it is below "
        "1.6 / sqrt(n) in 99 % of cases.",
    ]
    if has_mici():
        figures |= _race(figures[f"LiftedHMC, {RACE:g}"])
        notes.append(
            "mici: its defaults (dynamic multinomial HMC), 4 x (200 + 300), derivatives in closed form."
        )
    else:
        notes.append("mici is not installed, so its row is left out: pip install 'probinv[bench]'.")
    return Result(figures, COLUMNS, [_row(name, found) for name, found in figures.items()], notes)


def _race(ours: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = mici_loop(RACE, Y_STAR)
    speed = found.worth.ess / found.seconds
    return {
        f"mici, {RACE:g}": {
            "min_ess": found.worth.ess,
            "worst_rhat": found.worth.rhat,
            "seconds_sampling": found.seconds,
            "ess_per_second": speed,
            "ks_distance": distance(found.x, RACE),
            "ratio": ours["ess_per_second"] / speed,
        }
    }


COLUMNS = (
    "sampler, sigma",
    "ESS/1000 gradients",
    "min ESS",
    "R-hat",
    "s sampling",
    "ESS/s",
    "KS",
    "ours/theirs",
)


def _row(name: str, found: dict[str, Any]) -> tuple[Any, ...]:
    return (
        name,
        found.get("ess_per_1000_gradients", ""),
        found["min_ess"],
        f"{found['worst_rhat']:.3f}",
        found["seconds_sampling"],
        found["ess_per_second"],
        found["ks_distance"],
        found.get("ratio", ""),
    )
