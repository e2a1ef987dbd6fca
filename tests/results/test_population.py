"""Populations are judged by replicates and ancestors, not in time; what methods say of themselves."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from probinv.results import Diagnosis, Verdict, build_tree, diagnose, modes, summary
from probinv.results._statistics import family_error, population_statistics

from .runs import Run, linear, two_modes, walk

OK, UNKNOWN, NOT_CONVERGED = Verdict.OK, Verdict.UNKNOWN, Verdict.NOT_CONVERGED


def codes(diagnosis: Diagnosis) -> set[str]:
    return {reason.code for reason in diagnosis.reasons}


def population(ancestor: np.ndarray, z: np.ndarray, run: Run, **notes: Any) -> xr.DataTree:
    groups = run.groups(z)
    groups["sample_stats"]["ancestor"] = ancestor
    run.facts["method"] = "TemperedSMC"
    run.facts["notes"] = {"algorithm": "TemperedSMC", "finite_under_prior": 1.0, **notes}
    return build_tree(groups, run.facts)


def families(rng: np.random.Generator, chains: int, draws: int, count: int) -> np.ndarray:
    """Draws in the order of their ancestors, as systematic resampling leaves them."""
    return np.sort(rng.integers(0, count, size=(chains, draws)), axis=1)


def test_a_good_population_is_ok() -> None:
    run, z = linear()
    tree = population(
        families(run.rng, 4, 1000, 200), z, run, log_evidence=-3.0, log_evidence_error=0.1,
        log_evidence_replicates=[-2.9, -3.0, -3.1, -3.0],
    )  # fmt: skip
    diagnosis = diagnose(tree)
    assert diagnosis.verdict is OK
    assert codes(diagnosis) == {"agreement"}
    assert "4 replicates that began apart" in str(diagnosis)
    assert diagnosis.numbers["ancestors_effective_min"] == pytest.approx(170, rel=0.1)
    assert diagnosis.numbers["log_evidence"] == -3.0
    assert "bfmi_min" not in diagnosis.numbers
    # descendants that know nothing of their ancestor are worth as much as independent draws: 4 x 200 families
    # give the variance of a mean to 5 %, and the least of 5 x 2 such numbers is within 5 deviations
    assert diagnosis.numbers["ess_bulk_min"] > 4000 * 0.75


def test_the_order_of_particles_means_nothing() -> None:
    # sorted by x, a series in time would have an effective size of a handful, and a drift
    run, z = linear()
    for chain in z:
        chain[:] = chain[np.argsort(chain[:, 2])]
    ancestor = run.rng.integers(0, 200, size=(4, 1000))
    assert diagnose(population(ancestor, z, run)).verdict is OK
    assert diagnose(run.tree(z)).verdict is NOT_CONVERGED


def test_the_error_by_families_is_the_error_of_the_mean() -> None:
    # v = a_family + e, 50 families: repeated 400 times. The estimate of a variance by 50 families is off by
    # 20 %, the mean of 400 by 1 %, and the variance of 400 means by 7 %: 5 deviations are 36 %
    rng, means, errors = np.random.default_rng(0), [], []
    for _ in range(400):
        ancestor = families(rng, 2, 250, 25)
        shift = rng.normal(size=(2, 25))
        values = shift[np.arange(2)[:, None], ancestor] + 0.3 * rng.normal(size=(2, 250))
        means.append(values.mean())
        errors.append(float(family_error(values[:, :, None], ancestor)[0]))
    assert np.mean(np.square(errors)) == pytest.approx(np.var(means), rel=0.36)


def test_copies_of_a_few_particles_are_worth_what_these_are() -> None:
    # 40 families of identical draws in each replicate: 160 draws, R-hat of replicates with 40 each
    rng = np.random.default_rng(0)
    ancestor = families(rng, 4, 1000, 40)
    z = rng.normal(size=(4, 40, 2))[np.arange(4)[:, None], ancestor] + 1e-3 * rng.normal(size=(4, 1000, 2))
    statistics = population_statistics(z, ancestor)
    assert (statistics.ess_bulk < 250).all()
    tree = population(ancestor, z, Run(lambda z: np.ones((*z.shape[:-1], 1)), np.array([1.0]), 0.1, 2))
    diagnosis = diagnose(tree)
    assert diagnosis.verdict is NOT_CONVERGED
    assert "Take more particles: draws=" in str(diagnosis)
    table = summary(tree)
    np.testing.assert_allclose(table["ess_bulk"], statistics.ess_bulk)


def test_replicates_in_different_places_disagree() -> None:
    run, z = linear()
    z[3] += 0.5
    diagnosis = diagnose(population(families(run.rng, 4, 1000, 200), z, run))
    assert diagnosis.verdict is not OK
    assert "The replicates disagree" in str(diagnosis)


def test_a_handful_of_ancestors_is_never_ok() -> None:
    run, z = linear()
    ancestor = families(run.rng, 4, 1000, 200)
    ancestor[2] = np.where(np.arange(1000) < 990, 7, np.arange(1000) % 10)
    diagnosis = diagnose(population(ancestor, z, run))
    assert diagnosis.verdict is not OK
    (reason,) = [r for r in diagnosis.reasons if r.code == "few ancestors"]
    assert "replicate 2" in reason.what
    assert diagnosis.numbers["ancestors_effective_min"] == pytest.approx(1.02, abs=0.01)
    assert diagnosis.numbers["ancestors_min"] == 10


def test_a_mode_of_two_ancestors_has_an_unknown_weight() -> None:
    # 5 % of the draws of each replicate are in the mode, all of one ancestor
    run, z = two_modes(np.ones((4, 1000)), sigma=0.05)
    ancestor = families(run.rng, 4, 1000, 200) + 1
    z[:, :50, 0] *= -1
    ancestor[:, :50] = 0
    diagnosis = diagnose(population(ancestor, z, run))
    assert diagnosis.verdict is not OK
    (reason,) = [r for r in diagnosis.reasons if r.code == "ancestors of a mode"]
    assert reason.verdict is UNKNOWN
    assert "in effect from 4.0" in reason.what
    ancestor[:, :50] = np.arange(50)
    assert "ancestors of a mode" not in codes(diagnose(population(ancestor + 200, z, run)))


def test_each_replicate_in_its_own_mode_does_not_know_the_weights() -> None:
    run, z = two_modes(np.array([1.0, 1.0, -1.0, -1.0]), sigma=0.05)
    diagnosis = diagnose(population(families(run.rng, 4, 1000, 200), z, run))
    assert diagnosis.verdict is NOT_CONVERGED
    (reason,) = [r for r in diagnosis.reasons if r.code == "mode weights"]
    assert any(shares in reason.what for shares in ("1.00, 1.00, 0.00, 0.00", "0.00, 0.00, 1.00, 1.00"))
    assert "more particles" in reason.advice


def test_weights_of_a_population_have_the_error_of_their_families() -> None:
    # every family in one mode: 100 families in each of 4 replicates, w = 0.5 +- 0.025
    rng = np.random.default_rng(0)
    ancestor = families(rng, 4, 1000, 100)
    side = rng.choice([-1.0, 1.0], size=(4, 100))[np.arange(4)[:, None], ancestor]
    run, z = two_modes(side, sigma=0.05)
    found = modes(population(ancestor, z, run))
    assert found.table["error"].max() == pytest.approx(0.026, rel=0.35)
    assert diagnose(population(ancestor, z, run)).numbers["modes"] == 2


@pytest.mark.parametrize(
    ("replicates", "verdict", "code"),
    [
        ([-3.0, -3.1, -2.9, -3.0], OK, ""),
        ([-3.0, -3.0, -3.0, -6.0], NOT_CONVERGED, "evidence"),
        ([-3.0, -3.0, -3.0, -np.inf], NOT_CONVERGED, "lost replicates"),
        ([-3.0, None, -3.0, -3.0], NOT_CONVERGED, "lost replicates"),
        ([-3.0], OK, ""),
        ("none", OK, ""),
    ],
)
def test_evidence_of_the_replicates(replicates: Any, verdict: Verdict, code: str) -> None:
    run, z = linear()
    tree = population(families(run.rng, 4, 1000, 200), z, run, log_evidence_replicates=replicates)
    diagnosis = diagnose(tree)
    assert diagnosis.verdict is verdict
    assert not code or code in codes(diagnosis)


def test_one_replicate_has_none_to_agree_with() -> None:
    run, z = linear(chains=1, draws=4000)
    diagnosis = diagnose(population(families(run.rng, 1, 4000, 400), z, run))
    assert diagnosis.verdict is UNKNOWN
    assert "one chain" in codes(diagnosis)
    assert "There is one replicate" in str(diagnosis)
    sides = np.random.default_rng(1).choice([-1.0, 1.0], size=(1, 4000))
    run, z = two_modes(sides, draws=4000, sigma=0.05)
    diagnosis = diagnose(population(families(run.rng, 1, 4000, 400), z, run))
    assert diagnosis.verdict is UNKNOWN
    assert "modes" in codes(diagnosis)


# --- what else the method says -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["not_projected", "not_reversible"])
@pytest.mark.parametrize(
    ("share", "verdict", "said"), [(0.05, OK, False), (0.2, OK, True), (0.6, UNKNOWN, True)]
)
def test_steps_that_failed(name: str, share: float, verdict: Verdict, said: bool) -> None:
    run, z = linear()
    groups = run.groups(z)
    groups["sample_stats"][name] = (np.arange(4000).reshape(4, 1000) < share * 4000).astype(int)
    diagnosis = diagnose(build_tree(groups, run.facts | {"method": "LiftedHMC"}))
    assert diagnosis.verdict is verdict
    assert ("projection" in codes(diagnosis)) is said
    assert diagnosis.numbers[f"{name}_fraction"] == share


def test_what_was_chosen_and_reduced_is_shown() -> None:
    run, z = linear()
    run.facts["notes"] |= {"chosen": "LiftedHMC, because.", "reduction": "Two of three."}
    diagnosis = diagnose(run.tree(z))
    assert diagnosis.verdict is OK
    assert {"chosen", "reduction"} <= codes(diagnosis)
    assert "LiftedHMC, because." in str(diagnosis)
    assert diagnose(build_tree(run.groups(z), run.facts | {"chosen": 3})).verdict is OK


@pytest.mark.parametrize(("method", "words"), [("NUTS", "take LiftedHMC"), ("LiftedHMC", "let TemperedSMC")])
def test_advice_fits_the_method(method: str, words: str) -> None:
    run, _ = linear()
    z = walk(run, 4, 1000, 3, 0.97)
    run.sigma, run.facts["method"] = 10.0, method
    text = " ".join(str(diagnose(run.tree(z))).split())
    assert words in text
    assert ("dense_mass" in text) is (method == "NUTS")
