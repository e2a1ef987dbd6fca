"""How far draws are from reference draws, and how many independent draws a run is worth."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from probinv._checks import as_array
from probinv._errors import InputError

UNITS_PER_DIMENSION = 10
ITERATIONS_MOST = 10_000


class Worth(NamedTuple):
    """What the draws of several chains are worth, judged by their worst quantity.

    Attributes:
        ess: the smallest bulk effective sample size of all quantities.
        rhat: the largest rank-normalised R-hat.
        quantity: which one has the smallest effective sample size.
    """

    ess: float
    rhat: float
    quantity: str


def worth(quantities: Mapping[str, np.ndarray]) -> Worth:
    """min over quantities of ESS, max of R-hat (Vehtari et al. 2021, arXiv 1903.08008).

    A quantity with an entry that does not move at all counts as ESS 0 and R-hat infinite: ArviZ would give
    the number of draws and NaN.

    Args:
        quantities: name -> (chain, draw, ...).

    Raises:
        InputError: there is no quantity.
    """
    if not quantities:
        raise InputError(
            "quantities is empty", "there is nothing to judge", "give at least one array of draws"
        )
    found = {name: _worth(np.asarray(value, float)) for name, value in quantities.items()}
    name = min(found, key=lambda name: found[name][0])
    return Worth(found[name][0], max(rhat for _, rhat in found.values()), name)


def _worth(draws: np.ndarray) -> tuple[float, float]:
    if not np.isfinite(draws).all() or (np.ptp(draws, axis=(0, 1)) == 0).any():
        return 0.0, float("inf")
    ess = float(np.min(array_stats.ess(draws, chain_axis=0, draw_axis=1)))
    return ess, float(np.max(array_stats.rhat(draws, chain_axis=0, draw_axis=1)))


def worth_of(tree: xr.DataTree) -> Worth:
    """`worth` of x, of the energy and of the log likelihood of a result of `invert`.

    The energy is left out where the method has none, the log likelihood where the wish has none.
    """
    stats = tree["sample_stats"]
    quantities = {str(name): value.values for name, value in tree["posterior"].data_vars.items()}
    if "energy" in stats:
        quantities["energy"] = stats["energy"].values
    if "log_likelihood" in tree.children:
        quantities["log likelihood"] = tree["log_likelihood"]["y_star"].values
    return worth(quantities)


def evenly(tree: xr.DataTree, count: int) -> np.ndarray:
    """`count` draws of x as rows, taken at equal distances from all chains in a line."""
    x = tree["posterior"]["x"].values
    rows = x.reshape(x.shape[0] * x.shape[1], -1)
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def c2st(
    reference: Any,
    draws: Any,
    *,
    seed: int = 1,
    folds: int = 5,
    jobs: int | None = None,
) -> float:
    r"""Accuracy of a classifier that tells draws from reference draws: 0.5 cannot, 1 always can.

    As `sbibm` defines it (Lopez-Paz & Oquab 2017, arXiv 1610.06545; Lueckmann et al. 2021, arXiv 2101.04653):
    both are shifted and scaled by mean and standard deviation of the reference; a perceptron with two
    layers of 10 n ReLU units is trained by Adam until its loss stands still; the mean accuracy of 5-fold
    cross-validation. For draws of the same law and 10,000 rows each it is 0.5 with a standard deviation of
    about 0.004. Repeated rows are found: draws of a chain should be nearly independent.

    Args:
        reference: draws of the right law, one a row.
        draws: those that are judged, as many as of the reference: the score of a classifier that knows
            nothing is the share of the larger set.
        seed: of the folds and of the classifier.
        folds: of the cross-validation.
        jobs: processes among which the folds are shared; None is this one.

    Raises:
        InputError: scikit-learn is not installed; the two differ in shape; something is not finite; a column
            of the reference is constant.
    """
    reference, draws = as_array("reference", reference), as_array("draws", draws)
    if reference.ndim != 2 or reference.shape != draws.shape:
        raise InputError(
            f"draws have shape {draws.shape}, reference draws {reference.shape}",
            "both need the same number of rows and of columns",
            "thin the longer one",
        )
    scale = reference.std(axis=0, ddof=1)
    if not (scale > 0).all():
        raise InputError("a column of the reference is constant", "it cannot be scaled", "leave it out")
    rows = np.concatenate([(part - reference.mean(axis=0)) / scale for part in (reference, draws)])
    labels = np.repeat([0.0, 1.0], len(reference))
    return _accuracy(rows.astype(np.float32), labels, seed, folds, jobs)


def _accuracy(rows: np.ndarray, labels: np.ndarray, seed: int, folds: int, jobs: int | None) -> float:
    try:
        from sklearn.model_selection import KFold, cross_val_score
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        raise InputError(
            "C2ST cannot be computed", "scikit-learn is not installed", "pip install 'probinv[sklearn]'"
        ) from None
    units = UNITS_PER_DIMENSION * rows.shape[1]
    classifier = MLPClassifier(
        hidden_layer_sizes=(units, units),
        activation="relu",
        solver="adam",
        max_iter=ITERATIONS_MOST,
        random_state=seed,
    )
    split = KFold(n_splits=folds, shuffle=True, random_state=seed)
    return float(np.mean(cross_val_score(classifier, rows, labels, cv=split, n_jobs=jobs)))
