"""What holds for every test: shapes are checked, and nothing depends on chance or on the folder."""

import gc
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache"
MAPS = Path("/proc/self/maps")

# Set before anything imports NumPy or JAX, and inherited by the processes that tests start.
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("KERAS_HOME", str(CACHE / "keras"))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Most of a test's time is compiling, which this halves. Only tests marked "optimised", whose time is in
# running, compile as users do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores: one BLAS thread each
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import hypothesis
import hypothesis.configuration
import jax
import pytest
from jaxtyping import install_import_hook

install_import_hook("probinv", "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.configuration.set_hypothesis_home_dir(CACHE / "hypothesis")
hypothesis.settings.register_profile(
    "house",
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("house")


@pytest.fixture
def key(request: pytest.FixtureRequest) -> jax.Array:
    """A typed PRNG key made from the test's name: the same in every run, on every worker."""
    digest = hashlib.sha256(request.node.name.encode()).digest()
    return jax.random.key(int.from_bytes(digest[:4], "big"))


@pytest.fixture
def x64() -> Iterator[None]:
    """The test runs in double precision, as `invert` does."""
    from probinv._checks import double_precision

    with double_precision():
        yield


@pytest.fixture(autouse=True)
def _optimised(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compiling as users do, where a test is marked so."""
    usual = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"].lower() not in ("0", "false")
    marked = request.node.get_closest_marker("optimised") is not None
    jax.config.update("jax_disable_most_optimizations", usual and not marked)
    yield
    jax.config.update("jax_disable_most_optimizations", usual)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test writes lands in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True, scope="module")
def _few_programs() -> Iterator[None]:
    """Programs of earlier modules are let go: each holds memory maps, and Linux allows a process 65530."""
    yield
    if MAPS.exists() and len(MAPS.read_bytes().splitlines()) > 24_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True)
def _left_as_found() -> Iterator[None]:
    """A test leaves no figure open, and JAX as it found it."""
    before = jax.config.jax_enable_x64
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert jax.config.jax_enable_x64 == before, (
        "the test changed the precision of JAX and did not put it back"
    )
