"""Autoencoders: an encoder and a decoder with a narrow code between them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import PRNGKey
from probinv.boltzmann.machine import Machine
from probinv.boltzmann.training._rows import as_rows, dense
from probinv.boltzmann.units import AbstractUnits, Bernoulli, Gaussian, Softmax
from probinv.forward import AbstractLayer, Activation, Dense, Layered

BLOCK = 256
GAIN = {"logistic": 4.0, "tanh": 1.0}
OTHER_GAIN = 2**0.5
LAST = 0.25
"""The last weights begin small: the first reconstruction is about the mean of the data."""


class Codes(NamedTuple):
    """Mean (k,) and covariance (k, k) of the codes of the training rows: they are not N(0, I)."""

    mean: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]


@final
class Autoencoder(eqx.Module):
    """x' = g(e(x)): an encoder e to k numbers, the code, and a decoder g back to x.

    Both are forward networks of one example: the decoder is a prior for an inversion, x = g(w), and the
    encoder a network like any other. Hinton and Salakhutdinov 2006, Science 313.

    Args:
        encoder: e, from (n,) to (k,).
        decoder: g, from (k,) to (n,).
        codes_: of the training rows; None where there was no training.

    Raises:
        InputError: they do not fit each other.
    """

    encoder: Layered
    decoder: Layered
    codes_: Codes | None = None

    def __check_init__(self) -> None:
        for name, network in (("encoder", self.encoder), ("decoder", self.decoder)):
            if not isinstance(network, Layered) or len(network.input_shape) != 1:
                raise InputError(
                    f"the {name} is not a Layered network of vectors",
                    f"got {type(network).__name__}",
                    "build it from layers, with an input_shape of one number",
                )
        there, back = self.encoder, self.decoder
        if there.output_shape != back.input_shape or there.input_shape != back.output_shape:
            raise InputError(
                "the decoder does not fit the encoder",
                f"the encoder takes {there.input_shape} to {there.output_shape}, the decoder "
                f"{back.input_shape} to {back.output_shape}",
                "give the two halves of one autoencoder",
            )

    @property
    def width(self) -> int:
        """n, the entries of x."""
        return self.encoder.input_shape[0]

    @property
    def code_size(self) -> int:
        """k, the entries of a code."""
        return self.decoder.input_shape[0]

    def encode(self, rows: Any) -> Float[np.ndarray, "rows k"]:
        """e(x) for each row; examples of any shape are raveled."""
        return _each(self.encoder, rows_of("rows", rows, self.width))

    def decode(self, codes: Any) -> Float[np.ndarray, "rows n"]:
        """g(w) for each row of codes."""
        return _each(self.decoder, rows_of("codes", codes, self.code_size))

    def reconstruct(self, rows: Any) -> Float[np.ndarray, "rows n"]:
        """g(e(x)) for each row."""
        return _each(self.decoder, self.encode(rows))

    def squared_error(self, rows: Any) -> Float[np.ndarray, " rows"]:
        """|g(e(x)) - x|^2 for each row, summed over the entries."""
        given = rows_of("rows", rows, self.width)
        return np.sum((self.reconstruct(given) - given) ** 2, axis=1)


def unroll(machines: Sequence[Machine]) -> Autoencoder:
    """The autoencoder that a stack of machines is: means upwards, then means downwards.

        e = mean of h_L given the mean of h_(L-1) ... given x,      g = mean of x given ... given h_L

    Encoder weights are W of each machine with its hidden biases, decoder weights W^T with its visible biases;
    a variance of Gaussian units is multiplied in. Gaussian hidden units on top make the code linear, as
    Hinton and Salakhutdinov (2006) have it. It is where `finetune` begins.

    Args:
        machines: from x upwards, the hidden side of each as wide as the visible side of the next.

    Raises:
        InputError: no machine, widths that do not chain, or units whose mean is no activation.
    """
    stack = list(machines)
    if not stack or not all(isinstance(machine, Machine) for machine in stack):
        raise InputError(
            "machines are not machines",
            f"got {[type(machine).__name__ for machine in stack]}",
            "give a list of trained Machine objects, from the data upwards",
        )
    for number, (below, above) in enumerate(pairwise(stack)):
        if below.hidden.size != above.visible.size:
            raise InputError(
                f"machines[{number + 1}] has {above.visible.size} visible units",
                f"machines[{number}] has {below.hidden.size} hidden units",
                "train each machine on what the one below gives",
            )
    up = [_means(m.hidden, np.asarray(m.weight).T, m.hidden_bias) for m in stack]
    down = [_means(m.visible, np.asarray(m.weight), m.visible_bias) for m in reversed(stack)]
    return Autoencoder(
        Layered([layer for pair in up for layer in pair], stack[0].visible.size),
        Layered([layer for pair in down for layer in pair], stack[-1].hidden.size),
    )


def new_autoencoder(
    width: int,
    sizes: Sequence[int],
    key: PRNGKey,
    *,
    activation: str = "silu",
    output: str = "logistic",
    mean: Any = None,
) -> Autoencoder:
    """An autoencoder with new weights: layers width-sizes[0]-...-k-...-sizes[0]-width, a linear code.

    W ~ N(0, 2 gain^2 / (in + out)), gain 1 for tanh, 4 for the logistic function (which with biases of minus
    half the sums of weights is tanh in other units), 2^(1/2) for others (Glorot and Bengio 2010; He et al.
    2015, arXiv 1502.01852).

    Args:
        width: n, entries of x.
        sizes: widths up to the code, the code last.
        key: of the weights.
        activation: of the layers between, see `Activation`.
        output: of the last layer: logistic for x in [0, 1], identity for real x.
        mean: of the data (n,), about which the first reconstructions lie; 0 without it.

    Raises:
        InputError: no size, or an activation that is unknown.
    """
    wide = [as_count("width", width), *(as_count(f"sizes[{i}]", size) for i, size in enumerate(sizes))]
    if len(wide) == 1:
        raise InputError("sizes is empty", "a code needs a size", "for example sizes=(1000, 500, 250, 30)")
    inner, last = Activation(activation), Activation(output)
    shapes = [*pairwise(wide), *pairwise(wide[::-1])]
    gain, keys = GAIN.get(inner.name, OTHER_GAIN), jax.random.split(key, len(shapes))
    centre = np.zeros(width) if mean is None else np.asarray(mean, np.float64)
    layers: list[AbstractLayer] = []
    for number, (own, (taken, given)) in enumerate(zip(keys, shapes, strict=True)):
        noise = np.asarray(jax.random.normal(own, (given, taken), jnp.float32), np.float64)
        weight = gain * np.sqrt(2 / (taken + given)) * noise
        code, end = number == len(wide) - 2, number == len(shapes) - 1
        if end:
            weight *= LAST
        bias = -weight @ centre
        if end and mean is not None:
            bias += Bernoulli(width).natural(mean) if last.name == "logistic" else mean
        kind = Activation("identity") if code else last if end else inner
        layers += [Dense(weight.astype(np.float32), bias.astype(np.float32)), kind]
        centre = np.full(given, 0.5 if inner.name == "logistic" and not code else 0.0)
    half = 2 * (len(wide) - 1)
    return Autoencoder(Layered(layers[:half], width), Layered(layers[half:], wide[-1]))


def codes_of(autoencoder: Autoencoder, rows: Any) -> Codes:
    """Mean and covariance of the codes of rows, in double precision."""
    codes = autoencoder.encode(rows).astype(np.float64)
    return Codes(codes.mean(axis=0), np.atleast_2d(np.cov(codes, rowvar=False, ddof=0)))


def rows_of(name: str, value: Any, width: int) -> Float[np.ndarray, "rows n"]:
    """Dense float32 rows of that width, or an InputError."""
    rows = dense(as_rows(name, value))
    if rows.shape[1] != width:
        raise InputError(
            f"{name} has {rows.shape[1]} columns",
            f"the network takes {width} numbers",
            "give rows of the width that it was trained on",
        )
    return rows


def _means(units: AbstractUnits, weight: np.ndarray, bias: Any) -> tuple[Dense, Activation]:
    """E[s | theta] with theta = weight @ x + bias, as two layers."""
    bias = np.asarray(bias)
    if isinstance(units, Bernoulli):
        return Dense(weight, bias), Activation("logistic")
    if isinstance(units, Gaussian):
        variance = np.exp(2 * np.asarray(units.log_sigma)).astype(weight.dtype)
        return Dense(variance[:, None] * weight, variance * bias), Activation("identity")
    if isinstance(units, Softmax) and units.groups == 1:
        return Dense(weight, bias), Activation("softmax")
    raise InputError(
        f"{type(units).__name__} units cannot be unrolled",
        "their mean is not one activation of a network",
        "use Bernoulli, Gaussian or Softmax (one group) units",
    )


def _each(network: Layered, rows: Float[np.ndarray, "rows _"]) -> Float[np.ndarray, "rows _"]:
    """The network at each row, in blocks of one size: one program for any number of rows."""
    device, found = jax.tree.map(jnp.asarray, network), []
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        padded = np.zeros((BLOCK, rows.shape[1]), rows.dtype)
        padded[: len(block)] = block
        found.append(np.asarray(_block(device, padded))[: len(block)])
    return np.concatenate(found)


@jax.jit
def _block(network: Layered, rows: Float[Array, "block _"]) -> Float[Array, "block _"]:
    return jax.vmap(network)(rows)
