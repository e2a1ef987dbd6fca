"""Which positions of a robot arm put its hand exactly here, and how likely is each?

A shoulder slides on a rail and three joints follow. Four numbers decide two, so the answers form a surface.
On one part of it the hand comes from above, on the other from below, and chains seldom pass from one to the
other; a population that began at the prior weighs both. Here the exact law can be drawn too, and stands
beside.

    python examples/elbows.py [--quick] [--folder FOLDER]
"""

import jax
import jax.numpy as jnp
import numpy as np
from _common import Figure, plt, run

import probinv
from probinv.bench.kinematics import HAND, LENGTHS, SPREAD, exact_draws


def joints(x: jax.Array) -> jax.Array:
    """Shoulder, elbow, wrist and hand, one a row; x is the shoulder's height and three angles."""
    angles = jnp.cumsum(x[1:])
    segments = jnp.array(LENGTHS)[:, None] * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    return jnp.concatenate([jnp.stack([0 * x[:1], x[:1]], axis=1), segments]).cumsum(axis=0)


def hand(x: jax.Array) -> jax.Array:
    return joints(x)[-1]


def main(quick: bool) -> dict[str, Figure]:
    posterior = probinv.Posterior(probinv.Normal(0.0, SPREAD), hand, probinv.Exactly(HAND))
    found = {"the exact law": exact_draws(HAND, 20_000)[None]}
    for method in (probinv.LiftedHMC, probinv.TemperedSMC):
        tree = probinv.invert(posterior, method(draws=100 if quick else 1000))
        name = f"{method.__name__}, verdict: {probinv.diagnose(tree).verdict}"
        found[name] = tree.posterior["x"].values
        off = np.abs(tree.posterior_predictive["y"] - np.array(HAND)).values.max()
        print(f"{name}; no hand is further than {off:.0e} from where it was wished\n")
    return {"elbows": picture(found)}


def picture(found: dict[str, np.ndarray]) -> Figure:
    figure, axes = plt.subplots(
        2, 3, figsize=(12, 7.5), height_ratios=(2.4, 1), sharex="row", sharey="row", layout="constrained"
    )
    bins = np.linspace(-1.7, 1.7, 41)
    for (top, bottom), (name, x) in zip(axes.T, found.items(), strict=True):
        arms = np.asarray(jax.vmap(joints)(x.reshape(-1, 4)))
        above = arms[:, 2, 1] > HAND[1]
        for k in np.linspace(0, len(arms) - 1, 120).astype(int):
            top.plot(*arms[k].T, color="tab:blue" if above[k] else "tab:orange", lw=0.7, alpha=0.6)
        top.plot(*HAND, "k*", ms=12, zorder=3)
        top.set(title=f"{name}\nfrom above in {above.mean():.0%}", xlabel="across")
        bottom.hist(found["the exact law"][0, :, 1], bins, density=True, color="0.85")
        for chain in x if len(x) > 1 else []:
            bottom.hist(chain[:, 1], bins, density=True, histtype="step")
        bottom.set(xlabel="angle of the first joint", yticks=[])
        bottom.set_title("grey: the exact law" + "; lines: each chain" * (len(x) > 1), fontsize=9)
    axes[0, 0].set_ylabel("height")
    return figure


if __name__ == "__main__":
    run(main)
