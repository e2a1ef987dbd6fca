"""scikit-learn estimators, read to 1e-12."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError, NumericalError
from probinv.forward import Activation, Layered, agreement, as_forward, fingerprint
from tests.forward.zoo import SKLEARN, sklearn

pytest.importorskip("sklearn")


def predict(estimator: Any, x: np.ndarray) -> np.ndarray:
    y = np.asarray((getattr(estimator, "predict_proba", None) or estimator.predict)(x))
    return y.reshape(len(x), -1)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", SKLEARN)
def test_the_network_is_the_prediction(kind: str) -> None:
    estimator, x = sklearn(kind)
    network = as_forward(estimator)
    assert isinstance(network, Layered)
    assert network.input_shape == (5,)
    np.testing.assert_allclose(
        jax.vmap(network)(jnp.asarray(x)), predict(estimator, x), rtol=1e-12, atol=1e-14
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["regressor", "three classes"])
def test_float32_weights_agree_as_well(kind: str) -> None:
    """scikit-learn computes in the precision of the input, so float64 inputs give float64 outputs."""
    estimator, x = sklearn(kind, np.float32)
    last = estimator if kind == "regressor" else estimator[-1]
    assert last.coefs_[0].dtype == np.float32
    network = as_forward(estimator)
    x64 = x.astype(np.float64)
    np.testing.assert_allclose(jax.vmap(network)(jnp.asarray(x64)), predict(estimator, x64), rtol=1e-12)


def test_gradients_agree(key: jax.Array) -> None:
    found = agreement(as_forward(sklearn("regressor")[0]), (5,), key, count=3)
    assert found.jit < 1e-14
    assert found.vmap < 1e-14
    assert found.gradient < 1e-8
    assert found.dtype == "float64"


@pytest.mark.usefixtures("x64")
def test_two_classes_are_two_probabilities() -> None:
    estimator, x = sklearn("two classes")
    network = as_forward(estimator)
    assert network.output_shape == (2,)
    assert network.layers[-1] == Activation("softmax")
    logits = np.asarray(jax.vmap(network.logits)(jnp.asarray(x)))
    np.testing.assert_array_equal(logits[:, 0], 0)
    p = estimator.predict_proba(x)
    np.testing.assert_allclose(logits[:, 1], np.log(p[:, 1] / p[:, 0]), rtol=1e-10)
    np.testing.assert_array_equal(logits[:, 1] > 0, estimator.predict(x))


def test_output_layers_are_those_of_the_loss() -> None:
    names = {kind: as_forward(sklearn(kind)[0]).layers[-1].name for kind in SKLEARN if kind != "target"}
    assert names == {
        "regressor": "identity",
        "one output": "identity",
        "poisson": "exp",
        "identity": "identity",
        "two classes": "softmax",
        "three classes": "softmax",
        "labels": "logistic",
        "no mean": "identity",
        "no std": "identity",
    }


def test_batched_is_no_matter() -> None:
    estimator, _ = sklearn("regressor")
    first, second = as_forward(estimator), as_forward(estimator, batched=True)
    assert fingerprint(first, (5,)) == fingerprint(second, (5,))


def test_the_estimator_can_be_fitted_again() -> None:
    """What was read does not change with it."""
    from sklearn.neural_network import MLPRegressor

    estimator = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", random_state=0)
    x = np.linspace(-1, 1, 10)[:, None]
    estimator.fit(x, 2 * x[:, 0])
    network = as_forward(estimator)
    before = fingerprint(network, (1,))
    estimator.coefs_[0][:] = 7
    assert fingerprint(network, (1,)) == before


def test_data_frames_do_not_warn() -> None:
    """Fitted with feature names, an estimator warns about arrays without them."""
    import copy

    fitted, x = sklearn("regressor")
    estimator = copy.deepcopy(fitted)
    estimator.feature_names_in_ = np.array(list("abcde"), dtype=object)
    with pytest.warns(UserWarning, match="feature names"):
        estimator.predict(x)
    assert as_forward(estimator).input_shape == (5,)


def unfitted(kind: str) -> Any:
    from sklearn.base import clone

    return clone(sklearn(kind)[0])


@pytest.mark.parametrize("kind", ["regressor", "one output", "three classes", "target", "no mean"])
def test_an_unfitted_estimator_is_named(kind: str) -> None:
    with pytest.raises(InputError, match=r"is not fitted.*call its fit method"):
        as_forward(unfitted(kind))


def test_others_are_refused_by_name() -> None:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    x = np.random.default_rng(0).standard_normal((20, 2))
    line = LinearRegression().fit(x, x[:, 0])
    with pytest.raises(InputError, match=r"LinearRegression cannot be read.*MLPRegressor"):
        as_forward(line)
    scaled = make_pipeline(StandardScaler(), LinearRegression()).fit(x, x[:, 0])
    with pytest.raises(InputError, match="LinearRegression cannot be read"):
        as_forward(scaled)
    ranged = make_pipeline(MinMaxScaler(), MLPRegressor(max_iter=1))
    with pytest.raises(InputError, match="step 'minmaxscaler' of the pipeline, a MinMaxScaler, cannot"):
        as_forward(ranged)
    settings: Any = {"hidden_layer_sizes": (2,), "max_iter": 200, "solver": "lbfgs", "random_state": 0}
    target = TransformedTargetRegressor(MLPRegressor(**settings), transformer=MinMaxScaler())
    with pytest.raises(InputError, match="target transformer MinMaxScaler cannot"):
        as_forward(target.fit(x, 3 * x[:, 0]))


def test_a_changed_prediction_is_noticed() -> None:
    """The load compares: a subclass may compute otherwise."""
    from sklearn.neural_network import MLPRegressor

    class Doubled(MLPRegressor):
        def predict(self, X: Any) -> Any:
            return 2 * MLPRegressor.predict(self, X)

    class Cut(MLPRegressor):
        def predict(self, X: Any) -> Any:
            return MLPRegressor.predict(self, X)[:, :1]

    fitted, _ = sklearn("regressor")
    for kind, message in ((Doubled, "disagrees with it by"), (Cut, r"outputs of shape \(2,\)")):
        other = kind()
        other.__dict__.update(fitted.__dict__)
        with pytest.raises(NumericalError, match=message):
            as_forward(other)
