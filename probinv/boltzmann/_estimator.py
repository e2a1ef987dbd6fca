"""What estimators share: settings by name, and what scikit-learn asks of them, without loading it."""

import inspect
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any, final

import numpy as np

from probinv._errors import InputError, ProbinvError
from probinv.boltzmann.training import as_rows


class UnfittedError(ProbinvError):
    """An estimator is asked before it is trained."""


@final
class NoLabelsError(ProbinvError, AttributeError):
    """An estimator that was trained without labels is asked for them."""


class AbstractEstimator:
    """Settings are the arguments of the constructor, kept unchanged under their names.

    What training finds ends with an underscore; `n_features_in_` is set when all of it is.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name."""
        return {name: getattr(self, name) for name in _settings(type(self))}

    def set_params(self, **params: Any) -> Any:
        """Changes settings by name.

        Raises:
            InputError: there is no setting of that name.
        """
        known = _settings(type(self))
        for name, value in params.items():
            if name not in known:
                raise InputError(
                    f"{name} is no setting", f"there are {', '.join(known)}", "check the spelling"
                )
            setattr(self, name, value)
        return self

    def place(self, label: Any) -> int:
        """Where a label stands among `classes_`; an error that names the labels if it does not."""
        self._require_fitted()
        classes = getattr(self, "classes_", None)
        if classes is None:
            name = type(self).__name__
            raise NoLabelsError(f"this {name} has no labels", "it was trained without them", "call fit(X, y)")
        return int(places_of(np.asarray([label]), classes)[0])

    def __repr__(self) -> str:
        default = _settings(type(self))
        changed = {
            name: value for name, value in self.get_params().items() if not _same(value, default[name])
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            classifier_tags=ClassifierTags() if hasattr(self, "predict_proba") else None,
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(sparse=True, three_d_array=True),
        )

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise _unfitted(
                f"this {type(self).__name__} is not fitted yet",
                "it has no weights",
                "call fit or partial_fit before",
            )

    def _input(self, X: Any) -> Any:
        """Rows in their own precision, float32 or else float64, with as many columns as were trained."""
        self._require_fitted()
        dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
        rows = as_rows("X", X, dtype=dtype)
        self._require_columns(rows)
        return rows

    def _require_columns(self, rows: Any) -> None:
        wanted: int = self.n_features_in_  # type: ignore[attr-defined]
        if rows.shape[1] != wanted:
            name = type(self).__name__
            raise InputError(
                f"X has {rows.shape[1]} features, but {name} is expecting {wanted} features as input",
                f"it was trained on {wanted} columns",
                "give the same columns",
            )


class with_labels:
    """A method that an estimator has only if it was trained with labels."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        if owner is None:
            return self.method
        if owner.__sklearn_is_fitted__() and not hasattr(owner, "classes_"):
            raise NoLabelsError(
                f"this {type(owner).__name__} has no {self.method.__name__}",
                "it was trained without labels",
                "train it with fit(X, y)",
            )
        return MethodType(self.method, owner)


def labels_of(y: Any, count: int) -> np.ndarray:
    """Labels of any dtype, one for each row.

    Raises:
        InputError: another number of labels, no labels but measurements, or NaN.
    """
    labels = np.asarray(y)
    if labels.shape not in {(count,), (count, 1)}:
        raise InputError(f"y has shape {labels.shape}", f"X has {count} rows", "give one label for each row")
    labels = labels.reshape(count)
    if labels.dtype.kind not in "biufUSO" or (
        labels.dtype.kind == "f" and not (labels == np.round(labels)).all()
    ):
        raise InputError(
            "y holds no labels",
            f"its dtype is {labels.dtype}, and some of its entries are no whole numbers",
            "give classes as numbers or texts, or ignore y with labels=False",
        )
    return labels


def classes_of(labels: np.ndarray) -> np.ndarray:
    """The different labels, sorted; an InputError if there are fewer than two."""
    try:
        classes = np.unique(labels)
    except TypeError as error:
        raise InputError("y holds labels of several kinds", str(error), "give all as texts") from None
    if len(classes) < 2:
        raise InputError(
            "y has less than 2 classes",
            f"it has {len(classes)} class: there is nothing to tell apart",
            "leave y out, or ignore it with labels=False",
        )
    return classes


def places_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Where each label stands among the classes; an InputError that names one that does not."""
    known = np.isin(labels, classes)
    if not known.all():
        raise InputError(
            f"the label {labels[~known].tolist()[0]!r} is unknown",
            f"the labels are {', '.join(map(str, classes[:12]))}{', ...' * (len(classes) > 12)}",
            "give all of them to the first training",
        )
    return np.searchsorted(classes, labels)


def _settings(kind: type) -> dict[str, Any]:
    """Names and defaults of the constructor's arguments."""
    arguments = list(inspect.signature(kind).parameters.values())
    return {argument.name: argument.default for argument in arguments}


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))


def _unfitted(*parts: str) -> ProbinvError:
    """Scikit-learn's NotFittedError too, where scikit-learn is loaded: only then can somebody wait for it."""
    exceptions = sys.modules.get("sklearn.exceptions")
    if exceptions is None:
        return UnfittedError(*parts)
    kind: Any = type("NotFittedError", (UnfittedError, exceptions.NotFittedError), {})
    return kind(*parts)
