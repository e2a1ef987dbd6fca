"""Y* = shares of yes and no: sigmoid outputs with soft targets."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, xlogy
from jaxtyping import Array, Bool, Float

from probinv._checks import as_count
from probinv._errors import InputError
from probinv._typing import Flag, PRNGKey, Scalar, Y
from probinv.likelihood._base import AbstractLikelihood, Numbers
from probinv.likelihood._level import within_chi_square
from probinv.likelihood._mode import Outputs, as_outputs
from probinv.likelihood._safe import log_odds, safe_log, safe_log1m
from probinv.likelihood._target import another_target, as_target, check_shape
from probinv.likelihood._words import words


@final
class Bernoulli(AbstractLikelihood):
    """log p(t | p) = sum_i n t_i log p_i + n (1 - t_i) log(1 - p_i) + log C(n, n t_i).

    p = y for probabilities, sigmoid(y) for logits; n = count. This is the binomial law of the share t of
    yes among n answers (C(n, n t) is the binomial coefficient, by Gamma functions where n t is not whole;
    it does not depend on y). NaN in the targets marks outputs that do not matter.

    With count=1 the wish is weak: it is worth one observation. For t = 0.99 an output of 0.5 is then only
    twice less likely than 0.99. Give count=100 for a wish worth 100 observations: outputs then stay within
    about sqrt(t (1 - t) / 100) of t.

    Probabilities near 0 or 1 have been rounded, and with them the gradient is lost: log p has a floor at
    1e-300, log(1 - p) at 1 - p = 1.1e-16 (single precision: 1.2e-38 and 6e-8), below which the gradient
    is zero. Logits have no such flat region: prefer them.

    y counts as reached if 2 n sum_i KL(t_i || p_i) is at most the .999 quantile of chi-squared with as many
    degrees of freedom as outputs that matter: the deviance test, whose level of .001 holds for large n.

    Args:
        targets: t, of the shape of y, each in [0, 1]; NaN where an output does not matter.
        count: n, how many observations the wish is worth, a whole number >= 1.
        outputs: what y is, "probabilities" (after the sigmoid) or "logits" (before it).

    Raises:
        InputError: a target outside [0, 1], all NaN, count not a whole number >= 1, outputs another word.
    """

    targets: Float[Array | np.ndarray, "..."]
    count: Float[Array | np.ndarray, ""]
    outputs: Outputs = eqx.field(static=True)

    def __init__(self, targets: Any, count: Any = 1, outputs: str = "probabilities") -> None:
        self.targets = as_target("targets", targets)
        _check_share(self.targets)
        self.count = np.asarray(as_count("count", count), np.float64)
        self.outputs = as_outputs(outputs)

    def check(self, shape: tuple[int, ...]) -> None:
        check_shape("targets", self.targets.shape, shape)

    def log_prob(self, y: Y) -> Scalar:
        observed, t = self._known()
        n = jnp.asarray(self.count)
        coefficient = gammaln(n + 1) - gammaln(n * t + 1) - gammaln(n * (1 - t) + 1)
        return jnp.sum(jnp.where(observed, n * self._cross(y, observed, t) + coefficient, 0.0))

    def reached(self, y: Y) -> Flag:
        """2 n sum KL(t || p) <= the .999 quantile of chi-squared."""
        observed, t = self._known()
        divergence = xlogy(t, t) + xlogy(1 - t, 1 - t) - self._cross(y, observed, t)
        deviance = 2 * self.count * jnp.sum(jnp.where(observed, divergence, 0.0))
        return within_chi_square(jnp.maximum(deviance, 0.0), jnp.sum(observed))

    def simulate(self, key: PRNGKey, y: Y) -> Y:
        """The share of yes among `count` answers; NaN where an output does not matter."""
        p = jax.nn.sigmoid(y) if self.outputs == "logits" else y
        share = (
            jax.random.binomial(key, jnp.asarray(self.count, p.dtype), p, shape=y.shape, dtype=p.dtype)
            / self.count
        )
        return jnp.where(jnp.isnan(self.targets), jnp.nan, share)

    def at(self, y_star: Any) -> "Bernoulli":
        """The same wish with other targets."""
        targets = another_target("targets", self.targets, y_star)
        if not isinstance(targets, jax.core.Tracer):
            _check_share(targets)
        return eqx.tree_at(lambda wish: wish.targets, self, targets)

    @property
    def target(self) -> Numbers:
        return self.targets

    def target_for(self, shape: tuple[int, ...]) -> np.ndarray:
        """t for probabilities; log t / (1 - t) for logits, NaN where that is infinite."""
        return log_odds(self.targets) if self.outputs == "logits" else np.asarray(self.targets)

    def describe(self, name: str = "y") -> str:
        what = f"sigmoid({name})" if self.outputs == "logits" else name
        worth = "1 observation" if self.count == 1 else f"{int(self.count)} observations"
        return f"{what} = {words(self.targets)} as a share of yes, worth {worth} of each output"

    def _known(self) -> tuple[Bool[Array, "*y"], Y]:
        observed = ~jnp.isnan(self.targets)
        return observed, jnp.where(observed, self.targets, 0.5)

    def _cross(self, y: Y, observed: Bool[Array, "*y"], t: Y) -> Y:
        """t log p + (1 - t) log(1 - p), finite and without gradient where not observed."""
        if self.outputs == "logits":
            known = jnp.where(observed, y, 0.0)
            return t * jax.nn.log_sigmoid(known) + (1 - t) * jax.nn.log_sigmoid(-known)
        known = jnp.where(observed, y, 0.5)
        return t * safe_log(known) + (1 - t) * safe_log1m(known)


def _check_share(targets: Array | np.ndarray) -> None:
    known = np.asarray(targets)[~np.isnan(targets)]
    if (known < 0).any() or (known > 1).any():
        raise InputError(
            "targets lie outside [0, 1]",
            f"they go from {known.min():g} to {known.max():g}",
            "give shares of yes, or use Gaussian for outputs that are not probabilities",
        )
