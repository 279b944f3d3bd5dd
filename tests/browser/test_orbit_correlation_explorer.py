"""OrbitCorrelationExplorer in the real JupyterLab: by keyboard, by mouse and from a cell."""

import pytest
from hand import Hand

MADE = """OrbitCorrelationExplorer(
    recalibrated(GroupCNN({}), digits(16).train.images[:128]), digits(16).test.images[:8])"""
INVARIANT = ("mean", "max", "soft", "power2", "power3")
SIX_DIGITS = 1.5e-6  # a rounding may turn the last of six digits by one
CLOCKWISE, COUNTER_CLOCKWISE = "clockwise", "counter-clockwise"


class Explorer(Hand):
    """The explorer on a page, as somebody sees it who looks and listens."""

    name = "Orbit correlation explorer"

    def shown(self, kind, column):
        text = self.root.locator(f"tr[data-kind={kind}] [data-name={column}]").inner_text()
        return float(text.replace("−", "-"))

    def losses(self, column="now"):
        return {kind: self.shown(kind, column) for kind in ("plain", *INVARIANT)}

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

    def turn(self, view, direction):
        self.press(f"View {view}: turn by 90 degrees {direction}")

    def sees(self, name):
        self.root.get_by_role("img", name=name).wait_for()
        self.rest()

    def check_absorbed(self):
        """Plain has moved, the others have not, and the marks say so in words."""
        before, now, marks = self.losses("before"), self.losses(), self.marks()
        assert abs(now["plain"] - before["plain"]) > 1e-4
        assert "moved by" in marks["plain"]
        for kind in INVARIANT:
            assert abs(now[kind] - before[kind]) < SIX_DIGITS
            assert "stood still" in marks[kind]


@pytest.fixture
def explorer(open_notebook):
    explorer = Explorer.of(open_notebook, MADE.format("cyclic(4)"))
    yield explorer
    explorer.notebook.assert_clean()


def test_buttons_sliders_and_keys_turn_the_views(explorer):
    upright = explorer.kappa()
    assert list(upright) == ["0°", "90°", "180°", "270°"]
    assert upright["0°"] == 1
    assert set(explorer.marks().values()) == {"–not turned"}
    assert explorer.losses() == explorer.losses("before")

    explorer.turn(1, COUNTER_CLOCKWISE)
    explorer.check_absorbed()
    # View 1 alone turned by 90 degrees: every bar has gone on by one place.
    values = list(upright.values())
    assert list(explorer.kappa().values()) == values[-1:] + values[:-1]
    explorer.turn(1, CLOCKWISE)
    assert explorer.kappa() == upright
    explorer.button("View 2: turn by 90 degrees clockwise").focus()
    explorer.page.keyboard.press("Enter")  # from 0 to 270 degrees
    explorer.rest()
    explorer.check_absorbed()
    assert explorer.slider("View 2, turn").get_attribute("aria-valuetext") == "turned by 270°"
    assert explorer.kappa()["90°"] == 1

    explorer.press("Turn both views back")
    assert explorer.losses() == explorer.losses("before")
    explorer.slider("View 1, turn").focus()
    for degrees in (90, 180, 270):
        explorer.page.keyboard.press("ArrowRight")
        explorer.sees(f"View 1, turned by {degrees}°")
        assert explorer.kappa()[f"{degrees}°"] == 1
        explorer.check_absorbed()
    explorer.slider("Image").focus()
    seen = explorer.losses()["plain"]
    explorer.page.keyboard.press("ArrowRight")
    explorer.sees("Image 2 of 8, upright")
    assert explorer.losses()["plain"] != seen
    explorer.check_absorbed()
    explorer.press("Previous image")
    explorer.press("Previous image")
    assert explorer.slider("Image").input_value() == "7"
    explorer.press("Next image")
    assert explorer.slider("Image").input_value() == "0"
    # The slider of the second view: both at 270 degrees is the same as none.
    explorer.slider("View 2, turn").focus()
    for degrees in (90, 180, 270):
        explorer.page.keyboard.press("ArrowRight")
        explorer.sees(f"View 2, turned by {degrees}°")
    assert explorer.kappa() == upright


def test_a_cell_steers_it_a_screen_reader_hears_it_and_an_error_is_seen(explorer):
    explorer.notebook.run_last_cell("explorer.set_state(image=3, second=2)")
    explorer.says("Image 4 of 8. View 1 upright, view 2 turned")
    spoken = explorer.root.get_by_role("status").filter(has_text="Image 4 of 8")
    assert spoken.get_attribute("aria-live") == "polite" and "stood still" in spoken.text_content()
    explorer.check_absorbed()
    cure = "View 1: turn by 90 degrees counter-clockwise"
    explorer.refuses({"first": 4}, "ValueError: first must be", cure=cure)
    explorer.check_absorbed()


def test_mirrors_and_two_polar_plots_in_the_dark_theme(open_notebook):
    explorer = Explorer.of(open_notebook, MADE.format("dihedral(4)"), dark=True)
    upright = explorer.kappa()
    assert list(upright) == ["0°", "90°", "180°", "270°", "m 0°", "m 90°", "m 180°", "m 270°"]
    mirror = explorer.root.get_by_role("checkbox", name="View 2, mirrored before the turn")
    mirror.focus()
    explorer.page.keyboard.press("Space")
    explorer.rest()
    explorer.check_absorbed()
    assert explorer.kappa()["m 0°"] == 1
    explorer.turn(1, COUNTER_CLOCKWISE)
    explorer.turn(2, COUNTER_CLOCKWISE)
    explorer.turn(2, COUNTER_CLOCKWISE)
    explorer.sees("View 2, mirrored, turned by 180°")
    explorer.check_absorbed()
    assert sorted(explorer.kappa().values()) == sorted(upright.values())
    assert explorer.kappa() != upright
    mirror.uncheck()
    explorer.sees("View 2, turned by 180°")
    explorer.root.get_by_role("checkbox", name="View 1, mirrored before the turn").check()
    explorer.sees("View 1, mirrored, turned by 90°")
    explorer.check_absorbed()
    explorer.notebook.assert_clean()
