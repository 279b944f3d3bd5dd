"""Hand and eye on one screen: in JupyterLab with its side bar open no explorer is higher than what is seen of a page.

The settings are those of the notebooks. A laptop with 1366 x 768 pixels shows about 650 of a notebook's height.
"""

import lab as environment
import pytest
from explorers import SETUP

SCREENS = [(1366, 768, True), (1440, 900, False), (1920, 1080, False)]
HIGHEST = 600  # pixels

LEARNER = """
import math
from eqssl_edu.training import Pretrainer

class Learner(torch.nn.Module):
    chance, steps = 0.25, 0

    def __init__(self, cap=None):
        super().__init__()
        self.linear = torch.nn.Linear(16, 2)
        self.cap = cap

    def training_step(self, images, generator):
        self.steps += 1
        loss = (self.linear(images.flatten(1)) - 1).square().mean()
        return {"loss": loss, "accuracy": torch.tensor(1 - 1 / self.steps)}

def live(names, readouts=0):
    runs = {}
    for name in names.split(", "):
        runs[name] = Pretrainer(Learner(0.25 if runs else None), torch.randn(60, 1, 4, 4), epochs=9, batch_size=20)
    numbers = {f"energy, frequency {i}": -i / 7 for i in range(readouts)}
    read = (lambda model: numbers) if numbers else None
    return LiveTraining(runs, "InfoNCE, turned views: which belongs to which?", read)
"""

TURNED = """explorer = OrbitCorrelationExplorer({}, images.test.images[:16])
explorer.set_state(first={}, second=2)
explorer"""
MOVED = """explorer = {}
explorer.set_state(**{})
explorer"""
STEERABLE = "from eqssl_edu.steerable import SteerableCNN\n"
TOUR = "GroupCNN(cyclic(4), channels=(8, 16, 32))"
TOUR = f"FieldExplorer({TOUR}, images.test.images[7], matched_cnn({TOUR}, by='parameters'))"
EIGHT = "SteerableCNN(cyclic(8), channels=(4, 8)).eval()"
REFLECTIONS = "FieldExplorer(trained(dihedral(4)), images.test.images[4], trained(dihedral(4)))"
EXPLORERS = {
    "fields of C4 and of none": MOVED.format(TOUR, {"angle": 45}),
    "fields of C4": "FieldExplorer(network, images.test.images[7])",
    "fields of C8 and C4": f"{STEERABLE}FieldExplorer({EIGHT}, images.test.images[0], network)",
    "fields of D4, twice": MOVED.format(REFLECTIONS, {"angle": 45, "mirror": True}),
    "fields of none": "FieldExplorer(torch.nn.Conv2d(1, 40, 3), images.test.images[4], torch.nn.Conv2d(1, 3, 3))",
    "an orbit of eight": "OrbitExplorer(dihedral(4), 'F')",
    "an orbit of one": MOVED.format("OrbitExplorer(dihedral(4), 'O')", {"element": 5, "applied": 1}),
    "labels of patches": MOVED.format("LabelActionExplorer()", {"task": "relative location", "element": 1}),
    "labels of nine tiles": MOVED.format("LabelActionExplorer()", {"task": "jigsaw 3 x 3", "element": 5}),
    "views, C4": TURNED.format("network", 1),
    "views, D4": TURNED.format("trained(dihedral(4))", 7),
    "a wave of SO(2)": MOVED.format(
        "CircleExplorer(steerable('SO(2)'), images.test.images[4], images.test.images[7])",
        {"first": 20, "second": 87, "theta": 130},
    ),
    "four samples of C4": MOVED.format("CircleExplorer(network, images.test.images[4])", {"second": 90}),
    "a fitted action": MOVED.format(
        "LearnedActionExplorer(pair(), images.test.images[:80], cyclic(4), mirrored)",
        {"network": "plain", "times": 4},
    ),
    "six fitted actions of D4": MOVED.format(
        "LearnedActionExplorer(dict.fromkeys(['C4', 'plain', 'Gram', 'E-SSL', 'soft equivariance', 'a predictor'],"
        " pair()['plain']), images.test.images[:80], dihedral(4), mirrored)",
        {"network": "E-SSL", "times": 4},
    ),
    "embeddings, C4": "EmbeddingExplorer(network, images.test.images[:120], images.test.labels[:120])",
    "embeddings, D4": "EmbeddingExplorer(trained(dihedral(4)), images.test.images[:120], images.test.labels[:120])",
    "lifting": "KernelExplorer(LiftingConv2d(cyclic(4), 1, 1, kernel_size=3, padding=1))",
    "group convolution": "KernelExplorer(GroupConv2d(cyclic(4), 1, 1, kernel_size=3, padding=1))",
    "exactness": "ExactnessLab(size=16, kernel_size=3, stride=2, padding=1)",
    "exactness without the rule": "ExactnessLab(size=16, kernel_size=3, stride=2, padding=1, rule=False)",
    "one training": "live('cut')",
    "two trainings": "live('equivariant head, invariant head')",
    "five trainings": "live('equivariant head, invariant head, a random encoder, plain, power3')",
    "two trainings with readouts": "live('with covariance, without covariance', 11)",
    "seven trainings with readouts": "live('plain, mean, power2, power3, canonical, soft, max', 11)",
}


ANOTHER = "ByHand(str, object=range(3))"  # its sheet repeats what all share, behind the explorer's own


@pytest.fixture(scope="module")
def beside_the_bar(chromium, lab):
    """A notebook in the JupyterLab that a student opens, with the list of files at its left."""
    with environment.open_notebook(chromium, lab, "one_screen.ipynb", [""], view="lab") as opened:
        # What another file left behind may have closed it.
        opened.page.evaluate("async () => { await jupyterapp.commands.execute('filebrowser:activate'); }")
        opened.page.locator(".jp-DirListing").wait_for()
        yield opened
        opened.show([])


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_fits(beside_the_bar, name):
    notebook = beside_the_bar.show([SETUP + LEARNER, EXPLORERS[name], ANOTHER])
    notebook.run_all()
    root = notebook.output(1).locator(".eqssl")
    root.wait_for()
    if "trainings" in name:
        notebook.page.wait_for_selector('.eqssl-live[data-status="finished"]')
    for width, height, dark in SCREENS:
        notebook.look(width, height, dark)
        # What follows from the width is drawn in the next frames.
        notebook.page.evaluate("new Promise((done) => setTimeout(done, 300))")
        box = root.bounding_box()
        assert 100 < box["height"] <= HIGHEST, f"{width} x {height}"
        wider = """root => [root, ...root.querySelectorAll(".eqssl-scroll")]
            .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.className)"""
        assert root.evaluate(wider) == []
    notebook.assert_clean()
