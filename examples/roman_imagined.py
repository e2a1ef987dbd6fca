"""What does a machine that has learned to draw Roman numerals believe an X looks like?

A restricted Boltzmann machine learns drawn and jittered numerals together with their names, and draws them
itself when a name is held. Below what it draws stand pictures of its hidden units, which people ask for and
which are something else: their weights, and the folklore's "average pattern that a unit recognises".

    python examples/roman_imagined.py [--quick] [--folder FOLDER]
"""

import jax
import numpy as np
from _common import Figure, plt, run
from matplotlib.figure import SubFigure
from scipy.spatial.distance import pdist

import probinv
from probinv.bench.problems import NUMERALS, SIDE, roman_numerals, train_network
from probinv.boltzmann import filters, recognised_pattern

ASKED, UNITS, PIXELS = "X", 9, SIDE**2
NAMES = np.array(NUMERALS)


def main(quick: bool) -> dict[str, Figure]:
    images, labels = roman_numerals(600 if quick else 3000)
    rows, names = images.reshape(-1, PIXELS), NAMES[labels]
    epochs = 3 if quick else 60
    machine = probinv.RBM(200, epochs=epochs, batch_size=20, discriminative=0.1, progress=True)
    machine.fit(rows, names)
    judge = train_network(images, labels, (PIXELS, 60, 6), activation="relu", loss="cross_entropy", steps=500)
    held_out, truth = roman_numerals(1000, seed=1)
    held_out = held_out.reshape(-1, PIXELS)
    print(f"the machine names {np.mean(machine.predict(held_out) == NAMES[truth]):.1%} of 1000 new drawings")

    how = {"chains": 6, "draws": 2, "every": 10} if quick else {"chains": 20, "draws": 20, "every": 50}
    tree = probinv.imagine(machine, NUMERALS, **how)
    verdict = probinv.provenance(tree)["verdict"]
    print(f"imagined {how}: {verdict['verdict']}; {verdict['reasons'][0]}")
    imagined = tree.posterior["x"].values
    for k, name in enumerate(NUMERALS):
        own = imagined[:, :, k].reshape(-1, PIXELS)
        agree = np.mean(np.asarray(jax.vmap(judge)(own)).argmax(axis=1) == k)
        apart = pdist(imagined[:, -1, k]).mean() / pdist(held_out[truth == k]).mean()
        print(f"{name}: another network names {agree:.0%} of them so; ", end="")
        print(f"two chains are {apart:.2f} as far apart as two drawings")

    figure = plt.figure(figsize=(11, 9.8), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(6, 2.6))
    draw_numerals(above, rows, names, imagined)
    draw_units(below, machine)
    return {"roman_imagined": figure}


def draw_numerals(figure: SubFigure, rows: np.ndarray, names: np.ndarray, imagined: np.ndarray) -> None:
    axes = figure.subplots(len(NUMERALS), 10)
    for k, name in enumerate(NUMERALS):
        drawn = rows[names == name]
        mean = imagined[:, :, k].mean(axis=(0, 1))
        for axis, x in zip(
            axes[k], [*drawn[:2], drawn.mean(axis=0), *imagined[:6, -1, k], mean], strict=True
        ):
            axis.imshow(x.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        axes[k, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=13)
    titles = {0: "drawings", 2: "their mean", 3: "imagined", 9: "mean of\nimagined"}
    for column, title in titles.items():
        axes[0, column].set_title(title, fontsize=10)
    figure.suptitle("What the machine draws when a name is held: six chains, each from a random state")


def draw_units(figure: SubFigure, machine: probinv.RBM) -> None:
    weights = filters(machine.machine_)  # of the pixels, and then of the labels
    for_asked = weights[:, PIXELS + list(machine.classes_).index(ASKED)]
    axes = figure.subplots(2, UNITS)
    for column, unit in enumerate(np.argsort(for_asked)[::-1][:UNITS]):
        pattern = recognised_pattern(machine.machine_, int(unit))
        for axis, values in zip(axes[:, column], (weights[unit], pattern), strict=True):
            values = values[:PIXELS].reshape(SIDE, SIDE)
            most = np.abs(values).max()
            axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most)
            axis.set(xticks=[], yticks=[])
            axis.set_xlabel(f"{values.min():.1f} to {values.max():.1f}", fontsize=8)
        axes[0, column].set_title(f"unit {unit}", fontsize=9)
    for axis, name in zip(axes[:, 0], ("weights", "recognised\npattern"), strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle(f"The hidden units that speak most for an {ASKED}: pictures of weights, not of {ASKED}s")


if __name__ == "__main__":
    run(main)
