"""A Keras model as a forward."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp

from probinv._typing import X, Y
from probinv.forward._base import AbstractForward
from probinv.forward._leaves import device_leaf
from probinv.forward._single import one_input, single
from probinv.forward.loaders._noise import check_no_noise
from probinv.forward.loaders.keras.program import Program


@final
class KerasForward(AbstractForward):
    """y = model(x[None], training=False)[0].

    Args:
        weights: in the order of `model.weights`, leaves, floats as float64 NumPy.
        program: everything else, static.
        input_shape: shape of one x, if the model says it.

    All of it is computed in float64 inside `double_precision` and in float32 outside, whatever the policies
    of the layers are.
    """

    weights: tuple[Any, ...]
    program: Program = eqx.field(static=True)
    _input_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self, weights: tuple[Any, ...], program: Program, input_shape: tuple[int, ...] | None
    ) -> None:
        self.weights = tuple(weights)
        self.program = program
        self._input_shape = input_shape

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        return self._input_shape

    def __call__(self, x: X) -> Y:
        x = one_input(x, self._input_shape)
        weights = [device_leaf(leaf) for leaf in self.weights]

        def call(seeds: list[Any], x: X) -> Y:
            return single(lambda batch: self.program.call(weights, seeds, batch), x, batched=True)

        seeds = [jnp.zeros(2, jnp.uint32) for _ in self.program.copy().seeds]
        if seeds and x.shape not in self.program.quiet:
            check_no_noise(call, seeds, x)
            self.program.quiet.add(x.shape)
        return call(seeds, x)
