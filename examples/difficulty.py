"""Which random patterns have difficulty 7?

A network of 10 inputs and 1 output learns the difficulty of synthetic patterns. 200 distinct patterns that it
scores 7 are drawn from a box, and the picture shows how far each input may vary.

    python examples/difficulty.py [--quick] [--folder FOLDER]
"""

import jax
import numpy as np
from _common import Figure, plt, run, settings

import probinv
from probinv.bench.problems import difficulty_patterns, train_network

PATTERNS = 200


def main(quick: bool) -> dict[str, Figure]:
    x, y = difficulty_patterns(5000)
    network = train_network(x, y, (10, 32, 32, 1), steps=1000 if quick else 4000, rate=1e-2)
    prior = probinv.Uniform(0.0, 1.0, shape=(10,))
    tree = probinv.query(
        network, [7.0], prior=prior, tolerance=0.1, method=settings(quick, probinv.LiftedHMC)
    )

    draws = tree.posterior["x"].values.reshape(-1, 10)
    patterns = np.unique(draws, axis=0)
    patterns = patterns[np.random.default_rng(0).choice(len(patterns), PATTERNS, replace=False)]
    scores = np.asarray(jax.vmap(network)(patterns))[:, 0]
    print(f"{PATTERNS} distinct patterns, scored {scores.mean():.2f} +- {scores.std():.2f}")
    print(f"one of 7 is rare: {(y > 6.9).mean() - (y > 7.1).mean():.1%} of random patterns lie within 0.1")
    return {"difficulty": picture(patterns, tree.prior["x"].values[0])}


def picture(patterns: np.ndarray, prior: np.ndarray) -> Figure:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    order = np.argsort(patterns[:, 1] - patterns[:, 0])
    image = left.imshow(
        patterns[order], aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest"
    )
    left.set(
        xlabel="input", ylabel="pattern", title=f"{len(patterns)} patterns of difficulty 7", xticks=range(10)
    )
    figure.colorbar(image, ax=left, label="value")
    at = np.arange(10)
    for values, shift, colour, label in (
        (prior, -0.15, "0.65", "random patterns"),
        (patterns, 0.15, "tab:blue", "patterns of difficulty 7"),
    ):
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
        right.errorbar(
            at + shift, middle, [middle - low, high - middle], fmt="o", color=colour, label=label, capsize=3
        )
    right.set(
        xlabel="input", ylabel="value", title="median and 90 % interval of every input", xticks=range(10)
    )
    right.set_ylim(-0.02, 1.3)
    right.legend(loc="upper center", frameon=False, ncols=2)
    return figure


if __name__ == "__main__":
    run(main)
