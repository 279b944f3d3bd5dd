"""Names, roles and contrast of the explorers in JupyterLab, in both themes."""

import pytest
from accessibility import assert_accessible

SETUP = """
import torch
from torch import nn
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import dihedral
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import FieldExplorer, LiveTraining, OrbitCorrelationExplorer

torch.manual_seed(0)
images = digits(32)
network = GroupCNN(dihedral(4), channels=(4, 8))
task = RotationTask(network.group)
run = Pretrainer(PretextModel(network, task), images.train.images[:64], epochs=2, batch_size=16, accelerator="cpu")
"""
CELLS = [
    SETUP,
    "field = FieldExplorer(network, images.test.images[4], compare=matched_cnn(network))\nfield",
    "orbit = OrbitCorrelationExplorer(network, images.test.images[:4])\norbit.set_state(first=1)\norbit",
    "live = LiveTraining({'rotation': run})\nlive",
    "live.wait()",
]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [800, 1600])
def test_explorers(open_notebook, dark, width, tmp_path):
    notebook = open_notebook("accessible.ipynb", CELLS, width=width, height=1200, dark=dark)
    notebook.run_all()
    page = notebook.page
    for cell, selector in ((1, ".eqssl-field"), (2, ".eqssl-oc"), (3, ".eqssl-live")):
        root = notebook.output(cell).locator(selector)
        root.wait_for()
        root.scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        assert_accessible(page, selector)
        # Nothing is wider than its place.
        assert root.evaluate("root => root.scrollWidth <= root.clientWidth + 1")
        root.screenshot(path=tmp_path / f"{selector[1:]}.png")
    # An error, and the pad for drawing.
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_role("spinbutton", name="Angle in degrees, typed").fill("500")
    page.keyboard.press("Enter")
    page.locator(".eqssl-field [role=alert]").wait_for()
    assert_accessible(page, ".eqssl-field")
    page.locator(".eqssl-field").screenshot(path=tmp_path / "eqssl-field-drawing.png")
    notebook.assert_clean()
