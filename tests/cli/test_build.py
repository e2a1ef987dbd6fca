"""Every kind of prior, target and method of a spec file becomes the object that it names."""

from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import pytest

from probinv import likelihood, methods, prior
from probinv.cli import _kinds
from probinv.cli._arrays import read_array
from probinv.cli._build import build
from probinv.cli._spec import Overrides, read_spec
from probinv.posterior import Posterior
from tests.cli.specs import call, changed, network, section, write


def built(folder: Path, text: str, **overrides: Any) -> tuple[Posterior, methods.AbstractMethod]:
    return build(read_spec(write(folder, text), Overrides(**overrides)))


ROWS = np.random.default_rng(1).normal(size=(20, 3))
COVARIANCE = [[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]]

PRIORS = {
    "uniform": ("low = [0, 1, 2]\nhigh = 5", prior.Uniform([0, 1, 2], 5.0)),
    "normal": ("scale = 2", prior.Normal(0.0, 2.0, (3,))),
    "lognormal": ("loc = 1\nshape = 3", prior.LogNormal(1.0, 1.0, 3)),
    "multivariate_normal": (
        f"loc = [1, 2, 3]\ncovariance = {COVARIANCE}",
        prior.MultivariateNormal([1, 2, 3], COVARIANCE),
    ),
    "empirical": ('data = "rows.npy"', prior.fit_gaussian(ROWS)),
}

TARGETS = {
    "gaussian": ("y_star = [1, 2]\nscale = [0.1, 0.2]", likelihood.Gaussian([1, 2], [0.1, 0.2])),
    "gaussian_from_residuals": (
        'y_star = [1, 2]\nresiduals = "rows.npz:two"',
        likelihood.Gaussian.from_residuals([1, 2], ROWS[:, :2]),
    ),
    "student": ("y_star = [1, nan]\nscale = 1\ndf = 4", likelihood.Student([1, np.nan], 1.0, 4.0)),
    "label": ("k = 1", likelihood.Label(1)),
    "bernoulli": ("targets = [0.9, nan]\ncount = 10", likelihood.Bernoulli([0.9, np.nan], 10)),
    "interval": (
        "low = [-inf, 0]\nhigh = [1, inf]\nsoftness = 0.1",
        likelihood.Interval([-np.inf, 0], [1, np.inf], 0.1),
    ),
    "at_least": ("bound = 1\nsoftness = 0.1\non = 1", likelihood.On(1, likelihood.AtLeast(1.0, 0.1))),
    "at_most": (
        "bound = [1, 2]\nsoftness = 0.1\non = [1, 0]",
        likelihood.On([1, 0], likelihood.AtMost([1, 2], 0.1)),
    ),
    "exactly": ("y_star = [1, nan]", likelihood.Exactly([1, np.nan])),
    "argmax": ("k = 1", likelihood.Argmax(1)),
    "ordering": ("order = [1, 0]", likelihood.Ordering([1, 0])),
    "linear_region": (
        "A = [[1.0, -1.0]]\nb = [0.5]\nstrict = 1",
        likelihood.LinearRegion([[1.0, -1.0]], [0.5], True),
    ),
}
REGIONS = {
    "interval": ("low = [0, 0]\nhigh = 1", likelihood.Interval([0, 0], [1, 1])),
    "at_least": ("bound = 1\non = 1", likelihood.On(1, likelihood.AtLeast(1.0))),
    "at_most": ("bound = [1, 2]", likelihood.AtMost([1, 2])),
}
FIT = {"exactly": "lifted", "argmax": "subset", "ordering": "subset", "linear_region": "subset"}


def assert_same(found: Any, expected: Any) -> None:
    """Equal modules: the same classes, settings and numbers."""
    import jax

    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    np.savez(tmp_path / "rows.npz", all=ROWS, two=ROWS[:, :2])


@pytest.mark.parametrize("kind", _kinds.PRIORS)
def test_priors(tmp_path: Path, kind: str) -> None:
    body, expected = PRIORS[kind]
    posterior, _ = built(tmp_path, section("prior", f'kind = "{kind}"\n{body}'))
    assert_same(posterior.prior, expected)
    assert_same(posterior.forward, network())


