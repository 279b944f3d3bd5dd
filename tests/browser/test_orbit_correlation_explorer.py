"""OrbitCorrelationExplorer in the real JupyterLab: by keyboard, by mouse and from a cell."""

import pytest

SETUP = """
import torch
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import {name}
from eqssl_edu.widgets import OrbitCorrelationExplorer

torch.manual_seed(0)
encoder = GroupCNN({name}(4)).train()
images = digits(16)
with torch.no_grad():
    for _ in range(30):
        encoder(images.train.images[:128])  # the statistics of the batch norms
explorer = OrbitCorrelationExplorer(encoder, images.test.images[:8])
explorer
"""
INVARIANT = ("mean", "max", "soft", "power2", "power3")
SIX_DIGITS = 1.5e-6  # a rounding may turn the last of six digits by one
CLOCKWISE, COUNTER_CLOCKWISE = "clockwise", "counter-clockwise"


class Explorer:
    """The explorer on a page, as somebody sees it who looks and listens."""

    def __init__(self, notebook):
        self.notebook = notebook
        notebook.run_all()
        self.root = notebook.page.get_by_role("group", name="Orbit correlation explorer")
        self.painted = 0
        self.settle()

    def settle(self):
        """Wait until the last action has been painted."""
        self.root.locator(f"xpath=self::*[@data-busy='false' and @data-painted > {self.painted}]").wait_for()
        self.painted = int(self.root.get_attribute("data-painted"))

    def number(self, kind, column):
        text = self.root.locator(f"tr[data-kind={kind}] [data-name={column}]").inner_text()
        return float(text.replace("−", "-"))

    def losses(self, column="now"):
        return {kind: self.number(kind, column) for kind in ("plain", *INVARIANT)}

    def marks(self):
        rows = self.root.locator("tbody tr").all()
        return {row.get_attribute("data-kind"): row.locator(".eqssl-oc-status").inner_text() for row in rows}

    def kappa(self):
        """What the polar plots say of themselves: a value for each place."""
        found = {}
        for plot in self.root.get_by_role("img", name="Polar plot").all():
            places = plot.get_attribute("aria-label").split(". ", 1)[1].split(", ")
            found |= {
                place: float(value.replace("−", "-")) for place, value in (p.split(": ") for p in places)
            }
        return found

    def slider(self, name):
        return self.root.get_by_role("slider", name=name, exact=True)

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def turn_button(self, view, direction):
        return self.button(f"View {view}: turn by 90 degrees {direction}")

    def check_absorbed(self):
        """Plain has moved, the others have not, and the marks say so in words."""
        before, now, marks = self.losses("before"), self.losses(), self.marks()
        assert abs(now["plain"] - before["plain"]) > 1e-3
        assert "moved by" in marks["plain"]
        for kind in INVARIANT:
            assert abs(now[kind] - before[kind]) < SIX_DIGITS
            assert "stood still" in marks[kind]


@pytest.fixture
def rotations(open_notebook):
    return Explorer(open_notebook([SETUP.format(name="cyclic"), "pass"]))


@pytest.fixture
def reflections(open_notebook):
    return Explorer(open_notebook([SETUP.format(name="dihedral")], dark=True))


def test_buttons_sliders_and_keys_turn_the_views(rotations):
    explorer = rotations
    upright = explorer.kappa()
    assert list(upright) == ["0°", "90°", "180°", "270°"]
    assert upright["0°"] == 1
    assert set(explorer.marks().values()) == {"–not turned"}
    assert explorer.losses() == explorer.losses("before")

    explorer.turn_button(1, COUNTER_CLOCKWISE).click()
    explorer.settle()
    explorer.check_absorbed()
    # View 1 alone turned by 90 degrees: every bar has gone on by one place.
    assert explorer.kappa() == {
        "0°": upright["270°"],
        "90°": upright["0°"],
        "180°": upright["90°"],
        "270°": upright["180°"],
    }
    explorer.turn_button(1, CLOCKWISE).click()
    explorer.settle()
    assert explorer.kappa() == upright
    explorer.turn_button(2, CLOCKWISE).focus()
    explorer.notebook.page.keyboard.press("Enter")  # from 0 to 270 degrees
    explorer.settle()
    explorer.check_absorbed()
    assert explorer.slider("View 2, turn").get_attribute("aria-valuetext") == "turned by 270°"
    assert explorer.kappa()["90°"] == 1

    explorer.button("Turn both views back").click()
    explorer.settle()
    assert explorer.losses() == explorer.losses("before")
    explorer.slider("View 1, turn").focus()
    for degrees in (90, 180, 270):
        explorer.notebook.page.keyboard.press("ArrowRight")
        explorer.settle()
        assert explorer.root.get_by_role("img", name=f"View 1, turned by {degrees}°").is_visible()
        assert explorer.kappa()[f"{degrees}°"] == 1
        explorer.check_absorbed()
    explorer.slider("Image").focus()
    seen = explorer.losses()["plain"]
    explorer.notebook.page.keyboard.press("ArrowRight")
    explorer.settle()
    assert explorer.root.get_by_role("img", name="Image 2 of 8, upright").is_visible()
    assert explorer.losses()["plain"] != seen
    explorer.check_absorbed()
    explorer.button("Previous image").click()
    explorer.button("Previous image").click()
    explorer.settle()
    assert explorer.slider("Image").input_value() == "7"
    explorer.button("Next image").click()
    explorer.settle()
    assert explorer.slider("Image").input_value() == "0"
    # The slider of the second view: both at 270 degrees is the same as none.
    explorer.slider("View 2, turn").focus()
    for degrees in (90, 180, 270):
        explorer.notebook.page.keyboard.press("ArrowRight")
        explorer.settle()
        assert explorer.root.get_by_role("img", name=f"View 2, turned by {degrees}°").is_visible()
    assert explorer.kappa() == upright
    explorer.notebook.assert_clean()


