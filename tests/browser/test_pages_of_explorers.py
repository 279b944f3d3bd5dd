"""Five explorers as pages that turn with no kernel and no network: every control, from a file."""

import pytest
import torch
from accessibility import assert_accessible
from hand import Hand

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import LiftingConv2d
from eqssl_edu.pretext import JigsawTask, RotationTask
from eqssl_edu.widgets import (
    EmbeddingExplorer,
    ExactnessLab,
    KernelExplorer,
    LabelActionExplorer,
    OrbitCorrelationExplorer,
    OrbitExplorer,
)

MAX_BYTES = 2_000_000


class Page(Hand):
    """A page of an explorer, as somebody uses it."""

    def __init__(self, opened):
        self.page, self.root = opened.page, opened.page.locator(".eqssl")
        self.rest()


@pytest.fixture
def show(open_page, tmp_path):
    """show(explorer) -> its page, opened without a server; at the end it is looked at in both themes and widths."""
    path = tmp_path / "page.html"

    def show(explorer):
        explorer.to_html(path)
        assert path.stat().st_size < MAX_BYTES
        opened.append(open_page(path, width=800))
        return Page(opened[0])

    opened = []
    torch.manual_seed(0)
    yield show
    for page in (*opened, open_page(path, dark=True, width=1600)):
        assert page.page.evaluate("document.body.scrollWidth <= innerWidth")
        assert_accessible(page.page, ".eqssl")
        page.assert_clean()


def test_exactness_lab(show):
    page = show(ExactnessLab())
    assert page.text(".eqssl-verdict") == "✗ not exact"
    page.press("Set the size to 17")
    assert page.text(".eqssl-verdict") == "✓ exact"
    page.slide("size S", "ArrowRight")
    page.press("Set the size to 17")
    for name, keys, value, verdict in (
        ("size S", "End", 40, "✗ not exact"),
        ("kernel k", "ArrowRight", 4, "✓ exact"),
        ("padding p", "ArrowLeft", 0, "✓ exact"),
        ("stride s", "ArrowRight ArrowRight", 4, "✓ exact"),
        ("kernel k", "ArrowLeft", 3, "✗ not exact"),
        ("stride s", "Home", 1, "✓ exact"),
    ):
        assert page.slide(name, keys) == value
        assert page.text(".eqssl-verdict") == verdict
    page.says("Size 40, kernel 3, stride 1, padding 0: exact")


def test_orbit_explorer(show):
    page = show(OrbitExplorer(dihedral(4), "Q"))
    page.press("apply m")
    page.press("apply r90")
    assert page.text("[data-name=product]") == "r90 · m = r90 m"
    page.root.get_by_role("button", name="go to r180:").click()
    assert page.text("[data-name=product]") == "(r270 m) · (r90 m) = r180"
    page.page.keyboard.press("r")
    assert page.text("[data-name=product]") == "r90 · r180 = r270"
    page.page.keyboard.press("m")
    assert page.text("[data-name=product]") == "m · r270 = r90 m"
    page.page.keyboard.press("ArrowUp")  # the keys start where the mouse has been: across to the other ring
    page.page.keyboard.press("Enter")
    assert page.text("[data-name=product]") == "r90 · (r90 m) = r180 m"
    page.choose("Picture", "O")
    assert page.text(".eqssl-orbit-count") == "1 × 8 = 8"
    page.choose("Picture", "A")
    assert page.text(".eqssl-orbit-count") == "4 × 2 = 8"
    page.press("Start again")
    page.says("A under D4, moved by e: picture 1 of 4")


