"""CircleExplorer in the real JupyterLab and on a page: by keyboard, mouse and finger, and from a cell."""

import pytest
from explorers import EXPLORERS, make
from hand import Hand

from eqssl_edu.widgets import CircleExplorer

A, B = (f"View {view}: turn {letter} in degrees" for view, letter in ((1, "a"), (2, "b")))
THETA, DRAW = "θ in degrees", "Draw two hidden turns"


class Circle(Hand):
    """The explorer, as somebody sees it who looks and listens."""

    name = "Circle explorer"

    def row(self, name):
        """(largest kappa, where) of a row of the table."""
        self.rest()
        row = self.root.locator(f"tr[data-name='{name}']")
        return [float(row.get_attribute(f"data-{key}")) for key in ("max", "at")]

    def turns(self):
        self.rest()
        return [int(self.slider(name).input_value()) for name in (A, B)]

    def theta(self):
        self.rest()
        return int(self.slider(THETA).input_value())

    @property
    def chart(self):
        return self.root.get_by_role("img", name="kappa over θ")

    def place(self, theta):
        """Where an angle is on the chart, on the screen."""
        self.chart.scroll_into_view_if_needed()
        box = self.chart.bounding_box()
        return box["x"] + box["width"] * (66 + theta / 360 * (540 - 66 - 14)) / 540, box["y"] + box[
            "height"
        ] / 2

    def drag(self, *angles):
        self.page.mouse.move(*self.place(angles[0]))
        self.page.mouse.down()
        for angle in angles[1:]:
            self.page.mouse.move(*self.place(angle))
        self.page.mouse.up()
        self.rest()

    def arrow(self, view):
        """Where the label of a view points: degrees counter-clockwise, 0 is up."""
        self.rest()
        transform = self.root.locator(".eqssl-circle-arrow").nth(view).get_attribute("transform")
        return -float(transform.removeprefix("rotate(").removesuffix(")")) % 360

    def sees(self, name):
        self.root.get_by_role("img", name=name).wait_for()
        self.rest()


@pytest.fixture
def explorer(open_notebook):
    explorer = Circle.of(open_notebook, EXPLORERS["CircleExplorer"])
    yield explorer
    explorer.notebook.assert_clean()


def near(angle, expected, within):
    return abs((angle - expected + 180) % 360 - 180) <= within


def test_sliders_keys_and_buttons(explorer):
    assert explorer.turns() == [0, 0] and explorer.row("C4") == [pytest.approx(1), 0]
    upright = explorer.arrow(0)
    explorer.slide(B, "ArrowRight ArrowRight")
    explorer.sees("View 2, turned by 2°")
    explorer.slide(B, "Home PageUp PageUp PageUp")
    assert explorer.row("SO(2)")[0] > explorer.row("C4")[0]
    b = explorer.turns()[1]
    assert near(explorer.row("SO(2)")[1], b, 8)
    assert f"b − a = {b}°" in explorer.text(".eqssl-circle-note")
    assert explorer.slide(THETA, "End") == 360
    spoken = explorer.slider(THETA).get_attribute("aria-valuetext")
    assert spoken.startswith("κ(360°) = ") and spoken in explorer.text(".eqssl-circle-third")
    # Labels: their arrows turn with the view, those of type 2 twice as far.
    explorer.notebook.run_last_cell("explorer.set_state(first=0, theta=0)")
    second = {}
    for k, times in (("1", 1), ("2", 2)):
        explorer.root.get_by_role("button", name=f"labels of type {k}").click()
        explorer.slide(A, "Home")
        second[k] = explorer.arrow(0)
        explorer.notebook.run_last_cell("explorer.set_state(first=90)")
        explorer.sees(f"View 1, turned by 90°; label of type {k}")
        assert near(explorer.arrow(0), second[k] + 90 * times, 1)
        # The picture of θ is turned as a whole, its arrow by the rest of k θ.
        explorer.slide(THETA, "Home PageUp")
        theta = explorer.theta()
        assert near(explorer.arrow(2), explorer.arrow(0) + (times - 1) * theta, 1)
    assert near(second["1"], upright, 1)
    explorer.press("another image")
    assert "no turn is the true one" in explorer.text(".eqssl-circle-note")
    explorer.press("the same image")
    seen = {tuple(explorer.turns())}
    for _ in range(3):
        explorer.press(DRAW)
        seen.add(tuple(explorer.turns()))
    assert len(seen) > 2


def test_the_wave_is_dragged_and_the_views_are_turned_by_hand(explorer):
    explorer.drag(90, 120, 200)
    assert abs(explorer.theta() - 200) <= 1
    explorer.drag(300)  # a press is enough
    assert abs(explorer.theta() - 300) <= 1
    explorer.drag(350, 400)  # beyond the end
    assert explorer.theta() == 360
    assert (
        explorer.root.locator(".eqssl-circle-cursor").get_attribute("transform").startswith("translate(526")
    )
    picture = explorer.root.locator(".eqssl-handle").first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    x, y, reach = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.35 * box["width"]
    explorer.page.mouse.move(x + reach, y)
    explorer.page.mouse.down()
    explorer.page.mouse.move(x + 0.7 * reach, y - 0.7 * reach, steps=4)
    explorer.page.mouse.move(x, y - reach, steps=4)
    explorer.page.mouse.up()
    assert explorer.turns() == [90, 0]  # near a multiple of 45 degrees it settles there
    assert explorer.row("C4")[1] == 270


def test_a_cell_steers_it_a_screen_reader_hears_it_and_an_error_is_seen(explorer):
    explorer.notebook.run_last_cell("explorer.set_state(first=20, second=65)")
    explorer.says("View 1 turned by 20°, view 2 by 65°. Largest kappa: ")
    explorer.refuses({"k": 9}, "ValueError: k must be", cure=DRAW)


def test_four_samples_of_c4_in_the_dark_theme(open_notebook):
    explorer = Circle.of(open_notebook, "CircleExplorer(network, images.test.images[4])", dark=True)
    explorer.notebook.run_last_cell("explorer.set_state(second=90, theta=100)")
    explorer.sees("View 2, turned by 90°")
    assert explorer.row("C4")[1] == 90
    assert explorer.root.locator(".eqssl-circle-curve").get_attribute("d") is None
    assert "κ(90°) = 1.0000" in explorer.text(".eqssl-circle-third")  # the element nearest to 100 degrees
    explorer.notebook.assert_clean()


def test_a_page_goes_to_every_theta_and_every_type_without_a_kernel(open_page, tmp_path):
    whole = make("CircleExplorer")
    path = CircleExplorer(whole.encoder, whole.images["image"]).to_html(tmp_path / "page.html")
    assert path.stat().st_size < 2_100_000
    opened = open_page(path, width=800)
    page = Circle.__new__(Circle)
    page.page, page.root = opened.page, opened.page.locator(".eqssl")
    assert page.slide(B, "ArrowRight ArrowRight ArrowRight") == 45
    assert near(page.row("C8")[1], 45, 0) and page.row("C8")[0] > page.row("C4")[0]
    page.drag(20, 137)
    assert abs(page.theta() - 137) <= 1
    assert page.slide(THETA, "ArrowRight") - 138 in (-1, 0, 1)
    page.root.get_by_role("button", name="labels of type 2").click()
    page.sees("View 2, turned by 45°; label of type 2")
    theta = page.theta()
    page.slide(A, "ArrowRight")
    assert page.turns() == [15, 45] and page.theta() == theta  # what the hand has set stays
    page.press(DRAW)
    assert all(turn % 15 == 0 for turn in page.turns())
    page.says("View 1 turned by ")
    opened.assert_clean()
