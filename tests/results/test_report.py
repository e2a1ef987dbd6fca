"""The report is one whole HTML page that needs nothing else and says what the tree says."""

import base64
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from probinv._errors import FileError, InputError
from probinv.results import diagnose, summary
from probinv.results.report import ROWS_MOST, report
from probinv.results.tree import provenance, with_provenance

from .plot_trees import draws_tree, modal_tree, optima_tree

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = "<script>alert('&\"$x')<!--"  # a tree takes no name with a slash


class Page(HTMLParser):
    """The elements, their attributes and the text of a page; fails on a tag that is not closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text("utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def images(self) -> dict[str, bytes]:
        found = {}
        for tag, attributes in self.tags:
            if tag == "img":
                kind, data = str(attributes["src"]).split(",")
                assert kind == "data:image/png;base64"
                found[str(attributes["alt"]).split(":")[0]] = base64.b64decode(data, validate=True)
        return found

    def rows(self) -> list[str]:
        """The first cells of all table rows."""
        return re.findall(r'<tr><th scope="row">(.*?)</th>', self.source)


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    made = draws_tree(10, draws=100)
    return with_provenance(made, verdict=diagnose(made).as_dict())


@pytest.fixture(scope="module")
def page(tree: xr.DataTree, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert report(tree, path) == path
    return Page(path)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time; the tests of the text do without."""
    monkeypatch.setattr("probinv.results.report.figures", lambda reading, shape: iter(()))


class TestPage:
    def test_is_one_page_in_utf8(self, page: Page) -> None:
        names = [tag for tag, _ in page.tags]
        assert page.source.startswith("<!DOCTYPE html>")
        assert [names.count(tag) for tag in ("html", "head", "body", "title", "h1", "main")] == [1] * 6
        assert ("meta", {"charset": "utf-8"}) in page.tags
        assert dict(page.tags)["html"] == {"lang": "en"}

    def test_needs_nothing_else(self, page: Page) -> None:
        assert "http" not in page.source
        assert "url(" not in page.source
        assert "@import" not in page.source
        assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
        for _, attributes in page.tags:
            assert not {"href", "srcset", "onload", "onclick"} & set(attributes)
            assert str(attributes.get("src", "data:")).startswith("data:")

    def test_pictures_are_whole_and_described(self, page: Page) -> None:
        images = page.images()
        assert list(images) == ["predictive", "forest", "pair", "convergence", "trace", "energy"]
        for image in images.values():
            assert image.startswith(b"\x89PNG")
            assert image.endswith(b"IEND\xaeB`\x82")
        alts = [str(attributes["alt"]) for tag, attributes in page.tags if tag == "img"]
        assert any("reach the wish" in alt for alt in alts)

    def test_says_the_question_and_the_verdict_with_its_advice(self, page: Page, tree: xr.DataTree) -> None:
        verdict = provenance(tree)["verdict"]
        assert f"Wish: {provenance(tree)['question']}." in page.text
        assert f"Verdict: {verdict['verdict']}" in page.text
        for reason in verdict["reasons"]:
            assert reason["what"] in page.text
            assert reason["advice"] in page.text

    def test_answers_in_words(self, page: Page, tree: xr.DataTree) -> None:
        x = tree["posterior"]["x"].values.reshape(-1, 10)
        low, middle, high = (f"{value:.3g}" for value in np.quantile(x[:, 2], [0.05, 0.5, 0.95]))
        assert "Of 400 draws from 4 chains" in page.text
        assert f"x[2] is {middle}, with 90 % between {low} and {high}" in page.text.replace("\u00a0", " ")

    def test_numbers_are_those_of_summary(self, page: Page, tree: xr.DataTree) -> None:
        frame = summary(tree)
        for name in frame.index:
            assert name in page.rows()
        row = frame.loc["x[3]"]
        cells = "".join(f"<td>{row[column]:.3g}</td>" for column in ("mean", "sd", "q5", "q50", "q95"))
        sizes = f"<td>{row['ess_bulk']:.0f}</td><td>{row['ess_tail']:.0f}</td><td>{row['rhat']:.3f}</td>"
        assert cells + sizes in page.source

    def test_shows_the_provenance(self, page: Page, tree: xr.DataTree) -> None:
        facts = provenance(tree)
        for word in (
            facts["network_hash"],
            facts["machine"],
            "jax 0.12.0",
            "draws 250, warmup 500, chains 4",
        ):
            assert word in page.text
        assert {name.replace("_", " ") for name in facts} - {"verdict"} <= set(page.rows())


