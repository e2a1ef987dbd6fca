"""How often does pure noise make a classifier of digits 99 % certain, and what does such noise look like?

Every pixel is drawn at random, and for some digits such an image is far too rare to wait for. Subset
simulation draws it all the same, always with the certainty that was asked for, and says how rare it is: from
one image in ten to one in some millions. A million images drawn one by one check the frequent ones. The rarer
a digit is in noise, the more its noise has to look like it.

    python examples/rarest_wish.py [--quick] [--folder FOLDER]
"""

import jax
import numpy as np
from _common import Figure, plt, run
from sklearn.datasets import load_digits

import probinv
from probinv.bench.problems import train_network

CERTAIN = 0.99


def main(quick: bool) -> dict[str, Figure]:
    digits = load_digits()
    images, labels = digits.data / 16, digits.target
    train = {"loss": "cross_entropy", "activation": "relu", "steps": 500 if quick else 1500}
    logits = train_network(images[:1500], labels[:1500], (64, 32, 10), **train)
    other = train_network(images[:1500], labels[:1500], (64, 24, 24, 10), seed=1, **train)

    def network(x: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits(x))

    right = jax.vmap(network)(images[1500:]).argmax(axis=1) == labels[1500:]
    print(f"the network names {right.mean():.0%} of the digits that it has not seen")
    drawn, counted = brute_force(network, 50_000 if quick else 1_000_000)

    method = probinv.SubsetSimulation(draws=50 if quick else 500)
    found = {}
    for digit in range(0, 10, 5 if quick else 1):
        wish = probinv.On(digit, probinv.AtLeast(CERTAIN))
        posterior = probinv.Posterior(probinv.Uniform(0.0, 1.0, 64), network, wish)
        tree = probinv.invert(posterior, method, verdict=False, progress=False)
        notes = probinv.provenance(tree)["notes"]
        draws = tree.posterior["x"].values.reshape(-1, 64)
        agree = np.mean(np.asarray(jax.vmap(other)(draws)).argmax(axis=1) == digit)
        p, error = np.exp(notes["log_evidence"]), notes["log_evidence_error"]
        found[digit] = p, error, draws
        print(
            f"{digit}: one image in {1 / p:,.0f} (within {error:.0%}), {counted[digit]} of {drawn:,} drawn; "
            f"another network agrees in {agree:.0%}; verdict: {probinv.diagnose(tree).verdict}"
        )
    return {"rarest_wish": picture(found, counted[sorted(found)] / drawn, drawn)}


def brute_force(network, images: int) -> tuple[int, np.ndarray]:
    """How many random images were drawn, and for how many of them the network is certain of each digit."""
    rng, counted = np.random.default_rng(0), np.zeros(10, int)
    certain = jax.jit(lambda x: (jax.vmap(network)(x) >= CERTAIN).sum(axis=0))
    for _ in range(images // 50_000):
        counted += np.asarray(certain(rng.uniform(size=(50_000, 64))))
    return images, counted


def picture(found: dict, share: np.ndarray, drawn: int) -> Figure:
    figure = plt.figure(figsize=(11, 6), layout="constrained")
    grid = figure.add_gridspec(3, 10, height_ratios=(2.2, 1, 1))
    axis = figure.add_subplot(grid[0, :])
    at = np.array(sorted(found))
    p, error = np.array([found[digit][0] for digit in at]), np.array([found[digit][1] for digit in at])
    axis.bar(at, p, bottom=1e-8, color="tab:blue", width=0.6, label="subset simulation, two standard errors")
    axis.errorbar(at, p, 2 * p * np.minimum(error, 0.45), fmt="none", color="k", capsize=4)
    seen = share > 0
    spread = np.sqrt(share[seen] / drawn)
    spread, label = 2 * np.minimum(spread, 0.45 * share[seen]), f"counted among {drawn:,} images"
    axis.errorbar(at[seen] + 0.2, share[seen], spread, fmt="o", color="tab:orange", label=label)
    axis.axhline(1 / drawn, color="0.5", ls=":", lw=1)
    axis.set(yscale="log", ylim=(1e-8, 1), xlim=(-0.6, 9.6), xticks=at, ylabel="probability under noise")
    axis.set_title(f"How often noise makes the network {CERTAIN:.0%} certain of a digit")
    axis.legend(frameon=False, fontsize=9)
    for digit in at:
        draws = found[digit][2]
        for row, image, span in ((1, draws[-1], (0, 1)), (2, draws.mean(axis=0), (0.3, 0.7))):
            small = figure.add_subplot(grid[row, digit])
            small.imshow(image.reshape(8, 8), cmap="gray_r", vmin=span[0], vmax=span[1])
            small.set(xticks=[], yticks=[])
            if digit == 0:
                small.set_ylabel("one draw" if row == 1 else "mean", fontsize=9)
    return figure


if __name__ == "__main__":
    run(main)
