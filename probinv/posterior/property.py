"""A property of a network: boxes of inputs, and what is asked of the outputs of each."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from probinv._errors import InputError
from probinv.forward.flat import Flat
from probinv.likelihood import AbstractRegionLikelihood
from probinv.posterior._formula import Formula, holds
from probinv.posterior._posterior import Posterior
from probinv.prior import AbstractPrior, Fixed, Uniform

SHOWN = 4


@final
@dataclass(frozen=True, eq=False)
class Case:
    """One box of inputs and the wish for the outputs there: p(x) is uniform on the box.

    Attributes:
        low: lower edges, of shape (inputs,).
        high: upper edges; an input with low = high is fixed.
        likelihood: the region of outputs.
    """

    low: Float[np.ndarray, " inputs"]
    high: Float[np.ndarray, " inputs"]
    likelihood: AbstractRegionLikelihood

    @property
    def free(self) -> int:
        """How many inputs are not fixed."""
        return int((self.low < self.high).sum())

    @property
    def prior(self) -> AbstractPrior:
        """p(x): uniform on the box, with the fixed inputs at their values.

        Raises:
            InputError: every input is fixed.
        """
        fixed = self.low == self.high
        if fixed.all():
            raise InputError(
                "every input is fixed",
                "there is nothing to draw",
                "use find_witness, which looks at the point",
            )
        if not fixed.any():
            return Uniform(self.low, self.high)
        room = np.where(fixed, np.maximum(np.abs(self.low), 1.0), 0.0)
        return Fixed(Uniform(self.low - room, self.high + room), np.where(fixed, self.low, np.nan))

    def __str__(self) -> str:
        fixed = f", {len(self.low) - self.free} fixed" if self.free < len(self.low) else ""
        return f"{self.free} inputs in a box{fixed}; {self.likelihood.describe()}"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Property:
    """Which inputs x of a box have outputs y = f(x) that meet a wish? Made by `load_property`.

    X_i is x[i] and Y_j is y[j]: of a network with inputs or outputs of several dimensions they are counted
    with the last index running fastest.

    Attributes:
        name: of the file.
        inputs: number of inputs.
        outputs: number of outputs.
        cases: boxes with a wish each. An input has the property if it meets one of them.
        formula: what the file asserts.
    """

    name: str
    inputs: int
    outputs: int
    cases: tuple[Case, ...]
    formula: Formula

    def reached(self, x: Any, y: Any) -> bool:
        """Whether x and y have the property: every comparison as it is written, of float64 without rounding.

        Args:
            x: one input, of any shape with as many entries as there are inputs.
            y: the output of a network for it. NaN and infinite numbers have no property.

        Raises:
            InputError: there are more or fewer entries.
        """
        vectors = [
            _vector(*one) for one in (("x", x, self.inputs, "inputs"), ("y", y, self.outputs, "outputs"))
        ]
        finite = all(np.isfinite(vector).all() for vector in vectors)
        return finite and holds(self.formula, *(vector.tolist() for vector in vectors))

    def posterior(self, network: Any, case: int = 0) -> Posterior:
        """p(x | property), of one of the cases.

        Args:
            network: whatever `as_forward` accepts; its inputs and outputs become vectors (`Flat`).
            case: index of the case.

        Raises:
            InputError: the network has other numbers of inputs or outputs, or there is no such case.
        """
        if isinstance(case, bool) or not isinstance(case, int) or not 0 <= case < len(self.cases):
            raise InputError(
                f"there is no case {case!r}", f"{self.name} has {len(self.cases)}", "count them from 0"
            )
        one = self.cases[case]
        return Posterior(one.prior, self.flat(network), one.likelihood)

    def flat(self, network: Any) -> Flat:
        """The network of vectors, if its numbers of inputs and outputs are those of the property.

        Raises:
            InputError: they are not.
        """
        flat = Flat(network, self.inputs)
        if flat.outputs != self.outputs:
            raise InputError(
                f"the network gives {flat.outputs} outputs",
                f"{self.name} speaks of {self.outputs}",
                "take the network and the property that belong together",
            )
        return flat

    def __repr__(self) -> str:
        count = len(self.cases)
        head = f"Property({self.name}: {self.inputs} inputs, {self.outputs} outputs, {count} case"
        lines = [f"{head}{'s' * (count > 1)})"]
        lines += [f"  {i}: {case}" for i, case in enumerate(self.cases[:SHOWN])]
        return "\n".join(lines + [f"  and {count - SHOWN} more"] * (count > SHOWN))


def _vector(name: str, value: Any, size: int, what: str) -> np.ndarray:
    vector = np.asarray(value, np.float64).ravel()
    if vector.size != size:
        raise InputError(
            f"{name} has {vector.size} entries", f"the property speaks of {size} {what}", "give all of them"
        )
    return vector
