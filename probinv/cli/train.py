"""Train a Boltzmann machine, a deep belief network or an autoencoder on rows of a file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probinv._errors import InputError
from probinv.cli._files import require_new
from probinv.cli._words import count, seed

if TYPE_CHECKING:
    import numpy as np

KINDS = ("rbm", "dbn", "autoencoder")
TAKEN_BY = {"labels": ("rbm", "dbn"), "checkpoint": ("rbm", "dbn"), "tuning": ("dbn",), "real": ("rbm",)}
"""Options that not every kind takes."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument
    add("kind", choices=KINDS, help="what to train")
    add("data", help="rows: x.npy, x.npz or x.npz:entry, of shape (rows, ...)")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the trained network (.safetensors; .npz of an autoencoder)",
    )
    add("--labels", metavar="FILE", help="labels of the rows: y.npy, ...; whole numbers")
    add("--hidden", type=count, nargs="+", help="units of each hidden layer, from below (default: 256)")
    add("--epochs", type=count, default=30, help="passes over the rows (30)")
    add("--batch-size", type=count, default=100, help="rows of an update (100)")
    add("--rate", type=float, help="learning rate (0.1; real rows 0.01; an autoencoder 0.003)")
    add("--tuning", type=count, help="epochs of the up-down algorithm after all (dbn)")
    add("--real", action="store_true", help="the rows are real numbers, not in [0, 1] (rbm)")
    add(
        "--checkpoint",
        type=Path,
        help="where to go on from after an interrupt: a file (rbm) or a folder (dbn)",
    )
    add("--seed", type=seed, default=0, help="of the weights, the order of the rows and the chains (0)")
    add("--force", action="store_true", help="replace the output if it exists")


def run(args: argparse.Namespace) -> int:
    """Reads, trains, saves."""
    require_new(
        "output", args.output, ".npz" if args.kind == "autoencoder" else ".safetensors", force=args.force
    )
    for name, kinds in TAKEN_BY.items():
        if getattr(args, name) and args.kind not in kinds:
            raise InputError(f"--{name} is given for {args.kind}", "it has no such thing", "leave it out")
    rows, labels = _rows(args)
    sizes = args.hidden or [256]
    if args.kind == "rbm" and len(sizes) > 1:
        raise InputError(
            f"--hidden has {len(sizes)} sizes", "a machine has one hidden layer", "take kind dbn"
        )
    train = {"rbm": _rbm, "dbn": _dbn, "autoencoder": _autoencoder}[args.kind]
    train(args, rows, labels, sizes)
    return 0


def _rows(args: argparse.Namespace) -> tuple["np.ndarray", Any]:
    import numpy as np

    from probinv.cli._arrays import read_array

    rows = read_array("data", args.data, Path())
    if args.labels is None:
        return rows, None
    labels = read_array("--labels", args.labels, Path())
    if not np.equal(labels, np.round(labels)).all():
        raise InputError(
            "--labels holds no whole numbers", "they name classes", "number the classes 0, 1, ..."
        )
    return rows, labels.astype(int)


def _rbm(args: argparse.Namespace, rows: "np.ndarray", labels: Any, sizes: list[int]) -> None:
    from probinv.boltzmann.rbm import RBM

    machine = RBM(
        sizes[0],
        visible="gaussian" if args.real else "bernoulli",
        epochs=args.epochs,
        batch_size=args.batch_size,
        rate=args.rate,
        seed=args.seed,
        progress=True,
        checkpoint=args.checkpoint,
    ).fit(rows, labels)
    _saved(machine.save(args.output), machine.history_, machine.stopped_)


def _dbn(args: argparse.Namespace, rows: "np.ndarray", labels: Any, sizes: list[int]) -> None:
    from probinv.boltzmann.dbn import DBN
    from probinv.boltzmann.training import Training

    how = Training(epochs=args.epochs, batch_size=args.batch_size, rate=args.rate or 0.1, seed=args.seed)
    tuning = None
    if args.tuning:
        tuning = Training(epochs=args.tuning, batch_size=args.batch_size, rate=0.05, seed=args.seed)
    network = DBN(
        sizes, layers=how, memory=how, tuning=tuning, checkpoint=args.checkpoint, progress=True
    ).fit(rows, labels)
    _saved(network.save(args.output), network.history_[-1], network.stopped_)


def _autoencoder(args: argparse.Namespace, rows: "np.ndarray", labels: Any, sizes: list[int]) -> None:
    from probinv.boltzmann import train_autoencoder
    from probinv.forward import save_network

    how = {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "rate": args.rate or 0.003,
        "seed": args.seed,
    }
    done = train_autoencoder(rows, tuple(sizes), progress=True, **how)
    encoder = args.output.with_name(f"{args.output.stem}_encoder.npz")
    require_new("output", encoder, ".npz", force=args.force)
    save_network(done.autoencoder.encoder, encoder)
    print(f"Written: {encoder}, the encoder")
    _saved(save_network(done.autoencoder.decoder, args.output), done.history, done.stopped)


def _saved(path: Path, history: list[Any], stopped: str) -> None:
    """What was written and the last figures; an interrupt is passed on."""
    last = {name: value for name, value in (history[-1] if history else {}).items() if value == value}
    figures = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
    print(f"Written: {path} ({figures})" if figures else f"Written: {path}")
    if stopped == "interrupted":
        raise KeyboardInterrupt(f"interrupted: what there was is in {path}")
    if stopped:
        print(f"The training was stopped: {stopped}. The last good weights are kept; take a smaller --rate.")
