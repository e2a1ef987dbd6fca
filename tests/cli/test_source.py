"""What is read from the source text is what the classes say themselves."""

import argparse
import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probinv.cli import _kinds, _source, invert
from probinv.cli._values import check_of
from probinv.cli.methods import table
from probinv.methods import METHODS
from tests.cli.specs import call

ENTRIES = sorted({**_kinds.PRIORS, **_kinds.TARGETS, **_kinds.methods()}.values())


def real(entry: str) -> Any:
    module, _, dotted = entry.partition(":")
    found: Any = importlib.import_module(module)
    for name in dotted.split("."):
        found = getattr(found, name)
    return found


def unwrapped(made: Any) -> inspect.Signature:
    """The signature as written, whatever jaxtyping's hook has wrapped around it."""
    if inspect.isclass(made) and "__init__" in vars(made):
        made = inspect.unwrap(vars(made)["__init__"])
    found = inspect.signature(made)
    return found.replace(parameters=[p for p in found.parameters.values() if p.name not in ("self", "cls")])


@pytest.mark.parametrize("entry", ENTRIES)
def test_names_and_defaults(entry: str) -> None:
    expected = unwrapped(real(entry)).parameters
    found = _source.signature(entry).parameters
    assert list(found) == list(expected)
    for name, parameter in found.items():
        if expected[name].default is inspect.Parameter.empty:
            assert parameter.default is None
        elif parameter.default is not None and "." not in parameter.default.strip("0123456789."):
            assert ast.literal_eval(parameter.default) == expected[name].default
        else:
            assert parameter.default == "math.pi / 2"


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_argument_has_a_check(entry: str) -> None:
    for parameter in _kinds.parameters(entry).values():
        assert callable(check_of(parameter))


def test_the_methods_are_those_of_the_registry() -> None:
    assert {name: real(entry) for name, entry in _kinds.methods().items()} == METHODS
    for name, entry in _kinds.methods().items():
        facts = _source.signature(entry).facts
        assert facts["view"] == METHODS[name].view.__name__
        assert facts["exact"] == str(METHODS[name].exact)


@pytest.mark.parametrize("entry", sorted(_kinds.methods().values()))
def test_every_setting_is_explained(entry: str) -> None:
    found = _source.signature(entry)
    assert set(found.about) == set(found.parameters)
    assert all(text.endswith(".") and "\n" not in text for text in found.about.values())


def test_the_table_of_methods(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("methods") == 0
    out = capsys.readouterr().out
    for name, method in METHODS.items():
        assert f"\n{name} " in out
        assert method.view.__name__ in out
        for field in inspect.signature(method).parameters:
            assert f"\n      {field} " in out
    assert max(map(len, table(80).splitlines())) <= 80


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A source tree of one method, in place of the real one."""
    caches = (_source.signature, _source.registry, _source.constant, _source._tree)
    package = tmp_path / "methods"
    package.mkdir()
    monkeypatch.setattr(_source, "ROOT", tmp_path)
    monkeypatch.setattr(_kinds, "PRIORS", {})
    monkeypatch.setattr(_kinds, "TARGETS", {})
    for cache in caches:
        cache.cache_clear()
    yield package
    for cache in caches:
        cache.cache_clear()


def test_a_new_method_is_one_file_and_one_line(house: Path) -> None:
    house.joinpath("__init__.py").write_text(
        "from probinv.methods.new import New\nMETHODS: dict[str, type] = {'new': New}\n"
    )
    house.joinpath("new.py").write_text(
        "class New(AbstractMethod):\n"
        '    """z = 0.\n\n    Args:\n        width: how wide.\n            And how high.\n'
        '        deep: not 50 %.\n    """\n\n'
        "    width: float\n    deep: int = eqx.field(static=True, default=3)\n"
        "    view: ClassVar[type] = Density\n    exact: ClassVar[bool] = False\n"
    )
    found = _source.signature(_kinds.methods()["new"])
    assert list(found.parameters.values()) == [
        _source.Parameter("New", "width", "float", None),
        _source.Parameter("New", "deep", "int", "3"),
    ]
    assert found.about == {"width": "how wide. And how high.", "deep": "not 50 %."}
    assert table().splitlines()[2:5] == [
        "new   New    Density  no: points",
        "    z = 0.",
        "      width  None  float",
    ]
    parser = argparse.ArgumentParser()
    invert.arguments(parser)
    help = " ".join(parser.format_help().split())
    assert "--width VALUE new: how wide. And how high (None)" in help
    assert "--deep VALUE new: not 50 % (3)" in help
