"""Which images make a 1024-8-8-2 network say (0.99, 0.01): an X, and not an O?

The weights are not square, so no layer can be inverted; the posterior does not need it. The wish is on the
sigmoid outputs and worth 100 observations: each output within about 0.01. The opposite wish runs the same
compiled program. The prior is faint gray noise, and a single draw looks like that to a person: a slight
tendency is enough for the network, and the mean of the draws shows which.

    python examples/xs_and_os.py [--quick] [--folder FOLDER]
"""

import jax
import numpy as np
import xarray as xr
from _common import Figure, plt, run, settings

import probinv
from probinv.bench.problems import train_network, xs_and_os

GRAY, SPREAD = 0.1, 0.1


def main(quick: bool) -> dict[str, Figure]:
    images, targets = xs_and_os(1500)
    flat = images.reshape(len(images), -1)
    network = train_network(
        flat,
        targets,
        (1024, 8, 8, 2),
        activation="logistic",
        output_activation="logistic",
        loss="binary_cross_entropy",
        steps=500 if quick else 1500,
        rate=1e-2,
    )
    right = jax.vmap(network)(flat).argmax(axis=1) == targets.argmax(axis=1)
    print(f"weights {[layer.weight.shape for layer in network.layers[::2]]}; {right.mean():.1%} right")

    prior = probinv.Normal(GRAY, SPREAD, shape=(1024,))
    found = {}
    for name, wish in {"an X": (0.99, 0.01), "an O": (0.01, 0.99)}.items():
        print(f"\nthe network shall see {name}: {wish}")
        posterior = probinv.Posterior(prior, network, probinv.Bernoulli(wish, count=100))
        found[f"{name}\n{wish}"] = probinv.invert(posterior, settings(quick))
    return {"xs_and_os": picture(found)}


def picture(found: dict[str, xr.DataTree]) -> Figure:
    figure, axes = plt.subplots(len(found), 6, figsize=(11, 4), layout="constrained")
    for line, (name, tree) in zip(axes, found.items(), strict=True):
        draws = tree.posterior["x"].values.reshape(-1, 32, 32)
        outputs = tree.posterior_predictive["y"].values.reshape(-1, 2)
        for axis, k in zip(line, np.linspace(0, len(draws) - 1, 5).astype(int), strict=False):
            axis.imshow(draws[k], cmap="gray_r", vmin=-0.2, vmax=0.4)
            axis.set_title(f"({outputs[k, 0]:.3f}, {outputs[k, 1]:.3f})", fontsize=9)
        tendency = (draws.mean(axis=0) - GRAY) / SPREAD
        image = line[5].imshow(tendency, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
        line[5].set_title("mean, minus the prior's", fontsize=9)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axis in line:
            axis.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=axes, label="prior's spread = 1", fraction=0.02)
    figure.suptitle("Draws of x that the network takes for an X and for an O, with its outputs")
    return figure


if __name__ == "__main__":
    run(main)
