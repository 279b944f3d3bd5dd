"""Explorers as pages of states computed beforehand: every control, from a file. Those that compute: test_live_pages."""

import pytest
import torch
from accessibility import assert_accessible
from hand import Hand

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import LiftingConv2d
from eqssl_edu.pretext import JigsawTask, RotationTask
from eqssl_edu.widgets import (
    CircleExplorer,
    EmbeddingExplorer,
    ExactnessLab,
    FieldExplorer,
    KernelExplorer,
    LabelActionExplorer,
    LearnedActionExplorer,
    OrbitCorrelationExplorer,
    OrbitExplorer,
)

MAX_BYTES = 2_100_000  # 2 MB and the scripts
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


class Page(Hand):
    """A page of an explorer, as somebody uses it."""

    def __init__(self, opened):
        self.page, self.root = opened.page, opened.page.locator(".eqssl")
        self.rest()


@pytest.fixture
def show(open_page, tmp_path):
    """show(explorer) -> its page, opened without a server; at the end it is seen in both themes and on a phone."""
    path = tmp_path / "page.html"

    def show(explorer):
        explorer.to_html(path, live=False)
        assert path.stat().st_size < MAX_BYTES
        opened.append(open_page(path, width=800))
        return Page(opened[0])

    opened = []
    torch.manual_seed(0)
    yield show
    looks_well(opened[0], open_page(path, dark=True, width=1600))
    stays_in_sight(open_page(path, **PHONE))


def looks_well(*pages):
    """A light page and a dark one: nothing is wider than the window; names, roles and contrast."""
    for opened, background in zip(pages, ("rgb(255, 255, 255)", "rgb(22, 22, 22)"), strict=True):
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == background
        assert opened.page.evaluate("document.body.scrollWidth <= innerWidth")
        assert_accessible(opened.page, "main")
        opened.assert_clean()


def stays_in_sight(opened):
    """On a phone the hand stays at the top, over what scrolls under it, and leaves that two thirds of the screen."""
    page, hand = opened.page, opened.page.locator(".eqssl-tools, .eqssl-stays").last
    assert page.evaluate("document.body.scrollWidth") <= PHONE["width"]
    assert hand.bounding_box()["y"] > 0
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    x, y, width, height = hand.bounding_box().values()
    assert abs(y) < 1 and height < PHONE["height"] / 3
    on_top = "(hand, [x, y]) => hand.contains(document.elementFromPoint(x, y))"
    assert hand.evaluate(on_top, [x + width / 2, y + height / 2])
    opened.assert_clean()


@pytest.fixture(scope="module")
def field_page(tmp_path_factory):
    torch.manual_seed(0)
    network = GroupCNN(cyclic(4), channels=(6, 12))
    explorer = FieldExplorer(network, digits(32).test.images[4], compare=matched_cnn(network))
    return explorer.to_html(
        tmp_path_factory.mktemp("pages") / "field.html", title="A digit <turned>", live=False
    )


def test_field_explorer(field_page, open_page):
    opened = open_page(field_page)
    page = Page(opened)
    assert page.page.title() == "A digit <turned>"
    assert page.page.locator("html").get_attribute("lang") == "en"
    angle = page.slider("Angle in degrees")
    assert page.errors() == [0, 0]
    assert page.slide("Angle in degrees", "ArrowRight") == 15
    page.press("turn by 90 degrees")
    group_error, plain_error = page.errors()
    assert angle.input_value() == "90"
    assert group_error < 1e-5 < 0.05 < plain_error
    page.says("Image turned by 90°. Equivariance error: C4")
    assert page.slide("Angle in degrees", "ArrowLeft ArrowLeft ArrowLeft") == 45
    group_error, plain_error = page.errors()
    assert group_error > 0.01 and plain_error > 0.05
    # A typed angle goes to the nearest one that is there.
    page.root.get_by_role("spinbutton").fill("97")
    page.root.get_by_role("spinbutton").press("Enter")
    page.rest()
    assert angle.input_value() == "90"

    maps = page.root.locator(".eqssl-panel canvas").first
    turned = page.pixels(maps)
    page.root.get_by_role("checkbox", name="Stabilise").check()
    assert page.pixels(maps) != turned
    layer = page.root.get_by_role("combobox", name="Layer of C4 network")
    before = page.errors()
    layer.select_option(value="stages.0")
    assert page.errors() != before
    assert layer.input_value() == "stages.0"
    assert page.root.locator(".eqssl-chart .eqssl-line").count() == 2

    page.root.get_by_role("button", name="Animate").click()
    page.page.wait_for_function("slider => Number(slider.value) > 120", arg=angle.element_handle())
    page.root.get_by_role("button", name="Pause").click()
    assert page.root.get_by_role("button", name="Open a file").count() == 0  # it would need a kernel
    page.rest()
    looks_well(opened, open_page(field_page, dark=True, width=1600))


def test_on_a_phone_the_maps_of_a_field_explorer_turn_in_sight_of_the_hand(field_page, open_page):
    opened = open_page(field_page, **PHONE)
    stays_in_sight(opened)
    page = Page(opened)
    maps = page.root.locator(".eqssl-panel canvas").first
    maps.evaluate("maps => maps.scrollIntoView({ block: 'center' })")
    before, place = page.pixels(maps), maps.bounding_box()
    page.button("turn by 90 degrees").tap()
    assert page.pixels(maps) != before
    assert maps.bounding_box() == place and 0 < place["y"] < PHONE["height"] - place["height"]
    assert page.errors()[0] < 1e-5 < page.errors()[1]


