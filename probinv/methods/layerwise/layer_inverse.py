"""LayerInverse: the classical inverse, layer by layer."""

import time
from typing import Any, ClassVar, final

import numpy as np

from probinv._checks import as_count, as_positive
from probinv._errors import InputError, NumericalError
from probinv._typing import PRNGKey
from probinv.forward import Members, Preimage, joined
from probinv.methods._base import AbstractMethod, Cost, Optima, Progress
from probinv.posterior import Chain

BLOCK = 32


@final
class LayerInverse(AbstractMethod):
    r"""x = W^+ (s^-1(y) - b) + N w through every layer, from the last to the first, w ~ N(0, spread^2 I).

    The answer of a linear algebra book: the inverse where a layer has one, and otherwise the pseudo-inverse
    W^+ with the null space N of W. The first point has w = 0 at each layer (least norm), the others are
    random members of the family. They are points and not draws: their law is that of w, and no prior has a
    say, except that its bounds are kept where the null space allows it. Values that no input of a layer gives
    are projected; `forward_error` says for each point how far f(x) is from Y* in the end, and `in_support`
    whether the prior allows it.

    Args:
        draws: number of points.
        spread: standard deviation of the null-space coordinates, in the units of each layer's input.
        polish: Gauss-Newton steps on x for points that are not exact or not within the bounds; 0 for none.
    """

    draws: int = 100
    spread: float = 1.0
    polish: int = 20
    view: ClassVar[type] = Chain
    exact: ClassVar[bool] = False

    def __check_init__(self) -> None:
        as_count("draws", self.draws)
        as_count("polish", self.polish, least=0)
        as_positive("spread", self.spread, shape=())

    @property
    def steps(self) -> int:
        """Points."""
        return self.draws

    @property
    def points(self) -> int:
        """As many as draws."""
        return self.draws

    def memory(self, size: int) -> int:
        """Bytes at the peak of a run in `size` coordinates, the factors of the layers aside."""
        return 8 * 6 * self.draws * size

    def run(
        self, view: Chain, key: PRNGKey, progress: Progress, resume: dict[str, np.ndarray] | None = None
    ) -> Optima:
        """The point of least norm, then random members."""
        if resume is not None:
            raise InputError("resume cannot be used", "LayerInverse keeps no state", "run it again")
        began = time.perf_counter()
        family = view.preimage(self.polish)
        seconds_compile, began = time.perf_counter() - began, time.perf_counter()
        parts: list[Members] = []
        interrupted = False
        try:
            for first in range(0, self.draws, BLOCK):
                count = min(BLOCK, self.draws - first)
                parts.append(family.solver.members(key, first, count, float(self.spread)))
                progress.update(count, "going back")
        except KeyboardInterrupt:
            interrupted = True
            if not parts:
                raise
        found = joined(parts)
        y = found.y
        if not np.isfinite(y.reshape(len(y), -1)).all(axis=1).any():
            raise NumericalError(
                f"the network is NaN or infinite at all of {len(y)} points",
                "its layers overflow on the way forward",
                "check the network on inputs drawn from the prior",
            )
        none = np.full((len(found.x), view.size), np.nan)
        stats = {"forward_error": found.error, "projected": found.projected}
        # a Jacobian costs a gradient for each output, or a derivative for each input where these are fewer
        each = min(y[0].size, found.x[0].size)
        cost = Cost(found.jacobians * each, seconds_compile, time.perf_counter() - began)
        notes, inputs = _notes(family, found.layers), (found.x, found.raw)
        return Optima(none, none, stats, cost, interrupted, notes, inputs)


def _notes(family: Preimage, projected: tuple[int, ...]) -> dict[str, Any]:
    return {
        "condition": family.condition,
        "rank": family.rank,
        "free_dimensions": family.free,
        "projected_layers": list(projected),
        "layers": [fact._asdict() for fact in family.layers],
    }
