"""FieldExplorer in the real JupyterLab: every slider, button and key, with a value asserted for each."""

import re
from itertools import pairwise

from hand import Hand

MADE = "FieldExplorer(trained(dihedral(4)), images.test.images[4], compare=matched_cnn(trained(dihedral(4))))"


class Explorer(Hand):
    name = "Field explorer"

    def __init__(self, notebook, cell=0):
        super().__init__(notebook, cell)
        self.angle = self.slider("Angle in degrees")
        self.typed = self.root.get_by_role("spinbutton", name="Angle in degrees, typed")
        self.animate = self.root.get_by_role("button", name=re.compile("Animate|Pause"))
        self.stabilise = self.root.get_by_role("checkbox", name="Stabilise")

    def choice(self, name):
        return self.root.get_by_role("combobox", name=name)

    def type_angle(self, text):
        """As a hand does it: a value that a script puts there is no change for the browser."""
        self.typed.press("Control+a")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def maps(self, network: int) -> list[list[int]]:
        """Every map of a network, as painted."""
        canvases = self.root.get_by_role("region").nth(network).locator("canvas")
        return [self.pixels(canvas) for canvas in canvases.all()]

    def turn(self, angle, mirror=""):
        self.button(f"{mirror}turn by {angle} degrees").click()
        self.expect_angle(angle)

    def expect_angle(self, angle):
        self.rest()
        assert self.angle.input_value() == str(angle)
        assert self.typed.input_value() == str(angle)
        assert self.angle.get_attribute("aria-valuetext") == f"{angle} degrees"


def most(a, b):
    """The largest difference between two lists of maps."""
    return max(abs(x - y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))


