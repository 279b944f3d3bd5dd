"""ExactnessLab in the real JupyterLab: every slider and button, by hand and by keyboard, and from a cell."""

from accessibility import assert_accessible

CELLS = [
    "from eqssl_edu.widgets import ExactnessLab\n\nlab = ExactnessLab(16, kernel_size=3, stride=2, padding=1)\nlab",
    "",
]


class Lab:
    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        notebook.run_all()
        self.root = notebook.output(0).get_by_role("group", name="Exactness lab")
        self.root.wait_for()
        self.verdict = self.root.locator(".eqssl-verdict")

    def rest(self):
        self.page.wait_for_function("root => root.dataset.busy === 'false'", arg=self.root.element_handle())

    def slider(self, name):
        return self.root.get_by_role("slider", name=name)

    def press(self, name, keys):
        self.slider(name).focus()
        for key in keys.split():
            self.page.keyboard.press(key)
        self.rest()

    def error(self):
        return float(self.root.locator("[data-error]").get_attribute("data-error"))

    def sum(self):
        return self.root.locator(".eqssl-lab-sum").inner_text()

    def expect(self, exact):
        self.rest()
        assert self.verdict.inner_text() == ("✓ exact" if exact else "✗ not exact")
        assert (self.error() < 1e-9) == exact
        drawing = self.root.get_by_role("img", name="Image turned by 90°").get_attribute("aria-label")
        windows, dots = drawing.split(": ")[1].split(" rings")[0].split(" of ")
        assert (windows == dots) == exact
        # The strip that is never read, and in the turned image also where it has gone.
        strips, moved = (
            [path.get_attribute("d") for path in self.root.locator(f".eqssl-lab-{kind}").all()]
            for kind in ("strip", "moved")
        )
        assert strips[0] == strips[1] and moved[0] == "" and (strips[0] == "") == (moved[1] == "") == exact
        assert exact or moved[1] != strips[1]


def test_every_control_does_what_it_says(open_notebook):
    lab = Lab(open_notebook("exactness_lab.ipynb", CELLS))
    lab.expect(False)
    assert lab.error() > 0.5
    assert lab.sum() == "(16 + 2·1 − 3) mod 2 = 15 mod 2 = 1"

    lab.root.get_by_role("button", name="Set the size to 15").click()
    lab.expect(True)
    assert lab.sum() == "(15 + 2·1 − 3) mod 2 = 14 mod 2 = 0"
    lab.press("size S", "ArrowRight")
    lab.expect(False)
    lab.root.get_by_role("button", name="Set the size to 17").click()
    lab.expect(True)
    assert lab.slider("size S").input_value() == "17"
    assert lab.sum().endswith("= 0")

    lab.press("size S", "ArrowRight")
    lab.expect(False)
    lab.press("kernel k", "ArrowRight")
    lab.expect(True)
    assert lab.sum() == "(18 + 2·1 − 4) mod 2 = 16 mod 2 = 0"
    lab.press("padding p", "ArrowLeft")
    lab.expect(True)
    lab.press("stride s", "ArrowRight")
    lab.expect(False)
    assert lab.sum() == "(18 + 2·0 − 4) mod 3 = 14 mod 3 = 2"
    lab.press("stride s", "Home")
    lab.expect(True)
    lab.press("size S", "End")
    assert lab.slider("size S").get_attribute("aria-valuetext") == "40"
    lab.expect(True)

    # A cell steers it, and a screen reader hears it.
    lab.notebook.run_last_cell("lab.set_state(size=12, kernel_size=2, stride=4, padding=0)")
    spoken = lab.root.get_by_role("status").filter(
        has_text="Size 12, kernel 2, stride 4, padding 0: not exact"
    )
    spoken.wait_for(state="attached")
    lab.expect(False)
    assert "Nearest exact sizes: 10 and 14." in spoken.text_content()

    # An error is seen.
    lab.notebook.run_last_cell(
        "lab.receive({'token': 'a', 'changes': {'size': 99}})\nassert 'size must be' in lab.error"
    )
    lab.root.get_by_role("alert").filter(
        has_text="ValueError: size must be an integer, 7 .. 40, got 99"
    ).wait_for()
    lab.press("stride s", "Home")
    assert not lab.root.get_by_role("alert").is_visible()
    assert_accessible(lab.page, ".eqssl-lab")
    lab.notebook.assert_clean()
