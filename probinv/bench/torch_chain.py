"""PyTorch on the same chain of dense layers: what its users wait for."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from probinv import forward
from probinv._errors import InputError
from probinv.forward import Activation, Affine, Dense, Reshape

NAMES = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid"}


def torch_chain(network: Any, x: np.ndarray, weight: np.ndarray) -> Callable[[], tuple[Any, Any]] | None:
    """y = f(x) and d sum(weight y) / dx of a batch by PyTorch, in float32 with its own number of threads.

    Args:
        network: of which the layers are dense, with activations between them.
        x: a batch (rows, *input).
        weight: of the outputs, of the shape of one.

    Returns:
        A call that computes both as tensors; None without PyTorch, or where the network is no such chain.
    """
    if find_spec("torch") is None:
        return None
    try:
        chain = forward.as_layered(network)
        layers = [_layer(layer) for layer in chain.layers]
    except InputError:
        return None
    import torch

    rows = np.array(x, np.float32).reshape(len(x), *chain.input_shape)
    given = torch.as_tensor(rows).requires_grad_()
    weights = torch.as_tensor(np.array(weight, np.float32))

    def both() -> tuple[Any, Any]:
        y = given
        for layer in layers:
            y = layer(y)
        (slope,) = torch.autograd.grad((weights * y.reshape(len(y), *weights.shape)).sum(), given)
        return y, slope

    return both


def _layer(layer: Any) -> Callable[[Any], Any]:
    import torch

    def tensor(array: Any) -> Any:
        return torch.as_tensor(np.array(array, np.float32))

    match layer:
        case Dense():
            weight, bias = tensor(layer.weight), tensor(layer.bias)
            return lambda x: torch.nn.functional.linear(x, weight, bias)
        case Affine():
            scale, shift = tensor(layer.scale), tensor(layer.shift)
            return lambda x: x * scale + shift
        case Reshape(shape=shape):
            return lambda x: x.reshape(len(x), *shape)
        case Activation(name=name) if name in NAMES:
            return getattr(torch, NAMES[name])
    raise InputError(f"{type(layer).__name__} is not compared", "only chains of dense layers are", "")
