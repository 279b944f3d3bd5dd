"""The picture is the handle: grabbed with the mouse or a finger and turned, it takes the explorer with it."""

import math

import pytest
from explorers import make
from hand import Hand, turned

EXPLORERS = {
    "Orbit explorer": "OrbitExplorer(dihedral(4), 'F')",
    "Label action explorer": "LabelActionExplorer()",
}
FIELD = "FieldExplorer(network, images.test.images[4], compare=matched_cnn(network).eval())"


def points(box, start, end, step=9, radius=0.35):
    """On a circle around the centre of a box, from one angle to another, counter-clockwise from the right."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    count = max(1, round(abs(end - start) / step))
    for i in range(count + 1):
        angle = math.radians(start + (end - start) * i / count)
        yield x + radius * box["width"] * math.cos(angle), y - radius * box["height"] * math.sin(angle)


class Turned(Hand):
    """An explorer whose picture is turned."""

    @property
    def handle(self):
        return self.root.locator(".eqssl-handle")

    def grab(self, start=20):
        self.handle.scroll_into_view_if_needed()
        self.page.mouse.move(*next(points(self.handle.bounding_box(), start, start)))
        self.page.mouse.down()

    def drag(self, start, end):
        for point in points(self.handle.bounding_box(), start, end):
            self.page.mouse.move(*point)

    def turn(self, start, end):
        """Grab, turn and let go with the mouse."""
        self.grab(start)
        self.drag(start, end)
        self.page.mouse.up()
        self.rest()

    def turn_by_touch(self, start, end):
        """The same with a finger."""
        self.handle.scroll_into_view_if_needed()
        session = self.page.context.new_cdp_session(self.page)
        way = list(points(self.handle.bounding_box(), start, end))
        for kind, place in [
            ("touchStart", way[0]),
            *(("touchMove", place) for place in way),
            ("touchEnd", None),
        ]:
            touch = [{"x": place[0], "y": place[1]}] if place else []
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touch})
        session.detach()
        self.rest()

    def lean(self):
        """By how much the painted picture is turned further, counter-clockwise, because the hand is ahead of it."""
        return -float(
            self.handle.locator("canvas").evaluate("canvas => parseFloat(canvas.style.rotate) || 0")
        )

    def angle(self):
        self.rest()
        return float(self.slider("Angle in degrees").input_value())

    def pressed(self):
        """The names of the buttons of elements that are pressed."""
        return self.root.locator("button[aria-pressed=true]").evaluate_all(
            "all => all.map((b) => b.ariaLabel)"
        )


class Field(Turned):
    name = "Field explorer"


def test_the_image_of_a_field_explorer(open_notebook):
    explorer = Field.of(open_notebook, FIELD)
    maps = explorer.root.get_by_role("region").first.locator("canvas").nth(1)
    before = explorer.pixels(maps)

    # While it is held, slider, maps and error follow; let go at 60 degrees, it stays there.
    explorer.grab(20)
    explorer.drag(20, 80)
    assert abs(explorer.angle() - 60) <= 1
    assert explorer.errors()[0] > 0.01 and explorer.pixels(maps) != before
    assert explorer.handle.evaluate("stage => getComputedStyle(stage).cursor") == "grabbing"
    explorer.page.mouse.up()
    assert abs(explorer.angle() - 60) <= 1 and explorer.lean() == 0
    assert explorer.handle.evaluate("stage => getComputedStyle(stage).cursor") == "grab"

    # Let go near 90 degrees it settles there, wherever it was grabbed.
    explorer.turn(200, 226)
    assert explorer.angle() == 90 and explorer.errors()[0] < 1e-5
    assert explorer.pressed() == ["turn by 90 degrees"]

    # With Shift, or without the tick, it stays between. Clicked, it does not move.
    explorer.page.keyboard.down("Shift")
    explorer.turn(0, 5)
    explorer.page.keyboard.up("Shift")
    assert abs(explorer.angle() - 95) <= 1
    explorer.turn(0, 0)
    assert abs(explorer.angle() - 95) <= 1
    explorer.root.get_by_role("checkbox", name="settles").uncheck()
    explorer.turn(100, 89)
    assert abs(explorer.angle() - 84) <= 1
    explorer.root.get_by_role("checkbox", name="settles").check()

    # A finger turns it backwards over 0 degrees; the page stays where it is.
    explorer.turn_by_touch(90, 0)
    assert abs(explorer.angle() - 354) <= 1 or explorer.angle() == 0
    assert explorer.handle.evaluate("stage => getComputedStyle(stage).touchAction") == "none"

    # It is no tab stop, and a pen that draws does not turn it.
    assert explorer.handle.evaluate("stage => stage.tabIndex") == -1
    angle = explorer.angle()
    explorer.press("Draw")
    explorer.turn(0, 90)
    assert explorer.angle() == angle
    explorer.press("Draw")
    explorer.notebook.assert_clean()


def test_a_page_without_a_kernel(open_page, tmp_path):
    path = make("FieldExplorer").to_html(tmp_path / "page.html", live=False)
    explorer = Field.__new__(Field)  # the page has one explorer and no cells
    opened = open_page(path, width=390, has_touch=True)
    explorer.page, explorer.root = opened.page, opened.page.locator(".eqssl")
    explorer.grab(0)
    explorer.drag(0, 38)  # between two of its states, every 15 degrees: the image leans further than the maps
    assert explorer.angle() == 45 and abs(explorer.lean() + 7) < 2
    explorer.page.mouse.up()
    assert explorer.angle() == 45 and explorer.lean() == 0
    explorer.turn_by_touch(20, 67)
    assert explorer.angle() == 90 and explorer.errors()[0] < 1e-5
    opened.assert_clean()


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_picture_that_only_knows_group_elements(open_notebook, name):
    kind = type("Kind", (Turned,), {"name": name})
    explorer = kind.of(open_notebook, EXPLORERS[name])

    def element():
        explorer.notebook.run_last_cell("print(explorer.state()['element'])")
        return int(explorer.notebook.output(1).inner_text())

    explorer.rest()
    before = explorer.pixels(explorer.handle.locator("canvas"))
    explorer.grab(0)
    explorer.drag(0, 30)
    assert element() == 0 and abs(explorer.lean() - 30) < 2  # it follows the hand between the elements
    explorer.drag(30, 110)
    assert element() == 1 and abs(explorer.lean() - 20) < 2
    explorer.page.mouse.up()
    assert element() == 1 and explorer.lean() == 0
    assert explorer.pixels(explorer.handle.locator("canvas")) != before
    explorer.turn(45, -135)
    assert element() == 3
    # A mirrored picture stays mirrored: only the turn changes.
    explorer.notebook.run_last_cell("explorer.set_state(element=5)")
    explorer.rest()
    explorer.turn_by_touch(0, 80)
    assert element() == 6
    explorer.turn(0, 20)
    assert element() == 6 and explorer.lean() == 0
    explorer.notebook.assert_clean()


class Correlation(Turned):
    name = "Orbit correlation explorer"
    view = 0

    @property
    def handle(self):
        return self.root.locator(".eqssl-handle").nth(self.view)

    def lean(self):
        """The picture leans with the arrow that marks its top."""
        frame = self.handle.locator(".eqssl-oc-frame")
        return -float(frame.evaluate("frame => parseFloat(frame.style.rotate) || 0"))

    def turns(self):
        """How far each view is turned, by its slider."""
        self.rest()
        return [int(self.slider(f"View {view}, turn").input_value()) for view in (1, 2)]


def test_the_views_of_an_orbit_correlation_explorer(open_notebook):
    explorer = Correlation.of(open_notebook, "OrbitCorrelationExplorer(network, images.test.images[:8])")
    plain = explorer.root.locator("tr[data-kind=plain]")
    assert explorer.turns() == [0, 0]
    explorer.grab(0)
    explorer.drag(0, 30)
    assert explorer.turns() == [0, 0] and abs(explorer.lean() - 30) < 2
    explorer.drag(30, 110)  # the losses follow while the hand is on its way
    assert explorer.turns() == [1, 0] and abs(explorer.lean() - 20) < 2
    assert plain.get_attribute("data-status") == "moved"
    explorer.page.mouse.up()
    assert explorer.turns() == [1, 0] and explorer.lean() == 0
    explorer.view = 1
    explorer.turn_by_touch(45, -50)
    assert explorer.turns() == [1, 3] and explorer.lean() == 0
    assert explorer.root.get_by_role("img", name="View 2, turned by 270°").is_visible()
    explorer.notebook.assert_clean()


def test_the_image_of_an_embedding_explorer(open_notebook):
    made = "EmbeddingExplorer(network, images.test.images[:40], images.test.labels[:40])"
    explorer = type("Embedding", (Turned,), {"name": "Embedding explorer"}).of(open_notebook, made)
    upright, walked = explorer.pixels(explorer.handle.locator("canvas")), explorer.number("moved")
    assert walked == 0
    explorer.turn(10, 100)
    assert explorer.number("moved") > 1e-3 and explorer.pressed()[-1] == "turn by r90"
    assert explorer.pixels(explorer.handle.locator("canvas")) == turned(upright)
    explorer.turn_by_touch(0, -100)
    assert explorer.number("moved") == 0 and explorer.pixels(explorer.handle.locator("canvas")) == upright
    explorer.notebook.assert_clean()
