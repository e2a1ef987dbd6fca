"""The coupling layer: a network that can be inverted by construction."""

from dataclasses import dataclass
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._errors import InputError
from probinv.forward._leaves import host_weights
from probinv.forward.layers._base import AbstractInverse, AbstractInvertible, Noise
from probinv.forward.layers._box import Box, Range


@final
class Coupling(AbstractInvertible):
    """y_a = x_a,  y_b = x_b exp(tanh(s)) + t,  (s, t) = W_2 tanh(W_1 x_a + b_1) + b_2;  x = (x_a, x_b).

    The first k entries pass and say how the others are scaled and moved, so x_b = (y_b - t) exp(-tanh(s))
    exactly, whatever the weights (Dinh, Sohl-Dickstein & Bengio 2017, arXiv 1605.08803). Put a `Permutation`
    between two of them, so that all entries change.

    Args:
        inner: W_1, of shape (hidden, k).
        inner_bias: b_1, of shape (hidden,).
        outer: W_2, of shape (2 (n - k), hidden): first the rows of s, then those of t.
        outer_bias: b_2, of shape (2 (n - k),).

    Raises:
        InputError: the shapes do not match, or an entry is not finite.
    """

    inner: Float[Array | np.ndarray, "hidden k"]
    inner_bias: Float[Array | np.ndarray, " hidden"]
    outer: Float[Array | np.ndarray, "moved hidden"]
    outer_bias: Float[Array | np.ndarray, " moved"]

    def __init__(self, inner: Any, inner_bias: Any, outer: Any, outer_bias: Any) -> None:
        self.inner = host_weights("inner", inner, ndim=2)
        self.inner_bias = host_weights("inner_bias", inner_bias, ndim=1)
        self.outer = host_weights("outer", outer, ndim=2)
        self.outer_bias = host_weights("outer_bias", outer_bias, ndim=1)
        hidden, rows = self.inner.shape[0], self.outer.shape[0]
        found = (self.inner_bias.shape, self.outer.shape, self.outer_bias.shape)
        if found != ((hidden,), (rows, hidden), (rows,)) or rows % 2:
            raise InputError(
                f"inner_bias, outer and outer_bias have shapes {found}",
                f"inner has {hidden} rows",
                f"they need ({hidden},), (2 m, {hidden}) and (2 m,), m the number of entries that are moved",
            )

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.inner.shape[1], self.outer.shape[0] // 2

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        kept, moved = self._sizes
        if shape != (kept + moved,):
            raise InputError(
                f"a coupling of {kept} and {moved} entries cannot take shape {shape}",
                "it acts on a vector",
                f"give it {kept + moved} entries, after a Reshape if they are not a vector",
            )
        return shape

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        kept, moved = self._sizes
        inner, inner_bias, outer, outer_bias = (
            jnp.asarray(part, x.dtype) for part in (self.inner, self.inner_bias, self.outer, self.outer_bias)
        )
        out = outer @ jnp.tanh(inner @ x[:kept] + inner_bias) + outer_bias
        return jnp.concatenate([x[:kept], x[kept:] * jnp.exp(jnp.tanh(out[:moved])) + out[moved:]])

    def inverse(self, shape: tuple[int, ...]) -> "CouplingInverse":
        def double(weight: Array | np.ndarray) -> np.ndarray:
            return np.asarray(weight, np.float64)

        return CouplingInverse(
            double(self.inner), double(self.inner_bias), double(self.outer), double(self.outer_bias)
        )


@final
@dataclass(frozen=True)
class CouplingInverse(AbstractInverse):
    """x_b = (y_b - t(y_a)) exp(-tanh(s(y_a)))."""

    inner: np.ndarray
    inner_bias: np.ndarray
    outer: np.ndarray
    outer_bias: np.ndarray

    @property
    def rank(self) -> int:
        return self.inner.shape[1] + len(self.outer) // 2

    def reach(self, domain: Range) -> Range:
        return Range.everything((self.rank,))

    def pull(self, wish: Box, domain: Range, noise: Noise | None) -> tuple[Box, np.ndarray]:
        kept, moved = self.inner.shape[1], len(self.outer) // 2
        first, second = wish.at[:, :kept], wish.at[:, kept:]
        out = np.tanh(first @ self.inner.T + self.inner_bias[None]) @ self.outer.T + self.outer_bias[None]
        back = (second - out[:, moved:]) * np.exp(-np.tanh(out[:, :moved]))
        return Box.point(np.concatenate([first, back], axis=1)), np.zeros(len(first), bool)
