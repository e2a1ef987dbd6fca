"""A decoder as p(x) in a posterior."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probinv._checks import as_array, as_count
from probinv._errors import InputError
from probinv._typing import Scalar, X, Z
from probinv.forward import AbstractForward, Activation, Layered, as_forward, output_struct
from probinv.prior import AbstractStandardPrior
from probinv.prior._leaf import leaf

STARTS, STEPS = 8, 60
DAMPING_FIRST, DAMPING_LEAST = 1e-2, 1e-14
BOUNDS = {
    "logistic": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "sin": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
    "relu": (0.0, math.inf),
    "exp": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "log_softmax": (-math.inf, 0.0),
}
"""Between which numbers the values of an activation lie; the others are not bounded on both sides."""


@final
class DecoderPrior(AbstractStandardPrior):
    r"""x = g(m + L z), z ~ N(0, I), with g a trained decoder.

    The codes of an autoencoder are not N(0, I): m and L L^T are the mean and covariance of `codes`, the
    encoded training data, so that prior draws are decoded from where the decoder was trained. Without them
    m = 0 and L = I, as for the decoder of a variational autoencoder.

    z has k coordinates and x has n entries, mostly more: x lies on a surface of k dimensions, and p(x) has no
    density there with respect to dx. `log_prob` is therefore refused; methods need log p(z) only. No x off
    the surface is possible: a wish that asks for one is reached as nearly as the decoder can.

    `inverse` is the z of least |g(m + L z) - x|^2 that 60 Levenberg-Marquardt steps find, from the encoder's
    code of x, or else from 8 points of N(0, I), the best of them. It is exact for x on the surface where it
    does not end in a local minimum.

    Args:
        decoder: g, any forward or whatever `as_forward` accepts; in double precision.
        latent_size: k, where the decoder does not say it and there are no codes.
        codes: encoded training data (rows, k), of at least k + 1 rows.
        encoder: x -> code, to begin `inverse` with.

    Raises:
        InputError: k is unknown or does not fit, codes that do not span k dimensions, or a decoder that
            computes in single precision.
    """

    decoder: AbstractForward
    encoder: AbstractForward | None
    mean: Float[Array | np.ndarray, " k"]
    cholesky: Float[Array | np.ndarray, "k k"]
    _shape: tuple[int, ...] = eqx.field(static=True)
    _code_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self, decoder: Any, latent_size: int | None = None, *, codes: Any = None, encoder: Any = None
    ) -> None:
        self.decoder = as_forward(decoder)
        self._code_shape = _code_shape(self.decoder, latent_size, codes)
        self.mean, self.cholesky = _whitening(codes, math.prod(self._code_shape))
        struct = output_struct(self.decoder, self._code_shape)
        if struct.dtype != np.float64:
            raise InputError(
                "the decoder computes in single precision",
                "x would be rounded to 6e-8 of its size, and methods take its derivatives in z",
                "give it weights in double precision",
            )
        self._shape = tuple(struct.shape)
        self.encoder = None if encoder is None else as_forward(encoder)
        if self.encoder is not None:
            _check_encoder(self.encoder, self._shape, self._code_shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def latent_size(self) -> int:
        return self.mean.size

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of the last activation of a `Layered` decoder; infinite for any other."""
        last = self.decoder.layers[-1] if isinstance(self.decoder, Layered) and self.decoder.layers else None
        low, high = (-math.inf, math.inf)
        if isinstance(last, Activation):
            low, high = BOUNDS.get(last.name, (low, high))
        return np.full(self.shape, low), np.full(self.shape, high)

    def transform(self, z: Z) -> X:
        return self.decoder((leaf(self.mean) + leaf(self.cholesky) @ z).reshape(self._code_shape))

    def inverse(self, x: X) -> Z:
        """A z for which T(z) is as near to x as could be found."""
        found, error = jax.vmap(self._nearest, in_axes=(0, None))(self._starts(x), x)
        return found[jnp.nanargmin(error)]

    def log_prob(self, x: X) -> Scalar:
        raise InputError(
            "a DecoderPrior has no density of x",
            f"x = g(w) lies on a surface of {self.latent_size} dimensions among {math.prod(self.shape)} "
            "entries of x, and its density with respect to dx is zero or infinite",
            "use log_latent(z), the density of the coordinates z",
        )

    def _starts(self, x: X) -> Float[Array, "starts k"]:
        if self.encoder is None:
            points = np.random.default_rng(0).standard_normal((STARTS, self.latent_size))
            points[0] = 0.0
            return jnp.asarray(points, x.dtype)
        code = self.encoder(x).ravel() - leaf(self.mean)
        return jax.scipy.linalg.solve_triangular(leaf(self.cholesky), code, lower=True)[None]

    def _nearest(self, start: Z, x: X) -> tuple[Z, Scalar]:
        """Levenberg-Marquardt: (J^T J + d I) step = -J^T r, d falls where a step helps, else rises."""

        def residual(z: Z) -> Float[Array, " m"]:
            return (self.transform(z) - x).ravel()

        def step(_: Array, carry: tuple[Z, Scalar]) -> tuple[Z, Scalar]:
            z, damping = carry
            r, j = residual(z), jax.jacfwd(residual)(z)
            scale = jnp.trace(j.T @ j) / z.size + jnp.finfo(z.dtype).tiny
            moved = z - jnp.linalg.solve(j.T @ j + damping * scale * jnp.eye(z.size), j.T @ r)
            better = jnp.sum(residual(moved) ** 2) < jnp.sum(r**2)
            changed = jnp.where(better, jnp.maximum(damping / 10, DAMPING_LEAST), damping * 10)
            return jnp.where(better, moved, z), jnp.clip(changed, DAMPING_LEAST, 1 / DAMPING_LEAST)

        z, _ = jax.lax.fori_loop(0, STEPS, step, (start, jnp.asarray(DAMPING_FIRST, start.dtype)))
        return z, jnp.sum(residual(z) ** 2)


