"""Modes: no connected law falls apart, modes are found, no verdict is ok where chains disagree on them."""

import inspect

import numpy as np
import pytest
import xarray as xr

from probinv._errors import InputError
from probinv.results import Diagnosis, Verdict, diagnose, modes
from probinv.results._clusters import clusters
from probinv.results._directions import is_empty
from probinv.results._membership import membership
from probinv.results._persistence import density_peaks

from .modal import ONE, Modal, arcs, corners, curve, rings, signs, slow, two
from .runs import Run, linear, square, two_modes, walk

OK, UNKNOWN, NOT_CONVERGED = Verdict.OK, Verdict.UNKNOWN, Verdict.NOT_CONVERGED


def codes(diagnosis: Diagnosis) -> set[str]:
    return {reason.code for reason in diagnosis.reasons}


def purity(found: np.ndarray, true: np.ndarray) -> float:
    """The part of the draws that are in the same set as most of their true mode."""
    return sum(np.bincount(true[found == k]).max() for k in range(found.max() + 1)) / found.size


def any_run(n: int) -> Run:
    """y = 1 whatever z is: the draws are judged on their own."""
    return Run(lambda z: np.ones((*z.shape[:-1], 1)), np.array([1.0]), 0.1, n)


# --- what is one mode --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("n", [2, 10, 100])
def test_a_connected_law_is_one_mode(name: str, n: int) -> None:
    # fewer than 1 of 100 such runs fall apart, whatever the law (see `clusters`); the seeds are fixed
    for seed in range(2):
        z = ONE[name](np.random.default_rng([seed, n]), 4, 500, n)
        assert clusters(z).max() == 0


def test_a_thousand_entries_are_one_mode() -> None:
    assert clusters(ONE["normal"](np.random.default_rng(0), 4, 500, 1000)).max() == 0


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_does_not_matter(scale: float) -> None:
    rng = np.random.default_rng(3)
    assert clusters(scale * curve(1.0, 1e-6)(rng, 4, 500, 2)).max() == 0
    z, true = two(1.0, 0.1)(rng, 4, 500, 2)
    np.testing.assert_array_equal(clusters(scale * z) == clusters(z), True)
    assert purity(clusters(scale * z), true) > 0.99


@pytest.mark.parametrize("draws", [np.zeros((4, 100, 2)), np.ones((1, 1, 1)), np.zeros((4, 0, 3))])
def test_draws_that_do_not_vary_are_one_mode(draws: np.ndarray) -> None:
    assert (clusters(draws) == 0).all()


def test_repeated_draws_and_whole_numbers_are_no_modes() -> None:
    rng = np.random.default_rng(0)
    stands = np.repeat(rng.normal(size=(4, 50, 2)), 20, axis=1)
    assert clusters(stands).max() == 0
    assert membership(rng.poisson(3.0, size=(4, 500, 1)).astype(float)) is None
    both = np.concatenate([rng.poisson(3.0, size=(4, 500, 1)), rng.normal(size=(4, 500, 1))], axis=2)
    found = membership(both)
    assert found is not None
    assert found.count == 1
    assert membership(np.where(rng.uniform(size=(4, 500, 2)) < 0.01, np.nan, 1.0)) is None


# --- what is several ---------------------------------------------------------------------------------------

# law, entries, modes: each is found in at least 95 of 100 such runs (see `clusters`); the seeds are fixed
SEVERAL: list[tuple[str, Modal, int, int]] = [
    ("a combination", two(1.0, 0.2), 2, 2),
    ("a combination of 10", two(1.0, 0.2), 10, 2),
    ("a combination of 100", two(3.0, 1.0), 100, 2),
    ("a thin one of 100", two(0.05, 0.005), 100, 2),
    ("six deviations", two(3.0, 1.0), 2, 2),
    ("5 %", two(1.0, 0.2, 0.05), 2, 2),
    ("5 % of 10", two(1.0, 0.2, 0.05), 10, 2),
    ("5 % in one of 100", two(1.0, 0.2, 0.05, axis=True), 100, 2),
    ("32", corners(5, 0.1), 5, 32),
    ("32 of 100", corners(5, 0.2), 100, 32),
    ("signs", signs, 5, 4),
    ("signs of 100", signs, 100, 4),
    ("arcs", arcs, 2, 2),
    ("arcs of 10", arcs, 10, 2),
    ("rings", rings, 2, 2),
]


