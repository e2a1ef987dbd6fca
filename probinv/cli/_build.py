"""From a checked spec to the objects that it names. Everything here imports JAX."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from probinv._errors import InputError
from probinv.cli._kinds import SPELLED
from probinv.cli._network import open_network
from probinv.cli._part import Part
from probinv.cli._spec import Spec

if TYPE_CHECKING:
    from probinv.methods import AbstractMethod
    from probinv.posterior import Posterior


def build(spec: Spec) -> tuple["Posterior", "AbstractMethod | None"]:
    """The posterior and the method of a spec, and a check that the method has its view of the posterior.

    Raises:
        ProbinvError: a class refuses its arguments, or the parts do not fit together; names the table.
    """
    from probinv._invert import require_memory
    from probinv.posterior import Posterior

    network = open_network(spec.network)
    prior, target = build_prior(spec.prior), build_target(spec.target)
    method = None if spec.method is None else made(spec.method)
    with _named("target"):
        posterior = Posterior(prior, network, target)
    if method is not None:
        method.view.of(posterior)
        require_memory(posterior, method)
    return posterior, method


def build_prior(part: Part) -> Any:
    """The prior of a table."""
    from probinv.prior import Fixed, Named

    with _named(part.where):
        if part.inputs:
            prior: Any = Named({name: build_prior(one) for name, one in part.inputs.items()})
        else:
            prior = made(part)
        return Fixed(prior, part.fixed) if part.fixed else prior


def build_target(part: Part) -> Any:
    """The likelihood of a table."""
    from probinv.likelihood import On, Product

    with _named(part.where):
        wish = Product([build_target(one) for one in part.parts]) if part.parts else made(part)
        return wish if part.on is None else On(part.on, wish)


def made(part: Part) -> Any:
    """The object of a class with its arguments."""
    assert part.entry is not None
    module, _, dotted = part.entry.partition(":")
    make: Any = importlib.import_module(module)
    for name in dotted.split("."):
        make = getattr(make, name)
    words = {written: real for real, written in SPELLED.items()}
    with _named(part.where):
        return make(**{words.get(name, name): value for name, value in part.settings.items()})


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    """Adds the name of the table to what a class says of its arguments, once."""
    try:
        yield
    except InputError as error:
        if error.what.startswith(where):
            raise
        raise InputError(f"{where}: {error.what}", error.why, error.instead) from None
