"""The one door for every kind of network."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError
from probinv.forward import Function, Layered, as_forward
from probinv.forward.loaders import LOADERS
from probinv.forward.loaders.equinox import EquinoxForward
from tests.forward.zoo import batch, equinox_mlp, layered, scalar, sklearn


def test_each_kind_finds_its_loader() -> None:
    assert isinstance(as_forward(scalar), Function)
    assert isinstance(as_forward(jax.jit(scalar)), Function)
    assert isinstance(as_forward(equinox_mlp()), EquinoxForward)
    assert isinstance(as_forward(sklearn("regressor")[0]), Layered)
    network = layered()
    assert as_forward(network) is network


def test_batched_is_passed_on() -> None:
    assert as_forward(batch, batched=True)(jnp.ones(3)).shape == (2,)


class Foreign:
    """Stands for a class of a framework that is not installed here."""

    def __call__(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize("package", ["torch", "tensorflow"])
def test_a_framework_without_a_loader_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Foreign, "__module__", f"{package}.nn.modules")
    with pytest.raises(InputError, match=f"no loader for {package} networks"):
        as_forward(Foreign())


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (3, "a int is not a network.*Equinox.*Flax.*MLPRegressor.*AbstractForward"),
        (None, "a NoneType is not a network"),
        (np.ones(3), "a ndarray is not a network"),
        ("net.npz", "the network is a path.*load\\(path"),
        (Path("net.npz"), "the network is a path"),
        (Foreign, "Foreign is a class"),
    ],
)
def test_what_is_no_network_is_told_what_is(obj: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_forward(obj)


def test_a_forward_takes_no_batch() -> None:
    with pytest.raises(InputError, match="batched=True is given with a forward"):
        as_forward(layered(), batched=True)


def test_no_framework_is_imported_to_look() -> None:
    script = """
import sys
from probinv.forward import as_forward
as_forward(lambda x: x)
try:
    as_forward(3)
except ValueError:
    pass
print(sorted({"flax", "sklearn", "torch", "keras"} & set(sys.modules)))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_loader_has_its_file_and_its_verb() -> None:
    folder = Path(sys.modules["probinv.forward.loaders"].__file__ or "").parent
    for loader in LOADERS:
        path = folder / loader.module / "__init__.py"
        path = path if path.is_file() else folder / f"{loader.module}.py"
        assert "def load(obj: Any, *, batched: bool = False)" in path.read_text()
