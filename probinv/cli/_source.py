"""Registries and signatures, read from the source text and not by importing it.

Importing JAX takes seconds; a misspelt key of a spec file is to be refused at once. So the classes are looked
at with `ast`, and a test compares what is found with `inspect.signature` of every registered class.
"""

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

ROOT = Path(__file__).parent.parent

type Definition = ast.ClassDef | ast.FunctionDef


@final
@dataclass(frozen=True)
class Parameter:
    """One argument of a constructor.

    Attributes:
        owner: the class or function.
        name: of the argument.
        annotation: source text of its type.
        default: source text of its default; None if it must be given.
    """

    owner: str
    name: str
    annotation: str
    default: str | None


@final
@dataclass(frozen=True)
class Signature:
    """A class or function as its source declares it.

    Attributes:
        name: of the class or function.
        parameters: of the constructor, by name and in order.
        doc: first line of the docstring.
        about: what the docstring says of each argument.
        facts: source text of the class variables.
    """

    name: str
    parameters: dict[str, Parameter]
    doc: str
    about: dict[str, str]
    facts: dict[str, str]


@functools.cache
def signature(entry: str) -> Signature:
    """The signature of an entry: "probinv.prior:Uniform", "probinv.likelihood:Gaussian.from_residuals"."""
    package, _, dotted = entry.partition(":")
    name, _, method = dotted.partition(".")
    node = _find(package, name)
    if method:
        node = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == method)
    found = {item.name: item for item in _parameters(dotted, node)}
    doc = ast.get_docstring(node) or ""
    return Signature(dotted, found, doc.partition("\n")[0], _about(doc), _facts(node))


@functools.cache
def registry(package: str, name: str) -> dict[str, str]:
    """The entries of a registry written as a dictionary of classes, such as METHODS in probinv.methods."""
    value = _assigned(package, name)
    assert isinstance(value, ast.Dict)
    return {
        ast.literal_eval(key): f"{package}:{ast.unparse(item)}"
        for key, item in zip(value.keys, value.values, strict=True)
        if key is not None
    }


@functools.cache
def constant(module: str, name: str) -> Any:
    """The value of a literal at the top of a module."""
    return ast.literal_eval(_assigned(module, name))


def _assigned(module: str, name: str) -> ast.expr:
    for node in _tree(module).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if name in map(ast.unparse, targets):
                return node.value
    raise LookupError(f"{module} assigns no {name}")


@functools.cache
def _tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text("utf-8"))


def _find(module: str, name: str) -> Definition:
    """The definition of a name, followed through `from ... import`."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _find(str(node.module), name)
    raise LookupError(f"{module} defines no {name}")


def _parameters(owner: str, node: Definition) -> Iterator[Parameter]:
    if isinstance(node, ast.FunctionDef):
        return _arguments(owner, node)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _arguments(owner, item)
    return _fields(owner, node)


def _fields(owner: str, node: ast.ClassDef) -> Iterator[Parameter]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and not _is_class_variable(item):
            annotation = ast.unparse(item.annotation)
            yield Parameter(owner, ast.unparse(item.target), annotation, _field_default(item.value))


def _arguments(owner: str, node: ast.FunctionDef) -> Iterator[Parameter]:
    positional = [*node.args.posonlyargs, *node.args.args]
    absent: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults))
    for args, defaults in (
        (positional, [*absent, *node.args.defaults]),
        (node.args.kwonlyargs, node.args.kw_defaults),
    ):
        for arg, default in zip(args, defaults, strict=True):
            if arg.arg not in ("self", "cls"):
                yield Parameter(owner, arg.arg, _text(arg.annotation) or "Any", _text(default))


def _field_default(value: ast.expr | None) -> str | None:
    """The default of a field; that of `eqx.field(static=True, default=...)` is one of its keywords."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("eqx.field", "field"):
        return next((ast.unparse(word.value) for word in value.keywords if word.arg == "default"), None)
    return _text(value)


def _about(doc: str) -> dict[str, str]:
    """The entries of the section Args of a docstring."""
    section = doc.partition("\nArgs:\n")[2].partition("\n\n")[0]
    entries = re.split(r"^    (?=\w[\w, ]*: )", section, flags=re.MULTILINE)[1:]
    pairs = [" ".join(entry.split()).partition(": ") for entry in entries]
    return {name.strip(): about for names, _, about in pairs for name in names.split(",")}


def _facts(node: Definition) -> dict[str, str]:
    items = [item for item in node.body if isinstance(item, ast.AnnAssign) and _is_class_variable(item)]
    return {ast.unparse(item.target): ast.unparse(item.value) for item in items if item.value is not None}


def _is_class_variable(item: ast.AnnAssign) -> bool:
    return ast.unparse(item.annotation).startswith(("ClassVar", "typing.ClassVar"))


def _text(node: ast.expr | None) -> str | None:
    return None if node is None else ast.unparse(node)
