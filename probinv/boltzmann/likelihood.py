"""Likelihoods of machines that cannot be enumerated: brackets by annealing from both ends."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import logsumexp

from probinv._checks import as_array, as_count, double_precision
from probinv._errors import InputError
from probinv._progress import Progress
from probinv._typing import PRNGKey
from probinv.boltzmann._annealing import annealed, equilibrated, new_path, powers_of
from probinv.boltzmann.exact import free_energies, require_states
from probinv.boltzmann.machine import Machine

DRIFT_MOST = 4.0
CROSSED_MOST = 4.0
EFFECTIVE_LEAST = 0.05


class LogPartition(NamedTuple):
    """low <= log Z <= high, up to chance, and if the reverse chains were in equilibrium.

    Attributes:
        forward: log Z_0 + log mean w of chains annealed from the base to the machine: below log Z on average.
        reverse: log Z_0 - log mean w of chains annealed from the machine's law to the base: above log Z on
            average; infinite, with an error of 0, where the run was interrupted before it.
        forward_error, reverse_error: standard errors, sqrt(1 / effective - 1 / chains); too small where few
            chains carry all the weight.
        forward_effective, reverse_effective: effective numbers of chains, (sum w)^2 / sum w^2.
        chains: in each direction.
        temperatures: steps from the base to the machine.
        equilibration: Gibbs steps before the reverse chains set out.
        drift: of their free energy over the second half of these steps, in standard errors; NaN without
            steps.
    """

    forward: float
    reverse: float
    forward_error: float
    reverse_error: float
    forward_effective: float
    reverse_effective: float
    chains: int
    temperatures: int
    equilibration: int
    drift: float

    @property
    def low(self) -> float:
        """The lower end, one standard error included."""
        return min(self.forward - self.forward_error, self.reverse - self.reverse_error)

    @property
    def high(self) -> float:
        """The upper end, one standard error included."""
        return max(self.forward + self.forward_error, self.reverse + self.reverse_error)

    @property
    def middle(self) -> float:
        """Half way between the two estimates."""
        return 0.5 * (self.forward + self.reverse)

    @property
    def error(self) -> float:
        """Standard error of the middle by chance alone; half the gap is to be added to it."""
        return 0.5 * float(np.hypot(self.forward_error, self.reverse_error))

    @property
    def warnings(self) -> list[str]:
        """What speaks against the bracket, in words; empty where nothing was found, which proves nothing."""
        found = []
        if not np.isfinite(self.reverse):
            return ["the run was interrupted before the reverse chains ended: there is no upper end"]
        if self.forward - self.reverse > CROSSED_MOST * 2 * self.error:
            found.append("forward lies above reverse: the reverse chains were not in equilibrium")
        if abs(self.drift) > DRIFT_MOST:
            found.append(f"the reverse chains were still drifting ({self.drift:+.1f} standard errors)")
        for name, size in (("forward", self.forward_effective), ("reverse", self.reverse_effective)):
            if size < EFFECTIVE_LEAST * self.chains:
                found.append(
                    f"{size:.1f} of {self.chains} {name} chains carry the weight: more temperatures needed"
                )
        return found

    def __str__(self) -> str:
        lines = [
            f"log Z between {self.low:.3f} and {self.high:.3f}: "
            f"forward {self.forward:.3f} +- {self.forward_error:.3f}, "
            f"reverse {self.reverse:.3f} +- {self.reverse_error:.3f} "
            f"({self.chains} chains, {self.temperatures} temperatures, effective "
            f"{self.forward_effective:.0f} and {self.reverse_effective:.0f}, "
            f"{self.equilibration} steps of equilibration)"
        ]
        return "\n".join([*lines, *(f"but {warning}" for warning in self.warnings)])


class LogLikelihood(NamedTuple):
    """Mean log p(v) over rows, in nats, between two estimates.

    Attributes:
        optimistic: -mean F - forward log Z, too high on average.
        pessimistic: -mean F - reverse log Z, too low on average.
        partition_low, partition_high: the ends of the bracket of log Z, its errors included.
        rows_error: standard error of the mean over the rows, s / sqrt(rows): of the test set, not of log Z.
        rows: how many.
        mean: -mean F(v).
    """

    optimistic: float
    pessimistic: float
    partition_low: float
    partition_high: float
    rows_error: float
    rows: int
    mean: float

    @property
    def low(self) -> float:
        """-mean F minus the upper end of log Z."""
        return self.mean - self.partition_high

    @property
    def high(self) -> float:
        """-mean F minus the lower end of log Z."""
        return self.mean - self.partition_low

    @property
    def middle(self) -> float:
        """Half way between the two estimates."""
        return 0.5 * (self.optimistic + self.pessimistic)

    def __str__(self) -> str:
        return (
            f"mean log likelihood between {self.low:.3f} and {self.high:.3f} nats "
            f"(log Z known up to {self.partition_high - self.partition_low:.3f}; "
            f"choice of the {self.rows} rows +- {self.rows_error:.3f})"
        )


def log_partition(
    machine: Machine,
    start: Any,
    *,
    key: PRNGKey,
    chains: int = 100,
    temperatures: int = 10_000,
    schedule: Any = "late",
    equilibration: int = 1_000,
    mean: Any = None,
    progress: Progress | None = None,
) -> LogPartition:
    """A bracket of log Z by annealed importance sampling, forward and reverse, for any two kinds of units.

        Z_0 E[w_forward] = Z and E[w_reverse] = Z_0 / Z, so that on average (Jensen)

        log Z_0 + log mean w_forward  <=  log Z  <=  log Z_0 - log mean w_reverse.

    Forward chains begin in independent units with the data's mean, whose Z_0 is known, and walk to the
    machine (Neal 2001, arXiv physics/9803008; Salakhutdinov and Murray 2008, ICML). Reverse chains begin in
    the machine's own law and walk back (Burda, Grosse and Salakhutdinov 2015, arXiv 1412.8566; Grosse, Ancha
    and Roy 2016, arXiv 1606.02275): an upper end only if they begin in equilibrium. Gibbs steps from `start`
    do that where the machine mixes; where it has modes between which Gibbs steps do not move, give rows that
    were equilibrated otherwise. States and products are float32, log weights float64.

    Args:
        machine: of which Z is wanted.
        start: rows (any number, nv) from which the reverse chains go on: persistent chains, tempered draws,
            or data.
        key: of all chains.
        chains: in each direction, at least 2.
        temperatures: steps of each walk, at least 1.
        schedule: "late" (finer near the machine), "linear", or increasing powers from 0 to 1 in place of
            `temperatures`.
        equilibration: Gibbs steps of the reverse chains before they set out; 0 only for rows that are
            independent draws of the machine already, at least one a chain.
        mean: (nv,) of the base; the mean of `start` if None.
        progress: told of 2 temperatures + equilibration steps.

    Returns:
        The bracket. After Ctrl-C on the reverse side one with an infinite upper end.

    Raises:
        InputError: a bad setting, or rows outside the units' support.
        NumericalError: the machine has no normalisable law.
        KeyboardInterrupt: Ctrl-C before the forward chains ended.
    """
    as_count("chains", chains, least=2)
    as_count("equilibration", equilibration, least=0)
    rows = _start(machine, start, chains, equilibration)
    base = rows.mean(axis=0) if mean is None else as_array("mean", mean, shape=(machine.visible.size,))
    powers = powers_of(temperatures, schedule)
    key_base, key_forward, key_rows, key_settle, key_reverse = jax.random.split(key, 5)
    with double_precision():
        path = new_path(machine, base)
        log_base = float(path.log_partition_base())
        try:
            states = path.base_states(key_base, chains)
            log_weight = annealed(path, key_forward, states, powers, progress, "forward")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                "interrupted during the forward walk: there is no estimate of log Z"
            ) from None
        forward = _log_mean(log_weight)
        reverse, drift = (-np.inf, 0.0, 0.0), np.nan
        try:
            states = _chosen(key_rows, rows, chains)
            states, drift = equilibrated(path, key_settle, states, equilibration, progress, "equilibrating")
            reverse = _log_mean(annealed(path, key_reverse, states, powers[::-1], progress, "reverse"))
        except KeyboardInterrupt:
            pass  # what is known is a lower end: the result says so
    ends = (log_base + forward[0], log_base - reverse[0], forward[1], reverse[1], forward[2], reverse[2])
    return LogPartition(*ends, chains, len(powers) - 1, equilibration, drift)


def log_likelihood(machine: Machine, rows: Any, log_partition: LogPartition | float) -> LogLikelihood:
    """Mean over rows of log p(v) = -F(v) - log Z, as a bracket.

    Args:
        machine: the machine.
        rows: (rows, nv), states of v.
        log_partition: its bracket, or the exact number.

    Raises:
        InputError: rows that v cannot take.
    """
    negative = -free_energies(machine, rows)
    mean, spread = float(negative.mean()), float(negative.std(ddof=1)) if len(negative) > 1 else np.nan
    z = log_partition
    forward, reverse, low, high = (
        (z.forward, z.reverse, z.low, z.high) if isinstance(z, LogPartition) else (z, z, z, z)
    )
    error = spread / np.sqrt(len(negative))
    return LogLikelihood(mean - forward, mean - reverse, low, high, float(error), len(negative), mean)


def score_samples(
    machine: Machine, rows: Any, log_partition: LogPartition | float
) -> Float[np.ndarray, " rows"]:
    """log p(v) = -F(v) - log Z of every row, at the middle of the bracket.

    All rows share the error of log Z: differences between them have none.

    Args:
        machine: the machine.
        rows: (rows, nv), states of v.
        log_partition: its bracket, or the exact number.

    Raises:
        InputError: rows that v cannot take, or a bracket without an upper end.
    """
    middle = log_partition.middle if isinstance(log_partition, LogPartition) else log_partition
    if not np.isfinite(middle):
        raise InputError("log_partition has no upper end", "its run was interrupted", "estimate it again")
    return -free_energies(machine, rows) - middle


def _start(machine: Machine, start: Any, chains: int, equilibration: int) -> Float[np.ndarray, "rows nv"]:
    rows, size = as_array("start", start), machine.visible.size
    if rows.ndim != 2 or rows.shape[1] != size or not len(rows):
        raise InputError(
            f"start has shape {rows.shape}", f"(rows, {size}) is needed", "give rows of data or of chains"
        )
    machine.visible.check("start", rows)
    if not equilibration:
        require_states("start", machine.visible, rows)
        if len(rows) < chains:
            raise InputError(
                f"start has {len(rows)} rows for {chains} chains",
                "without equilibration every chain needs a draw of its own",
                "give more rows, or some steps of equilibration",
            )
    return rows


def _chosen(key: PRNGKey, rows: Float[np.ndarray, "rows nv"], chains: int) -> Float[Array, "chains nv"]:
    """A row for each chain: different ones as far as they reach."""
    order = np.asarray(jax.random.permutation(key, len(rows)))
    return jnp.asarray(rows[order[np.arange(chains) % len(rows)]], jnp.float32)


def _log_mean(log_weight: Float[np.ndarray, " chains"]) -> tuple[float, float, float]:
    """log mean w, its standard error, and the effective number of chains."""
    count = len(log_weight)
    total = logsumexp(log_weight)
    effective = float(np.exp(2 * total - logsumexp(2 * log_weight)))
    error = np.sqrt(max(1 / effective - 1 / count, 0.0) * count / (count - 1))
    return float(total - np.log(count)), float(error), effective