class TestOtherTrees:
    def test_names_and_facts_are_escaped(self, tmp_path: Path) -> None:
        tree = draws_tree(2, names={HOSTILE: (), "b": ()}, draws=60)
        tree["posterior"][HOSTILE].values[:] += 5.0
        bad = {
            "verdict": HOSTILE,
            "reasons": [{"what": HOSTILE, "advice": HOSTILE, "code": "", "verdict": ""}],
        }
        with_provenance(tree, question=HOSTILE, prior=HOSTILE, notes={HOSTILE: [HOSTILE]}, verdict=bad)
        page = Page(report(tree, tmp_path / "r.html"))
        assert "script" not in {tag for tag, _ in page.tags}
        assert page.text.count(HOSTILE) >= 8
        assert any(HOSTILE in str(attributes.get("alt")) for _, attributes in page.tags)

    @pytest.mark.usefixtures("no_pictures")
    def test_the_verdict_of_the_tree_is_shown(self, tmp_path: Path) -> None:
        tree = draws_tree(1, draws=60)
        reason = {"code": "c", "verdict": "not converged", "what": "A reason.", "advice": "Do this."}
        with_provenance(tree, verdict={"verdict": "not converged", "reasons": [reason]})
        page = Page(report(tree, tmp_path / "r.html"))
        assert "Verdict: not converged" in page.text
        assert "These draws do not answer the question (not converged)" in page.text
        assert "A reason. Do this." in page.text

    @pytest.mark.usefixtures("no_pictures")
    def test_without_a_verdict_it_is_made(self, tmp_path: Path, tree: xr.DataTree) -> None:
        bare = tree.copy()
        bare.attrs.clear()
        page = Page(report(bare, tmp_path / "r.html"))
        assert f"Verdict: {diagnose(bare).verdict}" in page.text
        assert "not made by probinv" in page.text

    def test_optima(self, tmp_path: Path) -> None:
        tree = optima_tree(4)
        page = Page(report(tree, tmp_path / "r.html"))
        reached = int(tree["optima"]["reached"].values.sum())
        assert list(page.images()) == ["predictive", "pair", "optima"]
        assert f"6 points were found; {reached} of them reach the wish" in page.text
        best = ", ".join(f"x[{k}] = {value:.3g}" for k, value in enumerate(tree["optima"]["x"].values[0]))
        assert f"The best: {best}." in page.text
        assert f"<td>{tree['optima']['objective'].values[0]:.3g}</td>" in page.source
        assert page.rows()[:6] == list("012345")

    @pytest.mark.usefixtures("no_pictures")
    def test_of_many_inputs_the_told_and_the_worst_have_rows(self, tmp_path: Path) -> None:
        tree = draws_tree(64, draws=60)
        x = tree["posterior"]["x"].values
        x[..., 50] = 0.1 * x[..., 50] + 5.0
        x[1, :, 60] += 1.0
        page = Page(report(tree, tmp_path / "r.html"))
        rows = [row for row in page.rows() if row.startswith("x[")]
        assert len(rows) == len(set(rows)) == ROWS_MOST
        assert rows[0] == "x[50]"
        assert "x[60]" in rows[:21]
        assert "40 of 64 inputs" in page.text

    def test_a_shape_makes_images(self, tmp_path: Path) -> None:
        page = Page(report(draws_tree(9, draws=30), tmp_path / "r.html", shape=(3, 3)))
        assert "images" in page.images()

    @pytest.mark.usefixtures("no_pictures")
    def test_an_interrupted_run_with_one_short_chain(self, tmp_path: Path) -> None:
        tree = with_provenance(draws_tree(2, chains=1, draws=2), interrupted=True)
        page = Page(report(tree, tmp_path / "r.html"))
        assert "The run was stopped before its end" in page.text
        assert "2 draws from 1 chain" in page.text

    @pytest.mark.usefixtures("no_pictures")
    def test_fixed_and_lost_inputs(self, tmp_path: Path) -> None:
        tree = draws_tree(3, draws=60)
        for group in ("prior", "posterior"):
            tree[group]["x"].values[..., 1] = 2.0
        tree["posterior"]["x"].values[0, 0, 2] = np.nan
        page = Page(report(tree, tmp_path / "r.html"))
        assert "1 input is fixed" in page.text
        assert "Verdict: numerical failure" in page.text


class TestFiles:
    def test_pictures_are_closed(self, tmp_path: Path) -> None:
        own = plt.figure()
        report(optima_tree(1), tmp_path / "r.html")
        assert plt.get_fignums() == [own.number]

    @pytest.mark.usefixtures("no_pictures")
    def test_a_failure_leaves_the_old_page(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "r.html"
        path.write_text("old")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(FileError, match=r"r\.html cannot be written.*No space left"):
            report(optima_tree(1), path)
        assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
        assert path.read_text() == "old"

    @pytest.mark.usefixtures("no_pictures")
    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="cannot be written"):
            report(optima_tree(1), tmp_path / "no" / "r.html")

    def test_a_tree_without_draws_and_optima(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="neither posterior nor optima"):
            report(xr.DataTree(), tmp_path / "r.html")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("apart", "words"),
    [(False, "the heaviest with 70 % of the draws"), (True, "whose weights are not known")],
)
def test_separate_answers_are_named_and_drawn(tmp_path: Path, apart: bool, words: str) -> None:
    page = Page(report(modal_tree(2, apart=apart), tmp_path / "modes.html"))
    assert "modes" in page.images()
    assert f"The answers form 2 separate modes, {words}" in page.text.replace("\u00a0", " ")
