"""What the labels of a batch say of a stack, or of a machine alone."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._typing import PRNGKey, Scalar
from probinv.boltzmann.labels import label_scores
from probinv.boltzmann.stack import Stack
from probinv.boltzmann.units import parameters

type Rows = Float[Array, "batch _"]
DROP = 2**31
"""Where the keys of what is left out begin."""


def label_slope(
    drop: bool, dropout: Scalar | float | np.floating, stack: Stack, rows: Rows, key: PRNGKey
) -> Any:
    """Gradient of mean log p(label | E[t_L | x]) over rows (x, label), by all parameters of a stack:

    with the likelihood's gradient the hybrid of Larochelle and Bengio (2008), with a share of x and of every
    layer's means left out at random where `drop` is set (Srivastava et al. 2014).
    """
    split = rows.shape[1] - stack.classes

    def kept(place: int, t: Rows) -> Rows:
        if not drop:
            return t
        keep = 1 - dropout
        return t * jax.random.bernoulli(jax.random.fold_in(key, DROP + place), keep, t.shape) / keep

    def fit(own: Any) -> Scalar:
        whole = eqx.combine(own, stack)
        t = kept(0, rows[:, :split])
        for place, layer in enumerate(whole.layers, start=1):
            t = kept(place, layer.above.mean(layer.up(t)))
        scores = label_scores(whole.top, t)
        return jnp.sum(jax.nn.log_softmax(scores, axis=1) * rows[:, split:], axis=1).mean()

    return jax.grad(fit)(parameters(stack))
