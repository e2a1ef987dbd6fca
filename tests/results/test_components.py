"""Components of a mixture prior in the verdict: mixed, not mixed, missed, unknown."""

from typing import Any

import numpy as np
import pytest

from probinv.results import Diagnosis, Verdict, diagnose
from probinv.results._components import component_name

from .runs import PRIOR_DRAWS, linear

OK, UNKNOWN, NOT_CONVERGED = Verdict.OK, Verdict.UNKNOWN, Verdict.NOT_CONVERGED
RNG = np.random.default_rng(1)
ALONE, HALF = np.full((4, 1000), 5), np.arange(PRIOR_DRAWS) % 2 * 5
FLAT, FAR = np.zeros(PRIOR_DRAWS), np.where(HALF == 5, 0.0, -40.0)
FEW = np.linspace(-1e4, 0.0, PRIOR_DRAWS)  # the weights are worth one draw


def judged(
    component: Any, prior: Any = None, fit: Any = None, population: bool = False, prior_draws: str = "exact"
) -> Diagnosis:
    """Perfect draws (chain, draw), said to be of these components of the prior."""
    run, z = linear(chains=len(component), draws=component.shape[1])
    run.facts["prior_draws"] = prior_draws
    groups = run.groups(z)
    groups["sample_stats"]["component"] = component
    if population:
        groups["sample_stats"]["ancestor"] = np.broadcast_to(np.arange(z.shape[1]), z.shape[:2])
    if prior is not None:
        groups["prior_predictive"] |= {"component": prior[None], "log_likelihood": fit[None]}
        del groups["prior"]  # whose x are those of another law
    run.groups = lambda z: groups  # type: ignore[method-assign]
    return diagnose(run.tree(z))


def found(diagnosis: Diagnosis) -> dict[str, str]:
    return {reason.code: reason.what for reason in diagnosis.reasons if "component" in reason.code}


def test_components_that_are_mixed() -> None:
    """Four of some weight, and a thousand states of hidden units of which each is rare."""
    for component in (RNG.integers(0, 4, (4, 1000)), RNG.integers(0, 1000, (4, 1000))):
        diagnosis = judged(component)
        assert diagnosis.verdict is OK
        assert not found(diagnosis)
        assert diagnosis.numbers["components"] == len(np.unique(component))


@pytest.mark.parametrize("chains", [1, 4])
def test_components_that_are_not_mixed(chains: int) -> None:
    """A chain each, with flickers between states that overlap; or the halves of one chain."""
    halves = np.arange(1000)[None] // 500 if chains == 1 else np.array([0, 0, 1, 1])[:, None]
    component = np.where(RNG.uniform(size=(chains, 1000)) < 0.1, 1, 3) + 4 * halves
    diagnosis = judged(component)
    assert diagnosis.verdict is NOT_CONVERGED
    assert "hidden units 0, 1" in found(diagnosis)["components"]
    assert "halves of the chain disagree" in found(diagnosis)["components"] or chains == 4


def test_a_slow_walk_between_components() -> None:
    """Ten crossings in each chain: they agree too little, or the weights are not known."""
    turns = np.cumsum(RNG.uniform(size=(4, 1000)) < 0.01, axis=1) % 2
    diagnosis = judged(turns)
    assert diagnosis.verdict is NOT_CONVERGED
    assert found(diagnosis)


@pytest.mark.parametrize(
    ("prior", "fit", "verdict", "code"),
    [
        (HALF, FLAT, NOT_CONVERGED, "missed components"),
        (HALF, FEW, UNKNOWN, "one component"),
        (HALF, FAR, OK, None),  # the others are known to weigh nothing
        (np.full(PRIOR_DRAWS, 5), FEW, OK, None),  # there are no others
    ],
)
def test_all_chains_in_one_component(prior: Any, fit: Any, verdict: Verdict, code: str | None) -> None:
    diagnosis = judged(ALONE, prior, fit)
    assert diagnosis.verdict is verdict
    assert set(found(diagnosis)) == ({code} if code else set())
    rarely = np.where(RNG.uniform(size=ALONE.shape) < 0.02, 7, ALONE)
    assert set(found(judged(rarely, prior, fit))) == ({code} if code else set())


def test_a_population_began_with_the_whole_prior() -> None:
    assert not found(judged(ALONE, HALF, FEW, population=True))
    apart = np.broadcast_to(np.array([0, 0, 1, 1])[:, None], (4, 1000))
    assert "component weights" in found(judged(apart, population=True))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (0, "no hidden unit on"),
        (4, "hidden unit 2 on"),
        (5, "hidden units 0, 2 on"),
        (2**51 + 1, "hidden units 0, 51 on"),
        (255, "hidden units 0, 1, 2, 3, 4, 5, ... on"),
        (-77, "#77"),
    ],
)
def test_a_component_is_named_by_its_hidden_units(label: int, name: str) -> None:
    assert name in component_name(float(label))


def test_a_population_that_began_with_gibbs_draws_is_not_known_to_be_right() -> None:
    """Chains that began elsewhere do not rest on them."""
    mixed = RNG.integers(0, 4, (4, 1000))
    diagnosis = judged(mixed, population=True, prior_draws="Gibbs")
    assert diagnosis.verdict is UNKNOWN
    assert diagnosis.reasons[0].code == "Gibbs draws of the prior"
    assert judged(mixed, population=True).verdict is OK
    assert judged(mixed, prior_draws="Gibbs").verdict is OK