def test_a_flood_of_moves_ends_at_the_last_one(rotations):
    explorer = rotations
    explorer.notebook.page.evaluate(
        """() => {
             const slider = document.querySelector("input[aria-label='View 1, turn']");
             for (let move = 0; move < 301; move++) {
               slider.value = move % 4;
               slider.dispatchEvent(new Event("input"));
             }
           }"""
    )
    explorer.settle()
    assert explorer.root.get_by_role("img", name="View 1, upright").is_visible()  # 300 % 4 = 0
    assert int(explorer.root.get_attribute("data-painted")) < 20
    explorer.notebook.assert_clean()


def test_a_cell_steers_it_and_a_screen_reader_hears_it(rotations):
    explorer = rotations
    explorer.notebook.run_last_cell("explorer.set_state(image=3, second=2)")
    spoken = explorer.root.get_by_role("status").filter(
        has_text="Image 4 of 8. View 1 upright, view 2 turned"
    )
    spoken.wait_for(state="attached")
    explorer.settle()
    assert spoken.get_attribute("aria-live") == "polite"
    assert "stood still" in spoken.text_content()
    explorer.check_absorbed()
    explorer.notebook.assert_clean()


def test_an_error_is_seen_and_the_next_move_clears_it(rotations):
    explorer = rotations
    explorer.notebook.run_last_cell("explorer.receive({'token': 'a', 'changes': {'first': 4}})")
    alert = explorer.root.get_by_role("alert")
    alert.filter(has_text="ValueError: first must be").wait_for()
    explorer.turn_button(1, COUNTER_CLOCKWISE).click()
    alert.wait_for(state="hidden")
    explorer.check_absorbed()
    explorer.notebook.assert_clean()


def test_mirrors_and_two_polar_plots_in_the_dark_theme(reflections):
    explorer = reflections
    upright = explorer.kappa()
    assert list(upright) == ["0°", "90°", "180°", "270°", "m 0°", "m 90°", "m 180°", "m 270°"]
    mirror = explorer.root.get_by_role("checkbox", name="View 2, mirrored before the turn")
    mirror.focus()
    explorer.notebook.page.keyboard.press("Space")
    explorer.settle()
    explorer.check_absorbed()
    assert explorer.kappa()["m 0°"] == 1
    explorer.turn_button(1, COUNTER_CLOCKWISE).click()
    explorer.turn_button(2, COUNTER_CLOCKWISE).click()
    explorer.turn_button(2, COUNTER_CLOCKWISE).click()
    explorer.settle()
    assert explorer.root.get_by_role("img", name="View 2, mirrored, turned by 180°").is_visible()
    explorer.check_absorbed()
    assert sorted(explorer.kappa().values()) == sorted(upright.values())
    assert explorer.kappa() != upright
    mirror.uncheck()
    explorer.settle()
    assert explorer.root.get_by_role("img", name="View 2, turned by 180°").is_visible()
    explorer.root.get_by_role("checkbox", name="View 1, mirrored before the turn").check()
    explorer.settle()
    assert explorer.root.get_by_role("img", name="View 1, mirrored, turned by 90°").is_visible()
    explorer.check_absorbed()
    explorer.notebook.assert_clean()
