"""PyTorch modules, by way of ONNX."""

import warnings
from typing import Any

from probinv._errors import InputError
from probinv.forward._base import AbstractForward
from probinv.forward.loaders.onnx import load_model

RECIPE = (
    "torch.onnx.export(module.eval(), (example,), 'net.onnx', dynamo=True), then probinv.load('net.onnx')"
)


def load_module(module: Any, example: Any, settings: dict[str, Any]) -> AbstractForward:
    """y = module(x) in evaluation mode, exported to ONNX and read from there, for one example.

    Args:
        module: a `torch.nn.Module`; it is put back into its mode afterwards.
        example: a batch of one that it takes, as a tensor or an array of floats.
        settings: of `load_model`.

    Raises:
        InputError: there is no example, onnx or onnxscript are missing, or PyTorch cannot export it.
    """
    if example is None:
        raise InputError(
            f"{type(module).__name__} is a PyTorch module",
            "it is read by way of ONNX, and PyTorch exports what it computes for an example",
            f"give a batch of one: load(module, example); or export it yourself: {RECIPE}",
        )
    import torch

    tensor = torch.as_tensor(example, dtype=next((p.dtype for p in module.parameters()), torch.float32))
    training = bool(module.training)
    try:
        module.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own, about its own parts
            program = torch.onnx.export(module, (tensor,), dynamo=True, verbose=False)
        model = program.model_proto
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise InputError(
            f"PyTorch cannot export {type(module).__name__}",
            f"{type(error).__name__}: {lines[0][:200]}",
            f"pip install onnx onnxscript, or export it yourself: {RECIPE}",
        ) from error
    finally:
        module.train(training)
    return load_model(model, **settings)
