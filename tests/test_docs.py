"""What README.md and docs/ show runs: the snippets of each page in order, in one namespace."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages that take more than about five seconds, nearly all of it for compiling.
SLOW = {
    "docs/choosing.md",
    "docs/extending.md",
    "docs/files.md",
    "docs/folklore.md",
    "docs/frameworks/keras.md",
    "docs/index.md",
    "docs/layers.md",
    "docs/machines.md",
    "docs/properties.md",
    "docs/theory/exact.md",
    "docs/theory/lifting.md",
    "docs/theory/machines.md",
    "docs/theory/methods.md",
    "docs/theory/posterior.md",
    "docs/theory/regions.md",
    "docs/theory/tempering.md",
}

FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)\n(?P<code>.*?)^ *(?P=fence)`* *$", re.M | re.S
)
# Other ways to show Python, which would be shown and not run.
DISGUISED = {
    *("py", "py3", "python3", "pycon", "ipython", "ipython3"),
    *("{code}", "{code-block}", "{code-cell}", "{sourcecode}", "{doctest}", "{testcode}"),
}
NO_RUN = re.compile(r"<!--\s*no-run\s*-->\s*\Z")


@dataclass(frozen=True)
class Snippet:
    """A piece of Python of a page, and the line of the page on which it begins."""

    line: int
    code: str


def snippets(text: str) -> list[Snippet]:
    """The Python of a page. Code that nothing would run is an error."""
    found = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        language = match["info"].strip().split(" ")[0]
        if language == "python":
            if NO_RUN.search(text[: match.start()]):
                raise ValueError(
                    f"line {line}: Python that is not run; only what is typed in a console may be marked so"
                )
            found.append(Snippet(line + 1, textwrap.dedent(match["code"])))
        elif language in DISGUISED:
            raise ValueError(f"line {line}: a block of {language!r} is not run; write ```python")
    return found


def run(page: Path) -> int:
    """Runs the page's snippets in one namespace; a failure names the line of the page."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = snippets(page.read_text("utf-8"))
    # Keras adds biases of a lower rank, also while a model is built
    with jax.numpy_rank_promotion("allow" if page.name == "keras.md" else "raise"):
        for snippet in found:
            exec(compile("\n" * (snippet.line - 1) + snippet.code, str(page), "exec"), namespace)
    return len(found)


def cases() -> list:
    names = {page.relative_to(ROOT).as_posix(): page for page in PAGES}
    assert names.keys() >= SLOW
    marks = {name: [pytest.mark.slow] if name in SLOW else [] for name in names}
    return [pytest.param(page, marks=marks[name], id=name) for name, page in names.items()]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, on itself
@pytest.mark.parametrize("page", cases())
def test_the_snippets_of_a_page_run(page: Path) -> None:
    assert page.is_file()
    assert run(page) == len(re.findall(r"^ *```python", page.read_text("utf-8"), re.M))


def write(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    return page


def test_snippets_share_a_namespace(tmp_path: Path) -> None:
    page = write(tmp_path, "a\n\n```python\nx = 2\n```\n\n- b\n\n  ```python\n  assert x == 2\n  ```\n")
    assert run(page) == 2


def test_a_failing_snippet_names_its_line(tmp_path: Path) -> None:
    page = write(tmp_path, "a\n\n```python\nx = 2\nassert x == 3\n```\n")
    with pytest.raises(AssertionError) as caught:
        run(page)
    assert caught.traceback[-1].lineno + 1 == 5


@pytest.mark.parametrize(
    "text",
    [
        "<!-- no-run -->\n```python\nx = 2\n```\n",
        "```py\nx = 2\n```\n",
        "```{code-block} python\nx = 2\n```\n",
        "~~~pycon\n>>> 2\n~~~\n",
    ],
)
def test_python_that_is_not_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not run"):
        snippets(text)


def test_console_blocks_are_left_alone() -> None:
    assert snippets("<!-- no-run -->\n```console\n$ probinv demo\n```\n\n```\nplain\n```\n") == []
