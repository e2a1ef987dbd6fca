"""Rows from whatever a user has, and batches in a new order in every epoch."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from probinv import InputError
from probinv.boltzmann.training import as_rows
from probinv.boltzmann.training._rows import Batches, dense

ROWS = np.arange(22, dtype=np.float64).reshape(11, 2)

GOOD: dict[str, Any] = {
    "list": ROWS.tolist(),
    "integers": ROWS.astype(np.uint8),
    "objects": ROWS.astype(object),
    "fortran": np.asfortranarray(ROWS),
    "strided": np.repeat(ROWS, 2, axis=0)[::2],
    "images": ROWS.reshape(11, 1, 2, 1),
    "read only": np.broadcast_to(ROWS, ROWS.shape),
    "sparse": sp.coo_array(ROWS),
    "sparse integers": sp.csc_matrix(ROWS.astype(np.int8)),
}


@pytest.mark.parametrize("kind", GOOD)
def test_rows_of_any_kind(kind: str) -> None:
    rows = as_rows("X", GOOD[kind])
    assert rows.dtype == np.float32
    assert np.array_equal(dense(rows), ROWS)
    assert kind.startswith("sparse") == hasattr(rows, "tocsr")


def test_rows_are_not_copied_without_need() -> None:
    given = ROWS.astype(np.float32)
    assert np.shares_memory(as_rows("X", given), given)


BAD: dict[str, tuple[Any, str]] = {
    "NaN": ([[0.0, np.nan]], "NaN"),
    "infinite": ([[0.0, np.inf]], "NaN or infinity"),
    "too large for single precision": ([[0.0, 1e300]], "NaN or infinity"),
    "NaN in sparse": (sp.csr_array([[0.0, np.nan]]), "NaN"),
    "complex": ([[1j, 0.0]], "Complex data not supported"),
    "complex sparse": (sp.csr_array([[1j, 0.0]]), "omplex"),
    "text": ([["a", "b"]], "not an array of real numbers"),
    "ragged": ([[1.0], [1.0, 2.0]], "not an array of real numbers"),
    "one row": ([1.0, 2.0], "Reshape your data"),
    "a number": (3.0, "Reshape your data"),
    "no columns": (np.zeros((3, 0)), "0 feature"),
    "no rows": (np.zeros((0, 3)), "0 sample"),
}


@pytest.mark.parametrize("what", BAD)
def test_rows_that_cannot_be(what: str) -> None:
    value, message = BAD[what]
    with pytest.raises(InputError, match=message):
        as_rows("X", value)


def test_too_few_rows() -> None:
    with pytest.raises(InputError, match=r"X has 1 row\. At least 2 are needed"):
        as_rows("X", ROWS[:1], least=2)


@pytest.mark.parametrize(
    "rows", [ROWS.astype(np.float32), sp.csr_array(ROWS.astype(np.float32))], ids=["d", "s"]
)
def test_an_epoch_shows_every_row_once(rows: Any) -> None:
    batches = Batches(rows, 3, seed=5)
    assert batches.per_epoch == 3
    epochs = [batches(3 * epoch, 3) for epoch in range(3)]
    for epoch in epochs:
        assert epoch.shape == (3, 3, 2)
        shown = epoch.reshape(-1, 2)
        assert len(np.unique(shown, axis=0)) == 9
        assert {tuple(row) for row in shown} <= {tuple(row) for row in ROWS}
    assert not np.array_equal(epochs[0], epochs[1])
    left_out = [{tuple(row) for row in ROWS} - {tuple(row) for row in e.reshape(-1, 2)} for e in epochs]
    assert left_out[0] != left_out[1] or left_out[1] != left_out[2]


def test_batches_do_not_depend_on_how_they_are_asked_for() -> None:
    rows = ROWS.astype(np.float32)
    batches = Batches(rows, 2, seed=1)
    whole = batches(5, 5)
    again = Batches(rows, 2, seed=1)
    assert np.array_equal(np.concatenate([again(7, 1), again(5, 2), again(8, 2)])[[1, 2, 0, 3, 4]], whole)
    assert not np.array_equal(Batches(rows, 2, seed=2)(5, 5), whole)


def test_a_batch_is_no_larger_than_the_data() -> None:
    batches = Batches(ROWS.astype(np.float32), 100, seed=0)
    assert (batches.size, batches.per_epoch) == (11, 1)
    assert np.array_equal(np.sort(batches(0, 1)[0], axis=0), ROWS)