@pytest.mark.parametrize("kind", _kinds.TARGETS)
def test_targets(tmp_path: Path, kind: str) -> None:
    body, expected = TARGETS[kind]
    text = section("target", f'kind = "{kind}"\n{body}')
    posterior, _ = built(tmp_path, text, method=FIT.get(kind), settings={"draws": 20})
    assert_same(posterior.likelihood, expected)


@pytest.mark.parametrize("kind", REGIONS)
def test_targets_without_a_softness_have_hard_edges(tmp_path: Path, kind: str) -> None:
    body, expected = REGIONS[kind]
    text = section("target", f'kind = "{kind}"\n{body}')
    posterior, _ = built(tmp_path, text, method="subset", settings={"draws": 20})
    assert_same(posterior.likelihood, expected)
    assert isinstance(posterior.likelihood, likelihood.AbstractRegionLikelihood)


@pytest.mark.parametrize("body", ['kind = "exactly"\ny_star = [1, 2]', 'kind = "argmax"\nk = 1'])
def test_wishes_that_nuts_cannot_meet(tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str) -> None:
    assert call("invert", write(tmp_path, section("target", body)), "--dry-run") == 2
    assert "needs" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i2", "|u1", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_from_files(tmp_path: Path, dtype: str, order: Literal["C", "F"]) -> None:
    array = (ROWS > 0).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", array)
    for name in ("a.npy", "a.npz", "a.npz:arr_0"):
        found = read_array("field", name, tmp_path)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, array)


def test_empirical_of_the_other_kind(tmp_path: Path) -> None:
    posterior, _ = built(tmp_path, section("prior", 'kind = "empirical"\ndata = "rows.npy"\nfit = "kde"'))
    assert isinstance(posterior.prior, prior.KernelDensity)


def test_named_and_fixed_inputs(tmp_path: Path) -> None:
    text = section(
        "prior",
        '[prior.inputs.width]\nkind = "uniform"\nlow = 1\nhigh = 2\n'
        '[prior.inputs.angles]\nkind = "normal"\nshape = 2\n[prior.fixed]\nwidth = 1.5',
    )
    posterior, _ = built(tmp_path, text)
    parts = {"width": prior.Uniform(1.0, 2.0), "angles": prior.Normal(shape=2)}
    assert_same(posterior.prior, prior.Fixed(prior.Named(parts), {"width": 1.5}))
    assert posterior.size == 2


def test_inputs_fixed_by_index(tmp_path: Path) -> None:
    posterior, _ = built(tmp_path, changed("high = 1.0", "high = 1.0\nfixed = {0 = 0.5, -1 = 0}"))
    assert_same(posterior.prior, prior.Fixed(prior.Uniform(-1.0, 1.0, 3), {0: 0.5, -1: 0.0}))


def test_a_product(tmp_path: Path) -> None:
    text = section(
        "target",
        'kind = "product"\n[[target.parts]]\nkind = "gaussian"\non = 0\ny_star = 1\nscale = 2\n'
        '[[target.parts]]\nkind = "at_most"\nbound = [5, 6]\nsoftness = 1',
    )
    posterior, _ = built(tmp_path, text)
    parts = [likelihood.On(0, likelihood.Gaussian(1.0, 2.0)), likelihood.AtMost([5, 6], 1.0)]
    assert_same(posterior.likelihood, likelihood.Product(parts))