@pytest.mark.parametrize(("law", "n", "count"), [case[1:] for case in SEVERAL], ids=[c[0] for c in SEVERAL])
def test_modes_are_found(law: Modal, n: int, count: int) -> None:
    z, true = law(np.random.default_rng(n), 4, 1000, n)
    found = clusters(z)
    assert found.max() + 1 == count
    assert purity(found, true) > 0.99
    sizes = np.bincount(found.ravel())
    assert (np.diff(sizes) <= 0).all()


def test_modes_of_a_thousand_entries() -> None:
    z, true = two(4.0, 1.0)(np.random.default_rng(0), 4, 1000, 1000)
    assert purity(clusters(z), true) > 0.99


@pytest.mark.parametrize("n", [10, 100])
def test_chains_that_are_apart_are_parted_where_mixed_draws_could_not_be(n: int) -> None:
    # the combination spreads as all others do; that chains differ in it tells it from them
    z, _ = two(1.0, 0.2, 1.0)(np.random.default_rng(0), 4, 1000, n)
    w = z.mean(axis=(0, 1)) / np.linalg.norm(z.mean(axis=(0, 1)))
    z[2:] -= 2 * w
    found = clusters(z)
    np.testing.assert_array_equal(found == found[:, :1], True)
    assert len(np.unique(found)) == 2
    assert found[0, 0] == found[1, 0] != found[2, 0] == found[3, 0]


def test_a_valley_with_a_tenth_of_the_peaks_is_not_empty() -> None:
    # P(valley called empty) < 0.01 where it has a tenth of the lower peak's draws. 2000 runs: at most 20
    # expected, above 36 with a probability below 1e-3
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(2000):
        peaks, valley = rng.poisson(100, size=2), rng.poisson(10)
        values = np.concatenate([np.full(peaks[0], -1.0), np.full(peaks[1], 1.0), np.zeros(valley)])
        called += is_empty(values, 0.0, -1.0, 1.0)
    assert called <= 36
    assert is_empty(np.repeat([-1.0, 1.0], 100), 0.0, -1.0, 1.0)
    assert not is_empty(np.repeat([-1.0, 1.0], 20), 0.0, -1.0, 1.0)  # too few to tell


def test_both_peaks_must_rise_above_the_pass() -> None:
    # a clump of a few draws amid a line is denser than all else, and parts nothing
    rng = np.random.default_rng(0)
    dense, thin = np.linspace(0, 1, 300), 1 + np.cumsum(np.linspace(0.03, 0.012, 400))
    shoulder = np.concatenate([dense, thin, thin[-1] + 1e-6 * rng.normal(size=20)])[:, None]
    assert density_peaks(shoulder).max() == 0
    line = np.c_[rng.uniform(-1, 1, 1000), np.zeros(1000)]
    clump = np.c_[1e-6 * rng.normal(size=30), np.zeros(30)]
    assert density_peaks(np.concatenate([line, clump])).max() == 0
    far = np.concatenate([line, line + np.array([5.0, 0.0]), clump - np.array([3.0, 0.0])])
    found = density_peaks(far)
    assert len(np.unique(found)) == 2  # 30 draws on their own are too few, and go to the nearest
    assert found[-1] == found[0] != found[1500]


# --- weights, and how well they are known ------------------------------------------------------------------


def test_weights_of_independent_draws_have_the_binomial_error() -> None:
    sides = np.random.default_rng(2).choice([-1.0, 1.0], size=(4, 1000), p=[0.3, 0.7])
    run, z = two_modes(sides, sigma=0.05)
    found = modes(run.tree(z))
    assert len(found) == 2
    np.testing.assert_array_equal(found.labels.values == 0, sides > 0)
    np.testing.assert_allclose(found.table["weight"], [(sides > 0).mean(), (sides < 0).mean()])
    np.testing.assert_allclose(found.table["error"], np.sqrt(0.21 / 4000), rtol=0.15)
    np.testing.assert_allclose(found.shares.values[:, 0], (sides > 0).mean(axis=1))
    np.testing.assert_array_equal(found.table["chains"], [4, 4])
    np.testing.assert_allclose(found.centres["x[0]"], [1.0, -1.0], atol=0.1)
    assert np.isin(found.centres.values, z.reshape(-1, 2)).all()
    assert "weight" in str(found)