def test_every_control_does_what_it_says(open_notebook):
    explorer = Explorer.of(open_notebook, MADE)
    notebook, page = explorer.notebook, explorer.page
    explorer.expect_angle(0)
    assert explorer.errors() == [0, 0]

    # The slider, by keyboard alone; the arrow keys do not reach the notebook.
    active = "jupyterapp.shell.currentWidget.content.activeCellIndex"
    explorer.angle.press("ArrowRight")
    explorer.expect_angle(1)
    cell = page.evaluate(active)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    explorer.expect_angle(1)
    page.keyboard.press("End")
    explorer.expect_angle(360)
    page.keyboard.press("Home")
    for _ in range(45):  # faster than pictures come: the last position wins
        page.keyboard.press("ArrowRight")
    explorer.expect_angle(45)
    assert page.evaluate(active) == cell
    group_error, plain_error = explorer.errors()
    assert plain_error > 0.05
    assert group_error > 0.01  # 45 degrees are no element of D4

    # A typed angle.
    explorer.type_angle("90")
    explorer.expect_angle(90)
    group_error, plain_error = explorer.errors()
    assert group_error < 1e-5
    assert plain_error > 0.05
    assert explorer.root.get_by_role("figure", name="Equivariance error at 90°").is_visible()
    panel = explorer.root.get_by_role("region", name="plain CNN")
    assert f"error\n{100 * plain_error:.0f} %" in panel.inner_text()

    # The arrow keys of that field, too.
    explorer.typed.press("ArrowUp")
    explorer.expect_angle(91)
    explorer.typed.press("ArrowDown")
    explorer.expect_angle(90)

    # The curve marks the angle.
    def marked():
        explorer.rest()
        return float(explorer.root.locator("line.eqssl-now").get_attribute("x1"))

    places = []
    for angle in ("0", "90", "180", "360"):
        explorer.type_angle(angle)
        explorer.expect_angle(angle)
        places.append(marked())
    steps = [b - a for a, b in pairwise(places)]
    assert steps[0] > 20 and abs(steps[1] - steps[0]) < 1 and abs(steps[2] - 2 * steps[0]) < 1
    explorer.type_angle("90")
    explorer.expect_angle(90)

    # The group elements: rotations, then reflections.
    for angle in (0, 180, 270, 90):
        explorer.turn(angle)
        assert explorer.errors()[0] < 1e-5
        assert explorer.button(f"turn by {angle} degrees").get_attribute("aria-pressed") == "true"
    for angle in (90, 0, 180, 270):
        explorer.turn(angle, mirror="mirror, then ")
        group_error, plain_error = explorer.errors()
        assert group_error < 1e-5 < 0.05 < plain_error
        assert explorer.button(f"turn by {angle} degrees").get_attribute("aria-pressed") == "false"
    assert explorer.root.get_by_role("img", name="Image, mirrored, turned by 270 degrees").is_visible()

    # Stabilised maps of the group network stand still, those of the plain one do not.
    explorer.turn(0)
    explorer.stabilise.focus()
    page.keyboard.press("Space")
    upright = [explorer.maps(network) for network in (0, 1)]
    explorer.button("turn by 90 degrees").click()
    turned = [explorer.maps(network) for network in (0, 1)]
    assert most(turned[0], upright[0]) <= 4  # rounding: one of the 256 levels
    assert most(turned[1], upright[1]) > 50
    explorer.stabilise.uncheck()
    assert most(explorer.maps(0), upright[0]) > 50

    # Layers and channels.
    before = explorer.errors()
    explorer.choice("Layer of D4 network").select_option(value="stages.0")
    assert explorer.errors() != before
    assert explorer.choice("Layer of plain CNN").input_value() == "stages.0"  # the same depth
    first = explorer.maps(0)
    explorer.choice("Channels of D4 network").select_option(label="channels 2–3 of 6")
    assert most(explorer.maps(0), first) > 20
    assert explorer.root.get_by_role("img", name="Feature maps of D4 network: channels 2, 3").is_visible()
    # Those of the second network alone, too.
    before, first = explorer.errors(), explorer.maps(1)
    explorer.choice("Layer of plain CNN").select_option(value="stages.4")
    assert explorer.errors()[0] == before[0] and explorer.errors()[1] != before[1]
    assert explorer.choice("Layer of D4 network").input_value() == "stages.0"
    first = explorer.maps(1)
    explorer.choice("Channels of plain CNN").select_option(index=1)
    assert most(explorer.maps(1), first) > 20

    # Animation moves by itself while somebody can see it, and stops.
    explorer.root.scroll_into_view_if_needed()
    explorer.animate.click()
    page.wait_for_function("slider => Number(slider.value) > 100", arg=explorer.angle.element_handle())
    explorer.animate.click()
    explorer.rest()
    angle = explorer.angle.input_value()
    page.wait_for_timeout(300)
    explorer.rest()
    assert explorer.angle.input_value() == angle
    assert explorer.animate.get_attribute("aria-pressed") == "false"

    # For those who asked for less motion it goes from one group element to the next.
    page.emulate_media(reduced_motion="reduce")
    explorer.turn(0)
    explorer.animate.click()
    seen = explorer.angle.evaluate(
        """async (slider) => {
             const seen = new Set([slider.value]);
             for (const end = performance.now() + 20_000; seen.size < 2 && performance.now() < end; ) {
               await new Promise(requestAnimationFrame);
               seen.add(slider.value);
             }
             return [...seen];
           }"""
    )
    assert seen == ["0", "90"]
    explorer.animate.click()

    # A flood of moves does not queue: one message is under way, the rest is merged into the next one.
    explorer.rest()
    before = int(explorer.root.get_attribute("data-painted"))
    explorer.angle.evaluate(
        """slider => {
             for (slider.value = 101; slider.value < 200; slider.stepUp()) slider.dispatchEvent(new Event("input"));
             slider.dispatchEvent(new Event("input"));
           }"""
    )
    explorer.expect_angle(200)
    assert int(explorer.root.get_attribute("data-painted")) - before <= 3

    # What a screen reader announces.
    explorer.button("turn by 180 degrees").click()
    explorer.says("Image turned by 180°. Equivariance error: D4")

    # A cell steers the explorer as well, and the controls follow.
    notebook.run_last_cell("explorer.set_state(angle=33)")
    page.wait_for_function("slider => slider.value === '33'", arg=explorer.angle.element_handle())
    explorer.expect_angle(33)

    # The curve is there, with a line for each network.
    assert explorer.root.locator(".eqssl-chart .eqssl-line").count() == 2

    # An error in a handler is seen, the picture stays, and the next move clears it.
    explorer.type_angle("500")
    explorer.alert.filter(has_text="ValueError: angle must be").wait_for()
    explorer.expect_angle(33)
    explorer.button("turn by 90 degrees").click()
    explorer.alert.wait_for(state="hidden")

    notebook.assert_clean()
