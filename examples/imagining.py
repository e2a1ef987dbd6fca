"""What does a network see when it dreams of a digit?

Hinton's demonstration, on the handwritten digits that scikit-learn ships. A deep belief network learns images
together with their labels. Then a label is held, a coin is tossed for every other unit of its memory, and
Gibbs sampling goes on from there; now and then one pass down shows what the state of the memory looks like.
Every row of the picture is one chain. A classifier that knows nothing of the network says how many of fifty
chains for each label have come to show it.

    python examples/imagining.py [--quick] [--folder FOLDER]
"""

from collections.abc import Iterator

import jax
import numpy as np
from _common import Figure, plt, run
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import probinv
from probinv.boltzmann import last_state, random_states

STEPS, CHAINS, DIGITS = (0, 1, 3, 10, 30, 100, 1000), 50, np.arange(10)


def main(quick: bool) -> dict[str, Figure]:
    digits = load_digits()
    rows, held_out, labels, truth = train_test_split(
        digits.data / 16, digits.target, random_state=0, stratify=digits.target
    )
    below, memory = (4, 3) if quick else (150, 200)
    network = probinv.DBN(
        (128, 256),
        layers=probinv.Training(epochs=below, batch_size=10),
        memory=probinv.Training(epochs=memory, batch_size=10, binarise=False, discriminative=1.0),
        progress=True,
    ).fit(rows, labels)
    judge = SVC(gamma="scale").fit(rows, labels)
    print(f"the network names {network.score(held_out, truth):.1%} of {len(truth)} other images, ", end="")
    print(f"the independent classifier {judge.score(held_out, truth):.1%}")

    found = np.stack(list(imagine(network, 5 if quick else CHAINS)))
    real = np.mean([pdist(held_out[truth == digit]).mean() for digit in DIGITS])
    recognised = []
    for steps, images in zip(STEPS, found, strict=True):
        shares = [np.mean(judge.predict(images[digit]) == digit) for digit in DIGITS]
        apart = np.mean([pdist(own).mean() for own in images]) / real
        recognised.append(np.mean(shares))
        print(
            f"after {steps:4} steps {recognised[-1]:4.0%} are recognised, {min(shares):4.0%} of the ", end=""
        )
        print(f"{np.argmin(shares)}; two of one digit are {apart:.2f} as far apart as two real ones")
    return {"imagining": picture(found[:, :, 0], recognised)}


def imagine(network: probinv.DBN, chains: int) -> Iterator[np.ndarray]:
    """Images (10, chains, 64) after each number of steps, of the same chains: `network.imagine` by hand."""
    stack, labels = network.stack_, np.repeat(DIGITS, chains)
    key_start, key_chain, key_down = jax.random.split(jax.random.key(0), 3)
    start = random_states(stack.top.visible, key_start, len(labels))
    start = start.at[:, stack.features :].set(np.eye(10)[labels])
    held = np.arange(start.shape[1]) >= stack.features
    for steps in STEPS:
        v = last_state(stack.top, key_chain, start, steps, known=held) if steps else start
        x = stack.generate(key_down, v[:, : stack.features])
        yield np.asarray(x).reshape(10, chains, 64)


def picture(images: np.ndarray, recognised: list[float]) -> Figure:
    figure, axes = plt.subplots(10, len(STEPS), figsize=(7, 10.2), layout="constrained")
    for column, steps in enumerate(STEPS):
        for digit in DIGITS:
            axis = axes[digit, column]
            axis.imshow(images[column, digit].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        axes[0, column].set_title(f"{steps} step{'s' * (steps != 1)}", fontsize=10)
        axes[-1, column].set_xlabel(f"{recognised[column]:.0%}", fontsize=11)
    for digit in DIGITS:
        axes[digit, 0].set_ylabel(f"{digit}", rotation=0, ha="right", va="center", fontsize=13)
    figure.suptitle("Imagined from coin tosses: one chain for each label, after 0 to 1000 Gibbs steps")
    figure.supxlabel("how many of all chains show their label to an independent classifier")
    return figure


if __name__ == "__main__":
    run(main)
