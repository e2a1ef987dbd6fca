"""invert and query: from a posterior to a tree, and what they leave alone."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import probinv
from probinv import InputError, NumericalError, ResourceError, ViewError
from probinv._invert import facts, run
from probinv._progress import Bar
from probinv.likelihood import Exactly, Gaussian, Label
from probinv.methods import HMC, MAP, NUTS, Ascent
from probinv.methods.kernels import blocks
from probinv.methods.mcmc import _run
from probinv.posterior import Posterior
from probinv.prior import Normal, Uniform
from probinv.results.tree import provenance
from tests.compiling import compilations
from tests.methods.problems import gauss, linear
from tests.posterior.zoo import NAMED, arrays, tanh_network

POSTERIOR = gauss(5, 3).posterior
SHORT = NUTS(draws=40, warmup=60, chains=3)  # as in tests/methods: its program is compiled already
QUIET: dict[str, Any] = {"progress": False, "verdict": False}
SAMPLED = ("posterior", "unconstrained_posterior", "posterior_predictive", "log_likelihood", "sample_stats")


def invert(posterior: Posterior = POSTERIOR, method: Any = SHORT, **settings: Any) -> xr.DataTree:
    return probinv.invert(posterior, method, **QUIET | settings)


@pytest.fixture(scope="module")
def whole() -> xr.DataTree:
    return invert()


def same(left: xr.DataTree, right: xr.DataTree, draws: slice = slice(None)) -> bool:
    """Whether all draws and their statistics agree bit for bit."""
    return all(
        np.array_equal(left[group][name].values, right[group][name].values[:, draws])
        for group in SAMPLED
        for name in right[group].data_vars
    )


def test_the_tree_is_whole(whole: xr.DataTree) -> None:
    assert set(whole.children) == {
        *SAMPLED, "prior", "prior_predictive", "observed_data", "constant_data", "sampler_state"
    }  # fmt: skip
    for group in SAMPLED:
        assert dict(whole[group].sizes)["chain"] == 3
        assert dict(whole[group].sizes)["draw"] == 40
    for group in set(whole.children) - {"constant_data"}:
        for name, value in whole[group].data_vars.items():
            assert np.isfinite(np.asarray(value.values, float)).all(), (group, name)
    assert whole["prior"]["x"].shape == (1, 1000, 5)
    assert np.array_equal(whole["observed_data"]["y_star"], POSTERIOR.likelihood.target)
    assert np.isinf(whole["constant_data"]["lower_x"]).all()


@pytest.mark.usefixtures("x64")
def test_the_groups_belong_together(whole: xr.DataTree) -> None:
    """x = T(z), y = f(x), log p(Y* | y), |r| and `reached`, all of the same draws, in double precision."""
    z = whole["unconstrained_posterior"]["z"].values.reshape(-1, 5)
    prior, network = POSTERIOR.prior, POSTERIOR.forward
    assert isinstance(prior, Normal)
    x = prior.loc + prior.scale * z
    y = x @ network.params.T  # type: ignore[attr-defined]
    stats = whole["sample_stats"]
    assert np.allclose(whole["posterior"]["x"].values.reshape(-1, 5), x, rtol=1e-13)
    assert np.allclose(whole["posterior_predictive"]["y"].values.reshape(-1, 3), y, rtol=1e-12, atol=1e-12)
    wish = POSTERIOR.likelihood
    assert isinstance(wish, Gaussian)
    r = (y - wish.y_star) / wish.noise.scale  # type: ignore[attr-defined]
    assert np.allclose(stats["residual_norm"].values.ravel(), np.linalg.norm(r, axis=1), rtol=1e-10)
    log_likelihood = jax.jit(jax.vmap(wish.log_prob))(y)
    assert np.allclose(whole["log_likelihood"]["y_star"].values.ravel(), log_likelihood, rtol=1e-10)
    total = stats["log_prior"].values + whole["log_likelihood"]["y_star"].values
    assert np.allclose(total, stats["lp"].values, rtol=1e-10)
    assert np.array_equal(stats["reached"].values.ravel(), jax.vmap(wish.reached)(y))


def test_the_provenance_says_what_was_done(whole: xr.DataTree) -> None:
    facts = provenance(whole)
    assert facts["method"] == "NUTS"
    assert facts["settings"]["draws"] == 40
    assert facts["seed"] == "0"
    assert facts["dtype"] == "float64"
    assert facts["exact"] is True
    assert facts["interrupted"] is False
    assert facts["gradients"] > whole["sample_stats"]["n_steps"].values.sum()
    assert facts["seconds_sampling"] > 0
    assert len(facts["network_hash"]) == 64
    assert set(facts["versions"]) == {"probinv", "jax", "numpyro", "equinox", "arviz", "numpy"}
    assert facts["verdict"]


def test_seeds(whole: xr.DataTree) -> None:
    """The same draws from the same seed and from its typed key, others from another."""
    assert same(invert(seed=0), whole)
    assert same(invert(seed=jax.random.key(0)), whole)
    other = invert(seed=1)
    assert not np.isclose(other["posterior"]["x"], whole["posterior"]["x"]).any()
    assert not np.isclose(other["prior"]["x"], whole["prior"]["x"]).any()


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", np.zeros(2), jnp.zeros(2, jnp.uint32), 2**63], ids=str)
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with pytest.raises(InputError, match="seed"):
        run.as_key(seed)


def test_large_seeds_differ_whatever_the_precision_outside() -> None:
    """2^32 is not 0, and the same seed is the same key with and without 64-bit integers outside."""
    keys = {seed: jax.random.key_data(run.as_key(seed)).tolist() for seed in (0, 5, 2**32, 2**62)}
    assert len({tuple(key) for key in keys.values()}) == 4
    with jax.enable_x64(True):
        for seed, key in keys.items():
            assert jax.random.key_data(run.as_key(seed)).tolist() == key


def test_a_second_target_compiles_nothing(whole: xr.DataTree) -> None:
    likelihood = POSTERIOR.likelihood
    second = Posterior(POSTERIOR.prior, POSTERIOR.forward, likelihood.at(likelihood.target + 1.0))
    with compilations() as compiled:
        tree = invert(second)
    assert compiled == []
    assert not np.isclose(tree["posterior"]["x"], whole["posterior"]["x"]).any()


@pytest.fixture(params=[False, True], ids=["single", "double"])
def outside(request: pytest.FixtureRequest) -> Iterator[bool]:
    """The precision that the user has chosen."""
    with jax.enable_x64(request.param):
        yield request.param


def user_sees() -> tuple[Any, ...]:
    return (
        jax.config.jax_enable_x64,
        jnp.zeros(1).dtype,
        jnp.arange(3).dtype,
        jnp.asarray(np.ones(2)).dtype,
        jax.config.jax_numpy_rank_promotion,
        jax.config.jax_debug_nans,
    )


def test_the_configuration_is_as_it_was(
    outside: bool, whole: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a result, after an interrupt, and after an error from inside the run."""
    before = user_sees()
    assert before[0] is outside
    tree = invert()
    assert user_sees() == before
    assert tree["posterior"]["x"].dtype == np.float64
    assert same(tree, whole)

    for error, kind in (
        (RuntimeError("in the middle"), RuntimeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):

        def broken(*_: Any, error: BaseException = error) -> None:
            assert jax.config.jax_enable_x64
            raise error

        monkeypatch.setattr(_run, "overdispersed_start", broken)
        with pytest.raises(kind):
            invert()
        monkeypatch.undo()
        assert user_sees() == before


def interrupted_after(draws: int, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> xr.DataTree:
    """A run in blocks of ten, stopped by Ctrl-C when so many draws are there."""

    def update(bar: Any, steps: int, phase: str) -> None:
        done[phase] += steps
        if done["sampling"] >= draws:
            raise KeyboardInterrupt

    done = {"warm-up": 0, "sampling": 0}
    with monkeypatch.context() as patch:
        patch.setattr(blocks.Blocks, "_count", lambda loop, left, thin: min(left, 10))
        patch.setattr(Bar, "update", update)
        return invert(**settings)


def test_ctrl_c_returns_a_marked_prefix_and_resume_completes_it(
    whole: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = interrupted_after(20, monkeypatch)
    assert provenance(part)["interrupted"] is True
    assert part["posterior"].sizes["draw"] == 20
    assert same(part, whole, slice(20))
    rest = invert(resume=part)
    assert same(rest, whole)
    facts = provenance(rest)
    assert facts["interrupted"] is False
    assert facts["settings"]["draws"] == 40
    assert facts["notes"]["finite_under_prior"] == 1.0
    assert facts["gradients"] == provenance(whole)["gradients"]
    assert np.array_equal(rest["prior"]["x"], whole["prior"]["x"])


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread only"
)
def test_a_signal_out_of_the_blue_is_heard_soon(whole: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGINT from another thread, wherever the run is then: a prefix, and long before the run would end."""

    def update(bar: Any, steps: int, phase: str) -> None:
        if phase == "sampling" and not timers:
            timers.append(threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)))
            timers[0].start()

    timers: list[threading.Timer] = []
    monkeypatch.setattr(Bar, "update", update)
    tree = invert(method=NUTS(draws=500_000, warmup=60, chains=3))
    timers[0].join()
    assert provenance(tree)["interrupted"] is True
    count = tree["posterior"].sizes["draw"]
    assert 40 <= count < 500_000
    assert np.array_equal(tree["posterior"]["x"].values[:, :40], whole["posterior"]["x"].values)
    assert len(tree["sample_stats"]["lp"].values[0]) == count


def test_resume_lengthens_a_run(whole: xr.DataTree) -> None:
    short = invert(method=NUTS(draws=15, warmup=60, chains=3))
    assert same(invert(resume=short), whole)
    assert same(invert(resume=whole), whole)


def test_resume_of_a_file(whole: xr.DataTree, tmp_path: Any) -> None:
    """From netCDF, as plain xarray reads it."""
    short = invert(method=NUTS(draws=15, warmup=60, chains=3))
    short.to_netcdf(tmp_path / "short.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "short.nc", engine="h5netcdf") as stored:
        assert same(invert(resume=stored.load()), whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed differs"),
        ({"method": NUTS(draws=40, warmup=61, chains=3)}, "settings differs"),
        ({"method": HMC(draws=40, warmup=60, chains=3)}, "method differs"),
        ({"method": NUTS(draws=39, warmup=60, chains=3)}, "40 draws already"),
        ({"posterior": gauss(5, 3, 0.4).posterior}, "posterior_hash differs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_resume_of_another_run_is_refused(change: dict[str, Any], words: str, whole: xr.DataTree) -> None:
    with compilations() as compiled, pytest.raises(InputError, match=words):
        invert(resume=whole, **change)
    assert compiled == []


def test_resume_of_points_is_refused() -> None:
    tree = invert(method=Ascent(starts=2, iterations=3))
    with pytest.raises(InputError, match="no sampler state"):
        invert(resume=tree)


def test_the_hash_of_a_posterior_knows_its_kind() -> None:
    """The same numbers in another prior or likelihood are another question."""
    network = tanh_network(3, 4, 2)
    cases = [
        Posterior(prior, network, wish)
        for prior in (Normal(np.zeros(3), np.ones(3)), Uniform(np.zeros(3), np.ones(3)))
        for wish in (Gaussian([1.0, 1.0], 1.0), Label(1), Label(1, "probabilities"))
    ]
    cases.append(Posterior(cases[0].prior, tanh_network(3, 4, 2, seed=1), cases[0].likelihood))
    hashes = [facts.posterior_hash(case) for case in cases]
    assert len(set(hashes)) == len(cases)
    assert hashes == [facts.posterior_hash(case) for case in cases]


def test_a_run_that_cannot_fit_is_refused_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    need = run.require_memory(POSTERIOR, SHORT)
    monkeypatch.setattr(run, "memory_available", lambda: need)
    assert run.require_memory(POSTERIOR, SHORT) == need
    monkeypatch.setattr(run, "memory_available", lambda: need - 1)
    with pytest.raises(ResourceError, match="GB of memory"):
        invert()
    many = NUTS(draws=10_000_000, chains=8)
    monkeypatch.setattr(run, "memory_available", lambda: None)
    wanted = run.require_memory(POSTERIOR, many)
    monkeypatch.setattr(run, "memory_available", lambda: 2_000_000_000)
    with compilations() as compiled, pytest.raises(ResourceError) as caught:
        invert(method=many)
    assert compiled == []
    assert f"{wanted / 1e9:.1f} GB" in str(caught.value)
    assert "2.0 GB are free" in str(caught.value)
    assert "thin" in caught.value.instead


def test_the_estimate_covers_what_the_result_holds(whole: xr.DataTree) -> None:
    """Of the whole tree, in bytes; and it grows by what each further draw adds to the tree."""
    held = sum(dataset.ds.nbytes for dataset in whole.subtree)
    need = run.require_memory(POSTERIOR, SHORT)
    assert need > held
    longer = run.require_memory(POSTERIOR, NUTS(draws=80, warmup=60, chains=3))
    of_draws = sum(whole[group].ds.nbytes for group in SAMPLED)
    assert longer - need > of_draws
    assert need < 1e9


def test_the_memory_of_this_machine_is_known() -> None:
    have = run.memory_available()
    assert have is None or 1e7 < have < 1e14


@pytest.mark.parametrize(
    ("posterior", "method", "words"),
    [
        (Normal(), None, "posterior is not a Posterior.*Normal"),
        (POSTERIOR, "nuts", "method is not a method.*HMC.*NUTS"),
    ],
)
def test_what_is_no_posterior_or_method_is_refused(posterior: Any, method: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run.check(posterior, method)


def test_a_wish_without_a_density_is_refused_before_compiling() -> None:
    case = Posterior(POSTERIOR.prior, POSTERIOR.forward, Exactly(np.zeros(3)))
    with compilations() as compiled, pytest.raises(ViewError, match="LiftedHMC"):
        invert(case)
    assert compiled == ["jit(_threefry_seed)"] or compiled == []


def nowhere(x: jax.Array) -> jax.Array:
    return jnp.log(-jnp.exp(x))


@pytest.mark.parametrize("method", [SHORT, MAP(), Ascent()], ids=lambda method: type(method).__name__)
def test_a_network_that_is_nan_everywhere_is_an_error_and_no_result(method: Any) -> None:
    case = Posterior(Normal(0.0, 1.0, 2), nowhere, Gaussian([0.0, 0.0], 0.1))
    with pytest.raises(NumericalError, match="NaN or infinite"):
        invert(case, method)


def test_query_is_its_three_lines(whole: xr.DataTree) -> None:
    prior, network = POSTERIOR.prior, POSTERIOR.forward
    wish = POSTERIOR.likelihood
    tree = probinv.query(
        network,
        wish.target,
        prior=prior,
        tolerance=wish.noise.scale,
        method=SHORT,
        **QUIET,  # type: ignore[attr-defined]
    )
    assert same(tree, whole)


def test_points_come_as_optima() -> None:
    """MAP of a linear Gaussian: one optimum, and how far it is from where it began, in x."""
    tree = invert(method=MAP(starts=4))
    optima = tree["optima"]
    assert set(tree.children) == {"optima", "prior", "prior_predictive", "observed_data", "constant_data"}
    assert optima.sizes["optimum"] == 1
    known = gauss(5, 3)
    prior = POSTERIOR.prior
    assert isinstance(prior, Normal)
    assert np.allclose(optima["z"].values[0], known.mean, atol=1e-6)
    assert np.allclose(optima["x"].values[0], prior.loc + prior.scale * known.mean, atol=1e-6)
    moved = np.linalg.norm(optima["x"].values[0] - optima["start_x"].values[0])
    assert np.isclose(optima["distance_from_start"].values[0], moved)
    assert np.isclose(optima["laplace_log_weight"].values[0], known.log_evidence, rtol=1e-8)


def test_ascent_says_how_far_its_answer_is_from_its_seed() -> None:
    """One step of gradient descent from x0: z moves by rate times the gradient, and x by scale times that."""
    matrix = arrays((2, 3))[0]
    scale = np.array([0.5, 1.0, 2.0])
    case = Posterior(
        Normal(0.0, scale, 3), lambda x: linear(jnp.asarray(matrix), x), Gaussian([1.0, -1.0], 1.0)
    )
    x0 = np.array([0.1, 0.2, -0.3])
    tree = invert(case, Ascent(start=x0, optimiser="sgd", learning_rate=0.1, iterations=1))
    step = 0.1 * scale**2 * (matrix.T @ (np.array([1.0, -1.0]) - matrix @ x0))
    optima = tree["optima"]
    assert np.allclose(optima["start_x"].values[0], x0, atol=1e-12)
    assert np.allclose(optima["x"].values[0], x0 + step, atol=1e-12)
    assert np.isclose(optima["distance_from_start"].values[0], np.linalg.norm(step))


def test_named_inputs_are_variables_of_the_result() -> None:
    case = Posterior(NAMED, tanh_network(3, 4, 2), Gaussian([0.3, 0.1], 0.3))
    tree = invert(case, Ascent(starts=3, iterations=5))
    assert {"thickness", "angle", "start_thickness", "start_angle"} <= set(tree["optima"].data_vars)
    assert tree["prior"]["angle"].shape == (1, 1000, 2)
    assert float(tree["constant_data"]["lower_thickness"]) == 1.0
    assert ((tree["optima"]["thickness"] >= 1) & (tree["optima"]["thickness"] <= 2)).all()


def test_the_verdict_is_printed_and_the_bar_shown(capsys: pytest.CaptureFixture[str]) -> None:
    method = Ascent(starts=2, iterations=3)
    probinv.invert(POSTERIOR, method)
    shown = capsys.readouterr()
    assert "points" in shown.out
    assert "ascent" in shown.err or "compiling" in shown.err
    invert(method=method)
    hidden = capsys.readouterr()
    assert hidden.out == ""
    assert hidden.err == ""


@pytest.mark.slow
def test_a_likelihood_used_in_single_precision_before_is_not_rounded():
    """JAX 0.12 keeps the float32 value of a NumPy constant; a run inside double precision must not get it."""
    wish = probinv.Gaussian([0.3], 0.1)
    kept = jax.jit(lambda y: wish.log_prob(y))  # the value is remembered as long as the function lives
    kept(jnp.ones(1))
    posterior = probinv.Posterior(probinv.Normal(0.0, 1.0, shape=(1,)), jnp.tanh, wish)
    tree = probinv.invert(posterior, probinv.NUTS(draws=20, warmup=20), progress=False, verdict=False)
    residual = (tree["posterior_predictive"]["y"].values[..., 0] - 0.3) / 0.1
    assert np.allclose(np.abs(residual), tree["sample_stats"]["residual_norm"].values, rtol=1e-12)


def test_a_network_with_a_scalar_output_gets_its_verdict() -> None:
    """y of shape (): the best output is named in the verdict of a wish out of reach."""
    posterior = Posterior(Normal(0.0, 1.0, 2), lambda x: jnp.tanh(x.sum()), Gaussian(3.0, 0.1))
    tree = invert(posterior, NUTS(draws=40, warmup=60))
    diagnosis = probinv.diagnose(tree)
    assert diagnosis.verdict is probinv.Verdict.NOT_REACHED
    assert "y = " in str(diagnosis)


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread only"
)
def test_an_interrupt_after_sampling_loses_nothing(
    whole: xr.DataTree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while predictive draws are made: the whole result. A second one is heard."""
    presses = [1]

    def pressed(*args: Any) -> Any:
        for _ in range(presses[0]):
            os.kill(os.getpid(), signal.SIGINT)
        return made(*args)

    made, before = run.prior_groups, signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(run, "prior_groups", pressed)
    assert same(invert(), whole)
    assert "the draws are there" in capsys.readouterr().err
    presses[0] = 2
    with pytest.raises(KeyboardInterrupt):
        invert()
    assert signal.getsignal(signal.SIGINT) is before
