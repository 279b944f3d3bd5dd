"""The site's parts: formulas, docstrings, cells that are closed, works that are cited. (Its pages: tests/browser.)"""

import importlib
import inspect
import re
from pathlib import Path

import nbformat
import pytest
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from tools import build_notebooks, build_site
from tools.website import execute, extension, stage

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
LIBRARY = sorted((ROOT / "eqssl_edu").rglob("*.py"))
BIBLIOGRAPHY = ROOT / "docs" / "references.bib"


def formulas(text):
    """Every formula of a page, as Markdown reads it."""
    tokens = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin).parse(text)
    inner = [token for outer in tokens for token in [outer, *(outer.children or [])]]
    return [token.content for token in inner if token.type.startswith("math")]


def test_every_formula_of_the_course_can_be_drawn():
    count = 0
    pages = [path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")]
    for path in SOURCES:
        cells = nbformat.reads(build_notebooks.build(path.read_text("utf-8"), True), as_version=4).cells
        pages += [cell.source for cell in cells if cell.cell_type == "markdown"]
    for formula in {formula for page in pages for formula in formulas(page)}:
        drawn = convert(formula)
        assert "\\" not in drawn, formula
        count += 1
    assert count > 300


def test_a_notebook_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="no notebook begins with 77"):
        build_site.build(["77"], tmp_path)


def test_a_cell_that_guards_claims_is_closed_with_its_sentences_on_top():
    source = "# Holds: $x$ is one.\n# Holds: It is < 2.\nassert x == 1"
    folded = nbformat.v4.new_code_cell(source, metadata={"tags": ["fold"]})
    [cell] = stage.shown(nbformat.v4.new_notebook(cells=[folded])).cells
    assert cell.cell_type == "markdown"
    assert "{dropdown} Checked: $x$ is one. It is < 2.\n" in cell.source
    assert "assert x == 1" in cell.source


DOCSTRING = """What |G| is, and `x_` too.

| kind | formula |
|---|---|
| one | $|G| < 2$, which goes
on |

$$ a_b $$

Code::

    a | b

>>> 1 | 2
3
"""


def test_docstrings_are_read_as_pages_are():
    lines = DOCSTRING.splitlines()
    extension.words_of_docstring(None, "class", "", object, None, lines)
    text = "\n".join(lines)
    assert r"What \|G\| is" in text
    assert "list-table::" in text and "- :math:`|G| < 2`, which goes on" in text
    assert ".. math:: a_b" in text
    assert "    a | b" in text and ">>> 1 | 2" in text


def test_what_torch_says_of_every_forward_is_not_said_again():
    lines = ["Define the computation performed at every call."]
    extension.words_of_docstring(None, "method", "", lambda x: x, None, lines)
    assert "".join(lines) == ""


def test_every_work_that_is_cited_is_in_the_bibliography():
    pages = [*SOURCES, *LIBRARY, *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(re.sub(r"\n\s*#", " ", path.read_text("utf-8")) for path in pages)
    cited = {f"arxiv-{number.replace('.', '-')}" for number in extension.ARXIV.findall(text)}
    listed = re.findall(r"^@\w+\{(arxiv-.+),$", BIBLIOGRAPHY.read_text("utf-8"), re.MULTILINE)
    assert len(cited) > 30 and sorted(cited) == sorted(listed)  # each once, or the site is not made


def names_in(column):
    """The names in one column of the glossary's tables, without those of other libraries."""
    rows = re.findall(r"^\| (.*) \|$", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    cells = [re.split(r"(?<!\\) \| ", row)[column] for row in rows if "---" not in row]
    return sorted({name for cell in cells for name in re.findall(r"`([a-z]\w*\.[\w.]+)`", cell)})


def found(package, name):
    """What stands under a dotted name: at last it may be an attribute that an object gets when it is made."""
    module, *parts = name.split(".")
    value = importlib.import_module(f"{package}.{module}")
    for part in parts:
        if not hasattr(value, part):
            return f"self.{part}" in inspect.getsource(value)
        value = getattr(value, part)
    return True


@pytest.mark.parametrize("name", [name for name in names_in(2) if not name.startswith("torch.")])
def test_the_glossarys_names_are_ours(name):
    assert found("eqssl_edu", name)


def test_the_glossarys_names_of_escnn_are_escnns():
    pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)
    names = names_in(3)
    assert len(names) > 10
    assert [name for name in names if not found("escnn", name)] == []


def test_a_name_that_is_not_there_would_be_seen():
    assert not found("eqssl_edu", "groups.FiniteGroup.rotten")


def test_a_figure_has_words():
    import plotly.graph_objects as go

    shown = go.Figure(go.Scatter(y=[1, 2]), layout={"title": {"text": "Loss <b>falls</b>"}})
    shown.update_xaxes(title="step")
    content = {"data": shown.to_plotly_json()["data"], "layout": shown.to_plotly_json()["layout"]}
    assert 'aria-label="Figure: Loss  falls ; step"' in execute.figure(content)