@pytest.mark.parametrize("stay", [0.5, 0.9, 0.98])
def test_the_error_of_a_weight_knows_how_seldom_chains_cross(stay: float) -> None:
    # sign s_t = s_{t-1} with probability `stay`: the integrated autocorrelation time is stay / (1 - stay)
    rng, ratio = np.random.default_rng(0), []
    for _ in range(12):
        flips = np.where(rng.uniform(size=(4, 2000)) < stay, 1, -1)
        side = np.cumprod(flips, axis=1) * rng.choice([-1, 1], size=(4, 1))
        z = two_modes(side.astype(float), draws=2000, sigma=0.05)[1]
        found = membership(z)
        assert found is not None
        assert found.count == 2
        assert found.crossings == (np.diff(side, axis=1) != 0).sum()
        ratio.append(found.errors[0] / np.sqrt(0.25 * stay / (1 - stay) / 8000))
    # 12 estimates of an ESS, each good to about 15 % at the slowest: their mean is good to 5 %
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.15)


def test_one_mode_has_weight_one() -> None:
    run, z = linear()
    found = modes(run.tree(z))
    assert len(found) == 1
    assert found.table["weight"][0] == 1.0
    assert found.table["error"][0] == 0.0
    assert (found.labels == 0).all()


def lone(x: np.ndarray) -> xr.DataTree:
    return xr.DataTree.from_dict({"posterior": xr.Dataset({"x": (("chain", "draw"), x)})})


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (xr.DataTree(), "no draws"),
        (lone(np.zeros((4, 0))), "no draws"),
        (lone(np.ones((4, 9))), "no modes"),
        (lone(np.full((4, 9), np.nan)), "no modes"),
    ],
    ids=["empty", "no draws", "constant", "NaN"],
)
def test_a_tree_without_modes_is_refused(tree: xr.DataTree, words: str) -> None:
    with pytest.raises(InputError, match=words):
        modes(tree)


def test_what_is_not_a_tree_is_refused() -> None:
    with pytest.raises(InputError, match="not a DataTree"):
        inspect.unwrap(modes)(None)  # type: ignore[arg-type]


def test_without_z_the_entries_of_x_are_scaled() -> None:
    z, _ = two(1.0, 0.1)(np.random.default_rng(0), 4, 500, 2)
    x = xr.Dataset({"a": (("chain", "draw"), 1e6 * z[..., 0]), "b": (("chain", "draw"), 1e-6 * z[..., 1])})
    assert len(modes(xr.DataTree.from_dict({"posterior": x}))) == 2


# --- the verdict -------------------------------------------------------------------------------------------


def test_each_chain_in_its_own_mode_that_no_single_input_shows() -> None:
    # z_0 - z_1 = +-0.01: the means of both entries differ by 0.014 of their deviation between the chains
    side = np.array([1.0, 1.0, -1.0, -1.0])[:, None]
    run = Run(lambda z: (z[..., :1] - z[..., 1:2]) ** 2, np.array([1e-4]), 1e-5, 3)
    z = run.rng.normal(size=(4, 1000, 3))
    between = np.sqrt(1e-4 + 1e-5 * run.rng.normal(size=(4, 1000))) * side
    middle = z[..., :2].mean(-1)
    z[..., 0], z[..., 1] = middle + between / 2, middle - between / 2
    diagnosis = diagnose(run.tree(z))
    assert diagnosis.numbers["rhat_max"] < 1.01
    assert diagnosis.numbers["ess_bulk_min"] > 1000
    assert diagnosis.numbers["reached_fraction"] > 0.99
    assert diagnosis.verdict is NOT_CONVERGED
    assert codes(diagnosis) == {"separate modes"}
    (reason,) = diagnosis.reasons
    assert any(shares in reason.what for shares in ("1.00, 1.00, 0.00, 0.00", "0.00, 0.00, 1.00, 1.00"))
    assert diagnosis.numbers["modes"] == 2
    assert diagnosis.numbers["mode_weight_error_max"] > 0.2
    assert diagnosis.numbers["mode_crossings"] == 0


def test_chains_that_share_four_corners_unequally_although_every_input_agrees() -> None:
    # two chains in the corners (+, +) and (-, -), two in the others: all marginals are the same
    rng = np.random.default_rng(0)
    first = rng.choice([-1.0, 1.0], size=(4, 1000))
    z = rng.normal(size=(4, 1000, 2)) * 0.1
    z[..., 0] += first
    z[..., 1] += first * np.array([1.0, 1.0, -1.0, -1.0])[:, None]
    diagnosis = diagnose(any_run(2).tree(z))
    assert diagnosis.numbers["rhat_max"] < 1.01
    assert diagnosis.verdict is NOT_CONVERGED
    assert "separate modes" in codes(diagnosis)
    assert diagnosis.numbers["modes"] == 4


