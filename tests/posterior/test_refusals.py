"""What cannot be had is refused with what, why and what instead, before anything is compiled."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from probinv import InputError, ViewError
from probinv.forward import Function, Layered
from probinv.likelihood import Argmax, Bernoulli, Exactly, Gaussian, Interval, Label, Product, Student
from probinv.posterior import Chain, Constraint, Density, Joint, Posterior, Residual, Tempered, simulate
from probinv.prior import Normal, Uniform
from tests.compiling import compilations
from tests.posterior.zoo import arrays, linear, posterior, tanh_network

NETWORK = tanh_network(3, 4, 2)
NORMAL = Normal(0.0, 1.0, 3)


def wishing(likelihood: Any) -> Posterior:
    return Posterior(NORMAL, NETWORK, likelihood)


@pytest.mark.parametrize("view", [Chain, Joint])
def test_views_that_cannot_be_had_are_refused(view: Any) -> None:
    """Joint is not there yet; Chain needs layers, and this is a function."""
    with pytest.raises(ViewError, match=view.__name__) as caught:
        view.of(posterior("linear"))
    _three_parts(caught.value)
    assert "NUTS" in caught.value.instead


@pytest.mark.parametrize(
    "likelihood",
    [
        Label(1),
        Student([0.1, 0.2], 0.1, 4.0),
        Bernoulli([0.5, 0.5]),
        Interval([0.0, 0.0], [1.0, 1.0], 0.1),
        Product([Gaussian([0.1, 0.2], 0.1), Label(1)]),
    ],
    ids=lambda wish: type(wish).__name__,
)
def test_residual_is_refused_where_there_is_none(likelihood: Any) -> None:
    case = wishing(likelihood)
    with pytest.raises(ViewError, match=type(likelihood).__name__) as caught:
        Residual.of(case)
    _three_parts(caught.value)
    assert isinstance(Density.of(case), Density)


@pytest.mark.parametrize("view", [Density, Tempered, Residual])
@pytest.mark.parametrize(("likelihood", "instead"), [(Exactly([0.1, 0.2]), "Gaussian"), (Argmax(1), "Label")])
def test_wishes_without_a_density_are_refused(view: Any, likelihood: Any, instead: str) -> None:
    case = wishing(likelihood)
    with compilations() as compiled, pytest.raises(ViewError, match="needs") as caught:
        view.of(case)
    _three_parts(caught.value)
    assert instead in caught.value.instead
    assert compiled == []


def _fails(x: Any) -> Any:
    raise RuntimeError("no such layer")


BAD: dict[str, tuple[Any, Any, Any, str]] = {
    "prior too small": (Normal(0.0, 1.0, 2), NETWORK, Gaussian([0.0, 0.0], 0.1), r"\(2,\).*\(3,\)"),
    "prior of a matrix": (Normal(0.0, 1.0, (3, 1)), NETWORK, Gaussian([0.0, 0.0], 0.1), r"\(3, 1\)"),
    "prior of other size, function": (
        Normal(0.0, 1.0, 2),
        Function(linear, arrays((2, 3))[0]),
        Gaussian([0.0, 0.0], 0.1),
        r"cannot take an input of shape \(2,\)",
    ),
    "target too long": (NORMAL, NETWORK, Gaussian([0.0, 0.0, 0.0], 0.1), r"y_star.*\(3,\).*\(2,\)"),
    "scalar target": (NORMAL, NETWORK, Gaussian(0.0, 0.1), r"y_star.*\(\).*\(2,\)"),
    "no such class": (NORMAL, NETWORK, Label(2), "k=2.*2 classes"),
    "bounds of other size": (NORMAL, NETWORK, Interval([0.0] * 3, 1.0, 0.1), r"low and high.*\(3,\)"),
    "part of a product": (
        NORMAL,
        NETWORK,
        Product([Gaussian([0.0, 0.0], 0.1), Gaussian([0.0], 0.1)]),
        r"y_star.*\(1,\).*\(2,\)",
    ),
    "network fails": (NORMAL, _fails, Gaussian([0.0, 0.0], 0.1), "no such layer"),
    "network returns integers": (NORMAL, lambda x: jnp.argmax(x), Gaussian(0.0, 0.1), "int"),
    "network returns two": (NORMAL, lambda x: (x, x), Gaussian([0.0, 0.0], 0.1), "one array"),
    "network of other rank": (
        NORMAL,
        lambda x: x @ jnp.ones((2, 2)),
        Gaussian([0.0, 0.0], 0.1),
        "cannot take",
    ),
    "not a likelihood": (NORMAL, NETWORK, [0.0, 0.0], "got list"),
    "not a prior": (3.0, NETWORK, Gaussian([0.0, 0.0], 0.1), "float is not a prior"),
    "not a network": (NORMAL, 3.0, Gaussian([0.0, 0.0], 0.1), "float is not a network"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_before_compiling(name: str) -> None:
    prior, network, likelihood, words = BAD[name]
    with compilations() as compiled, pytest.raises(InputError, match=words):
        Posterior(prior, network, likelihood)
    assert compiled == []


def test_what_fits_is_accepted() -> None:
    """The table above fails for the reasons it names, and not for all."""
    case = Posterior(NORMAL, Layered(NETWORK.layers, 3), Gaussian([0.0, np.nan], 0.1))
    assert case.output_shape == (2,)
    assert Posterior(Uniform(0.0, 1.0), jnp.sin, Gaussian(0.5, 0.1)).output_shape == ()


def test_a_wish_that_is_no_law_cannot_be_simulated(key: Any) -> None:
    with pytest.raises(ViewError, match="Interval cannot simulate"):
        simulate(wishing(Interval([0.0, 0.0], [1.0, 1.0], 0.1)), key, 3)


def test_a_constraint_is_refused_where_there_is_none() -> None:
    with pytest.raises(ViewError, match="Label is not an equation") as caught:
        Constraint.of(wishing(Label(1)))
    _three_parts(caught.value)
    more = Posterior(Normal(0.0, 1.0, 1), lambda x: jnp.stack([x[0], 2 * x[0]]), Exactly([0.1, 0.2]))
    with pytest.raises(ViewError, match="2 outputs are to be met exactly with 1") as caught:
        Constraint.of(more)
    _three_parts(caught.value)
    many = Posterior(Normal(0.0, 1.0, 600), lambda x: jnp.tanh(x), Gaussian(np.zeros(600), 0.1))
    with pytest.raises(ViewError, match="too many") as caught:
        Constraint.of(many)
    assert "NUTS" in caught.value.instead


def _three_parts(error: ViewError) -> None:
    assert error.what
    assert error.why
    assert error.instead
    assert str(error).count(". ") >= 2