def _code_shape(decoder: AbstractForward, latent_size: Any, codes: Any) -> tuple[int, ...]:
    """The shape of one code, from the decoder, the codes or the argument, which must agree."""
    size = None if latent_size is None else as_count("latent_size", latent_size)
    shape = decoder.input_shape
    if shape is None and codes is not None:
        shape = as_array("codes", codes).shape[1:]
    if shape is None:
        if size is None:
            raise InputError(
                "latent_size is not known",
                "the decoder does not say how many numbers it takes",
                "give latent_size, or codes",
            )
        shape = (size,)
    if size not in (None, math.prod(shape)):
        raise InputError(
            f"latent_size is {size}",
            f"the decoder takes an input of shape {shape}",
            "leave latent_size out",
        )
    return tuple(shape)


def _whitening(codes: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and Cholesky factor of the codes."""
    if codes is None:
        return np.zeros(size), np.eye(size)
    rows = as_array("codes", codes)
    if rows.ndim < 2 or math.prod(rows.shape[1:]) != size:
        raise InputError(
            f"codes has shape {rows.shape}",
            f"one code has {size} entries",
            "give (rows, entries), for example encoder outputs of the training data",
        )
    rows = rows.reshape(len(rows), -1)
    covariance = np.atleast_2d(np.cov(rows, rowvar=False)) if len(rows) > size else np.zeros((size, size))
    scale = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(scale, scale) if (scale > 0).all() else covariance
    if np.linalg.eigvalsh(correlation)[0] < 1e-12 * size:
        raise InputError(
            "codes do not span the latent space",
            f"{len(rows)} rows of {size} entries have a singular covariance",
            "give more rows, or a decoder with fewer codes",
        )
    return rows.mean(axis=0), np.linalg.cholesky(covariance)


def _check_encoder(encoder: AbstractForward, shape: tuple[int, ...], code: tuple[int, ...]) -> None:
    found = output_struct(encoder, shape).shape
    if math.prod(found) != math.prod(code):
        raise InputError(
            f"the encoder gives codes of shape {tuple(found)}",
            f"the decoder takes {code}",
            "give the encoder and the decoder of one autoencoder",
        )
