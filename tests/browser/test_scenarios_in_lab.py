"""The scenario of every explorer in the real JupyterLab: what a screen reader hears is what the kernel claims.

A cell takes each step, as a notebook does it; the claims themselves are those of the unit tests.
"""

import pytest
from explorers import EXPLORERS, SETUP

WALK = "steps = walk(explorer)"
STEP = "print(next(steps, 'the end'))"


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_scenario(open_notebook, name):
    shown = f"explorer = {EXPLORERS[name]}\nexplorer"
    setup = f"{SETUP}\nfrom eqssl_edu.widgets.shared.scenarios import walk"
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
