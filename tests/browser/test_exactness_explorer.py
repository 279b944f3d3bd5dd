"""ExactnessLab in the real JupyterLab: every slider and button, by hand and by keyboard, and from a cell."""

from hand import Hand


class Lab(Hand):
    name = "Exactness lab"

    def error(self):
        return self.number("error")

    def sum(self):
        return self.root.locator(".eqssl-lab-sum").inner_text()

    def expect(self, exact):
        assert self.text(".eqssl-verdict") == ("✓ exact" if exact else "✗ not exact")
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
    lab = Lab.of(open_notebook, "ExactnessLab(16)")
    notebook = lab.notebook
    lab.expect(False)
    assert lab.error() > 0.5
    assert lab.sum() == "(16 + 2·1 − 3) mod 2 = 15 mod 2 = 1"

    lab.press("Set the size to 15")
    lab.expect(True)
    assert lab.sum() == "(15 + 2·1 − 3) mod 2 = 14 mod 2 = 0"
    lab.slide("size S", "ArrowRight")
    lab.expect(False)
    lab.press("Set the size to 17")
    lab.expect(True)
    assert lab.slider("size S").input_value() == "17"
    assert lab.sum().endswith("= 0")

    lab.slide("size S", "ArrowRight")
    lab.expect(False)
    lab.slide("kernel k", "ArrowRight")
    lab.expect(True)
    assert lab.sum() == "(18 + 2·1 − 4) mod 2 = 16 mod 2 = 0"
    lab.slide("padding p", "ArrowLeft")
    lab.expect(True)
    lab.slide("stride s", "ArrowRight")
    lab.expect(False)
    assert lab.sum() == "(18 + 2·0 − 4) mod 3 = 14 mod 3 = 2"
    lab.slide("stride s", "Home")
    lab.expect(True)
    lab.slide("size S", "End")
    assert lab.slider("size S").get_attribute("aria-valuetext") == "40"
    lab.expect(True)

    # A cell steers it, and a screen reader hears it.
    notebook.run_last_cell("explorer.set_state(size=12, kernel_size=2, stride=4, padding=0)")
    lab.says("Size 12, kernel 2, stride 4, padding 0: not exact")
    lab.expect(False)
    lab.says("Nearest exact sizes: 10 and 14.")
    lab.refuses({"size": 99}, "ValueError: size must be an integer", cure="Set the size to 14")
    notebook.assert_clean()
