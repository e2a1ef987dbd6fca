"""Do perfect residuals show that a sampler has found all the answers?

The same query under NUTS and under the method that probinv chooses: which inputs of a random 10-32-32-1
tanh network give this output within 0.001? Every draw of both does. But the answers are a sheet a
thousandth thick; NUTS creeps along it, and its chains have not yet met. The picture shows what a check of
the fit sees, what it hides, and what the verdicts say.

    python examples/hidden_failure.py [--quick] [--folder FOLDER]
"""

import textwrap

import numpy as np
import xarray as xr
from _common import Figure, plt, run, settings
from arviz_stats import rhat

import probinv
from probinv.bench.problems import random_network, reachable

TOLERANCE, NETWORK = 1e-3, 12


def main(quick: bool) -> dict[str, Figure]:
    network = random_network((10, 32, 32, 1), NETWORK)
    y_star = reachable(network, NETWORK)
    wish = probinv.Gaussian(y_star, TOLERANCE)
    posterior = probinv.Posterior(probinv.Normal(shape=(10,)), network, wish)
    trees = {}
    few = 100 if quick else 500
    for method in (probinv.NUTS(draws=few, warmup=few), settings(quick, probinv.LiftedHMC)):
        tree = probinv.invert(posterior, method)
        trees[probinv.provenance(tree)["method"]] = tree
        print(f"{probinv.provenance(tree)['gradients']} gradients\n")
    return {"hidden_failure": picture(trees, y_star)}


def picture(trees: dict[str, xr.DataTree], y_star: np.ndarray) -> Figure:
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), width_ratios=(1, 1.6, 1.1), layout="constrained")
    bins = np.linspace(-4, 4, 33)
    for row, (name, tree) in zip(axes, trees.items(), strict=True):
        diagnosis = probinv.diagnose(tree)
        residual = (tree.posterior_predictive["y"][..., 0] - y_star[0]) / TOLERANCE
        x = tree.posterior["x"].values
        for chain in residual.values:
            row[0].hist(chain, bins, density=True, histtype="step")
        row[0].plot(bins, np.exp(-0.5 * bins**2) / np.sqrt(2 * np.pi), color="k")
        row[0].set(xlabel="(y - Y*) / tolerance", yticks=[])
        row[0].set_ylabel(name, fontsize=13)
        row[0].set_title(f"residuals of each chain: R-hat {float(rhat(residual)):.3f}")
        for k, (low, middle, high) in enumerate(np.quantile(x, [0.05, 0.5, 0.95], axis=1).swapaxes(0, 1)):
            at = np.arange(x.shape[2]) + 0.7 * (k / (len(x) - 1) - 0.5)
            row[1].vlines(at, low, high, colors=f"C{k}")
            row[1].plot(at, middle, "o", color=f"C{k}", ms=4)
        row[1].set(xlabel="input", xticks=range(x.shape[2]), ylim=(-3, 3))
        row[1].set_title(f"90 % interval of each chain: R-hat {diagnosis.numbers['rhat_max']:.3f} at worst")
        found = [textwrap.fill(reason.what, 48, initial_indent="- ") for reason in diagnosis.reasons]
        row[2].set_title(f"verdict: {diagnosis.verdict}", loc="left", fontweight="bold")
        row[2].text(0, 1, "\n".join(found), va="top", fontsize=9)
        row[2].axis("off")
    return figure


if __name__ == "__main__":
    run(main)
