"""The types of ONNX tensors as NumPy has them."""

import numpy as np

from probinv._errors import InputError

FLOATS = {1: np.float32, 10: np.float16, 11: np.float64, 16: np.float32}
"""FLOAT, FLOAT16, DOUBLE, BFLOAT16 (which NumPy lacks: every one of its numbers is a float32)."""
EXACT = {
    2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
    12: np.uint32, 13: np.uint64,
}  # fmt: skip
"""Integers and booleans."""


def numpy_type(number: int, where: str) -> np.dtype:
    """The NumPy type for a number of onnx.TensorProto.DataType.

    Raises:
        InputError: numbers of that type are not computed with here (text, complex, 8 and 4 bits).
    """
    kind = (FLOATS | EXACT).get(number)
    if kind is None:
        raise InputError(
            f"{where} is of the type {type_name(number)}",
            "only real numbers of 16 to 64 bits, integers of 8 to 64 and booleans are computed with",
            "export the network in float32",
        )
    return np.dtype(kind)


def type_name(number: int) -> str:
    """FLOAT for 1, and so on."""
    import onnx

    known: dict[int, str] = {value: name for name, value in onnx.TensorProto.DataType.items()}
    return known.get(number, f"number {number}")
