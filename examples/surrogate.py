"""Which beam was it, when a network only approximates the simulator?

A network has learned the logarithm of a beam's deflection from 150 simulations and is wrong by some per cent.
For real beams, measured within 1 %, the posterior must hold the true beam as often as it says. With the
network taken as exact it does not by far. With the network's own error, estimated from held-out simulations,
in the likelihood it nearly does: the errors have heavier tails than the Gaussian that stands for them.

    python examples/surrogate.py [--quick] [--folder FOLDER]
"""

import jax
import numpy as np
from _common import Figure, plt, run, settings

import probinv
from probinv.bench.problems import train_network

NOISE = 0.01
RANGES = {"length": (1.0, 2.0), "width": (0.04, 0.08), "height": (0.06, 0.12), "load": (0.5, 2.0)}
"""Metres, and kilonewtons at the free end of a cantilever of steel with a modulus of 200 GPa."""
LOW, HIGH = np.array(list(RANGES.values())).T


def simulator(x: np.ndarray) -> np.ndarray:
    """Logarithm of the deflection: F L^3 / (3 E I), I = b h^3 / 12, with the shear of a short beam added."""
    length, width, height, load = x.T
    bending = 1e3 * load * length**3 / (3 * 200e9 * width * height**3 / 12)
    shear = 1.2 * 1e3 * load * length / (77e9 * width * height)
    return np.log(1e3 * (bending + shear))


def main(quick: bool) -> dict[str, Figure]:
    rng = np.random.default_rng(0)
    x = rng.uniform(LOW, HIGH, size=(450, 4))
    y = simulator(x)[:, None]
    scaled = 2 * (x - LOW) / (HIGH - LOW) - 1
    surrogate = train_network(scaled[:150], y[:150], (4, 24, 24, 1), steps=1000 if quick else 3000, rate=1e-2)

    def network(x: jax.Array) -> jax.Array:
        return surrogate(2 * (x - LOW) / (HIGH - LOW) - 1)

    residuals = y[150:] - np.asarray(jax.vmap(network)(x[150:]))
    print(f"the network is wrong by {np.sqrt(np.mean(residuals**2)):.1%}, the measurement by {NOISE:.0%}")
    wishes = {
        "network taken as exact": lambda y_star: probinv.Gaussian(y_star, NOISE),
        "network's error included": lambda y_star: probinv.Gaussian.from_residuals(
            y_star, residuals, tolerance=NOISE
        ),
    }
    beams = rng.uniform(LOW, HIGH, size=(3 if quick else 40, 4))
    measured = simulator(beams) + NOISE * rng.normal(size=len(beams))
    predicted = np.asarray(jax.vmap(network)(beams))[:, 0]
    prior = {name: probinv.Uniform(*ends) for name, ends in RANGES.items()}
    found = {}
    for name, wish in wishes.items():
        trees = [
            probinv.invert(
                probinv.Posterior(prior, network, wish([y_star])),
                settings(quick, probinv.LiftedHMC),
                verdict=False,
                progress=False,
            )
            for y_star in measured
        ]
        draws = np.stack([tree.posterior_predictive["y"].values.ravel() for tree in trees])
        ends = np.quantile(draws, [0.025, 0.975], axis=1) - predicted
        held = (ends[0] < 0) & (ends[1] > 0)
        print(f"{name}: the 95 % interval holds the true beam for {held.sum()} of {len(beams)}")
        found[name] = (ends, held, trees[0])
    return {"surrogate": picture(found, beams[0])}


def picture(found: dict[str, tuple], beam: np.ndarray) -> Figure:
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), width_ratios=(1.6, 1, 1), layout="constrained")
    for row, (name, (ends, held, tree)) in zip(axes, found.items(), strict=True):
        row[0].vlines(np.arange(len(held)), *(100 * ends), color=np.where(held, "tab:blue", "tab:red"), lw=3)
        row[0].axhline(0, color="tab:orange", label="the true beam")
        row[0].set(ylim=(-12, 12), xlabel="beam", ylabel="95 % interval of the\npredicted deflection, %")
        row[0].set_title(f"{name}: holds {held.sum()} of {len(held)} true beams", fontsize=10)
        row[0].legend(frameon=False, loc="upper right")
        for axis, (one, two) in zip(row[1:], (("length", "height"), ("load", "width")), strict=True):
            i, j = list(RANGES).index(one), list(RANGES).index(two)
            posterior = tree.posterior
            axis.scatter(posterior[one], posterior[two], s=3, alpha=0.3, color="tab:blue")
            axis.plot(beam[i], beam[j], "*", color="tab:orange", ms=14, mec="k")
            axis.set(xlabel=one, ylabel=two, xlim=RANGES[one], ylim=RANGES[two])
    axes[0, 1].set_title("draws for the first beam", fontsize=10)
    return figure


if __name__ == "__main__":
    run(main)
