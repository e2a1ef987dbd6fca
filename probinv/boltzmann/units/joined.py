"""Units of several kinds side by side."""

from collections.abc import Iterator
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.units._base import AbstractUnits, Entries, Values


@final
class Joined(AbstractUnits):
    """s = (s_1, ..., s_k), each part of its own kind: pixels and a label, for example.

    Args:
        parts: the kinds, in the order of the entries.
    """

    parts: tuple[AbstractUnits, ...]

    def __init__(self, parts: Any) -> None:
        self.parts = tuple(parts)
        if not self.parts or not all(isinstance(part, AbstractUnits) for part in self.parts):
            raise InputError(
                "parts are not units",
                f"got {parts!r}"[:80],
                "for example Joined([Bernoulli(784), Softmax(10)])",
            )

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def slices(self) -> list[slice]:
        """Where each part stands."""
        ends = np.cumsum([part.size for part in self.parts]).tolist()
        return [slice(end - part.size, end) for end, part in zip(ends, self.parts, strict=True)]

    def log_base(self, s: Entries) -> Values:
        return sum((part.log_base(own) for part, own in self._split(s)), jnp.zeros(s.shape[:-1], s.dtype))

    def log_partition(self, theta: Entries) -> Values:
        zero = jnp.zeros(theta.shape[:-1], theta.dtype)
        return sum((part.log_partition(own) for part, own in self._split(theta)), zero)

    def mean(self, theta: Entries) -> Entries:
        return jnp.concatenate([part.mean(own) for part, own in self._split(theta)], axis=-1)

    def sample(self, key: PRNGKey, theta: Entries) -> Entries:
        keys = jax.random.split(key, len(self.parts))
        pairs = zip(keys, self._split(theta), strict=True)
        return jnp.concatenate([part.sample(own_key, own) for own_key, (part, own) in pairs], axis=-1)

    def drawn(self, key: PRNGKey, s: Entries) -> Entries:
        keys = jax.random.split(key, len(self.parts))
        pairs = zip(keys, self._split(s), strict=True)
        return jnp.concatenate([part.drawn(own_key, own) for own_key, (part, own) in pairs], axis=-1)

    def natural(self, mean: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.concatenate([part.natural(own) for part, own in self._split(mean)])

    def check(self, name: str, values: Float[np.ndarray, "rows n"]) -> None:
        for part, own in self._split(values):
            part.check(name, own)

    def states(self) -> Float[np.ndarray, "count n"]:
        each = [part.states() for part in self.parts]
        count = int(np.prod([len(rows) for rows in each]))
        if count > 2**20:
            raise InputError(f"the units have {count} states", "2^20 are the most", "estimate instead")
        places = np.stack(np.meshgrid(*[np.arange(len(rows)) for rows in each], indexing="ij"), axis=-1)
        places = places.reshape(-1, len(each))
        return np.concatenate([rows[places[:, k]] for k, rows in enumerate(each)], axis=1)

    def _split(self, s: Any) -> Iterator[tuple[AbstractUnits, Any]]:
        for part, place in zip(self.parts, self.slices(), strict=True):
            yield part, s[..., place]
