"""The tests' own instruments work: types are checked, ranks are not promoted, keys come from names."""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from probinv.prior._base import log_standard_normal


def test_a_wrong_shape_or_dtype_is_caught() -> None:
    assert np.isclose(log_standard_normal(jnp.zeros(2)), -np.log(2 * np.pi))
    for wrong in (jnp.zeros((2, 2)), jnp.zeros(2, int), 1.0):
        with pytest.raises(TypeCheckError, match="log_standard_normal"):
            log_standard_normal(wrong)  # type: ignore[arg-type]


def test_ranks_are_not_promoted() -> None:
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.zeros((2, 3)) + jnp.zeros(3)


def test_a_key_is_typed_and_comes_from_the_name(key: jax.Array) -> None:
    assert jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    # the first four bytes of the SHA-256 of the name
    assert jax.random.key_data(key).tolist() == [0, 0x2D464953]


@pytest.mark.usefixtures("x64")
def test_x64_is_double_inside() -> None:
    assert jnp.zeros(1).dtype == np.float64


def test_x64_is_single_outside() -> None:
    assert jnp.zeros(1).dtype == np.float32


def test_a_warning_is_an_error() -> None:
    with pytest.raises(UserWarning, match="once"):
        warnings.warn("once", stacklevel=1)


def test_a_test_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert Path.cwd() == tmp_path
