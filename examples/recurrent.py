"""Which heating schedules bring a room to 21 degrees at midnight?

A recurrent network (`lax.scan`) has learned the temperature of a room from 24 hours of heater power. The wish
is on its last output only; the prior says that power changes smoothly.

    python examples/recurrent.py [--quick] [--folder FOLDER]
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _common import Figure, plt, run, settings

import probinv

HOURS, HIDDEN, WISH = 24, 12, 21.0
MEAN_POWER, SPREAD_POWER = 1.0, 0.4


def room(power: np.ndarray) -> np.ndarray:
    """The truth: leaks heat to a cold night, and heats less the warmer it is."""
    temperature = np.full(len(power), 15.0)
    for hour in range(HOURS):
        outside = 4.0 * np.cos(2 * np.pi * (hour - 15) / 24)
        temperature = temperature + 0.15 * (outside - temperature) + 3.5 * np.tanh(power[:, hour])
    return temperature


def network(weights: dict[str, jax.Array], power: jax.Array) -> jax.Array:
    def hour(state: jax.Array, drive: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(weights["A"] @ state + weights["b"] * drive + weights["c"]), None

    last, _ = jax.lax.scan(hour, jnp.zeros_like(weights["c"]), power)
    return 18.0 + 4.0 * (weights["out"] @ last)


def smooth_power() -> probinv.MultivariateNormal:
    apart = np.subtract.outer(np.arange(HOURS), np.arange(HOURS))
    covariance = SPREAD_POWER**2 * (np.exp(-0.5 * (apart / 3.0) ** 2) + 0.01 * np.eye(HOURS))
    return probinv.MultivariateNormal(np.full(HOURS, MEAN_POWER), covariance)


def train(power: np.ndarray, temperature: np.ndarray, steps: int) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    shapes = {"A": (HIDDEN, HIDDEN), "b": (HIDDEN,), "c": (HIDDEN,), "out": (HIDDEN,)}
    weights = {name: jnp.asarray(rng.normal(size=shape) / np.sqrt(HIDDEN)) for name, shape in shapes.items()}
    adam = optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def loss(weights: dict[str, jax.Array]) -> jax.Array:
        return jnp.mean((jax.vmap(lambda p: network(weights, p))(power) - temperature) ** 2)

    def step(carry: tuple, _: None) -> tuple:
        weights, state = carry
        update, state = adam.update(jax.grad(loss)(weights), state)
        return (optax.apply_updates(weights, update), state), None

    return jax.jit(lambda w: jax.lax.scan(step, (w, adam.init(w)), length=steps)[0][0])(weights)


def main(quick: bool) -> dict[str, Figure]:
    prior = smooth_power()
    power = np.random.default_rng(1).multivariate_normal(
        np.asarray(prior.loc), 4 * np.eye(HOURS) * 0.1, size=800
    )
    weights = train(power, room(power), 300 if quick else 1500)
    forward = probinv.Function(network, weights)
    tree = probinv.query(forward, WISH, prior=prior, tolerance=0.2, method=settings(quick, probinv.LiftedHMC))
    schedules = tree.posterior["x"].values.reshape(-1, HOURS)
    reached = room(schedules)
    print(f"the real room reaches {reached.mean():.2f} +- {reached.std():.2f} degrees under these schedules")
    return {"recurrent": picture(schedules, tree.prior["x"].values[0], reached)}


def picture(schedules: np.ndarray, prior: np.ndarray, reached: np.ndarray) -> Figure:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(2, 1), layout="constrained")
    left.plot(schedules[:: max(1, len(schedules) // 25)].T, color="tab:blue", alpha=0.35, lw=1)
    left.plot(schedules.mean(axis=0), color="tab:blue", lw=2.5, label="mean of the schedules that reach it")
    left.plot(prior.mean(axis=0), color="0.5", lw=2.5, ls="--", label="mean of the prior")
    left.set(xlabel="hour", ylabel="heater power", title=f"schedules that end at {WISH:g} degrees")
    left.legend(frameon=False)
    bins = np.linspace(10, 26, 50)
    right.hist(room(prior), bins, density=True, color="0.7", label="prior")
    right.hist(reached, bins, density=True, color="tab:blue", label="posterior")
    right.axvline(WISH, color="tab:orange", label="wish")
    right.set(xlabel="temperature of the real room at midnight", yticks=[])
    right.legend(frameon=False)
    return figure


if __name__ == "__main__":
    run(main)
