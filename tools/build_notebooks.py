"""Build the notebooks: source/NN_name.py -> NN_name.ipynb (gaps open), solutions/NN_name.ipynb (gaps filled).

A source is a jupytext py:percent script. Only sources are edited. In a code cell, what a student has to write
stands between two marks, and what the student finds there instead follows `# GAP:` (nothing said: `...`)::

    def orbit_size(group, stabilizer):
        # BEGIN SOLUTION
        # GAP: # |orbit| from |group| and |stabilizer|: one line
        # GAP: return None
        return group.order // len(stabilizer)
        # END SOLUTION

A cell of any type with the tag `solution-only` is left out of the student's notebook. A code cell with the tag
`fold` guards claims: its code is hidden until somebody asks for it, below its first line,
`# Holds: <a sentence of the text>`. `{minutes}` in the first cell gives way to the time that the notebook takes.
Below its title a student's notebook has one more cell, folded, which installs the library where that is missing; and
launch buttons, where the repository has an address (tools/launch.py).
Both notebooks have to run from top to bottom, so a gap leaves code that runs. The same source gives the same
bytes: outputs and versions are not stored, and the identifier of a cell is made from its text.

    python tools/build_notebooks.py           write the notebooks
    python tools/build_notebooks.py --check   write nothing; list what differs from its source, and exit with 1
    python tools/build_notebooks.py --repository https://github.com/OWNER/NAME   note the address, then write
"""

import argparse
import functools
import hashlib
import re
import sys
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
sys.path.insert(0, str(NOTEBOOKS.parent))  # the course's own folder, wherever this is called from

from tools import launch, pages  # noqa: E402

BEGIN, END, GAP = "# BEGIN SOLUTION", "# END SOLUTION", "# GAP:"
SOLUTION_ONLY, MINUTES = "solution-only", "{minutes}"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def fill(source: str) -> str:
    """The solution's version of a code cell: the marks and the `# GAP:` lines are gone, the answer stays."""
    return _resolve(source, keep_answer=True)


def open_gaps(source: str) -> str:
    """The student's version of a code cell: each answer gives way to its `# GAP:` lines, or to `...`."""
    return _resolve(source, keep_answer=False)


def _resolve(source: str, keep_answer: bool) -> str:
    """Read the marks line by line; ValueError with the line where they do not match."""
    lines, indent = [], ""
    gap = None  # what the student gets for the block that is being read; None outside of one
    for number, line in enumerate(source.splitlines(), start=1):
        text = line.strip()
        if text == BEGIN and gap is None:
            gap, indent = [], line[: len(line) - len(line.lstrip())]
        elif text == END and gap is not None:
            lines += [] if keep_answer else gap or [f"{indent}..."]
            gap = None
        elif text.startswith(GAP) and gap is not None:
            gap.append((indent + text.removeprefix(GAP).removeprefix(" ")).rstrip())
        elif text in (BEGIN, END) or text.startswith(GAP):
            where = "outside" if gap is None else "inside"
            raise ValueError(f"line {number} of the cell: `{text}` stands {where} a solution")
        elif gap is None or keep_answer:
            lines.append(line)
    if gap is not None:
        raise ValueError(f"the cell ends before `{END}`")
    return "\n".join(lines)


def build(text: str, solutions: bool, stem: str = "", url: str = "") -> str:
    """The notebook's file content for one py:percent script, as the student gets it or with `solutions`.

    stem is its name, and url the repository's address, for the student's launch buttons.
    """
    if MINUTES in text:
        text = text.replace(MINUTES, str(round(pages.minutes(page(text)))))
    counts: dict[str, int] = {}
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    cells = jupytext.reads(text, fmt="py:percent").cells
    if not solutions:
        cells[0].source += launch.row(stem, url)
        setup = {"tags": [pages.SETUP]}
        cells.insert(1, nbformat.v4.new_code_cell(launch.setup_cell(text, url), metadata=setup))
    for index, cell in enumerate(cells):
        tags = cell.metadata.get("tags", [])
        if SOLUTION_ONLY in tags and not solutions:
            continue
        source = cell.source
        if cell.cell_type == "code":
            try:
                source = fill(source) if solutions else open_gaps(source)
            except ValueError as error:
                raise ValueError(f"cell {index}: {error}") from None
        digest = hashlib.sha256(f"{cell.cell_type}\n{source}".encode()).hexdigest()[:12]
        counts[digest] = counts.get(digest, 0) + 1  # the same text twice: the second gets "-2"
        identifier = digest if counts[digest] == 1 else f"{digest}-{counts[digest]}"
        new_cell = {
            "code": nbformat.v4.new_code_cell,
            "markdown": nbformat.v4.new_markdown_cell,
            "raw": nbformat.v4.new_raw_cell,
        }[cell.cell_type]
        metadata = {"tags": tags} if tags else {}
        if pages.FOLDED in tags or pages.SETUP in tags:
            metadata["jupyter"] = {"source_hidden": True}
        if pages.SETUP in tags:
            metadata["cellView"] = "form"  # Colab's word for folded
        notebook.cells.append(new_cell(source, id=identifier, metadata=metadata))
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


