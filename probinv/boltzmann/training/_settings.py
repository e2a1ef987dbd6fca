"""How to train."""

from typing import Any, Literal, final

import equinox as eqx
import numpy as np

from probinv._checks import as_array, as_count, as_positive
from probinv._errors import InputError
from probinv.boltzmann.training._step import Knobs, Static

METHODS = ("pcd", "cd")
NEED_LABELS = {
    "conditional": "p(rest | label) says nothing of the labels' biases",
    "dropout": "inputs are left out only where the label is asked",
}
"""Settings that need `discriminative`, and why."""


@final
class Training(eqx.Module):
    """Stochastic ascent of the likelihood: the object is its configuration.

    Args:
        epochs: how often every row is seen.
        batch_size: rows of one update.
        rate: of the first updates.
        decay: let the rate fall to 0 in a straight line over the training.
        negative: "pcd", chains that go on from update to update (Tieleman 2008), or "cd", chains that begin
            at the data (Hinton 2002): faster at first, a worse likelihood in the end.
        steps: k, turns of block Gibbs sampling in one update.
        chains: persistent chains; as many as rows of a batch if None.
        centring: rate of the moving averages of v and h that statistics are centred at; 0 leaves the gradient
            as it is.
        averaging: decay of the moving average of the parameters that is returned; 0 returns the last ones.
        momentum: of the ascent; 0 for none.
        weight_decay: the weights shrink by so much of the rate in every update.
        discriminative: weight of log p(label | the rest) beside the likelihood, for machines with label units
            (Larochelle and Bengio 2008).
        dropout: share of x, and in a network of every layer above it, that is left out at random where the
            label is asked (Srivastava et al. 2014).
        conditional: climb log p(the rest | label) in place of log p(the rest, label): chains keep their
            labels, as they do when a label is imagined (close to Carbone et al. 2023, arXiv 2307.06797).
            Needs `discriminative`, by which alone the biases of the labels then learn.
        binarise: draw 0 or 1 anew from rows that hold probabilities, in each update.
        swaps: with "pcd": every so many updates the chains exchange their states with those of machines that
            were saved along the training (parallel trajectory tempering, Bereux et al. 2025, arXiv 2405.15376
            and 2607.27077); 0 never.
        snapshots: machines to keep from the training, at updates that grow geometrically.
        seed: of the order of the rows and of all that is drawn.

    Raises:
        InputError: a setting is out of its range.
    """

    epochs: int = 30
    batch_size: int = 100
    rate: float = 0.1
    decay: bool = True
    negative: Literal["pcd", "cd"] = "pcd"
    steps: int = 1
    chains: int | None = None
    centring: float = 0.01
    averaging: float = 0.999
    momentum: float = 0.0
    weight_decay: float = 0.0
    discriminative: float = 0.0
    dropout: float = 0.0
    conditional: bool = False
    binarise: bool = True
    swaps: int = 0
    snapshots: int = 0
    seed: int = 0

    def __check_init__(self) -> None:
        for name in ("epochs", "batch_size", "steps"):
            as_count(name, getattr(self, name))
        for name in ("swaps", "snapshots", "seed"):
            as_count(name, getattr(self, name), least=0)
        if self.chains is not None:
            as_count("chains", self.chains)
        as_positive("rate", self.rate, shape=())
        for name in ("centring", "averaging", "momentum", "weight_decay", "dropout"):
            share(name, getattr(self, name))
        if not float(as_array("discriminative", self.discriminative, shape=())) >= 0:
            raise InputError(
                "discriminative is negative", f"got {self.discriminative!r}", "it is a weight: 0 for none"
            )
        for name, why in NEED_LABELS.items():
            if getattr(self, name) and not self.discriminative:
                raise InputError(
                    f"{name} is set without discriminative", why, "set discriminative too, for example to 1.0"
                )
        if self.conditional and self.swaps:
            raise InputError("conditional and swaps are both set", "swaps do not keep a label", "set one")
        if self.negative not in METHODS:
            raise InputError(f"negative is {self.negative!r}", "it names the chains", 'give "pcd" or "cd"')
        if self.swaps and self.negative != "pcd":
            raise InputError("swaps are asked for without persistent chains", "", 'use negative="pcd"')

    @property
    def static(self) -> Static:
        """What the compiled program depends on."""
        return Static(
            self.steps,
            self.negative == "pcd",
            self.momentum > 0,
            self.binarise,
            self.discriminative > 0,
            self.conditional,
            self.dropout > 0,
        )

    @property
    def knobs(self) -> Knobs:
        """Numbers that may change without compiling again."""
        names = Knobs._fields
        return Knobs(*(np.float32(getattr(self, name)) for name in names))


def share(name: str, value: Any) -> None:
    """An InputError unless 0 <= value < 1."""
    if not 0 <= float(as_array(name, value, shape=())) < 1:
        raise InputError(f"{name} must lie between 0 and 1", f"got {value!r}", "for example 0.01; 0 for none")
