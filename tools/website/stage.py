"""The sources of Sphinx, written anew for each build: a mirror of the repository, with the notebooks as they ran.

A page stands where its file stands (docs/theory.md, notebooks/solutions/00_tour.ipynb), so the links between files are
the links between pages. A file that a page links to and that is no page comes along, to be downloaded.
"""

from __future__ import annotations

import ast
import pkgutil
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat

from tools import launch, pages

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")
NO_REFERENCE = {"lessons"}  # what serves one page alone
COURSE = """# The course

Each page is a notebook with its answers, run: the pictures turn by hand, the trainings show the curves that they drew.
At its top stand the notebook itself, to be downloaded, and the page with the gaps open.

{table}

The minutes are computed from the page, by the rule in [CONTRIBUTING.md](../CONTRIBUTING.md); the computing time is that
of all cells together, beside two other tests on two cores.

```{{toctree}}
:hidden:
:maxdepth: 1
{names}
```
"""
MODULE = """# {name}

```{{eval-rst}}
.. automodule:: {name}
   :members:
```
"""
REFERENCE = """# The library

What each module offers, from the docstrings in its source; their examples are run by the tests.

{table}

```{{toctree}}
:hidden:
{names}
```
"""
# What Sphinx wants to know of pages that are read elsewhere too: which pages stand below them, in this order.
BELOW = {
    "docs/index.md": "theory\nclaims\nglossary\nwords\nbibliography\n*",
    "docs/results/README.md": "*",
}
BIBLIOGRAPHY = "# Works that the course cites\n\n```{bibliography}\n:all:\n```\n"


def write(folder: Path, ran: Mapping[str, nbformat.NotebookNode], built: Mapping[Path, str]) -> None:
    """Write all sources into ``folder``, which is replaced.

    Arguments:
        folder: of the sources.
        ran: the solved notebooks with their outputs, by name; "index" is the front page.
        built: the notebooks as they lie in the repository, their texts by path: students' and solved ones.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in built.items():
        _put(folder / "files" / path.relative_to(ROOT), text)
    for name, notebook in ran.items():
        if name == "index":
            _put(folder / "index.ipynb", nbformat.writes(shown(notebook)))
            continue
        student = nbformat.reads(built[ROOT / f"notebooks/{name}.ipynb"], as_version=4)
        _put(
            folder / f"notebooks/{name}.ipynb",
            nbformat.writes(_with_ways(shown(student), name, solved=False)),
        )
        _put(
            folder / f"notebooks/solutions/{name}.ipynb",
            nbformat.writes(_with_ways(shown(notebook), name, solved=True)),
        )
    names = [name for name in ran if name != "index"]
    _put(folder / "notebooks/index.md", _course(names))
    _write_reference(folder / "reference")
    of_root = sorted({*ROOT.glob("*.md")} - {ROOT / "README.md"})  # its place has the front page
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "docs/references.bib", *of_root]:
        _put(folder / path.relative_to(ROOT), path.read_text("utf-8"))
    for name, tree in BELOW.items():
        if name == "docs/index.md":
            tree = "\n".join([tree, *(f"../{path.stem}" for path in of_root)])
        with (folder / name).open("a", encoding="utf-8") as page:
            page.write(f"\n```{{toctree}}\n:hidden:\n:glob:\n{tree}\n```\n")
    _put(folder / "docs/bibliography.md", BIBLIOGRAPHY)
    for path in sorted(folder.rglob("*.md")):
        text = path.read_text("utf-8")
        for target in LINK.findall(text):
            source = (ROOT / path.relative_to(folder).parent / target).resolve()
            copy = folder / source.relative_to(ROOT)
            if source == ROOT / "README.md":
                front = target.replace("README.md", "index.ipynb")
                path.write_text(text := text.replace(f"]({target})", f"]({front})"), "utf-8")
            elif source.is_file() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)


def shown(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook as a page shows it: what guards claims is closed, with the sentences on top; nothing is installed."""
    kept = [cell for cell in notebook.cells if pages.SETUP not in cell.metadata.get("tags", [])]
    notebook.cells = [_closed(cell) if pages.is_folded(cell) else cell for cell in kept]
    return notebook


def _closed(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    fence = "`````"
    text = (
        f"{fence}{{dropdown}} Checked: {' '.join(pages.held(cell))}\n```python\n{cell.source}\n```\n{fence}"
    )
    return nbformat.v4.new_markdown_cell(text)


def _with_ways(notebook: nbformat.NotebookNode, name: str, solved: bool) -> nbformat.NotebookNode:
    """Below the title: the page beside this one, the files, and launch buttons, which the student's has already."""
    up, other = (
        ("../../", f"[The same page with its gaps open](../{name}.ipynb)")
        if solved
        else ("../", f"[The same page with its answers, run](solutions/{name}.ipynb)")
    )
    files = (
        f"{{download}}`{words} <{up}files/notebooks/{place}{name}.ipynb>`"
        for words, place in (("Download the notebook", ""), ("with its answers", "solutions/"))
    )
    title, _, rest = notebook.cells[0].source.partition("\n")
    mark = "" if solved else ": yours to write"
    notebook.cells[0].source = f"{title}{mark}\n\n{{.course-ways}}\n{' · '.join([other, *files])}\n{rest}"
    if solved:
        notebook.cells[0].source += launch.row(name, launch.repository())
        tree = f"```{{toctree}}\n:hidden:\nWith its gaps open <../{name}>\n```"
        notebook.cells.append(nbformat.v4.new_markdown_cell(tree))
    else:
        notebook.metadata["nosearch"] = True
    return notebook


def _course(names: list[str]) -> str:
    """The page that lists the notebooks: README's table, its links leading to the pages."""
    readme = (ROOT / "README.md").read_text("utf-8")
    lines = [line for line in readme.splitlines() if line.startswith("|")]
    start = next(i for i, line in enumerate(lines) if line.startswith("| notebook |"))
    rows = [line for line in lines[start + 2 :] if (m := re.match(r"\| \[`(\w+)`\]", line)) and m[1] in names]
    table = "\n".join([*lines[start : start + 2], *rows]).replace("(notebooks/", "(solutions/")
    return COURSE.format(table=table, names="\n".join(f"solutions/{name}" for name in names))


def _write_reference(folder: Path) -> None:
    import eqssl_edu

    names = [m.name for m in pkgutil.iter_modules(eqssl_edu.__path__) if m.name not in NO_REFERENCE]
    rows = ["| module | what it is |", "|---|---|"]
    for name in names:
        _put(folder / f"{name}.md", MODULE.format(name=f"eqssl_edu.{name}"))
        summary = _first_line(name)
        rows.append(f"| [`eqssl_edu.{name}`]({name}.md) | {summary} |")
    _put(folder / "index.md", REFERENCE.format(table="\n".join(rows), names="\n".join(names)))


def _first_line(name: str) -> str:
    """Of a module's docstring, read without importing it."""
    place = ROOT / "eqssl_edu" / name
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (
        (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
        .split("\n\n")[0]
        .replace("\n", " ")
        .replace("|", "\\|")
    )


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
