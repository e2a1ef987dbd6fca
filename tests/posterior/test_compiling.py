"""Y*, weights and the numbers of a prior are data: another of the same shape runs what is compiled."""

import equinox as eqx
import jax
import numpy as np
import pytest

from probinv.forward import Function
from probinv.likelihood import Gaussian
from probinv.posterior import Density, Posterior, Residual, Tempered, evaluate, sample_prior, simulate
from probinv.prior import Normal
from tests.compiling import compilations
from tests.posterior.zoo import arrays, linear

pytestmark = pytest.mark.usefixtures("x64")
MATRIX = arrays((2, 3))[0]


def build(matrix: np.ndarray = MATRIX, loc: float = 0.0, y: float = 1.0, scale: float = 0.1) -> Posterior:
    return Posterior(Normal(loc, 1.0, 3), Function(linear, matrix), Gaussian([y, -1.0], scale))


CHANGED = {
    "target": build(y=2.0),
    "tolerance": build(scale=0.3),
    "weights": build(2 * MATRIX),
    "prior": build(loc=0.7),
    "matters not": build(y=float("nan")),
}
TRACES: list[str] = []


@eqx.filter_jit
def everything(case: Posterior, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    TRACES.append("traced")
    density, tempered, residual = Density.of(case), Tempered.of(case), Residual.of(case)
    slope = jax.grad(density.log_density)(z)
    return slope, tempered.log_density(z, 0.5), residual.vjp(z, residual.residual(z))[1]


@pytest.mark.parametrize("what", CHANGED)
def test_another_value_traces_nothing_and_changes_the_result(what: str, key: jax.Array) -> None:
    z = jax.random.normal(key, (3,))
    first = everything(build(), z)
    before = len(TRACES)
    second = everything(CHANGED[what], z)
    assert len(TRACES) == before
    assert not np.allclose(first[0], second[0])


def test_another_value_compiles_nothing_in_simulations(key: jax.Array) -> None:
    def use(case: Posterior) -> list[np.ndarray]:
        z = sample_prior(case, key, 4)
        return [*map(np.asarray, simulate(case, key, 4)), evaluate(case, z).log_likelihood]

    first = use(build())
    with compilations() as compiled:
        results = {what: use(case) for what, case in CHANGED.items()}
    assert compiled == []
    for what, result in results.items():
        assert not np.allclose(result[-1], first[-1]), what


def test_the_counter_of_compilations_counts(key: jax.Array) -> None:
    with compilations() as compiled:
        jax.jit(lambda x: x * 3.25)(np.ones(7))
    assert len(compiled) == 1


def test_targets_can_be_batched(key: jax.Array) -> None:
    """vmap over Y* is the same as one by one."""
    z = jax.random.normal(key, (3,))
    case, targets = build(), np.array([[1.0, -1.0], [0.3, 2.0]])

    def at(target: jax.Array) -> jax.Array:
        return Density(
            eqx.tree_at(lambda case: case.likelihood, case, case.likelihood.at(target))
        ).log_density(z)

    wanted = [float(at(target)) for target in targets]
    assert np.allclose(jax.jit(jax.vmap(at))(targets), wanted, rtol=1e-13)
    assert wanted[0] != wanted[1]
