"""Names, roles and contrast of every explorer in JupyterLab, in both themes, at 800 and at 1600 px."""

import pytest
from accessibility import assert_accessible
from explorers import EXPLORERS, SETUP

TRAINING = """
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
model = PretextModel(GroupCNN(cyclic(4), channels=(4, 8)), RotationTask(cyclic(4)))
run = Pretrainer(model, images.train.images[:64], epochs=2, batch_size=16, accelerator="cpu")
live = LiveTraining({"rotation": run})
live
"""
# A state in which much is seen: a turn, a verdict, an orbit.
MOVED = {
    "ByHand": {"digit": 5, "shown": "turned"},
    "FieldExplorer": {"angle": 33},
    "OrbitExplorer": {"element": 5, "applied": 1},
    "KernelExplorer": {"row": 3},
    "ExactnessLab": {"size": 18},
    "LabelActionExplorer": {"task": "jigsaw 3 x 3", "element": 1, "action": "left"},
    "OrbitCorrelationExplorer": {"first": 1},
    "EmbeddingExplorer": {"element": 1},
}
CELLS = [
    SETUP,
    *(f"shown = {made}\nshown.set_state(**{MOVED[name]})\nshown" for name, made in EXPLORERS.items()),
    TRAINING,
    "live.wait()",
    "",
]
WRONG = "shown.receive({'token': 'wrong', 'changes': {'image': -1}})"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [800, 1600])
def test_explorers(open_notebook, dark, width, tmp_path):
    notebook = open_notebook("accessible.ipynb", CELLS, width=width, height=1200, dark=dark)
    notebook.run_all()
    page = notebook.page
    for cell, name in enumerate([*EXPLORERS, "LiveTraining"], start=1):
        root = notebook.output(cell).locator(".eqssl")
        root.wait_for()
        root.scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        selector = f".{root.get_attribute('class').split()[1]}"
        assert_accessible(page, selector)
        # Nothing is wider than its place.
        assert root.evaluate("root => root.scrollWidth <= root.clientWidth + 1"), name
        background = root.evaluate("root => getComputedStyle(root).backgroundColor")
        assert (sum(map(int, background[4:-1].split(", "))) < 384) == dark, name
        root.screenshot(path=tmp_path / f"{name}.png")
    # An error, and the pad for drawing.
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_role("spinbutton", name="Angle in degrees, typed").fill("500")
    page.keyboard.press("Enter")
    page.locator(".eqssl-field [role=alert]").wait_for()
    assert_accessible(page, ".eqssl-field")
    page.locator(".eqssl-field").screenshot(path=tmp_path / "drawing.png")
    notebook.run_last_cell(WRONG)  # to the last one that was shown
    page.locator(".eqssl-em [role=alert]").wait_for()
    assert_accessible(page, ".eqssl-em")
    notebook.assert_clean()
