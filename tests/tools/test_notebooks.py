"""The notebooks are what their sources say, and the builder does what its sources may ask of it."""

import ast
import re

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from tools import build_notebooks as build

STEMS = sorted(path.stem for path in (build.NOTEBOOKS / "source").glob("*.py"))
TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

SOURCE = """\
# %% [markdown]
# # A title

# %%
def orbit_size(group, stabilizer):
    # BEGIN SOLUTION
    # GAP: # one line
    # GAP: for _ in group:
    # GAP:     return None
    return len(group) // len(stabilizer)
    # END SOLUTION

# %% tags=["solution-only"]
assert orbit_size(range(8), range(2)) == 4

# %%
x = 1

# %%
x = 1
"""


def cells(text, solutions):
    """The cells of the notebook that this source gives."""
    return nbformat.reads(build.build(text, solutions), as_version=4).cells


def test_the_student_finds_the_gap_and_the_solution_the_answer():
    student, solution = cells(SOURCE, False)[2].source, cells(SOURCE, True)[1].source
    head = "def orbit_size(group, stabilizer):\n"
    assert student == head + "    # one line\n    for _ in group:\n        return None"
    assert solution == head + "    return len(group) // len(stabilizer)"


def test_a_gap_of_which_nothing_is_said_is_an_ellipsis():
    source = "if x:\n    # BEGIN SOLUTION\n    y = 1\n    # END SOLUTION\nz = 2"
    assert build.open_gaps(source) == "if x:\n    ...\nz = 2"


def test_cells_of_the_solution_alone_are_left_out_of_the_students_notebook():
    assert [cell.source for cell in cells(SOURCE, False)[3:]] == ["x = 1", "x = 1"]
    assert cells(SOURCE, True)[2].metadata.tags == [build.SOLUTION_ONLY]


@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        ("# END SOLUTION", "line 1 of the cell: `# END SOLUTION` stands outside a solution"),
        ("# BEGIN SOLUTION\nx = 1", "the cell ends before `# END SOLUTION`"),
        ("# BEGIN SOLUTION\n# BEGIN SOLUTION", "line 2 of the cell: `# BEGIN SOLUTION` stands inside"),
        ("x = 1\n# GAP: x = 0", "line 2 of the cell: `# GAP: x = 0` stands outside a solution"),
    ],
)
def test_marks_that_do_not_match_are_refused(source, trouble):
    for resolve in (build.open_gaps, build.fill):
        with pytest.raises(ValueError, match=f"^{re.escape(trouble)}"):
            resolve(source)


def test_trouble_names_the_source_and_the_cell(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "00_x.py").write_text("# %%\n# END SOLUTION\n")
    with pytest.raises(ValueError, match=r"^00_x\.py, cell 0: line 1"):
        build.build_all(tmp_path)


def test_the_same_source_gives_the_same_bytes_and_every_cell_its_own_identifier():
    assert build.build(SOURCE, True) == build.build(SOURCE, True)
    identifiers = [cell.id for cell in cells(SOURCE, True)]
    assert len(set(identifiers)) == len(identifiers)


def test_a_new_cell_changes_no_other_cells_identifier():
    longer = SOURCE + "\n# %%\ny = 2\n"
    assert [cell.id for cell in cells(longer, True)][:-1] == [cell.id for cell in cells(SOURCE, True)]


def test_drift_is_found_and_writing_mends_it(tmp_path):
    folder = tmp_path / "notebooks"
    (folder / "source").mkdir(parents=True)
    source = folder / "source" / "00_tour.py"
    source.write_text(SOURCE)
    names = ("notebooks/00_tour.ipynb", "notebooks/solutions/00_tour.ipynb")
    assert build.drift(folder) == [f"{name} has not been built" for name in names]
    assert len(build.write(folder)) == 2
    assert build.drift(folder) == [] and build.write(folder) == []
    source.write_text(SOURCE.replace("x = 1", "x = 2", 1))
    assert build.drift(folder)[0] == "notebooks/00_tour.ipynb differs from its source"
    source.unlink()
    (folder / "00_tour-Copy1.ipynb").write_text("a student's own")
    assert build.drift(folder) == [f"{name} has no source" for name in names]


def test_every_notebook_is_the_one_that_its_source_gives():
    assert build.drift() == [], (
        "`python3 course.py build` writes them again (and overwrites what was written into them)"
    )


def test_files_of_the_library_that_a_notebook_names_exist():
    dead = []
    for source in sorted((build.NOTEBOOKS / "source").glob("*.py")):
        named = re.findall(r"eqssl_edu/[\w/]*(?:\.\w+)?", source.read_text(encoding="utf-8"))
        dead += [f"{source.name}: {name}" for name in named if not (build.NOTEBOOKS.parent / name).exists()]
    assert dead == []


@pytest.mark.parametrize("name", [f"{part}{stem}.ipynb" for part in ("", "solutions/") for stem in STEMS])
def test_each_notebook_is_fit_to_be_opened(name):
    notebook = nbformat.read(build.NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"  # without it JupyterLab opens a dialog
    first = notebook.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# "), "no title"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        marks = (build.BEGIN, build.END, build.GAP)
        assert not any(mark in cell.source for mark in marks), "a mark of the source is left"
        if cell.cell_type == "code":
            assert not (cell.outputs or cell.execution_count)
            source = TransformerManager().transform_cell(cell.source)  # magics
            compile(source, f"cell {cell.id}", "exec", flags=TOP_LEVEL_AWAIT, dont_inherit=True)
        else:  # pictures have a text
            assert not re.search(r"!\[\s*\]\(", cell.source)
            assert all("alt=" in image for image in re.findall(r"<img[^>]*>", cell.source))
