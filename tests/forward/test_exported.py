"""Networks exported by PyTorch (see exported/make.py): its outputs and Jacobians, from the files alone."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._checks import double_precision
from probinv.forward import as_layered, check_source, load

pytest.importorskip("onnx", reason="ONNX files are read with the package onnx")

FOLDER = Path(__file__).parent / "exported"
NAMES = ("mlp", "cnn", "lstm", "transformer", "encoder")


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_jacobians_are_those_of_pytorch(name: str) -> None:
    network = load(FOLDER / f"{name}.onnx")
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as said:
        x, y, jacobian = (said[part] for part in ("x", "y", "jacobian"))
    assert network.input_shape == x.shape[1:]
    with double_precision():
        found, slopes = jax.jit(jax.vmap(lambda x: (network(x), jax.jacrev(network)(x))))(jnp.asarray(x))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, y, rtol=1e-6, atol=1e-7 * np.abs(y).max())
    np.testing.assert_allclose(slopes, jacobian, rtol=1e-5, atol=1e-6 * np.abs(jacobian).max())


@pytest.mark.parametrize("name", NAMES)
def test_another_interpreter_agrees(name: str, key: jax.Array) -> None:
    pytest.importorskip("onnxruntime", reason="compared with onnxruntime where it is installed")
    path = FOLDER / f"{name}.onnx"
    found = check_source(load(path), path, key, count=2)
    assert found.interpreter == "onnxruntime"
    assert found.difference < 2e-6
    assert found.agreement.jit < 1e-14
    assert found.agreement.gradient < 1e-6


def test_the_perceptron_is_a_chain() -> None:
    with np.load(FOLDER / "mlp.npz", allow_pickle=False) as said:
        x, y = said["x"], said["y"]
    with double_precision():
        found = [as_layered(load(FOLDER / "mlp.onnx"))(jnp.asarray(one)) for one in x]
    np.testing.assert_allclose(found, y, rtol=1e-6)


def test_a_module_is_exported_and_read() -> None:
    torch = pytest.importorskip(
        "torch", reason="the way by a PyTorch module is tested where torch is installed"
    )
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2)
    )
    x = np.linspace(-1, 1, 3).astype(np.float32)
    found = load(module, x[None])(jnp.asarray(x))
    assert module.training
    np.testing.assert_allclose(found, module.eval()(torch.as_tensor(x)).detach().numpy(), rtol=1e-5)