def test_kernel_explorer(show):
    layer = LiftingConv2d(cyclic(4), 1, 1, kernel_size=3, padding=1)
    explorer = KernelExplorer(layer, torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)))
    page = show(explorer)

    def expect(row, column):
        page.rest()
        explorer.set_state(row=row, column=column)
        seen = [float(b.get_attribute("data-value")) for b in page.root.locator("b[data-value]").all()]
        assert seen == pytest.approx(explorer.responses())

    page.slide("Window: row", "Home")
    page.slide("Window: column", "End")
    expect(0, 7)
    picture = page.root.get_by_role("img", name="Input", exact=True)
    size = picture.bounding_box()["width"]
    picture.click(position={"x": size * 3.5 / 10, "y": size * 6.5 / 10})  # 8 pixels and two of padding
    expect(5, 2)
    page.says("Window at row 6, column 3")
    # The weights cannot be changed on a page.
    weight = page.root.get_by_role("spinbutton").first
    assert weight.get_attribute("aria-readonly") == "true"
    before = weight.get_attribute("aria-valuenow")
    weight.press("ArrowUp")
    page.rest()
    assert weight.get_attribute("aria-valuenow") == before
    assert page.root.get_by_role("button", name="Reset this filter").count() == 0


def test_label_action_explorer(show):
    group = dihedral(4)
    page = show(LabelActionExplorer({"jigsaw": JigsawTask(group, 2), "rotation": RotationTask(group)}))
    for task, actions in (("jigsaw", ("conjugation", "left", "trivial")), ("rotation", ("left", "trivial"))):
        page.choose("Task", task)
        true = actions[0]
        page.press("turn by r90")
        for action in actions:
            page.press(action)
            assert page.text(".eqssl-verdict") == ("✓ right" if action == true else "✗ wrong")
        page.press("turn by e")
        assert page.text(".eqssl-verdict") == "✓ right"
        for element in ("r270", "r90 m"):
            page.press(f"turn by {element}")
            assert page.text(".eqssl-verdict") == "✗ wrong"
        page.says("The trivial action says")
    labels = {page.slide("Label", key) for key in ("Home", "End", "ArrowLeft")}
    assert len(labels) > 1


def test_embedding_explorer(show):
    images = torch.rand(30, 1, 12, 12)
    network = GroupCNN(cyclic(4), channels=(4, 8)).train()
    with torch.no_grad():
        network(images)
    page = show(EmbeddingExplorer(network, images, torch.arange(30) % 3))

    for element in ("r90", "r180", "r270"):
        page.press(f"turn by {element}")
        assert page.number("moved") > 0.01
    page.press("pooled")
    assert page.number("moved") < 1e-4
    page.press("regular")
    assert page.number("moved") > 0.01
    page.press("turn by e")
    assert page.number("moved") < 1e-4
    before = page.slide("Image", "Home")
    assert page.slide("Image", "ArrowRight") == before + 1
    chosen = page.root.get_by_role("group", name="The chosen image").locator(".eqssl-title")
    titles = set()
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.root.get_by_role("application").press(key)
        page.rest()
        titles.add(chosen.inner_text())
    assert len(titles) > 1
    page.root.get_by_role("application").hover()
    page.root.locator(".eqssl-em-preview").filter(has_text="Here: image").wait_for()


@pytest.mark.parametrize("kind", ["embedding", "orbit correlation"])
def test_nothing_glides_for_those_who_asked_for_less_motion(kind, open_page, tmp_path):
    """What glides are the marks of these two; the animation of the FieldExplorer has a test of its own."""
    torch.manual_seed(0)
    images, network = torch.rand(6, 1, 12, 12), GroupCNN(cyclic(4), channels=(2, 4)).eval()
    if kind == "embedding":
        explorer = EmbeddingExplorer(network, images, torch.arange(6) % 2)
    else:
        explorer = OrbitCorrelationExplorer(network, images)
    path = explorer.to_html(tmp_path / "page.html")
    gliding = """() => [...document.querySelectorAll(".eqssl *")]
        .filter((element) => parseFloat(getComputedStyle(element).transitionDuration) > 0).length"""
    assert open_page(path).page.evaluate(gliding) > 0
    assert open_page(path, reduced_motion="reduce").page.evaluate(gliding) == 0
