"""Keras models in memory."""

from types import FunctionType
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from probinv._checks import double_precision
from probinv._errors import InputError, NumericalError, ProbinvError
from probinv.forward._leaves import host_leaf
from probinv.forward.loaders.keras.forward import KerasForward
from probinv.forward.loaders.keras.package import require_keras
from probinv.forward.loaders.keras.program import Program, all_layers, same_chance

AS_FUNCTION = "give a function: Function(lambda x: model(x[None], training=False)[0])"


def from_model(obj: Any) -> KerasForward:
    """The forward of a model in memory, see `load`."""
    keras = require_keras()
    if not isinstance(obj, keras.Model):
        raise InputError(
            f"{type(obj).__name__} is a layer of Keras",
            "a network is a model",
            "give keras.Sequential([keras.Input(shape), layer])",
        )
    if not obj.built:
        raise InputError(
            f"the model {obj.name!r} is not built",
            "it has no weights yet",
            "call it once on a batch, or give it a keras.Input",
        )
    shape = input_shape(obj)
    check_layers(obj)
    try:
        with same_chance():
            config = keras.saving.serialize_keras_object(obj)
        program = Program(config, _custom(keras, obj))
    except ProbinvError:
        raise
    except Exception as error:  # the user's own layers may raise anything
        raise _not_anew(obj, error) from error
    weights = tuple(host_leaf(variable.path, _value(variable)) for variable in obj.weights)
    with double_precision():
        forward = assembled(program, weights, shape)
    if shape is not None:
        _check_same(obj, forward, shape)
    return forward


def assembled(program: Program, weights: tuple[Any, ...], shape: tuple[int, ...] | None) -> KerasForward:
    """The forward of a program and its weights, which must be those that it has variables for.

    Raises:
        InputError: the program cannot be made, or has other weights.
    """
    try:
        copy = program.copy()
    except ProbinvError:
        raise
    except Exception as error:
        raise _not_anew(None, error) from error
    found, wanted = [np.shape(leaf) for leaf in weights], [tuple(v.shape) for v in copy.weights]
    if found != wanted:
        raise InputError(
            "the model made anew has other weights",
            f"{len(wanted)} of them and not {len(found)}, or of other shapes",
            AS_FUNCTION,
        )
    return KerasForward(weights, program, shape)


def input_shape(model: Any) -> tuple[int, ...] | None:
    """Shape of one x; None where the model does not say it, or not all of it.

    Raises:
        InputError: the model has several inputs or outputs, takes whole numbers, or batches of one size only.
    """
    inputs, outputs = (getattr(model, name, None) for name in ("inputs", "outputs"))
    for name, tensors in (("input", inputs), ("output", outputs)):
        if tensors is not None and len(tensors) != 1:
            raise InputError(
                f"the model has {len(tensors)} {name}s",
                ", ".join(repr(tensor.name) for tensor in tensors[:20]),
                "make a model of one input and one output, keras.Model(inputs=x, outputs=y); or, for an input"
                " that is known, a function",
            )
    if not inputs:
        return None
    (x,) = inputs
    if not jnp.issubdtype(jnp.dtype(x.dtype), np.floating):
        raise InputError(
            f"the input {x.name!r} is of {x.dtype}",
            "x must be real numbers, to have a gradient",
            "make a model that begins behind it, such as behind an embedding",
        )
    if x.shape[0] not in (None, 1):
        raise InputError(
            f"the model takes batches of {x.shape[0]} only",
            "a forward takes one x",
            "build it without batch_size",
        )
    return None if None in x.shape[1:] else tuple(int(size) for size in x.shape[1:])


def check_layers(model: Any) -> None:
    """Refuses what is no function of x, or cannot be made anew.

    Raises:
        InputError: a layer keeps a state between calls, or holds a Python function.
    """
    for layer in all_layers(model):
        if getattr(layer, "stateful", False) is True:
            raise InputError(
                f"the layer {layer.name!r} is stateful",
                "its output depends on earlier calls",
                "set stateful=False",
            )
        if type(layer).__name__ == "Lambda" and type(layer).__module__.startswith("keras."):
            raise InputError(
                f"the layer {layer.name!r} is a Lambda",
                "it holds a Python function, that cannot be made anew in another precision",
                f"write it as a layer; or {AS_FUNCTION}",
            )


def _value(variable: Any) -> np.ndarray:
    return np.asarray(variable.value)


def _custom(keras: Any, model: Any) -> dict[str, Any]:
    """The user's own classes and functions in the model, by name."""
    found: dict[str, Any] = {}
    for layer in all_layers(model):
        functions = [value for value in vars(layer).values() if isinstance(value, FunctionType)]
        for own in (type(layer), *functions):
            if not own.__module__.startswith("keras."):
                found[keras.saving.get_registered_name(own)] = own
    return found


def _check_same(model: Any, forward: KerasForward, shape: tuple[int, ...]) -> None:
    """|f(x) - model(x)| <= sqrt(eps) (1 + max |model(x)|) for one x ~ N(0, I), eps of its precision."""
    import jax
    import keras

    x = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    # in a scope, so that nothing of the model changes whatever its layers do
    with same_chance(), jax.numpy_rank_promotion("allow"), keras.StatelessScope(initialize_variables=False):
        theirs = jax.jit(lambda x: model(x, training=False))(x)
    eps = max(float(jnp.finfo(one).eps) for one in {theirs.dtype, *_precisions(model)})
    expected = np.asarray(theirs, np.float64)[0]
    with double_precision():
        found = np.asarray(eqx.filter_jit(lambda f, x: f(x))(forward, jnp.asarray(x[0], float)))
    gap = np.abs(found - expected) if found.shape == expected.shape else np.array(np.inf)
    same = np.isnan(found) & np.isnan(expected) if found.shape == expected.shape else np.array(False)
    error = float(np.max(np.where(same, 0.0, np.where(np.isnan(gap), np.inf, gap)), initial=0.0))
    if not error <= eps**0.5 * (
        1 + float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected)))
    ):
        raise NumericalError(
            f"the model made anew differs from {model.name!r} by {error:.1e}",
            "a layer of it keeps something that is neither a weight nor in its configuration",
            AS_FUNCTION,
        )


def _precisions(model: Any) -> set[Any]:
    dtypes = {layer.compute_dtype for layer in all_layers(model)}
    return {jnp.dtype(name) for name in dtypes if name and jnp.issubdtype(jnp.dtype(name), np.floating)}


def _not_anew(model: Any, error: Exception) -> InputError:
    lines = str(error).strip().splitlines() or [""]
    name = "the model" if model is None else f"the model {model.name!r}"
    return InputError(
        f"{name} cannot be made anew from its configuration",
        f"{type(error).__name__}: {lines[0][:300]}",
        AS_FUNCTION,
    )
