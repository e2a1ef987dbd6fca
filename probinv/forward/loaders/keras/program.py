"""What a Keras model computes, without its weights: a configuration, and copies made from it."""

import contextlib
import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np

from probinv._errors import InputError

_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "DTypePolicyMap")
_ATTENTION = ("MultiHeadAttention", "GroupQueryAttention")
_LOCK = threading.RLock()


class Copy(NamedTuple):
    """A model without values: they are given at every call.

    Args:
        model: the `keras.Model`; its variables hold nothing.
        weights: its variables, in the order of `model.weights`.
        seeds: the states of its random numbers.
        cached: its layers that keep what they computed from their weights (Normalization does).
    """

    model: Any
    weights: list[Any]
    seeds: list[Any]
    cached: list[Any]


@final
class Program:
    """y = model(x) for given weights, in the precision of the run.

    Every layer of Keras computes in a precision of its own, fixed when it is made. So the model is made anew
    from its configuration, in float64 for use inside `double_precision` and in float32 for use outside, when
    it is first needed. Programs of the same content are equal, so that a model that is loaded twice compiles
    once.

    Args:
        config: of `keras.saving.serialize_keras_object`.
        custom: classes and functions by the name under which they appear in it.
    """

    def __init__(self, config: dict[str, Any], custom: dict[str, Any]) -> None:
        self.config = {**config, "compile_config": None}
        self.custom = custom
        self.quiet: set[tuple[int, ...]] = set()
        self._copies: dict[str, Copy] = {}
        self._key = (
            json.dumps(self.config, sort_keys=True),
            tuple(sorted(custom.items(), key=lambda p: p[0])),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key[0])

    def copy(self) -> Copy:
        """The copy for the precision of now."""
        dtype = "float64" if jax.config.jax_enable_x64 else "float32"
        if dtype not in self._copies:
            self._copies[dtype] = apart(lambda: _build(self.config, self.custom, dtype))
        return self._copies[dtype]

    def call(self, weights: list[Any], seeds: list[Any], x: Any) -> Any:
        """model(x), for a batch."""
        import keras

        copy = self.copy()
        values = [*zip(copy.weights, weights, strict=True), *zip(copy.seeds, seeds, strict=True)]
        with precision(), keras.StatelessScope(values, initialize_variables=False):
            try:
                for layer in copy.cached:
                    layer.finalize_state()
                return copy.model(x, training=False)
            finally:
                for layer in copy.cached:
                    layer.mean = layer.variance = None  # else what a trace computed would outlive it


def apart(call: Callable[[], Any]) -> Any:
    """What call() gives, in a thread of its own.

    Keras keeps its counters of names, its default precision and its scopes for each thread, and JAX its
    traces: those of the caller are neither seen nor changed.
    """
    x64 = bool(jax.config.jax_enable_x64)

    def run() -> Any:
        with jax.enable_x64(x64):
            return call()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


@contextlib.contextmanager
def same_chance() -> Iterator[None]:
    """Python's random numbers go on as if nothing was: Keras seeds its own with them."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def precision() -> Iterator[None]:
    """Keras computes in the precision of the run; what it is told is put back afterwards.

    On JAX its rule for the type of a result makes float32 of float64, in a table that has to be changed for
    it. It adds biases of a lower rank, which JAX can be told to refuse; that is for the user's own code.

    Raises:
        InputError: this version of Keras has another rule, and would round to float32.
    """
    import keras

    dtype = "float64" if jax.config.jax_enable_x64 else "float32"
    with _LOCK, jax.numpy_rank_promotion("allow"):
        floatx, narrow = keras.config.floatx(), _narrowing()
        before = dict(narrow)
        try:
            keras.config.set_floatx(dtype)
            narrow["float64"] = dtype
            if keras.backend.result_type(dtype, "float32") != dtype:
                raise _other_version(keras.__version__)
            yield
        finally:
            narrow.update(before)
            keras.config.set_floatx(floatx)


def _narrowing() -> dict[str, str]:
    import keras

    try:
        from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE
    except ImportError:
        raise _other_version(keras.__version__) from None
    return BIT64_TO_BIT32_DTYPE


def _other_version(version: str) -> InputError:
    return InputError(
        f"keras {version} cannot be made to compute in double precision",
        "its rule for the type of a result is not the one known here",
        "use keras 3.12 to 3.15, or export the model to ONNX",
    )


def _build(config: dict[str, Any], custom: dict[str, Any], dtype: str) -> Copy:
    import keras

    with same_chance(), precision(), keras.StatelessScope(initialize_variables=False):
        keras.config.set_dtype_policy(dtype)
        model = keras.saving.deserialize_keras_object(
            in_precision(config, dtype), custom_objects=custom, safe_mode=True
        )
    weights = list(model.weights)
    known = {id(variable) for variable in weights}
    seeds = [v for v in model.variables if id(v) not in known and v.dtype == "uint32" and v.shape == (2,)]
    cached = [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None
    ]
    return Copy(model, weights, seeds, cached)


def all_layers(model: Any) -> list[Any]:
    """The model and every layer inside it, at any depth."""
    return list(model._flatten_layers(include_self=True, recursive=True))


def in_precision(value: Any, dtype: str) -> Any:
    """A copy of the configuration in which every floating dtype and every policy is `dtype`.

    Raises:
        InputError: a layer computes with quantised weights.
    """
    if isinstance(value, list | tuple):
        return [in_precision(part, dtype) for part in value]
    if not isinstance(value, dict):
        return value
    made = {
        key: _dtype(part, dtype) if key == "dtype" else in_precision(part, dtype)
        for key, part in value.items()
    }
    if made.get("class_name") in _ATTENTION and isinstance(made.get("config"), dict):
        # dropout is off in inference, but without any the softmax is taken in float32 always
        made["config"] = {
            **made["config"],
            "flash_attention": False,
            "dropout": made["config"].get("dropout") or 1e-9,
        }
    return made


def _dtype(said: Any, dtype: str) -> Any:
    name = said.get("class_name") if isinstance(said, dict) else said
    if isinstance(said, dict) and name in _POLICIES:
        return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": dtype}}
    if isinstance(name, str) and ("Quantized" in name or "_from_" in name):
        raise InputError(
            "the model has quantised layers", "they have no derivative", "give the model before quantisation"
        )
    if isinstance(name, str) and (name.startswith("mixed_") or _is_float(name)):
        return dtype
    return said


def _is_float(name: str) -> bool:
    try:
        return bool(jnp.issubdtype(jnp.dtype(name), np.floating))
    except TypeError:
        return False
