"""scikit-learn multi-layer perceptrons, read into `Layered`."""

import warnings
from itertools import takewhile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probinv._checks import double_precision
from probinv._errors import InputError, NumericalError
from probinv.forward.layered import Layered
from probinv.forward.layers import AbstractLayer, Activation, Affine, Dense

TOLERANCE = 1e-12
ACCEPTED = (
    "accepted are MLPRegressor, MLPClassifier, a Pipeline of StandardScaler and one of these, and a"
    " TransformedTargetRegressor of one of these with a StandardScaler"
)


def load(obj: Any, *, batched: bool = False) -> Layered:
    """f(x) = predict(x) of a regressor, predict_proba(x) of a classifier, for one x of shape (d,).

    - MLPRegressor: shape (outputs,); (1,) where predict gives one number.
    - MLPClassifier: probabilities of shape (classes,) in the order of `classes_`. Its one output unit u
      for two classes is read as softmax(0, u) = (1 - p, p). For several labels at once, one logistic
      probability each.

    The network is compared with predict or predict_proba on random inputs, in double precision. That
    holds also for weights fitted in float32, because scikit-learn computes in the precision of its input.

    Args:
        obj: a fitted estimator; it stays as it is.
        batched: no matter; scikit-learn always takes batches and the result takes one example.

    Raises:
        InputError: the estimator or a step of it is not among those accepted, or is not fitted.
        NumericalError: the network read disagrees with the estimator by more than 1e-12.
    """
    del batched
    network = Layered(_layers(obj), (_input_size(obj),))
    _self_check(obj, network)
    return network


def _layers(obj: Any) -> list[AbstractLayer]:
    """The layers of any accepted estimator."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import Pipeline

    if isinstance(obj, Pipeline):
        return _pipeline(obj)
    if isinstance(obj, TransformedTargetRegressor):
        _check_fitted(obj)
        return [*_layers(obj.regressor_), *_unscale(obj.transformer_)]
    if isinstance(obj, MLPClassifier):
        return _classifier(obj)
    if isinstance(obj, MLPRegressor):
        return _perceptron(obj)
    raise InputError(f"{type(obj).__name__} cannot be read", "it is not a multi-layer perceptron", ACCEPTED)


def _pipeline(obj: Any) -> list[AbstractLayer]:
    from sklearn.preprocessing import StandardScaler

    layers: list[AbstractLayer] = []
    for name, step in obj.steps[:-1]:
        if step is None or (isinstance(step, str) and step == "passthrough"):
            continue
        if not isinstance(step, StandardScaler):
            raise InputError(
                f"step {name!r} of the pipeline, a {type(step).__name__}, cannot be read",
                "only StandardScaler can stand before the network",
                ACCEPTED,
            )
        layers += _scale(step)
    return [*layers, *_layers(obj.steps[-1][1])]


def _scale(scaler: Any) -> list[AbstractLayer]:
    """y = (x - mean) / std."""
    _check_fitted(scaler)
    layers: list[AbstractLayer] = []
    if scaler.with_mean:
        layers.append(Affine(1.0, -np.asarray(scaler.mean_, np.float64)))
    if scaler.with_std:
        layers.append(Affine(1.0 / np.asarray(scaler.scale_, np.float64), 0.0))
    return layers


def _unscale(scaler: Any) -> list[AbstractLayer]:
    """y = std x + mean, the inverse for a scaled target."""
    from sklearn.preprocessing import StandardScaler

    if not isinstance(scaler, StandardScaler):
        raise InputError(
            f"the target transformer {type(scaler).__name__} cannot be read",
            "only StandardScaler can",
            ACCEPTED,
        )
    scale = np.asarray(scaler.scale_, np.float64) if scaler.with_std else 1.0
    shift = np.asarray(scaler.mean_, np.float64) if scaler.with_mean else 0.0
    return [Affine(scale, shift)]


def _perceptron(obj: Any) -> list[AbstractLayer]:
    _check_fitted(obj)
    weights = [np.asarray(weight).T for weight in obj.coefs_]
    return list(Layered.from_arrays(weights, obj.intercepts_, obj.activation, obj.out_activation_).layers)


def _classifier(obj: Any) -> list[AbstractLayer]:
    layers = _perceptron(obj)
    if obj.n_outputs_ != 1:
        return layers
    # logistic(u) = softmax(0, u)[1], so one unit becomes two, the first of them always zero
    unit: Any = layers[-2]
    weight = np.concatenate([np.zeros_like(unit.weight), unit.weight])
    bias = np.concatenate([np.zeros_like(unit.bias), unit.bias])
    return [*layers[:-2], Dense(weight, bias), Activation("softmax")]


def _check_fitted(obj: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(obj)
    except NotFittedError:
        raise InputError(
            f"{type(obj).__name__} is not fitted", "it has no weights yet", "call its fit method first"
        ) from None


def _input_size(obj: Any) -> int:
    return int(obj.n_features_in_)


def _self_check(obj: Any, network: Layered) -> None:
    """max |f(x) - predict(x)| <= 1e-12 (1 + |predict(x)|) on 16 random x."""
    x = _probes(obj, network)
    predict = getattr(obj, "predict_proba", None) or obj.predict
    with warnings.catch_warnings():
        # fitted on a data frame, it warns about feature names; nothing else of its warnings matters here
        warnings.simplefilter("ignore")
        expected = np.asarray(predict(x), np.float64)
    with double_precision():
        found = np.asarray(jax.vmap(network)(jnp.asarray(x)))
    expected = expected.reshape(found.shape) if expected.size == found.size else expected
    if expected.shape != found.shape:
        raise NumericalError(
            f"the network read from {type(obj).__name__} has outputs of shape {found.shape[1:]}",
            f"its prediction has {expected.shape[1:]}",
            "give the network as Layered.from_arrays",
        )
    error = float(np.max(np.abs(found - expected) / (1 + np.abs(expected))))
    if not error <= TOLERANCE:
        raise NumericalError(
            f"the network read from {type(obj).__name__} disagrees with it by {error:.1e}",
            "its predict method may be changed, or this version of scikit-learn computes otherwise",
            "give the network as Layered.from_arrays",
        )


def _probes(obj: Any, network: Layered) -> np.ndarray:
    """16 normal inputs, in the units of the first scaler where there is one."""
    x = np.random.default_rng(0).standard_normal((16, _input_size(obj)))
    scalers: list[Any] = list(takewhile(lambda layer: isinstance(layer, Affine), network.layers))
    for scaler in reversed(scalers):
        x = (x - np.asarray(scaler.shift)) / np.asarray(scaler.scale)
    return x
