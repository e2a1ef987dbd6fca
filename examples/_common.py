"""What the examples share: the command line, and where pictures go."""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import probinv
from probinv.methods import AbstractMethod

__all__ = ["Figure", "plt", "run", "settings"]


def settings(quick: bool, method: type[AbstractMethod] = probinv.NUTS) -> AbstractMethod | None:
    """None, which lets probinv choose; for a quick look a method with few draws."""
    return method(draws=100, warmup=100) if quick else None


def run(main: Callable[[bool], dict[str, Figure]]) -> None:
    """Runs an example and leaves its pictures in a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few draws")
    parser.add_argument("--folder", type=Path, default=Path("pictures"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, figure in main(options.quick).items():
        path = options.folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        print(f"wrote {path}")
