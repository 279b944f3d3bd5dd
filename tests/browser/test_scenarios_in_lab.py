"""The scenario of every explorer in the real JupyterLab: what a screen reader hears is what the kernel claims.

A cell takes each step; the claims themselves are those of the unit tests.
"""

from pathlib import Path

import pytest
from explorers import EXPLORERS, SETUP

TESTS = str(Path(__file__).parents[1])
WALK = "steps = walk(explorer)"
STEP = "print(next(steps, 'the end'))"


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_scenario(open_notebook, name):
    shown = f"explorer = {EXPLORERS[name]}\nexplorer"
    setup = f"{SETUP}\nimport sys\nsys.path.insert(0, {TESTS!r})\nfrom scenarios import walk"
    notebook = open_notebook([setup, shown, WALK, ""])
    notebook.run_all()
    root = notebook.output(1).locator(".eqssl[data-painted]")
    root.wait_for()
    spoken = root.locator("div.eqssl-spoken")
    sentences = []
    while True:
        notebook.run_last_cell(STEP)
        said = notebook.output(3).inner_text().strip()
        if said == "the end":
            break
        sentences.append(said)
        spoken.filter(has_text=said).wait_for(state="attached")
        assert root.get_by_role("alert").count() == 0
    assert len(set(sentences)) > 2
    notebook.assert_clean()
