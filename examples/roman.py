"""What does a classifier of Roman numerals think an X looks like?

A 400-100-25-6 network learns drawn and jittered numerals. Under a prior that knows nothing of numerals almost
any noise is an X to it, so the draws are noise; under a prior learned from the drawings the mean of the draws
is an X.

    python examples/roman.py [--quick] [--folder FOLDER]
"""

import jax
import numpy as np
from _common import Figure, plt, run, settings

import probinv
from probinv.bench.problems import NUMERALS, SIDE, roman_numerals, train_network
from probinv.prior import fit_gaussian

ASKED = "X"


def main(quick: bool) -> dict[str, Figure]:
    images, labels = roman_numerals(3000)
    train = {"loss": "cross_entropy", "steps": 300 if quick else 1000, "decay": 1e-2}
    network = train_network(images, labels, (400, 100, 25, 6), **train)
    other = train_network(images, labels, (400, 60, 6), activation="relu", seed=1, **train)
    held_out, truth = roman_numerals(1000, seed=1)
    right = jax.vmap(network)(held_out.reshape(1000, -1)).argmax(axis=1) == truth
    print(f"the network names {right.mean():.1%} of 1000 new drawings")

    wish = probinv.Label(NUMERALS.index(ASKED))
    priors = {
        "any pixels": probinv.Uniform(0.0, 1.0, shape=(400,)),
        "pixels like the drawings'": fit_gaussian(images.reshape(len(images), -1)),
    }
    rows = {}
    for name, prior in priors.items():
        print(f"\nprior: {name}")
        tree = probinv.invert(probinv.Posterior(prior, network, wish), settings(quick))
        draws = tree.posterior["x"].values.reshape(-1, 400)
        agree = np.asarray(jax.vmap(other)(draws).argmax(axis=1) == wish.k).mean()
        print(f"a second network calls {agree:.0%} of the draws an {ASKED}")
        before = np.asarray(jax.vmap(network)(tree.prior["x"].values[0]).argmax(axis=1) == wish.k).mean()
        print(f"{before:.0%} of the draws from the prior are an {ASKED} to the network already")
        label = f"{name}\nsecond network agrees: {agree:.0%}\nof the prior already an {ASKED}: {before:.0%}"
        rows[label] = draws
    return {"roman": picture(rows, images[labels == int(wish.k)])}


def picture(rows: dict[str, np.ndarray], drawn: np.ndarray) -> Figure:
    figure, axes = plt.subplots(len(rows) + 1, 8, figsize=(11, 4.8), layout="constrained")
    rows = {"drawings it was trained on": drawn.reshape(len(drawn), -1)} | rows
    for line, (name, draws) in zip(axes, rows.items(), strict=True):
        shown = draws[np.linspace(0, len(draws) - 1, 6).astype(int)]
        for axis, image in zip(line, [*shown, draws.mean(axis=0), draws.std(axis=0)], strict=True):
            axis.imshow(image.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    axes[0, 6].set_title("mean")
    axes[0, 7].set_title("standard deviation", fontsize=9)
    figure.suptitle(f"What a 400-100-25-6 network takes for an {ASKED}")
    return figure


if __name__ == "__main__":
    run(main)
