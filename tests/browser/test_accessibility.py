"""Names, roles and contrast of every explorer in JupyterLab: in the dark at 800 px, in the light at 1600 px.

`long`: in both themes at both widths.
"""

import itertools

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
    "CircleExplorer": {"first": 20, "second": 87, "theta": 130},
    "LearnedActionExplorer": {"network": "plain", "times": 3},
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


SETTLED = """async (root) => { // colours glide
  await Promise.all(root.getAnimations({ subtree: true }).map((animation) => animation.finished));
  await new Promise(requestAnimationFrame);
}"""


LOOKS = {*itertools.product((True, False), (800, 1600))}
FEW = {(True, 800), (False, 1600)}


@pytest.mark.parametrize("looks", [FEW, pytest.param(LOOKS - FEW, marks=pytest.mark.long)])
def test_explorers(looks, open_notebook, tmp_path):
    notebook = open_notebook(CELLS, height=1200)
    notebook.run_all()
    page = notebook.page
    for dark, width in sorted(looks):
        notebook.look(width, 1200, dark)
        for cell, name in enumerate([*EXPLORERS, "LiveTraining"], start=1):
            root = notebook.output(cell).locator(".eqssl")
            root.wait_for()
            root.scroll_into_view_if_needed()
            root.evaluate(SETTLED)
            assert_accessible(page, f".{root.get_attribute('class').split()[1]}")
            # Nothing is wider than its place.
            assert root.evaluate("root => root.scrollWidth <= root.clientWidth + 1"), name
            background = root.evaluate("root => getComputedStyle(root).backgroundColor")
            assert (sum(map(int, background[4:-1].split(", "))) < 384) == dark, name
            root.screenshot(path=tmp_path / f"{name} {width} {dark}.png")
    # An error, and the pad for drawing.
    field, embedding = page.locator(".eqssl-field"), page.locator(".eqssl-em")
    field.scroll_into_view_if_needed()
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_role("spinbutton", name="Angle in degrees, typed").fill("500")
    page.keyboard.press("Enter")
    field.get_by_role("alert").wait_for()
    notebook.run_last_cell(WRONG)  # to the last one that was shown
    embedding.get_by_role("alert").wait_for()
    for dark in (False, True):
        notebook.look(1600, 1200, dark)
        for root, selector in ((field, ".eqssl-field"), (embedding, ".eqssl-em")):
            root.scroll_into_view_if_needed()
            root.evaluate(SETTLED)
            assert_accessible(page, selector)
            root.screenshot(path=tmp_path / f"{selector} {dark}.png")
    notebook.assert_clean()
