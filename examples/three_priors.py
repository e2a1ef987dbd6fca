"""Which images does a classifier take for a 3, if images may be anything, or have to look like digits?

The same question to the same network under three priors: every pixel anything from no ink to full ink; what
the decoder of an autoencoder can draw; and a Boltzmann machine of real pixels, a mixture of 65,536 normal
laws. Both learned priors come from images of all ten digits: that it shall be a 3 only the wish says.

    python examples/three_priors.py [--quick] [--folder FOLDER]
"""

from time import process_time

import jax
import numpy as np
from _common import Figure, plt, run
from scipy.spatial.distance import cdist, pdist
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import probinv
from probinv.bench.problems import train_network
from probinv.boltzmann import train_autoencoder

DIGIT, CERTAIN, SHOWN = 3, 0.95, 9
PRIORS = ("any pixels", "a decoder", "a machine")
COLUMNS = ("recognised", "diversity", "to nearest image", "largest R-hat", "CPU-s: learn + draw", "verdict")


def main(quick: bool) -> dict[str, Figure]:
    digits = load_digits()
    rows, held_out, labels, truth = train_test_split(
        digits.data / 16, digits.target, random_state=0, stratify=digits.target
    )
    logits = train_network(rows, labels, (64, 32, 10), loss="cross_entropy", steps=1500, decay=1e-2)
    judge = SVC().fit(rows, labels)
    right = np.asarray(jax.vmap(logits)(held_out)).argmax(axis=1) == truth
    print(f"the network names {right.mean():.1%} of {len(truth)} other images, ", end="")
    print(f"the independent classifier {judge.score(held_out, truth):.1%}")

    def network(x: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits(x))

    wish = probinv.On(DIGIT, probinv.AtLeast(CERTAIN, softness=0.01))
    real = held_out[truth == DIGIT]
    found, table = {"real images": real}, []
    for name in PRIORS:
        print(f"\nprior: {name}")
        began = process_time()
        prior = learn(name, rows, quick)
        learned = process_time()
        posterior = probinv.Posterior(prior, network, wish)
        tree = probinv.invert(posterior, probinv.TemperedSMC(draws=50) if quick else None)
        spent = f"{learned - began:.0f} + {process_time() - learned:.0f}"
        draws = tree.posterior["x"].values.reshape(-1, 64)
        found[name] = draws = draws[np.linspace(0, len(draws) - 1, 200).astype(int)]
        apart = pdist(draws).mean() / pdist(real).mean()
        away = cdist(draws, rows).min(axis=1).mean() / cdist(real, rows).min(axis=1).mean()
        diagnosis = probinv.diagnose(tree)
        recognised, rhat = np.mean(judge.predict(draws) == DIGIT), diagnosis.numbers["rhat_max"]
        line = f"{recognised:.0%}", f"{apart:.2f}", f"{away:.2f}", f"{rhat:.3f}", spent
        table.append([*line, str(diagnosis.verdict)])
        print(dict(zip(COLUMNS, table[-1], strict=True)), probinv.provenance(tree)["method"])
        print(f"{np.mean((draws < 0) | (draws > 1)):.0%} of the pixels are outside of 0 to 1")
    return {"three_priors": picture(found, table)}


def learn(name: str, rows: np.ndarray, quick: bool) -> probinv.prior.AbstractPrior:
    """The prior, from images of all digits."""
    if name == "a decoder":
        coder = train_autoencoder(rows, (128, 64, 10), epochs=5 if quick else 200, progress=False).autoencoder
        return probinv.DecoderPrior(coder.decoder, codes=coder.encode(rows))
    if name == "a machine":
        machine = probinv.RBM(16, visible="gaussian", batch_size=20, epochs=5 if quick else 300)
        return probinv.MachinePrior(machine.fit(rows).machine_)
    return probinv.Uniform(0.0, 1.0, 64)


def picture(found: dict[str, np.ndarray], table: list[list[str]]) -> Figure:
    figure = plt.figure(figsize=(10, 6.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(4.2, 1.6))
    axes = above.subplots(len(found), SHOWN + 1)
    for line, (name, draws) in zip(axes, found.items(), strict=True):
        shown = draws[np.linspace(0, len(draws) - 1, SHOWN).astype(int)]
        for axis, image in zip(line, [*shown, draws.mean(axis=0)], strict=True):
            axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    axes[0, SHOWN].set_title("mean", fontsize=10)
    above.suptitle(f"Images that a network is {CERTAIN:.0%} certain of being a {DIGIT}, under three priors")
    below.subplots().axis("off")
    cells = below.axes[0].table(table, rowLabels=PRIORS, colLabels=COLUMNS, loc="center", cellLoc="center")
    cells.auto_set_font_size(False)
    cells.set_fontsize(9.5)
    cells.scale(1, 1.6)
    return figure


if __name__ == "__main__":
    run(main)