def test_a_layer_that_gives_nan_and_an_axis_whose_order_was_measured(show):
    class Copies(torch.nn.Conv2d):  # four kernels, each turned clockwise in four steps
        def forward(self, x):
            kernels = [torch.rot90(self.weight, -i, (2, 3)) for i in range(4)]
            maps = torch.nn.functional.conv2d(x, torch.stack(kernels, 1).flatten(0, 1))
            return maps.log() if self.bias is not None else maps

    image, other = digits(32).test.images[4], Copies(1, 4, 3)
    page = show(
        FieldExplorer(
            Copies(1, 4, 3, bias=False), image, other, ("mine", "log"), group=cyclic(4), group_axis=2
        )
    )
    page.press("turn by 90 degrees")
    page.says("Image turned by 90°. Equivariance error: mine 0.0000")
    page.says("log no number. Layer 'output' gives NaN or infinity on this image.")
    assert (
        page.root.locator(".eqssl-panel")
        .first.inner_text()
        .endswith("Measured: order=[0, 3, 2, 1] has error 0.")
    )
    assert (
        page.root.locator(".eqssl-panel")
        .last.locator("b.eqssl-note")
        .inner_text()
        .startswith("Layer 'output'")
    )
    assert page.root.locator(".eqssl-chart > .eqssl-mark:visible").count() == 1
    assert page.root.locator(".eqssl-chart .eqssl-line").count() == 1


def test_a_flood_of_moves_on_a_page_ends_at_the_last_one(field_page, open_page):
    opened = open_page(field_page)
    page = Page(opened)
    angle = page.slider("Angle in degrees")
    angle.evaluate(
        """slider => {
             for (slider.value = 0; slider.value < 270; slider.stepUp()) slider.dispatchEvent(new Event("input"));
             slider.dispatchEvent(new Event("input"));
           }"""
    )
    assert page.errors()[0] < 1e-5
    assert angle.input_value() == "270"
    opened.assert_clean()


def test_a_photo_page_keeps_to_the_limit(show, monkeypatch):
    monkeypatch.setattr("eqssl_edu.widgets.field.page.MANY", 3)  # layers
    photo = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))  # noise: nothing packs worse
    network = GroupCNN(dihedral(4), 3, channels=(2, 3))
    page = show(FieldExplorer(network, photo, compare=matched_cnn(network)))
    page.press("mirror, then turn by 90 degrees")
    assert page.errors()[0] < 1e-5


def test_orbit_correlation_explorer(show):
    page = show(OrbitCorrelationExplorer(GroupCNN(cyclic(4)), digits(16).test.images[:8]))
    moves = {
        "View 1: turn by 90 degrees counter-clockwise": "View 1, turned by 90°",
        "Next image": "Image 2 of 8, upright",
        "View 2: turn by 90 degrees clockwise": "View 2, turned by 270°",
        "View 2: turn by 90 degrees counter-clockwise": "View 2, upright",
        "View 1: turn by 90 degrees clockwise": "View 1, upright",
        "Previous image": "Image 1 of 8, upright",
    }
    for number, (name, seen) in enumerate(moves.items()):
        page.press(name)
        page.root.get_by_role("img", name=seen).wait_for()
        if number == 0:
            assert "moved by" in page.text("tr[data-kind=plain]")
            assert "stood still" in page.text("tr[data-kind=max]")
        if number == 1:
            page.says("Image 2 of 8. View 1 turned by 90°")
    assert page.slide("Image", "ArrowRight") == 1
    for view in (1, 2):
        page.slide(f"View {view}, turn", "End")
        page.root.get_by_role("img", name=f"View {view}, turned by 270°").wait_for()
    assert "stood still" in page.text("tr[data-kind=max]")
    page.press("Turn both views back")
    page.root.get_by_role("img", name="View 2, upright").wait_for()


def test_circle_explorer(show, monkeypatch):
    """More of it: test_circle_explorer."""
    monkeypatch.setattr("eqssl_edu.widgets.circle.circle.STEPS", (45,))
    images = digits(16).test.images
    page = show(CircleExplorer(GroupCNN(cyclic(4), channels=(2, 4)), images[0], images[1]))
    assert page.slide("View 2: turn b in degrees", "ArrowRight") == 45
    assert page.slide("θ in degrees", "ArrowRight") == 1
    page.press("another image")
    page.says("another image by 45°")


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


def test_learned_action_explorer(show):
    images, network = digits(16).test.images[:60], GroupCNN(cyclic(4), channels=(2, 4)).eval()
    encoders = {"C4": network, "plain": matched_cnn(network).eval()}
    page = show(LearnedActionExplorer(encoders, images, cyclic(4), images.flip(-1)))
    apart = page.root.locator(".eqssl-act-apart b:visible")
    for times in (2, 3, 4):
        page.press("Apply once more, and after four times start again")
        assert apart.all_inner_texts() == ["0 %"] * times
    page.press("plain")
    page.press("another kind")
    page.press("g = r270")
    assert "0 %" not in apart.all_inner_texts()
    page.root.get_by_role("checkbox", name="untrained copy").check()
    assert page.slide("Image", "ArrowRight") == 1
    page.says("plain, untrained, image 2 of report: r270 and its fitted map, applied 4 times")
    assert page.slide("applied", "Home") == 0
    assert apart.count() == 0


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