@functools.cache
def page(text: str) -> list[nbformat.NotebookNode]:
    """The cells of the student's notebook, for whoever measures them."""
    return nbformat.reads(build(text.replace(MINUTES, "0"), solutions=False), as_version=4).cells


def build_all(folder: Path = NOTEBOOKS) -> dict[Path, str]:
    """Every notebook that the sources of `folder` give, and what is told of them elsewhere: path -> file content."""
    files: dict[Path, str] = {}
    root = folder.parent
    url = launch.repository()
    cells: dict[str, list[nbformat.NotebookNode]] = {}
    for script in sorted((folder / "source").glob("*.py")):
        text = script.read_text(encoding="utf-8")
        try:
            files[folder / f"{script.stem}.ipynb"] = build(text, False, script.stem, url)
            files[folder / "solutions" / f"{script.stem}.ipynb"] = build(text, solutions=True)
            if MINUTES in text:
                cells[script.stem] = page(text)
        except ValueError as error:
            raise ValueError(f"{script.name}, {error}") from None
    if cells:
        files[root / "docs" / "claims.md"] = pages.claims_page(cells)
    taken = {stem: pages.minutes(page) for stem, page in cells.items()}
    for path in (root / "README.md", root / "CONTRIBUTING.md"):
        if taken and path.exists():
            files[path] = pages.with_minutes(path.read_text(encoding="utf-8"), taken)
    if (root / "README.md").exists():
        files[root / "docs" / "package.md"] = launch.index_page(files[root / "README.md"], url)
    return files


def drift(folder: Path = NOTEBOOKS) -> list[str]:
    """One sentence for each notebook that is missing, differs from its source, or has none."""
    files = build_all(folder)
    problems = []
    for path, content in files.items():
        name = path.relative_to(folder.parent).as_posix()
        if not path.exists():
            problems.append(f"{name} has not been built")
        elif path.read_text(encoding="utf-8") != content:
            problems.append(f"{name} differs from its source")
    # A student's own copies ("00_tour-Copy1.ipynb", "notes.ipynb") are none of our business.
    course = re.compile(r"[\dA-Z]\d[a-z]?_\w+\.ipynb")
    found = [*folder.glob("*.ipynb"), *(folder / "solutions").glob("*.ipynb")]
    problems += [
        f"{path.relative_to(folder.parent).as_posix()} has no source"
        for path in sorted(found)
        if path not in files and course.fullmatch(path.name)
    ]
    return problems


def write(folder: Path = NOTEBOOKS) -> list[Path]:
    """Write every file whose content changed; returns their paths."""
    changed = []
    for path, content in build_all(folder).items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed


def main() -> int:
    """Command line: build, or only check."""
    parser = argparse.ArgumentParser(description="Build the notebooks from notebooks/source.")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing, exit with 1 if a notebook differs from its source",
    )
    parser.add_argument(
        "--repository",
        metavar="URL",
        help='the address of the repository, written into pyproject.toml first; "" for none',
    )
    options = parser.parse_args()
    if options.repository is not None:
        try:
            launch.name_repository(options.repository)
        except ValueError as error:
            parser.error(str(error))
    if options.check:
        problems = drift()
        print("\n".join(problems) or "every notebook agrees with its source")
        return 1 if problems else 0
    changed = write()
    print(
        "\n".join(f"wrote {path.relative_to(NOTEBOOKS.parent).as_posix()}" for path in changed)
        or "nothing to do"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
