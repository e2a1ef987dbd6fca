"""Y* = y + Student noise: a target that forgives a few outputs that cannot be reached."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc, gammaln
from jaxtyping import Array, Bool, Float

from probinv._checks import as_positive
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, Numbers
from probinv.likelihood._level import TAIL
from probinv.likelihood._target import another_target, as_target, check_shape
from probinv.likelihood._words import common, words


@final
class Student(AbstractLikelihood):
    """log p(Y* | y) = sum_i log t_df(t_i) - log scale_i,  t = (y - Y*) / scale.

    log t_v(t) = log Gamma((v+1)/2) - log Gamma(v/2) - log(v pi) / 2 - (v+1)/2 log(1 + t^2 / v).
    Outputs are independent; those with NaN in Y* do not matter and are left out.

    y counts as reached if the two-sided tail probability of every t_i is at least .001 / m, with m the
    outputs that matter (Bonferroni): were Y* drawn from this law, one in 1000 would be called missed.

    Args:
        y_star: the wish, of the shape of y and in its units; NaN where an output does not matter.
        scale: one number or one for each output (units of y); not a standard deviation, which is
            scale sqrt(df / (df - 2)) for df > 2.
        df: degrees of freedom, > 0, one number or one for each output; 1 is Cauchy, 4 is robust, above
            100 is nearly Gaussian.

    Raises:
        InputError: infinite or all-NaN y_star, scale or df not positive, wrong shapes.
    """

    y_star: Float[Array | np.ndarray, "*y"]
    scale: Float[Array | np.ndarray, "*y"]
    df: Float[Array | np.ndarray, "*y"]

    def __init__(self, y_star: Any, scale: Any, df: Any) -> None:
        self.y_star = as_target("y_star", y_star)
        self.scale = as_positive("scale", scale, shape=self.y_star.shape)
        self.df = as_positive("df", df, shape=self.y_star.shape)

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("y_star", self.y_star.shape, shape)

    def log_prob(self, y: Y) -> Scalar:
        observed, t = self._whitened(y)
        v = jnp.asarray(self.df)
        constant = gammaln((v + 1) / 2) - gammaln(v / 2) - 0.5 * jnp.log(v * jnp.pi) - jnp.log(self.scale)
        return jnp.sum(jnp.where(observed, constant - (v + 1) / 2 * jnp.log1p(t**2 / v), 0.0))

    def reached(self, y: Y) -> Flag:
        """P(|T| > |t_i|) = I_{v / (v + t_i^2)}(v/2, 1/2) >= .001 / m for every output that matters."""
        observed, t = self._whitened(y)
        v = jnp.asarray(self.df)
        tail = betainc(v / 2, jnp.full_like(v, 0.5), v / (v + t**2))
        return jnp.all(~observed | (tail >= TAIL / jnp.sum(observed)))

    def simulate(self, key: PRNGKey, y: Y) -> Y:
        """Y* = y + scale T, T of Student's law; NaN where an output does not matter."""
        draw = jax.random.t(key, jnp.asarray(self.df), y.shape)
        return jnp.where(jnp.isnan(self.y_star), jnp.nan, y + self.scale * draw)

    def at(self, y_star: Any) -> "Student":
        return eqx.tree_at(lambda wish: wish.y_star, self, another_target("y_star", self.y_star, y_star))

    @property
    def target(self) -> Numbers:
        return self.y_star

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.y_star)

    def describe(self, name: str = "y") -> str:
        return (
            f"{name} = {words(self.y_star)} within {common(self.scale)} "
            f"(Student scale, {common(self.df)} degrees of freedom)"
        )

    def _whitened(self, y: Y) -> tuple[Bool[Array, "*y"], Y]:
        # Masked here, before anything that is not linear: a where around a later value would leave NaN in the
        # gradient, because both of its branches are differentiated.
        observed = ~jnp.isnan(self.y_star)
        return observed, jnp.where(observed, y - self.y_star, 0.0) / self.scale
