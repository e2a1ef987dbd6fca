"""Is a 1024-8-8-2 network invertible? Layer by layer: the least-norm image of (0.99, 0.01), and its family.

The weights are 8 x 1024, 8 x 8 and 2 x 8, the activations sigmoids. Going back from the two outputs, the last
layer leaves 6 dimensions free, the square one none, the first 1016; and the values of each layer must lie
between 0 and 1, which the square layer does not respect. It is projected there, and Gauss-Newton steps on the
input make up for most of it. Then any picture at all that is added within the null space of the first layer
changes nothing: a ring becomes an X without a change of the output.

    python examples/layer_by_layer.py [--quick] [--folder FOLDER]
"""

import jax
import jax.numpy as jnp
import numpy as np
from _common import Figure, plt, run

import probinv
from probinv.bench.problems import train_network, xs_and_os

WISH = (0.99, 0.01)


def main(quick: bool) -> dict[str, Figure]:
    images, targets = xs_and_os(300 if quick else 1500)
    flat = images.reshape(len(images), -1)
    network = train_network(
        flat,
        np.clip(targets, 0.01, 0.99),
        (1024, 8, 8, 2),
        activation="logistic",
        output_activation="logistic",
        loss="binary_cross_entropy",
        steps=300 if quick else 1500,
        rate=5e-2 if quick else 1e-2,
    )
    rough = probinv.preimage(network, WISH)
    found = probinv.preimage(network, WISH, polish=50)
    for layer in found.layers:
        if layer.kind == "Dense":
            print(
                f"layer {layer.number}: rank {layer.rank}, {layer.free} free, condition {layer.condition:.1f}"
            )
    print(f"projected in layers {rough.projected}: the outputs miss {WISH} by {rough.residual:.1e}")
    print(f"after Gauss-Newton steps by {found.residual:.1e}, with {found.free} dimensions of answers")

    basis = found.basis
    drawings = [images[int(np.argmax(targets[:, k]))].ravel() for k in (1, 0)]
    hidden = [found.point + basis @ (basis.T @ (drawing - found.point)) for drawing in drawings]
    drawn = found.members(jax.random.key(0), 3, spread=0.3)
    print(f"three members with random coordinates miss by {drawn.error.max():.1e} at most")
    posterior = probinv.Posterior(probinv.Normal(0.0, 1.0, (1024,)), network, probinv.Gaussian(WISH, 0.001))
    tree = probinv.invert(posterior, probinv.LayerInverse(draws=5 if quick else 20, spread=0.3))
    error = tree["optima"]["forward_error"].values
    print(f"as a method: {len(error)} points, which miss by {error.min():.1e} to {error.max():.1e}")
    return {
        "layer_by_layer": picture(
            network,
            {
                "least norm": found.point,
                "a ring, made\nan X for the network": hidden[0],
                "an X": hidden[1],
                **{f"member {k + 1}": x for k, x in enumerate(drawn.x)},
            },
        )
    }


def picture(network: probinv.Layered, members: dict[str, np.ndarray]) -> Figure:
    figure, axes = plt.subplots(1, len(members), figsize=(13, 3.2), layout="constrained")
    with jax.enable_x64(True):
        outputs = [np.asarray(network(jnp.asarray(x))) for x in members.values()]
    for axis, (name, x), y in zip(axes, members.items(), outputs, strict=True):
        size = np.quantile(np.abs(x), 0.995)
        axis.imshow(x.reshape(32, 32), cmap="gray_r", vmin=-size, vmax=size)
        axis.set_title(f"{name}\n({y[0]:.6f}, {y[1]:.6f})", fontsize=9)
        axis.set(xticks=[], yticks=[], xlabel=f"within ±{size:.2g}")
    figure.suptitle("Inputs of one family, with their outputs; (0.99, 0.01) was asked for")
    return figure


if __name__ == "__main__":
    run(main)
