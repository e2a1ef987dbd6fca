"""Sphinx: `make docs`, where a warning is an error."""

import re

import probinv

project = "probinv"
author = "the probinv authors"
copyright = "the probinv authors, Apache-2.0"
version = release = probinv.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
smartquotes_action = "D"
html_title = f"probinv {version}"
nitpicky = False

myst_enable_extensions = ["dollarmath", "deflist", "fieldlist"]
myst_heading_anchors = 3

highlight_language = "text"
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # a method that fills an abstract one is described there, once
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

CODE = re.compile(r"(``.+?``|`[^`]+`)")
MARKUP = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")


def plain_text(app, what, name, obj, options, lines):
    """Our docstrings are plain text with formulas, such as p(Y* | y), and not reStructuredText.

    Signs that reStructuredText would read are escaped, and an indented block after a text is shown as it is.
    """
    text = [escaped(line) for line in lines]
    out: list[str] = []
    section = False  # inside Args: and its kin indentation has a meaning that napoleon knows
    literal = False
    for before, raw, line in zip(["", *lines], lines, text, strict=False):
        indented = raw.startswith("    ")
        if raw and not indented:
            section, literal = raw.rstrip().endswith(":") and raw.strip(": ") in SECTIONS, False
        if indented and not section and not literal:
            out += ["", "::", ""] if not before.strip() or not before.startswith("    ") else []
            literal = True
        out.append(raw if literal else line)
        if literal and not raw.strip():
            literal = False
    lines[:] = out
    if what in ("attribute", "data", "property"):
        ATTRIBUTES[name] = out


def attributes_as_they_were(app, what, name, obj, options, lines):
    """Of an attribute napoleon takes what stands before a colon in the first line for its type."""
    lines[:] = ATTRIBUTES.pop(name, lines)


def fields_of_tuples(app, what, name, obj, skip, options):
    """Fields of named tuples are described in the class; by itself each is an "alias for field number 0"."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


ATTRIBUTES: dict[str, list[str]] = {}


SECTIONS = {"Args", "Arguments", "Returns", "Raises", "Yields", "Attributes", "Example", "Examples", "Note"}


def escaped(line: str) -> str:
    parts = CODE.split(line)
    return "".join(part if i % 2 else MARKUP.sub(r"\\\1", part) for i, part in enumerate(parts))


def setup(app):
    app.connect("autodoc-process-docstring", plain_text, priority=100)  # napoleon has 500
    app.connect("autodoc-skip-member", fields_of_tuples)
    app.connect("autodoc-process-docstring", attributes_as_they_were, priority=900)
