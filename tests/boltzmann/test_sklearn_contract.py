"""Scikit-learn's own checks of an estimator, and those that cannot hold, each with its reason."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator

from probinv.boltzmann.rbm import RBM

IMPOSSIBLE = {
    "check_do_not_raise_errors_in_init_or_set_params": "-1 for all settings: the tests check annotations",
    "check_dtype_object": "wants a TypeError for rows that are dictionaries: an InputError is a ValueError",
}


def checks() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is none of scikit-learn's own classes: probinv does not need it
        rbm = RBM(hidden=2, visible="gaussian", epochs=2, batch_size=10)
        return list(estimator_checks_generator(rbm, expected_failed_checks=IMPOSSIBLE, mark="xfail"))


CHECKS = checks()


def names() -> list[str]:
    found = [getattr(getattr(check, "func", check), "__name__", "xfail") for _, check, *_ in CHECKS]
    return [f"{name}-{number}" for number, name in enumerate(found)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=names())
def test_scikit_learn_agrees(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore:.*BaseEstimator")
def test_a_machine_of_bits_in_a_pipeline() -> None:
    """The checks above give rows outside [0, 1], which a Bernoulli machine refuses: here they are scaled."""
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b"], 40)
    rows = rng.normal(size=(80, 3)) + 3 * (y == "a")[:, None]
    rbm = RBM(hidden=3, epochs=3, batch_size=20, rate=0.5)
    assert clone(rbm).get_params() == rbm.get_params()
    pipeline = make_pipeline(MinMaxScaler(), rbm, DecisionTreeClassifier(random_state=0))
    search = GridSearchCV(pipeline, {"rbm__hidden": [2, 3]}, cv=2).fit(rows, y)
    assert search.best_score_ > 0.8
    best = search.best_estimator_
    assert list(best[:-1].get_feature_names_out())[:2] == ["rbm0", "rbm1"]
    assert set(best.named_steps["rbm"].classes_) == {"a", "b"}
