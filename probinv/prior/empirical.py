"""A prior learned from a data set, by one word."""

from typing import Any, Literal

from probinv._errors import InputError
from probinv.prior.gaussian_fit import fit_gaussian
from probinv.prior.kernel_density import KernelDensity
from probinv.prior.multivariate_normal import MultivariateNormal


def Empirical(
    data: Any,
    kind: Literal["gaussian", "kde"] = "gaussian",
    *,
    shrinkage: float | None = None,
    bandwidth: Any = None,
) -> MultivariateNormal | KernelDensity:
    """p(x) = N(x; m, Sigma) of the data ("gaussian"), or the mean of one kernel at every example ("kde").

    Args:
        data: examples (rows, *x).
        kind: "gaussian" for `fit_gaussian`, "kde" for `KernelDensity`.
        shrinkage: of the correlations, in [0, 1]; None for Ledoit and Wolf's estimate, for either kind.
        bandwidth: of the "kde", in units of the data's standard deviations; None for Scott's rule.

    Raises:
        InputError: another kind, a bandwidth for "gaussian", or what the two raise.
    """
    if kind == "kde":
        return KernelDensity(data, bandwidth, shrinkage)
    if kind != "gaussian":
        raise InputError(f"kind is {kind!r}", "it names the fit", 'give "gaussian" or "kde"')
    if bandwidth is not None:
        raise InputError(
            "bandwidth is given for a Gaussian", "only a kernel density has one", 'give kind="kde"'
        )
    return fit_gaussian(data, shrinkage)
