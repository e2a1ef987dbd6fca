"""A small network, a spec file that asks something of it, and the same with one thing changed."""

from pathlib import Path

import numpy as np

from probinv.cli import main
from probinv.forward import Layered, save_network

GOOD = """\
network = "net.npz"

[prior]
kind = "uniform"
low = -1.0
high = 1.0

[target]
kind = "gaussian"
y_star = [0.3, nan]
scale = 0.1

[method]
kind = "nuts"
draws = 20
warmup = 10
chains = 2

[run]
seed = 3
output = "result.nc"
"""


def network() -> Layered:
    """3 inputs, 2 outputs."""
    rng = np.random.default_rng(0)
    weights = [0.7 * rng.normal(size=(8, 3)), 0.5 * rng.normal(size=(2, 8))]
    return Layered.from_arrays(weights, activation="tanh")


def write(folder: Path, text: str = GOOD, name: str = "spec.toml") -> Path:
    """The network, and a spec file beside it."""
    save_network(network(), folder / "net.npz")
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def changed(old: str, new: str) -> str:
    """The good spec with one passage replaced."""
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def section(name: str, body: str) -> str:
    """The good spec with the body of one section replaced."""
    head, _, rest = GOOD.partition(f"[{name}]\n")
    after = rest[rest.index("\n[") :] if "\n[" in rest else ""
    return f"{head}[{name}]\n{body}\n{after}"


def call(*words: object) -> int:
    """`probinv` with these words; argparse's exit as a code."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)