def test_chains_on_both_sides_of_a_thin_sheet() -> None:
    # no valley: the sides overlap. R-hat of every input is below 1.01
    run, z = linear(sigma=1e-3)
    z[..., 1] += 1.5e-3 * np.array([1.0, 1.0, -1.0, -1.0])[:, None]
    diagnosis = diagnose(run.tree(z))
    assert diagnosis.numbers["rhat_max"] < 1.01
    assert diagnosis.numbers["modes"] == 1
    assert diagnosis.verdict is NOT_CONVERGED
    assert codes(diagnosis) == {"combination"}
    assert diagnosis.numbers["rhat_combination"] > 1.3
    assert "0.71 z[0]" in diagnosis.where["rhat_combination"]
    assert "0.71 z[1]" in diagnosis.where["rhat_combination"]


@pytest.mark.parametrize(("n", "rho"), [(2, 0.8), (10, 0.5), (100, 0.5)])
def test_chains_that_agree_agree_in_all_combinations(n: int, rho: float) -> None:
    # 1.1 is passed by fewer than 1 of 1000 such runs (the largest of 96 was 1.034)
    run, _ = linear(n=n)
    run.sigma = 10.0
    diagnosis = diagnose(run.tree(walk(run, 4, 1000, n, rho)))
    assert diagnosis.numbers["rhat_combination"] < 1.1
    assert "combination" not in codes(diagnosis)


def test_what_is_said_of_separate_modes_is_said_once() -> None:
    run, z = two_modes(np.array([1.0, 1.0, -1.0, -1.0]), sigma=0.001)
    reasons = [r for r in diagnose(run.tree(z)).reasons if r.code in ("separate modes", "combination")]
    assert len(reasons) == 1
    assert "TemperedSMC" in reasons[0].advice
    assert "probinv.modes" in reasons[0].advice


def test_chains_that_seldom_cross_do_not_know_the_weights() -> None:
    # few crossings, and every chain about as often here as there: R-hat alone could miss it
    side = np.where(np.arange(1000) // 125 % 2 == 0, 1.0, -1.0)
    run, z = two_modes(np.stack([side, -side, side, -side]), sigma=0.05)
    diagnosis = diagnose(run.tree(z))
    assert diagnosis.verdict is NOT_CONVERGED
    assert "mode weights" in codes(diagnosis)
    assert diagnosis.numbers["mode_crossings"] == 28
    assert diagnosis.numbers["mode_ess_min"] < 400


def test_modes_on_which_chains_agree_are_a_remark() -> None:
    sides = np.random.default_rng(1).choice([-1.0, 1.0], size=(4, 1000))
    run, z = two_modes(sides, sigma=0.05)
    diagnosis = diagnose(run.tree(z))
    assert diagnosis.verdict is OK
    (reason,) = [r for r in diagnosis.reasons if r.code == "modes"]
    assert reason.what.startswith("The draws form 2 modes, with weights 0.5")
    assert "+- 0.008" in reason.what
    assert diagnosis.where["mode_rhat_max"].startswith("mode ")


def test_thirty_two_modes_are_a_remark_of_one_line() -> None:
    z, _ = corners(5, 0.1)(np.random.default_rng(0), 4, 1000, 5)
    diagnosis = diagnose(any_run(5).tree(z))
    (reason,) = [r for r in diagnosis.reasons if r.code == "modes"]
    assert "32 modes, with weights from 0.02" in reason.what
    assert len(reason.what) < 160


def test_one_chain_that_changes_its_mode_once() -> None:
    side = np.where(np.arange(4000) < 2000, 1.0, -1.0)[None]
    run, z = two_modes(side, draws=4000, sigma=0.05)
    diagnosis = diagnose(run.tree(z))
    assert diagnosis.verdict is NOT_CONVERGED
    assert "halves of the chain disagree on their weights" in str(diagnosis)


def test_chains_that_creep_are_not_said_to_sit_in_modes() -> None:
    run, _ = linear()
    z = walk(run, 4, 1000, 10, 0.999)
    diagnosis = diagnose(any_run(10).tree(z))
    assert diagnosis.verdict is NOT_CONVERGED
    assert diagnosis.numbers["modes"] > 1
    assert "places that the chains have not left" in str(diagnosis)
    found = membership(slow(np.random.default_rng(0), 4, 1000, 2))
    assert found is not None
    assert found.settled
    assert found.movement == pytest.approx(0.05, abs=0.01)


def test_all_chains_in_one_of_two_modes_is_still_seen_by_the_prior() -> None:
    run, z = two_modes(np.ones(4), sigma=0.3)
    assert run.f is square
    diagnosis = diagnose(run.tree(z))
    assert diagnosis.numbers["modes"] == 1
    assert codes(diagnosis) == {"missed region"}
