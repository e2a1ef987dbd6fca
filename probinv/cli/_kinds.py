"""What a spec file can name: a line for each kind of prior and of target; methods have their own registry."""

from probinv.cli._source import Parameter, registry, signature

PRIORS = {
    "uniform": "probinv.prior:Uniform",
    "normal": "probinv.prior:Normal",
    "lognormal": "probinv.prior:LogNormal",
    "multivariate_normal": "probinv.prior:MultivariateNormal",
    "empirical": "probinv.prior:Empirical",
}

TARGETS = {
    "gaussian": "probinv.likelihood:Gaussian",
    "gaussian_from_residuals": "probinv.likelihood:Gaussian.from_residuals",
    "student": "probinv.likelihood:Student",
    "label": "probinv.likelihood:Label",
    "bernoulli": "probinv.likelihood:Bernoulli",
    "interval": "probinv.likelihood:Interval",
    "at_least": "probinv.likelihood:AtLeast",
    "at_most": "probinv.likelihood:AtMost",
    "exactly": "probinv.likelihood:Exactly",
    "argmax": "probinv.likelihood:Argmax",
    "ordering": "probinv.likelihood:Ordering",
    "linear_region": "probinv.likelihood:LinearRegion",
}

EITHER = {"Gaussian": ("scale", "covariance"), "MultivariateNormal": ("covariance", "cholesky")}
"""Classes that need exactly one of some arguments, which their signature cannot say."""

SPELLED = {"kind": "fit"}
"""Arguments that are written differently in a spec file, where `kind` names the class."""


def methods() -> dict[str, str]:
    """Name of every method -> its class."""
    return registry("probinv.methods", "METHODS")


def parameters(entry: str) -> dict[str, Parameter]:
    """The keys that a spec file may give for an entry of one of the registries."""
    found = signature(entry).parameters
    return {SPELLED.get(name, name): parameter for name, parameter in found.items()}
