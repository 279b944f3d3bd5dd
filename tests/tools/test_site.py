"""The site's parts: formulas, drawings with controls, titles. (That its pages work is seen in tests/browser.)"""

import re

import nbformat
import pytest

from tools import build_site as site


def test_formulas_become_mathml_and_code_stays():
    text = site.mathml("Let $D_4$ act:\n\n$$g \\cdot x$$\n\nand `$HOME` and\n```\n$a$\n```\n")
    assert text.count("<math") == 2 and 'display="block"' in text
    assert "`$HOME`" in text and "```\n$a$\n```" in text
    assert "$D_4$" not in text


def test_every_formula_of_the_course_can_be_drawn():
    formulas = 0
    for path in sorted((site.NOTEBOOKS / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                text = site.mathml(cell.source)
                formulas += text.count("<math")
                plain = re.sub(r"<math.*?</math>|```.*?```|`[^`\n]+`", "", text, flags=re.DOTALL)
                assert "$" not in plain, f"{path.name}: a formula is left in {plain!r}"
                assert "\\" not in "".join(re.findall(r"<math.*?</math>", text, flags=re.DOTALL)), path.name
    assert formulas > 20


def test_a_notebook_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="no notebook begins with 77"):
        site.build(["77"], tmp_path)


def test_a_cell_that_guards_claims_is_closed_with_its_sentences_on_top():
    source = "# Holds: $x$ is one.\n# Holds: It is < 2.\nassert x == 1"
    folded = nbformat.v4.new_code_cell(source, metadata={"tags": ["fold"]})
    text = site.page(nbformat.v4.new_notebook(cells=[folded]), "09_x", "")
    assert "<details><summary>Checked: <math" in text and "It is &lt; 2.</summary>" in text
    assert "input_area" not in text
