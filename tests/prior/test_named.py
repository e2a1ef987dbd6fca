"""Independent inputs with names."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from probinv._errors import InputError
from probinv.prior import Fixed, FromNumPyro, Named, Normal, Uniform

PARTS = {"zeta": Uniform(1.0, 2.0), "image": Normal(shape=(2, 2)), "alpha": Normal(10.0)}


def test_the_order_given_is_kept_through_jax(x64: None) -> None:
    """JAX sorts the keys of dictionaries; the inputs of the network must not be sorted."""
    prior = jax.tree.map(lambda leaf: leaf, Named(PARTS))
    assert prior.names == ("zeta", "image", "alpha")
    x = jax.jit(lambda prior, z: prior.transform(z))(prior, jnp.zeros(6))
    np.testing.assert_allclose(x, [1.5, 0, 0, 0, 0, 10.0], atol=1e-15)


def test_split_gives_each_its_shape(x64: None) -> None:
    pieces = Named(PARTS).split(jnp.arange(6.0))
    assert {name: piece.shape for name, piece in pieces.items()} == {"zeta": (), "image": (2, 2), "alpha": ()}
    np.testing.assert_array_equal(pieces["image"], [[1, 2], [3, 4]])


def test_it_is_standard_if_all_parts_are() -> None:
    assert Named(PARTS).standard
    assert not Named(PARTS | {"rate": dist.Gamma(1.0, 1.0)}).standard


def test_parts_are_made_priors() -> None:
    prior = Named({"rate": dist.Gamma(1.0, 1.0), "shift": dist.Normal(0.0, 1.0)})
    assert isinstance(prior.parts[0], FromNumPyro)
    assert isinstance(prior.parts[1], Normal)


def test_parts_are_drawn_independently(key: jax.Array, x64: None) -> None:
    """Two parts of one law: a reused key would give them equal draws."""
    prior = Named({"a": Normal(), "b": Normal()})
    draws = np.asarray(jax.vmap(prior.sample)(jax.random.split(key, 400)))
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.25  # five standard deviations: false alarm 6e-7


REFUSED = {
    "empty": ({}, "no input is named"),
    "list": ([Normal()], "no input is named"),
    "not_identifier": ({"layer 1": Normal()}, "'layer 1' cannot be used"),
    "digit": ({"1a": Normal()}, "'1a' cannot be used"),
    "blank": ({"": Normal()}, "'' cannot be used"),
    "number": ({1: Normal()}, "1 cannot be used"),
    **{name: ({name: Normal()}, f"'{name}' is reserved") for name in ("x", "y", "z", "chain", "draw")},
    "nested": ({"a": {"b": Normal()}}, "a is itself a set of named inputs"),
    "nested_fixed": ({"a": Fixed({"b": Normal(), "c": Normal()}, {"b": 1.0})}, "a is itself a set"),
    "no_prior": ({"a": 3.0}, "a float is not a prior"),
}


@pytest.mark.parametrize(("parts", "message"), REFUSED.values(), ids=REFUSED)
def test_names_that_cannot_be_used_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Named(parts)
    assert caught.value.why
    assert caught.value.instead
