"""One door for everything that can be loaded: results, and trained networks."""

import os
from pathlib import Path
from typing import Any

from probinv._errors import InputError
from probinv.forward import load as load_forward
from probinv.forward.loaders import FILES, UNREADABLE


def load(
    source: Any,
    example: Any = None,
    *,
    inputs: str | None = None,
    outputs: str | None = None,
    fixed: dict[str, Any] | None = None,
    batch_axis: bool | None = None,
    bytes_most: int | None = None,
    checksum: bool = True,
) -> Any:
    """A result or a trained network, from a file or from an object of another framework.

        load("result.nc")              the tree that `save` wrote, see `probinv.results.load`
        load("net.onnx")               a network as y = f(x) for one example, see `probinv.forward.load`
        load("net.npz")                a network that `save_network` wrote
        load(torch_module, example)    by way of ONNX
        load(anything_else)            as `as_forward` takes it

    Args:
        source: a path, told by its ending (a result by any ending but those of networks), or a network.
        example: for a PyTorch module: one batch that it takes.
        inputs: for ONNX: the name of the tensor that is x, if there are several inputs.
        outputs: for ONNX: the name of the tensor that is y, if there are several outputs.
        fixed: for ONNX: values of other inputs.
        batch_axis: for ONNX: whether the first axis is a batch axis, which x and y then lack.
        bytes_most: for results: most bytes that the arrays may take.
        checksum: for results: refuse a file without a checksum.

    Raises:
        InputError: it is not understood, or would need a pickle to be read; it says what to do.
        FileError: the file is missing, too large or damaged.
    """
    is_path = isinstance(source, str | os.PathLike)
    if not is_path or Path(source).suffix.lower() in {*FILES, *UNREADABLE}:
        if bytes_most is not None or not checksum:
            raise InputError("bytes_most or checksum is given", "they are for results", "leave it out")
        return load_forward(
            source, example, inputs=inputs, outputs=outputs, fixed=fixed, batch_axis=batch_axis
        )
    if any(value is not None for value in (example, inputs, outputs, fixed, batch_axis)):
        raise InputError(
            f"{Path(source).name} is no network by its ending",
            "a setting for networks is given",
            f"networks end in {', '.join(FILES)}",
        )
    from probinv.results.files import BYTES_MOST
    from probinv.results.files import load as load_tree

    return load_tree(source, bytes_most=BYTES_MOST if bytes_most is None else bytes_most, checksum=checksum)
