"""Train a deep belief network on handwritten digits, or load one, and let it imagine every label."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probinv._errors import InputError
from probinv.cli._words import count, seed

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from probinv.boltzmann.dbn import DBN
    from probinv.cli._images import Images

CHAINS, DRAWS, EVERY, WARMUP = 10, 20, 50, 500
NAMES = {
    "model": "network.safetensors",
    "tree": "imagined.nc",
    "picture": "imagined.png",
    "training": "training.png",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", help="MNIST's four idx files (default: scikit-learn's digits)")
    add(
        "--model",
        type=Path,
        metavar="FILE",
        help="a network that this command has saved, in place of training",
    )
    add("--labels", type=int, nargs="+", choices=range(10), metavar="0-9", help="which digits (default: all)")
    add("--folder", type=Path, default=Path("probinv-imagine"), help="where the results go (probinv-imagine)")
    add(
        "--epochs",
        type=count,
        help="passes over the data for the memory (200 for scikit-learn's digits; 20 for MNIST, and then "
        "twice as many for fine-tuning)",
    )
    add("--seed", type=seed, default=0, help="of the split, the training and the draws (0)")
    add("--quick", action="store_true", help="little training: to see that it runs, not to learn from it")


def run(args: argparse.Namespace) -> int:
    """Trains or loads, imagines, judges, draws."""
    from probinv.cli.demo import Clock

    clock = Clock()
    from probinv.cli._images import images

    data = images(args.data, args.seed)
    clock.say(f"{data.about}.")
    args.folder.mkdir(parents=True, exist_ok=True)
    network = _network(args, data, clock)
    labels = list(network.classes_) if args.labels is None else args.labels
    tree = _imagine(args, network, labels, data, clock)
    _judge(tree, labels, data, clock)
    _draw(args, tree, network, data, clock)
    return 0


def _network(args: argparse.Namespace, data: "Images", clock: Any) -> "DBN":
    from probinv.boltzmann.dbn import DBN

    if args.model is not None:
        network = DBN.load(args.model)
        if network.n_features_in_ != data.train.shape[1] or not hasattr(network, "classes_"):
            raise InputError(
                f"{args.model} is no network of these images",
                f"it has {network.n_features_in_} visible units, an image has {data.train.shape[1]}",
                "give the --data that it was trained on, or a network with labels",
            )
        clock.say(f"Loaded {args.model}.")
    else:
        network = recipe(data, args.epochs, args.seed, args.quick)
        sizes = "-".join(map(str, [data.train.shape[1], *network.hidden]))
        clock.say(f"Training a deep belief network {sizes} with {len(set(data.train_labels))} labels.")
        network.fit(data.train, data.train_labels)
        path = network.save(args.folder / NAMES["model"])
        if network.stopped_:
            raise KeyboardInterrupt(f"training stopped, {network.stopped_}: what there was is in {path}")
    right = network.score(data.test, data.test_labels)
    clock.say(f"It gives back the label of {right:.1%} of {len(data.test)} images that it has not seen.")
    return network


def recipe(data: "Images", epochs: int | None, seed: int, quick: bool) -> "DBN":
    """The network for these images, not trained."""
    from probinv.boltzmann.dbn import DBN
    from probinv.boltzmann.training import Training

    if data.shape == (8, 8):
        below, memory = (4, 3) if quick else (150, epochs or 200)
        layers = Training(epochs=below, batch_size=10, seed=seed)
        # means and not draws of the features below: less diverse, but more often what they should be
        top = Training(epochs=memory, batch_size=10, binarise=False, discriminative=1.0, seed=seed)
        return DBN((128, 256), layers=layers, memory=top, progress=True)
    from probinv.bench.imagination import network

    below, memory, tuning = (1, 1, 0) if quick else (30, epochs or 20, 2 * (epochs or 20))
    return network(below=below, epochs=memory, tuning=tuning, seed=seed, progress=True)


def _imagine(
    args: argparse.Namespace, network: "DBN", labels: list[Any], data: "Images", clock: Any
) -> "xr.DataTree":
    from probinv._invert.imagine import imagine
    from probinv.results.files import save
    from probinv.results.tree import provenance

    clock.say(f"Imagining: {CHAINS} chains for each label, which begin at random states.")
    how = {"chains": CHAINS, "draws": DRAWS, "every": EVERY, "warmup": WARMUP}
    tree = imagine(network, labels, shape=data.shape, seed=args.seed, progress=True, **how)
    save(tree, args.folder / NAMES["tree"])
    verdict = provenance(tree)["verdict"]
    clock.say(f"Verdict: {verdict['verdict']}; {verdict['reasons'][0]}.")
    return tree


def _judge(tree: "xr.DataTree", labels: list[Any], data: "Images", clock: Any) -> None:
    """What a classifier that knows nothing of the network says of the last draw of each chain."""
    import numpy as np

    last = tree["posterior"]["x"].values[:, -1]
    said = data.judge(last.reshape(-1, data.train.shape[1])).reshape(last.shape[:2])
    right = said == np.asarray(labels)[None]
    sure = np.mean(data.judge(data.test[:1000]) == data.test_labels[:1000])
    clock.say(f"{data.judge_name} ({sure:.1%} right on real images) recognises {right.mean():.0%} of them:")
    rows = [
        (str(label), f"{right[:, k].mean():.0%}", f"{_diversity(last[:, k], label, data):.2f}")
        for k, label in enumerate(labels)
    ]
    for row in [("label", "recognised", "diversity"), *rows]:
        print("  " + "".join(cell.rjust(12) for cell in row))
    print("  diversity: mean distance between two of a label, over that between two real ones", flush=True)


def _diversity(images: "np.ndarray", label: Any, data: "Images") -> float:
    import numpy as np
    from scipy.spatial.distance import pdist

    real = data.test[data.test_labels == label][:200]
    return float(np.mean(pdist(images.reshape(len(images), -1))) / np.mean(pdist(real)))


def _draw(args: argparse.Namespace, tree: "xr.DataTree", network: "DBN", data: "Images", clock: Any) -> None:
    from probinv.results.plots import plot_imagined, plot_training

    plot_imagined(tree).savefig(args.folder / NAMES["picture"])
    if network.history_:
        plot_training(network.history_).savefig(args.folder / NAMES["training"])
    clock.say(f"Done. Look into {args.folder.resolve()}: {NAMES['picture']} first.")
