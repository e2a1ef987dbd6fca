"""A normal prior fitted to a data set."""

from typing import Any

from probinv.prior._covariance import as_rows, mean_and_factor
from probinv.prior.multivariate_normal import MultivariateNormal


def fit_gaussian(data: Any, shrinkage: float | None = None) -> MultivariateNormal:
    """N(x; m, Sigma) with m the mean of the rows and Sigma = D ((1 - rho) R + rho I) D.

    D holds the standard deviations of the columns and R their correlations. Shrinking the correlations
    and not the covariance leaves every variance as it is, so columns may have different units. With the
    default rho Sigma is positive definite also with fewer rows than columns. A constant column gets 1e-2
    of the median standard deviation of the others.

    Source of the default rho: Ledoit and Wolf (2004), J. Multivariate Analysis 88, 365-411, applied to
    the standardised columns.

    Args:
        data: examples (rows, *x); rows of shape (8, 8) give an x of shape (8, 8).
        shrinkage: rho in [0, 1]; None for Ledoit and Wolf's estimate.

    Raises:
        InputError: NaN, one row, no variation, or rho = 0 where R is singular.
    """
    rows = as_rows(data)
    mean, factor = mean_and_factor(rows.reshape(len(rows), -1), shrinkage)
    return MultivariateNormal(mean, cholesky=factor, shape=rows.shape[1:])