def test_methods_and_what_overrides_them(tmp_path: Path) -> None:
    spec = section("method", 'kind = "hmc"\ndraws = 7\ndense_mass = true\ntrajectory_length = 2')
    assert built(tmp_path, spec)[1] == methods.HMC(draws=7, dense_mass=True, trajectory_length=2.0)
    settings = {"draws": 9, "dense_mass": False}
    assert built(tmp_path, spec, settings=settings)[1] == methods.HMC(draws=9, trajectory_length=2.0)
    assert built(tmp_path, spec, method="map", settings={"starts": 4})[1] == methods.MAP(starts=4)
    no_method = changed('[method]\nkind = "nuts"\ndraws = 20\nwarmup = 10\nchains = 2\n', "")
    assert built(tmp_path, no_method)[1] is None
    ascent = built(tmp_path, section("method", 'kind = "ascent"\nstart = [0, 0.5, 0]\noptimiser = "sgd"'))[1]
    assert isinstance(ascent, methods.Ascent)
    assert ascent.optimiser == "sgd"
    np.testing.assert_array_equal(ascent.start, [0, 0.5, 0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (section("method", 'kind = "nuts"\ndraws = 0'), "method: draws must be a whole number of at least 1"),
        (section("method", 'kind = "ascent"\noptimiser = "adamm"'), "method: optimiser 'adamm' is unknown"),
        (
            section("target", 'kind = "label"\nk = 1\noutputs = "logit"'),
            "target: outputs='logit' is not known",
        ),
        (
            section("target", 'kind = "gaussian"\ny_star = [0, 1]\ncovariance = [[1, 2], [2, 1]]'),
            "target: covariance",
        ),
        (
            section("prior", 'kind = "normal"\nfixed = {0 = 1, 1 = 1, 2 = 1}'),
            "prior: values fixes every input",
        ),
        (section("prior", 'kind = "empirical"\ndata = [[1, 2, 3]]'), "prior: data has one row"),
        (
            section(
                "target",
                'kind = "product"\n[[target.parts]]\nkind = "label"\nk = 1\noutputs = "x"',
            ),
            "target.parts[0]: outputs='x' is not known",
        ),
    ],
    ids=["draws", "optimiser", "outputs", "covariance", "fixed", "data", "part"],
)
def test_what_only_the_classes_know_is_refused_by_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    assert call("invert", write(tmp_path, text), "--dry-run") == 2
    err = capsys.readouterr().err
    assert err.startswith(f"probinv: {says}")


def test_a_damaged_network_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    whole = (tmp_path / "net.npz").read_bytes()
    place = whole.index(b"0.weight.npy") + 300
    (tmp_path / "net.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert call("invert", path, "--dry-run") == 2
    assert "net.npz is damaged" in capsys.readouterr().err


def test_a_network_may_be_an_onnx_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """5 inputs, of which the file does not tell the spec's reader; 3 outputs."""
    onnx = pytest.importorskip("onnx")
    from tests.forward.onnx_models import mlp

    onnx.save(mlp(), tmp_path / "net.onnx")
    text = changed('"net.npz"', '"net.onnx"').replace("low = -1.0", "low = [-1.0, -1.0, -1.0, -1.0, -1.0]")
    text = text.replace("[0.3, nan]", "[0.3, 0.3, nan]")
    assert call("invert", write(tmp_path, text), "--dry-run") == 0
    text = text.replace("[0.3, 0.3, nan]", "[0.3, nan]")
    assert call("invert", write(tmp_path, text), "--dry-run") == 2
    assert "y_star" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # in saving, by Keras itself
def test_a_network_may_be_a_keras_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("keras", reason="there is no Keras")
    from tests.forward.keras_models import mlp

    with jax.numpy_rank_promotion("allow"):
        mlp().save(tmp_path / "net.keras")
    text = changed('"net.npz"', '"net.keras"').replace("low = -1.0", "low = [-1.0, -1.0, -1.0]")
    assert call("invert", write(tmp_path, text), "--dry-run") == 0
    assert "net.keras, (3,) -> (2,)" in capsys.readouterr().out


def test_a_dry_run_says_what_it_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("invert", write(tmp_path), "--dry-run", "--draws", "7") == 0
    out = capsys.readouterr().out
    assert "question: y = (0.3, any) within 0.1" in out
    assert "network:  net.npz, (3,) -> (2,)" in out
    assert "NUTS(draws=7, warmup=10, chains=2" in out
    assert "seed 3" in out
    assert not (tmp_path / "result.nc").exists()


def test_an_image_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("invert", write(tmp_path), "--dry-run", "--image", "2x2") == 2
    assert "--image 2x2 does not fit: the inputs have 3 (x) entries" in capsys.readouterr().err
