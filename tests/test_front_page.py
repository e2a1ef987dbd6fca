"""`import probinv` shows every public name, and loads it when it is asked for."""

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

import probinv

STUB = Path(probinv.__file__).with_suffix(".pyi")


@pytest.mark.parametrize("name", sorted(probinv.__all__))
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    assert (getattr(probinv, name).__doc__ or "").strip(" .\n")


def test_the_page_lists_what_the_stub_lists() -> None:
    stub = ast.parse(STUB.read_text("utf-8"))
    named = [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(named) == sorted(probinv.__all__)
    assert set(named) <= set(dir(probinv))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = probinv.no_such_name


def test_the_version_is_that_of_the_package() -> None:
    assert version("probinv") == probinv.__version__
