"""See what a handwritten digit looks like to a classifier, under a plain prior and under a learned one."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probinv.cli._words import seed

if TYPE_CHECKING:
    import xarray as xr

    from probinv.cli._digits import Lesson

CERTAINTY, SOFTNESS = 0.95, 0.01
QUICK = 50

PRIORS = {
    "plain": "every pixel anywhere between no ink (0) and full ink (1), all equally plausible",
    "learned": "one Gaussian fitted to all training images, whatever their digit",
}

CONCLUSION = """\
Both priors meet the same wish. Under the plain one the answers lie {plain:.1f} times as far from the
training images as real images of {digit} do, under the learned one {learned:.1f} times: what the answer looks
like is decided by the prior as much as by the network. The learned prior is a Gaussian fitted to pixels
between 0 and 1, and does not know these limits: {outside:.0%} of the pixels of its draws lie beyond them.
The comparison and the other judges see them clipped.
"""

SPEC = """\
# Ask again, another digit or another certainty:  probinv invert {name}
network = "classifier.npz"

[prior]
{prior}

[target]    # the classifier's probability of this digit
kind = "at_least"
on = {digit}
bound = {certainty}
softness = {softness}

[run]
seed = {seed}
output = "again_{which}.nc"
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument
    add("--digit", type=int, choices=range(10), default=3, metavar="0-9", help="which digit (3)")
    add("--folder", type=Path, default=Path("probinv-demo"), help="where the results go (probinv-demo)")
    add("--seed", type=seed, default=0, help="of the split, the training and the draws (0)")
    add("--quick", action="store_true", help="few draws: to see that it runs, not to learn from it")


def run(args: argparse.Namespace) -> int:
    """Trains, asks twice, compares."""
    clock = Clock()
    clock.say(f"What does the digit {args.digit} look like to a classifier? Reading scikit-learn's digits.")
    from probinv.cli._digits import study

    lesson = study(args.seed)
    clock.say(f"The classifier: {lesson.about}")
    args.folder.mkdir(parents=True, exist_ok=True)
    write_specs(args, lesson)
    trees = {which: _ask(args, which, lesson, clock) for which in PRIORS}

    clock.say("Second opinions of the draws.")
    _compare(args, trees, lesson)
    clock.say("The pictures and the reports.")
    for which, tree in trees.items():
        _write(tree, args, which, clock)
    clock.say(f"Done. Look into {args.folder.resolve()}: comparison.png first, then the .html pages.")
    return 0


def _compare(args: argparse.Namespace, trees: dict[str, "xr.DataTree"], lesson: "Lesson") -> None:
    """The table, the conclusion and the picture of both answers."""
    from probinv.cli._comparison import beyond, distances, draw, gather, table
    from probinv.results.tree import provenance

    draws = {which: tree["posterior"]["x"].values for which, tree in trees.items()}
    columns = gather(args.digit, draws, lesson)
    verdicts = [provenance(tree)["verdict"]["verdict"] for tree in trees.values()]
    print(f"\n{table(args.digit, columns, lesson, verdicts)}\n")
    plain, learned, real = distances(columns, lesson)
    numbers = {"plain": plain / real, "learned": learned / real, "outside": beyond(columns)[1]}
    print(CONCLUSION.format(digit=args.digit, **numbers), flush=True)
    draw(args.folder / "comparison.png", args.digit, columns, lesson)


class Clock:
    """Says what is going on, with the seconds since the start."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def say(self, text: str) -> None:
        """One line on standard output."""
        print(f"[{time.perf_counter() - self.start:5.1f} s] {text}", flush=True)


def write_specs(args: argparse.Namespace, lesson: "Lesson") -> None:
    """The network, the data and the two questions as files that `probinv invert` takes."""
    import numpy as np

    from probinv.forward import save_network

    save_network(lesson.network, args.folder / "classifier.npz")
    np.save(args.folder / "training_images.npy", lesson.train.reshape(len(lesson.train), -1))
    priors = {
        "plain": 'kind = "uniform"\nlow = 0.0\nhigh = 1.0',
        "learned": 'kind = "empirical"\ndata = "training_images.npy"',
    }
    for which, prior in priors.items():
        path = args.folder / f"question_{which}.toml"
        words = {"name": path.name, "which": which, "prior": prior, "digit": args.digit, "seed": args.seed}
        path.write_text(SPEC.format(certainty=CERTAINTY, softness=SOFTNESS, **words), "utf-8")


def _ask(args: argparse.Namespace, which: str, lesson: "Lesson", clock: Clock) -> "xr.DataTree":
    """The draws under one prior, saved."""
    from probinv._invert import invert
    from probinv.likelihood import AtLeast, On
    from probinv.methods import NUTS
    from probinv.posterior import Posterior
    from probinv.prior import Uniform, fit_gaussian
    from probinv.results.files import save
    from probinv.results.tree import provenance

    prior: Any = Uniform(0.0, 1.0, lesson.shape) if which == "plain" else fit_gaussian(lesson.train)
    clock.say(
        f"The {which} prior: {PRIORS[which]}. Sampling the images with p({args.digit}) > {CERTAINTY:g}."
    )
    wish = On(args.digit, AtLeast(CERTAINTY, SOFTNESS))
    method = NUTS(draws=QUICK, warmup=QUICK) if args.quick else None
    path = args.folder / f"result_{which}.nc"
    tree = invert(Posterior(prior, lesson.forward, wish), method, seed=args.seed)
    save(tree, path)
    if provenance(tree)["interrupted"]:
        raise KeyboardInterrupt(f"interrupted: the draws so far are in {path}")
    return tree


def _write(tree: "xr.DataTree", args: argparse.Namespace, which: str, clock: Clock) -> None:
    """The picture of the draws and the report."""
    from probinv.cli._comparison import draw_grid
    from probinv.results.report import report

    title = f"What the classifier takes for the digit {args.digit}, under the {which} prior"
    posterior, prior = tree["posterior"]["x"].values, tree["prior"]["x"].values[0]
    draw_grid(args.folder / f"images_{which}.png", title, posterior, prior)
    report(tree, args.folder / f"result_{which}.html")
    clock.say(f"Written: result_{which}.nc, result_{which}.html, images_{which}.png")
